//! The options that every server has, whatever is spoken over its sessions: Engine.IO's, and those of
//! the face towards HTTP.

mod hooks;

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderName;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Body as HttpBody;
pub use sockeye_engineio::Transport;
use sockeye_engineio::payload;
use sockeye_hub::Packet;
use sockeye_net::http::{BoxError, Incoming};
use sockeye_net::rate::Rate;
use sockeye_net::{Gate, Listening, TrustedProxies};
use sockeye_transport::{self as transport, Cookie, Cors, Engine, KeepHeaders};
use sockeye_websocket::deflate;
use tokio::sync::watch;
use tower_service::Service;

use crate::adopt::Adoptions;
use crate::site::{Fallback, Site};

/// Makes a server: `Builder<SocketIo>` a Socket.IO [`Server`](crate::Server), `Builder<EngineIo>` one
/// of raw [Engine.IO](crate::engine). Every option has the official server's default where that has one.
///
/// The options here are common to both.
#[must_use = "there is no server before `build`"]
pub struct Builder<K> {
    pub(crate) options: Options,
    pub(crate) kind: K,
}

/// What is common to all servers.
pub(crate) struct Options {
    path: String,
    trailing_slash: bool,
    pub(crate) transport: transport::Config,
    listening: Listening,
    grace: Duration,
    fallback: Option<Fallback>,
}

impl Options {
    pub(crate) fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            trailing_slash: true,
            transport: transport::Config::default(),
            listening: Listening::default(),
            grace: Duration::from_secs(5),
            fallback: None,
        }
    }

    pub(crate) fn build(self) -> Site {
        let Self { path, trailing_slash, transport, listening, grace, fallback } = self;
        Site {
            path,
            trailing_slash,
            engine: Engine::new(transport),
            adoptions: Adoptions::default(),
            gate: Arc::new(Gate::new(listening)),
            fallback,
            closing: AtomicBool::new(false),
            closed: watch::Sender::new(false),
            grace,
        }
    }
}

impl<K> Builder<K> {
    /// The path under which clients find the server. Default: as theirs, `/socket.io` for Socket.IO
    /// and `/engine.io` for raw Engine.IO.
    pub fn path(mut self, path: &str) -> Self {
        let path = path.trim_matches('/');
        self.options.path = if path.is_empty() { String::new() } else { format!("/{path}") };
        self
    }

    /// Whether the path is the server's only with a slash behind it. Default: yes. Without, it answers
    /// to both forms.
    #[doc(alias = "addTrailingSlash")]
    pub fn trailing_slash(mut self, needed: bool) -> Self {
        self.options.trailing_slash = needed;
        self
    }

    /// The transports that clients may use. Default: polling and websocket.
    pub fn transports(mut self, transports: impl IntoIterator<Item = Transport>) -> Self {
        self.options.transport.transports = transports.into_iter().collect();
        self
    }

    /// Whether a client that polls may upgrade to a websocket. Default: yes.
    #[doc(alias = "allowUpgrades")]
    pub fn allow_upgrades(mut self, allow: bool) -> Self {
        self.options.transport.allow_upgrades = allow;
        self
    }

    /// Whether clients of the JavaScript versions 2.x, and others that speak revision 3 of Engine.IO, may
    /// connect. Default: no, as in Node: they are refused with code 5.
    ///
    /// For them Node is imitated in all but one thing. Such a client computes its `socket.id` from the
    /// session's id, and Node gives the server's socket the same one; but whoever knows that can speak as the
    /// client, so here [`Socket::id`](crate::Socket::id) is another one, which the client is not told.
    #[doc(alias = "allowEIO3")]
    pub fn allow_eio3(mut self, allow: bool) -> Self {
        self.options.transport.allow_eio3 = allow;
        self
    }

