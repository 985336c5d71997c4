//! Why a socket is no longer connected.

use core::fmt;

use sockeye_engineio::CloseReason;

/// Why a socket left its namespace, in the exact words of the official server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// This server disconnected the socket: `server namespace disconnect`.
    ServerNamespaceDisconnect,
    /// The client left the namespace: `client namespace disconnect`.
    ClientNamespaceDisconnect,
    /// The whole server is closing: `server shutting down`.
    ServerShuttingDown,
    /// The client did not answer a ping in time: `ping timeout`.
    PingTimeout,
    /// The client or the network closed the connection: `transport close`.
    TransportClose,
    /// The connection failed, or brought a message that is too large: `transport error`.
    TransportError,
    /// What came is no Engine.IO packet: `parse error`.
    ParseError,
    /// This server closed the connection, most often because the client sent a Socket.IO packet
    /// that is invalid, or not allowed at that point: `forced close`.
    ForcedClose,
    /// The client joined no namespace in time: `forced server close`.
    ForcedServerClose,
}

impl DisconnectReason {
    /// The exact words of the official server.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ServerNamespaceDisconnect => "server namespace disconnect",
            Self::ClientNamespaceDisconnect => "client namespace disconnect",
            Self::ServerShuttingDown => "server shutting down",
            Self::PingTimeout => "ping timeout",
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
            Self::ParseError => "parse error",
            Self::ForcedClose => "forced close",
            Self::ForcedServerClose => "forced server close",
        }
    }

    /// Whether a client that was lost for this reason may be recovered: it did not leave, and was not
    /// put out.
    #[must_use]
    pub const fn is_recoverable(self) -> bool {
        match self {
            Self::ServerShuttingDown
            | Self::PingTimeout
            | Self::TransportClose
            | Self::TransportError
            | Self::ForcedClose
            | Self::ForcedServerClose => true,
            Self::ServerNamespaceDisconnect
            | Self::ClientNamespaceDisconnect
            | Self::ParseError => false,
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<CloseReason> for DisconnectReason {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::TransportClose => Self::TransportClose,
            CloseReason::TransportError => Self::TransportError,
            CloseReason::PingTimeout => Self::PingTimeout,
            CloseReason::ParseError => Self::ParseError,
            CloseReason::ForcedClose => Self::ForcedClose,
            CloseReason::ServerShuttingDown => Self::ServerShuttingDown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sessions_end_has_the_same_words_for_its_sockets() {
        for reason in [
            CloseReason::TransportClose,
            CloseReason::TransportError,
            CloseReason::PingTimeout,
            CloseReason::ParseError,
            CloseReason::ForcedClose,
            CloseReason::ServerShuttingDown,
        ] {
            assert_eq!(DisconnectReason::from(reason).as_str(), reason.as_str());
        }
    }
}
