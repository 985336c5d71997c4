//! A server of plain WebSockets: a listener of its own, or a service in somebody else's server.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::ORIGIN;
use http::{Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use sockeye_websocket::CloseCode;
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::sync::watch;
use tower_service::Service;

use super::ending::Why;
use super::handler::Handler;
use super::options::Options;
use super::plain::{Handling, Task};
use super::shared::Shared;
use super::socket::WebSocket;
use super::upgrade::{Accepted, Upgrade};
use crate::gate::{Gate, Listening};
use crate::http::{Answer, Body, Endpoint, Incoming, Successor, full, join_cookies, take_over};
use crate::io::Io;
use crate::wheel::sleep;

/// How often a closing server looks whether the last connection has ended.
const CLOSE_CHECK: Duration = Duration::from_millis(8);

/// A server of plain WebSockets. A clone is the same server.
///
/// Every request that opens a WebSocket gets one; further rules are the [builder](Self::builder)'s.
#[derive(Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

type Handle = Box<dyn Fn(WebSocket, Request<()>) -> Handling + Send + Sync>;

type Judge = Box<dyn Fn(&Request<()>) -> Result<(), (StatusCode, &'static str)> + Send + Sync>;

struct Inner {
    handler: Handle,
    options: Arc<Options>,
    path: Option<String>,
    origins: Option<Vec<String>>,
    judge: Option<Judge>,
    gate: Arc<Gate>,
    grace: Duration,
    closing: watch::Sender<bool>,
    open: Registry,
}

/// The connections that are open.
#[derive(Clone, Default)]
struct Registry(Arc<Mutex<Places>>);

/// A vector of pointers is the least that can find every connection.
#[derive(Default)]
struct Places {
    taken: Vec<Option<Arc<Shared>>>,
    free: Vec<usize>,
}

/// A place in the [`Registry`], as long as it lives.
struct Registered {
    registry: Registry,
    place: usize,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, shared: Arc<Shared>) -> Registered {
        let mut places = self.lock();
        let place = places.free.pop().unwrap_or_else(|| {
            places.taken.push(None);
            places.taken.len() - 1
        });
        places.taken[place] = Some(shared);
        Registered { registry: self.clone(), place }
    }

    fn len(&self) -> usize {
        let places = self.lock();
        places.taken.len() - places.free.len()
    }

    fn all(&self) -> Vec<Arc<Shared>> {
        self.lock().taken.iter().flatten().cloned().collect()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let left = {
            let mut places = self.registry.lock();
            places.free.push(self.place);
            let left = places.taken[self.place].take();
            if places.free.len() == places.taken.len() {
                // The memory of a crowd that has gone.
                *places = Places::default();
            }
            left
        };
        drop(left);
    }
}

/// Builds a [`Server`].
pub struct ServerBuilder {
    inner: Inner,
    listening: Listening,
}

impl Server {
    /// A server with default [options](Options) that runs `handler` for each connection.
    ///
    /// See [`Handler`] for what a handler may be. A handler that panics ends its own connection, with
    /// code 1011.
    pub fn new<P>(handler: impl Handler<P>) -> Self {
        Self::builder(handler).build()
    }

    /// Begins to build a server that runs `handler` for each connection.
    pub fn builder<P>(handler: impl Handler<P>) -> ServerBuilder {
        ServerBuilder {
            inner: Inner {
                handler: Box::new(move |socket, request| Box::pin(handler.handle(socket, request))),
                options: Arc::default(),
                path: None,
                origins: None,
                judge: None,
                gate: Arc::default(),
                grace: Duration::from_secs(10),
                closing: watch::Sender::new(false),
                open: Registry::default(),
            },
            listening: Listening::default(),
        }
    }

    /// Listens on `address` and serves until [`close`](Self::close). Dropping the future stops
    /// accepting and closes the connections, as `close` does, but waits for nothing.
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
        struct CloseOnDrop<'a>(&'a Server);

        impl Drop for CloseOnDrop<'_> {
            fn drop(&mut self) {
                self.0.begin_close();
            }
        }

        let guard = CloseOnDrop(self);
        let Inner { gate, closing, .. } = &*self.inner;
        crate::accept(listener, Face(self.clone()), gate.clone(), closing.subscribe()).await;
        drop(guard);
        Ok(())
    }

    /// The server as a tower service, for any HTTP server on hyper and tokio. With axum:
    /// `Router::new().route_service("/socket", server.service())`.
    #[must_use]
    pub fn service(&self) -> WebSocketService {
        WebSocketService { server: self.clone() }
    }

    /// How many connections are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.inner.open.len()
    }

    /// Stops accepting, closes every connection with code 1001 after what was sent on it, and waits
    /// until all are over, at most for the [grace](ServerBuilder::close_grace); what is left by then
    /// ends at its own [`close_timeout`](super::Limits::close_timeout). Dropping the future goes on
    /// without waiting.
    pub async fn close(&self) {
        self.begin_close();
        let quiet = async {
            while self.connections() > 0 {
                sleep(CLOSE_CHECK).await;
            }
        };
        tokio::select! {
            () = quiet => {}
            () = sleep(self.inner.grace) => {}
        }
    }

    fn begin_close(&self) {
        self.inner.closing.send_replace(true);
        for shared in self.inner.open.all() {
            shared.end(Why::Local(CloseCode::GOING_AWAY, "".into()));
        }
    }

    fn is_closing(&self) -> bool {
        *self.inner.closing.borrow()
    }

    /// Answers a request.
    fn judge<B>(&self, request: Request<B>, peer: Option<SocketAddr>) -> Judged {
        let inner = &self.inner;
        if inner.path.as_ref().is_some_and(|path| path != request.uri().path()) {
            return refuse(StatusCode::NOT_FOUND, "There is nothing here.");
        }
        if self.is_closing() {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "The server is going down.");
        }
        let mut request = request.map(drop);
        join_cookies(request.headers_mut());
        let mut upgrade = match Upgrade::judge(&mut request, &inner.options) {
            Ok(upgrade) => upgrade,
            Err(refused) => return Judged::Refused(refused.into_response()),
        };
        if !inner.allows_origin(&request) {
            return refuse(StatusCode::FORBIDDEN, "This origin is not allowed here.");
        }
        if let Some(Err((status, text))) = inner.judge.as_ref().map(|judge| judge(&request)) {
            return refuse(status, text);
        }
        if let Some(peer) = peer {
            upgrade = upgrade.peer(peer);
        }
        let on_upgrade = upgrade.take_on_upgrade();
        let server = self.clone();
        let begin = move |socket| (server.inner.handler)(socket, request);
        let (response, accepted) = upgrade.into_successor(Box::new(begin));
        Judged::Accepted(response, Served { accepted, server: self.clone() }, on_upgrade)
    }
}

