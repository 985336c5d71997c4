//! Which pages of other origins may talk to the server: the headers of CORS (Fetch standard,
//! §3.3), as the npm package `cors` 2.8 writes them for engine.io, and the check of `Origin` that
//! WebSocket has instead (RFC 6455 §10.2).
//!
//! Browsers ask the headers before a page sees an answer to polling; they ask nothing before a page
//! opens a WebSocket. So the headers alone protect no WebSocket, in Node either; [`Cors::allows`]
//! does.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use std::{error, fmt};

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, CONTENT_LENGTH, HOST, ORIGIN, REFERER, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

/// What preflights are told that ask for the methods, unless others are chosen: those of npm `cors`.
const METHODS: &str = "GET,HEAD,PUT,PATCH,POST,DELETE";

/// The origins that may use the server, and what their pages may send and see.
///
/// Begins with the choice of origins; then come the rest and [`build`](CorsBuilder::build):
///
/// ```
/// use sockeye_transport::Cors;
///
/// let cors = Cors::origins(["https://app.example"]).credentials(true).build()?;
/// # Ok::<(), sockeye_transport::CorsError>(())
/// ```
///
/// Clones share what they hold.
#[derive(Clone, Debug)]
pub struct Cors {
    origins: Origins,
    credentials: bool,
    methods: HeaderValue,
    /// `None` reflects what was asked for.
    allowed_headers: Option<HeaderValue>,
    exposed_headers: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
}

/// A [`Cors`] that is being put together.
#[derive(Clone, Debug)]
#[must_use = "nothing comes of it without build()"]
pub struct CorsBuilder {
    origins: Chosen,
    credentials: bool,
    methods: Option<String>,
    allowed_headers: Option<Vec<String>>,
    exposed_headers: Vec<String>,
    max_age: Option<Duration>,
}

/// Why a configuration of CORS does not do what it says. It is the caller's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CorsError {
    /// An entry of [`Cors::origins`] that no browser ever sends as its origin.
    NotAnOrigin {
        /// The entry.
        origin: String,
        /// What is wrong with it.
        because: &'static str,
    },
    /// [`Cors::origins`] of an empty list: [`Cors::same_origin`] says it if it is meant.
    NoOrigins,
    /// Credentials for `*`, which browsers refuse (Fetch §3.3.5). Says what is `*`.
    WildcardWithCredentials(&'static str),
    /// Credentials for the origin `null`, which any page can give itself in a sandboxed frame.
    NullWithCredentials,
    /// The name of a header that is none.
    NotAHeaderName(String),
}

#[derive(Clone)]
enum Origins {
    Any,
    One(HeaderValue),
    Several(Arc<[HeaderValue]>),
    If(Arc<Judge>),
    Same,
}

#[derive(Clone)]
enum Chosen {
    Listed(Vec<String>),
    Judged(Origins),
}

type Judge = dyn Fn(&str) -> bool + Send + Sync;

impl Cors {
    /// Every page of the web: `Access-Control-Allow-Origin: *`. Excludes credentials.
    #[doc(alias = "origin")]
    pub fn any() -> CorsBuilder {
        CorsBuilder::new(Chosen::Judged(Origins::Any))
    }

    /// Pages of these origins and of the server's own. An origin is what browsers send:
    /// `https://app.example`, `http://localhost:5173`; `null` is that of local files and sandboxed
    /// frames.
    ///
    /// A single one is told to everybody, whatever their own origin, as in Node; of several, only
    /// the one that asks.
    #[doc(alias = "origin")]
    pub fn origins<I>(origins: I) -> CorsBuilder
    where
        I: IntoIterator<Item: Into<String>>,
    {
        CorsBuilder::new(Chosen::Listed(origins.into_iter().map(Into::into).collect()))
    }

    /// Pages of the origins for which `judge` says so, and of the server's own.
    ///
    /// It is asked for every request that has an `Origin`, so it must not block. Compare whole
    /// origins or whole suffixes with their dot: `ends_with("example.com")` is also true of
    /// `https://evil-example.com`.
    #[doc(alias = "origin")]
    pub fn origin_if(judge: impl Fn(&str) -> bool + Send + Sync + 'static) -> CorsBuilder {
        CorsBuilder::new(Chosen::Judged(Origins::If(Arc::new(judge))))
    }

    /// Pages of the server's own origin alone.
    #[doc(alias = "origin")]
    pub fn same_origin() -> CorsBuilder {
        CorsBuilder::new(Chosen::Judged(Origins::Same))
    }

