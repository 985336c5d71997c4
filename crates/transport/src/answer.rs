//! The engine's HTTP answers, as the official server words them.

use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER,
    SEC_WEBSOCKET_ACCEPT, UPGRADE, USER_AGENT, X_XSS_PROTECTION,
};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use sockeye_engineio::Refusal;
use sockeye_net::http::{Body, full};
use sockeye_websocket::handshake::server as handshake;

use crate::compress::Encoding;
use crate::config::Config;
use crate::request::Request;

/// How long a client that is refused for now may wait before it comes back, in seconds.
const COME_BACK: HeaderValue = HeaderValue::from_static("5");

pub(crate) fn switching_protocols(accept: HeaderValue) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// Node's answers: JSON to a plain request, the bare message to an upgrade.
pub(crate) fn refused(refusal: Refusal, message: &str, upgrade: bool) -> Response<Body> {
    let mut response;
    if upgrade {
        response = Response::new(full(message.to_owned()));
        let status = if refusal.is_nodes() { 400 } else { refusal.status() };
        *response.status_mut() = status_code(status);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    } else {
        let (code, message) = (refusal.code(), serde_json::Value::from(message));
        response = Response::new(full(format!("{{\"code\":{code},\"message\":{message}}}")));
        *response.status_mut() = status_code(refusal.status());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if matches!(
        refusal,
        Refusal::TooManySessions | Refusal::TooManyHandshakes | Refusal::ShuttingDown
    ) {
        response.headers_mut().insert(RETRY_AFTER, COME_BACK);
    }
    response
}

pub(crate) fn not_a_websocket(refusal: handshake::Refusal) -> Response<Body> {
    let mut response = Response::new(full(refusal.to_string()));
    *response.status_mut() = status_code(refusal.status());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    for (name, value) in refusal.headers() {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// What the form of an answer depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// What the client accepts, where compression is wanted at all.
    accepted: Option<Encoding>,
    /// It is Internet Explorer.
    old: bool,
}

impl Manner {
    pub(crate) fn of(request: &Request, config: &Config) -> Self {
        let agent = request.headers.get(USER_AGENT).map_or(&b""[..], HeaderValue::as_bytes);
        let says = |part: &[u8]| agent.windows(part.len()).any(|window| window == part);
        let accepted = request.headers.get_all(ACCEPT_ENCODING);
        Self {
            accepted: config.compress_from.and_then(|_| Encoding::accepted(accepted)),
            old: says(b";MSIE") || says(b"Trident/"),
        }
    }

    /// How an answer of so many bytes is compressed, if it is.
    pub(crate) fn encoding(self, config: &Config, bytes: usize) -> Option<Encoding> {
        self.accepted.filter(|_| config.compress_from.is_some_and(|from| bytes >= from))
    }
}

/// The answer to a poll.
pub(crate) fn payload(
    body: Body,
    binary: bool,
    manner: Manner,
    encoding: Option<Encoding>,
) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    // A script, too, is text/plain, as in Node.
    let kind = if binary { "application/octet-stream" } else { "text/plain; charset=UTF-8" };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(encoding) = encoding {
        headers.insert(CONTENT_ENCODING, encoding.header());
    }
    session_headers(&mut response, manner);
    response
}

/// The answer to a POST that was judged.
pub(crate) fn taken(manner: Manner) -> Response<Body> {
    let mut response = Response::new(full("ok"));
    // Not text/plain, which made old Android browsers offer a download.
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    session_headers(&mut response, manner);
    response
}

/// An answer with nothing but its status.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(""));
    *response.status_mut() = status;
    response
}

/// As [`empty`], for a request whose body is not going to be read: the connection ends with it.
pub(crate) fn unread(status: StatusCode) -> Response<Body> {
    let mut response = empty(status);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// What stands in every answer in the name of a session.
fn session_headers(response: &mut Response<Body>, manner: Manner) {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if manner.old {
        // Its filter would otherwise rewrite payloads that look like script.
        headers.insert(X_XSS_PROTECTION, HeaderValue::from_static("0"));
    }
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST)
}
