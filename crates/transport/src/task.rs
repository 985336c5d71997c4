//! The task of one session, over whatever transport it uses; or of a websocket that wants to be one's
//! transport.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use sockeye_net::http::Successor;
use sockeye_net::{Driver, Io};

use crate::handler::Handler;
use crate::polling::{End, Polling};
use crate::probe::Probe;
use crate::session::{Plain, Session};

/// What goes on behind a `101` of the engine.
pub struct Upgraded<H: Handler>(Next<H>);

enum Next<H: Handler> {
    Session(Session<H>),
    Probe(Box<Probe>),
    Plain(Session<H::Plain>),
}

impl<H: Handler> Upgraded<H> {
    /// A new session on the websocket.
    pub(crate) fn session(session: Session<H>) -> Self {
        Self(Next::Session(session))
    }

    /// A websocket for a session that polls.
    pub(crate) fn probe(probe: Probe) -> Self {
        Self(Next::Probe(Box::new(probe)))
    }

    /// A new session on a plain connection.
    pub(crate) fn plain(session: Session<H::Plain>) -> Self {
        Self(Next::Plain(session))
    }
}

impl<H: Handler> Successor for Upgraded<H> {
    type Task = Task<H>;

    fn start(self, io: Io, leftover: &[u8]) -> Task<H> {
        Task(match self.0 {
            Next::Session(session) => Stage::Websocket(Driver::new(io, leftover, session)),
            Next::Probe(probe) => Stage::Probe(Box::pin(probe.run(io, leftover.to_vec()))),
            Next::Plain(session) => Stage::Plain(Driver::new(io, leftover, Plain::new(session))),
        })
    }
}

/// The future of a session, or of a probe.
pub struct Task<H: Handler>(Stage<H>);

/// What sessions do for long is the task itself; the rest is boxed, so that it does not set the task's size.
enum Stage<H: Handler> {
    Probe(Pin<Box<dyn Future<Output = ()> + Send>>),
    Polling(Box<Polling<H>>),
    Websocket(Driver<Session<H>>),
    Plain(Driver<Plain<H::Plain>>),
    Over,
}

impl<H: Handler> Task<H> {
    pub(crate) fn polling(session: Session<H>) -> Self {
        Self(Stage::Polling(Box::new(Polling::new(session))))
    }
}

impl<H: Handler> Future for Task<H> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.0 {
                Stage::Probe(probe) => return probe.as_mut().poll(cx),
                Stage::Websocket(driver) => return Pin::new(driver).poll(cx),
                Stage::Plain(driver) => return Pin::new(driver).poll(cx),
                Stage::Over => return Poll::Ready(()),
                Stage::Polling(polling) => {
                    let end = ready!(polling.poll_end(cx));
                    let before = std::mem::replace(&mut self.0, Stage::Over);
                    if let (End::Upgraded(next), Stage::Polling(polling)) = (end, before) {
                        self.0 = Stage::Websocket(polling.upgrade(*next));
                    }
                }
            }
        }
    }
}

impl<H: Handler> std::fmt::Debug for Task<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.0 {
            Stage::Probe(_) => "Probe",
            Stage::Plain(_) => "Plain",
            Stage::Polling(_) => "Polling",
            Stage::Websocket(_) => "Websocket",
            Stage::Over => "Over",
        })
    }
}

impl<H: Handler> std::fmt::Debug for Upgraded<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.0 {
            Next::Session(_) => "Session",
            Next::Probe(_) => "Probe",
            Next::Plain(_) => "Plain",
        })
    }
}
