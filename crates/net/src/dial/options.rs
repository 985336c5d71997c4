//! What a client may wish for when it opens a WebSocket.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use std::{error, fmt};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Uri};
use http_body_util::Empty;
use sockeye_websocket::handshake::client;
use tokio::net::TcpStream;

use super::proxy::Proxy;
use super::target::Target;
use crate::http::BoxError;
#[cfg(feature = "http2")]
use crate::http2::KeepAlive;
use crate::io::Io;

/// How a WebSocket is opened. The default asks for nothing but a WebSocket.
#[derive(Clone, Debug)]
pub struct Options {
    /// Headers of the request besides those of the handshake: `Origin`, `Cookie`, `Authorization` (which
    /// takes the place of what the URL says), a name's several values a line each. Those that the
    /// handshake sets are an error. Default: none.
    pub headers: HeaderMap,
    /// The subprotocols offered, the preferred one first. Default: none.
    pub subprotocols: Vec<String>,
    /// The offer of extensions, the value of `Sec-WebSocket-Extensions`. Default: none.
    pub extensions: Option<String>,
    /// The proxy to go through. Default: none, whatever the environment says;
    /// [`Proxy::from_environment`] asks it.
    pub proxy: Option<Proxy>,
    /// The addresses to connect to instead of those of the target's host (with a proxy, of the
    /// proxy's). The target keeps its name for `Host` and TLS. Default: none, and DNS is asked.
    pub addresses: Vec<SocketAddr>,
    /// What makes `wss://` secure. Default: none, and such targets are an error.
    pub tls: Option<Arc<dyn Secure>>,
    /// Which HTTP the WebSocket is opened by. Default: HTTP/1.1.
    #[cfg(feature = "http2")]
    pub http: HttpVersion,
    /// How a connection of HTTP/2 finds out that its server is gone without a word.
    #[cfg(feature = "http2")]
    pub keep_alive: KeepAlive,
    /// How long each step may take.
    pub timeouts: Timeouts,
    /// How long an attempt to connect to one address has the field to itself before the next address is
    /// tried beside it. Default: 250 ms (RFC 8305 §5, which allows 10 ms to 2 s).
    pub attempt_delay: Duration,
    /// Whether small writes go out at once instead of waiting for the acknowledgement of earlier ones:
    /// `TCP_NODELAY` of our end. Default: yes.
    pub nodelay: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            headers: HeaderMap::new(),
            subprotocols: Vec::new(),
            extensions: None,
            proxy: None,
            addresses: Vec::new(),
            tls: None,
            #[cfg(feature = "http2")]
            http: HttpVersion::default(),
            #[cfg(feature = "http2")]
            keep_alive: KeepAlive::default(),
            timeouts: Timeouts::default(),
            attempt_delay: Duration::from_millis(250),
            nodelay: true,
        }
    }
}

/// Which HTTP a WebSocket is opened by.
#[cfg(feature = "http2")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1: a connection for each WebSocket.
    #[default]
    Http1,
    /// HTTP/2 (RFC 8441) with `wss://`, where the server chooses it and opens WebSockets by it; else HTTP/1.1.
    Either,
    /// HTTP/2, or an error. With `ws://` the server is known to speak it (RFC 9113 §3.3).
    Http2,
}

/// How long each step on the way to a WebSocket may take. [`Duration::MAX`] is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Asking for the host's addresses. Default: 10 s, in which a resolver asks its second server.
    pub dns: Duration,
    /// Each attempt to connect to one address. Default: 10 s.
    pub tcp: Duration,
    /// The proxy's part. Default: 10 s.
    pub proxy: Duration,
    /// The TLS handshake. Default: 10 s.
    pub tls: Duration,
    /// The opening handshake, from the request to the end of the answer's head. Default: 10 s.
    pub http: Duration,
    /// All of it. Default: 20 s, as of the Socket.IO client in Node.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let step = Duration::from_secs(10);
        let total = Duration::from_secs(20);
        Self { dns: step, tcp: step, proxy: step, tls: step, http: step, total }
    }
}

