//! One TLS session without its stream: ciphertext in, plaintext out, and the other way round.
//!
//! It is rustls' *unbuffered* connection, because the usual one keeps a buffer of 4 KiB while it is idle.
//! What of a record has not come yet, what nobody has read and what nobody has sent is held here, and
//! nothing while there is none of it.
//!
//! # Invariants
//!
//! * All whole records that came have been opened: what rustls still waits for is in `partial`.
//! * `unsent` goes out before anything that is sealed later.
//! * After a failure nothing is opened or sealed any more; what rustls wanted to tell the peer about it
//!   is in `unsent`.

use std::io;

use rustls::CommonState;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
    WriteTraffic,
};
use tokio::io::ReadBuf;

use super::buffers::{Queue, Sealed};
use super::error::Error;

/// The head of a record (RFC 8446 §5.1).
const HEAD: usize = 5;

/// The most plaintext in a record (RFC 8446 §5.1), and so what the heads of a text are counted by.
const RECORD: usize = 16 * 1024;

/// The most ciphertext in a record, with its head (RFC 8446 §5.2).
pub(super) const SEALED_RECORD: usize = HEAD + RECORD + 256;

/// What a record may be longer than its text: head, explicit nonce, type and tag, generously.
const OVERHEAD: usize = 64;

/// The most ciphertext that waits for the rest of a message. Application data need a record; a message of
/// the handshake, of which rustls takes 64 KiB, may come in several.
const MAX_PARTIAL: usize = 64 * 1024 + SEALED_RECORD;

/// The two sides of rustls' connection.
pub(super) enum Role {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// What both have in common, and rustls gives no name.
trait Side {
    type Data;

    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;

    fn has_unsent(&self) -> bool;
}

impl Side for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        input: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, ServerConnectionData> {
        self.process_tls_records(input)
    }

    fn has_unsent(&self) -> bool {
        self.wants_write()
    }
}

impl Side for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        input: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, ClientConnectionData> {
        self.process_tls_records(input)
    }

    fn has_unsent(&self) -> bool {
        self.wants_write()
    }
}

/// See the [module](self).
pub(super) struct Session {
    role: Role,
    /// What has come of a message that is not whole.
    partial: Vec<u8>,
    /// How much more must come before it is worth a look.
    missing: usize,
    /// Plaintext that nobody has read.
    unread: Queue,
    /// Ciphertext that nobody has sent.
    pub(super) unsent: Queue,
    /// The peer has said that it sends nothing more.
    ended: bool,
    /// We have said so.
    closed: bool,
    failed: Option<Box<rustls::Error>>,
}

impl Session {
    pub(super) fn new(role: Role) -> Self {
        Self {
            role,
            partial: Vec::new(),
            missing: 0,
            unread: Queue::default(),
            unsent: Queue::default(),
            ended: false,
            closed: false,
            failed: None,
        }
    }

    fn common(&self) -> &CommonState {
        match &self.role {
            Role::Server(server) => server,
            Role::Client(client) => client,
        }
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.common().is_handshaking()
    }

    /// Whether what is unsent at the end of the handshake may wait for the next read or write: a server has only
    /// tickets to send then (RFC 8446 §4.6.1), which its client need not read before it has something to wait
    /// for. Before TLS 1.3, and on a client, it is what completes the handshake.
    pub(super) fn may_send_later(&self) -> bool {
        let version = self.common().protocol_version();
        matches!(self.role, Role::Server(_)) && version == Some(rustls::ProtocolVersion::TLSv1_3)
    }

    pub(super) fn alpn(&self) -> Option<&[u8]> {
        self.common().alpn_protocol()
    }

