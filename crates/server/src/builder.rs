//! How a server is made.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Incoming};
use sockeye_net::http::BoxError;
use sockeye_transport::Engine;
use tokio::sync::watch;
use tower_service::Service;

use crate::bundle::Bundle;
use crate::config::Config;
use crate::namespace::{self, Namespace};
use crate::server::{Core, Fallback, Inner, Server};

/// Makes a [`Server`]. Every option has the official server's default where that has one.
#[derive(Default)]
pub struct ServerBuilder {
    config: Config,
    namespaces: Vec<Namespace>,
    bundle: Bundle,
    fallback: Option<Fallback>,
}

impl ServerBuilder {
    /// Adds a namespace. Of several with one path, the last counts.
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.namespaces.push(namespace);
        self
    }

    /// The path under which clients find the server. Default: `/socket.io`, as theirs.
    pub fn path(mut self, path: &str) -> Self {
        let path = path.trim_matches('/');
        self.config.path = if path.is_empty() { String::new() } else { format!("/{path}") };
        self
    }

    /// Milliseconds resolution: how long after a pong the next ping is sent. Default: 25 s.
    #[doc(alias = "pingInterval")]
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.config.transport.engine.ping_interval = millis(interval);
        self
    }

    /// How long a pong may take before the client is regarded as gone. Default: 20 s.
    #[doc(alias = "pingTimeout")]
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.config.transport.engine.ping_timeout = millis(timeout);
        self
    }

    /// The most bytes of one message from a client; a larger one ends its connection with close
    /// code 1009. Default: 1 000 000.
    #[doc(alias = "maxHttpBufferSize")]
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.config.transport.engine.max_payload = bytes;
        self
    }

    /// How long a client may stay without joining a namespace. Default: 45 s.
    #[doc(alias = "connectTimeout")]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.config.socketio.connect_timeout = millis(timeout);
        self
    }

    /// The most attachments of one packet from a client. Default: 10, as in Node.
    #[doc(alias = "maxAttachments")]
    pub fn max_attachments(mut self, attachments: u32) -> Self {
        self.config.socketio.max_attachments = attachments;
        self
    }

    /// How long the attachments of a packet may take. Default: 60 s; Node waits for ever.
    pub fn attachment_timeout(mut self, timeout: Duration) -> Self {
        self.config.socketio.attachment_timeout = millis(timeout);
        self
    }

    /// The most bytes that may wait to be written to one client; one that is slower is
    /// disconnected. Default: 1 MiB; Node has no limit.
    ///
    /// Worst-case memory: this many bytes for each client that does not read.
    pub fn max_buffered_bytes(mut self, bytes: usize) -> Self {
        self.config.max_buffered_bytes = bytes;
        self
    }

    /// The most handlers of one client that may be waiting for something at a time; further events
    /// queue. Default: 32; Node has no limit.
    pub fn max_running_handlers(mut self, handlers: u32) -> Self {
        self.config.handlers.max_running = handlers.max(1);
        self
    }

    /// The most bytes of one client's events that may queue for its handlers; then nothing more is
    /// read from it until some are done. Default: 1 MiB.
    pub fn max_waiting_bytes(mut self, bytes: usize) -> Self {
        self.config.handlers.max_waiting_bytes = bytes;
        self
    }

    /// How long a client's answer is awaited, unless told otherwise. Default: 20 s; Node waits for
    /// ever.
    #[doc(alias = "ackTimeout")]
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.config.ack_timeout = timeout;
        self
    }

    /// The most answers that one socket may owe at a time; further events with an ack are refused.
    /// Default: 4096; Node has no limit.
    pub fn max_pending_acks(mut self, acks: usize) -> Self {
        self.config.max_pending_acks = acks;
        self
    }

    /// How long [`Server::close`] waits for clients and handlers. Default: 5 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.config.grace = grace;
        self
    }

    /// Serves the official client's bundles from this directory (`socket.io.js` and its siblings,
    /// as in the npm package `socket.io`'s `client-dist`) instead of Sockeye's own client. They are
    /// read now.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read, or holds no `socket.io.js`.
    #[doc(alias = "serveClient")]
    pub fn serve_client(mut self, dir: impl AsRef<Path>) -> io::Result<Self> {
        self.bundle = Bundle::from_dir(dir.as_ref())?;
        Ok(self)
    }

    /// Serves no client at all.
    #[doc(alias = "serveClient")]
    pub fn without_client(mut self) -> Self {
        self.bundle = Bundle::none();
        self
    }

    /// Who answers the requests that are not for this server, where it owns its connections
    /// ([`Server::listen`]): an axum `Router`, say. Without one they get 404. Upgrades are not for
    /// it: a router with websockets of its own is served by axum, with [`Server::router`] in it.
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
        self.fallback = Some(Box::new(move |request| {
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

    /// The server, not listening yet.
    pub fn build(self) -> Server {
        let Self { mut config, namespaces, bundle, fallback } = self;
        config.transport.max_buffered_bytes = config.max_buffered_bytes;
        let engine = Engine::new(config.transport.clone());
        let core = Arc::new(Core::new(config));
        let namespaces = namespaces
            .into_iter()
            .map(|namespace| {
                let path = namespace.path.clone();
                (path, Arc::new(namespace::Inner::new(namespace, core.clone())))
            })
            .collect();
        let closing = watch::Sender::new(false);
        Server { inner: Arc::new(Inner { core, engine, namespaces, bundle, fallback, closing }) }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl std::fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("config", &self.config)
            .field("namespaces", &self.namespaces)
            .finish_non_exhaustive()
    }
}
