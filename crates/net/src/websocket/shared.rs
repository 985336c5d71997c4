//! What the handles of one WebSocket and its driver share: the outbox one way, the inbox the other,
//! and how it ends.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::VecDeque;
use std::net::{SocketAddr, SocketAddrV4};
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use sockeye_outbox::{Entry, Outbox, Waiters};
use sockeye_websocket::deflate::{Compressor, Grant, Params, WindowBits};
use sockeye_websocket::head::Head;
use sockeye_websocket::{CloseCode, OpCode, Role, frame};

use super::ending::{Ending, Why};
use super::message::Message;
use super::options::Options;
use super::prepared::{self, Prepared};
use crate::clock;
use crate::cork::{Cork, SHARE_FROM};
use crate::masks;
use crate::protocol::{Close, Intake};
use crate::wire::{self, SharedWriter, Wired};

/// The inbox is counted in units of so many bytes, at least one for each message, so that empty ones
/// count, too.
const UNIT: usize = 64;

/// Milliseconds, so that eight years fit in four bytes.
const BUSY_UNIT: u64 = 64;

fn units(message: &Message) -> u32 {
    u32::try_from(message.len() / UNIT + 1).unwrap_or(u32::MAX)
}

/// A longer queue is not kept for the thread's next connection.
const KEEP: usize = 1024;

/// Received messages that wait to be taken. Boxed, because most connections have none.
type Inbox = Box<VecDeque<Message>>;

thread_local! {
    /// An empty queue with room in it, for the next connection of this thread that needs one: an
    /// idle connection has none, and a busy one allocates none.
    static QUEUE: Cell<Option<Inbox>> = const { Cell::new(None) };
}

/// Keeps an empty queue for the thread's next connection.
fn keep(inbox: Inbox) {
    if inbox.capacity() <= KEEP {
        QUEUE.set(Some(inbox));
    }
}

/// How much fits into an inbox, in [`UNIT`]s.
fn room(options: &Options) -> u32 {
    u32::try_from(options.max_unread_bytes / UNIT).unwrap_or(u32::MAX)
}

/// What the driver has received in the present wake-up: it gets into the inbox at once, under one lock.
pub(crate) struct Received {
    messages: Option<Inbox>,
    /// What the inbox has room for besides these, in [`UNIT`]s, unless somebody takes from it meanwhile.
    room: u32,
    /// There was no room when it was last looked for.
    stalled: bool,
}

impl Received {
    pub(crate) fn new(options: &Options) -> Self {
        Self { messages: None, room: room(options), stalled: false }
    }

    pub(crate) fn push(&mut self, message: Message) {
        self.room = self.room.saturating_sub(units(&message));
        self.stalled = self.room == 0;
        self.messages.get_or_insert_with(|| QUEUE.take().unwrap_or_default()).push_back(message);
    }

    /// Whether the inbox has room, as far as is known.
    pub(crate) const fn intake(&self) -> Intake {
        if self.stalled { Intake::Stalled } else { Intake::Open }
    }
}

/// What waits to be written.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Message(Message),
    Prepared(Prepared),
    Ping,
}

impl Outgoing {
    /// The message, where it could not be sent.
    pub(crate) fn into_message(self) -> Message {
        match self {
            Self::Message(message) => message,
            Self::Prepared(prepared) => prepared.message().clone(),
            Self::Ping => Message::Binary(Bytes::new()),
        }
    }
}

impl Entry for Outgoing {
    fn bytes(&self) -> usize {
        let payload = match self {
            Self::Message(message) => message.len(),
            Self::Prepared(prepared) => prepared.message().len(),
            Self::Ping => 0,
        };
        payload + frame_head(payload)
    }
}

/// The length of a server's frame head.
const fn frame_head(payload: usize) -> usize {
    match payload {
        0..=125 => 2,
        126..=0xFFFF => 4,
        _ => 10,
    }
}

/// The common part of a WebSocket's handles and its driver.
pub(crate) struct Shared {
    outbox: Outbox<Outgoing>,
    writer: SharedWriter,
    state: Mutex<State>,
    /// When the last message came or went, in [`BUSY_UNIT`]s, rounded up; kept for an idle timeout.
    busy: AtomicU32,
    pub(crate) options: Arc<Options>,
    pub(crate) role: Role,
    details: Details,
    /// The bits of the window that this end compresses with; 0 if no compression was agreed on.
    window_bits: u8,
    /// Its place among [`Options::subprotocols`], counted from one.
    subprotocol: Option<NonZeroU16>,
}

