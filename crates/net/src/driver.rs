//! The connection driver: one hand-written future that is all there is of a connection.
//!
//! Above it stands a [`Protocol`], below it the sans-IO [`Connection`](websocket::Connection) and
//! the byte stream. Each wake-up goes through the same phases:
//!
//! ```text
//!     commands   the protocol's own work, what others notified it of, timeouts
//!     read       kernel → the thread's buffer → websocket → the protocol (dispatch), within a budget
//!     write      replies and the outbox → the cork → kernel
//!     park       wakers stand in the stream, the outbox and the timer wheel
//! ```
//!
//! # Invariants
//!
//! * All state is in the struct, none in a suspended stack: the future may be dropped anywhere.
//! * An idle connection holds no buffer; [`Scratch`] belongs to the thread.
//! * Nothing is lost in between: bytes that arrived behind the handshake, or that a budget or a
//!   stalled protocol left over, are `unread` and judged before anything newer.
//! * [`Protocol::closed`] is called exactly once, also when the future is dropped.

use std::io;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use smallvec::SmallVec;
use sockeye_outbox::{BATCH, Entry};
use sockeye_websocket::deflate::Inflater;
use sockeye_websocket::{self as websocket, Event, Role};

use crate::budget::Budget;
use crate::clock;
use crate::cork::{Cork, FULL};
use crate::io::{Input, Io, Sink};
use crate::jam::{self, Jam};
use crate::masks;
use crate::phase::{Farewell, Phase};
use crate::protocol::{Cause, Close, Intake, Message, Protocol};
use crate::scratch::Scratch;
use crate::wheel::{Rounding, Timer, reached};
use crate::wire::{self, WakeUp, Wired, Writer};

/// Reads in one wake-up, and so at most a megabyte, before other connections get their turn.
const READS: u32 = 16;

/// How long a stalled protocol's connection waits before it looks for a hang-up again.
const HANG_UP_CHECK: u64 = 1_000;

/// How long a peer's close or fault waits for the answers to what the peer said before it. A guess: long
/// for whoever answers from memory or from a database next door, short for who waits for the close.
const ANSWERS: u64 = 1_000;

/// How long the last bytes may take to reach a peer that we refuse or that closed, before the
/// socket goes away under them.
const LINGER: u64 = 2_000;

/// The write side.
enum Output {
    /// This driver's alone.
    Own(Box<Writer>),
    /// Others may write, too.
    Shared(Arc<dyn Wired>),
}

/// The future that drives one connection to its end.
pub struct Driver<P: Protocol> {
    phase: Phase,
    input: Input,
    websocket: websocket::Connection,
    protocol: P,
    /// Input that was read, and from where on it is not judged yet. Boxed, because it is hardly ever there.
    unread: Option<Box<(Box<[u8]>, usize)>>,
    /// Taken only while it is written to.
    output: Option<Output>,
    role: Role,
    /// There while the peer has caused more than it takes.
    jam: Option<Box<Jam>>,
    /// The last write blocked.
    blocked: bool,
    /// The outbox was found sealed.
    sealed: bool,
    /// The peer has ended its side.
    ended: bool,
    /// When patience with the present phase ends.
    deadline: u64,
    timer: Timer,
    started: bool,
    reported: bool,
}

/// Why a wake-up's work stopped.
enum Stop {
    /// All is done that can be: park.
    Idle,
    /// The budget is used up: come back soon.
    Again,
    /// The connection is over.
    Done,
    /// The stream failed; the protocol does not know yet.
    Failed(io::Error),
}

impl<P: Protocol> Driver<P> {
    /// Drives `protocol` over `io`, on which the opening handshake has just been completed.
    ///
    /// `leftover` is what the peer sent behind its part of it.
    pub fn new(io: Io, leftover: &[u8], protocol: P) -> Self {
        Self::with(protocol.websocket(), io, leftover, protocol)
    }