/// What makes a TCP connection secure.
pub trait Secure: fmt::Debug + Send + Sync {
    /// Speaks TLS as a client with the server at the other end of `stream`, which must show that it is
    /// `host`: a name in ASCII or an address, that of IPv6 without brackets. No ALPN, or `http/1.1`.
    ///
    /// The future must close the stream when it is dropped.
    fn secure<'a>(&'a self, stream: TcpStream, host: &'a str) -> Securing<'a>;

    /// The same, and offers these protocols (ALPN, RFC 7301), the preferred one first. The server's choice is
    /// [`Io::alpn`]. Unless it is implemented, nothing more is offered than [`secure`](Self::secure) does, and
    /// HTTP/2 is never chosen.
    #[cfg(feature = "http2")]
    fn secure_offering<'a>(
        &'a self,
        stream: TcpStream,
        host: &'a str,
        protocols: &'a [&'a [u8]],
    ) -> Securing<'a> {
        let _ = protocols;
        self.secure(stream, host)
    }
}

/// The future of [`Secure::secure`].
pub type Securing<'a> = Pin<Box<dyn Future<Output = Result<Io, BoxError>> + Send + 'a>>;

/// A wish in [`Options`] that cannot be fulfilled. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionsError {
    /// A header that the handshake itself sets.
    Header(HeaderName),
    /// A subprotocol whose name is no token of HTTP.
    Subprotocol(String),
    /// A subprotocol that is offered twice (RFC 6455 §4.1, point 10).
    SubprotocolRepeated(String),
    /// An offer of extensions that is no header's value.
    Extensions(String),
    /// SOCKS knows user names and passwords of 1 to 255 bytes only (RFC 1929 §2).
    SocksCredentials,
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) if name == header::HOST => f.write_str(
                "the header host is the URL's host; to reach it at another address, set `addresses`",
            ),
            Self::Header(name) if name == header::SEC_WEBSOCKET_PROTOCOL => {
                write!(f, "the header {name} is set by `subprotocols`")
            }
            Self::Header(name) if name == header::SEC_WEBSOCKET_EXTENSIONS => {
                write!(f, "the header {name} is set by `extensions`")
            }
            Self::Header(name) if name == header::PROXY_AUTHORIZATION => {
                write!(f, "the header {name} is set by the credentials of `proxy`")
            }
            Self::Header(name) => write!(f, "the header {name} is the handshake's own"),
            Self::Subprotocol(name) => write!(f, "{name:?} cannot be the name of a subprotocol"),
            Self::SubprotocolRepeated(name) => {
                write!(f, "the subprotocol {name:?} is offered twice")
            }
            Self::Extensions(offer) => write!(f, "{offer:?} cannot be an offer of extensions"),
            Self::SocksCredentials => f.write_str(
                "user name and password for a SOCKS proxy must have 1 to 255 bytes each",
            ),
        }
    }
}

impl error::Error for OptionsError {}

/// Headers that would make another request of ours: those of the handshake (RFC 6455 §4.1), and those
/// that are about the connection or about a body that is not there (RFC 9110 §7.6.1, §8.6).
const RESERVED: &[HeaderName] = &[
    header::HOST,
    header::UPGRADE,
    header::CONNECTION,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_ACCEPT,
    header::PROXY_AUTHORIZATION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::EXPECT,
];

impl Options {
    /// Whether all of it can be fulfilled.
    pub(super) fn validate(&self) -> Result<(), OptionsError> {
        for name in RESERVED {
            if self.headers.contains_key(name) {
                return Err(OptionsError::Header(name.clone()));
            }
        }
        for (index, name) in self.subprotocols.iter().enumerate() {
            if !client::is_subprotocol(name) {
                return Err(OptionsError::Subprotocol(name.clone()));
            }
            if self.subprotocols[..index].contains(name) {
                return Err(OptionsError::SubprotocolRepeated(name.clone()));
            }
        }
        if let Some(offer) = &self.extensions
            && (offer.trim().is_empty() || HeaderValue::from_str(offer).is_err())
        {
            return Err(OptionsError::Extensions(offer.clone()));
        }
        if let Some(Proxy::Socks5 { credentials: Some(credentials), .. }) = &self.proxy
            && ![&credentials.user, &credentials.password]
                .into_iter()
                .all(|text| (1..=255).contains(&text.len()))
        {
            return Err(OptionsError::SocksCredentials);
        }
        Ok(())
    }

