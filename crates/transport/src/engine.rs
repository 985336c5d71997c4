//! Where sessions come from: the judge of handshakes and the list of who is there.

use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use hashbrown::{DefaultHashBuilder, HashTable};
use http::header::{CONNECTION, CONTENT_TYPE, ORIGIN, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, Version};
use sockeye_engineio::{self as engineio, CloseReason, Query, Refusal, Sid, Transport};
use sockeye_net::http::{Answer, Body, full};
use sockeye_websocket::handshake::server as handshake;

use crate::config::Config;
use crate::handler::Handler;
use crate::handshake::Handshake;
use crate::session::Session;
use crate::shared::Shared;

/// The transports that clients may use.
const ENABLED: &[Transport] = &[Transport::Websocket];

/// All open sessions, and what they have in common.
pub(crate) struct Sessions {
    pub(crate) config: Config,
    /// By their ids, which they hold themselves.
    open: Mutex<HashTable<Arc<Shared>>>,
    hasher: DefaultHashBuilder,
    /// Set when all sessions are to end, for those that are only about to open.
    closing: OnceLock<CloseReason>,
    /// Sessions whose connection is not over: the open ones, and those whose last bytes are on
    /// their way.
    alive: AtomicUsize,
}

impl Sessions {
    fn open(&self) -> MutexGuard<'_, HashTable<Arc<Shared>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn insert(&self, session: &Arc<Shared>) {
        let hash = |session: &Arc<Shared>| self.hasher.hash_one(session.sid());
        self.open().insert_unique(hash(session), session.clone(), hash);
        if let Some(reason) = self.closing.get() {
            session.close(*reason);
        }
    }

    /// A connection begins.
    pub(crate) fn begin(&self) {
        self.alive.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection is over.
    pub(crate) fn end(&self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn remove(&self, session: &Shared) {
        let hash = self.hasher.hash_one(session.sid());
        let mut open = self.open();
        let removed = match open.find_entry(hash, |open| open.sid() == session.sid()) {
            Ok(found) => found.remove().0,
            Err(_) => return,
        };
        // A burst's table is given back, but not while it may soon be needed again.
        if open.capacity() > 256 && open.len() < open.capacity() / 8 {
            let twice = open.len() * 2;
            open.shrink_to(twice, |session| self.hasher.hash_one(session.sid()));
        }
        drop(open);
        drop(removed);
    }
}

/// What a handshake is judged by: an HTTP request without its body.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// Path and query.
    pub uri: &'a Uri,
    /// The version of HTTP.
    pub version: Version,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The client's address.
    pub address: SocketAddr,
}

/// Opens sessions and knows those that are open. Clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    sessions: Arc<Sessions>,
}

impl Engine {
    /// An engine without sessions.
    pub fn new(config: Config) -> Self {
        let sessions = Sessions {
            config: config.settled(),
            open: Mutex::default(),
            hasher: DefaultHashBuilder::default(),
            closing: OnceLock::new(),
            alive: AtomicUsize::new(0),
        };
        Self { sessions: Arc::new(sessions) }
    }

    /// How many sessions are open. Node's `engine.clientsCount`.
    #[doc(alias = "clientsCount")]
    pub fn len(&self) -> usize {
        self.sessions.open().len()
    }

    /// Whether no session is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether every session's connection is over: nothing is being written any more.
    pub fn is_quiet(&self) -> bool {
        self.sessions.alive.load(Ordering::Relaxed) == 0
    }

    /// Ends every session, once what is queued for it has been written, and those to come.
    pub fn close_all(&self, reason: CloseReason) {
        let _ = self.sessions.closing.set(reason);
        let open: Vec<_> = self.sessions.open().iter().cloned().collect();
        for session in open {
            session.close(reason);
        }
    }

    /// Ends every session at once.
    pub fn discard_all(&self, reason: CloseReason) {
        let open: Vec<_> = self.sessions.open().iter().cloned().collect();
        for session in open {
            session.discard(reason);
        }
    }

