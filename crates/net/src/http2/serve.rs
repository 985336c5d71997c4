//! The task of a server's connection: it takes requests in, each into a task of its own, and moves the frames of
//! all streams.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use sockeye_websocket::handshake::server::Refusal;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::alive::Watch;
use super::head::{Malformed, settle};
use super::places::Places;
use super::respond::Responding;
use super::{Http2, MAX_FRAME, SEND_BUFFER};
use crate::clock;
use crate::gate::{Gate, TurnedAway};
use crate::http::{Answer, Body, Endpoint, Incoming, OverTls, full, refused, spawn};
use crate::wheel::{Rounding, Timer, sleep};

/// How long a client whose connection is idle may take to go when it is told so.
const GOODBYE: Duration = Duration::from_secs(2);

/// Streams that a client has reset and that we have not looked at yet: h2's own number.
const MAX_UNSEEN_RESETS: usize = 20;

/// Streams that we reset because of errors of the client's: h2's own number.
const MAX_ERRORS: usize = 1024;

/// Streams that we reset and that frames on the way may still come for: h2's own number.
const MAX_REMEMBERED_RESETS: usize = 50;

/// Why a connection ended, when neither side wanted it to.
pub(crate) enum Ended {
    Failed(h2::Error),
    TurnedAway(TurnedAway),
}

impl From<h2::Error> for Ended {
    fn from(error: h2::Error) -> Self {
        let is_slow = error.get_io().is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut);
        if is_slow { Self::TurnedAway(TurnedAway::WriteTimeout) } else { Self::Failed(error) }
    }
}

fn builder(options: &Http2) -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_connect_protocol()
        .initial_window_size(options.window.min(super::MAX_WINDOW))
        .initial_connection_window_size(options.connection_window())
        .data_frame_budget(options.connection_window() as usize)
        .max_concurrent_streams(options.max_streams)
        .max_frame_size(MAX_FRAME)
        .max_header_list_size(options.max_header_bytes)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(MAX_REMEMBERED_RESETS)
        .max_pending_accept_reset_streams(MAX_UNSEEN_RESETS)
        .max_local_error_reset_streams(Some(MAX_ERRORS));
    builder
}

/// Whose connection it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) peer: SocketAddr,
    /// It comes through TLS.
    pub(crate) is_secure: bool,
}

/// Serves a connection until its client goes, or is idle for as long as it may take to send a request's
/// head, or is gone without a word, or until `closing` turns true and the last stream has ended. The stream is
/// the caller's to close.
pub(crate) async fn serve<E: Endpoint>(
    stream: &mut (impl AsyncRead + AsyncWrite + Send + Unpin),
    caller: Caller,
    options: &Http2,
    gate: &Arc<Gate>,
    endpoint: &E,
    closing: &mut watch::Receiver<bool>,
) -> Result<(), Ended> {
    let patience = gate.options.head_timeout;
    let mut closing = pin!(closing.wait_for(|closing| *closing));
    let (mut watch, stream) = Watch::new(stream);
    let mut connection = tokio::select! {
        connection = builder(options).handshake::<_, Bytes>(stream) => connection?,
        () = sleep(patience) => return Err(Ended::TurnedAway(TurnedAway::HeadTimeout)),
        _ = &mut closing => return Ok(()),
    };
    watch.begin(options.keep_alive, connection.ping_pong());
    let (mut timer, mut idle_until) = (Timer::new(), None);
    let (mut told, mut leaving) = (false, false);
    let mut places = Places::default();
    poll_fn(|cx| {
        if !told && closing.as_mut().poll(cx).is_ready() {
            told = true;
            connection.graceful_shutdown();
            // One that has nothing to wait for has to go now.
            idle_until = Some(clock::after(GOODBYE));
        }
        loop {
            while let Poll::Ready(request) = connection.poll_accept(cx) {
                match request {
                    Some(Ok((request, respond))) => {
                        begin(request, respond, caller, gate, endpoint, &mut places);
                    }
                    Some(Err(error)) => return Poll::Ready(Err(error.into())),
                    None => return Poll::Ready(Ok(())),
                }
            }
            if connection.has_streams() {
                idle_until = None;
                timer.cancel();
                let gone = || Err(Ended::TurnedAway(TurnedAway::PongTimeout));
                return watch.poll(cx).map(|()| gone());
            }
            let patience = if told { GOODBYE } else { patience };
            let due = *idle_until.get_or_insert_with(|| clock::after(patience));
            if timer.poll(cx, due, Rounding::Up).is_pending() {
                return Poll::Pending;
            }
            if told {
                return Poll::Ready(Ok(()));
            }
            if leaving {
                return Poll::Ready(Err(Ended::TurnedAway(TurnedAway::HeadTimeout)));
            }
            leaving = true;
            connection.graceful_shutdown();
            idle_until = Some(clock::after(GOODBYE));
        }
    })
    .await?;
    if leaving { Err(Ended::TurnedAway(TurnedAway::HeadTimeout)) } else { Ok(()) }
}

