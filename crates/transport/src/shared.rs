//! What other tasks hold of a session.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};

use sockeye_engineio::{CloseReason, Revision, Sid, payload};
use sockeye_hub::Packet;
use sockeye_net::{Cork, SharedWriter, Wired, flush_later};
use sockeye_outbox::{Class, Outbox, Refused};

use crate::deflate::Deflating;
use crate::door::Door;
use crate::ending::Ending;
use crate::entry::Entry;
use crate::events::{self, SessionEvent, SessionPacket};
use crate::handshake::Handshake;
use crate::parsing::Parsing;
use crate::traffic::Traffic;

/// The part of a session that everyone may touch: its outbox, its handshake, and the wish that it
/// end.
// In this order, so that a broadcast finds what it needs of each session in neighbouring cache
// lines.
#[repr(C)]
pub struct Shared {
    outbox: Outbox<Entry>,
    writer: SharedWriter,
    /// What was agreed on for its websocket; most agree on nothing.
    deflating: OnceLock<Arc<Deflating>>,
    ending: OnceLock<&'static Ending>,
    open: AtomicBool,
    /// The [`Form`] of what the client gets over its websocket.
    form: AtomicU8,
    /// The session began on a websocket, or has upgraded to one.
    pub(crate) websocket: AtomicBool,
    /// Here it fills a gap.
    sid: Sid,
    /// The client's parser, if it is not the default one.
    parsing: OnceLock<Arc<Parsing>>,
    /// There while the session polls.
    pub(crate) door: Mutex<Option<Box<Door>>>,
    traffic: Arc<Traffic>,
    handshake: Handshake,
}

impl Shared {
    pub(crate) fn new(
        sid: Sid,
        max_buffered_bytes: usize,
        handshake: Handshake,
        form: Form,
        door: Option<Box<Door>>,
        traffic: Arc<Traffic>,
    ) -> Self {
        Self {
            traffic,
            sid,
            form: AtomicU8::new(form as u8),
            websocket: AtomicBool::new(door.is_none()),
            parsing: OnceLock::new(),
            door: Mutex::new(door),
            outbox: Outbox::new(max_buffered_bytes),
            writer: SharedWriter::default(),
            deflating: OnceLock::new(),
            handshake,
            ending: OnceLock::new(),
            open: AtomicBool::new(true),
        }
    }

    /// The session's id. It is a secret: whoever knows it can speak as the client.
    pub fn sid(&self) -> Sid {
        self.sid
    }

    /// Queues an entry for the client. Within the wake-up of some session it is written at that
    /// wake-up's end, together with whatever else is pushed until then.
    ///
    /// # Errors
    ///
    /// As [`Outbox::push`].
    pub fn push(self: &Arc<Self>, entry: Entry, class: Class) -> Result<(), Refused<Entry>> {
        if self.deflating.get().is_some() {
            self.compress(&entry);
        }
        let told = self.is_heard().then(|| entry.clone());
        let first = self.outbox.push_quietly(entry, class)?;
        if let Some(entry) = told {
            self.tell_queued(&entry);
        }
        if first && !flush_later(self) {
            self.outbox.wake();
        }
        Ok(())
    }

    /// Queues the entry in `slot` as soon as there is room for it, as [`Outbox::poll_push`] does.
    pub fn poll_push(
        &self,
        cx: &mut Context<'_>,
        slot: &mut Option<Entry>,
    ) -> Poll<Result<(), ()>> {
        let told = if self.is_heard() { slot.clone() } else { None };
        let pushed = self.outbox.poll_push(cx, slot);
        if let (Poll::Ready(Ok(())), Some(entry)) = (pushed, told) {
            self.tell_queued(&entry);
        }
        pushed
    }

    /// What waits to be written to the client.
    pub fn outbox(&self) -> &Outbox<Entry> {
        &self.outbox
    }

    /// The request that opened the session.
    pub fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// Ends the session once what is queued has been written. The first word counts.
    pub fn close(&self, ending: &'static Ending) {
        let _ = self.ending.set(ending);
        self.outbox.seal();
    }

    /// Ends the session at once; what is queued is dropped.
    pub fn discard(&self, ending: &'static Ending) {
        let _ = self.ending.set(ending);
        self.outbox.close();
    }