    /// Drives on a protocol that was [opened](Protocol::opened) elsewhere, over a connection whose
    /// first frames were judged elsewhere; `leftover` is what came behind those.
    pub fn resume(websocket: websocket::Connection, io: Io, leftover: &[u8], protocol: P) -> Self {
        let mut driver = Self::with(websocket, io, leftover, protocol);
        driver.started = true;
        driver
    }

    fn with(websocket: websocket::Connection, io: Io, leftover: &[u8], protocol: P) -> Self {
        let (input, half) = io.split();
        let role = websocket.role();
        let output = match protocol.wired() {
            Some(wired) => {
                wire::lock(wired.writer()).half = half;
                Output::Shared(wired)
            }
            None => Output::Own(Box::new(Writer { half, ..Writer::default() })),
        };
        Self {
            phase: Phase::Open,
            input,
            websocket,
            protocol,
            unread: (!leftover.is_empty()).then(|| Box::new((leftover.into(), 0))),
            output: Some(output),
            role,
            jam: None,
            blocked: false,
            sealed: false,
            ended: false,
            deadline: u64::MAX,
            timer: Timer::new(),
            started: false,
            reported: false,
        }
    }

    /// The protocol that is driven.
    pub(crate) fn protocol_mut(&mut self) -> &mut P {
        &mut self.protocol
    }

