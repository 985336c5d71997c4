//! The two faces towards HTTP: a server that owns its connections, or a service in somebody else's
//! server. Socket.IO and raw Engine.IO have both; either way a request is answered by the same
//! function.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Body as HttpBody;
use sockeye_engineio::CloseReason;
use sockeye_net::Gate;
use sockeye_net::http::{Answer, Body, Endpoint, Incoming, full, take_over};
use sockeye_net::wheel::sleep;
use sockeye_transport::{self as transport, Answering, Ending, Engine, Handler, Shared, Upgraded};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tower_service::Service;

use crate::adopt::Adoptions;

/// The address of a client whose address the HTTP server does not tell.
const UNKNOWN_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// How often a closing server looks whether the last session has ended.
const CLOSE_CHECK: Duration = Duration::from_millis(8);

/// Who answers the requests that are not for the engine.
pub(crate) type Fallback = Box<
    dyn Fn(Request<Incoming>) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> + Send + Sync,
>;

/// What a server has towards HTTP.
pub(crate) struct Site {
    /// With a leading and without a trailing slash.
    pub(crate) path: String,
    /// Whether the path is the server's only with a slash behind it.
    pub(crate) trailing_slash: bool,
    pub(crate) engine: Engine,
    /// Sessions of other engines.
    pub(crate) adoptions: Adoptions,
    pub(crate) gate: Arc<Gate>,
    pub(crate) fallback: Option<Fallback>,
    /// No session is opened any more.
    pub(crate) closing: AtomicBool,
    /// Listeners and connections that speak HTTP end. Later than `closing`: who polls needs them to hear the
    /// rest.
    pub(crate) closed: watch::Sender<bool>,
    pub(crate) grace: Duration,
}

impl Site {
    /// The rest of a request's path behind the server's own, if the request is for it. As in Node, the
    /// slash belongs to it, unless told otherwise: `/socket.io` is not ours, and `/socket.io/` is.
    fn rest<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(&self.path)?;
        match rest.strip_prefix('/') {
            Some(rest) => Some(rest),
            None => (rest.is_empty() && !self.trailing_slash).then_some(""),
        }
    }

    /// Ends every session; what is queued still goes out, and can be polled for until the end of the grace.
    /// Whatever else is on the way to HTTP ends when the last session has.
    pub(crate) fn begin_close(&self) {
        self.engine.close_all(CloseReason::ServerShuttingDown);
        for session in self.adoptions.sessions() {
            session.close(Ending::of(CloseReason::ServerShuttingDown));
        }
        if self.closing.swap(true, Ordering::Relaxed) {
            return;
        }
        // In a task of its own, since whoever closes may not wait for it.
        let (engine, closed, grace) = (self.engine.clone(), self.closed.clone(), self.grace);
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move {
                tokio::select! {
                    () = quiet(&engine) => {}
                    () = sleep(grace) => {}
                }
                closed.send_replace(true);
            })),
            Err(_) => self.end_http(),
        }
    }

    /// Ends at once what [`begin_close`](Self::begin_close) has not ended by the end of the grace.
    pub(crate) fn cut_off(&self) {
        self.engine.discard_all(CloseReason::ServerShuttingDown);
        for session in self.adoptions.sessions() {
            session.discard(Ending::of(CloseReason::ServerShuttingDown));
        }
        self.end_http();
    }

    /// Lets listeners, and connections that speak HTTP, end.
    fn end_http(&self) {
        self.closed.send_replace(true);
    }

    /// Ready when the last session has ended, and with it HTTP.
    pub(crate) async fn quiet(&self) {
        quiet(&self.engine).await;
        self.end_http();
        while !self.adoptions.is_empty() {
            sleep(CLOSE_CHECK).await;
        }
    }
}

async fn quiet(engine: &Engine) {
    while !engine.is_quiet() {
        sleep(CLOSE_CHECK).await;
    }
}

/// Answers a request for a path that is the server's and not the engine's.
pub(crate) type Beside<H> = Box<dyn FnOnce(transport::Request) -> Answering<H> + Send>;

/// The answer to a request for a file, which is being made.
pub(crate) type Filing = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// A server that has a [`Site`].
pub(crate) trait App: Clone + Send + Sync + Unpin + 'static {
    /// Who gets the messages of its sessions.
    type Handler: Handler;

    /// Its face.
    fn site(&self) -> &Site;

    /// Makes the handler of a session that is about to open.
    fn handler(&self, session: &Arc<Shared>) -> Self::Handler;

    /// Who answers the requests for a path that is the server's and not the engine's, if it is one.
    fn beside(&self, path: &str) -> Option<Beside<Self::Handler>> {
        let _ = path;
        None
    }

    /// All paths of that kind.
    fn paths_beside(&self) -> Vec<&str> {
        Vec::new()
    }

    /// A file of this name under the server's path.
    fn file(&self, name: &str, request: &HeaderMap) -> Option<Filing>;
}

