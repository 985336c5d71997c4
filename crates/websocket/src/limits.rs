//! What a peer may make a connection hold.

/// Limits on what is received, handed in by reference at each call: all connections of one endpoint
/// share one value.
///
/// Sizes are judged by the length that a frame's head declares, before its payload arrives, so a
/// peer that lies about a length costs no memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of one message, its fragments together. Default: 1 000 000, as
    /// `maxHttpBufferSize` of Socket.IO for Node.
    ///
    /// A compressed message is judged by what it inflates to, while it does. What its frames declare
    /// may be up to a seventh more, because deflate makes larger what it cannot compress.
    pub max_message_size: usize,
    /// The most bytes of one data frame's payload. Default: `usize::MAX`, which leaves it to
    /// [`max_message_size`](Self::max_message_size).
    pub max_frame_size: usize,
    /// The most fragments of one message, empty ones included; up to 1 forbids fragmentation.
    /// Default: 4096.
    ///
    /// It keeps a peer from spending our time on messages that never grow and never end.
    pub max_fragments: u32,
    /// How long to wait, after our close frame, for the peer's, in milliseconds. Default: 30 000,
    /// as in `ws` for Node.
    pub close_timeout: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_size: 1_000_000,
            max_frame_size: usize::MAX,
            max_fragments: 4096,
            close_timeout: 30_000,
        }
    }
}
