//! What a plain WebSocket may cost and how it keeps itself alive.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sockeye_websocket::{Limits, deflate};

/// The options of a WebSocket, the same for both roles.
///
/// ```
/// use std::time::Duration;
/// use sockeye_net::websocket::Options;
///
/// let options = Options { idle_timeout: Some(Duration::from_secs(300)), ..Options::default() };
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// Limits on what is received: the message's size above all. Default: messages of up to
    /// 1 000 000 bytes, see [`Limits`].
    pub limits: Limits,
    /// Received messages that nobody has taken yet may have this many bytes, each counting 64 more
    /// than its payload; then the peer is not read from until some are taken. Default: 64 KiB.
    pub max_unread_bytes: usize,
    /// What is sent and not yet taken by the kernel may have this many bytes; what happens beyond
    /// is the choice of [`Sender::send`](crate::websocket::Sender::send) and its siblings. Default:
    /// 1 MiB.
    pub max_buffered_bytes: usize,
    /// A peer that was not heard of for so long is sent a ping; `None` sends none. Default: 30 s.
    pub ping_interval: Option<Duration>,
    /// A peer that is not heard of for so long after a ping is given up, unless it is not read from because nobody
    /// takes its messages. Default: 30 s.
    pub pong_timeout: Duration,
    /// A connection on which no message came and none was sent for so long is closed with code 1000.
    /// Pings do not count, and it may be 64 ms more. Default: `None`, it may be silent for ever.
    pub idle_timeout: Option<Duration>,
    /// The subprotocols that this end speaks (RFC 6455 §1.9), the best first. A server answers the
    /// first of them that the client offers, or none; a client offers them all. Default: none.
    pub subprotocols: Vec<String>,
    /// Compression of messages (permessage-deflate, RFC 7692), where the peer agrees; `None` neither
    /// offers nor accepts it. Default: messages of 1 KiB and more, each by itself, which costs an
    /// idle connection nothing. See [`deflate`].
    pub compression: Option<deflate::Config>,
    /// The memory that *context takeover* may take, over all connections with these options: where
    /// it is used up, connections agree on compression without takeover. Default: 64 MiB; without
    /// takeover, which is the default of `compression`, nothing is ever taken.
    pub takeover_budget: Arc<deflate::Budget>,
}

/// What is never agreed on compresses with these.
static DEFAULT_COMPRESSION: LazyLock<deflate::Config> = LazyLock::new(deflate::Config::default);

impl Options {
    /// How to compress, once it was agreed on.
    pub(super) fn compression(&self) -> &deflate::Config {
        self.compression.as_ref().unwrap_or(&DEFAULT_COMPRESSION)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            max_unread_bytes: 64 * 1024,
            max_buffered_bytes: 1024 * 1024,
            ping_interval: Some(Duration::from_secs(30)),
            pong_timeout: Duration::from_secs(30),
            idle_timeout: None,
            subprotocols: Vec::new(),
            compression: Some(deflate::Config::default()),
            takeover_budget: Arc::new(deflate::Budget::new(64 * 1024 * 1024)),
        }
    }
}
