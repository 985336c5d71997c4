//! The server's options, as its parts read them.

use std::time::Duration;

/// See [`ServerBuilder`](crate::ServerBuilder) for what they mean.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// With a leading and without a trailing slash.
    pub(crate) path: String,
    pub(crate) transport: sockeye_transport::Config,
    pub(crate) socketio: sockeye_socketio::Limits,
    pub(crate) handlers: sockeye_handler::Limits,
    pub(crate) max_buffered_bytes: usize,
    pub(crate) ack_timeout: Duration,
    pub(crate) max_pending_acks: usize,
    pub(crate) grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let transport = sockeye_transport::Config::default();
        Self {
            path: "/socket.io".to_owned(),
            max_buffered_bytes: transport.max_buffered_bytes,
            transport,
            socketio: sockeye_socketio::Limits::default(),
            handlers: sockeye_handler::Limits::default(),
            ack_timeout: Duration::from_secs(20),
            max_pending_acks: 4096,
            grace: Duration::from_secs(5),
        }
    }
}
