//! What a server tells its clients in the open packet, and holds itself to.

/// The settings of Engine.IO that all sessions of one server share.
///
/// The defaults are those of the official server. A session stores none of them: they are handed
/// to each call, so that an idle session stays small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Milliseconds from the handshake, or from the last pong, to the next ping. Default: 25 000.
    pub ping_interval: u64,
    /// Milliseconds to wait for the pong before the session is given up. Default: 20 000.
    pub ping_timeout: u64,
    /// Milliseconds that an upgrade to another transport may take, from the opening of the new
    /// transport to its `upgrade` packet. Default: 10 000.
    pub upgrade_timeout: u64,
    /// The largest message, or polling body, that the server accepts, in bytes
    /// (`maxHttpBufferSize` in Node). Default: 1 000 000.
    pub max_payload: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ping_interval: 25_000,
            ping_timeout: 20_000,
            upgrade_timeout: 10_000,
            max_payload: 1_000_000,
        }
    }
}