/// What a server makes of a request.
enum Judged {
    Accepted(Response<()>, Served, Option<OnUpgrade>),
    Refused(Response<Body>),
}

impl Inner {
    /// Whether the page that the request comes from may connect. Programs that are no browser send
    /// no origin.
    fn allows_origin(&self, request: &Request<()>) -> bool {
        let (Some(allowed), Some(origin)) = (&self.origins, request.headers().get(ORIGIN)) else {
            return true;
        };
        allowed.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(origin.as_bytes()))
    }
}

impl ServerBuilder {
    /// The options of the connections.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.inner.options = Arc::new(options);
        self
    }

    /// The one path that WebSockets are opened at; others answer 404. Default: any path.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.inner.path = Some(path.into());
        self
    }

    /// The origins whose pages may connect, such as `https://example.com`; others get 403. Default: any,
    /// so who recognises users by cookies has to set this (RFC 6455 §10.2). Clients that are no browsers
    /// send no origin and are let in.
    #[must_use]
    pub fn origins<O: Into<String>>(mut self, origins: impl IntoIterator<Item = O>) -> Self {
        self.inner.origins = Some(origins.into_iter().map(Into::into).collect());
        self
    }

    /// Judges each request that would open a WebSocket; who is not let in gets this status and text.
    /// Default: all are let in. For a judgement that has to wait, or another answer, see [`Upgrade`].
    #[must_use]
    pub fn judge(
        mut self,
        judge: impl Fn(&Request<()>) -> Result<(), (StatusCode, &'static str)> + Send + Sync + 'static,
    ) -> Self {
        self.inner.judge = Some(Box::new(judge));
        self
    }

    /// What [`listen`](Server::listen) bears from its clients before a handshake.
    #[must_use]
    pub fn listening(mut self, listening: Listening) -> Self {
        self.listening = listening;
        self
    }

    /// How [`listen`](Server::listen) speaks HTTP/2; `None` leaves HTTP/1.1. Default: with its own defaults, to
    /// clients that choose it.
    #[cfg(feature = "http2")]
    #[must_use]
    pub fn http2(mut self, http2: Option<crate::Http2>) -> Self {
        self.listening.http2 = http2;
        self
    }

    /// Lets [`listen`](Server::listen) speak TLS: `wss://` instead of `ws://`.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, acceptor: crate::tls::Acceptor) -> Self {
        self.listening.tls = Some(acceptor);
        self
    }

    /// How long [`Server::close`] waits. Default: 10 s.
    #[must_use]
    pub fn close_grace(mut self, grace: Duration) -> Self {
        self.inner.grace = grace;
        self
    }

    /// The server.
    #[must_use]
    pub fn build(self) -> Server {
        let Self { mut inner, listening } = self;
        inner.gate = Arc::new(Gate::new(listening));
        Server { inner: Arc::new(inner) }
    }
}

fn refuse(status: StatusCode, text: &'static str) -> Judged {
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    Judged::Refused(response)
}

/// A connection of a server, about to begin.
struct Served {
    accepted: Accepted,
    server: Server,
}

/// The task of a server's connection.
struct ServedTask {
    task: Task,
    _registered: Registered,
}

impl Successor for Served {
    type Task = ServedTask;

    fn start(self, io: Io, leftover: &[u8]) -> ServedTask {
        let Self { accepted, server } = self;
        let shared = accepted.shared.clone();
        let registered = server.inner.open.enter(shared.clone());
        let task = accepted.start(io, leftover);
        if server.is_closing() {
            // It may have come too late to be told.
            shared.end(Why::Local(CloseCode::GOING_AWAY, "".into()));
        }
        ServedTask { task, _registered: registered }
    }
}

impl Future for ServedTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.task).poll(cx)
    }
}

/// The face that owns its connections.
#[derive(Clone)]
struct Face(Server);

impl Endpoint for Face {
    type Successor = Served;

    fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Answer<Served>> + Send + use<> {
        ready(match self.0.judge(request, Some(peer)) {
            Judged::Accepted(response, served, _) => Answer::Upgrade(response, served),
            Judged::Refused(response) => Answer::Http(response),
        })
    }
}

/// A [`Server`] as a tower service: see [`Server::service`].
#[derive(Clone, Debug)]
pub struct WebSocketService {
    server: Server,
}

impl<B> Service<Request<B>> for WebSocketService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(match self.server.judge(request, None) {
            Judged::Accepted(response, served, on_upgrade) => {
                if let Some(on_upgrade) = on_upgrade {
                    drop(tokio::spawn(take_over(on_upgrade, served)));
                }
                response.map(|()| full(""))
            }
            Judged::Refused(response) => response,
        }))
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("connections", &self.connections()).finish_non_exhaustive()
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}
