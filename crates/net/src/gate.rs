//! Who may connect: what a listener bears from its clients before they have said anything that a layer
//! above could judge.

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::addresses::{Addresses, Admission, Limits, Refused};
use crate::clock;
use crate::forwarded::TrustedProxies;
#[cfg(feature = "http2")]
use crate::http2::Http2;
use crate::io::Io;
#[cfg(feature = "tls")]
use crate::tls;
#[cfg(feature = "tls")]
use crate::wheel::sleep;

/// The options of a listener.
#[derive(Clone, Debug)]
pub struct Listening {
    /// How long a client may take to send a request's head, and to begin its next request; over HTTP/2, to
    /// open another stream when it has none. The PROXY header has the same time, and so has what HTTP/2 is
    /// known by. Default: 30 s.
    pub head_timeout: Duration,
    /// How long a client may take to take what it is sent over HTTP, and a second more for each KB that it
    /// takes meanwhile. Over HTTP/2 that goes for each stream's answer, and for the connection as a whole,
    /// WebSockets and all. Default: 30 s.
    pub write_timeout: Duration,
    /// Proxies whose connections have many clients behind them, so that they count for no address.
    /// Default: none.
    pub trusted_proxies: Option<TrustedProxies>,
    /// Whether the trusted proxies begin every connection with a PROXY header. Default: no.
    pub proxy_protocol: bool,
    /// How many connections there may be, and how fast an address may open them. Of the WebSockets on a
    /// connection of HTTP/2, each but one counts like a connection, and gets status 503 or 429 where there is
    /// none left. Default: no limits.
    pub limits: Limits,
    /// How HTTP/2 is spoken with clients that choose it: by ALPN with TLS, else by beginning with it. `None`
    /// leaves HTTP/1.1. Default: HTTP/2 with its own defaults.
    #[cfg(feature = "http2")]
    pub http2: Option<Http2>,
    /// Who shakes hands for TLS, which every connection then speaks; it has the time of a head for that.
    /// Default: nobody.
    #[cfg(feature = "tls")]
    pub tls: Option<tls::Acceptor>,
}

impl Default for Listening {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            trusted_proxies: None,
            proxy_protocol: false,
            limits: Limits::default(),
            #[cfg(feature = "http2")]
            http2: Some(Http2::default()),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

/// Why a connection was ended before, or while, it spoke HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TurnedAway {
    /// There are as many connections as there may be.
    Full,
    /// The client's address has as many as it may.
    TooMany,
    /// The client's address opens them faster than it may.
    TooFast,
    /// A trusted proxy's connection began with no proper PROXY header.
    ProxyHeader,
    /// The client did not shake hands for TLS in time.
    TlsTimeout,
    /// The client's TLS and ours did not get along, or it went away meanwhile.
    TlsHandshake,
    /// No whole head of a request came in time, be it the first or another one.
    HeadTimeout,
    /// The client did not take what it was sent.
    WriteTimeout,
    /// The client did not answer a PING of HTTP/2.
    PongTimeout,
}

impl TurnedAway {
    /// Every why, in the order of their [numbers](Self::index).
    pub const ALL: [Self; 9] = [
        Self::Full,
        Self::TooMany,
        Self::TooFast,
        Self::ProxyHeader,
        Self::TlsTimeout,
        Self::TlsHandshake,
        Self::HeadTimeout,
        Self::WriteTimeout,
        Self::PongTimeout,
    ];

    /// Its place in [`TurnedAway::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// A name for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "too many connections",
            Self::TooMany => "too many connections of one address",
            Self::TooFast => "one address connects too fast",
            Self::ProxyHeader => "no PROXY header",
            Self::TlsTimeout => "no TLS handshake in time",
            Self::TlsHandshake => "TLS handshake failed",
            Self::HeadTimeout => "no request head in time",
            Self::WriteTimeout => "slow reader",
            Self::PongTimeout => "no answer to a ping",
        }
    }
}

