//! Why a session ended.

use core::fmt;

/// Why a session ended, in the words of the official server.
///
/// Closing is an event in the life of a session, not an error; what a peer did wrong, if it did, is
/// an [`Error`](crate::Error), which knows its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The transport was closed by the peer or by the network: `transport close`.
    TransportClose,
    /// The transport failed, or was misused in a way that Node counts as its failure (a message
    /// that is too large, a heartbeat in the wrong direction): `transport error`.
    TransportError,
    /// No pong came in time: `ping timeout`.
    PingTimeout,
    /// What came is no Engine.IO packet: `parse error`.
    ParseError,
    /// This side closed the session: `forced close`.
    ForcedClose,
    /// The whole server is closing: `server shutting down`.
    ServerShuttingDown,
}

impl CloseReason {
    /// Every reason, in the order of their [numbers](Self::index).
    pub const ALL: [Self; 6] = [
        Self::TransportClose,
        Self::TransportError,
        Self::PingTimeout,
        Self::ParseError,
        Self::ForcedClose,
        Self::ServerShuttingDown,
    ];

    /// Its place in [`CloseReason::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The exact words of the official server.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
            Self::PingTimeout => "ping timeout",
            Self::ParseError => "parse error",
            Self::ForcedClose => "forced close",
            Self::ServerShuttingDown => "server shutting down",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_number() {
        for (number, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), number, "{reason}");
        }
    }
}