    /// The certificates that the peer has shown, its own first.
    pub(super) fn peer_certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.common().peer_certificates().unwrap_or_default().iter().map(AsRef::as_ref)
    }

    /// How many bytes of input wait for the rest of their message: the caller leaves so much room before
    /// what it reads.
    pub(super) fn carried(&self) -> usize {
        self.partial.len()
    }

    /// Whether [`read`](Self::read) has an answer without more input.
    pub(super) fn is_readable(&self) -> bool {
        !self.unread.is_empty() || self.ended || self.failed.is_some()
    }

    /// Hands out what was opened; nothing at the proper end of the input.
    pub(super) fn read(&mut self, into: &mut ReadBuf<'_>) -> io::Result<()> {
        let waiting = self.unread.as_slice();
        if !waiting.is_empty() {
            let count = waiting.len().min(into.remaining());
            into.put_slice(&waiting[..count]);
            self.unread.consume(count);
            return Ok(());
        }
        match &self.failed {
            Some(error) if !self.ended => Err(io_error((**error).clone())),
            _ => Ok(()),
        }
    }

    /// Lets rustls say its first word.
    pub(super) fn begin(&mut self) -> Result<(), Error> {
        self.open(&mut [], &mut ReadBuf::new(&mut []))
    }

    /// Opens what has come: `input` is [`carried`](Self::carried) bytes of room and what was read behind
    /// them. Plaintext goes to `into` as far as it has room. An error is also what
    /// [`read`](Self::read) says from then on.
    pub(super) fn receive(
        &mut self,
        input: &mut [u8],
        into: &mut ReadBuf<'_>,
    ) -> Result<(), Error> {
        let carried = self.partial.len();
        if self.ended {
            return Ok(());
        }
        if carried > 0 {
            let fresh = &input[carried..];
            if fresh.len() < self.missing {
                // So a record that comes byte by byte is not copied for each of them.
                self.missing -= fresh.len();
                self.partial.extend_from_slice(fresh);
                return Ok(());
            }
            input[..carried].copy_from_slice(&self.partial);
        }
        self.open(input, into)
    }

    fn open(&mut self, input: &mut [u8], into: &mut ReadBuf<'_>) -> Result<(), Error> {
        if let Some(error) = &self.failed {
            return Err((**error).clone().into());
        }
        let (unread, unsent) = (&mut self.unread, &mut self.unsent);
        let mut give = |plaintext: &[u8]| {
            let count = if unread.is_empty() { plaintext.len().min(into.remaining()) } else { 0 };
            into.put_slice(&plaintext[..count]);
            if count < plaintext.len() {
                unread.push(&plaintext[count..]);
            }
        };
        let opened = match &mut self.role {
            Role::Server(server) => open(server, input, &mut give, unsent),
            Role::Client(client) => open(client, input, &mut give, unsent),
        };
        match opened {
            Ok((used, ended)) => {
                self.ended = ended;
                let rest = if ended { &[][..] } else { &input[used..] };
                if rest.len() > MAX_PARTIAL {
                    let error =
                        rustls::Error::from(rustls::InvalidMessage::HandshakePayloadTooLarge);
                    return Err(self.fail(error).into());
                }
                self.missing = missing(rest);
                self.partial.clear();
                if rest.is_empty() {
                    self.partial = Vec::new();
                } else {
                    self.partial.extend_from_slice(rest);
                }
                Ok(())
            }
            Err(error) => Err(self.fail(error).into()),
        }
    }

    /// The stream below has ended.
    pub(super) fn receive_eof(&mut self) -> io::Result<()> {
        if self.ended {
            return Ok(());
        }
        // Whether all came cannot be known: anybody on the way can end a TCP connection.
        let truncated = "the peer ended the connection without saying so in TLS";
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, truncated))
    }

    fn fail(&mut self, error: rustls::Error) -> rustls::Error {
        match &mut self.role {
            Role::Server(server) => last_words(server, &mut self.unsent),
            Role::Client(client) => last_words(client, &mut self.unsent),
        }
        self.partial = Vec::new();
        self.failed.get_or_insert_with(|| Box::new(error.clone()));
        error
    }

    /// Seals plaintext.
    pub(super) fn write(&mut self, plaintext: &[u8], sealed: &mut Sealed) -> io::Result<()> {
        if let Some(error) = &self.failed {
            return Err(io_error((**error).clone()));
        }
        if self.closed {
            let closed = "the stream has been shut down, or is broken";
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, closed));
        }
        let (partial, unread, unsent) = (&mut self.partial, &mut self.unread, &mut self.unsent);
        let written = match &mut self.role {
            Role::Server(server) => seal(server, partial, Some(plaintext), sealed, unread, unsent),
            Role::Client(client) => seal(client, partial, Some(plaintext), sealed, unread, unsent),
        };
        self.missing = missing(&self.partial);
        written.map_err(|error| io_error(self.fail(error)))
    }

    /// Says, once, that nothing more will be sent (RFC 8446 §6.1).
    pub(super) fn close(&mut self, sealed: &mut Sealed) {
        if self.closed || self.failed.is_some() {
            return;
        }
        self.closed = true;
        let (partial, unread, unsent) = (&mut self.partial, &mut self.unread, &mut self.unsent);
        let closed = match &mut self.role {
            Role::Server(server) => seal(server, partial, None, sealed, unread, unsent),
            Role::Client(client) => seal(client, partial, None, sealed, unread, unsent),
        };
        self.missing = missing(&self.partial);
        if let Err(error) = closed {
            self.fail(error);
        }
    }

    /// Something that was sealed is lost: the peer could open nothing behind it.
    pub(super) fn abandon(&mut self) {
        self.unsent = Queue::default();
        self.closed = true;
    }
}

