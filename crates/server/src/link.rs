//! What the sockets of one session share, and how others leave word for the session's task.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sockeye_handler::Places;
use sockeye_transport::Shared;

use crate::children::Parent;
use crate::connect::Refusal;
use crate::pattern::Captures;
use crate::socket::Socket;

/// Word for a session's task.
pub(crate) enum Command {
    /// It is known whether a dynamic namespace has the name that was asked for.
    Found(Finding, Found),
    /// The middleware has answered.
    Answered(Socket, Result<(), Refusal>),
    /// The connect handlers are done.
    Greeted(Socket),
    /// A socket was disconnected by this server.
    Ended(Socket),
    /// A socket's client has come back on another connection.
    Evicted(Socket),
    /// The client is to be disconnected altogether.
    EndAll,
}

/// What a client waits for while it is decided whether there is a namespace.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) path: Arc<str>,
    pub(crate) auth: Option<Arc<str>>,
}

/// The dynamic namespace that has the name, and what stands in its places; or why there is none.
pub(crate) type Found = Result<(Arc<Parent>, Captures), Refusal>;

/// The session, as its sockets see it.
pub(crate) struct Link {
    pub(crate) session: Arc<Shared>,
    pub(crate) places: Places,
    inbox: Mutex<Inbox>,
}

#[derive(Default)]
struct Inbox {
    commands: Vec<Command>,
    closed: bool,
}

impl Link {
    pub(crate) fn new(session: Arc<Shared>) -> Self {
        Self { session, places: Places::default(), inbox: Mutex::default() }
    }

    /// Leaves word, or hands it back if the session is over.
    pub(crate) fn push(&self, command: Command) -> Option<Command> {
        let mut inbox = self.inbox();
        if inbox.closed {
            return Some(command);
        }
        inbox.commands.push(command);
        drop(inbox);
        self.session.outbox().notify();
        None
    }

    pub(crate) fn take(&self) -> Vec<Command> {
        std::mem::take(&mut self.inbox().commands)
    }

    /// The session is over: no more word is taken.
    pub(crate) fn close(&self) -> Vec<Command> {
        let mut inbox = self.inbox();
        inbox.closed = true;
        std::mem::take(&mut inbox.commands)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.inbox().closed
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
