//! The HTTP phase of a connection and its end: hyper speaks every HTTP byte, and when a request
//! is answered with an upgrade, the socket comes back and the [driver](crate::Driver) goes on with
//! it in the same task.
//!
//! Which HTTP a connection speaks is known before that: by ALPN through TLS, else by how it begins. With
//! HTTP/2 each stream goes the same way, and the connection stays.
//!
//! Two faces end here: [`serve`] owns the socket from the start; [`take_over`] gets it from an
//! HTTP server of somebody else's, such as axum's. Either way everything of HTTP (hyper's
//! connection, its buffers, the request) is dropped before the driver's first step: kept alive, it
//! costs some 16 KB a connection.

mod incoming;
pub(crate) mod rewind;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::server::conn::http1::{self, Parts};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::upgrade::downcast;
use sockeye_websocket::handshake::server::Refusal;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::addresses::Admission;
use crate::driver::Driver;
use crate::gate::{Gate, TurnedAway};
#[cfg(feature = "http2")]
use crate::http2;
use crate::io::Io;
use crate::patient::Patient;
use crate::protocol::Protocol;
use crate::proxy;
use crate::scratch::Scratch;
use crate::wheel::sleep;
use rewind::Rewind;

pub use incoming::Incoming;

/// The most bytes of a request's head, and of what is buffered of an answer, for one connection. Node
/// allows 16 KiB for a head; hyper would allow 400.
const MAX_BUFFER: usize = 64 * 1024;

/// How long a connection is kept after its last answer for what its client still sends, at most.
const LINGER: Duration = Duration::from_secs(30);

/// The same, while it sends nothing.
const SILENCE: Duration = Duration::from_secs(2);

/// The most bytes of that, for one connection.
const DRAIN: usize = 16 * 1024 * 1024;

/// Any error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A body that is there at once.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    http_body_util::Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// What an [`Endpoint`] answers.
#[derive(Debug)]
pub enum Answer<S> {
    /// An ordinary HTTP response.
    Http(Response<Body>),
    /// `101 Switching Protocols`, or over HTTP/2 `200 OK`, and what goes on from there.
    Upgrade(Response<()>, S),
}

/// What takes a connection over from HTTP. Every [`Protocol`] does, by a [`Driver`] of its own.
pub trait Successor: Send + Unpin + 'static {
    /// The rest of the connection's life.
    type Task: Future<Output = ()> + Send + Unpin + 'static;

    /// Begins it, on the stream behind the `101` response: the connection, or a stream of HTTP/2. `leftover` is what the client sent
    /// behind its request.
    fn start(self, io: Io, leftover: &[u8]) -> Self::Task;
}

impl<P: Protocol> Successor for P {
    type Task = Driver<P>;

    fn start(self, io: Io, leftover: &[u8]) -> Driver<P> {
        Driver::new(io, leftover, self)
    }
}

/// Answers the requests of the connections that [`serve`] owns.
pub trait Endpoint: Clone + Send + Sync + Unpin + 'static {
    /// What goes on after an upgrade.
    type Successor: Successor;

    /// Answers one request of the client at `peer`.
    ///
    /// The call is made as soon as the request's head is there. The future is dropped when the client goes
    /// away, be it before its first poll.
    ///
    /// Over HTTP/2, a request with [`connect_protocol`] asks for a WebSocket; other CONNECTs do not come here.
    fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Answer<Self::Successor>> + Send + use<Self>;
}

/// In the extensions of a request that came through TLS. [`serve`] puts it there, where it ends TLS itself;
/// whoever does so in an HTTP server of their own puts it there for those behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverTls;

/// The protocol that an extended CONNECT asks for (RFC 8441 §4): `websocket`. `None` for every other request,
/// and without the feature `http2`.
#[must_use]
pub fn connect_protocol(extensions: &Extensions) -> Option<&str> {
    #[cfg(feature = "http2")]
    return extensions.get::<hyper::ext::Protocol>().map(hyper::ext::Protocol::as_str);
    #[cfg(not(feature = "http2"))]
    {
        let _ = extensions;
        None
    }
}

