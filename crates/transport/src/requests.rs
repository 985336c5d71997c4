//! The requests of a session that polls: a GET waits for a payload, a POST brings one.

use std::future::ready;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Body as HttpBody;
use sockeye_engineio::payload::Payload;
use sockeye_engineio::{Revision, jsonp};
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

type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// Answers a request of a session. By the time this returns, the session has it.
pub(crate) fn begin<B>(
    sessions: &Arc<Sessions>,
    session: &Arc<Shared>,
    request: Request,
    body: B,
) -> Answering
where
    B: HttpBody + Send + 'static,
    B::Data: Send,
{
    let begun = match request.method {
        Method::GET => begin_get(sessions, session, request),
        Method::POST => begin_post(sessions, session, request, body),
        _ => {
            sessions.note(session, Fault::UnknownMethod);
            // 405 would be the word for it; this is Node's.
            Err(Box::new(answer::unread(StatusCode::INTERNAL_SERVER_ERROR)))
        }
    };
    begun.unwrap_or_else(|response| Box::pin(ready(*response)))
}

fn begin_get(
    sessions: &Arc<Sessions>,
    session: &Arc<Shared>,
    request: Request,
) -> Result<Answering, Box<Response<Body>>> {
    let answered = session.enter_poll().map_err(|shut| match shut {
        Shut::Gone => Box::new(gone(sessions, session, Some(&request))),
        Shut::Overlap => {
            sessions.fail(session, Fault::PollOverlap);
            Box::new(answer::empty(StatusCode::BAD_REQUEST))
        }
    })?;
    let manner = Manner::of(&request, &sessions.config);
    let j = request.query("j");
    // The head keeps 8 KiB of hyper's alive, for as long as there is nothing to say.
    let request = sessions.config.hooks.wants_requests().then(|| Box::new(request));
    let (sessions, session) = (sessions.clone(), session.clone());
    Ok(Box::pin(async move {
        let config = &sessions.config;
        // Or the session ended without a word for this poll.
        let Ok(mut reply) = answered.await else {
            return gone(&sessions, &session, request.as_deref());
        };
        let binary = reply.is_binary();
        if let Some(j) = j.filter(|_| !binary) {
            let script = jsonp::script(&j, &reply.take_payload());
            reply.set_payload(script);
        }
        let encoding = manner.encoding(config, reply.len());
        let encoding = encoding.filter(|_| reply.is_compressible());
        if let Some(encoding) = encoding {
            let Some(compressed) = encoding.compress(reply.take_payload()).await else {
                return gone(&sessions, &session, request.as_deref());
            };
            reply.set_payload(compressed);
        }
        let body = reply.outgoing().boxed_unsync();
        let mut response = answer::payload(body, binary, manner, encoding);
        if let Some(request) = request {
            config.hooks.edit(response.headers_mut(), &request, false);
        }
        response
    }))
}

fn begin_post<B>(
    sessions: &Arc<Sessions>,
    session: &Arc<Shared>,
    request: Request,
    body: B,
) -> Result<Answering, Box<Response<Body>>>
where
    B: HttpBody + Send + 'static,
    B::Data: Send,
{
    let posting = session.begin_post(sessions).map_err(|shut| match shut {
        Shut::Gone => Box::new(gone(sessions, session, Some(&request))),
        Shut::Overlap => {
            sessions.fail(session, Fault::PostOverlap);
            Box::new(answer::unread(StatusCode::BAD_REQUEST))
        }
    })?;
    let kind = request.headers.get(CONTENT_TYPE);
    let binary = kind.is_some_and(|kind| kind == "application/octet-stream");
    if binary && session.revision() == Revision::V4 {
        posting.fail(Fault::BinaryPost);
        return Err(Box::new(answer::unread(StatusCode::BAD_REQUEST)));
    }
    let form = Form { revision: session.revision(), binary, jsonp: request.query("j").is_some() };
    let max = sessions.config.engine.max_payload as u64;
    if declared_length(&request).is_some_and(|declared| declared > max) {
        posting.abandon(Fault::PostTooLarge);
        return Err(Box::new(answer::unread(StatusCode::PAYLOAD_TOO_LARGE)));
    }
    // In a task of its own: all that has come of it is heard out, whatever becomes of the client.
    let receiving = tokio::spawn(receive(sessions.clone(), posting, form, body));
    let (sessions, session) = (sessions.clone(), session.clone());
    Ok(Box::pin(async move {
        let config = &sessions.config;
        // The task ends early only with the runtime.
        match receiving.await.unwrap_or(Err(Fault::PostAborted)) {
            Ok(Judged::Whole) => {
                let mut response = answer::taken(Manner::of(&request, config));
                config.hooks.edit(response.headers_mut(), &request, false);
                response
            }
            Ok(Judged::TooLate) => gone(&sessions, &session, Some(&request)),
            Err(Fault::PostTooLarge) => answer::unread(StatusCode::PAYLOAD_TOO_LARGE),
            Err(Fault::PostTooSlow) => answer::unread(StatusCode::REQUEST_TIMEOUT),
            Err(_) => answer::unread(StatusCode::BAD_REQUEST),
        }
    }))
}

