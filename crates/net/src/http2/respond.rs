//! The answer on a stream: a head and a body, whose client must take it, or a head behind which the stream is
//! a WebSocket's.

use std::future::poll_fn;
use std::mem;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::SystemTime;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use hyper::body::Body as _;

use super::places::Counted;
use super::stream::Held;
use super::{SEND_BUFFER, Stream};
use crate::clock;
use crate::gate::{Gate, TurnedAway};
use crate::http::{Answer, Body, HandedOver, Successor, full};
use crate::io::Io;
use crate::wheel::{Rounding, Timer};

/// Milliseconds that a byte which was taken adds to the deadline, as over HTTP/1.1.
const PER_BYTE: u64 = 1;

/// Headers of HTTP/1.1 that are about its connection (RFC 9113 §8.2.2).
const OF_THE_CONNECTION: [HeaderName; 6] = [
    CONNECTION,
    UPGRADE,
    TRANSFER_ENCODING,
    TE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// What an answer depends on besides itself.
pub(super) struct Responding {
    pub(super) peer: SocketAddr,
    pub(super) gate: Arc<Gate>,
    pub(super) is_head: bool,
    /// The client waits to be told to send its body (RFC 9110 §10.1.1).
    pub(super) expects_continue: bool,
    /// What an extended CONNECT has, to become a WebSocket by.
    pub(super) input: Option<(RecvStream, Counted)>,
}

/// Why a body was not sent.
enum Failed {
    /// The client has reset the stream, or is gone.
    Gone,
    /// The body broke off.
    Broken,
    /// The client did not take it.
    Slow,
}

impl Responding {
    /// Waits for the answer, unless the client goes away, and gives it.
    pub(super) async fn respond<S: Successor>(
        self,
        answering: impl Future<Output = Answer<S>>,
        mut respond: SendResponse<Bytes>,
    ) -> Option<HandedOver<S>> {
        let mut answering = Box::pin(answering);
        let mut expects_continue = self.expects_continue;
        let answer = poll_fn(|cx| {
            if let Poll::Ready(answer) = answering.as_mut().poll(cx) {
                return Poll::Ready(Some(answer));
            }
            // What is not refused at once is likely to wait for the body.
            if mem::take(&mut expects_continue) {
                let mut go_on = Response::new(());
                *go_on.status_mut() = StatusCode::CONTINUE;
                // Where it fails, the stream is over, which is noticed below.
                let _ = respond.send_informational(go_on);
            }
            respond.poll_reset(cx).map(|_| None)
        });
        let answer = answer.await?;
        // A handler's state need not wait for its client.
        drop(answering);
        match answer {
            Answer::Http(response) => {
                self.send(response, respond).await;
                None
            }
            Answer::Upgrade(mut response, successor) => {
                let Some((input, counted)) = self.input else {
                    tracing::error!(peer = %self.peer, "no WebSocket without CONNECT over HTTP/2");
                    respond.send_reset(Reason::INTERNAL_ERROR);
                    return None;
                };
                if !response.status().is_success() {
                    *response.status_mut() = StatusCode::OK;
                }
                complete(response.headers_mut());
                let sender = respond.send_response(response, false).ok()?;
                let io = Io::from(Stream::new(sender, input, Held::Counted { _counted: counted }));
                Some(HandedOver { io, leftover: Bytes::new(), successor })
            }
        }
    }

    async fn send(self, response: Response<Body>, mut respond: SendResponse<Bytes>) {
        let Self { gate, peer, is_head, input, .. } = self;
        let (mut head, mut body) = response.into_parts();
        // What a refused CONNECT sends is not read.
        if input.is_some() && head.status.is_success() {
            // Its client would take that for an open WebSocket (RFC 8441 §5), and the body for frames.
            head = Response::new(()).into_parts().0;
            head.status = StatusCode::BAD_REQUEST;
            body = full("There is no WebSocket here.");
        }
        drop(input);
        complete(&mut head.headers);
        if let Some(length) = body.size_hint().exact()
            && !head.headers.contains_key(CONTENT_LENGTH)
            && head.status != StatusCode::NO_CONTENT
            && head.status != StatusCode::NOT_MODIFIED
        {
            head.headers.insert(CONTENT_LENGTH, length.into());
        }
        let is_whole = is_head || body.is_end_stream();
        let response = Response::from_parts(head, ());
        let Ok(mut sender) = respond.send_response(response, is_whole) else { return };
        if is_whole {
            return;
        }
        let patience = u64::try_from(gate.options.write_timeout.as_millis()).unwrap_or(u64::MAX);
        match send_body(body, &mut sender, patience).await {
            Ok(()) | Err(Failed::Gone) => {}
            Err(Failed::Broken) => sender.send_reset(Reason::INTERNAL_ERROR),
            Err(Failed::Slow) => {
                gate.turn_away(peer, TurnedAway::WriteTimeout);
                sender.send_reset(Reason::CANCEL);
            }
        }
    }
}

/// Takes out what HTTP/2 does not have and puts in what every answer has (RFC 9110 §6.6.1).
fn complete(headers: &mut HeaderMap) {
    for name in OF_THE_CONNECTION {
        headers.remove(name);
    }
    headers.entry(DATE).or_insert_with(|| {
        let now = httpdate::fmt_http_date(SystemTime::now());
        HeaderValue::from_str(&now).expect("a date is ASCII")
    });
}

async fn send_body(
    body: Body,
    sender: &mut SendStream<Bytes>,
    patience: u64,
) -> Result<(), Failed> {
    let mut body = pin!(body);
    loop {
        let frame = poll_fn(|cx| {
            if sender.poll_reset(cx).is_ready() {
                return Poll::Ready(Err(Failed::Gone));
            }
            body.as_mut().poll_frame(cx).map(Ok)
        });
        let Some(frame) = frame.await? else {
            return sender.send_data(Bytes::new(), true).map_err(|_| Failed::Gone);
        };
        match frame.map_err(|_| Failed::Broken)?.into_data() {
            Ok(data) => {
                let is_last = body.is_end_stream();
                send_data(data, is_last, sender, patience).await?;
                if is_last {
                    return Ok(());
                }
            }
            Err(frame) => {
                let Ok(mut trailers) = frame.into_trailers() else { continue };
                trailers.remove(TRAILER);
                return sender.send_trailers(trailers).map_err(|_| Failed::Gone);
            }
        }
    }
}

/// Sends a piece as the client's window has room for it.
async fn send_data(
    mut data: Bytes,
    is_last: bool,
    sender: &mut SendStream<Bytes>,
    patience: u64,
) -> Result<(), Failed> {
    let mut timer = Timer::new();
    let mut deadline = None;
    while !data.is_empty() {
        sender.reserve_capacity(data.len().min(SEND_BUFFER));
        let room = poll_fn(|cx| {
            if sender.poll_reset(cx).is_ready() {
                return Poll::Ready(Err(Failed::Gone));
            }
            if sender.capacity() > 0 {
                return Poll::Ready(Ok(sender.capacity()));
            }
            if let Poll::Ready(room) = sender.poll_capacity(cx) {
                return Poll::Ready(room.and_then(Result::ok).ok_or(Failed::Gone));
            }
            let due = *deadline.get_or_insert_with(|| clock::now().saturating_add(patience));
            ready!(timer.poll(cx, due, Rounding::Up));
            Poll::Ready(Err(Failed::Slow))
        });
        let piece = data.split_to(room.await?.min(data.len()));
        if let Some(deadline) = &mut deadline {
            *deadline = deadline.saturating_add(piece.len() as u64 * PER_BYTE);
        }
        let is_last = is_last && data.is_empty();
        sender.send_data(piece, is_last).map_err(|_| Failed::Gone)?;
        if is_last {
            return Ok(());
        }
    }
    if is_last { sender.send_data(data, true).map_err(|_| Failed::Gone) } else { Ok(()) }
}
