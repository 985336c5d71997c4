//! The driver of a session that polls: the same phases as those of a websocket's
//! [driver](sockeye_net::Driver), with another way in and out.
//!
//! ```text
//!     commands   the session's own work, timeouts
//!     read       bodies of POSTs from the door → the session (dispatch), within a budget
//!     upgrade    the next transport, once all that was posted before it is judged
//!     write      the outbox → a payload → the GET that waits
//!     park       wakers stand in the outbox (the door notifies it), the GET and the timer wheel
//! ```

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::{Context, Poll};

use smallvec::SmallVec;
use sockeye_engineio::payload::{Part, Writer};
use sockeye_engineio::{CloseReason, PacketType};
use sockeye_net::wheel::{Rounding, Timer, reached};
use sockeye_net::{Close, Cork, Driver, Intake, Message, Protocol, Wired, clock, wake_up};
use sockeye_outbox::{BATCH, Entry as _};
use tokio::sync::oneshot;

use crate::door::{NextTransport, Posted, Upgrade};
use crate::ending::Ending;
use crate::entry::Entry;
use crate::fault::Fault;
use crate::handler::Handler;
use crate::reply::Reply;
use crate::session::Session;
use crate::shared::Shared;

/// Packets judged in one wake-up, so that other sessions get their turn.
const PACKETS: u32 = 1024;

/// A payload is not filled further than this; the rest waits for the next poll.
const FULL: usize = 1024 * 1024;

/// How long a session that the server closes waits for a poll to say so (Node's `closeTimeout`).
const CLOSE_WAIT: u64 = 30_000;

/// How the packet of a client begins that closes.
const CLOSE: char = PacketType::Close.as_byte() as char;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// The session is over; what is queued and this last packet wait for a poll, until the deadline.
    Closing(&'static Ending),
}

/// The future that drives one session while it polls.
pub(crate) struct Polling<H: Handler> {
    session: Session<H>,
    shared: Arc<Shared>,
    wired: Arc<dyn Wired>,
    /// The GET that waits.
    poll: Option<oneshot::Sender<Reply>>,
    /// The POST that is being judged.
    posted: Option<Posted>,
    phase: Phase,
    deadline: u64,
    timer: Timer,
    started: bool,
}

/// How polling ends.
pub(crate) enum End {
    /// With the session.
    Over,
    /// With another transport.
    Upgraded(Box<NextTransport>),
}

/// Where writing has come to.
enum Written {
    /// All is said that can be for now.
    Idle,
    /// There is more to do: come back soon.
    Again,
    /// All is said.
    Over,
}

impl<H: Handler> Polling<H> {
    pub(crate) fn new(session: Session<H>) -> Self {
        let shared = session.shared().clone();
        Self {
            session,
            wired: shared.clone(),
            shared,
            poll: None,
            posted: None,
            phase: Phase::Open,
            deadline: u64::MAX,
            timer: Timer::new(),
            started: false,
        }
    }