    /// Whether the session is open: the client can be written to.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire) && self.ending.get().is_none()
    }

    /// The revision of Engine.IO that the client speaks.
    pub fn revision(&self) -> Revision {
        self.form().revision()
    }

    /// Whether the connection is plain: it speaks neither Engine.IO nor Socket.IO.
    pub fn is_plain(&self) -> bool {
        self.form() == Form::Plain
    }

    pub(crate) fn set_base64(&self, base64: bool) {
        let form = Form::new(self.revision(), base64);
        self.form.store(form as u8, Ordering::Relaxed);
    }

    fn form(&self) -> Form {
        Form::ALL[usize::from(self.form.load(Ordering::Relaxed))]
    }

    /// The form of the payloads that the client polls.
    pub(crate) fn payload_form(&self) -> payload::Form {
        match self.form() {
            Form::V3 => payload::Form::V3,
            Form::V3Base64 => payload::Form::V3Base64,
            Form::Native | Form::Base64 | Form::Plain => payload::Form::V4,
        }
    }

    /// What the opening handshake of its websocket agreed on. The first word counts.
    pub(crate) fn set_deflating(&self, agreed: Option<Arc<Deflating>>) {
        if let Some(agreed) = agreed {
            let _ = self.deflating.set(agreed);
        }
    }

    pub(crate) fn deflating(&self) -> Option<&Arc<Deflating>> {
        self.deflating.get()
    }

    /// Puts an entry's WebSocket form, as this client can take it, into the cork.
    pub(crate) fn encode_frames(&self, entry: &Entry, cork: &mut Cork) {
        self.count(entry);
        match self.parsed(entry) {
            Some(parsed) => {
                for packet in parsed {
                    self.encode_form(&Entry::Packet(packet.clone()), cork);
                }
            }
            None => self.encode_form(entry, cork),
        }
    }

    /// Makes an entry's compressed form, if it is not there yet: here, where no lock of the session's is held.
    /// Not where it has a parser, which is a user's: whoever pushes may hold locks that this wants.
    fn compress(&self, entry: &Entry) {
        let (Some(deflating), Entry::Packet(packet)) = (self.deflating.get(), entry) else {
            return;
        };
        if self.parsing.get().is_none() {
            let form = self.form();
            deflating.prepare(packet, form as u8, |cork| encode_as(form, entry, cork));
        }
    }

    fn encode_form(&self, entry: &Entry, cork: &mut Cork) {
        let form = self.form();
        match (self.deflating.get(), entry) {
            (Some(deflating), Entry::Packet(packet)) => {
                deflating.encode(packet, form as u8, cork, |cork| encode_as(form, entry, cork));
            }
            _ => encode_as(form, entry, cork),
        }
    }

    /// An entry leaves over the transport.
    pub(crate) fn count(&self, entry: &Entry) {
        let (packets, bytes) = entry.volume();
        tracing::trace!(target: "engine:transport", sid = ?self.sid, packets, bytes, "packets go");
        self.traffic.sent(packets, bytes);
        if self.is_heard() {
            self.tell_sent(entry);
        }
    }

    /// Whether somebody wants to hear of what happens to the session. Plain connections have nothing of
    /// what is told.
    pub(crate) fn is_heard(&self) -> bool {
        self.traffic.listener.is_some() && !self.is_plain()
    }

    /// Tells the application of an event, if it listens.
    pub(crate) fn tell(&self, event: SessionEvent<'_>) {
        if let Some(listener) = self.traffic.listener.as_ref().filter(|_| !self.is_plain()) {
            events::tell(listener, self, event);
        }
    }

    /// Not in the form of the client's parser, which is a user's: whoever pushes may hold locks that this wants.
    #[cold]
    pub(crate) fn tell_queued(&self, entry: &Entry) {
        events::packets(entry).for_each(|packet| self.tell(SessionEvent::Queued(packet)));
    }

    #[cold]
    pub(crate) fn tell_sent(&self, entry: &Entry) {
        let tell = |packet: SessionPacket<'_>| self.tell(SessionEvent::Sent(packet));
        match self.parsed(entry) {
            Some(parsed) => {
                for packet in parsed {
                    events::packets(&Entry::Packet(packet.clone())).for_each(tell);
                }
            }
            None => events::packets(entry).for_each(tell),
        }
    }

    /// Appends an entry's form in a poll's answer, as this client can take it.
    pub(crate) fn encode_payload(&self, entry: &Entry, payload: &mut payload::Writer) {
        match self.parsed(entry) {
            Some(parsed) => {
                for packet in parsed {
                    if self.revision() == Revision::V4 && splits(packet) {
                        tracing::error!(
                            target: "socket.io-parser",
                            "a parser's text holds U+001E, which cannot be polled: it is left out"
                        );
                        continue;
                    }
                    Entry::Packet(packet.clone()).encode_payload(payload);
                }
            }
            None => entry.encode_payload(payload),
        }
    }

    /// What an entry is to a client with a parser of its own; `None` if it is what it is to all.
    fn parsed<'a>(&self, entry: &'a Entry) -> Option<&'a [Arc<Packet>]> {
        let parsing = self.parsing.get()?;
        let Entry::Packet(packet) = entry else { return None };
        packet.parsed(parsing.number, |text, attachments| parsing.encode(text, attachments))
    }

    /// The client's parser; `None` while it is the default one.
    pub fn parsing(&self) -> Option<&Arc<Parsing>> {
        self.parsing.get()
    }

    /// From now on messages are written by this parser. Only the first call counts.
    pub fn set_parsing(&self, parsing: Arc<Parsing>) {
        let _ = self.parsing.set(parsing);
    }

    /// Why the session is over, or is to be.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.ending().map(Ending::reason)
    }

    /// How the session is over, or is to be.
    pub fn ending(&self) -> Option<&'static Ending> {
        self.ending.get().copied()
    }

    pub(crate) fn set_closed(&self, ending: &'static Ending) -> &'static Ending {
        self.open.store(false, Ordering::Release);
        self.ending.get_or_init(|| ending)
    }
}

