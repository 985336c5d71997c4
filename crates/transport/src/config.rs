//! The options of Engine.IO sessions.

use sockeye_engineio as engineio;
use sockeye_websocket as websocket;

/// What all sessions of an [`Engine`](crate::Engine) have in common.
#[derive(Clone, Debug)]
pub struct Config {
    /// Heartbeat and sizes.
    pub engine: engineio::Config,
    /// The limits of the WebSocket below. The message size always is
    /// [`engineio::Config::max_payload`], so that every transport has the limit that the client
    /// was told.
    pub websocket: websocket::Limits,
    /// The most bytes that may wait to be written to one client. Default: 1 MiB.
    ///
    /// Worst-case memory: this many bytes per client, and the cork of 64 KiB that is being written.
    pub max_buffered_bytes: usize,
    /// How long a client's pong may be overdue while the server itself does not read, because the
    /// client's events fill their queue; in milliseconds. Default: 60 000.
    pub max_stall: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            engine: engineio::Config::default(),
            websocket: websocket::Limits::default(),
            max_buffered_bytes: 1024 * 1024,
            max_stall: 60_000,
        }
    }
}

impl Config {
    /// Makes the parts agree with one another.
    pub(crate) fn settled(mut self) -> Self {
        self.websocket.max_message_size = self.engine.max_payload;
        self
    }
}