    /// How long an upgrade may take, from its websocket's opening on. Default: 10 s.
    #[doc(alias = "upgradeTimeout")]
    pub fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.options.transport.engine.upgrade_timeout = millis(timeout);
        self
    }

    /// Milliseconds resolution: how long after a pong the next ping is sent. Default: 25 s.
    #[doc(alias = "pingInterval")]
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.options.transport.engine.ping_interval = millis(interval);
        self
    }

    /// How long a pong may take before the client is regarded as gone. Default: 20 s.
    #[doc(alias = "pingTimeout")]
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.options.transport.engine.ping_timeout = millis(timeout);
        self
    }

    /// The most bytes of one message, or of one POST, from a client. A larger message ends its
    /// connection with close code 1009, a larger POST is answered with 413. Default: 1 000 000.
    #[doc(alias = "maxHttpBufferSize")]
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.options.transport.engine.max_payload = bytes;
        self
    }

    /// Answers to polls from this size on, in bytes, are compressed (gzip or deflate) for clients that
    /// accept it. Default: 1024; `None` compresses nothing.
    #[doc(alias = "httpCompression")]
    pub fn http_compression(mut self, from: Option<usize>) -> Self {
        self.options.transport.compress_from = from;
        self
    }

    /// Compresses what goes over websockets (permessage-deflate, RFC 7692), plain connections included, for
    /// clients that offer it, as browsers do. Default: nobody is answered to the offer, as in Node; with
    /// [`deflate::Config::default`], messages of 1 KiB and more are compressed, each by itself.
    ///
    /// Compressed like that, an idle client costs no more, and a broadcast is compressed once for all its
    /// receivers. Where the configuration allows *context takeover*, a client for which it is agreed costs up
    /// to 300 KB, and every message is compressed for each by itself: see
    /// [`takeover_budget`](Self::takeover_budget). Node's server takes the context over unless told otherwise.
    ///
    /// What a client sends is inflated to no more than [`max_payload`](Self::max_payload). Secrets that stand in
    /// one message with what others may choose can be guessed by its compressed length: send such messages
    /// uncompressed.
    ///
    /// ```
    /// use sockeye_server::{Server, deflate};
    ///
    /// let mut deflate = deflate::Config::default();
    /// deflate.compression.threshold = 4096;
    /// let io = Server::builder().per_message_deflate(deflate);
    /// ```
    #[doc(alias = "perMessageDeflate")]
    pub fn per_message_deflate(mut self, config: impl Into<Option<deflate::Config>>) -> Self {
        self.options.transport.compression = config.into();
        self
    }

    /// The most bytes that *context takeover* may take for all clients together, where
    /// [`per_message_deflate`](Self::per_message_deflate) allows it: beyond, clients are agreed with on
    /// compression without takeover. Default: 64 MiB.
    pub fn takeover_budget(mut self, bytes: usize) -> Self {
        self.options.transport.takeover_budget = Arc::new(deflate::Budget::new(bytes));
        self
    }

    /// How long the body of a POST may take; each KiB that has come gives one second more. Then the
    /// session ends. Default: 30 s; Node has no limit.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.options.transport.body_timeout = timeout;
        self
    }

    /// The cookie that a client gets with the answer to its first poll. Default: none; Node's
    /// `cookie: true` is [`Cookie::default`].
    pub fn cookie(mut self, cookie: Cookie) -> Self {
        self.options.transport.cookie = Some(cookie);
        self
    }

    /// Which pages of other origins may use the server: the headers of CORS on every answer, preflights,
    /// and a check of the `Origin` of every client that wants to connect, over a websocket, too. Pages of
    /// the server's own origin and programs that are no browsers always may. Default: no headers, so that
    /// only pages of its own origin can poll, and no check, so that every page can open a websocket, as in
    /// Node.
    ///
    /// ```
    /// # use sockeye_server::{Cors, Server};
    /// let cors = Cors::origins(["https://app.example"]).credentials(true).build()?;
    /// let io = Server::builder().cors(cors);
    /// # Ok::<(), sockeye_server::CorsError>(())
    /// ```
    ///
    /// A difference from Node, where CORS protects no websocket.
    pub fn cors(mut self, cors: Cors) -> Self {
        self.options.transport.cors = Some(cors);
        self
    }

    /// The proxies in front of the server, whose word about a client's address counts. Default: none; a
    /// client's address is then its socket's.
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.options.listening.trusted_proxies = Some(proxies.clone());
        self.options.transport.trusted_proxies = Some(proxies);
        self
    }

    /// Whether every connection of a [trusted proxy](Self::trusted_proxies) begins with a PROXY header,
    /// version 1 or 2, where the server owns its connections (`listen`). Default: no.
    pub fn proxy_protocol(mut self, expected: bool) -> Self {
        self.options.listening.proxy_protocol = expected;
        self
    }

    /// The most connections at a time, where the server owns them (`listen`), and the most clients.
    /// Further connections are closed, further clients get status 503. Default: no limit but the
    /// operating system's, at which accepting pauses.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.options.listening.limits.max_open = connections;
        self.options.transport.limits.max_open = connections;
        self
    }

    /// As [`max_connections`](Self::max_connections), for each address: an IPv4 address, or a /64 of
    /// IPv6. A client that polls has several connections, and WebSockets on one connection of HTTP/2 count as
    /// many. Connections of
    /// [trusted proxies](Self::trusted_proxies) count for the clients behind them. Default: no limit,
    /// since a whole office may share an address, and everybody that of a proxy that is not named.
    pub fn max_connections_per_address(mut self, connections: usize) -> Self {
        self.options.listening.limits.max_open_per_address = connections;
        self.options.transport.limits.max_open_per_address = connections;
        self
    }

    /// How fast clients of one address may connect; faster ones get status 429. Default: no limit, for the
    /// same reason. Ten a second with a burst of a hundred stops a storm and no office.
    pub fn handshake_rate(mut self, rate: Rate) -> Self {
        self.options.transport.limits.rate_per_address = Some(rate);
        self
    }

    /// How fast one address may open connections, where the server owns them (`listen`); faster ones are
    /// closed. Default: no limit.
    pub fn connection_rate(mut self, rate: Rate) -> Self {
        self.options.listening.limits.rate_per_address = Some(rate);
        self
    }

    /// How fast one client may send packets. One that is faster is read from more slowly, so that nothing
    /// of it is lost; its heartbeat waits for as long as that takes. With a `per_second` of 0 a client that has
    /// used its burst up is never read from again, and ends by a ping timeout after a minute. Default: no
    /// limit.
    pub fn packet_rate(mut self, rate: Rate) -> Self {
        self.options.transport.packet_rate = Some(rate);
        self
    }

    /// As [`packet_rate`](Self::packet_rate), in bytes. A message may be larger than the burst: then nothing
    /// more is read from its client for as many seconds as what is too much takes. Default: no limit.
    pub fn byte_rate(mut self, rate: Rate) -> Self {
        self.options.transport.byte_rate = Some(rate);
        self
    }

    /// How HTTP/2 is spoken where the server owns its connections (`listen`); `None` leaves HTTP/1.1. Default:
    /// with the defaults of [`Http2`](sockeye_net::Http2), to clients that choose it.
    #[cfg(feature = "http2")]
    pub fn http2(mut self, http2: Option<sockeye_net::Http2>) -> Self {
        self.options.listening.http2 = http2;
        self
    }

    /// Speaks TLS where the server owns its connections (`listen`): `https://` and `wss://` alone. Its
    /// certificates may be replaced while it runs.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, acceptor: sockeye_net::tls::Acceptor) -> Self {
        self.options.listening.tls = Some(acceptor);
        self
    }

    /// How long a client may take to send a request's head, to begin its next request, and a trusted proxy
    /// to send its PROXY header, where the server owns its connections (`listen`). Default: 30 s.
    pub fn head_timeout(mut self, timeout: Duration) -> Self {
        self.options.listening.head_timeout = timeout;
        self
    }

    /// How long a client may take to take what it is sent over HTTP, where the server owns its connections
    /// (`listen`); each KB that it takes meanwhile gives one second more. Default: 30 s. On a websocket,
    /// [`max_buffered_bytes`](Self::max_buffered_bytes) does that.
    ///
    /// Then its connection is closed; if that was the answer to a poll, its session ends with a transport
    /// error, because messages are lost with it.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.options.listening.write_timeout = timeout;
        self
    }

    /// Which headers of a client's first request are kept while it is connected. Default: all. They are
    /// about a quarter of an idle client's memory.
    pub fn keep_headers(mut self, keep: KeepHeaders) -> Self {
        self.options.transport.keep_headers = keep;
        self
    }

    /// As [`keep_headers`](Self::keep_headers), for the headers of these names.
    pub fn keep_only(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.keep_headers(KeepHeaders::Named(names.into_iter().collect()))
    }

    /// Keeps the value of this type that the HTTP server around this one has put into a request, such as an
    /// `axum::Extension` by a layer around the [router](crate::Server::router): hooks see it in
    /// [`Request::extensions`](transport::Request::extensions), and handlers in
    /// [`Handshake::extensions`](transport::Handshake::extensions). Default: none; what an
    /// [`engine_middleware`](Self::engine_middleware) puts there is kept in any case.
    ///
    /// Worst-case memory: one value for each client.
    ///
    /// ```
    /// # #[cfg(feature = "axum")] {
    /// use axum::Extension;
    /// use sockeye_server::{Namespace, Server, Socket};
    ///
    /// #[derive(Clone)]
    /// struct Tenant(&'static str);
    ///
    /// let root = Namespace::new("/").on_connect(|socket: Socket| {
    ///     if let Some(Tenant(name)) = socket.handshake().extensions().get() {
    ///         socket.join(*name);
    ///     }
    /// });
    /// let io = Server::builder().namespace(root).keep_extension::<Tenant>().build();
    /// let app: axum::Router = io.router().layer(Extension(Tenant("blue")));
    /// # }
    /// ```
    pub fn keep_extension<T: Clone + Send + Sync + 'static>(mut self) -> Self {
        self.options.transport.keep_extensions.push::<T>();
        self
    }

    /// A text message that every client gets right behind the open packet. Default: none. It is a raw
    /// Engine.IO message: what speaks Socket.IO takes it for a packet.
    ///
    /// # Panics
    ///
    /// If it holds U+001E, which separates the messages of a poll's answer: a client that polls would get
    /// two, of which the second may be anything.
    #[doc(alias = "initialPacket")]
    pub fn initial_packet(mut self, message: &str) -> Self {
        let splits = message.contains(payload::SEPARATOR);
        assert!(!splits, "an initial packet with U+001E would reach clients that poll in two");
        self.options.transport.initial_packet = Some(Packet::raw(message));
        self
    }

    /// The most bytes that may wait to be written to one client; one that is slower is
    /// disconnected. Default: 1 MiB; Node has no limit.
    ///
    /// What is emitted is written once the handler or task that emits has let others run, and to a client
    /// that polls only when its next poll is there: a burst of more than this at a time ends a client,
    /// however fast it is. [`try_emit`](crate::Socket::try_emit) and [`emit_wait`](crate::Socket::emit_wait)
    /// do not.
    ///
    /// Worst-case memory: this many bytes for each client that does not read.
    pub fn max_buffered_bytes(mut self, bytes: usize) -> Self {
        self.options.transport.max_buffered_bytes = bytes;
        self
    }

    /// How long closing waits for clients and handlers. Default: 5 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.options.grace = grace;
        self
    }

    /// Who answers the requests that are not for this server, where it owns its connections
    /// (`listen`): an axum `Router`, say. Without one they get 404. Upgrades are not for
    /// it: a router with websockets of its own is served by axum, with this server's `router` in it.
    pub fn fallback<S, B>(mut self, service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Error + Send + Sync + 'static,
    {
        self.options.fallback = Some(Box::new(move |request| {
            let mut service = service.clone();
            Box::pin(async move {
                let ready = std::future::poll_fn(|cx| service.poll_ready(cx)).await;
                let response = match ready {
                    Ok(()) => service.call(request).await,
                    Err(never) => match never {},
                };
                match response {
                    Ok(response) => response.map(|body| {
                        body.map_err(|error| Box::new(error) as BoxError).boxed_unsync()
                    }),
                    Err(never) => match never {},
                }
            })
        }));
        self
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl<K: std::fmt::Debug> std::fmt::Debug for Builder<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("path", &self.options.path)
            .field("transport", &self.options.transport)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
