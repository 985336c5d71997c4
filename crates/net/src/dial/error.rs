//! Why there is no WebSocket: which step failed, and of what.

use std::time::Duration;
use std::{error, fmt, io};

use http::{HeaderMap, Response, StatusCode};
use sockeye_websocket::deflate::AnswerError;
use sockeye_websocket::handshake::client::Refusal;

use super::exchange;
use super::options::OptionsError;
use super::race::Attempt;
use super::target::UrlError;
use crate::http::BoxError;

/// A step on the way to a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Asking for the addresses of a host.
    Dns,
    /// Connecting to one of them.
    Tcp,
    /// Having a proxy connect us.
    Proxy,
    /// Making the connection secure.
    Tls,
    /// Request and answer of the opening handshake.
    Http,
    /// Judging the answer.
    Handshake,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "the DNS lookup",
            Self::Tcp => "the TCP connect",
            Self::Proxy => "the proxy's part",
            Self::Tls => "the TLS handshake",
            Self::Http => "the HTTP exchange",
            Self::Handshake => "the WebSocket handshake",
        })
    }
}

/// Why there is no WebSocket. `Display` says which step failed and with whom; the cause, where there is
/// one behind it, is its [`source`](error::Error::source).
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The options cannot be fulfilled. Nothing was sent.
    Options(OptionsError),
    /// The URL is none of a WebSocket. Nothing was sent.
    Url(UrlError),
    /// The target is `wss://`, and nothing in the options speaks TLS. Nothing was sent.
    WithoutTls,
    /// The operating system gave no random bytes for the key. Nothing was sent.
    Random(BoxError),
    /// The host has no address.
    Dns {
        /// The target's host or the proxy's.
        host: String,
        /// The resolver's reason.
        source: io::Error,
    },
    /// None of the host's addresses could be connected to.
    Tcp {
        /// The target's host or the proxy's.
        host: String,
        /// What was tried, in the order in which it failed.
        attempts: Vec<Attempt>,
    },
    /// The proxy did not connect us to the target.
    Proxy {
        /// The proxy's URL, without credentials.
        proxy: String,
        /// Why not.
        source: ProxyError,
    },
    /// No TLS with the target.
    Tls {
        /// The target's host.
        host: String,
        /// The reason of [`Secure`](super::Secure).
        source: BoxError,
    },
    /// No answer of HTTP.
    Http(hyper::Error),
    /// No answer of HTTP/2.
    #[cfg(feature = "http2")]
    Http2(Http2Error),
    /// The server sends us somewhere else. Whether to go there is the caller's decision: it would have the
    /// request's headers sent to whoever that is.
    Redirected {
        /// 301, 302, 303, 307 or 308.
        status: StatusCode,
        /// Where to: a whole URL, unless the server's makes no sense.
        to: String,
    },
    /// The server answers with an ordinary response of HTTP: a demand to log in, an error, a page.
    Rejected(Box<Rejection>),
    /// The answer does not open a WebSocket.
    Handshake(Refusal),
    /// The server's answer to the offer of compression breaks a rule (RFC 7692 §7.1).
    Compression(AnswerError),
    /// A step took too long.
    Timeout {
        /// The step that was under way.
        phase: Phase,
        /// The limit from [`Timeouts`](super::Timeouts).
        limit: Duration,
        /// Whether it is the limit for all steps, `total`.
        is_total: bool,
        /// While connecting: what had failed by then.
        attempts: Vec<Attempt>,
    },
}

/// An ordinary response of HTTP where a connection was wanted.
#[derive(Clone, Debug)]
pub struct Rejection {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The first KiB of the body, as text, as far as it came in time.
    pub body: String,
}

/// Why there is no answer of HTTP/2.
#[cfg(feature = "http2")]
#[derive(Debug)]
#[non_exhaustive]
pub enum Http2Error {
    /// The server did not choose HTTP/2 when it was offered through TLS.
    NotChosen,
    /// The server speaks HTTP/2 and opens no WebSockets by it: its settings do not say so (RFC 8441 §3).
    NoWebSockets,
    /// The server did not begin to process the request: it takes no more of them on this connection.
    NotBegun(io::Error),
    /// The connection failed, or the server has reset the stream.
    Broken(io::Error),
}

#[cfg(feature = "http2")]
impl fmt::Display for Http2Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotChosen => f.write_str("the server did not choose it"),
            Self::NoWebSockets => f.write_str(
                "the server opens no WebSockets by it (its SETTINGS_ENABLE_CONNECT_PROTOCOL is not 1)",
            ),
            Self::NotBegun(error) => write!(f, "the server did not begin with it: {error}"),
            Self::Broken(error) => error.fmt(f),
        }
    }
}

#[cfg(feature = "http2")]
impl error::Error for Http2Error {}