    /// Judges a request under the engine's path: opens a session, whose messages go to the handler
    /// that `handler` makes, or says in an HTTP response why not.
    pub fn answer<H: Handler>(
        &self,
        request: Request<'_>,
        handler: impl FnOnce(&Arc<Shared>) -> H,
    ) -> Answer<Session<H>> {
        let upgrade = request.headers.contains_key(UPGRADE);
        if let Err(refusal) = self.judge(&request, upgrade) {
            tracing::debug!(target: "engine", address = %request.address, %refusal, "handshake refused");
            return Answer::Http(refused(refusal, upgrade));
        }
        let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let accept = match handshake::judge(handshake::Request {
            method: request.method.as_str(),
            version: version(request.version),
            headers,
        }) {
            Ok(accept) => accept,
            Err(refusal) => {
                tracing::debug!(target: "engine", address = %request.address, %refusal, "no WebSocket");
                return Answer::Http(not_a_websocket(refusal));
            }
        };
        let Ok(sid) = random_id() else {
            return Answer::Http(refused(Refusal::IdGeneration, upgrade));
        };
        let url = request.uri.path_and_query().map_or("/", |url| url.as_str());
        let shared = Arc::new(Shared::new(
            sid,
            self.sessions.config.max_buffered_bytes,
            Handshake::new(request.address, url, request.headers),
        ));
        let handler = handler(&shared);
        let session = Session::new(self.sessions.clone(), shared, handler);
        match HeaderValue::from_bytes(accept.accept_key.as_bytes()) {
            Ok(key) => Answer::Upgrade(switching_protocols(key), session),
            Err(_) => Answer::Http(refused(Refusal::IdGeneration, upgrade)),
        }
    }

    fn judge(&self, request: &Request<'_>, upgrade: bool) -> Result<(), Refusal> {
        let query = Query::parse(request.uri.query().unwrap_or_default());
        let asked = engineio::Request {
            get: request.method == Method::GET,
            upgrade,
            origin: request.headers.get(ORIGIN).map(HeaderValue::as_bytes),
        };
        // A session on a websocket has nothing to upgrade to: a request that names one is refused
        // whether the session exists or not, and the client does not learn which.
        engineio::verify(&query, &asked, ENABLED, |_| None)?;
        query.check_revision()
    }
}

/// An id of 120 random bits, for sessions and for sockets.
///
/// # Errors
///
/// When the operating system has no randomness.
pub(crate) fn random_id() -> Result<Sid, getrandom::Error> {
    let mut random = [0; 15];
    getrandom::fill(&mut random)?;
    Ok(Sid::new(random))
}

impl Shared {
    /// A public id for a socket of this session: random, and never the session's own.
    ///
    /// # Errors
    ///
    /// When the operating system has no randomness.
    pub fn public_id() -> Result<Sid, std::io::Error> {
        random_id().map_err(std::io::Error::other)
    }
}

fn version(version: Version) -> (u8, u8) {
    match version {
        Version::HTTP_09 => (0, 9),
        Version::HTTP_10 => (1, 0),
        Version::HTTP_2 => (2, 0),
        Version::HTTP_3 => (3, 0),
        _ => (1, 1),
    }
}

fn switching_protocols(accept: HeaderValue) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// Node's answers: JSON to a plain request, the bare message to an upgrade.
fn refused(refusal: Refusal, upgrade: bool) -> Response<Body> {
    let (status, kind, body) = if upgrade {
        (400, "text/html", refusal.message().to_owned())
    } else {
        let (code, message) = (refusal.code(), refusal.message());
        let json = format!("{{\"code\":{code},\"message\":\"{message}\"}}");
        (refusal.status(), "application/json", json)
    };
    let mut response = Response::new(full(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if upgrade {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn not_a_websocket(refusal: handshake::Refusal) -> Response<Body> {
    let mut response = Response::new(full(refusal.to_string()));
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    for (name, value) in refusal.headers() {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("sessions", &self.len()).finish_non_exhaustive()
    }
}
