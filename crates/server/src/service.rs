//! The server towards HTTP.

use std::io;
use std::sync::Arc;

use http::HeaderMap;
use sockeye_transport::Shared;
use tokio::net::{TcpListener, ToSocketAddrs};

use crate::client::{Client, PlainClient};
use crate::server::Server;
use crate::site::{self, App, Beside, Filing, HttpService, Site};

/// The Socket.IO server in somebody else's HTTP server; see [`Server::service`].
pub type SocketIoService = HttpService<Server>;

impl Server {
    /// Listens on `address` and serves until [`close`](Self::close). Requests that are not
    /// Socket.IO's go to the [fallback](crate::Builder::fallback).
    ///
    /// Dropping the future stops accepting and disconnects the clients, as `close` does, but waits
    /// for nothing.
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

    /// The server as a tower service, for any HTTP server on hyper and tokio. Requests outside of
    /// the server's [path](Self::path) get 404.
    ///
    /// A POST of a client that polls is heard out, even if the client goes away at once, from the moment in
    /// which the service is called. hyper may drop a request's future before its first poll, and routers
    /// such as axum's call their services no earlier; behind them such a POST may be lost, as one is that
    /// never came.
    pub fn service(&self) -> SocketIoService {
        HttpService { app: self.clone() }
    }

    /// The server as an axum router, to be merged into an application:
    /// `axum::Router::new().merge(io.router())`.
    ///
    /// With axum's `into_make_service_with_connect_info::<SocketAddr>()`, handshakes have the
    /// client's address; without, it is `0.0.0.0:0`.
    #[cfg(feature = "axum")]
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> axum::Router<S> {
        site::router(self)
    }
}

impl App for Server {
    type Handler = Client;

    fn site(&self) -> &Site {
        &self.inner.site
    }

    fn handler(&self, session: &Arc<Shared>) -> Client {
        Client::new(self.inner.clone(), session)
    }

    fn beside(&self, path: &str) -> Option<Beside<Client>> {
        let route = self.inner.plain.iter().find(|route| *route.path == *path)?;
        let (server, namespace) = (self.inner.clone(), route.namespace.clone());
        Some(Box::new(move |request| {
            let inner = server.clone();
            server
                .site
                .engine
                .answer_plain(request, move |session| PlainClient::new(inner, namespace, session))
        }))
    }

    fn paths_beside(&self) -> Vec<&str> {
        self.inner.plain.iter().map(|route| &*route.path).collect()
    }

    fn file(&self, name: &str, request: &HeaderMap) -> Option<Filing> {
        let answer = self.inner.bundle.answer(name, request)?;
        Some(Box::pin(answer))
    }
}
