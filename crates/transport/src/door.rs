//! The door of a session that polls: how its requests reach its task.
//!
//! Requests come and go with their connections; the session stays. So no request's future owns any
//! part of the session: a GET leaves a place to answer to, a POST leaves its body, a websocket that
//! has shaken hands as the next transport leaves itself. The session's task takes what is there at its next
//! wake-up. Whoever is dropped half-way has left nothing half-done.
//!
//! A session without a door does not poll: it was opened on a websocket, has upgraded to one, or is over.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use sockeye_engineio::payload::Payload;
use sockeye_engineio::{Refusal, Transport};
use sockeye_net::Io;
use sockeye_websocket as websocket;
use tokio::sync::oneshot;

use crate::deflate::Deflating;
use crate::fault::Fault;
use crate::reply::Reply;
use crate::sessions::Sessions;
use crate::shared::Shared;

/// What requests have left for the session's task, and what they must not do twice.
#[derive(Default)]
pub(crate) struct Door {
    /// A GET that the task has not seen yet.
    poll: Option<oneshot::Sender<Reply>>,
    /// A GET is unanswered, here or with the task, or its answer is on the way.
    polling: bool,
    posted: Option<Posted>,
    /// A POST is unanswered: its body is on its way, here, or with the task.
    posting: bool,
    /// There while a websocket tries to become the session's transport; dropping it tells the websocket
    /// that there is nothing to upgrade any more.
    probe: Option<oneshot::Sender<Infallible>>,
    /// That websocket's `2probe` has come: from here on every poll ends at once, because the client
    /// waits for its end.
    probed: bool,
    next: Option<Box<NextTransport>>,
}

/// The body of a POST; whoever drops it answers the POST.
pub(crate) struct Posted {
    pub(crate) payload: Payload,
    _judged: oneshot::Sender<Infallible>,
}

/// The websocket that takes over from polling.
pub(crate) struct NextTransport {
    pub(crate) io: Io,
    pub(crate) websocket: websocket::Connection,
    pub(crate) deflating: Option<Arc<Deflating>>,
    /// What came behind the upgrade packet.
    pub(crate) leftover: Vec<u8>,
    /// Whether the client cannot take binary messages.
    pub(crate) base64: bool,
}

/// What the task finds at the door.
#[derive(Default)]
pub(crate) struct Arrivals {
    pub(crate) poll: Option<oneshot::Sender<Reply>>,
    pub(crate) posted: Option<Posted>,
    /// The client waits for the end of its polls.
    pub(crate) probed: bool,
}

/// What the task gets when its session upgrades.
pub(crate) struct Upgrade {
    pub(crate) next: Box<NextTransport>,
    /// A GET that the task has not seen yet.
    pub(crate) poll: Option<oneshot::Sender<Reply>>,
}

/// Why a request finds no way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shut {
    /// The session does not poll (any more), or is about to upgrade.
    Gone,
    /// There is such a request already.
    Overlap,
}

impl Shared {
    fn door(&self) -> MutexGuard<'_, Option<Box<Door>>> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The transport that the session uses now, or has used last.
    pub fn transport(&self) -> Transport {
        if self.websocket.load(Ordering::Acquire) {
            Transport::Websocket
        } else {
            Transport::Polling
        }
    }

    /// A GET comes in.
    pub(crate) fn enter_poll(&self) -> Result<oneshot::Receiver<Reply>, Shut> {
        let (answer, answered) = oneshot::channel();
        {
            let mut door = self.door();
            let door = door.as_mut().ok_or(Shut::Gone)?;
            if std::mem::replace(&mut door.polling, true) {
                return Err(Shut::Overlap);
            }
            door.poll = Some(answer);
        }
        self.outbox().notify();
        Ok(answered)
    }

    /// A POST comes in; its body is yet to come.
    pub(crate) fn begin_post(self: &Arc<Self>, sessions: &Arc<Sessions>) -> Result<Posting, Shut> {
        let mut door = self.door();
        // The client has asked for the upgrade: it has said by polling all that it had to say.
        let door = door.as_mut().filter(|door| door.next.is_none()).ok_or(Shut::Gone)?;
        if std::mem::replace(&mut door.posting, true) {
            return Err(Shut::Overlap);
        }
        Ok(Posting { shared: self.clone(), sessions: sessions.clone(), whole: false })
    }

    /// Why a request finds the session [gone](Shut::Gone).
    pub(crate) fn refusal(&self) -> Refusal {
        let upgrades = self.door().as_ref().is_some_and(|door| door.next.is_some());
        if upgrades || self.transport() == Transport::Websocket {
            Refusal::TransportMismatch
        } else {
            Refusal::UnknownSession
        }
    }

