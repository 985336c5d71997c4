//! The client's side of the opening handshake (RFC 6455 §4.1; over HTTP/2, RFC 8441 §5): what a request
//! asks for, and whether the answer opens a WebSocket, and if not, why.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{error, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{accept_key, has_token, items};

/// The most characters of a header's value that a [`Refusal`] quotes: a sentence that somebody reads.
const QUOTED: usize = 100;

/// The `Sec-WebSocket-Key` for a nonce of 16 random bytes, a fresh one for each request. The server
/// has to answer with [`accept_key`] of it.
#[must_use]
pub fn key(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}

/// The head of a request that opens a WebSocket, for a client without an HTTP stack and without
/// wishes: `target` is the path and query, `host` the value of `Host`, `key` that of [`key`].
#[must_use]
pub fn request(target: &str, host: &str, key: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// What a client asks for in its handshake.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a, S> {
    /// The value of `Sec-WebSocket-Key`, made by [`key`].
    pub key: &'a str,
    /// The subprotocols offered, the preferred one first. Each must be a [valid one](is_subprotocol),
    /// and none may occur twice.
    pub subprotocols: &'a [S],
    /// The value of `Sec-WebSocket-Extensions`.
    pub extensions: Option<&'a str>,
}

impl<S: AsRef<str>> Request<'_, S> {
    /// The header lines that make a GET request one for a WebSocket, all but `Host` (RFC 6455 §4.1,
    /// points 5 to 11).
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> + use<'_, S> {
        let mut rest = self.connect_headers();
        let version = rest.next();
        [("upgrade", "websocket".to_string()), ("connection", "Upgrade".to_string())]
            .into_iter()
            .chain(version)
            .chain([("sec-websocket-key", self.key.to_string())])
            .chain(rest)
    }

    /// The header lines that make an extended CONNECT of HTTP/2 one for a WebSocket (RFC 8441 §5): the
    /// same without those that HTTP/2 takes the place of.
    pub fn connect_headers(&self) -> impl Iterator<Item = (&'static str, String)> + use<'_, S> {
        let offers: Vec<&str> = self.subprotocols.iter().map(AsRef::as_ref).collect();
        let subprotocols = (!offers.is_empty()).then(|| offers.join(", "));
        [
            ("sec-websocket-version", Some("13".to_string())),
            ("sec-websocket-protocol", subprotocols),
            ("sec-websocket-extensions", self.extensions.map(ToString::to_string)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}

/// Whether this may be the name of a subprotocol: a token of HTTP (RFC 6455 §4.1, point 10).
#[must_use]
pub fn is_subprotocol(name: &str) -> bool {
    let separators = b"()<>@,;:\\\"/[]?={}";
    let is_token = |byte: u8| byte.is_ascii_graphic() && !separators.contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

/// What has to be known of an HTTP response.
#[derive(Clone, Copy, Debug)]
pub struct Response<H> {
    /// The status code.
    pub status: u16,
    /// All header lines, names in any case.
    pub headers: H,
}

/// The response opens the WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// The subprotocol that the server chose. `None` where none was offered, and also where the
    /// server declined all of them, which RFC 6455 leaves the client to be content with or not;
    /// browsers are not.
    pub subprotocol: Option<&'a str>,
    /// The values of `Sec-WebSocket-Extensions` as they came. Whether they accept what was offered
    /// is for the extension's negotiation to say; where nothing was offered, there are none.
    pub extensions: Vec<&'a [u8]>,
}

/// Why the response does not open a WebSocket, in the server's words where there are some. Its
/// `Display` is a sentence for whoever looks for what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The status is not 101. That is for HTTP to explain: a redirect, a demand to log in.
    Status(u16),
    /// The same for an extended CONNECT, whose answer should be a status of success.
    ConnectStatus(u16),
    /// `Upgrade` is missing, or has another value than `websocket`.
    Upgrade(Option<String>),
    /// `Connection` is missing, or has no `Upgrade` in it.
    Connection(Option<String>),
    /// No `Sec-WebSocket-Accept`.
    AcceptMissing,
    /// More than one `Sec-WebSocket-Accept`.
    AcceptRepeated,
    /// `Sec-WebSocket-Accept` is not the answer to our key.
    AcceptWrong(String),
    /// A `Sec-WebSocket-Protocol`, though none was offered.
    SubprotocolUnasked(String),
    /// A `Sec-WebSocket-Protocol` that is none of those offered; several names in one value are no
    /// name either.
    SubprotocolNotOffered(String),
    /// More than one `Sec-WebSocket-Protocol`.
    SubprotocolRepeated,
    /// A `Sec-WebSocket-Extensions`, though none was offered.
    ExtensionUnasked(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => {
                write!(f, "The status is {status} instead of 101 (Switching Protocols).")
            }
            Self::ConnectStatus(status) => write!(f, "The status is {status} instead of 200 (OK)."),
            Self::Upgrade(None) => f.write_str(
                "The header 'Upgrade: websocket' is missing; a proxy in between may have removed it.",
            ),
            Self::Upgrade(Some(other)) => {
                write!(f, "The header Upgrade is {other:?} instead of \"websocket\".")
            }
            Self::Connection(None) => f.write_str(
                "The header 'Connection: Upgrade' is missing; a proxy in between may have removed it.",
            ),
            Self::Connection(Some(other)) => {
                write!(f, "The header Connection is {other:?} instead of \"Upgrade\".")
            }
            Self::AcceptMissing => f.write_str("The header Sec-WebSocket-Accept is missing."),
            Self::AcceptRepeated => {
                f.write_str("The header Sec-WebSocket-Accept must occur only once.")
            }
            Self::AcceptWrong(value) => write!(
                f,
                "The header Sec-WebSocket-Accept is {value:?}, which is not the answer to this \
                 request's key: it may be a cache's answer to another request."
            ),
            Self::SubprotocolUnasked(name) => {
                write!(f, "The server chose the subprotocol {name:?}, though none was offered.")
            }
            Self::SubprotocolNotOffered(name) => {
                write!(f, "The server chose the subprotocol {name:?}, which was not offered.")
            }
            Self::SubprotocolRepeated => {
                f.write_str("The header Sec-WebSocket-Protocol must occur only once.")
            }
            Self::ExtensionUnasked(value) => {
                write!(f, "The server uses the extension {value:?}, though none was offered.")
            }
        }
    }
}

impl error::Error for Refusal {}

/// Judges a response by every rule of RFC 6455 §4.1. HTTP's own framing is the caller's concern.
///
/// # Errors
///
/// The first rule that the response breaks, in the order of the RFC.
pub fn judge<'a, S, H>(
    request: &Request<'a, S>,
    response: Response<H>,
) -> Result<Accepted<'a>, Refusal>
where
    S: AsRef<str>,
    H: IntoIterator<Item = (&'a str, &'a [u8])>,
{
    if response.status != 101 {
        return Err(Refusal::Status(response.status));
    }

    let (mut upgrades, mut connections) = (Vec::new(), Vec::new());
    let mut accepts = Vec::new();
    let mut agreed = Agreed::default();
    for (name, value) in response.headers {
        let is = |known| name.eq_ignore_ascii_case(known);
        if is("upgrade") {
            upgrades.push(value);
        } else if is("connection") {
            connections.push(value);
        } else if is("sec-websocket-accept") {
            accepts.push(value.trim_ascii());
        } else {
            agreed.note(name, value);
        }
    }

    let mut protocols = upgrades.iter().flat_map(|value| items(value)).peekable();
    let switches = protocols.peek().is_some()
        && protocols.all(|protocol| protocol.eq_ignore_ascii_case(b"websocket"));
    if !switches {
        return Err(Refusal::Upgrade(quoted_list(&upgrades)));
    }
    if !connections.iter().any(|value| has_token(value, b"upgrade")) {
        return Err(Refusal::Connection(quoted_list(&connections)));
    }
    match *accepts {
        [] => return Err(Refusal::AcceptMissing),
        [value] if value == accept_key(request.key.as_bytes()).as_bytes() => {}
        [value] => return Err(Refusal::AcceptWrong(quoted(value))),
        _ => return Err(Refusal::AcceptRepeated),
    }
    agreed.judge(request)
}

