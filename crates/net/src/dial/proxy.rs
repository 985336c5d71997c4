//! Which proxy stands between a client and its target.

use std::str::FromStr;
use std::{env, error, fmt};

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use url::{Host, ParseError, Url};

use super::credentials::Credentials;
use super::target::{Target, UrlError, authority, bare};

/// A proxy through which a connection is made.
///
/// From a string it is parsed as `curl --proxy` does: `http://user:password@host:port`,
/// `socks5://user:password@host:port`, or `host:port` for the former. Without a port it is 80, or 1080
/// for SOCKS. `socks5` and `socks5h` are the same.
///
/// The target's name is resolved by the proxy always, never here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// An HTTP proxy, asked for a tunnel by `CONNECT`, for targets with and without TLS alike (RFC
    /// 6455 §4.1, RFC 9110 §9.3.6).
    Http {
        /// The proxy's name or address; that of IPv6 is without brackets.
        host: String,
        /// Its port.
        port: u16,
        /// Sent as `Proxy-Authorization: Basic`.
        credentials: Option<Credentials>,
    },
    /// A SOCKS proxy of version 5 (RFC 1928).
    Socks5 {
        /// The proxy's name or address; that of IPv6 is without brackets.
        host: String,
        /// Its port.
        port: u16,
        /// Of 1 to 255 bytes each (RFC 1929 §2). Without them, the proxy must demand none.
        credentials: Option<Credentials>,
    },
}

/// A variable of the environment does not name a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentError {
    variable: &'static str,
    error: UrlError,
}

impl fmt::Display for EnvironmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment variable {} names no proxy", self.variable)
    }
}

impl error::Error for EnvironmentError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.error)
    }
}

impl Proxy {
    /// The proxy that the process's environment names for this target, by curl's rules:
    ///
    /// * `https_proxy` for targets with TLS and `http_proxy` for others, else `all_proxy`;
    /// * unless `no_proxy` has the host: a comma list of names, which stand for their subdomains too,
    ///   of addresses and networks (`10.0.0.0/8`), or `*` for every host.
    ///
    /// Lower case goes before upper case. An empty variable is none. `HTTP_PROXY` in upper case is
    /// not believed in a CGI program, where it is a header of the request ("httpoxy").
    ///
    /// # Errors
    ///
    /// If the variable that counts names no proxy that is supported.
    pub fn from_environment(target: &Target) -> Result<Option<Self>, EnvironmentError> {
        Self::from_variables(target, |name| env::var(name).ok())
    }

