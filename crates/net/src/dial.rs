//! The client's way to an open WebSocket, as far as the byte stream behind the `101`.
//!
//! [`connect`] takes one step after the other: DNS, TCP, the proxy, TLS, the opening handshake. Each has
//! its deadline and its [`Error`]. Nothing is spawned but the task of a connection that speaks HTTP/2, so that
//! dropping the future ends everything.
//!
//! ```no_run
//! use sockeye_net::dial::{Options, connect};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let target = "ws://example.com/chat".parse()?;
//! let options = Options { subprotocols: vec!["chat".to_owned()], ..Options::default() };
//! let opened = connect(&target, &options).await?;
//! println!("connected to {}, which speaks {:?}", opened.peer, opened.subprotocol);
//! # Ok(())
//! # }
//! ```

mod budget;
mod credentials;
mod error;
mod exchange;
mod options;
#[cfg(feature = "http2")]
mod pool;
mod proxy;
mod race;
mod target;
mod tunnel;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};
use sockeye_websocket::handshake::client;
use tokio::net::{TcpSocket, TcpStream};

use crate::io::Io;
use budget::{Budget, Deadline};

#[cfg(feature = "http2")]
pub use crate::http2::KeepAlive;
pub use credentials::Credentials;
#[cfg(feature = "http2")]
pub use error::Http2Error;
pub use error::{Error, Phase, ProxyError, Rejection};
#[cfg(feature = "http2")]
pub use options::HttpVersion;
pub use options::{Options, OptionsError, Secure, Securing, Timeouts};
#[cfg(feature = "http2")]
pub use pool::Pool;
pub use proxy::{EnvironmentError, Proxy};
pub use race::Attempt;
pub use target::{Target, UrlError};

/// A WebSocket that is open.
///
/// What is kept of `leftover`, `headers` and `extensions` keeps the buffer that the answer was read into, up
/// to 16 KiB.
#[derive(Debug)]
pub struct Opened {
    /// The stream of frames.
    pub io: Io,
    /// What the server sent behind its answer: the first bytes of frames.
    pub leftover: Bytes,
    /// The subprotocol that the server chose of those offered. It may decline all; browsers take that
    /// for an error, RFC 6455 leaves it to the client.
    pub subprotocol: Option<String>,
    /// What the server says to the offer of extensions: the values of `Sec-WebSocket-Extensions`, to be
    /// judged by whoever made the offer. None if none was made.
    pub extensions: Vec<HeaderValue>,
    /// All headers of the answer.
    pub headers: HeaderMap,
    /// The other end of the TCP connection: the server, or the proxy.
    pub peer: SocketAddr,
}

/// Opens a WebSocket.
///
/// Every check of RFC 6455 §4.1 is made. Redirects are not followed; an answer's head is read up to 16 KiB
/// and 100 lines.
///
/// With HTTP/2 the connection is this WebSocket's alone; a `Pool` shares it. Its task is spawned,
/// and ends with it.
///
/// Dropped before it is done, it closes whatever it had opened. Only a DNS lookup that is under way goes on
/// in its thread, and nobody hears of its result.
///
/// # Errors
///
/// Which step failed, and why.
pub async fn connect(target: &Target, options: &Options) -> Result<Opened, Error> {
    #[cfg(feature = "http2")]
    if options.http != HttpVersion::Http1 {
        return Pool::new().connect(target, options).await;
    }
    // The steps' states are large, and are over soon.
    Box::pin(dial(target, options)).await
}

async fn dial(target: &Target, options: &Options) -> Result<Opened, Error> {
    options.validate()?;
    let budget = Budget::new(options.timeouts.total);
    let (io, peer) = reach_target(target, options, budget, None).await?;
    shake_hands(io, peer, target, options, budget).await
}

/// The stream on which the target is spoken to, offering these protocols if it is secure.
async fn reach_target(
    target: &Target,
    options: &Options,
    budget: Budget,
    protocols: Option<&[&[u8]]>,
) -> Result<(Io, SocketAddr), Error> {
    let tls = match (target.is_secure(), &options.tls) {
        (true, None) => return Err(Error::WithoutTls),
        (true, Some(tls)) => Some(tls),
        (false, _) => None,
    };
    let Options { timeouts, proxy, .. } = options;
    let (host, port) = match proxy {
        Some(proxy) => (proxy.host(), proxy.port()),
        None => (target.host(), target.port()),
    };
    let addresses = match &*options.addresses {
        [] => budget.spend(Phase::Dns, timeouts.dns, resolve(host, port)).await?,
        addresses => addresses.to_vec(),
    };
    let (mut stream, peer) = reach(host, &addresses, options, budget).await?;
    if let Some(proxy) = proxy {
        stream = tunnel(stream, proxy, target, options, budget).await?;
    }
    let io = match tls {
        Some(tls) => {
            let securing = async {
                let securing = match protocols {
                    #[cfg(feature = "http2")]
                    Some(protocols) => tls.secure_offering(stream, target.host(), protocols),
                    _ => tls.secure(stream, target.host()),
                };
                let secured = securing.await;
                secured.map_err(|source| Error::Tls { host: target.host().to_owned(), source })
            };
            budget.spend(Phase::Tls, timeouts.tls, securing).await?
        }
        None => Io::from(stream),
    };
    Ok((io, peer))
}