/// Judges the response to an extended CONNECT by every rule of RFC 8441 §5, by which any status of success
/// takes the place of 101. The request's key is not looked at.
///
/// # Errors
///
/// The first rule that the response breaks.
pub fn judge_connect<'a, S, H>(
    request: &Request<'a, S>,
    response: Response<H>,
) -> Result<Accepted<'a>, Refusal>
where
    S: AsRef<str>,
    H: IntoIterator<Item = (&'a str, &'a [u8])>,
{
    if !(200..300).contains(&response.status) {
        return Err(Refusal::ConnectStatus(response.status));
    }
    let mut agreed = Agreed::default();
    for (name, value) in response.headers {
        agreed.note(name, value);
    }
    agreed.judge(request)
}

/// What a response says to the offers of its request.
#[derive(Default)]
struct Agreed<'a> {
    subprotocols: Vec<&'a [u8]>,
    extensions: Vec<&'a [u8]>,
}

impl<'a> Agreed<'a> {
    fn note(&mut self, name: &str, value: &'a [u8]) {
        let is = |known| name.eq_ignore_ascii_case(known);
        if is("sec-websocket-protocol") {
            self.subprotocols.push(value.trim_ascii());
        } else if is("sec-websocket-extensions") && items(value).next().is_some() {
            self.extensions.push(value);
        }
    }