    fn from_variables(
        target: &Target,
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, EnvironmentError> {
        let first = |names: &[&'static str]| {
            let mut found = names.iter().filter_map(|&name| Some((name, get(name)?)));
            found.find(|(_, value)| !value.trim().is_empty())
        };
        let names: &[_] = match target.is_secure() {
            true => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
            false if get("REQUEST_METHOD").is_some() => &["http_proxy", "all_proxy", "ALL_PROXY"],
            false => &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
        };
        let Some((variable, url)) = first(names) else { return Ok(None) };
        let exempt = first(&["no_proxy", "NO_PROXY"]);
        if exempt.is_some_and(|(_, exempt)| is_exempt(target, &exempt)) {
            return Ok(None);
        }
        let proxy = url.trim().parse();
        proxy.map(Some).map_err(|error| EnvironmentError { variable, error })
    }

    pub(super) fn host(&self) -> &str {
        let (Self::Http { host, .. } | Self::Socks5 { host, .. }) = self;
        host
    }

    pub(super) fn port(&self) -> u16 {
        let (Self::Http { port, .. } | Self::Socks5 { port, .. }) = self;
        *port
    }
}

/// Whether a `no_proxy` list has the target's host.
fn is_exempt(target: &Target, list: &str) -> bool {
    let Ok(uri) = format!("http://{}/", target.authority()).parse::<Uri>() else { return false };
    // The rules are hyper's; which proxy it would be does not matter.
    let matcher = Matcher::builder().all("http://proxy").no(list).build();
    matcher.intercept(&uri).is_none()
}

impl FromStr for Proxy {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let parsed = match text.contains("://") {
            true => Url::parse(text),
            false => Url::parse(&format!("http://{text}")),
        };
        let url = parsed.map_err(|error| match error {
            ParseError::RelativeUrlWithoutBase => UrlError::ProxyScheme(String::new()),
            error => UrlError::Malformed(error.to_string()),
        })?;
        let is_http = match url.scheme() {
            "http" => true,
            "socks5" | "socks5h" => false,
            other => return Err(UrlError::ProxyScheme(other.to_owned())),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(UrlError::NoHost)?;
        // A URL's syntax leaves the host of an unknown scheme as it is; a name is a name here too.
        let host = Host::parse(host).map_err(|error| UrlError::Malformed(error.to_string()))?;
        let host = bare(&host.to_string()).to_owned();
        let port = url.port().unwrap_or(if is_http { 80 } else { 1080 });
        if port == 0 {
            return Err(UrlError::Port);
        }
        let credentials = Credentials::of(&url)?;
        Ok(match is_http {
            true => Self::Http { host, port, credentials },
            false => Self::Socks5 { host, port, credentials },
        })
    }
}

/// The proxy's URL, without its credentials.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self {
            Self::Http { .. } => "http",
            Self::Socks5 { .. } => "socks5",
        };
        write!(f, "{scheme}://{}", authority(self.host(), self.port()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_proxies() {
        let none = || None;
        let some = |user: &str, password: &str| {
            Some(Credentials { user: user.to_owned(), password: password.to_owned() })
        };
        for (url, display, credentials) in [
            ("http://p:3128", "http://p:3128", none()),
            ("http://p:3128/", "http://p:3128", none()),
            ("http://p", "http://p:80", none()),
            ("p:3128", "http://p:3128", none()),
            ("user@p:3128", "http://p:3128", some("user", "")),
            ("10.0.0.1:3128", "http://10.0.0.1:3128", none()),
            ("socks5://p", "socks5://p:1080", none()),
            ("socks5h://p:1", "socks5://p:1", none()),
            ("socks5://[::1]:9050", "socks5://[::1]:9050", none()),
            ("socks5://B\u{fc}cher.example:80", "socks5://xn--bcher-kva.example:80", none()),
            ("socks5://u:p%40%3a@10.0.0.1", "socks5://10.0.0.1:1080", some("u", "p@:")),
            ("http://u:p@[::1]", "http://[::1]:80", some("u", "p")),
        ] {
            let proxy: Proxy = url.parse().unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(proxy.to_string(), display, "{url}");
            let (Proxy::Http { credentials: found, .. } | Proxy::Socks5 { credentials: found, .. }) =
                proxy;
            assert_eq!(found, credentials, "{url}");
        }
    }

    #[test]
    fn urls_that_are_no_proxies() {
        let scheme = |scheme: &str| UrlError::ProxyScheme(scheme.to_owned());
        for (url, error) in [
            ("https://p", scheme("https")),
            ("socks4://p", scheme("socks4")),
            ("://p", scheme("")),
            ("socks5://", UrlError::NoHost),
            ("http://p:0", UrlError::Port),
            ("http://%ff@p", UrlError::Credentials("are not UTF-8")),
        ] {
            assert_eq!(url.parse::<Proxy>(), Err(error), "{url}");
        }
        for url in ["", "http://", "p:port", "socks5://[::1", "socks5://a%20b"] {
            assert!(matches!(url.parse::<Proxy>(), Err(UrlError::Malformed(_))), "{url}");
        }
    }

    type Variables<'a> = &'a [(&'a str, &'a str)];

    fn chosen(url: &str, variables: Variables<'_>) -> Result<Option<String>, EnvironmentError> {
        let get = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let proxy = Proxy::from_variables(&url.parse().expect(url), get)?;
        Ok(proxy.map(|proxy| proxy.host().to_owned()))
    }

    #[test]
    fn the_environment_names_a_proxy_for_each_scheme() {
        const ALL: Variables<'_> =
            &[("ALL_PROXY", "all"), ("HTTP_PROXY", "plain"), ("HTTPS_PROXY", "secure")];
        for (url, variables, proxy) in [
            ("ws://a", ALL, Some("plain")),
            ("wss://a", ALL, Some("secure")),
            ("ws://a", &[], None),
            ("ws://a", &[("HTTPS_PROXY", "secure")], None),
            ("wss://a", &[("HTTP_PROXY", "plain")], None),
            ("ws://a", &[("ALL_PROXY", "socks5://all")], Some("all")),
            ("wss://a", &[("all_proxy", "lower"), ("ALL_PROXY", "upper")], Some("lower")),
            ("ws://a", &[("HTTP_PROXY", "upper"), ("http_proxy", "lower")], Some("lower")),
            ("ws://a", &[("http_proxy", ""), ("ALL_PROXY", " all ")], Some("all")),
            ("ws://a", &[("HTTP_PROXY", "evil"), ("REQUEST_METHOD", "GET")], None),
            ("ws://a", &[("http_proxy", "good"), ("REQUEST_METHOD", "GET")], Some("good")),
            ("wss://a", &[("HTTPS_PROXY", "good"), ("REQUEST_METHOD", "GET")], Some("good")),
        ] {
            assert_eq!(chosen(url, variables), Ok(proxy.map(str::to_owned)), "{url} {variables:?}");
        }
    }

    #[test]
    fn the_environment_exempts_hosts() {
        for (url, list, exempt) in [
            ("ws://example.com", "example.com", true),
            ("ws://www.example.com:3000", "other, Example.com", true),
            ("ws://www.example.com", ".example.com", true),
            ("ws://notexample.com", "example.com", false),
            ("wss://10.1.2.3", "10.0.0.0/8", true),
            ("wss://11.1.2.3", "10.0.0.0/8", false),
            ("ws://[::1]:3000", "::1", true),
            ("ws://localhost", "localhost,127.0.0.1", true),
            ("ws://anything", "*", true),
            ("ws://anything", "", false),
        ] {
            for name in ["no_proxy", "NO_PROXY"] {
                let proxy = chosen(url, &[("ALL_PROXY", "all"), (name, list)]).unwrap();
                assert_eq!(proxy.is_none(), exempt, "{url} {list}");
            }
        }
    }

    #[test]
    fn a_variable_that_names_no_proxy_is_an_error_that_names_it() {
        let error = chosen("wss://a", &[("HTTPS_PROXY", "https://u:secret@p")]).unwrap_err();
        assert!(error.to_string().contains("HTTPS_PROXY"), "{error}");
        assert_eq!(error.error, UrlError::ProxyScheme("https".to_owned()));
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        // Where it does not count, it does not harm.
        assert_eq!(chosen("ws://a", &[("HTTPS_PROXY", "https://p")]), Ok(None));
        assert_eq!(chosen("wss://a", &[("HTTPS_PROXY", "x://p"), ("NO_PROXY", "a")]), Ok(None));
    }
}
