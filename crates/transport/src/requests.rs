//! The requests of a session that polls: a GET waits for a payload, a POST brings one.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Body as HttpBody;
use sockeye_engineio::Refusal;
use sockeye_net::http::Body;
use sockeye_net::wheel::sleep;

use crate::answer::{self, Manner};
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
    request: &mut Request,
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
            // 405 would be the word for it; this is Node's.
            Ok(answer::unread(StatusCode::INTERNAL_SERVER_ERROR))
        }
    }
}

async fn get(
    sessions: &Sessions,
    session: &Arc<Shared>,
    request: &mut Request,
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
    let manner = Manner::of(request, config);
    if !config.hooks.edits_headers() {
        // The head keeps 8 KiB of hyper's alive, for as long as there is nothing to say.
        request.let_head_go();
    }
    let Ok(mut reply) = answered.await else {
        // The session ended without a word for this poll.
        sessions.count_refusal(Refusal::UnknownSession);
        let refusal = Refusal::UnknownSession;
        return Ok(answer::refused(refusal, refusal.message(), false));
    };
    let encoding = manner.encoding(config, reply.payload().len());
    let encoding = encoding.filter(|_| reply.is_compressible());
    if let Some(encoding) = encoding {
        let compressed = encoding.compress(reply.payload());
        reply.set_payload(compressed);
    }
    let mut response = answer::payload(reply.boxed_unsync(), manner, encoding);
    config.hooks.edit(response.headers_mut(), request, false);
    Ok(response)
}

async fn post<B>(
    sessions: &Arc<Sessions>,
    session: &Arc<Shared>,
    request: &Request,
    body: B,
) -> Result<Response<Body>, Refusal>
where
    B: HttpBody,
{
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
    Ok(match receive(sessions, posting, body).await {
        Ok(false) => return Err(Refusal::UnknownSession),
        Ok(true) => {
            let mut response = answer::taken(Manner::of(request, config));
            config.hooks.edit(response.headers_mut(), request, false);
            response
        }
        Err(Fault::PostTooLarge) => answer::unread(StatusCode::PAYLOAD_TOO_LARGE),
        Err(Fault::PostTooSlow) => answer::unread(StatusCode::REQUEST_TIMEOUT),
        Err(_) => answer::unread(StatusCode::BAD_REQUEST),
    })
}

/// Reads the body, hands it to the session, and waits until it is judged; `false` if the session is over
/// by then.
async fn receive<B: HttpBody>(
    sessions: &Sessions,
    posting: Posting,
    body: B,
) -> Result<bool, Fault> {
    let config = &sessions.config;
    let bytes = match read(body, config.engine.max_payload, config.body_timeout).await {
        Ok(bytes) => bytes,
        Err(Fault::PostTooLarge) => {
            posting.abandon(Fault::PostTooLarge);
            return Err(Fault::PostTooLarge);
        }
        Err(fault) => {
            posting.fail(fault);
            return Err(fault);
        }
    };
    // What is no text is no packet either: the session shall say so.
    let text = String::from_utf8(bytes).unwrap_or_else(|_| "\u{fffd}".to_owned());
    let Some(judged) = posting.complete(text) else { return Ok(false) };
    // It never answers anything but that it is over.
    let _ = judged.await;
    Ok(true)
}

fn declared_length(request: &Request) -> Option<u64> {
    let length = request.headers.get(CONTENT_LENGTH).map(HeaderValue::to_str);
    length.and_then(|length| length.ok()?.parse().ok())
}

/// Reads a body of at most `max` bytes. What it holds grows with what has come, never with what was
/// declared.
async fn read<B: HttpBody>(body: B, max: usize, patience: Duration) -> Result<Vec<u8>, Fault> {
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
                    return Err(Fault::PostTooSlow);
                }
                rewarded += reward * SLOWEST;
                timeout.set(sleep(Duration::from_secs(reward as u64)));
                continue;
            }
        };
        match frame {
            None => return Ok(bytes),
            Some(Err(_)) => return Err(Fault::PostAborted),
            Some(Ok(frame)) => {
                // Trailers mean nothing here.
                let Ok(mut data) = frame.into_data() else { continue };
                if bytes.len() + data.remaining() > max {
                    return Err(Fault::PostTooLarge);
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
