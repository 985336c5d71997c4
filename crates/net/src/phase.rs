//! Where a driven connection stands on its way to its end.

use sockeye_websocket::{self as websocket, CloseCode};

use crate::protocol::{Cause, Close};

/// Where a connection stands.
///
/// ```text
///     Open ──protocol ends──▶ Draining ──all written──▶ Closing ──peer's close, deadline──▶ done
///      │                                                   │ peer's close
///      └──peer closes, peer misbehaves──▶ Parting          ▼
///                                            └──▶ Answering ──all written──▶ Lingering
///                                                   peer's end of stream, deadline ──▶ done
/// ```
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Messages flow.
    Open,
    /// The protocol ended: what is queued goes out, then this close frame.
    Draining(Box<Close>),
    /// Our close frame was appended; the peer's is awaited.
    Closing,
    /// The peer ended it. Messages that came right before may have their answers: whoever deals
    /// with them has this wake-up to do so, or as long as the protocol
    /// [says](crate::Protocol::is_answering) that somebody does, within a deadline.
    Parting(Box<Farewell>),
    /// What is queued by then goes out, then our close frame.
    Answering,
    /// The last frame was appended. Input is thrown away until the peer ends the stream, because
    /// closing a socket with unread input resets it, and the reset destroys our last frame.
    Lingering,
    /// The write side is shut, too.
    Shut,
}

/// How the peer ended a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// By its close frame.
    Closed(Option<(CloseCode, Box<str>)>),
    /// By what it must not send.
    Misbehaved(websocket::Error),
}

impl Phase {
    /// Whether what the peer sends is thrown away without a look.
    pub(crate) const fn is_deaf(&self) -> bool {
        matches!(self, Self::Parting(_) | Self::Answering | Self::Lingering | Self::Shut)
    }
}

impl From<Farewell> for Cause {
    fn from(farewell: Farewell) -> Self {
        match farewell {
            Farewell::Closed(status) => Self::PeerClosed(status),
            Farewell::Misbehaved(error) => Self::Refused(error),
        }
    }
}
