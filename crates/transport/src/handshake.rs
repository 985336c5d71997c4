//! What is kept of the request that opened a session.

use std::fmt;
use std::net::SocketAddr;
use std::time::SystemTime;

use http::{Extensions, HeaderMap, HeaderName};
use sockeye_engineio as engineio;

/// The names of headers that browsers and proxies send: one byte each in a block.
const KNOWN: [&str; 32] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "connection",
    "cookie",
    "dnt",
    "forwarded",
    "host",
    "origin",
    "pragma",
    "priority",
    "referer",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-storage-access",
    "sec-gpc",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "upgrade",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-real-ip",
];

/// Stands where a name that is not [`KNOWN`] follows, behind its length.
const SPELT_OUT: u8 = u8::MAX;

/// The request that opened the session: address, time, URL, headers, and what was found out about it.
///
/// All headers are kept, as in Node; they lie in one block of exactly their size, because they are
/// most of what an idle client costs.
#[derive(Clone)]
pub struct Handshake {
    address: SocketAddr,
    issued: SystemTime,
    /// The URL up to `url_len`; then, for each header, its name (the place in [`KNOWN`], or
    /// [`SPELT_OUT`], one byte of length and the name), the length of its value in two bytes,
    /// little-endian, and the value.
    block: Box<[u8]>,
    extensions: Extensions,
    url_len: u16,
    secure: bool,
}

/// Which headers of a handshake are kept while its session lives. They are the largest part of an
/// idle session's memory: a browser's head has some 500 bytes as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeepHeaders {
    /// All of them, as Node's server does.
    #[default]
    All,
    /// Those of these names.
    Named(Vec<HeaderName>),
    /// None: only the URL and the address are kept.
    None,
}

impl KeepHeaders {
    fn keeps(&self, name: &HeaderName) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(name),
            Self::None => false,
        }
    }
}

/// Which values of an HTTP request are [kept](Handshake::extensions).
///
/// Not all of them: hyper's and axum's own would keep alive what a connection has for HTTP, or cost every
/// session a table.
#[derive(Clone, Debug, Default)]
pub struct KeepExtensions(Vec<fn(&mut Extensions, &mut Extensions)>);

impl KeepExtensions {
    /// Adds those of this type.
    pub fn push<T: Clone + Send + Sync + 'static>(&mut self) {
        self.0.push(|from, to| {
            from.remove::<T>().map(|value| to.insert(value));
        });
    }

    pub(crate) fn take(&self, from: &mut Extensions) -> Extensions {
        let mut kept = Extensions::new();
        self.0.iter().for_each(|take| take(from, &mut kept));
        kept
    }
}

impl Handshake {
    /// Keeps a request's URL and headers. hyper bounds a head to far below 64 KiB a line; should a
    /// longer one come from elsewhere, it is left out.
    pub(crate) fn new(
        address: SocketAddr,
        secure: bool,
        url: &str,
        headers: &HeaderMap,
        keep: &KeepHeaders,
        extensions: &Extensions,
    ) -> Self {
        let url = if url.len() <= usize::from(u16::MAX) { url } else { "" };
        let mut block = Vec::with_capacity(1024);
        block.extend_from_slice(url.as_bytes());
        for (name, value) in headers.iter().filter(|(name, _)| keep.keeps(name)) {
            let name = name.as_str();
            let (Ok(name_len), Ok(value_len)) =
                (u8::try_from(name.len()), u16::try_from(value.len()))
            else {
                continue;
            };
            match KNOWN.iter().position(|known| *known == name) {
                Some(place) => block.push(place as u8),
                None => {
                    block.extend_from_slice(&[SPELT_OUT, name_len]);
                    block.extend_from_slice(name.as_bytes());
                }
            }
            block.extend_from_slice(&value_len.to_le_bytes());
            block.extend_from_slice(value.as_bytes());
        }
        let url_len = url.len() as u16;
        // A map that has been emptied keeps its table.
        let extensions = if extensions.is_empty() { Extensions::new() } else { extensions.clone() };
        let issued = SystemTime::now();
        Self { address, issued, block: block.into(), extensions, url_len, secure }
    }