/// Whether its client would take it for several, were it polled: what the default parser writes is JSON, which
/// escapes the separator, but any other may write what it likes.
fn splits(packet: &Packet) -> bool {
    packet.text().contains(&(payload::SEPARATOR as u8))
}

/// Puts an entry's WebSocket form into the cork, as it is without compression.
fn encode_as(form: Form, entry: &Entry, cork: &mut Cork) {
    match form {
        Form::Plain => entry.encode_plain(cork),
        form => entry.encode_frames(form, cork),
    }
}

/// How packets are written over a websocket, and, in revision 3, in payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Form {
    /// As the protocol has it.
    Native,
    /// Binary as base64: the client cannot take binary messages.
    Base64,
    /// Without Engine.IO and Socket.IO: see [`sockeye_socketio::plain`].
    Plain,
    /// As revision 3 of Engine.IO has it.
    V3,
    /// The same, with binary as base64.
    V3Base64,
}

impl Form {
    /// By their numbers.
    const ALL: [Self; 5] = [Self::Native, Self::Base64, Self::Plain, Self::V3, Self::V3Base64];

    /// That of a client that speaks this revision, and cannot take binary if `base64`.
    pub(crate) fn new(revision: Revision, base64: bool) -> Self {
        match (revision, base64) {
            (Revision::V4, false) => Self::Native,
            (Revision::V4, true) => Self::Base64,
            (Revision::V3, false) => Self::V3,
            (Revision::V3, true) => Self::V3Base64,
        }
    }

    pub(crate) const fn revision(self) -> Revision {
        match self {
            Self::V3 | Self::V3Base64 => Revision::V3,
            Self::Native | Self::Base64 | Self::Plain => Revision::V4,
        }
    }
}

impl Wired for Shared {
    fn writer(&self) -> &SharedWriter {
        &self.writer
    }

    fn flush(&self, cork: &mut Box<Cork>) {
        sockeye_net::flush(&self.outbox, &self.writer, cork, |entry, cork| {
            self.encode_frames(&entry, cork)
        });
    }

    fn wake(&self) {
        self.outbox.wake();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("sid", &self.sid).field("outbox", &self.outbox).finish()
    }
}