/// What most connections have no more of than a short address. It stands in every one.
enum Details {
    V4(SocketAddrV4),
    Rare(Box<Rare>),
}

struct Rare {
    peer: Option<SocketAddr>,
    takeover: Option<Takeover>,
}

/// Context takeover: what this end compresses with, and the memory that the connection was granted
/// for both of its contexts.
pub(crate) struct Takeover {
    pub(crate) compressor: Option<Mutex<Compressor>>,
    pub(crate) _grant: Grant,
}

/// What the opening handshake has agreed on.
#[derive(Default)]
pub(crate) struct Agreed {
    pub(crate) peer: Option<SocketAddr>,
    /// Its place among [`Options::subprotocols`], counted from one.
    pub(crate) subprotocol: Option<NonZeroU16>,
    pub(crate) deflate: Option<Params>,
    /// The memory for context takeover, if that was agreed on.
    pub(crate) grant: Option<Grant>,
}

#[derive(Default)]
struct State {
    inbox: Option<Inbox>,
    /// What is in the inbox, in [`UNIT`]s.
    unread: u32,
    /// The driver waits for room in the inbox.
    stalled: bool,
    reading: Reading,
    /// The close that a handle asked for and the driver has not begun.
    asked: bool,
    /// Nothing more will be received.
    why: Option<Box<Why>>,
    /// Set when the stream was given up, with whether it ended cleanly.
    gone: Option<bool>,
    /// Who waits for a message.
    reader: Option<Waker>,
    /// Who waits for the end. Boxed, because hardly anybody does.
    mourners: Option<Box<Waiters>>,
}

/// What became of the messages that left the inbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reading {
    /// Whoever took them has asked for more: they are dealt with.
    #[default]
    Done,
    /// Somebody deals with one.
    Busy,
    /// The driver waits for the reader to be done.
    Awaited,
}

impl Shared {
    pub(crate) fn new(role: Role, options: Arc<Options>, agreed: Agreed) -> Self {
        let Agreed { peer, subprotocol, deflate, grant } = agreed;
        let own = deflate.map(|params| params.of(role));
        let takeover = grant.map(|grant| Takeover {
            compressor: own.filter(|own| own.takeover).map(|own| {
                Mutex::new(Compressor::new(own.window, &options.compression().compression))
            }),
            _grant: grant,
        });
        let details = match (peer, takeover) {
            (Some(SocketAddr::V4(peer)), None) => Details::V4(peer),
            (peer, takeover) => Details::Rare(Box::new(Rare { peer, takeover })),
        };
        Self {
            outbox: Outbox::new(options.max_buffered_bytes),
            writer: SharedWriter::default(),
            state: Mutex::default(),
            busy: AtomicU32::new(0),
            options,
            role,
            details,
            window_bits: own.map_or(0, |own| own.window.get()),
            subprotocol,
        }
    }

