//! The two faces of the server towards HTTP: it owns its connections, or it is a service in
//! somebody else's server. Both answer a request by the same function.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use sockeye_net::http::{Answer, Body, Endpoint, full, take_over};
use sockeye_transport::{self as transport, Session};
use tokio::net::{TcpListener, ToSocketAddrs};
use tower_service::Service;

use crate::client::Client;
use crate::server::{Server, UNKNOWN_ADDRESS};

impl Server {
    /// Listens on `address` and serves until [`close`](Self::close). Requests that are not
    /// Socket.IO's go to the [fallback](crate::ServerBuilder::fallback).
    ///
    /// Dropping the future stops accepting and disconnects the clients, as `close` does, but waits
    /// for nothing.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub async fn listen(&self, address: impl ToSocketAddrs) -> io::Result<()> {
        let listener = TcpListener::bind(address).await?;
        self.serve_listener(listener).await
    }

    /// Like [`listen`](Self::listen), on a socket that is bound already.
    ///
    /// # Errors
    ///
    /// None now; reserved for listeners that fail for good.
    pub async fn serve_listener(&self, listener: TcpListener) -> io::Result<()> {
        struct CloseOnDrop<'a>(&'a Server);

        impl Drop for CloseOnDrop<'_> {
            fn drop(&mut self) {
                self.0.inner.begin_close();
            }
        }

        let guard = CloseOnDrop(self);
        let closing = self.inner.closing.subscribe();
        sockeye_net::accept(listener, Face(self.clone()), closing).await;
        drop(guard);
        Ok(())
    }

    /// The server as a tower service, for any HTTP server on hyper and tokio. Requests outside of
    /// the server's [path](Self::path) get 404.
    pub fn service(&self) -> SocketIoService {
        SocketIoService { server: self.clone() }
    }

    /// The server as an axum router, to be merged into an application:
    /// `axum::Router::new().merge(io.router())`.
    ///
    /// With axum's `into_make_service_with_connect_info::<SocketAddr>()`, handshakes have the
    /// client's address; without, it is `0.0.0.0:0`.
    #[cfg(feature = "axum")]
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> axum::Router<S> {
        let path = self.path();
        axum::Router::new()
            .route_service(&format!("{path}/"), self.service())
            .route_service(&format!("{path}/{{*rest}}"), self.service())
    }

    /// The rest of a request's path behind the server's own, if the request is for it. As in Node,
    /// the slash belongs to it: `/socket.io` is not ours, and `/socket.io/` is.
    fn rest<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(self.path())?.strip_prefix('/')
    }

    fn answer(&self, rest: &str, request: &transport::Request<'_>) -> Answer<Session<Client>> {
        if let Some(file) = self.inner.bundle.answer(rest, request.headers) {
            return Answer::Http(file);
        }
        if *self.inner.closing.borrow() {
            let mut response = Response::new(full("the server is shutting down"));
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return Answer::Http(response);
        }
        let server = self.inner.clone();
        self.inner.engine.answer(*request, |session| Client::new(server, session))
    }
}

/// The face that owns its connections.
#[derive(Clone)]
struct Face(Server);

impl Endpoint for Face {
    type Protocol = Session<Client>;

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Answer<Self::Protocol> {
        let Self(server) = self;
        if let Some(rest) = server.rest(request.uri().path()) {
            return server.answer(rest, &judged(&request, peer));
        }
        match &server.inner.fallback {
            Some(fallback) => Answer::Http(fallback(request).await),
            None => Answer::Http(not_found()),
        }
    }
}

/// The face in somebody else's HTTP server; see [`Server::service`].
#[derive(Clone, Debug)]
pub struct SocketIoService {
    server: Server,
}

impl<B> Service<Request<B>> for SocketIoService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let path = original_path(&request);
        let Some(rest) = self.server.rest(&path) else {
            return std::future::ready(Ok(not_found()));
        };
        let answer = self.server.answer(rest, &judged(&request, address(&request)));
        let response = match answer {
            Answer::Http(response) => response,
            Answer::Upgrade(response, session) => {
                let connection = take_over(hyper::upgrade::on(&mut request), session);
                drop(tokio::spawn(connection));
                response.map(|()| full(Bytes::new()))
            }
        };
        std::future::ready(Ok(response))
    }
}

/// A nested axum router strips its prefix from the path; the whole one is in an extension.
fn original_path<B>(request: &Request<B>) -> String {
    #[cfg(feature = "axum")]
    if let Some(original) = request.extensions().get::<axum::extract::OriginalUri>() {
        return original.0.path().to_owned();
    }
    request.uri().path().to_owned()
}

fn address<B>(request: &Request<B>) -> SocketAddr {
    #[cfg(feature = "axum")]
    if let Some(info) = request.extensions().get::<axum::extract::ConnectInfo<SocketAddr>>() {
        return info.0;
    }
    let _ = request;
    UNKNOWN_ADDRESS
}

fn judged<B>(request: &Request<B>, address: SocketAddr) -> transport::Request<'_> {
    transport::Request {
        method: request.method(),
        uri: request.uri(),
        version: request.version(),
        headers: request.headers(),
        address,
    }
}

fn not_found() -> Response<Body> {
    let mut response = Response::new(full("not found"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}
