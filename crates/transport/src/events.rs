//! What happens to sessions, for an application that wants to know: the events of Node's `socket.conn`.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sockeye_engineio::{CloseReason, PacketType, Revision, Sid, Transport};

use crate::entry::Entry;
use crate::handshake::Handshake;
use crate::shared::Shared;

/// Something that happens to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEvent<'a> {
    /// It is open.
    Opened,
    /// The client has sent a packet: Node's `packet`.
    Received(SessionPacket<'a>),
    /// The client has shown that it is alive, by a pong, or in revision 3 by a ping: Node's `heartbeat`.
    Heartbeat,
    /// A packet for the client was queued: Node's `packetCreate`. Of Socket.IO's packets this is the default
    /// parser's form; another parser is asked when the packet is sent.
    Queued(SessionPacket<'a>),
    /// A packet is handed to the transport: Node's `flush`, which tells of several at once.
    Sent(SessionPacket<'a>),
    /// A websocket tries to become the transport, and was answered: Node's `upgrading`.
    Upgrading,
    /// The websocket is the transport: Node's `upgrade`.
    Upgraded,
    /// It is over, and so is its connection: Node's `close`. Nothing follows, but what another thread was
    /// just about to tell.
    Closed(CloseReason),
}

/// A packet of Engine.IO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionPacket<'a> {
    /// Its type.
    pub kind: PacketType,
    /// What it carries.
    pub data: SessionData<'a>,
}

/// What a packet of Engine.IO carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionData<'a> {
    /// Text, empty where there is none.
    Text(&'a str),
    /// Bytes, as they are before base64.
    Binary(&'a [u8]),
}

/// A session to which something happens.
#[derive(Clone, Copy)]
pub struct SessionRef<'a>(&'a Shared);

impl<'a> SessionRef<'a> {
    /// The session's id. It is a secret: whoever knows it can speak as the client.
    pub fn id(self) -> Sid {
        self.0.sid()
    }

    /// The transport that the session uses now.
    pub fn transport(self) -> Transport {
        self.0.transport()
    }

    /// The revision of the protocol that the client speaks.
    pub fn revision(self) -> Revision {
        self.0.revision()
    }

    /// The request that opened the session.
    pub fn handshake(self) -> &'a Handshake {
        self.0.handshake()
    }

    /// Bytes that wait to be written to the client.
    pub fn buffered_bytes(self) -> usize {
        self.0.outbox().buffered_bytes()
    }
}

impl fmt::Debug for SessionRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The application's function.
pub(crate) type Listener = Arc<dyn Fn(SessionRef<'_>, SessionEvent<'_>) + Send + Sync>;

/// Tells of an event. A panic ends nothing: the thread may be at work for another session.
#[cold]
pub(crate) fn tell(listener: &Listener, session: &Shared, event: SessionEvent<'_>) {
    let told = catch_unwind(AssertUnwindSafe(|| listener(SessionRef(session), event)));
    if told.is_err() {
        tracing::error!(target: "engine:socket", sid = ?session.sid(), "who hears of events has panicked");
    }
}

impl<'a> SessionPacket<'a> {
    pub(crate) fn text(kind: PacketType, data: &'a str) -> Self {
        Self { kind, data: SessionData::Text(data) }
    }

    pub(crate) fn binary(bytes: &'a [u8]) -> Self {
        Self { kind: PacketType::Message, data: SessionData::Binary(bytes) }
    }
}

/// The packets that an entry is: a text, unless it is binary alone, and what is attached to it.
pub(crate) fn packets(entry: &Entry) -> impl Iterator<Item = SessionPacket<'_>> {
    let (text, attachments) = match entry {
        Entry::Packet(packet) => (packet.text(), packet.attachments()),
        Entry::Ping => (&b"2"[..], &[][..]),
        Entry::Pong => (&b"3"[..], &[][..]),
    };
    let text = text.split_first().and_then(|(kind, data)| {
        Some(SessionPacket::text(PacketType::from_byte(*kind)?, str::from_utf8(data).ok()?))
    });
    text.into_iter().chain(attachments.iter().map(|bytes| SessionPacket::binary(bytes)))
}
