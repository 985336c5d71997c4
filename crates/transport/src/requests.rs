//! The requests of a session that polls: a GET waits for a payload, a POST brings one.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Body as HttpBody;
use sockeye_engineio::Refusal;
use sockeye_net::http::Body;
use sockeye_net::wheel::sleep;

use crate::answer;
use crate::compress::Encoding;
use crate::door::{Posting, Shut};
use crate::fault::Fault;
use crate::request::Request;
use crate::sessions::Sessions;
use crate::shared::Shared;

/// For so many bytes of a body its sender gets another second: slower than this is no network.
const SLOWEST: usize = 1024;

/// Answers a request of a session by its method.
pub(crate) async fn answer<B>(
    sessions: &Arc<Sessions>,
    session: &Arc<Shared>,
    request: &Request,
    body: B,
) -> Result<Response<Body>, Refusal>
where
    B: HttpBody,
{
    match request.method {
        Method::GET => get(sessions, session, request).await,
        Method::POST => post(sessions, session, request, body).await,
        _ => {
            sessions.note(session, Fault::UnknownMethod);
            Ok(answer::unknown_method())
        }
    }
}

async fn get(
    sessions: &Sessions,
    session: &Arc<Shared>,
    request: &Request,
) -> Result<Response<Body>, Refusal> {
    let config = &sessions.config;
    let answered = match session.enter_poll() {
        Ok(answered) => answered,
        Err(Shut::Gone) => return Err(Refusal::UnknownSession),
        Err(Shut::Overlap) => {
            sessions.fail(session, Fault::PollOverlap);
            return Ok(answer::empty(StatusCode::BAD_REQUEST));
        }
    };
    // Nobody answers: the session ended without a word for this poll.
    let mut reply = answered.await.map_err(|_| Refusal::UnknownSession)?;
    let accepted = config
        .compress_from
        .filter(|from| reply.payload().len() >= *from)
        .and_then(|_| Encoding::accepted(request.headers.get_all(ACCEPT_ENCODING)));
    if let Some(encoding) = accepted {
        let compressed = encoding.compress(reply.payload());
        reply.set_payload(compressed);
    }
    let mut response = answer::payload(reply, request);
    if let Some(encoding) = accepted {
        response.headers_mut().insert(CONTENT_ENCODING, encoding.header());
    }
    config.hooks.edit(response.headers_mut(), request, false);
    Ok(response)
}

async fn post<B: HttpBody>(
    sessions: &Arc<Sessions>,
    session: &Arc<Shared>,
    request: &Request,
    body: B,
) -> Result<Response<Body>, Refusal> {
    let config = &sessions.config;
    let posting = match session.begin_post(sessions) {
        Ok(posting) => posting,
        Err(Shut::Gone) => return Err(Refusal::UnknownSession),
        Err(Shut::Overlap) => {
            sessions.fail(session, Fault::PostOverlap);
            return Ok(answer::unread(StatusCode::BAD_REQUEST));
        }
    };
    let kind = request.headers.get(CONTENT_TYPE);
    if kind.is_some_and(|kind| kind == "application/octet-stream") {
        posting.fail(Fault::BinaryPost);
        return Ok(answer::unread(StatusCode::BAD_REQUEST));
    }
    let (max, declared) = (config.engine.max_payload, declared_length(request));
    if declared.is_some_and(|declared| declared > max as u64) {
        posting.abandon(Fault::PostTooLarge);
        return Ok(answer::unread(StatusCode::PAYLOAD_TOO_LARGE));
    }
    match read(body, max, config.body_timeout).await {
        Read::Whole(bytes) => Ok(take(posting, bytes).await?).map(|()| {
            let mut response = answer::taken(request);
            config.hooks.edit(response.headers_mut(), request, false);
            response
        }),
        Read::TooLarge => {
            posting.abandon(Fault::PostTooLarge);
            Ok(answer::unread(StatusCode::PAYLOAD_TOO_LARGE))
        }
        Read::TooSlow => {
            posting.fail(Fault::PostTooSlow);
            Ok(answer::unread(StatusCode::REQUEST_TIMEOUT))
        }
        // Dropped with its body unfinished, the posting ends the session.
        Read::Broken => Ok(answer::unread(StatusCode::BAD_REQUEST)),
    }
}

/// Hands the body to the session, and waits until it is judged.
async fn take(posting: Posting, bytes: Vec<u8>) -> Result<(), Refusal> {
    // What is no text is no packet either: the session shall say so.
    let text = String::from_utf8(bytes).unwrap_or_else(|_| "\u{fffd}".to_owned());
    let judged = posting.complete(text).ok_or(Refusal::UnknownSession)?;
    // It never answers anything but that it is over.
    let _ = judged.await;
    Ok(())
}

fn declared_length(request: &Request) -> Option<u64> {
    let length = request.headers.get(CONTENT_LENGTH).map(HeaderValue::to_str);
    length.and_then(|length| length.ok()?.parse().ok())
}

enum Read {
    Whole(Vec<u8>),
    TooLarge,
    TooSlow,
    Broken,
}

/// Reads a body of at most `max` bytes. What it holds grows with what has come, never with what was
/// declared.
async fn read<B: HttpBody>(body: B, max: usize, patience: Duration) -> Read {
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    let mut timeout = pin!(sleep(patience));
    let mut rewarded = 0;
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = &mut timeout => {
                let reward = (bytes.len() - rewarded) / SLOWEST;
                if reward == 0 {
                    return Read::TooSlow;
                }
                rewarded += reward * SLOWEST;
                timeout.set(sleep(Duration::from_secs(reward as u64)));
                continue;
            }
        };
        match frame {
            None => return Read::Whole(bytes),
            Some(Err(_)) => return Read::Broken,
            Some(Ok(frame)) => {
                // Trailers mean nothing here.
                let Ok(mut data) = frame.into_data() else { continue };
                if bytes.len() + data.remaining() > max {
                    return Read::TooLarge;
                }
                while data.has_remaining() {
                    let chunk = data.chunk();
                    let count = chunk.len();
                    bytes.extend_from_slice(chunk);
                    data.advance(count);
                }
            }
        }
    }
}