/// Makes one line of the lines of `Cookie`, which a client of HTTP/2 may send in crumbs so that they compress
/// better (RFC 9113 §8.2.3). Browsers do. A listener of ours has done so already.
pub fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else { return };
    let mut whole = first.as_bytes().to_vec();
    for crumb in [second].into_iter().chain(crumbs) {
        whole.extend_from_slice(b"; ");
        whole.extend_from_slice(crumb.as_bytes());
    }
    let whole = HeaderValue::from_bytes(&whole).expect("every part is a header's value");
    headers.insert(COOKIE, whole);
}

/// The answer to a request that opens no WebSocket.
pub fn refused(refusal: Refusal) -> Response<Body> {
    let mut response = Response::new(full(refusal.to_string()));
    *response.status_mut() =
        StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    for (name, value) in refusal.headers() {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// A connection handed over by HTTP, or a stream of one.
pub(crate) struct HandedOver<S> {
    pub(crate) io: Io,
    /// What the client sent behind its handshake.
    pub(crate) leftover: Bytes,
    pub(crate) successor: S,
}

/// The task of one connection: HTTP first, then, if it upgraded, its successor.
pub struct Connection<S: Successor> {
    stage: Stage<S>,
}

type HttpStage<S> = Pin<Box<dyn Future<Output = Option<HandedOver<S>>> + Send>>;

enum Stage<S: Successor> {
    /// Boxed, so that it can be freed whole and does not set the size of the task.
    Http(HttpStage<S>),
    Upgraded(S::Task),
}

impl<S: Successor> Future for Connection<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.stage {
                Stage::Http(http) => match ready!(http.as_mut().poll(cx)) {
                    Some(HandedOver { io, leftover, successor }) => {
                        self.stage = Stage::Upgraded(successor.start(io, &leftover));
                    }
                    None => return Poll::Ready(()),
                },
                Stage::Upgraded(task) => return Pin::new(task).poll(cx),
            }
        }
    }
}

/// A connection that was accepted.
#[derive(Debug)]
pub struct Arrival {
    /// The connection.
    pub stream: TcpStream,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// What it counts for, while it lives.
    pub admission: Option<Admission>,
    /// What it has passed.
    pub gate: Arc<Gate>,
}

/// Serves HTTP on a connection, through TLS if its gate says so, and drives what it upgrades to.
///
/// Where the feature `http2` and its gate allow that, a client may speak HTTP/2, which drives any number of
/// WebSockets in tasks of their own.
///
/// When `closing` turns true, a connection that is still in its HTTP phase ends after the request
/// in progress.
pub fn serve<E: Endpoint>(
    arrival: Arrival,
    endpoint: E,
    closing: watch::Receiver<bool>,
) -> Connection<E::Successor> {
    Connection { stage: Stage::Http(Box::pin(speak_http(arrival, endpoint, closing))) }
}

/// Reads what a trusted proxy says of its client, and lets that one through the gate.
async fn unveil(arrival: &mut Arrival) -> Result<(), TurnedAway> {
    let Arrival { stream, peer, admission, gate } = arrival;
    if !gate.expects_header(peer.ip()) {
        return Ok(());
    }
    let header = tokio::select! {
        header = proxy::read_header(stream) => header,
        () = sleep(gate.options.head_timeout) => return Err(TurnedAway::HeadTimeout),
    };
    match header {
        Ok(client) => *peer = client.unwrap_or(*peer),
        // A balancer's health check says nothing at all.
        Err(error) => {
            tracing::debug!(%peer, %error, "no client behind a trusted proxy's connection");
            return Err(TurnedAway::ProxyHeader);
        }
    }
    // Until now it counted as the proxy's.
    drop(admission.take());
    *admission = gate.admit(*peer)?;
    Ok(())
}

/// Lets `successor` have the connection of a request that another server is about to answer with
/// `101 Switching Protocols`.
pub fn take_over<S: Successor>(on_upgrade: OnUpgrade, successor: S) -> Connection<S> {
    let http = Box::pin(await_upgrade(on_upgrade, successor));
    Connection { stage: Stage::Http(http) }
}

