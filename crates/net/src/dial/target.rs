//! Where a WebSocket is to be found: what its URL says (RFC 6455 §3, WHATWG URL Standard).

use std::net::IpAddr;
use std::str::FromStr;
use std::{error, fmt};

use http::HeaderValue;
use http::uri::PathAndQuery;
use url::{ParseError, Position, Url};

use super::credentials::Credentials;

/// What a client connects to, parsed from a URL:
///
/// ```
/// use sockeye_net::dial::Target;
///
/// let target: Target = "https://example.com/chat?room=1".parse()?;
/// assert_eq!(target.to_string(), "wss://example.com/chat?room=1");
/// assert_eq!((target.is_secure(), target.host(), target.port()), (true, "example.com", 443));
/// # Ok::<(), sockeye_net::dial::UrlError>(())
/// ```
///
/// URLs are read as browsers read them: hosts in any script are encoded (IDNA), addresses may be of
/// either family, `ws` and `http` mean the same, as do `wss` and `https`. A fragment is an error, for
/// it means nothing here (RFC 6455 §3).
///
/// A user name and a password are sent as `Authorization: Basic`, as most clients outside of
/// browsers do. `Debug` and `Display` show neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// With the scheme `ws` or `wss`, without credentials.
    url: Url,
    port: u16,
    path_and_query: PathAndQuery,
    host_header: HeaderValue,
    authorization: Option<HeaderValue>,
}

/// Why a URL leads to no WebSocket, or to no proxy. Does not repeat the URL, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlError {
    /// The URL breaks a rule of its syntax. Says which.
    Malformed(String),
    /// The URL does not begin with a scheme.
    NoScheme,
    /// The URL begins with a scheme that leads to no WebSocket.
    Scheme(String),
    /// The URL begins with a scheme that leads to no proxy we can speak with.
    ProxyScheme(String),
    /// The URL has a fragment.
    Fragment,
    /// The URL has no host.
    NoHost,
    /// Port 0 is no port.
    Port,
    /// The user name and password cannot be sent. Says why.
    Credentials(&'static str),
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "the URL is malformed: {why}"),
            Self::NoScheme => f.write_str("the URL must begin with ws:// or wss://"),
            Self::Scheme(scheme) => write!(
                f,
                "the URL must begin with ws://, wss://, http:// or https://, but its scheme is \
                 {scheme:?}"
            ),
            Self::ProxyScheme(scheme) => write!(
                f,
                "a proxy's URL must begin with http:// or socks5://, but its scheme is {scheme:?}"
            ),
            Self::Fragment => f.write_str(
                "the URL has a fragment (#), which a WebSocket's must not; write a '#' that belongs \
                 to the path or query as %23",
            ),
            Self::NoHost => f.write_str("the URL has no host"),
            Self::Port => f.write_str("the URL's port is 0"),
            Self::Credentials(why) => write!(f, "the URL's credentials {why}"),
        }
    }
}

impl error::Error for UrlError {}

impl FromStr for Target {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let mut url = Url::parse(text).map_err(|error| match error {
            ParseError::RelativeUrlWithoutBase => UrlError::NoScheme,
            error => UrlError::Malformed(error.to_string()),
        })?;
        let scheme = match url.scheme() {
            "ws" | "http" => "ws",
            "wss" | "https" => "wss",
            other => return Err(UrlError::Scheme(other.to_owned())),
        };
        if url.fragment().is_some() {
            return Err(UrlError::Fragment);
        }
        let authorization = Credentials::of(&url)?.map(|credentials| credentials.basic());
        let set = [url.set_scheme(scheme), url.set_username(""), url.set_password(None)];
        assert_eq!(set, [Ok(()); 3], "a special URL with a host takes all of it");

        let port = url.port_or_known_default().filter(|&port| port != 0).ok_or(UrlError::Port)?;
        let malformed = |error: &dyn error::Error| UrlError::Malformed(error.to_string());
        let path_and_query = &url[Position::BeforePath..Position::AfterQuery];
        let path_and_query =
            PathAndQuery::try_from(path_and_query).map_err(|error| malformed(&error))?;
        let host_header =
            HeaderValue::from_str(url.authority()).map_err(|error| malformed(&error))?;
        Ok(Self { url, port, path_and_query, host_header, authorization })
    }
}

impl Target {
    /// Whether the connection is protected by TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.url.scheme() == "wss"
    }

    /// The host's name in ASCII, or its address, which for IPv6 is without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        bare(self.url.host_str().unwrap_or_default())
    }

    /// The port: 80 or 443 where the URL has none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as `CONNECT` wants them (RFC 9110 §9.3.6), with the port always.
    pub(super) fn authority(&self) -> String {
        authority(self.host(), self.port)
    }

    /// Host and port as `Host` has them, without a default port (RFC 6455 §4.1, point 4).
    pub(super) fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }

    pub(super) fn path_and_query(&self) -> &PathAndQuery {
        &self.path_and_query
    }

    /// What the URL's user name and password become.
    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// What a `Location` in the answer means, absolute where it can be.
    pub(super) fn join(&self, location: &str) -> String {
        self.url.join(location).map_or_else(|_| location.to_owned(), String::from)
    }
}