    pub(crate) const fn outbox(&self) -> &Outbox<Outgoing> {
        &self.outbox
    }

    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match &self.details {
            Details::V4(peer) => Some((*peer).into()),
            Details::Rare(rare) => rare.peer,
        }
    }

    pub(crate) fn subprotocol(&self) -> Option<&str> {
        let place = usize::from(self.subprotocol?.get());
        self.options.subprotocols.get(place - 1).map(String::as_str)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn busy(&self) -> u64 {
        u64::from(self.busy.load(Ordering::Relaxed)) * BUSY_UNIT
    }

    pub(crate) fn set_busy(&self, now: u64) {
        self.busy.store(u32::try_from(now / BUSY_UNIT + 1).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// Puts what was received into the inbox.
    pub(crate) fn deliver(&self, received: &mut Received) {
        self.put_in(&mut self.state(), received);
    }

    fn put_in(&self, state: &mut State, received: &mut Received) {
        if let Some(mut messages) = received.messages.take() {
            let units = messages.iter().map(units).fold(0, u32::saturating_add);
            state.unread = state.unread.saturating_add(units);
            state.stalled = state.unread >= room(&self.options);
            match &mut state.inbox {
                Some(inbox) => {
                    inbox.append(&mut messages);
                    keep(messages);
                }
                none => *none = Some(messages),
            }
        }
        received.stalled = state.stalled;
        received.room = room(&self.options).saturating_sub(state.unread);
    }

    /// The same, and wakes who waits for a message, if there is one; not if that is the caller, who
    /// is awake.
    pub(crate) fn deliver_and_wake(&self, received: &mut Received, cx: &Context<'_>) {
        let reader = {
            let mut state = self.state();
            self.put_in(&mut state, received);
            if state.inbox.is_none() && state.why.is_none() {
                return;
            }
            state.reader.take_if(|reader| !reader.will_wake(cx.waker()))
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// The next message; `None` after the last.
    pub(crate) fn poll_message(&self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let mut state = self.state();
        let Some(message) = state.inbox.as_mut().and_then(|inbox| inbox.pop_front()) else {
            if state.why.is_some() {
                return Poll::Ready(None);
            }
            match &mut state.reader {
                Some(reader) => reader.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            let was = std::mem::take(&mut state.reading);
            drop(state);
            if was == Reading::Awaited {
                self.outbox.notify();
            }
            return Poll::Pending;
        };
        if state.reading == Reading::Done {
            state.reading = Reading::Busy;
        }
        state.unread = state.unread.saturating_sub(units(&message));
        let resumed = state.unread as usize <= self.options.max_unread_bytes / UNIT / 2
            && std::mem::take(&mut state.stalled);
        let emptied = state.inbox.take_if(|inbox| inbox.is_empty());
        drop(state);
        if let Some(inbox) = emptied {
            keep(inbox);
        }
        if resumed {
            self.outbox.notify();
        }
        Poll::Ready(Some(message))
    }

    /// Whether a reader has something to take or to deal with. The driver is notified when it has not.
    pub(crate) fn is_answering(&self) -> bool {
        let mut state = self.state();
        if state.why.is_some() || (state.inbox.is_none() && state.reading == Reading::Done) {
            return false;
        }
        state.reading = Reading::Awaited;
        true
    }

    /// An entry was queued: hands it to this thread's wake-up, or wakes the driver.
    pub(crate) fn flush_soon(self: &Arc<Self>, was_empty: bool) {
        if self.options.idle_timeout.is_some() {
            self.set_busy(clock::now());
        }
        if was_empty && !wire::flush_later(self) {
            self.outbox.wake();
        }
    }

    /// Begins the end, unless it has begun. The driver closes after all that is queued.
    pub(crate) fn end(&self, why: Why) {
        let given_up = matches!(why, Why::SlowConsumer | Why::PongTimeout);
        let reader = {
            let mut state = self.state();
            if state.why.is_some() {
                return;
            }
            state.why = Some(Box::new(why));
            state.asked = true;
            state.reader.take()
        };
        // Nothing more is let in, and the driver is woken to close.
        if given_up {
            // It would take what is queued no more than it has so far.
            self.outbox.close();
        } else {
            self.outbox.seal();
        }
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// As [`end`](Self::end), when nobody reads any more.
    pub(crate) fn abandon(&self) {
        self.end(if std::thread::panicking() {
            Why::Local(CloseCode::INTERNAL_ERROR, "the handler failed".into())
        } else {
            Why::Local(CloseCode::NORMAL, "".into())
        });
        let unread = {
            let mut state = self.state();
            state.unread = 0;
            state.stalled = false;
            state.inbox.take()
        };
        drop(unread);
    }

    /// The close that the driver has to begin, once.
    pub(crate) fn take_asked(&self) -> Option<Close> {
        let mut state = self.state();
        if !std::mem::take(&mut state.asked) {
            return None;
        }
        let (code, reason) = match state.why.as_deref() {
            Some(Why::Local(code, reason)) => (*code, Cow::from(&**reason).into_owned().into()),
            Some(Why::IdleTimeout) => (CloseCode::NORMAL, "idle for too long".into()),
            Some(Why::PongTimeout) => (CloseCode::GOING_AWAY, "no pong in time".into()),
            Some(Why::SlowConsumer) => (CloseCode::POLICY, "too slow a consumer".into()),
            _ => return Some(Close::default()),
        };
        Some(Close { status: Some((code, reason)) })
    }

    /// The driver's word that the connection ended.
    pub(crate) fn ended(&self, why: Why) {
        self.outbox.seal();
        let reader = {
            let mut state = self.state();
            match state.why.as_deref() {
                // The peer was first: what a handle asked for since was not said any more.
                Some(Why::Local(..)) if matches!(why, Why::Peer(_) | Why::Refused(_)) => {
                    state.why = Some(Box::new(why));
                }
                Some(_) => {}
                None => state.why = Some(Box::new(why)),
            }
            state.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// The driver's last word.
    pub(crate) fn gone(&self, clean: bool) {
        let mourners = {
            let mut state = self.state();
            state.gone = Some(clean);
            state.mourners.take()
        };
        mourners.into_iter().flat_map(|mourners| mourners.into_wakers()).for_each(Waker::wake);
    }

    /// How it ended, once the stream is given up.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<Ending> {
        let mut state = self.state();
        if let Some(clean) = state.gone {
            let why = state.why.as_deref().cloned().unwrap_or(Why::Lost(None));
            return Poll::Ready(Ending { why, clean });
        }
        let asked_again = state.mourners.get_or_insert_default().wait(cx);
        drop(state);
        asked_again.into_iter().for_each(Waker::wake);
        Poll::Pending
    }

    /// Whether nothing more can be sent.
    pub(crate) fn is_closing(&self) -> bool {
        self.state().why.is_some()
    }

    /// An entry's frame.
    pub(crate) fn encode(&self, entry: Outgoing, cork: &mut Cork) {
        match (entry, self.role) {
            (Outgoing::Ping, Role::Server) => frame::append(cork.buffer(), OpCode::Ping, b""),
            (Outgoing::Ping, Role::Client) => {
                frame::append_masked(cork.buffer(), OpCode::Ping, b"", masks::fresh());
            }
            (Outgoing::Prepared(prepared), Role::Server) if self.compressor().is_none() => {
                let compression = &self.options.compression().compression;
                cork.put(&prepared.frame(self.window(), compression), 0);
            }
            (Outgoing::Prepared(prepared), _) => {
                self.encode_message(prepared.message().clone(), cork);
            }
            (Outgoing::Message(message), _) => self.encode_message(message, cork),
        }
    }

    fn encode_message(&self, message: Message, cork: &mut Cork) {
        let (opcode, payload) = (message.opcode(), message.as_bytes());
        let mask = masks::fresh_for(self.role);
        if let Some(window) = self.window()
            && let compression = &self.options.compression().compression
            && payload.len() >= compression.threshold
        {
            let out = cork.buffer();
            if let Some(compressor) = self.compressor() {
                // Entries are encoded one after the other, so nobody waits for it.
                let mut compressor = compressor.lock().unwrap_or_else(PoisonError::into_inner);
                compressor.append(out, opcode, payload, mask);
            } else {
                prepared::with_compressors(|compressors| {
                    compressors.append(out, window, compression, opcode, payload, mask);
                });
            }
            return;
        }
        match mask {
            Some(key) => frame::append_masked(cork.buffer(), opcode, payload, key),
            None if payload.len() >= SHARE_FROM => {
                Head::new(opcode, payload.len() as u64).encode(cork.buffer());
                cork.share(message.into_bytes());
            }
            None => frame::append(cork.buffer(), opcode, payload),
        }
    }

    const fn window(&self) -> Option<WindowBits> {
        WindowBits::new(self.window_bits)
    }

    /// What compresses for this connection alone.
    fn compressor(&self) -> Option<&Mutex<Compressor>> {
        match &self.details {
            Details::V4(_) => None,
            Details::Rare(rare) => rare.takeover.as_ref()?.compressor.as_ref(),
        }
    }
}

impl Wired for Shared {
    fn writer(&self) -> &SharedWriter {
        &self.writer
    }

    fn flush(&self, cork: &mut Box<Cork>) {
        wire::flush(&self.outbox, &self.writer, cork, |entry, cork| self.encode(entry, cork));
    }

    fn wake(&self) {
        self.outbox.wake();
    }
}
