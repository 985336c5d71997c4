//! The options of Engine.IO sessions.

use std::sync::Arc;
use std::time::Duration;

use sockeye_engineio::{self as engineio, Transport};
use sockeye_hub::Packet;
use sockeye_net::TrustedProxies;
use sockeye_net::addresses;
use sockeye_net::rate::Rate;
use sockeye_websocket::{self as websocket, deflate};

use crate::cookie::Cookie;
use crate::cors::Cors;
use crate::handshake::{KeepExtensions, KeepHeaders};
use crate::hooks::Hooks;

/// What all sessions of an [`Engine`](crate::Engine) have in common.
#[derive(Clone, Debug)]
pub struct Config {
    /// Heartbeat and sizes.
    pub engine: engineio::Config,
    /// The limits of the WebSocket below. The message size always is
    /// [`engineio::Config::max_payload`], so that every transport has the limit that the client
    /// was told.
    pub websocket: websocket::Limits,
    /// The transports that clients may use. Default: polling and websocket.
    pub transports: Vec<Transport>,
    /// Whether clients may speak revision 3 of Engine.IO. Default: no.
    pub allow_eio3: bool,
    /// Whether a session that polls may go on over a websocket. Default: yes.
    pub allow_upgrades: bool,
    /// Answers to polls from this size on, in bytes, are compressed for clients that accept it.
    /// Default: 1024; `None` compresses nothing.
    pub compress_from: Option<usize>,
    /// Compression of messages over websockets (permessage-deflate, RFC 7692), where the client offers it:
    /// polling has [`compress_from`](Self::compress_from). Default: none is agreed to, as in Node.
    pub compression: Option<deflate::Config>,
    /// The memory that *context takeover* may take over all sessions, where `compression` agrees to it:
    /// where it is used up, sessions agree on compression without takeover. Default: 64 MiB.
    pub takeover_budget: Arc<deflate::Budget>,
    /// How long the body of a POST may take, and one second more for each KiB that has come.
    /// Default: 30 s; Node has no limit.
    pub body_timeout: Duration,
    /// The most bytes that may wait to be written to one client. Default: 1 MiB.
    ///
    /// What is pushed within one wake-up is written at its end, and to a client that polls only when its
    /// next poll is there: a burst of more than this finds the outbox full, however fast the client is.
    ///
    /// Worst-case memory: this many bytes per client, and the cork of 64 KiB that is being written.
    pub max_buffered_bytes: usize,
    /// How long a client's pong may be overdue while the server itself does not read, because the
    /// client's events fill their queue; in milliseconds. Default: 60 000. A rate that is passed adds as long
    /// as it takes to be kept again.
    pub max_stall: u64,
    /// What of a handshake's headers is kept while the session lives. Default: all.
    pub keep_headers: KeepHeaders,
    /// What of an HTTP request's extensions is kept. Default: nothing.
    pub keep_extensions: KeepExtensions,
    /// The cookie that the handshake's answer to a client that polls sets. Default: none.
    pub cookie: Option<Cookie>,
    /// Which pages of other origins may use the engine, over every transport. Default: none is told so
    /// by CORS, and websockets are open to all, as in Node.
    pub cors: Option<Cors>,
    /// The proxies whose word about a client's address counts. Default: none.
    pub trusted_proxies: Option<TrustedProxies>,
    /// How many sessions there may be, and how fast an address may open them. Default: no limits.
    pub limits: addresses::Limits,
    /// How fast one client may send packets; one that is faster is read from more slowly. Default: no
    /// limit.
    pub packet_rate: Option<Rate>,
    /// How fast one client may send bytes of packets, likewise. Default: no limit.
    pub byte_rate: Option<Rate>,
    /// A message that every client gets right behind the open packet. It must not hold the separator of
    /// payloads, U+001E. Default: none.
    pub initial_packet: Option<Arc<Packet>>,
    /// The application's say in handshakes and answers. Default: none.
    pub hooks: Hooks,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            engine: engineio::Config::default(),
            websocket: websocket::Limits::default(),
            transports: vec![Transport::Polling, Transport::Websocket],
            allow_eio3: false,
            allow_upgrades: true,
            compress_from: Some(1024),
            compression: None,
            takeover_budget: Arc::new(deflate::Budget::new(64 * 1024 * 1024)),
            body_timeout: Duration::from_secs(30),
            max_buffered_bytes: 1024 * 1024,
            max_stall: 60_000,
            keep_headers: KeepHeaders::All,
            keep_extensions: KeepExtensions::default(),
            cookie: None,
            cors: None,
            trusted_proxies: None,
            limits: addresses::Limits::default(),
            packet_rate: None,
            byte_rate: None,
            initial_packet: None,
            hooks: Hooks::default(),
        }
    }
}

impl Config {
    /// Makes the parts agree with one another.
    pub(crate) fn settled(mut self) -> Self {
        self.websocket.max_message_size = self.engine.max_payload;
        self
    }

    /// What a session that polls may upgrade to.
    pub(crate) fn upgrades(&self) -> &[Transport] {
        if self.allow_upgrades && self.transports.contains(&Transport::Websocket) {
            &[Transport::Websocket]
        } else {
            &[]
        }
    }
}