    /// Whether a request may be served: it has no `Origin`, so that no page of another one sends it,
    /// or an allowed one, or the server's own, which is that of its `Host`.
    ///
    /// The check to make before a WebSocket is opened; for polling it spares the server work whose
    /// result the page would not get to see. `Host` has no scheme, and TLS may end at a proxy, so
    /// `http` and `https` count as the same. Like any comparison of `Origin` with `Host`, this takes
    /// a name that an attacker points at the server (DNS rebinding) for the server's own.
    #[must_use]
    pub fn allows(&self, request: &HeaderMap) -> bool {
        let mut origins = request.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => true,
            (Some(origin), None) => self.origins.admit(origin) || is_same_origin(origin, request),
            // A browser sends one. What several mean depends on who reads them.
            (Some(_), Some(_)) => false,
        }
    }

    /// The same for a request that polls by scripts (JSONP). Browsers send no `Origin` with it, whatever
    /// page it is for, and CORS does not keep the answer from that page: so its origin is looked for in
    /// `Referer`, and is `null` without one.
    #[must_use]
    pub fn allows_script(&self, request: &HeaderMap) -> bool {
        if request.contains_key(ORIGIN) {
            return self.allows(request);
        }
        let referer = request.get(REFERER).and_then(|referer| referer.to_str().ok());
        let origin = referer.and_then(origin_of).and_then(|origin| origin.parse().ok());
        let origin = origin.unwrap_or(HeaderValue::from_static("null"));
        self.origins.admit(&origin) || is_same_origin(&origin, request)
    }

    /// The answer to a preflight, which is any request with the method `OPTIONS`: the status is 204,
    /// and there is no body.
    ///
    /// As in Node, an origin that is not allowed gets the same answer without its
    /// `Access-Control-Allow-Origin`, and its browser goes no further.
    #[must_use]
    pub fn preflight(&self, request: &HeaderMap) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        self.apply_origin(request, headers);
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
        let allowed = match &self.allowed_headers {
            Some(allowed) => Some(allowed),
            None => {
                vary(headers, "Access-Control-Request-Headers");
                request.get(ACCESS_CONTROL_REQUEST_HEADERS)
            }
        };
        insert(
            headers,
            ACCESS_CONTROL_ALLOW_HEADERS,
            allowed.filter(|allowed| !allowed.is_empty()),
        );
        insert(headers, ACCESS_CONTROL_MAX_AGE, self.max_age.as_ref());
        insert(headers, ACCESS_CONTROL_EXPOSE_HEADERS, self.exposed_headers.as_ref());
        // As in Node, since Safari once waited for a body without it. RFC 9110 §8.6 wants none in a
        // 204, and hyper leaves it out when the body is an empty one.
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        response
    }

    /// Adds the headers to every other answer: to errors too, or the page cannot read what is
    /// wrong, and to the `101` of a WebSocket, as Node does.
    pub fn apply(&self, request: &HeaderMap, response: &mut HeaderMap) {
        self.apply_origin(request, response);
        insert(response, ACCESS_CONTROL_EXPOSE_HEADERS, self.exposed_headers.as_ref());
    }

    /// Adds what [`apply`](Self::apply) made to an answer that the application had its say in: a header of
    /// its own counts, as in Node, but for `Vary`, which has both.
    pub(crate) fn merge(made: &HeaderMap, response: &mut HeaderMap) {
        for (name, value) in made {
            if name == VARY {
                // The only one that `apply` names.
                vary(response, "Origin");
            } else if !response.contains_key(name) {
                response.insert(name.clone(), value.clone());
            }
        }
    }

    fn apply_origin(&self, request: &HeaderMap, response: &mut HeaderMap) {
        let allowed = match &self.origins {
            Origins::Any => Some(&HeaderValue::from_static("*")),
            Origins::One(origin) => Some(origin),
            origins => request.get(ORIGIN).filter(|origin| origins.admit(origin)),
        };
        insert(response, ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        // Or a cache hands one origin's answer to another.
        if !matches!(self.origins, Origins::Any) {
            vary(response, "Origin");
        }
        if self.credentials {
            let allowed = HeaderValue::from_static("true");
            response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, allowed);
        }
    }
}

impl CorsBuilder {
    fn new(origins: Chosen) -> Self {
        Self {
            origins,
            credentials: false,
            methods: None,
            allowed_headers: None,
            exposed_headers: Vec::new(),
            max_age: None,
        }
    }

    /// Whether requests may carry cookies and other credentials. Default: `false`.
    pub fn credentials(mut self, credentials: bool) -> Self {
        self.credentials = credentials;
        self
    }