    /// A websocket wants to become the session's transport.
    pub(crate) fn begin_probe(self: &Arc<Self>) -> Result<Probing, Shut> {
        let mut door = self.door();
        let door = door.as_mut().ok_or(Shut::Gone)?;
        if door.probe.is_some() || door.next.is_some() {
            return Err(Shut::Overlap);
        }
        let (probe, cancelled) = oneshot::channel();
        door.probe = Some(probe);
        Ok(Probing { shared: self.clone(), cancelled })
    }

    /// The probing websocket's `2probe` has come.
    pub(crate) fn probed(&self) {
        if let Some(door) = self.door().as_mut() {
            door.probed = true;
        }
        self.outbox().notify();
    }

    /// The task's call: takes what has come in.
    pub(crate) fn arrivals(&self) -> Arrivals {
        let mut door = self.door();
        let Some(door) = door.as_mut() else { return Arrivals::default() };
        Arrivals {
            poll: door.poll.take(),
            posted: door.posted.take(),
            probed: door.probed || door.next.is_some(),
        }
    }

    /// The task's call: takes the next transport, if it stands ready and no POST is on its way any more,
    /// whose packets come before those of the websocket. From here on nobody comes in by polling.
    pub(crate) fn upgrade(&self) -> Option<Upgrade> {
        let mut door = self.door();
        let next = door.as_mut().filter(|door| !door.posting)?.next.take()?;
        let shut = door.take();
        self.websocket.store(true, Ordering::Release);
        drop(door);
        Some(Upgrade { next, poll: shut.and_then(|door| door.poll) })
    }

    /// The GET is answered, and the HTTP server has all of it.
    pub(crate) fn poll_answered(&self) {
        if let Some(door) = self.door().as_mut() {
            door.polling = false;
        }
    }

    /// The task has judged all of the POST.
    pub(crate) fn post_judged(&self) {
        if let Some(door) = self.door().as_mut() {
            door.posting = false;
        }
    }

    /// Nobody comes in by polling any more. What has come in and was not taken is dropped.
    pub(crate) fn shut_door(&self) {
        let door = self.door().take();
        drop(door);
    }
}

/// A POST whose body is on its way.
pub(crate) struct Posting {
    shared: Arc<Shared>,
    sessions: Arc<Sessions>,
    /// All of it has come, or is not wanted.
    whole: bool,
}

impl Posting {
    /// The body is there. Ready (with an error, which means nothing) when the session has judged it or is
    /// over.
    pub(crate) fn complete(mut self, payload: Payload) -> Option<oneshot::Receiver<Infallible>> {
        self.whole = true;
        let (judged, done) = oneshot::channel();
        let posted = Posted { payload, _judged: judged };
        self.shared.door().as_mut()?.posted = Some(posted);
        self.shared.outbox().notify();
        Some(done)
    }

    /// The body is not wanted; the session lives on.
    pub(crate) fn abandon(mut self, fault: Fault) {
        self.whole = true;
        self.shared.post_judged();
        // An upgrade may have waited for it.
        self.shared.outbox().notify();
        self.sessions.note(&self.shared, fault);
    }

    /// The body is not what it should be: the session ends.
    pub(crate) fn fail(mut self, fault: Fault) {
        self.whole = true;
        self.sessions.fail(&self.shared, fault);
    }
}

impl Drop for Posting {
    /// The client went away in the middle of a body: packets are missing now, and the session ends.
    fn drop(&mut self) {
        // A session that is over has no use for the body anyway.
        if !self.whole && self.shared.door().is_some() {
            self.sessions.fail(&self.shared, Fault::PostAborted);
        }
    }
}

/// A websocket that tries to become the session's transport.
pub(crate) struct Probing {
    pub(crate) shared: Arc<Shared>,
    /// Ready when there is nothing to upgrade any more.
    pub(crate) cancelled: oneshot::Receiver<Infallible>,
}

impl Probing {
    /// `5` has come: the websocket takes over, unless the session is over meanwhile.
    pub(crate) fn hand_over(self, next: NextTransport) {
        if let Some(door) = self.shared.door().as_mut() {
            door.next = Some(Box::new(next));
        }
        self.shared.outbox().notify();
    }
}

impl Drop for Probing {
    /// Polling goes on, and another websocket may try.
    fn drop(&mut self) {
        if let Some(door) = self.shared.door().as_mut() {
            door.probe = None;
            door.probed = false;
        }
    }
}