    /// Goes on over the next transport.
    pub(crate) fn upgrade(mut self, next: NextTransport) -> Driver<Session<H>> {
        let NextTransport { io, websocket, deflating, leftover, base64 } = next;
        self.shared.set_base64(base64);
        self.shared.set_deflating(deflating);
        self.session.upgraded();
        Driver::resume(websocket, io, &leftover, self.session)
    }

    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.poll_end_at(clock::now(), cx)
    }

    /// One wake-up, as if it were that time.
    pub(crate) fn poll_end_at(&mut self, now: u64, cx: &mut Context<'_>) -> Poll<End> {
        let wired = self.wired.clone();
        wake_up(&wired, || self.drive(now, cx))
    }

    fn drive(&mut self, now: u64, cx: &mut Context<'_>) -> Poll<End> {
        self.commands(now, cx);
        let arrivals = self.shared.arrivals();
        self.poll = arrivals.poll.or(self.poll.take());
        self.posted = arrivals.posted.or(self.posted.take());
        if self.phase != Phase::Open {
            self.pass_over_posted();
        }
        let more = self.read(now, cx);
        // A session that is closing has its last words to say, by whatever way there is.
        if !self.shared.outbox().is_closed()
            && let Some(upgrade) = self.shared.upgrade()
        {
            return Poll::Ready(self.end_by_upgrade(upgrade));
        }
        match self.write(now, arrivals.probed, cx) {
            Written::Over => return Poll::Ready(End::Over),
            Written::Again => cx.waker().wake_by_ref(),
            Written::Idle if more => cx.waker().wake_by_ref(),
            Written::Idle => {}
        }
        if matches!(self.phase, Phase::Closing(_)) {
            // Closed from outside, too: nobody waits for the last poll any more.
            let given_up = self.poll.is_none() && self.shared.outbox().is_closed();
            if given_up || reached(now, self.deadline) {
                return Poll::Ready(End::Over);
            }
        }
        self.park(cx);
        Poll::Pending
    }

    /// The session's own work and everything whose time has come.
    fn commands(&mut self, now: u64, cx: &mut Context<'_>) {
        if !std::mem::replace(&mut self.started, true) {
            let flow = self.session.begin(now, cx);
            self.follow(now, flow);
        }
        if self.phase == Phase::Open {
            let flow = self.session.work(now, cx);
            self.follow(now, flow);
        }
        if self.phase == Phase::Open
            && let Some(due) = self.session.poll_timeout()
            && reached(now, due)
        {
            let flow = self.session.handle_timeout(now.max(due));
            self.follow(now, flow);
            self.shared.outbox().trim();
        }
    }

    /// Judges what was posted; whether there is more that can be judged now.
    fn read(&mut self, now: u64, cx: &mut Context<'_>) -> bool {
        for _ in 0..PACKETS {
            if self.phase != Phase::Open || self.session.intake() == Intake::Stalled {
                return false;
            }
            let Some(posted) = &mut self.posted else { return false };
            let Some(packet) = posted.payload.next_packet() else {
                self.drop_posted();
                return false;
            };
            let message = match packet {
                Ok(Part::Text(text)) => Ok(Message::Text(Cow::Borrowed(text))),
                Ok(Part::Binary(bytes)) => Ok(Message::Binary(Cow::Borrowed(bytes))),
                Err(error) => Err(error),
            };
            let flow = match message {
                Ok(message) => self.session.receive(now, message, &mut Cork::default(), cx),
                Err(error) => self.session.refuse(error),
            };
            self.follow(now, flow);
        }
        true
    }

    /// What comes while the session is closing means nothing, but that the client closes, too: then it
    /// waits for no last words.
    fn pass_over_posted(&mut self) {
        if let Some(posted) = &mut self.posted {
            while let Some(packet) = posted.payload.next_packet() {
                if matches!(packet, Ok(Part::Text(text)) if text.starts_with(CLOSE)) {
                    self.shared.outbox().close();
                }
            }
        }
        self.drop_posted();
    }

    /// Answers the POST: it is judged, or nobody listens any more (which Node answers alike).
    fn drop_posted(&mut self) {
        if let Some(posted) = self.posted.take() {
            // In this order: the client may send its next POST as soon as this one is answered.
            self.shared.post_judged();
            drop(posted);
        }
    }

    /// Answers the GET that waits, if there is something to say.
    fn write(&mut self, now: u64, probed: bool, cx: &mut Context<'_>) -> Written {
        let mut again = false;
        loop {
            let aborted = self.poll.as_mut().is_some_and(|poll| poll.poll_closed(cx).is_ready());
            if aborted {
                self.poll = None;
                self.session.sessions().fail(&self.shared, Fault::PollAborted);
                self.follow(now, ControlFlow::Break(Close::default()));
            }
            let outbox = self.shared.outbox();
            let Some(poll) = self.poll.take() else {
                let parked = outbox.park_blocked(cx, 0);
                again |= parked.notified | (parked.last && self.phase == Phase::Open);
                return if again { Written::Again } else { Written::Idle };
            };
            outbox.unblock();
            let mut payload = Writer::new(self.shared.payload_form());
            let (mut counted, mut compressible) = (0, false);
            let (mut last, mut over) = (false, false);
            while payload.len() < FULL && !last {
                let mut batch: SmallVec<[Entry; BATCH]> = SmallVec::new();
                let taken = outbox.poll_take(cx, 0, FULL - payload.len(), &mut batch);
                again |= taken.notified;
                last = taken.last;
                if batch.is_empty() {
                    break;
                }
                for entry in batch {
                    counted += entry.bytes();
                    compressible |= entry.is_compressible();
                    self.shared.count(&entry);
                    self.shared.encode_payload(&entry, &mut payload);
                }
            }
            match self.phase {
                // Sealed by another thread: the session is asked how to end at the next wake-up.
                Phase::Open if last => again = true,
                Phase::Open if payload.is_empty() && probed => {
                    payload.text(&[PacketType::Noop.as_byte()]);
                }
                // In a payload of its own: the official client judges a farewell before the packets that
                // came with it, and would take a `disconnect` from its server for a lost connection.
                // A server that shuts down has no time for another poll, and no such packets.
                Phase::Closing(ending) if last && (payload.is_empty() || self.is_hurried()) => {
                    payload.text(farewell(ending).as_bytes());
                    over = true;
                }
                _ => {}
            }
            if payload.is_empty() {
                // Packets that have no form here.
                outbox.release(counted);
                self.poll = Some(poll);
                return if again { Written::Again } else { Written::Idle };
            }
            // One that was given up meanwhile drops the reply, which ends the session.
            let sessions = self.session.sessions();
            tracing::trace!(
                target: "engine:polling",
                sid = ?self.shared.sid(),
                bytes = payload.len(),
                "a poll is answered"
            );
            let reply = Reply::new(&self.shared, sessions, payload, counted, compressible);
            let _ = poll.send(reply);
            if over {
                return Written::Over;
            }
        }
    }

    fn is_hurried(&self) -> bool {
        self.shared.close_reason() == Some(CloseReason::ServerShuttingDown)
    }

    /// A GET that waits still, which the official client's never does, hears that there is nothing more
    /// to come this way.
    fn end_by_upgrade(&mut self, upgrade: Upgrade) -> End {
        if let Some(poll) = upgrade.poll.or(self.poll.take()) {
            let mut noop = Writer::new(self.shared.payload_form());
            noop.text(&[PacketType::Noop.as_byte()]);
            // Nothing is lost with it, should it have been given up.
            let _ = poll.send(Reply::new(&self.shared, self.session.sessions(), noop, 0, false));
        }
        self.shared.outbox().unblock();
        End::Upgraded(upgrade.next)
    }

    /// Does what the session answered.
    fn follow(&mut self, now: u64, flow: ControlFlow<Close>) {
        if flow.is_continue() || self.phase != Phase::Open {
            return;
        }
        self.drop_posted();
        let ending = self.session.end(now);
        let outbox = self.shared.outbox();
        // Where it is the server that ends, the client is told, with all that was said to it
        // before; where the client is gone or did wrong, only if it happens to listen.
        let waits =
            matches!(ending.reason(), CloseReason::ForcedClose | CloseReason::ServerShuttingDown)
                && !outbox.is_closed();
        if waits {
            outbox.seal();
            self.deadline = now.saturating_add(CLOSE_WAIT);
        } else {
            outbox.close();
            self.deadline = now;
        }
        self.phase = Phase::Closing(ending);
    }

    /// Arms the one timer for whatever comes first.
    fn park(&mut self, cx: &mut Context<'_>) {
        let due = match self.phase {
            Phase::Open => self.session.poll_timeout().unwrap_or(u64::MAX),
            Phase::Closing(_) => self.deadline,
        };
        if due == u64::MAX {
            self.timer.cancel();
        } else if self.timer.poll(cx, due, Rounding::Down).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}