    fn drive(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Stop {
        let Scratch { receive, cork, inflater } = scratch;
        let now = clock::now();
        if let ControlFlow::Break(()) = self.commands(now, cx) {
            return Stop::Done;
        }
        self.answer_farewell(now);
        let read = self.read(now, cx, receive, cork, inflater);
        if matches!(read, Stop::Done) {
            return Stop::Done;
        }
        let was_stalled = self.is_stalled();
        let flow = self.protocol.dispatch(now, cx);
        self.follow(now, flow);
        let mut output = self.output.take();
        let wrote = match &mut output {
            Some(Output::Own(writer)) => self.write(now, cx, cork, writer),
            Some(Output::Shared(wired)) => {
                self.write(now, cx, cork, &mut wire::lock(wired.writer()))
            }
            None => Stop::Done,
        };
        self.output = output;
        match (read, wrote) {
            (_, Stop::Done) => Stop::Done,
            (_, Stop::Failed(error)) => self.lost(now, Some(error)),
            (Stop::Again, _) | (_, Stop::Again) => Stop::Again,
            // Reading stopped before the stream had nothing more, so nothing would wake us.
            _ if was_stalled && !self.is_stalled() => Stop::Again,
            // Behind whoever was woken for the last messages.
            _ if self.is_parting() && !self.protocol.is_answering() => Stop::Again,
            _ => self.park(cx),
        }
    }

    /// The protocol's own work and everything whose time has come.
    fn commands(&mut self, now: u64, cx: &mut Context<'_>) -> ControlFlow<()> {
        if self.phase == Phase::Open {
            if !self.started {
                self.started = true;
                let flow = self.protocol.opened(now, cx);
                self.follow(now, flow);
            }
            if self.phase == Phase::Open {
                let flow = self.protocol.work(now, cx);
                self.follow(now, flow);
            }
            if self.sealed {
                self.follow(now, ControlFlow::Break(Close::default()));
            }
        }
        if self.phase == Phase::Open
            && let Some(due) = self.protocol.poll_timeout()
            && reached(now, due)
        {
            let flow = self.protocol.handle_timeout(now.max(due));
            self.follow(now, flow);
            self.protocol.outbox().trim();
        }
        if self.phase != Phase::Open && !self.is_parting() && reached(now, self.deadline) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn read(
        &mut self,
        now: u64,
        cx: &mut Context<'_>,
        receive: &mut [u8],
        cork: &mut Cork,
        inflater: &mut Inflater,
    ) -> Stop {
        let mut budget = Budget::new();
        for _ in 0..READS {
            if self.ended || self.is_parting() {
                return Stop::Idle;
            }
            if self.is_stalled() {
                if self.input.is_hung_up(cx) {
                    self.peer_ended(now);
                }
                return Stop::Idle;
            }
            if cork.len() >= FULL {
                // What is there so far is written first.
                return Stop::Again;
            }
            if let Some(mut unread) = self.unread.take() {
                let (bytes, judged) = &mut *unread;
                let rest = &mut bytes[*judged..];
                *judged += self.judge(now, cx, rest, cork, inflater, &mut budget);
                if *judged < bytes.len() && !self.ended {
                    self.unread = Some(unread);
                }
                if budget.is_spent() {
                    return Stop::Again;
                }
                continue;
            }
            match self.input.poll_read(cx, receive) {
                Poll::Pending => return Stop::Idle,
                Poll::Ready(Ok(0)) => self.peer_ended(now),
                Poll::Ready(Err(error)) => return self.lost(now, Some(error)),
                Poll::Ready(Ok(count)) => {
                    self.protocol.heard(now);
                    if self.phase.is_deaf() {
                        continue;
                    }
                    let input = &mut receive[..count];
                    let judged = self.judge(now, cx, input, cork, inflater, &mut budget);
                    if judged < count {
                        self.unread = Some(Box::new((input[judged..].into(), 0)));
                    }
                    if budget.is_spent() {
                        return Stop::Again;
                    }
                }
            }
        }
        Stop::Again
    }

    /// Takes input through the WebSocket to the protocol, and says how much: all, unless the
    /// protocol or the budget had enough.
    fn judge(
        &mut self,
        now: u64,
        cx: &mut Context<'_>,
        input: &mut [u8],
        cork: &mut Cork,
        inflater: &mut Inflater,
        budget: &mut Budget,
    ) -> usize {
        let whole = input.len();
        let limits = self.protocol.limits().clone();
        let mut events = self.websocket.receive(&limits, inflater, input);
        budget.begin();
        let flow = loop {
            budget.frames(events.frames());
            if budget.is_spent() {
                break ControlFlow::Continue(());
            }
            let message = match events.next() {
                None => {
                    budget.frames(events.frames());
                    return whole;
                }
                Some(Ok(Event::Text(text))) => Message::Text(text),
                Some(Ok(Event::Binary(bytes))) => Message::Binary(bytes),
                Some(Ok(Event::Ping(payload))) => {
                    jam::pong(&mut self.jam, payload, self.role, self.blocked, cork);
                    continue;
                }
                Some(Ok(Event::Pong(_))) => continue,
                Some(Ok(Event::Close(status))) => {
                    let status = status.map(|(code, reason)| (code, reason.into()));
                    drop(events);
                    self.part(now, Farewell::Closed(status), cork);
                    return whole;
                }
                Some(Err(error)) => {
                    drop(events);
                    self.part(now, Farewell::Misbehaved(error), cork);
                    return whole;
                }
            };
            if self.phase != Phase::Open {
                continue;
            }
            budget.message(&message);
            let before = cork.len();
            let flow = self.protocol.receive(now, message, cork, cx);
            if self.blocked && cork.len() > before {
                self.jam.get_or_insert_default().replies.bytes += cork.len() - before;
            }
            if flow.is_break() || cork.len() >= FULL || self.protocol.intake() == Intake::Stalled {
                break flow;
            }
        };
        let consumed = events.consumed();
        drop(events);
        self.follow(now, flow);
        consumed
    }

    fn write(
        &mut self,
        now: u64,
        cx: &mut Context<'_>,
        cork: &mut Box<Cork>,
        writer: &mut Writer,
    ) -> Stop {
        if let Some(mut unwritten) = writer.unwritten.take() {
            unwritten.append(cork);
            *cork = unwritten;
        }
        if let Some(jam) = &mut self.jam {
            jam.join(self.role, cork);
        }
        let mut unreleased = std::mem::take(&mut cork.counted);
        let mut notified = false;
        let mut released = 0;
        let mut batch: SmallVec<[P::Entry; BATCH]> = SmallVec::new();
        loop {
            let mut last = false;
            while cork.len() < FULL {
                let outbox = self.protocol.outbox();
                let taken = outbox.poll_take(cx, released, FULL - cork.len(), &mut batch);
                released = 0;
                notified |= taken.notified;
                last = taken.last;
                if batch.is_empty() {
                    break;
                }
                // Drained where it is: to iterate over it by value would be to copy it whole.
                for entry in batch.drain(..) {
                    unreleased += entry.bytes();
                    self.protocol.encode(entry, cork);
                }
            }
            match &self.phase {
                Phase::Draining(close) if last => {
                    let limits = self.protocol.limits().clone();
                    let status = close.status.as_ref().map(|(code, reason)| (*code, &**reason));
                    let mask = masks::fresh_for(self.role);
                    self.websocket.close(now, &limits, status, mask, cork.buffer());
                    self.phase = Phase::Closing;
                    self.deadline = now.saturating_add(limits.close_timeout);
                }
                Phase::Answering if last => {
                    self.websocket.reply_close(masks::fresh_for(self.role), cork.buffer());
                    self.phase = Phase::Lingering;
                    self.deadline = now + LINGER;
                }
                // Sealed by another thread. The protocol is asked how to end at the next wake-up, so
                // that no code of others runs under the writer's lock.
                Phase::Open if last => {
                    self.sealed = true;
                    notified = true;
                }
                _ => {}
            }
            if cork.is_done() {
                if unreleased > 0 {
                    // Of entries that have no form on the wire.
                    self.protocol.outbox().release(unreleased);
                }
                break;
            }
            let written = match &mut writer.half {
                Some(half) => cork.poll_write(cx, half),
                None => cork.poll_write(cx, &mut self.input),
            };
            match written {
                Poll::Ready(Ok(())) => released = std::mem::take(&mut unreleased),
                Poll::Ready(Err(error)) => return Stop::Failed(error),
                Poll::Pending => {
                    self.blocked = true;
                    cork.settle();
                    if let Some(jam) = &mut self.jam {
                        jam.replies.settle(cork);
                        jam.pongs.settle(cork);
                    }
                    // What is left of the cork is all that still counts.
                    released = unreleased.saturating_sub(cork.len());
                    cork.counted = unreleased - released;
                    writer.unwritten = Some(std::mem::take(cork));
                    let taken = self.protocol.outbox().park_blocked(cx, released);
                    if taken.last && self.phase == Phase::Open && !self.sealed {
                        self.sealed = true;
                        return Stop::Again;
                    }
                    return if notified | taken.notified { Stop::Again } else { Stop::Idle };
                }
            }
        }
        self.blocked = false;
        if let Some(jam) = self.jam.take()
            && jam.ping.is_some()
        {
            // It came too late for this write, and there is room now.
            self.jam = Some(Box::new(Jam { ping: jam.ping, ..Jam::default() }));
            notified = true;
        }
        if self.ended {
            return Stop::Done;
        }
        if self.phase == Phase::Lingering {
            // Not awaited: a socket's shutdown is done at once, and another stream's is a courtesy.
            let _ = match &mut writer.half {
                Some(half) => half.poll_shutdown(cx),
                None => self.input.poll_shutdown(cx),
            };
            self.phase = Phase::Shut;
        }
        if notified { Stop::Again } else { Stop::Idle }
    }

    /// Arms the one timer for whatever comes first.
    fn park(&mut self, cx: &mut Context<'_>) -> Stop {
        let mut due = self.deadline;
        if self.phase == Phase::Open {
            due = due.min(self.protocol.poll_timeout().unwrap_or(u64::MAX));
        }
        if self.is_stalled() {
            due = due.min(clock::now() + HANG_UP_CHECK);
        }
        if due == u64::MAX {
            self.timer.cancel();
            return Stop::Idle;
        }
        match self.timer.poll(cx, due, Rounding::Down) {
            Poll::Ready(()) => Stop::Again,
            Poll::Pending => Stop::Idle,
        }
    }

    /// Does what the protocol answered.
    fn follow(&mut self, now: u64, flow: ControlFlow<Close>) {
        if let ControlFlow::Break(close) = flow
            && self.phase == Phase::Open
        {
            self.protocol.outbox().seal();
            self.phase = Phase::Draining(Box::new(close));
            self.deadline = now.saturating_add(self.protocol.limits().close_timeout);
            self.report(now, None);
        }
    }

    /// Whether nothing more is to be read for now: the protocol has enough, or the peer does not
    /// take the replies to its own messages.
    fn is_stalled(&self) -> bool {
        self.phase == Phase::Open && (self.protocol.intake() == Intake::Stalled || self.is_jammed())
    }

    fn is_jammed(&self) -> bool {
        self.blocked && self.jam.as_ref().is_some_and(|jam| jam.replies.bytes >= FULL)
    }

    /// The peer will say nothing more; what it has said may still have an answer, for which it may
    /// still be there.
    fn peer_ended(&mut self, now: u64) {
        self.ended = true;
        self.unread = None;
        if self.phase == Phase::Open {
            self.end(now, Cause::Lost(None));
        }
    }

    /// The peer ended it.
    fn part(&mut self, now: u64, farewell: Farewell, cork: &mut Cork) {
        if self.phase == Phase::Open {
            self.phase = Phase::Parting(Box::new(farewell));
            self.deadline = now + ANSWERS;
            self.unread = None;
        } else {
            self.websocket.reply_close(masks::fresh_for(self.role), cork.buffer());
            self.end(now, farewell.into());
        }
    }

    const fn is_parting(&self) -> bool {
        matches!(self.phase, Phase::Parting(_))
    }

    /// The end of [`Phase::Parting`], at the earliest in the wake-up behind its beginning.
    fn answer_farewell(&mut self, now: u64) {
        if !self.is_parting() || (self.protocol.is_answering() && !reached(now, self.deadline)) {
            return;
        }
        if let Phase::Parting(farewell) = std::mem::replace(&mut self.phase, Phase::Answering) {
            self.deadline = now + LINGER;
            self.protocol.outbox().seal();
            self.report(now, Some((*farewell).into()));
        }
    }

    /// Nothing more is to be said but what is in the cork.
    fn end(&mut self, now: u64, cause: Cause) {
        self.phase = Phase::Lingering;
        self.deadline = now + LINGER;
        self.unread = None;
        self.protocol.outbox().close();
        self.report(now, Some(cause));
    }

    fn lost(&mut self, now: u64, error: Option<io::Error>) -> Stop {
        self.report(now, Some(Cause::Lost(error)));
        Stop::Done
    }

    fn report(&mut self, now: u64, cause: Option<Cause>) {
        if !self.reported {
            self.reported = true;
            self.protocol.closed(now, cause);
        }
    }
}

impl<P: Protocol> Future for Driver<P> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let wake_up = WakeUp::begin(match &this.output {
            Some(Output::Shared(wired)) => Some(wired),
            Some(Output::Own(_)) | None => None,
        });
        let mut scratch = Scratch::take();
        let stop = this.drive(cx, &mut scratch);
        if matches!(stop, Stop::Done) {
            *scratch.cork = Cork::default();
        }
        wake_up.end(&mut scratch.cork);
        scratch.put_back();
        match stop {
            Stop::Idle => Poll::Pending,
            Stop::Again => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Stop::Done | Stop::Failed(_) => Poll::Ready(()),
        }
    }
}

impl<P: Protocol> Drop for Driver<P> {
    fn drop(&mut self) {
        self.protocol.outbox().close();
        if let Some(Output::Shared(wired)) = &self.output {
            // Whoever holds the connection's shared part longer must not hold its socket open.
            let written_half = std::mem::take(&mut *wire::lock(wired.writer()));
            drop(written_half);
        }
        self.report(clock::now(), Some(Cause::Lost(None)));
        self.protocol.gone(self.websocket.is_closed_cleanly());
    }
}

impl<P: Protocol> std::fmt::Debug for Driver<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("phase", &self.phase).field("input", &self.input).finish()
    }
}