/// Where within the server a request goes.
enum Place<H: Handler> {
    /// To the engine, or for a file: the rest of the path.
    Engine(String),
    Beside(Beside<H>),
}

impl<H: Handler> Place<H> {
    /// None if the path is not the server's.
    fn of<A: App<Handler = H>>(app: &A, path: &str) -> Option<Self> {
        let engine = || Some(Self::Engine(app.site().rest(path)?.to_owned()));
        app.beside(path).map(Self::Beside).or_else(engine)
    }

    fn answer<A: App<Handler = H>, B>(
        self,
        app: &A,
        request: transport::Request,
        body: B,
    ) -> Answering<H>
    where
        B: HttpBody + Send + 'static,
        B::Data: Send,
    {
        let rest = match self {
            Self::Engine(rest) => rest,
            Self::Beside(answer) => return answer(request),
        };
        let engine = &app.site().engine;
        if request.method != Method::OPTIONS
            && let Some(file) = app.file(&rest, &request.headers)
        {
            let engine = engine.clone();
            return Box::pin(async move {
                let mut file = file.await;
                engine.apply_cors(&request, file.headers_mut());
                Answer::Http(file)
            });
        }
        let server = app.clone();
        engine.answer(request, body, move |session| server.handler(session))
    }
}

/// Serves until the site is closed. Dropping the future begins to close it.
pub(crate) async fn listen<A: App>(app: &A, listener: TcpListener) -> io::Result<()> {
    struct CloseOnDrop<'a>(&'a Site);

    impl Drop for CloseOnDrop<'_> {
        fn drop(&mut self) {
            self.0.begin_close();
        }
    }

    let site = app.site();
    let guard = CloseOnDrop(site);
    sockeye_net::accept(listener, Face(app.clone()), site.gate.clone(), site.closed.subscribe())
        .await;
    drop(guard);
    Ok(())
}

/// The face that owns its connections.
#[derive(Clone)]
struct Face<A>(A);

impl<A: App> Endpoint for Face<A> {
    type Successor = Upgraded<A::Handler>;

    fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Answer<Self::Successor>> + Send + use<A> {
        let Self(app) = self;
        let site = app.site();
        if let Some(place) = Place::of(app, request.uri().path()) {
            let (parts, body) = request.into_parts();
            return place.answer(app, site.engine.request(parts, peer), body);
        }
        match &site.fallback {
            Some(fallback) => {
                let answering = fallback(request);
                Box::pin(async { Answer::Http(answering.await) })
            }
            None => Box::pin(std::future::ready(Answer::Http(not_found()))),
        }
    }
}

/// A server as a tower service, for any HTTP server on hyper and tokio: see `service` of the server.
#[derive(Clone, Debug)]
pub struct HttpService<A> {
    pub(crate) app: A,
}

impl<A: App, B> Service<Request<B>> for HttpService<A>
where
    B: HttpBody + Send + 'static,
    B::Data: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(place) = Place::of(&self.app, &original_path(&request)) else {
            return Box::pin(std::future::ready(Ok(not_found())));
        };
        let peer = address(&request);
        let on_upgrade = hyper::upgrade::on(&mut request);
        let (parts, body) = request.into_parts();
        let request = self.app.site().engine.request(parts, peer);
        let answering = place.answer(&self.app, request, body);
        Box::pin(async move {
            Ok(match answering.await {
                Answer::Http(response) => response,
                Answer::Upgrade(response, successor) => {
                    drop(tokio::spawn(take_over(on_upgrade, successor)));
                    response.map(|()| full(Bytes::new()))
                }
            })
        })
    }
}

/// The service as an axum router: at the site's path, at all below it, and at the paths beside it.
#[cfg(feature = "axum")]
pub(crate) fn router<A: App, S: Clone + Send + Sync + 'static>(app: &A) -> axum::Router<S> {
    let service = || HttpService { app: app.clone() };
    let Site { path, trailing_slash, .. } = app.site();
    let mut router = axum::Router::new()
        .route_service(&format!("{path}/"), service())
        .route_service(&format!("{path}/{{*rest}}"), service());
    for beside in app.paths_beside() {
        router = router.route_service(beside, service());
    }
    if *trailing_slash || path.is_empty() { router } else { router.route_service(path, service()) }
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

fn not_found() -> Response<Body> {
    let mut response = Response::new(full("not found"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}
