//! What the handles of one WebSocket and its driver share: the outbox one way, the inbox the other,
//! and how it ends.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::VecDeque;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use sockeye_outbox::{Entry, Outbox};
use sockeye_websocket::head::Head;
use sockeye_websocket::{CloseCode, OpCode, Role, frame};

use super::ending::{Ending, Why};
use super::message::Message;
use super::options::Options;
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

/// What waits to be written.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Message(Message),
    Ping(Bytes),
}

impl Outgoing {
    fn parts(&self) -> (OpCode, &[u8]) {
        match self {
            Self::Message(Message::Text(text)) => (OpCode::Text, text.as_bytes()),
            Self::Message(Message::Binary(bytes)) => (OpCode::Binary, bytes),
            Self::Ping(payload) => (OpCode::Ping, payload),
        }
    }
}

impl Entry for Outgoing {
    fn bytes(&self) -> usize {
        self.parts().1.len() + frame_head(self.parts().1.len())
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
    /// When the last message came or went, in [`BUSY_UNIT`]s; kept for an idle timeout.
    busy: AtomicU32,
    pub(crate) options: Arc<Options>,
    pub(crate) role: Role,
    peer: Peer,
    /// Its place among [`Options::subprotocols`], counted from one.
    subprotocol: Option<NonZeroU16>,
}

/// A peer's address. Most have the short kind, and it stands in every connection.
enum Peer {
    Unknown,
    V4(SocketAddrV4),
    V6(Box<SocketAddrV6>),
}

#[derive(Default)]
struct State {
    inbox: Option<Inbox>,
    /// What is in the inbox, in [`UNIT`]s.
    unread: u32,
    /// The driver waits for room in the inbox.
    stalled: bool,
    /// The close that a handle asked for and the driver has not begun.
    asked: bool,
    /// Nothing more will be received.
    why: Option<Box<Why>>,
    /// Set when the stream was given up, with whether it ended cleanly.
    gone: Option<bool>,
    /// Who waits for a message.
    reader: Option<Waker>,
    /// Who waits for the end. Boxed, because hardly anybody does.
    #[expect(clippy::box_collection, reason = "a vector is 24 bytes in every connection")]
    mourners: Option<Box<Vec<Waker>>>,
}

impl Shared {
    pub(crate) fn new(
        role: Role,
        options: Arc<Options>,
        peer: Option<SocketAddr>,
        subprotocol: Option<NonZeroU16>,
    ) -> Self {
        let peer = match peer {
            None => Peer::Unknown,
            Some(SocketAddr::V4(peer)) => Peer::V4(peer),
            Some(SocketAddr::V6(peer)) => Peer::V6(Box::new(peer)),
        };
        Self {
            outbox: Outbox::new(options.max_buffered_bytes),
            writer: SharedWriter::default(),
            state: Mutex::default(),
            busy: AtomicU32::new(0),
            options,
            role,
            peer,
            subprotocol,
        }
    }

    pub(crate) const fn outbox(&self) -> &Outbox<Outgoing> {
        &self.outbox
    }

    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match &self.peer {
            Peer::Unknown => None,
            Peer::V4(peer) => Some((*peer).into()),
            Peer::V6(peer) => Some((**peer).into()),
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
        self.busy.store(u32::try_from(now / BUSY_UNIT).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// A message arrived.
    pub(crate) fn deliver(&self, message: Message) {
        let mut state = self.state();
        state.unread = state.unread.saturating_add(units(&message));
        state.inbox.get_or_insert_with(|| QUEUE.take().unwrap_or_default()).push_back(message);
        state.stalled = state.unread as usize >= self.options.max_unread_bytes / UNIT;
    }

    /// Whether the inbox has room.
    pub(crate) fn intake(&self) -> Intake {
        if self.state().stalled { Intake::Stalled } else { Intake::Open }
    }

    /// Wakes who waits for a message, if there is one; not if that is the caller, who is awake.
    pub(crate) fn wake_reader(&self, cx: &Context<'_>) {
        let reader = {
            let mut state = self.state();
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
            return Poll::Pending;
        };
        state.unread = state.unread.saturating_sub(units(&message));
        let resumed = state.unread as usize <= self.options.max_unread_bytes / UNIT / 2
            && std::mem::take(&mut state.stalled);
        let emptied = state.inbox.take_if(|inbox| inbox.is_empty());
        drop(state);
        if emptied.as_ref().is_some_and(|inbox| inbox.capacity() <= KEEP) {
            QUEUE.set(emptied);
        }
        if resumed {
            self.outbox.notify();
        }
        Poll::Ready(Some(message))
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
        if given_up {
            // It would take what is queued no more than it has so far.
            self.outbox.close();
        }
        self.outbox.notify();
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
        let reader = {
            let mut state = self.state();
            state.why.get_or_insert_with(|| Box::new(why));
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
        mourners.into_iter().flat_map(|mourners| *mourners).for_each(Waker::wake);
    }

    /// How it ended, once the stream is given up.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<Ending> {
        let mut state = self.state();
        if let Some(clean) = state.gone {
            let why = state.why.as_deref().cloned().unwrap_or(Why::Lost(None));
            return Poll::Ready(Ending { why, clean });
        }
        let mourners = state.mourners.get_or_insert_default();
        if !mourners.iter().any(|waker| waker.will_wake(cx.waker())) {
            mourners.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Whether nothing more can be sent.
    pub(crate) fn is_closing(&self) -> bool {
        self.state().why.is_some()
    }

    /// An entry's frame.
    pub(crate) fn encode(&self, entry: &Outgoing, cork: &mut Cork) {
        let (opcode, payload) = entry.parts();
        if self.role == Role::Client {
            frame::append_masked(cork.buffer(), opcode, payload, masks::fresh());
        } else if let (Outgoing::Message(message), SHARE_FROM..) = (entry, payload.len()) {
            Head::new(opcode, payload.len() as u64).encode(cork.buffer());
            cork.put(&message.clone().into_bytes(), 0);
        } else {
            frame::append(cork.buffer(), opcode, payload);
        }
    }
}

impl Wired for Shared {
    fn writer(&self) -> &SharedWriter {
        &self.writer
    }

    fn flush(&self, cork: &mut Box<Cork>) {
        wire::flush(&self.outbox, &self.writer, cork, |entry, cork| self.encode(&entry, cork));
    }

    fn wake(&self) {
        self.outbox.wake();
    }
}