    /// The methods that preflights name. Default: GET, HEAD, PUT, PATCH, POST and DELETE, as in Node;
    /// polling needs GET and POST.
    pub fn methods<I: IntoIterator<Item = Method>>(mut self, methods: I) -> Self {
        self.methods = Some(join(methods));
        self
    }

    /// The request headers that preflights name. Default: those that the preflight asks for. An
    /// empty list allows none beyond those that need no permission.
    #[doc(alias = "allowedHeaders")]
    pub fn allowed_headers<I: IntoIterator<Item: Into<String>>>(mut self, names: I) -> Self {
        self.allowed_headers = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// The response headers that pages may read. Default: none beyond those that need no permission.
    #[doc(alias = "exposedHeaders")]
    pub fn exposed_headers<I: IntoIterator<Item: Into<String>>>(mut self, names: I) -> Self {
        self.exposed_headers = names.into_iter().map(Into::into).collect();
        self
    }

    /// How long browsers may remember the answer to a preflight, in whole seconds, rounded down.
    /// Default: not said, and browsers take 5 seconds.
    #[doc(alias = "maxAge")]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Checks that the parts fit together.
    ///
    /// # Errors
    ///
    /// The first [`CorsError`]: what browsers would silently never match, or refuse.
    pub fn build(self) -> Result<Cors, CorsError> {
        let methods = self.methods.unwrap_or_else(|| METHODS.to_owned());
        let allowed_headers = self.allowed_headers.map(names).transpose()?;
        let exposed_headers = names(self.exposed_headers)?;
        let origins = match self.origins {
            Chosen::Listed(origins) => Origins::listed(&origins)?,
            Chosen::Judged(origins) => origins,
        };
        if self.credentials {
            let is_wildcard = |value: &str| value.split(',').any(|value| value == "*");
            let wildcard = if matches!(origins, Origins::Any) {
                Some("Cors::any()")
            } else if is_wildcard(&methods) {
                Some("methods")
            } else if allowed_headers.as_deref().is_some_and(is_wildcard) {
                Some("allowed_headers")
            } else {
                is_wildcard(&exposed_headers).then_some("exposed_headers")
            };
            if let Some(what) = wildcard {
                return Err(CorsError::WildcardWithCredentials(what));
            }
            if origins.lists(&HeaderValue::from_static("null")) {
                return Err(CorsError::NullWithCredentials);
            }
        }
        let exposed_headers = (!exposed_headers.is_empty()).then(|| value(&exposed_headers));
        Ok(Cors {
            origins,
            credentials: self.credentials,
            methods: value(&methods),
            allowed_headers: allowed_headers.as_deref().map(value),
            exposed_headers,
            max_age: self.max_age.map(|max_age| max_age.as_secs().into()),
        })
    }
}

impl Origins {
    fn listed(origins: &[String]) -> Result<Self, CorsError> {
        for origin in origins {
            check_origin(origin)
                .map_err(|because| CorsError::NotAnOrigin { origin: origin.clone(), because })?;
        }
        match origins {
            [] => Err(CorsError::NoOrigins),
            [origin] => Ok(Self::One(value(origin))),
            origins => Ok(Self::Several(origins.iter().map(|origin| value(origin)).collect())),
        }
    }

    fn lists(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::One(one) => one == origin,
            Self::Several(several) => several.contains(origin),
            Self::Any | Self::If(_) | Self::Same => false,
        }
    }

    fn admit(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::Any => true,
            Self::If(judge) => origin.to_str().is_ok_and(|origin| judge(origin)),
            Self::One(_) | Self::Several(_) | Self::Same => self.lists(origin),
        }
    }
}