async fn speak_http<E: Endpoint>(
    mut arrival: Arrival,
    endpoint: E,
    mut closing: watch::Receiver<bool>,
) -> Option<HandedOver<E::Successor>> {
    // Who has not been named yet has asked for nothing, nor has a client that is still shaking hands.
    let unveiled = tokio::select! {
        unveiled = unveil(&mut arrival) => unveiled,
        _ = closing.wait_for(|closing| *closing) => return None,
    };
    if let Err(why) = unveiled {
        arrival.gate.turn_away(arrival.peer, why);
        return None;
    }
    let Arrival { stream, peer, admission, gate } = arrival;
    let secured = tokio::select! {
        secured = gate.secure(stream, peer) => secured,
        _ = closing.wait_for(|closing| *closing) => return None,
    };
    let io = match secured {
        Ok(io) => io,
        Err(why) => {
            gate.turn_away(peer, why);
            return None;
        }
    };
    let is_secure = io.is_secure();
    let stream = Rewind::new(io);
    #[cfg(not(feature = "http2"))]
    let mut first_head = FirstHead::None;
    #[cfg(feature = "http2")]
    let (stream, mut first_head) = match http2_or_not(stream, peer, &gate, &mut closing).await? {
        Spoken::Http1(stream, first_head) => (stream, first_head),
        Spoken::Http2(stream, options) => {
            let mut stream = Patient::new(stream, gate.options.write_timeout);
            let caller = http2::Caller { peer, is_secure };
            let serving =
                http2::serve(&mut stream, caller, options, &gate, &endpoint, &mut closing);
            http2::report(serving.await, peer, &gate);
            linger(stream.into_inner().into_inner()).await;
            return None;
        }
    };
    let stream = Patient::new(stream, gate.options.write_timeout);
    let upgraded = Arc::new(Mutex::new(None));
    let slot = upgraded.clone();
    let asked = Arc::new(AtomicBool::new(false));
    let asks = asked.clone();
    let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
        if is_secure {
            request.extensions_mut().insert(OverTls);
        }
        asks.store(true, Ordering::Relaxed);
        let (answering, slot) = (endpoint.answer(request.map(Incoming::from), peer), slot.clone());
        Box::pin(async move {
            let response = match answering.await {
                Answer::Http(response) => response,
                Answer::Upgrade(response, successor) => {
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(successor);
                    response.map(|()| full(Bytes::new()))
                }
            };
            Ok::<_, Infallible>(response)
        })
    });
    let mut http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(gate.options.head_timeout)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let mut closing = std::pin::pin!(closing.wait_for(|closing| *closing));
    let mut told = false;
    let ended = std::future::poll_fn(|cx| {
        if !told && closing.as_mut().poll(cx).is_ready() {
            told = true;
            Pin::new(&mut http).graceful_shutdown();
        }
        let polled = http.poll_without_shutdown(cx).map(Some);
        if asked.load(Ordering::Relaxed) {
            first_head = None;
        } else if polled.is_pending()
            && let Some(deadline) = &mut first_head
        {
            return deadline.as_mut().poll(cx).map(|()| None);
        }
        polled
    });
    let Some(ended) = ended.await else {
        gate.turn_away(peer, TurnedAway::HeadTimeout);
        return None;
    };
    if let Err(error) = ended {
        match why(&error) {
            Some(why) => gate.turn_away(peer, why),
            None => tracing::debug!(%peer, %error, "HTTP ended with an error"),
        }
        // hyper has answered what it could not read.
        if error.is_parse() {
            linger(http.into_parts().io.into_inner().into_inner().into_inner()).await;
        }
        return None;
    }
    let Parts { io, read_buf: leftover, .. } = http.into_parts();
    let stream = io.into_inner().into_inner().into_inner();
    let successor = upgraded.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(successor) = successor else {
        drop(leftover);
        linger(stream).await;
        return None;
    };
    Some(HandedOver { io: stream.admitted(admission), leftover, successor })
}

/// When a first head has to be there whose beginning was looked at by others than hyper.
type FirstHead = Option<Pin<Box<tokio::time::Sleep>>>;

/// Which HTTP a client speaks.
#[cfg(feature = "http2")]
enum Spoken<'a> {
    Http1(Rewind<Io>, FirstHead),
    Http2(Rewind<Io>, &'a http2::Http2),
}

