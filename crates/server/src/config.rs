//! Socket.IO's options, as the server's parts read them.

use std::time::Duration;

use crate::parsers::Parsers;

/// See [`Builder`](crate::Builder) for what they mean.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) socketio: sockeye_socketio::Limits,
    pub(crate) handlers: sockeye_handler::Limits,
    /// The same as the transport's.
    pub(crate) max_buffered_bytes: usize,
    pub(crate) ack_timeout: Duration,
    pub(crate) max_pending_acks: usize,
    pub(crate) measure_handlers: bool,
    pub(crate) max_auth_bytes: usize,
    pub(crate) cleanup_empty_namespaces: bool,
    pub(crate) max_dynamic_namespaces: usize,
    /// None for the usual server, which knows the default parser alone, and that as it is.
    pub(crate) parsers: Option<Box<Parsers>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_buffered_bytes: sockeye_transport::Config::default().max_buffered_bytes,
            socketio: sockeye_socketio::Limits::default(),
            handlers: sockeye_handler::Limits::default(),
            ack_timeout: Duration::from_secs(20),
            max_pending_acks: 4096,
            measure_handlers: false,
            max_auth_bytes: 1_000_000,
            cleanup_empty_namespaces: true,
            max_dynamic_namespaces: 100_000,
            parsers: None,
        }
    }
}