impl fmt::Display for TurnedAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What all connections of one listener pass.
#[derive(Debug, Default)]
pub struct Gate {
    pub(crate) options: Listening,
    addresses: Addresses,
    turned_away: [AtomicU64; TurnedAway::ALL.len()],
}

impl Gate {
    /// A gate that nobody has passed.
    #[must_use]
    pub fn new(options: Listening) -> Self {
        #[cfg(all(feature = "http2", feature = "tls"))]
        let options = match &options.tls {
            Some(tls) if options.http2.is_none() => {
                Listening { tls: Some(tls.without(tls::H2)), ..options }
            }
            _ => options,
        };
        Self { options, addresses: Addresses::new(), turned_away: Default::default() }
    }

    /// How many connections were ended, by [`TurnedAway::index`].
    pub fn turned_away(&self) -> [u64; TurnedAway::ALL.len()] {
        std::array::from_fn(|index| self.turned_away[index].load(Ordering::Relaxed))
    }

    pub(crate) fn turn_away(&self, peer: SocketAddr, why: TurnedAway) {
        tracing::debug!(%peer, %why, "connection ended");
        self.turned_away[why.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a connection of this peer begins with a PROXY header.
    pub(crate) fn expects_header(&self, peer: IpAddr) -> bool {
        self.options.proxy_protocol && self.is_trusted(peer)
    }

    /// Lets certificates that were replaced be seen.
    pub(crate) async fn watch_certificates(&self) -> Infallible {
        #[cfg(feature = "tls")]
        if let Some(acceptor) = &self.options.tls {
            acceptor.watch().await;
        }
        std::future::pending().await
    }

    /// Shakes hands with the client, if TLS is spoken here. Dropping the future drops the connection.
    pub(crate) async fn secure(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Result<Io, TurnedAway> {
        #[cfg(feature = "tls")]
        if let Some(acceptor) = &self.options.tls {
            let accepted = tokio::select! {
                accepted = acceptor.accept(stream) => accepted,
                () = sleep(self.options.head_timeout) => return Err(TurnedAway::TlsTimeout),
            };
            return accepted.map(Io::from).map_err(|error| {
                tracing::debug!(%peer, %error, "no TLS with a client");
                TurnedAway::TlsHandshake
            });
        }
        let _ = peer;
        Ok(stream.into())
    }

    /// Whether a client may open something that takes an earlier one's place: not if it is too fast.
    #[cfg(feature = "http2")]
    pub(crate) fn pace(&self, client: SocketAddr) -> Result<(), TurnedAway> {
        let rate_per_address = self.options.limits.rate_per_address;
        self.admit_within(client, Limits { rate_per_address, ..Limits::default() }).map(drop)
    }

    /// Counts a connection until the [`Admission`] is dropped; none if nothing is limited. The client of a
    /// trusted proxy may not be known yet: then it counts for all, and for no address.
    pub(crate) fn admit(&self, client: SocketAddr) -> Result<Option<Admission>, TurnedAway> {
        self.admit_within(client, self.options.limits)
    }

    fn admit_within(
        &self,
        client: SocketAddr,
        mut limits: Limits,
    ) -> Result<Option<Admission>, TurnedAway> {
        if self.is_trusted(client.ip()) {
            limits = Limits { max_open: limits.max_open, ..Limits::default() };
        }
        if limits == Limits::default() {
            return Ok(None);
        }
        let admitted = self.addresses.admit(clock::now(), client.ip(), &limits);
        admitted.map(Some).map_err(|refused| match refused {
            Refused::Full => TurnedAway::Full,
            Refused::TooMany => TurnedAway::TooMany,
            Refused::TooFast { .. } => TurnedAway::TooFast,
        })
    }

    fn is_trusted(&self, peer: IpAddr) -> bool {
        self.options.trusted_proxies.as_ref().is_some_and(|trusted| trusted.trusts(peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_number() {
        for (number, why) in TurnedAway::ALL.into_iter().enumerate() {
            assert_eq!(why.index(), number, "{why}");
        }
    }
}