/// Why a proxy did not connect us.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProxyError {
    /// The connection to the proxy failed.
    Io(io::Error),
    /// The proxy's answer is none of HTTP.
    Http(hyper::Error),
    /// The HTTP proxy answers with another status than 2xx.
    Rejected(Box<Rejection>),
    /// The HTTP proxy sends this many bytes in the name of a target that was not spoken to yet.
    Early(usize),
    /// What the SOCKS proxy says is not SOCKS 5.
    NotSocks,
    /// The SOCKS proxy refuses.
    Socks(BoxError),
    /// The target's name cannot be said to a proxy.
    Name,
}

impl Error {
    /// The step that failed; `None` where nothing was begun.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        match self {
            Self::Options(_) | Self::Url(_) | Self::WithoutTls | Self::Random(_) => None,
            Self::Dns { .. } => Some(Phase::Dns),
            Self::Tcp { .. } => Some(Phase::Tcp),
            Self::Proxy { .. } => Some(Phase::Proxy),
            Self::Tls { .. } => Some(Phase::Tls),
            Self::Http(_) | Self::Redirected { .. } | Self::Rejected(_) => Some(Phase::Http),
            #[cfg(feature = "http2")]
            Self::Http2(_) => Some(Phase::Http),
            Self::Handshake(_) | Self::Compression(_) => Some(Phase::Handshake),
            Self::Timeout { phase, .. } => Some(*phase),
        }
    }
}

impl Rejection {
    pub(super) fn new<B>(response: Response<B>, body: String) -> Self {
        let (head, _) = response.into_parts();
        Self { status: head.status, headers: head.headers, body }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => error.fmt(f),
            Self::Compression(_) => {
                f.write_str("the server's answer to the offer of compression is not valid")
            }
            Self::Options(_) => f.write_str("the options cannot be fulfilled"),
            Self::WithoutTls => f.write_str("wss:// and https:// need TLS: built without TLS"),
            Self::Random(_) => f.write_str("the operating system gives no random bytes"),
            Self::Dns { host, .. } => write!(f, "no address of {host:?} was found"),
            Self::Tcp { host, attempts } => {
                write!(f, "no TCP connection to {host:?}")?;
                list(f, attempts)
            }
            Self::Proxy { proxy, .. } => write!(f, "the proxy {proxy} made no connection"),
            Self::Tls { host, .. } => write!(f, "no TLS with {host:?}"),
            Self::Http(error) => write!(f, "no HTTP answer: {}", exchange::reason(error)),
            #[cfg(feature = "http2")]
            Self::Http2(error) => write!(f, "no answer of HTTP/2: {error}"),
            Self::Redirected { status, to } => {
                write!(f, "the server redirects to {to:?} ({status}), which is not followed")
            }
            Self::Rejected(rejection) => {
                write!(f, "the server opens no WebSocket: {rejection}")
            }
            Self::Handshake(_) => f.write_str("the server's answer opens no WebSocket"),
            Self::Timeout { phase, limit, is_total, attempts } => {
                if *is_total {
                    write!(f, "{phase} was not done when the {limit:?} for everything were over")?;
                } else {
                    write!(f, "{phase} took longer than {limit:?}")?;
                }
                list(f, attempts)
            }
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, attempts: &[Attempt]) -> fmt::Result {
    for (index, Attempt { address, error }) in attempts.iter().enumerate() {
        let separator = if index == 0 { ": " } else { "; " };
        write!(f, "{separator}{address}: {error}")?;
    }
    Ok(())
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Options(error) => Some(error),
            Self::Compression(error) => Some(error),
            Self::Random(error) | Self::Tls { source: error, .. } => Some(&**error),
            Self::Dns { source, .. } => Some(source),
            Self::Proxy { source, .. } => Some(source),
            Self::Handshake(refusal) => Some(refusal),
            // `Display` has it all.
            Self::Url(_)
            | Self::Tcp { .. }
            | Self::Http(_)
            | Self::WithoutTls
            | Self::Redirected { .. }
            | Self::Rejected(_)
            | Self::Timeout { .. } => None,
            #[cfg(feature = "http2")]
            Self::Http2(_) => None,
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if self.body.is_empty() { Ok(()) } else { write!(f, ": {:?}", self.body) }
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the connection failed: {error}"),
            Self::Http(error) => f.write_str(&exchange::reason(error)),
            Self::Rejected(rejection) => write!(f, "it answers {rejection}"),
            Self::Early(count) => {
                write!(
                    f,
                    "it sent {count} bytes behind its answer, before the target was spoken to"
                )
            }
            Self::NotSocks => f.write_str("its answer is not SOCKS 5"),
            Self::Socks(reason) => write!(f, "it refuses: {reason}"),
            Self::Name => f.write_str("the target's name cannot be said to a proxy"),
        }
    }
}

impl error::Error for ProxyError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io(error) => error.source(),
            _ => None,
        }
    }
}

impl From<OptionsError> for Error {
    fn from(error: OptionsError) -> Self {
        Self::Options(error)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Handshake(refusal)
    }
}

impl From<hyper::Error> for ProxyError {
    fn from(error: hyper::Error) -> Self {
        Self::Http(error)
    }
}