/// Goes through `input` until rustls wants more. Says how much of it is done with, and whether the peer
/// has ended its side.
fn open<S: Side>(
    side: &mut S,
    input: &mut [u8],
    give: &mut dyn FnMut(&[u8]),
    unsent: &mut Queue,
) -> Result<(usize, bool), rustls::Error> {
    let mut used = 0;
    loop {
        let UnbufferedStatus { discard, state, .. } = side.process(&mut input[used..]);
        let (turn, more) = turn(state?, give, unsent)?;
        used += discard + more;
        match turn {
            Turn::Again => {}
            Turn::Rest | Turn::MayWrite(_) => return Ok((used, false)),
            Turn::Ended => return Ok((used, true)),
        }
    }
}

/// Seals `plaintext`, or without one the end of our side.
fn seal<S: Side>(
    side: &mut S,
    partial: &mut Vec<u8>,
    plaintext: Option<&[u8]>,
    sealed: &mut Sealed,
    unread: &mut Queue,
    unsent: &mut Queue,
) -> Result<(), rustls::Error> {
    loop {
        let UnbufferedStatus { discard, state, .. } = side.process(partial);
        let (turn, more) = turn(state?, &mut |plaintext| unread.push(plaintext), unsent)?;
        let done = match turn {
            Turn::Again => false,
            Turn::MayWrite(mut traffic) => {
                match plaintext {
                    Some(plaintext) => encrypt(&mut traffic, plaintext, sealed)?,
                    None => say_closed(&mut traffic, sealed)?,
                }
                true
            }
            Turn::Rest | Turn::Ended if plaintext.is_none() => true,
            Turn::Rest | Turn::Ended => return Err(rustls::Error::HandshakeNotComplete),
        };
        partial.drain(..discard + more);
        if done {
            return Ok(());
        }
    }
}

/// What one step of rustls' state machine came to.
enum Turn<'c, Data> {
    Again,
    /// It has nothing to do without more input, and sends nothing of ours.
    Rest,
    /// The same, and may be given what is to be sent.
    MayWrite(WriteTraffic<'c, Data>),
    /// The peer has ended its side.
    Ended,
}

