//! What a layer above gives the [driver](crate::Driver) to speak over a WebSocket.

use std::borrow::Cow;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::Context;

use sockeye_outbox::{Entry, Outbox};
use sockeye_websocket::{self as websocket, CloseCode, Role};

use crate::cork::Cork;
use crate::wire::Wired;

/// A whole message, lent from the receive buffer where it fitted.
#[derive(Debug)]
pub enum Message<'a> {
    /// A text message, proven UTF-8.
    Text(Cow<'a, str>),
    /// A binary message.
    Binary(Cow<'a, [u8]>),
}

impl Message<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

/// How the protocol wants the connection to end: after everything queued went out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Close {
    /// The code and reason of our close frame; `None` sends one without, as Node's server does.
    pub status: Option<(CloseCode, Cow<'static, str>)>,
}

/// Why a connection ended, when not by the protocol's own wish.
#[derive(Debug)]
pub enum Cause {
    /// The peer closed, with this code and reason if it gave one.
    PeerClosed(Option<(CloseCode, Box<str>)>),
    /// The stream ended or failed without a closing handshake.
    Lost(Option<io::Error>),
    /// The peer broke the WebSocket protocol or a limit; it was told so in a close frame.
    Refused(websocket::Error),
}

/// Whether the protocol takes input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// It does.
    Open,
    /// It has enough: nothing is read until it is open again, but a hang-up is still noticed.
    Stalled,
}

/// A protocol over WebSocket messages, driven by one task.
///
/// The driver calls everything from one task, in turn, so an implementation needs no locks for
/// what only it holds; other tasks reach it through its [outbox](Self::outbox).
pub trait Protocol: Unpin + Send + 'static {
    /// What waits in the outbox.
    type Entry: Entry + Send + 'static;

    /// Where others leave what is to be written.
    fn outbox(&self) -> &Outbox<Self::Entry>;

    /// What others reach the connection by, if they may [write to it](crate::Wired) in the driver's
    /// stead. Asked once.
    fn wired(&self) -> Option<Arc<dyn Wired>> {
        None
    }

    /// The WebSocket as its opening handshake left it. Asked once.
    fn websocket(&self) -> websocket::Connection {
        websocket::Connection::new(Role::Server)
    }

    /// The limits of the WebSocket below.
    fn limits(&self) -> &websocket::Limits;

    /// The first call, once: the connection is open.
    fn opened(&mut self, now: u64, cx: &mut Context<'_>) -> ControlFlow<Close>;

    /// Something arrived, be it a part of a frame: the peer lives.
    fn heard(&mut self, now: u64) {
        let _ = now;
    }

    /// A message arrived. What is appended to `reply` (whole frames) leaves with this wake-up's
    /// write, before anything that is queued in the outbox from here on.
    fn receive(
        &mut self,
        now: u64,
        message: Message<'_>,
        reply: &mut Cork,
        cx: &mut Context<'_>,
    ) -> ControlFlow<Close>;

    /// Called at each wake-up, before reading: the place for what others asked for through
    /// [`Outbox::notify`] and for futures the protocol polls itself.
    fn work(&mut self, now: u64, cx: &mut Context<'_>) -> ControlFlow<Close>;

    /// Called at each wake-up between reading and writing: the place for a future that the protocol
    /// polls itself and that deals with what was received. What it queues leaves with this
    /// wake-up's write. It is called until the connection is done, closing or not.
    fn dispatch(&mut self, now: u64, cx: &mut Context<'_>) -> ControlFlow<Close> {
        let _ = (now, cx);
        ControlFlow::Continue(())
    }

    /// Puts an entry's wire form, whole frames, into the cork.
    fn encode(&mut self, entry: Self::Entry, cork: &mut Cork);

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    fn poll_timeout(&self) -> Option<u64>;

    /// The time has come, or (by less than a tick) nearly so: `now` is at least the deadline.
    fn handle_timeout(&mut self, now: u64) -> ControlFlow<Close>;

    /// Whether to go on reading.
    fn intake(&self) -> Intake {
        Intake::Open
    }

    /// Asked while the peer has closed or broken the protocol and has no answer to that yet: whether
    /// somebody still deals with what came before. The answer then waits until this says no, but no
    /// longer than a second; who says yes has the driver woken when that changes.
    fn is_answering(&mut self) -> bool {
        false
    }

    /// The connection ended by `cause`, or (`None`) because this protocol broke it off. Only
    /// `encode`, `dispatch` and [`gone`](Self::gone) are called after it.
    fn closed(&mut self, now: u64, cause: Option<Cause>);

    /// The very last call: the stream is given up. `clean` says whether both sides had sent their
    /// close frames (RFC 6455 §7.1.4).
    fn gone(&mut self, clean: bool) {
        let _ = clean;
    }
}