/// The last packet. Clients ignore what a close packet carries, but for those that look for it.
fn farewell(ending: &Ending) -> String {
    let kind = match ending.reason() {
        // The client that said `1` needs no answer to it, only an end of its poll.
        CloseReason::TransportClose => PacketType::Noop,
        _ => PacketType::Close,
    };
    format!("{}{}", char::from(kind.as_byte()), ending.words())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use crate::fixture::{Fixture, next_transport};
    use crate::parsing::Parsing;
    use sockeye_engineio::payload::Payload;
    use sockeye_socketio::{Limits, Malformed, Parser, parser};
    use std::panic::AssertUnwindSafe;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Wake, Waker};

    #[test]
    fn a_noop_that_is_lost_ends_nothing() {
        let mut fixture = Fixture::new();
        let probing = fixture.shared.begin_probe().unwrap();
        fixture.shared.probed();
        let poll = fixture.shared.enter_poll().unwrap();
        assert!(fixture.wake_up().is_none());
        drop(poll);
        // The door is free again, and the session upgrades, whatever becomes of the next poll.
        let poll = fixture.shared.enter_poll().unwrap();
        probing.hand_over(next_transport());
        drop(poll);
        assert!(matches!(fixture.wake_up(), Some(End::Upgraded(_))));
        assert!(fixture.shared.is_open());
        assert_eq!(fixture.sessions.faults()[Fault::PollAborted.index()], 0);
    }

    /// A session that the server closes with something queued, at a time from which its wait is counted.
    fn closing() -> (Fixture, u64) {
        let mut fixture = Fixture::new();
        fixture.push("2[\"last\"]");
        fixture.shared.close(Ending::of(CloseReason::ForcedClose));
        let closed = clock::now();
        assert!(fixture.wake_up_at(closed).is_none());
        // Whoever looks after it hears so at once, and with what reason.
        assert_eq!(fixture.notes.take(), ["forced close"]);
        assert_eq!(fixture.shared.close_reason(), Some(CloseReason::ForcedClose));
        (fixture, closed)
    }

    #[test]
    fn a_poll_comes_just_in_time_to_hear_of_the_end() {
        let (mut fixture, closed) = closing();
        assert!(fixture.wake_up_at(closed + CLOSE_WAIT - 1000).is_none());
        let mut poll = fixture.shared.enter_poll().unwrap();
        assert!(fixture.wake_up_at(closed + CLOSE_WAIT - 1000).is_none());
        assert_eq!(poll.try_recv().unwrap().take_payload(), b"42[\"last\"]");
        let mut poll = fixture.shared.enter_poll().unwrap();
        assert!(matches!(fixture.wake_up_at(closed + CLOSE_WAIT - 1), Some(End::Over)));
        assert_eq!(poll.try_recv().unwrap().take_payload(), b"1");
    }

    #[test]
    fn a_session_whose_client_polls_no_more_waits_half_a_minute_for_it() {
        let (mut fixture, closed) = closing();
        let sid = fixture.shared.sid().to_string();
        // A tick of the wheel is 8 ms, within which a deadline counts as reached.
        assert!(fixture.wake_up_at(closed + 29_992).is_none());
        // Until then the client can find it.
        assert!(fixture.sessions.find(&sid).is_some());
        assert!(matches!(fixture.wake_up_at(closed + 30_000), Some(End::Over)));
        fixture.polling = None;
        assert!(fixture.sessions.find(&sid).is_none(), "its id is unknown to requests");
        assert_eq!((fixture.sessions.len(), fixture.sessions.alive()), (0, 0));
        assert_eq!(fixture.shared.outbox().buffered_bytes(), 0);
        assert!(fixture.shared.enter_poll().is_err());
        assert!(fixture.notes.take().is_empty(), "all has been said");
    }

    /// As a parser may write it: see [`Parser::encode`].
    #[test]
    fn what_cannot_be_polled_does_not_count_for_ever() {
        struct Separated;

        impl Parser for Separated {
            fn encode(&self, _: &parser::Parsed) -> Vec<parser::Message> {
                vec![parser::Message::Text("\u{1e}".to_owned())]
            }

            fn decode(
                &self,
                _: parser::Message,
                _: &Limits,
            ) -> Result<parser::Parsed, sockeye_socketio::Error> {
                Err(Malformed::Other.into())
            }
        }

        let mut fixture = Fixture::new();
        fixture.shared.set_parsing(Arc::new(Parsing::new(0, Arc::new(Separated))));
        let mut poll = fixture.shared.enter_poll().unwrap();
        fixture.push("2[\"unheard\"]");
        assert!(fixture.wake_up().is_none());
        assert!(poll.try_recv().is_err(), "there is nothing to say");
        assert_eq!(fixture.shared.outbox().buffered_bytes(), 0);
    }

    #[test]
    fn a_poll_that_comes_in_with_the_upgrade_is_answered() {
        let fixture = Fixture::new();
        let probing = fixture.shared.begin_probe().unwrap();
        probing.hand_over(next_transport());
        // Behind the task's look at the door.
        fixture.shared.arrivals();
        let mut poll = fixture.shared.enter_poll().unwrap();
        let upgrade = fixture.shared.upgrade().unwrap();
        assert!(fixture.shared.upgrade().is_none());
        let End::Upgraded(_) = fixture.polling.unwrap().end_by_upgrade(upgrade) else {
            panic!("there is a next transport");
        };
        assert_eq!(poll.try_recv().unwrap().take_payload(), b"6");
    }

    #[test]
    fn an_upgrade_waits_until_no_post_is_unanswered() {
        let mut fixture = Fixture::new();
        let posting = fixture.shared.begin_post(&fixture.sessions).unwrap();
        let probing = fixture.shared.begin_probe().unwrap();
        probing.hand_over(next_transport());
        assert!(fixture.wake_up().is_none());
        assert!(
            fixture.shared.begin_post(&fixture.sessions).is_err(),
            "one must not follow another"
        );
        let mut judged = posting.complete(Payload::new("4a\u{1e}4b".to_owned())).unwrap();
        assert!(judged.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Empty));
        assert!(matches!(fixture.wake_up(), Some(End::Upgraded(_))));
        assert_eq!(fixture.notes.take(), ["a", "b"]);
        assert_eq!(judged.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }

    #[test]
    fn an_upgrade_goes_on_when_the_post_before_it_is_not_wanted() {
        struct Woken(AtomicBool);

        impl Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::Relaxed);
            }
        }

        let mut fixture = Fixture::new();
        let posting = fixture.shared.begin_post(&fixture.sessions).unwrap();
        fixture.shared.begin_probe().unwrap().hand_over(next_transport());
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(woken.clone());
        let polling = fixture.polling.as_mut().unwrap();
        // What has come in until now has been dealt with at its second wake-up.
        for _ in 0..2 {
            assert!(polling.poll_end(&mut Context::from_waker(&waker)).is_pending());
        }
        woken.0.store(false, Ordering::Relaxed);
        posting.abandon(Fault::PostTooLarge);
        assert!(woken.0.load(Ordering::Relaxed));
        assert!(matches!(fixture.wake_up(), Some(End::Upgraded(_))));
        assert!(fixture.shared.is_open());
    }

    #[test]
    fn a_handler_that_panics_hears_once_of_the_end_and_nothing_is_kept() {
        let mut fixture = Fixture::new();
        fixture.push("unheard");
        let posting = fixture.shared.begin_post(&fixture.sessions).unwrap();
        let _judged = posting.complete(Payload::new("4panic".to_owned())).unwrap();
        let woken = AssertUnwindSafe(|| fixture.wake_up().is_some());
        std::panic::catch_unwind(woken).unwrap_err();
        assert!(fixture.notes.take().is_empty());
        fixture.polling = None;
        assert_eq!(fixture.notes.take(), ["transport close"]);
        assert!(fixture.shared.outbox().is_closed());
        assert_eq!(fixture.shared.outbox().buffered_bytes(), 0);
        assert_eq!((fixture.sessions.len(), fixture.sessions.alive()), (0, 0));
    }

    #[test]
    fn a_handler_hears_once_of_an_orderly_end() {
        let mut fixture = Fixture::new();
        let posting = fixture.shared.begin_post(&fixture.sessions).unwrap();
        let _judged = posting.complete(Payload::new("1".to_owned())).unwrap();
        assert!(matches!(fixture.wake_up(), Some(End::Over)));
        fixture.polling = None;
        assert_eq!(fixture.notes.take(), ["transport close"]);
    }

    /// The client may send its next POST as soon as this one is answered.
    #[test]
    fn the_door_is_free_before_a_post_is_answered() {
        struct OnAnswer {
            fixture: (Arc<Shared>, Arc<crate::sessions::Sessions>),
            free: Mutex<Vec<bool>>,
        }

        impl Wake for OnAnswer {
            fn wake(self: Arc<Self>) {
                let (shared, sessions) = &self.fixture;
                let posting = shared.begin_post(sessions);
                self.free.lock().unwrap().push(posting.is_ok());
            }
        }

        let mut fixture = Fixture::new();
        let posting = fixture.shared.begin_post(&fixture.sessions).unwrap();
        let judged = posting.complete(Payload::new("4a".to_owned())).unwrap();
        let answered = Arc::new(OnAnswer {
            fixture: (fixture.shared.clone(), fixture.sessions.clone()),
            free: Mutex::default(),
        });
        let waker = Waker::from(answered.clone());
        let mut judged = std::pin::pin!(judged);
        assert!(judged.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(fixture.wake_up().is_none());
        assert_eq!(*answered.free.lock().unwrap(), [true]);
    }
}
