//! Why a client is not recovered.

/// There is no such session, or no way to tell the client all that it missed: it gets a new session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrecoverable {
    /// No session bears this pid in this namespace, or the client was away for too long.
    Unknown,
    /// The offset was never given out.
    BadOffset,
    /// Events that the client has missed are not kept any more, or could not be read.
    Incomplete,
    /// Another connection has come with the same pid meanwhile.
    Superseded,
}

impl std::fmt::Display for Unrecoverable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unknown => "there is no such session, or not any more",
            Self::BadOffset => "the offset was never given out",
            Self::Incomplete => "what the client missed is not kept any more",
            Self::Superseded => "another connection has come with the same pid",
        })
    }
}

impl std::error::Error for Unrecoverable {}