/// The addresses of a host.
async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![(address, port).into()]);
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    if name == "localhost" || name.ends_with(".localhost") {
        // RFC 6761 §6.3. Files of hosts often know one of the two only.
        let loopback: [IpAddr; 2] = [Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()];
        return Ok(loopback.map(|address| (address, port).into()).to_vec());
    }
    let found = match tokio::net::lookup_host((host, port)).await {
        Ok(found) => Ok(found.collect::<Vec<_>>()),
        Err(error) => Err(error),
    };
    let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let found = found.and_then(|found| if found.is_empty() { Err(none()) } else { Ok(found) });
    found.map_err(|source| Error::Dns { host: host.to_owned(), source })
}

/// A connection to one of the addresses.
async fn reach(
    host: &str,
    addresses: &[SocketAddr],
    options: &Options,
    budget: Budget,
) -> Result<(TcpStream, SocketAddr), Error> {
    let addresses = race::interleave(addresses);
    let limit = options.timeouts.tcp;
    let attempt = async |address: SocketAddr| {
        let late = |Deadline { limit, .. }| {
            let why = format!("no answer within {limit:?}");
            io::Error::new(io::ErrorKind::TimedOut, why)
        };
        let connecting = Deadline::after(limit).run(open(address, options.nodelay));
        connecting.await.map_err(late)?
    };
    let mut attempts = Vec::new();
    let racing = race::race(&addresses, options.attempt_delay, attempt, &mut attempts);
    match budget.total().run(racing).await {
        Ok(Some((peer, stream))) => Ok((stream, peer)),
        Ok(None) => Err(Error::Tcp { host: host.to_owned(), attempts }),
        Err(Deadline { limit, is_total, .. }) => {
            Err(Error::Timeout { phase: Phase::Tcp, limit, is_total, attempts })
        }
    }
}

async fn open(address: SocketAddr, nodelay: bool) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_nodelay(nodelay)?;
    socket.connect(address).await
}

/// Has the proxy connect us to the target.
async fn tunnel(
    stream: TcpStream,
    proxy: &Proxy,
    target: &Target,
    options: &Options,
    budget: Budget,
) -> Result<TcpStream, Error> {
    let limit = options.timeouts.proxy;
    let deadline = budget.deadline(limit);
    let asking = async {
        let tunnel = match proxy {
            Proxy::Http { credentials, .. } => {
                tunnel::http(stream, target, credentials.as_ref(), deadline).await
            }
            Proxy::Socks5 { credentials, .. } => {
                tunnel::socks5(stream, target, credentials.as_ref()).await
            }
        };
        tunnel.map_err(|source| Error::Proxy { proxy: proxy.to_string(), source })
    };
    budget.spend(Phase::Proxy, limit, asking).await
}

/// The opening handshake.
async fn shake_hands(
    io: Io,
    peer: SocketAddr,
    target: &Target,
    options: &Options,
    budget: Budget,
) -> Result<Opened, Error> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|error| Error::Random(error.into()))?;
    let key = &client::key(nonce);
    let deadline = budget.deadline(options.timeouts.http);
    let late = |deadline: Deadline| deadline.missed(Phase::Http);
    let exchanging = exchange::exchange(io, options.request(target, key));
    let mut answer = deadline.run(exchanging).await.map_err(late)?.map_err(Error::Http)?;

    let (status, headers) = (answer.response.status(), answer.response.headers());
    if status != StatusCode::SWITCHING_PROTOCOLS {
        if let Some(to) = redirection(status, headers) {
            return Err(Error::Redirected { status, to: target.join(&to) });
        }
        let body = answer.body_start(deadline).await;
        return Err(Error::Rejected(Box::new(Rejection::new(answer.response, body))));
    }
    let asked = options.asked(key);
    let lines = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let response = client::Response { status: status.as_u16(), headers: lines };
    let accepted = client::judge(&asked, response)?;
    let subprotocol = accepted.subprotocol.map(str::to_owned);
    let extensions = match accepted.extensions.is_empty() {
        true => Vec::new(),
        false => headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).iter().cloned().collect(),
    };
    let headers = headers.clone();
    let (io, leftover) =
        deadline.run(answer.into_stream()).await.map_err(late)?.map_err(Error::Http)?;
    Ok(Opened { io, leftover, subprotocol, extensions, headers, peer })
}

/// Where a response wants us to go instead (RFC 9110 §15.4).
fn redirection(status: StatusCode, headers: &HeaderMap) -> Option<String> {
    let redirects = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let to = headers.get(header::LOCATION).filter(|_| redirects)?;
    Some(String::from_utf8_lossy(to.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn nodelay_is_as_the_options_say() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for nodelay in [true, false] {
            let stream = open(address, nodelay).await.unwrap();
            assert_eq!(stream.nodelay().unwrap(), nodelay);
        }
    }

    #[tokio::test]
    async fn addresses_and_localhost_need_no_resolver() {
        for (host, addresses) in [
            ("127.0.0.1", &["127.0.0.1:7"][..]),
            ("::1", &["[::1]:7"]),
            ("localhost", &["[::1]:7", "127.0.0.1:7"]),
            ("localhost.", &["[::1]:7", "127.0.0.1:7"]),
            ("app.localhost", &["[::1]:7", "127.0.0.1:7"]),
        ] {
            let found = resolve(host, 7).await.unwrap();
            let found: Vec<_> = found.iter().map(SocketAddr::to_string).collect();
            assert_eq!(found, addresses, "{host}");
        }
    }
}