    fn judge<S: AsRef<str>>(self, request: &Request<'a, S>) -> Result<Accepted<'a>, Refusal> {
        let Self { subprotocols, extensions } = self;
        if let (None, Some(value)) = (request.extensions, extensions.first()) {
            return Err(Refusal::ExtensionUnasked(quoted(value)));
        }
        let subprotocol = match *subprotocols {
            [] => None,
            [value] if request.subprotocols.is_empty() => {
                return Err(Refusal::SubprotocolUnasked(quoted(value)));
            }
            // As it was written in the offer: a subprotocol's name has its case.
            [value] => {
                let mut offers = request.subprotocols.iter().map(AsRef::as_ref);
                let chosen = offers.find(|offer| offer.as_bytes() == value);
                Some(chosen.ok_or_else(|| Refusal::SubprotocolNotOffered(quoted(value)))?)
            }
            _ => return Err(Refusal::SubprotocolRepeated),
        };
        Ok(Accepted { subprotocol, extensions })
    }
}

/// A value for somebody to read.
fn quoted(value: &[u8]) -> String {
    let value = String::from_utf8_lossy(value);
    match value.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.into_owned(),
    }
}

/// The values of several lines as one, as HTTP joins them (RFC 9110 §5.3).
fn quoted_list(values: &[&[u8]]) -> Option<String> {
    (!values.is_empty()).then(|| quoted(&values.join(&b", "[..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nonce_of_rfc_6455_section_1_3() {
        assert_eq!(key(*b"the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ==");
    }

    #[test]
    fn an_extended_connect_needs_no_key_and_any_success_answers_it() {
        let subprotocols = ["chat"];
        let request = Request { key: "", subprotocols: &subprotocols, extensions: None };
        let headers: Vec<_> = request.connect_headers().collect();
        let header = |name, value: &str| (name, value.to_string());
        assert_eq!(
            headers,
            [header("sec-websocket-version", "13"), header("sec-websocket-protocol", "chat")]
        );
        let judge = |status, name| {
            let headers = [("sec-websocket-protocol", name)];
            judge_connect(&request, Response { status, headers })
        };
        let accepted = judge(200, b"chat".as_slice()).unwrap();
        assert_eq!(accepted, Accepted { subprotocol: Some("chat"), extensions: Vec::new() });
        assert_eq!(judge(204, b"chat"), Ok(accepted));
        assert_eq!(judge(101, b"chat"), Err(Refusal::ConnectStatus(101)));
        assert_eq!(judge(300, b"chat"), Err(Refusal::ConnectStatus(300)));
        assert_eq!(judge(200, b"x"), Err(Refusal::SubprotocolNotOffered("x".to_string())));
    }

    #[test]
    fn a_request_has_all_that_a_server_demands() {
        let request = request("/chat?v=1", "example.com", "k");
        assert_eq!(
            request,
            "GET /chat?v=1 HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
    }
}