/// Does one step, and says how much input it used beyond what rustls' status says.
fn turn<'c, Data>(
    state: ConnectionState<'c, '_, Data>,
    give: &mut dyn FnMut(&[u8]),
    unsent: &mut Queue,
) -> Result<(Turn<'c, Data>, usize), rustls::Error> {
    let mut more = 0;
    let turn = match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                let record = record?;
                more += record.discard;
                give(record.payload);
            }
            Turn::Again
        }
        ConnectionState::EncodeTlsData(mut data) => {
            // Asked with no room, it says how much it needs.
            if let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) =
                data.encode(&mut [])
            {
                unsent.push_with(required_size, |room| data.encode(room).unwrap_or(0));
            }
            Turn::Again
        }
        ConnectionState::TransmitTlsData(data) => {
            // It is in `unsent`, which goes before all that follows.
            data.done();
            Turn::Again
        }
        ConnectionState::BlockedHandshake => Turn::Rest,
        ConnectionState::WriteTraffic(traffic) => Turn::MayWrite(traffic),
        ConnectionState::PeerClosed | ConnectionState::Closed => Turn::Ended,
        // Early data are not offered to anyone, and later states are not known yet.
        _ => return Err(rustls::Error::General("an unknown state of rustls".into())),
    };
    Ok((turn, more))
}

fn encrypt<Data>(
    traffic: &mut WriteTraffic<'_, Data>,
    plaintext: &[u8],
    sealed: &mut Sealed,
) -> Result<(), rustls::Error> {
    // One record more than it is, for an update of the keys before it.
    let mut room = plaintext.len() + (plaintext.len().div_ceil(RECORD) + 1) * OVERHEAD;
    loop {
        match traffic.encrypt(plaintext, sealed.room(room)) {
            Ok(count) => {
                sealed.advance(count);
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(error)) if error.required_size > room => {
                room = error.required_size;
            }
            Err(_) => return Err(rustls::Error::EncryptError),
        }
    }
}

fn say_closed<Data>(
    traffic: &mut WriteTraffic<'_, Data>,
    sealed: &mut Sealed,
) -> Result<(), rustls::Error> {
    let mut room = OVERHEAD;
    loop {
        match traffic.queue_close_notify(sealed.room(room)) {
            Ok(count) => {
                sealed.advance(count);
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(error)) if error.required_size > room => {
                room = error.required_size;
            }
            Err(_) => return Err(rustls::Error::EncryptError),
        }
    }
}

/// Takes the alert that rustls has for the peer after an error. It looks at no input before that is
/// out, and must not look at any again.
fn last_words<S: Side>(side: &mut S, unsent: &mut Queue) {
    while side.has_unsent() {
        let Ok(state) = side.process(&mut []).state else { return };
        if !matches!(turn(state, &mut |_| {}, unsent), Ok((Turn::Again, _))) {
            return;
        }
    }
}

/// How much more must come before there is a whole record, or the head of one: that is judged at once,
/// so that who speaks something else than TLS does not wait for an answer.
fn missing(mut input: &[u8]) -> usize {
    loop {
        let &[_, _, _, high, low, ref rest @ ..] = input else { return HEAD - input.len() };
        let len = usize::from(u16::from_be_bytes([high, low]));
        match rest.get(len..) {
            Some(next) => input = next,
            None => return len - rest.len(),
        }
    }
}

fn io_error(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Error::from(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_is_what_completes_the_next_head_or_record() {
        assert_eq!(missing(&[]), 5);
        assert_eq!(missing(&[23, 3, 3]), 2);
        assert_eq!(missing(&[23, 3, 3, 0, 3]), 3);
        assert_eq!(missing(&[23, 3, 3, 0, 3, 1, 2]), 1);
        assert_eq!(missing(&[23, 3, 3, 0, 1, 1]), 5);
        assert_eq!(missing(&[23, 3, 3, 0, 1, 1, 23, 3, 3, 1, 0, 9]), 255);
    }
}