/// Finds out which HTTP a client speaks: what it has agreed on through TLS, else what it begins with. `None`
/// if the connection is over.
#[cfg(feature = "http2")]
async fn http2_or_not<'a>(
    mut stream: Rewind<Io>,
    peer: SocketAddr,
    gate: &'a Gate,
    closing: &mut watch::Receiver<bool>,
) -> Option<Spoken<'a>> {
    let Some(options) = &gate.options.http2 else { return Some(Spoken::Http1(stream, None)) };
    if stream.get_ref().is_secure() {
        let is_http2 = stream.get_ref().alpn() == Some(http2::ALPN);
        return Some(match is_http2 {
            true => Spoken::Http2(stream, options),
            false => Spoken::Http1(stream, None),
        });
    }
    // Not of the wheel, whose table would have to grow for it, and stay so for the connections that idle.
    let mut patience = Box::pin(tokio::time::sleep(gate.options.head_timeout));
    let preface = tokio::select! {
        preface = http2::begins_with_preface(&mut stream) => preface,
        () = &mut patience => {
            gate.turn_away(peer, TurnedAway::HeadTimeout);
            return None;
        }
        _ = closing.wait_for(|closing| *closing) => return None,
    };
    match preface {
        Ok(http2::Preface::Http2) => Some(Spoken::Http2(stream, options)),
        Ok(http2::Preface::Other) => Some(Spoken::Http1(stream, Some(patience))),
        Ok(http2::Preface::Nothing) => None,
        Err(error) => {
            tracing::debug!(%peer, %error, "a connection ended before it began");
            None
        }
    }
}

/// Gives a stream of HTTP/2 its task.
#[cfg(feature = "http2")]
pub(crate) fn spawn<S: Successor>(
    responding: impl Future<Output = Option<HandedOver<S>>> + Send + 'static,
) {
    drop(tokio::spawn(Connection { stage: Stage::Http(Box::pin(responding)) }));
}

/// Ends the output and reads the input away, until its end or until there is too much of it: closing a
/// socket with unread input resets it, and the reset destroys an answer that is on its way. Whoever is
/// refused a long body sends all of it before it reads that.
async fn linger(mut stream: Io) {
    let drained = async {
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut drained = 0;
        while drained < DRAIN {
            tokio::select! {
                count = read_away(&mut stream) => match count {
                    Ok(0) | Err(_) => return,
                    Ok(count) => drained += count,
                },
                () = sleep(SILENCE) => return,
            }
        }
    };
    tokio::select! {
        () = drained => {}
        () = sleep(LINGER) => {}
    }
}

/// Reads what is there, for nobody; says how much it was.
async fn read_away(stream: &mut Io) -> io::Result<usize> {
    std::future::poll_fn(|cx| {
        let mut scratch = Scratch::take();
        let mut buffer = ReadBuf::new(&mut scratch.receive);
        let polled = Pin::new(&mut *stream).poll_read(cx, &mut buffer);
        let count = buffer.filled().len();
        scratch.put_back();
        polled.map_ok(|()| count)
    })
    .await
}

/// Whether a connection ended for a reason that is counted.
fn why(error: &hyper::Error) -> Option<TurnedAway> {
    if error.is_timeout() {
        return Some(TurnedAway::HeadTimeout);
    }
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            let slow = error.kind() == std::io::ErrorKind::TimedOut;
            return slow.then_some(TurnedAway::WriteTimeout);
        }
        source = error.source();
    }
    None
}

async fn await_upgrade<S: Successor>(on_upgrade: OnUpgrade, successor: S) -> Option<HandedOver<S>> {
    let upgraded = match on_upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            tracing::debug!(%error, "the HTTP server did not hand its connection over");
            return None;
        }
    };
    let (io, leftover) = match downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => {
            let stream = parts.io.into_inner();
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "no TCP_NODELAY");
            }
            (Io::from(stream), parts.read_buf)
        }
        // hyper itself feeds what it had read to whoever reads an `Upgraded`.
        Err(upgraded) => (Io::boxed(TokioIo::new(upgraded)), Bytes::new()),
    };
    Some(HandedOver { io, leftover, successor })
}

impl<S: Successor> std::fmt::Debug for Connection<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stage = match &self.stage {
            Stage::Http(_) => "HTTP",
            Stage::Upgraded(_) => "upgraded",
        };
        f.debug_struct("Connection").field("stage", &stage).finish()
    }
}
