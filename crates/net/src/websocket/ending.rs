//! How a WebSocket ended.

use std::fmt;
use std::io;
use std::sync::Arc;

use sockeye_websocket::{self as core, CloseCode};

use crate::protocol::Cause;

/// How a WebSocket ended: see [`Sender::closed`](crate::websocket::Sender::closed).
#[derive(Clone, Debug)]
pub struct Ending {
    /// Who or what ended it.
    pub why: Why,
    /// Whether both sides had sent their close frames (RFC 6455 §7.1.4).
    pub clean: bool,
}

/// Who or what ended a WebSocket.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Why {
    /// The peer closed it, with this code and reason if it gave one.
    Peer(Option<(CloseCode, Arc<str>)>),
    /// This end closed it, with this code and reason.
    Local(CloseCode, Arc<str>),
    /// The peer broke the protocol or a limit; it was told so.
    Refused(core::Error),
    /// The stream ended or failed without a closing handshake.
    Lost(Option<Arc<io::Error>>),
    /// The peer was not heard of within [`Options::pong_timeout`](crate::websocket::Options::pong_timeout)
    /// after a ping.
    PongTimeout,
    /// No message went either way for [`Options::idle_timeout`](crate::websocket::Options::idle_timeout).
    IdleTimeout,
    /// The peer did not take what it was sent: more than
    /// [`Options::max_buffered_bytes`](crate::websocket::Options::max_buffered_bytes) waited.
    SlowConsumer,
}

impl Why {
    pub(crate) fn caused(cause: Cause) -> Self {
        match cause {
            Cause::PeerClosed(status) => {
                Self::Peer(status.map(|(code, reason)| (code, reason.into())))
            }
            Cause::Lost(error) => Self::Lost(error.map(Arc::new)),
            Cause::Refused(error) => Self::Refused(error),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = |f: &mut fmt::Formatter<'_>, code: CloseCode, reason: &str| {
            write!(f, " with code {}", code.get())?;
            if reason.is_empty() { Ok(()) } else { write!(f, ": {reason}") }
        };
        match self {
            Self::Peer(None) => f.write_str("the peer closed"),
            Self::Peer(Some((code, reason))) => {
                f.write_str("the peer closed")?;
                status(f, *code, reason)
            }
            Self::Local(code, reason) => {
                f.write_str("closed by this end")?;
                status(f, *code, reason)
            }
            Self::Refused(error) => error.fmt(f),
            Self::Lost(None) => f.write_str("the stream ended without a closing handshake"),
            Self::Lost(Some(error)) => write!(f, "the stream failed: {error}"),
            Self::PongTimeout => f.write_str("the peer answered no ping in time"),
            Self::IdleTimeout => f.write_str("no message came or went for too long"),
            Self::SlowConsumer => f.write_str("the peer did not take what it was sent"),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}