    /// The client's address: behind a trusted proxy the one that it names, else the socket's.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the client speaks TLS: to this server where it owns its connections, or, by the word of a
    /// trusted proxy, to that. Another HTTP server that ends TLS says so by [`OverTls`](sockeye_net::http::OverTls)
    /// in a request's extensions.
    #[doc(alias = "secure")]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// When the session was opened.
    pub fn issued(&self) -> SystemTime {
        self.issued
    }

    /// The request's path and query, as they stood in its first line.
    pub fn url(&self) -> &str {
        std::str::from_utf8(&self.block[..usize::from(self.url_len)]).unwrap_or_default()
    }

    /// The headers that were [kept](KeepHeaders): names in lower case, values as they were sent.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let mut rest = &self.block[usize::from(self.url_len)..];
        std::iter::from_fn(move || {
            let (name, block) = match rest.split_first()? {
                (&SPELT_OUT, block) => {
                    let (len, block) = block.split_first()?;
                    let (name, block) = block.split_at_checked(usize::from(*len))?;
                    (std::str::from_utf8(name).ok()?, block)
                }
                (place, block) => (*KNOWN.get(usize::from(*place))?, block),
            };
            let (len, block) = block.split_first_chunk()?;
            let (value, block) = block.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
            rest = block;
            Some((name, value))
        })
    }

    /// The first header of that name, if its value is text. Names are compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers().find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// What was found out about the request, by type: Node's `req.user` and its like. The values that
    /// [`Request::extensions`](crate::Request::extensions) had when the session was opened; those of later
    /// requests, of the upgrade too, change nothing here.
    ///
    /// A session keeps them as long as somebody holds it. A recovered socket has those of its new session.
    #[doc(alias = "request")]
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// A parameter of the URL's query, decoded; the last one where there are several, as in Node.
    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.url().split_once('?')?;
        let found = engineio::pairs(query).filter(|(found, _)| found == name).last();
        found.map(|(_, value)| value.into_owned())
    }
}

impl fmt::Debug for Handshake {
    /// Without headers: cookies and tokens are no matter for a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("address", &self.address)
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn keeps_all_of_the_head_in_one_block() {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("example.org"));
        headers.append("cookie", HeaderValue::from_static("a=1"));
        headers.append("cookie", HeaderValue::from_static("b=2"));
        headers.insert("x-tenant", HeaderValue::from_static("blue"));
        headers.insert("x-empty", HeaderValue::from_static(""));
        let address = SocketAddr::from(([127, 0, 0, 1], 4000));
        let url = "/socket.io/?EIO=4&t=a%20b&t=c%26d";
        let none = Extensions::new();
        let handshake = Handshake::new(address, true, url, &headers, &KeepHeaders::All, &none);
        assert!(handshake.is_secure());
        assert_eq!(handshake.url(), url);
        assert_eq!(handshake.header("Host"), Some("example.org"));
        assert_eq!(handshake.headers().count(), 5);
        assert_eq!(handshake.header("x-tenant"), Some("blue"));
        assert_eq!(handshake.header("x-empty"), Some(""));
        assert_eq!(handshake.header("cookie"), Some("a=1"));
        assert_eq!(handshake.query("t").as_deref(), Some("c&d"));
        assert_eq!(handshake.query("sid"), None);
        assert_eq!(handshake.address(), address);

        let kept =
            |keep| Handshake::new(address, false, url, &headers, &keep, &none).headers().count();
        assert_eq!(kept(KeepHeaders::None), 0);
        let named = [HeaderName::from_static("cookie"), HeaderName::from_static("x-tenant")];
        assert_eq!(kept(KeepHeaders::Named(named.into())), 3);
    }
}
