//! The cookie of a session that polls: for load balancers that keep a client at its server by one.

use std::time::Duration;

use http::HeaderValue;
use sockeye_engineio::Sid;

/// When a browser sends the cookie along with requests from other sites (RFC 6265bis §5.6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Never.
    Strict,
    /// When the user follows a link.
    Lax,
    /// Always; browsers accept it only on [secure](Cookie::secure) cookies.
    None,
}

/// What `Set-Cookie` says in the answer to a polling handshake. Its value is the session's secret id.
///
/// The defaults are those of the official server's `cookie: true`: `io=…; Path=/; HttpOnly;
/// SameSite=Lax`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    name: String,
    path: Option<String>,
    domain: Option<String>,
    max_age: Option<Duration>,
    http_only: bool,
    secure: bool,
    same_site: Option<SameSite>,
}

impl Default for Cookie {
    fn default() -> Self {
        Self::new("io")
    }
}

impl Cookie {
    /// A cookie of this name, with the defaults for all else.
    ///
    /// # Panics
    ///
    /// If the name is not one (RFC 6265 §4.1.1): empty, or with a space, a control character or one of
    /// `()<>@,;:\"/[]?={}`.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let token = |b: u8| b.is_ascii_graphic() && !br#"()<>@,;:\"/[]?={}"#.contains(&b);
        assert!(!name.is_empty() && name.bytes().all(token), "{name:?} cannot be a cookie's name");
        Self {
            name,
            path: Some("/".to_owned()),
            domain: None,
            max_age: None,
            http_only: true,
            secure: false,
            same_site: Some(SameSite::Lax),
        }
    }

    /// The path that the cookie is for. Default: `/`.
    ///
    /// # Panics
    ///
    /// If it holds a semicolon or a control character.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(attribute(path.into()));
        self
    }

    /// The domain that the cookie is for. Default: the host that answers, and no other.
    ///
    /// # Panics
    ///
    /// If it holds a semicolon or a control character.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(attribute(domain.into()));
        self
    }

    /// How long the browser keeps the cookie, in whole seconds. Default: until it is closed.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Whether scripts cannot read it. Default: yes.
    #[must_use]
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// Whether it is sent over TLS only. Default: no.
    #[must_use]
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Which requests it goes along with. Default: [`SameSite::Lax`].
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = Some(same_site);
        self
    }

    /// The header's value for a session. The attributes stand in the order of npm's `cookie`.
    pub(crate) fn header(&self, sid: Sid) -> HeaderValue {
        use std::fmt::Write as _;
        let mut text = format!("{}={sid}", self.name);
        let mut add = |attribute: std::fmt::Arguments<'_>| {
            let _ = write!(text, "; {attribute}");
        };
        if let Some(age) = self.max_age {
            add(format_args!("Max-Age={}", age.as_secs()));
        }
        if let Some(domain) = &self.domain {
            add(format_args!("Domain={domain}"));
        }
        if let Some(path) = &self.path {
            add(format_args!("Path={path}"));
        }
        if self.http_only {
            add(format_args!("HttpOnly"));
        }
        if self.secure {
            add(format_args!("Secure"));
        }
        if let Some(same_site) = self.same_site {
            add(format_args!("SameSite={same_site:?}"));
        }
        HeaderValue::try_from(text).expect("names and attributes were checked when they were given")
    }
}

fn attribute(value: String) -> String {
    let fits = value.bytes().all(|b| (b' '..0x7f).contains(&b) && b != b';');
    assert!(fits, "{value:?} cannot be a cookie's attribute");
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let sid = Sid::new([0; 15]);
        assert_eq!(
            Cookie::default().header(sid),
            "io=AAAAAAAAAAAAAAAAAAAA; Path=/; HttpOnly; SameSite=Lax"
        );
        let cookie = Cookie::new("lb")
            .path("/chat")
            .domain("example.org")
            .max_age(Duration::from_secs(60))
            .http_only(false)
            .secure(true)
            .same_site(SameSite::None);
        assert_eq!(
            cookie.header(sid),
            "lb=AAAAAAAAAAAAAAAAAAAA; Max-Age=60; Domain=example.org; Path=/chat; Secure; SameSite=None"
        );
    }

    #[test]
    #[should_panic(expected = "cannot be a cookie's name")]
    fn a_name_is_a_token() {
        let _ = Cookie::new("a=b");
    }
}