    /// What is asked for, as the handshake sees it.
    pub(super) fn asked<'a>(&'a self, key: &'a str) -> client::Request<'a, String> {
        client::Request {
            key,
            subprotocols: &self.subprotocols,
            extensions: self.extensions.as_deref(),
        }
    }

    /// The request of the handshake, of options that are valid.
    pub(super) fn request(&self, target: &Target, key: &str) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = Uri::from(target.path_and_query().clone());
        let headers = request.headers_mut();
        headers.insert(header::HOST, target.host_header().clone());
        self.fill(headers, target, self.asked(key).headers());
        request
    }

    /// The request of the handshake over HTTP/2, of options that are valid.
    #[cfg(feature = "http2")]
    pub(super) fn connect_request(&self, target: &Target) -> Result<Request<()>, http::Error> {
        let uri = Uri::builder()
            .scheme(if target.is_secure() { "https" } else { "http" })
            .authority(target.host_header().as_bytes())
            .path_and_query(target.path_and_query().clone())
            .build()?;
        let mut request = Request::new(());
        *request.method_mut() = http::Method::CONNECT;
        *request.version_mut() = http::Version::HTTP_2;
        *request.uri_mut() = uri;
        request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
        self.fill(request.headers_mut(), target, self.asked("").connect_headers());
        Ok(request)
    }

    /// Puts into a head what is asked for and what is wished for.
    fn fill(
        &self,
        headers: &mut HeaderMap,
        target: &Target,
        asked: impl Iterator<Item = (&'static str, String)>,
    ) {
        for (name, value) in asked {
            let value = HeaderValue::try_from(value).expect("the options were validated");
            headers.insert(name, value);
        }
        if let Some(value) = target.authorization() {
            headers.insert(header::AUTHORIZATION, value.clone());
        }
        for name in self.headers.keys() {
            headers.remove(name);
            for value in self.headers.get_all(name) {
                headers.append(name, value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dial::Credentials;

    #[test]
    fn the_handshakes_own_headers_are_refused() {
        for name in RESERVED {
            let headers = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static("x"))]);
            let error = Options { headers, ..Options::default() }.validate();
            assert_eq!(error, Err(OptionsError::Header(name.clone())));
            assert!(error.unwrap_err().to_string().contains(name.as_str()), "{name}");
        }
    }

    #[test]
    fn offers_that_cannot_be_made_are_refused() {
        let with = |names: &[&str]| {
            let subprotocols = names.iter().map(|&name| name.to_owned()).collect();
            Options { subprotocols, ..Options::default() }.validate()
        };
        assert_eq!(with(&["a", "A"]), Ok(()));
        assert_eq!(with(&["a", "b c"]), Err(OptionsError::Subprotocol("b c".to_owned())));
        assert_eq!(with(&["a", "b", "a"]), Err(OptionsError::SubprotocolRepeated("a".to_owned())));
        for offer in ["", " ", "a\r\nb: c", "\u{e4}\u{0}"] {
            let extensions = Some(offer.to_owned());
            let error = Options { extensions, ..Options::default() }.validate();
            assert_eq!(error, Err(OptionsError::Extensions(offer.to_owned())));
        }
    }

    #[test]
    fn credentials_that_socks_cannot_carry_are_refused() {
        for (user, password, good) in [
            (1, 1, true),
            (255, 255, true),
            (0, 1, false),
            (1, 0, false),
            (256, 1, false),
            (1, 256, false),
        ] {
            let credentials =
                Some(Credentials { user: "u".repeat(user), password: "p".repeat(password) });
            let proxy = Some(Proxy::Socks5 { host: "p".to_owned(), port: 1080, credentials });
            let valid = Options { proxy, ..Options::default() }.validate();
            assert_eq!(valid.is_ok(), good, "{user} {password}");
        }
    }

    #[test]
    fn an_authorization_of_the_options_takes_the_place_of_the_urls() {
        let target = "ws://u:p@a".parse().unwrap();
        let options = Options::default();
        assert_eq!(options.request(&target, "k").headers()["authorization"], "Basic dTpw");
        let headers =
            HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static("Bearer t"))]);
        let request = Options { headers, ..options }.request(&target, "k");
        assert!(request.headers().get_all("authorization").iter().eq(["Bearer t"]));
    }
}