/// Whether a text is what a browser can send as `Origin` (RFC 6454 §7; the URL standard, §4.5 and
/// §3.5). If not, says why.
fn check_origin(origin: &str) -> Result<(), &'static str> {
    let demand = |fits, because| if fits { Ok(()) } else { Err(because) };
    if origin == "null" {
        return Ok(());
    }
    demand(origin != "*", "every origin is Cors::any()")?;
    demand(
        origin.bytes().all(|byte| byte.is_ascii_graphic()),
        "it has characters that are not ASCII, or spaces; an international name begins with xn--",
    )?;
    demand(!origin.contains('*'), "patterns are not understood here, but in Cors::origin_if")?;
    demand(
        !origin.bytes().any(|byte| byte.is_ascii_uppercase()),
        "browsers write scheme and host in lower case",
    )?;
    let (scheme, authority) =
        origin.split_once("://").ok_or("its scheme is missing, such as https://")?;
    demand(
        scheme.starts_with(|first: char| first.is_ascii_lowercase())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)),
        "its scheme is none",
    )?;
    demand(
        !authority.contains(['/', '?', '#', '\\']),
        "it ends with host and port: no path, and no slash at the end",
    )?;
    demand(!authority.contains(['@', ',']), "it is not one host with one port")?;
    // Between `[` and `]` the colons are those of an IPv6 address.
    let after_address = authority.rfind(']').map_or(0, |end| end + 1);
    let (host, port) = match authority[after_address..].find(':') {
        Some(colon) => authority.split_at(after_address + colon),
        None => (authority, ""),
    };
    demand(!host.is_empty() || scheme == "file", "its host is missing")?;
    let Some(port) = port.strip_prefix(':') else { return Ok(()) };
    let number: Option<u16> = port.parse().ok();
    demand(number.is_some_and(|number| number.to_string() == port), "its port is no number")?;
    demand(Some(port) != own_port(scheme), "browsers leave out the port that the scheme implies")
}

fn own_port(scheme: &str) -> Option<&'static str> {
    match scheme {
        "http" => Some("80"),
        "https" => Some("443"),
        _ => None,
    }
}

/// Whether `Origin` names the host and port that the request was sent to.
fn is_same_origin(origin: &HeaderValue, request: &HeaderMap) -> bool {
    let mut hosts = request.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let (Ok(origin), Ok(host)) = (origin.to_str(), host.to_str()) else { return false };
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let Some(port) = own_port(scheme) else { return false };
    // A proxy may add the port that a browser leaves out.
    let bare = |authority: &str| {
        let host = authority.strip_suffix(port).and_then(|host| host.strip_suffix(':'));
        host.unwrap_or(authority).to_ascii_lowercase()
    };
    !authority.is_empty() && bare(authority) == bare(host)
}

/// The origin of a URL, as it stands there.
fn origin_of(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    Some(&url[..scheme.len() + 3 + authority])
}

/// Adds a name to `Vary`, unless it is there (npm `vary`).
fn vary(headers: &mut HeaderMap, name: &'static str) {
    let mut list = String::new();
    for line in headers.get_all(VARY) {
        // What is not text names no header.
        for known in line.to_str().unwrap_or_default().split(',').map(str::trim) {
            if known == "*" || known.eq_ignore_ascii_case(name) {
                return;
            }
            if !known.is_empty() {
                list.push_str(known);
                list.push_str(", ");
            }
        }
    }
    list.push_str(name);
    headers.insert(VARY, value(&list));
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<&HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value.clone());
    }
}

/// Names of headers, joined as Node does; `*` is one.
fn names(names: Vec<String>) -> Result<String, CorsError> {
    for name in &names {
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            return Err(CorsError::NotAHeaderName(name.clone()));
        }
    }
    Ok(join(names))
}

fn join<I: IntoIterator<Item: fmt::Display>>(items: I) -> String {
    let mut joined = String::new();
    for item in items {
        let comma = if joined.is_empty() { "" } else { "," };
        // A string takes everything.
        let _ = write!(joined, "{comma}{item}");
    }
    joined
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("checked origins, methods and names are visible ASCII")
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("Any"),
            Self::One(origin) => f.debug_tuple("One").field(origin).finish(),
            Self::Several(origins) => f.debug_tuple("Several").field(origins).finish(),
            Self::If(_) => f.write_str("If"),
            Self::Same => f.write_str("Same"),
        }
    }
}

impl fmt::Debug for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed(origins) => origins.fmt(f),
            Self::Judged(origins) => origins.fmt(f),
        }
    }
}

impl fmt::Display for CorsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnOrigin { origin, because } => {
                write!(f, "{origin:?} is no origin, and no browser would match it: {because}")
            }
            Self::NoOrigins => f.write_str(
                "the list of origins is empty; if only the server's own pages are meant, say \
                 Cors::same_origin()",
            ),
            Self::WildcardWithCredentials(what) => write!(
                f,
                "credentials cannot go with the * of {what}: browsers refuse it, so name what is \
                 allowed"
            ),
            Self::NullWithCredentials => f.write_str(
                "credentials cannot go to the origin null: any page can give itself that",
            ),
            Self::NotAHeaderName(name) => write!(f, "{name:?} is no name of a header"),
        }
    }
}

impl error::Error for CorsError {}

#[cfg(test)]
mod tests;