/// Hands a request to the endpoint, and what comes of it to a task of its own.
fn begin<E: Endpoint>(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    caller: Caller,
    gate: &Arc<Gate>,
    endpoint: &E,
    places: &mut Places,
) {
    let (mut parts, stream) = request.into_parts();
    let Caller { peer, is_secure } = caller;
    if is_secure {
        parts.extensions.insert(OverTls);
    }
    let is_head = parts.method == Method::HEAD;
    let expects_continue = parts.method != Method::CONNECT
        && !stream.is_end_stream()
        && parts
            .headers
            .get(EXPECT)
            .is_some_and(|wish| wish.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let responding =
        Responding { peer, gate: gate.clone(), is_head, expects_continue, input: None };
    let refuse = |response: Response<Body>, responding: Responding, respond| {
        let answering = std::future::ready(Answer::Http(response));
        spawn::<E::Successor>(responding.respond(answering, respond));
    };
    if let Err(Malformed) = settle(&mut parts) {
        refuse(text(StatusCode::BAD_REQUEST, Malformed::WHY), responding, respond);
        return;
    }
    if parts.method != Method::CONNECT {
        let length = parts.headers.get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let body = Incoming::from(super::Incoming::new(stream, length));
        let request = Request::from_parts(parts, body);
        answer(request, responding, respond, endpoint);
        return;
    }
    // Only what a stream can become is the endpoint's to judge.
    let protocol = parts.extensions.remove::<h2::ext::Protocol>();
    let refusal = match protocol.as_ref().map(h2::ext::Protocol::as_str) {
        None => Some(Refusal::ProtocolMissing),
        Some(protocol) if protocol.eq_ignore_ascii_case("websocket") => None,
        Some(_) => Some(Refusal::Protocol),
    };
    if let Some(refusal) = refusal {
        refuse(refused(refusal), responding, respond);
        return;
    }
    if parts.headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0") {
        // A CONNECT has no body (RFC 9110 §9.3.6).
        respond.send_reset(Reason::PROTOCOL_ERROR);
        return;
    }
    let counted = match places.take(gate, peer) {
        Ok(counted) => counted,
        Err(why) => {
            gate.turn_away(peer, why);
            let status = match why {
                TurnedAway::Full => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::TOO_MANY_REQUESTS,
            };
            refuse(text(status, why.as_str()), responding, respond);
            return;
        }
    };
    parts.extensions.insert(hyper::ext::Protocol::from_static("websocket"));
    let request = Request::from_parts(parts, Incoming::empty());
    let input = Some((stream, counted));
    answer(request, Responding { input, ..responding }, respond, endpoint);
}

/// Asks the endpoint, here and now. If it panics, it does to one stream what it would do to a connection of
/// HTTP/1.1: those of the other streams may be other people's, behind one proxy.
fn answer<E: Endpoint>(
    request: Request<Incoming>,
    responding: Responding,
    mut respond: SendResponse<Bytes>,
    endpoint: &E,
) {
    // What is half done by then is the endpoint's, as it is when it panics in a task of its own.
    let asking = AssertUnwindSafe(|| endpoint.answer(request, responding.peer));
    match catch_unwind(asking) {
        Ok(answering) => spawn(responding.respond(answering, respond)),
        Err(_) => respond.send_reset(Reason::INTERNAL_ERROR),
    }
}

/// An answer of ours.
fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

/// What [`serve`] is to be told of.
pub(crate) fn report(ended: Result<(), Ended>, peer: SocketAddr, gate: &Gate) {
    match ended {
        Ok(()) => {}
        Err(Ended::TurnedAway(why)) => gate.turn_away(peer, why),
        Err(Ended::Failed(error)) => tracing::debug!(%peer, %error, "HTTP/2 ended with an error"),
    }
}