/// The session has ended, or upgraded, while its request was on the way.
fn gone(sessions: &Sessions, session: &Shared, request: Option<&Request>) -> Response<Body> {
    let refusal = session.refusal();
    match request {
        Some(request) => sessions.refuse(request, refusal, refusal.message()),
        // Nobody wants to see it.
        None => sessions.count_refusal(refusal),
    }
    answer::refused(refusal, refusal.message(), false)
}

/// How a body is to be read.
struct Form {
    revision: Revision,
    binary: bool,
    jsonp: bool,
}

impl Form {
    fn payload(self, body: Vec<u8>) -> Payload {
        if self.binary {
            return Payload::v3_binary(body);
        }
        // What is no text is no packet either: the session shall say so.
        let mut text = String::from_utf8(body).unwrap_or_else(|_| "\u{fffd}".to_owned());
        if self.jsonp {
            let Some(payload) = jsonp::payload(&text) else { return Payload::none() };
            text = payload;
        }
        match self.revision {
            Revision::V3 => Payload::v3_text(text),
            Revision::V4 => Payload::new(text),
        }
    }
}

/// What became of a body.
enum Judged {
    /// The session has judged it.
    Whole,
    /// The session was over when it was there.
    TooLate,
}

/// Reads the body, hands it to the session, and waits until it is judged.
async fn receive<B: HttpBody>(
    sessions: Arc<Sessions>,
    posting: Posting,
    form: Form,
    body: B,
) -> Result<Judged, Fault> {
    let config = &sessions.config;
    let bytes = match read(body, config.engine.max_payload, config.body_timeout).await {
        Ok(bytes) => bytes,
        Err(fault) => {
            match fault {
                Fault::PostTooLarge => posting.abandon(fault),
                _ => posting.fail(fault),
            }
            return Err(fault);
        }
    };
    let Some(judged) = posting.complete(form.payload(bytes)) else { return Ok(Judged::TooLate) };
    // It never answers anything but that it is over.
    let _ = judged.await;
    Ok(Judged::Whole)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::fixture::Fixture;
    use crate::handshake::KeepExtensions;
    use sockeye_engineio::Refusal;
    use std::net::SocketAddr;
    use std::sync::Mutex;

    fn request(method: Method) -> Request {
        let request = http::Request::builder().method(method).uri("/?sid=x").body(()).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 4000));
        Request::new(request.into_parts().0, address, false, &KeepExtensions::default())
    }

    /// Between the judging of a request and its session's door, the session may end or upgrade.
    #[tokio::test]
    async fn a_request_that_comes_too_late_is_heard_of() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (mut config, hear) = (Config::default(), heard.clone());
        config.hooks.connection_error(move |error| {
            hear.lock().unwrap().push((error.request.method.clone(), error.refusal));
        });
        let mut fixture = Fixture::with(config);
        let (sessions, shared) = (fixture.sessions.clone(), fixture.shared.clone());
        let ask = |method| begin(&sessions, &shared, request(method), String::new());
        let waiting = ask(Method::GET);
        fixture.shared.begin_probe().unwrap().hand_over(crate::fixture::next_transport());
        assert_eq!(ask(Method::POST).await.status(), StatusCode::BAD_REQUEST);
        fixture.polling = None;
        assert_eq!(waiting.await.status(), StatusCode::BAD_REQUEST);
        assert_eq!(ask(Method::GET).await.status(), StatusCode::BAD_REQUEST);
        assert_eq!(ask(Method::POST).await.status(), StatusCode::BAD_REQUEST);
        let unknown = Refusal::UnknownSession;
        let expected = [
            (Method::POST, Refusal::TransportMismatch),
            (Method::GET, unknown),
            (Method::GET, unknown),
            (Method::POST, unknown),
        ];
        assert_eq!(*heard.lock().unwrap(), expected);
        assert_eq!(sessions.refusals()[unknown.index()], 3);
    }
}
