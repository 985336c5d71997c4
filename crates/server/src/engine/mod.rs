//! Raw Engine.IO: sessions that outlive a change of transport, with a heartbeat, and messages of text or
//! bytes. It is what Socket.IO stands on, for those who build something else on it; a server of Socket.IO can
//! [adopt](crate::Server::adopt) its clients.
//!
//! ```no_run
//! use sockeye_server::engine::{Connection, Engine};
//!
//! # async fn run() -> std::io::Result<()> {
//! let engine = Engine::builder().build(|mut connection: Connection| async move {
//!     while let Some(message) = connection.recv().await {
//!         connection.send(message).ok();
//!     }
//! });
//! engine.listen("127.0.0.1:3000").await
//! # }
//! ```
//!
//! Clients are those of the npm package `engine.io-client`, and of other languages, of protocol
//! revision 4, and of revision 3 where that is [allowed](Builder::allow_eio3). The options are those of [every server](crate::Builder).

mod connection;
mod inbox;
mod sender;
mod session;

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use sockeye_transport::Shared;
use tokio::net::{TcpListener, ToSocketAddrs};

pub use connection::{Connection, Message};
pub use sender::{SendError, Sender, TrySendError};
pub use sockeye_engineio::CloseReason;

pub use crate::metrics::EngineMetrics;
use crate::metrics::{Counts, Faults, Refusals, TurnedAways};
use crate::options::{Builder, Options};
use crate::site::{self, App, Filing, HttpService, Site};
use crate::tasks::Tasks;
use session::Session;

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;
type Serve = Box<dyn Fn(Connection) -> Running + Send + Sync>;

/// Makes an [`Engine`].
pub type EngineBuilder = Builder<EngineIo>;

/// What a [`Builder`] of raw Engine.IO holds besides the common options.
#[derive(Debug)]
pub struct EngineIo {
    max_waiting_bytes: usize,
}

impl Default for EngineBuilder {
    fn default() -> Self {
        Self {
            options: Options::new("/engine.io"),
            kind: EngineIo { max_waiting_bytes: 1024 * 1024 },
        }
    }
}

impl EngineBuilder {
    /// The most bytes of messages from one client that may wait for [`Connection::recv`]; then nothing
    /// more is read from it until some are taken. One message may always wait, be it as large as it may.
    /// Default: 1 MiB.
    pub fn max_waiting_bytes(mut self, bytes: usize) -> Self {
        self.kind.max_waiting_bytes = bytes.max(1);
        self
    }

    /// The engine, not listening yet. `serve` is called for every client that connects, and its future
    /// spawned; a client whose [`Connection`] is dropped is disconnected.
    pub fn build<F, R>(self, serve: F) -> Engine
    where
        F: Fn(Connection) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let Self { options, kind } = self;
        Engine {
            inner: Arc::new(Inner {
                site: options.build(),
                kind,
                serve: Box::new(move |connection| Box::pin(serve(connection))),
                tasks: Tasks::default(),
            }),
        }
    }
}

/// A server of raw Engine.IO. A clone is another handle of the same server.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    site: Site,
    kind: EngineIo,
    serve: Serve,
    tasks: Tasks,
}

impl Inner {
    fn spawn(&self, connection: Connection) {
        self.tasks.spawn((self.serve)(connection));
    }
}

impl Engine {
    /// A builder with the defaults of the official server.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// Listens on `address` and serves until [`close`](Self::close). Requests outside of the engine's
    /// [path](Self::path) go to the [fallback](Builder::fallback).
    ///
    /// Dropping the future stops accepting and disconnects the clients, as `close` does, but waits for
    /// nothing.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub async fn listen(&self, address: impl ToSocketAddrs) -> io::Result<()> {
        self.serve_listener(TcpListener::bind(address).await?).await
    }

    /// Like [`listen`](Self::listen), on a socket that is bound already.
    ///
    /// # Errors
    ///
    /// None now; reserved for listeners that fail for good.
    pub async fn serve_listener(&self, listener: TcpListener) -> io::Result<()> {
        site::listen(self, listener).await
    }

    /// The engine as a tower service, for any HTTP server on hyper and tokio. Requests outside of its
    /// [path](Self::path) get 404.
    pub fn service(&self) -> HttpService<Self> {
        HttpService { app: self.clone() }
    }

    /// The engine as an axum router; see [`Server::router`](crate::Server::router).
    #[cfg(feature = "axum")]
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> axum::Router<S> {
        site::router(self)
    }

    /// How many clients are connected.
    #[doc(alias = "clientsCount")]
    pub fn clients(&self) -> usize {
        self.inner.site.engine.len()
    }

    /// What has happened since the engine was built, in counts.
    pub fn metrics(&self) -> EngineMetrics {
        EngineMetrics::read(&self.inner.site)
    }

    /// How many requests were refused since the engine was built, by reason.
    pub fn refusals(&self) -> Refusals {
        Counts::new(self.inner.site.engine.refusals())
    }

    /// How many requests of open sessions were not served since the engine was built, by reason.
    pub fn faults(&self) -> Faults {
        Counts::new(self.inner.site.engine.faults())
    }

    /// How many connections were ended before, or while, they spoke HTTP, by reason.
    pub fn turned_away(&self) -> TurnedAways {
        Counts::new(self.inner.site.gate.turned_away())
    }

    /// The path under which the engine is found, without a trailing slash.
    pub fn path(&self) -> &str {
        &self.inner.site.path
    }

    /// Closes the engine: it accepts no more clients, those that it has get what is queued for them and are
    /// disconnected, and what is still going on after the [grace](Builder::grace) is cut off. A client that
    /// polls fetches the rest by another poll, so [`listen`](Self::listen) goes on until the last client is
    /// gone: do not drop it before this is ready.
    ///
    /// Ready when all that is done. Dropping the future does not stop the closing, only the wait, and
    /// with it the abortion of what outlives the grace.
    pub async fn close(&self) {
        self.inner.tasks.close(&self.inner.site).await;
    }
}

impl Engine {
    /// Closes the engine gently: from this call on it refuses new clients, and it disconnects those that it has over the
    /// `window`, a few at a time, as [`Server::drain`](crate::Server::drain) does.
    ///
    /// Ready when all is done, which may take the [grace](Builder::grace) longer than the window. Dropping
    /// the future ends the draining; new clients are still refused.
    pub fn drain(&self, window: Duration) -> impl Future<Output = ()> + Send + '_ {
        self.inner.site.engine.drain();
        async move {
            self.inner.site.drain(window).await;
            self.close().await;
        }
    }

    /// Whether new clients are let in: not once the engine [drains](Self::drain) or
    /// [closes](Self::close).
    pub fn is_accepting(&self) -> bool {
        self.inner.site.engine.is_accepting()
    }
}

impl App for Engine {
    type Handler = Session;

    fn site(&self) -> &Site {
        &self.inner.site
    }

    fn handler(&self, session: &Arc<Shared>) -> Session {
        Session::new(self.inner.clone(), session.clone())
    }

    fn file(&self, _: &str, _: &HeaderMap) -> Option<Filing> {
        None
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("path", &self.path())
            .field("clients", &self.clients())
            .finish_non_exhaustive()
    }
}