/// Host and port, an IPv6 address in brackets.
pub(super) fn authority(host: &str, port: u16) -> String {
    match host.parse() {
        Ok(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        _ => format!("{host}:{port}"),
    }
}

/// A URL's host without the brackets of an IPv6 address.
pub(super) fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn target(url: &str) -> Target {
        url.parse().unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn urls() {
        for (url, secure, host, port, host_header, path_and_query) in [
            ("ws://a", false, "a", 80, "a", "/"),
            ("wss://a", true, "a", 443, "a", "/"),
            ("http://a", false, "a", 80, "a", "/"),
            ("https://a", true, "a", 443, "a", "/"),
            ("WSS://EXAMPLE.com/Chat", true, "example.com", 443, "example.com", "/Chat"),
            ("ws://a:80/", false, "a", 80, "a", "/"),
            ("wss://a:443", true, "a", 443, "a", "/"),
            ("wss://a:80", true, "a", 80, "a:80", "/"),
            ("http://a:443", false, "a", 443, "a:443", "/"),
            ("ws://a:65535/b", false, "a", 65535, "a:65535", "/b"),
            ("ws://127.0.0.1:3000", false, "127.0.0.1", 3000, "127.0.0.1:3000", "/"),
            ("ws://[::1]", false, "::1", 80, "[::1]", "/"),
            ("wss://[2001:DB8:0::1]:8443/x", true, "2001:db8::1", 8443, "[2001:db8::1]:8443", "/x"),
            ("ws://b\u{fc}cher.example", false, "xn--bcher-kva.example", 80, "", "/"),
            ("ws://\u{65e5}\u{672c}.jp/\u{fc}", false, "xn--wgv71a.jp", 80, "", "/%C3%BC"),
            ("ws://a?b=c d&e=%20", false, "a", 80, "a", "/?b=c%20d&e=%20"),
            ("ws://a/b/../c?", false, "a", 80, "a", "/c?"),
            ("ws://a/{}|^`\"<>\\", false, "a", 80, "a", "/%7B%7D|^%60%22%3C%3E/"),
            ("ws://a/?{}|^`\"<>\\", false, "a", 80, "a", "/?{}|^`%22%3C%3E\\"),
            ("ws://a/%23", false, "a", 80, "a", "/%23"),
            (" ws://a/ ", false, "a", 80, "a", "/"),
        ] {
            let target = target(url);
            assert_eq!(target.is_secure(), secure, "{url}");
            assert_eq!((target.host(), target.port()), (host, port), "{url}");
            let expected = if host_header.is_empty() { host } else { host_header };
            assert_eq!(target.host_header(), expected, "{url}");
            assert_eq!(target.path_and_query().as_str(), path_and_query, "{url}");
            assert_eq!(target.authorization(), None, "{url}");
        }
    }

    #[test]
    fn urls_that_lead_nowhere() {
        let scheme = |scheme: &str| UrlError::Scheme(scheme.to_owned());
        for (url, error) in [
            ("", UrlError::NoScheme),
            ("example.com/chat", UrlError::NoScheme),
            ("127.0.0.1:3000", UrlError::NoScheme),
            ("//example.com", UrlError::NoScheme),
            ("localhost:3000", scheme("localhost")),
            ("ftp://a", scheme("ftp")),
            ("mailto:a@b", scheme("mailto")),
            ("wsss://a", scheme("wsss")),
            ("ws://a/#b", UrlError::Fragment),
            ("ws://a/?b#", UrlError::Fragment),
            ("ws://a:0", UrlError::Port),
            ("ws://a%3Ab:c@d/", UrlError::Credentials("have a ':' in the user name")),
            ("ws://%ff@d/", UrlError::Credentials("are not UTF-8")),
        ] {
            assert_eq!(url.parse::<Target>(), Err(error), "{url}");
        }
        for url in [
            "ws://",
            "ws://:80",
            "ws://a:65536",
            "ws://a:b",
            "ws://a b",
            "ws://[::1",
            "ws://[::g]",
            "ws://[fe80::1%25eth0]",
            "ws://1.2.3.4.5",
            "ws://256.1.1.1",
            "ws://a<b",
            "ws://xn--a",
        ] {
            let error = url.parse::<Target>().expect_err(url);
            assert!(matches!(error, UrlError::Malformed(_)), "{url}: {error:?}");
        }
    }

    #[test]
    fn a_scheme_that_is_none_of_ours_is_named() {
        let error = "ftp://a".parse::<Target>().unwrap_err().to_string();
        assert!(error.contains("\"ftp\"") && error.contains("ws://"), "{error}");
    }

    #[test]
    fn credentials_are_sent_and_not_shown() {
        for (url, basic) in [
            ("ws://Aladdin:open%20sesame@a", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("ws://Aladdin@a", "Basic QWxhZGRpbjo="),
            ("ws://Aladdin:@a", "Basic QWxhZGRpbjo="),
            ("ws://:open%20sesame@a", "Basic Om9wZW4gc2VzYW1l"),
            ("ws://a:b%3Ac@a", "Basic YTpiOmM="),
        ] {
            let target = target(url);
            let authorization = target.authorization().expect(url);
            assert_eq!(authorization, basic, "{url}");
            assert!(authorization.is_sensitive(), "{url}");
            assert_eq!(target.to_string(), "ws://a/", "{url}");
            assert_eq!(format!("{target:?}"), "Target(ws://a/)", "{url}");
        }
        let credentials = Credentials { user: "u".into(), password: "secret".into() };
        assert!(!format!("{credentials:?}").contains("secret"));
    }

    #[test]
    fn a_location_is_relative_to_the_url() {
        let target = target("wss://u:p@a:444/b/c?d");
        for (location, url) in [
            ("/x", "wss://a:444/x"),
            ("x?y", "wss://a:444/b/x?y"),
            ("https://other/login", "https://other/login"),
            ("//other", "wss://other/"),
            ("https://[", "https://["),
        ] {
            assert_eq!(target.join(location), url);
        }
    }

    #[test]
    fn a_tunnels_authority_has_a_port_always() {
        assert_eq!(target("wss://a").authority(), "a:443");
        assert_eq!(target("ws://[::1]").authority(), "[::1]:80");
    }
}
