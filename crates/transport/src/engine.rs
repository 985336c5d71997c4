//! Where sessions come from: the judge of requests, and what each of them leads to.

mod plain;

use std::borrow::Cow;
use std::fmt;
use std::future::ready;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use http::header::{ORIGIN, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response};
use hyper::body::Body as HttpBody;
use sockeye_engineio::{
    self as engineio, CloseReason, Intent, KnownSession, Query, Refusal, Revision, Sid, Transport,
    jsonp, payload,
};
use sockeye_net::addresses::Admission;
use sockeye_net::http::{Answer, Body, OverTls, full};
use sockeye_websocket::handshake::server as handshake;

use crate::answer::{self, Manner};
use crate::config::Config;
use crate::cors::Cors;
use crate::deflate::Deflating;
use crate::door::{Door, Shut};
use crate::ending::Ending;
use crate::entry::Entry;
use crate::fault::Fault;
use crate::handler::Handler;
use crate::handshake::Handshake;
use crate::hooks::Forbidden;
use crate::middleware::{Halt, Why};
use crate::probe::Probe;
use crate::request::Request;
use crate::requests;
use crate::session::Session;
use crate::sessions::{Census, Sessions};
use crate::shared::{Form, Shared};
use crate::task::{Task, Upgraded};
use crate::traffic::Volume;

/// Opens sessions and knows those that are open. Clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    sessions: Arc<Sessions>,
}

/// An answer that is being made.
pub type Answering<H> = Pin<Box<dyn Future<Output = Answer<Upgraded<H>>> + Send>>;

/// A refusal, and what is to be said of it beyond its own words.
struct Refused {
    refusal: Refusal,
    because: Because,
}

/// What a request asks for, by the rules of Engine.IO.
struct Asked {
    intent: Intent,
    /// The session that it names.
    session: Option<Arc<Shared>>,
    revision: Revision,
    /// Whether the client cannot take binary messages.
    base64: bool,
    /// It polls by scripts that call this function: see [`jsonp`].
    j: Option<String>,
}

enum Because {
    OfItself,
    /// The application said so.
    Forbidden(Option<String>),
    /// It is no WebSocket, and this is what is wrong with it.
    Handshake(handshake::Refusal),
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, because: Because::OfItself }
    }
}

impl From<Forbidden> for Refused {
    fn from(Forbidden { message }: Forbidden) -> Self {
        Self { refusal: Refusal::Forbidden, because: Because::Forbidden(message) }
    }
}

impl Engine {
    /// An engine without sessions.
    pub fn new(config: Config) -> Self {
        Self { sessions: Arc::new(Sessions::new(config.settled())) }
    }

    /// How many sessions are open. Node's `engine.clientsCount`.
    #[doc(alias = "clientsCount")]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether no session is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether every session's connection is over: nothing is being written any more.
    pub fn is_quiet(&self) -> bool {
        self.sessions.alive() == 0
    }

    /// How many requests were refused, by [`Refusal::index`].
    pub fn refusals(&self) -> [u64; Refusal::ALL.len()] {
        self.sessions.refusals()
    }

    /// How many requests of sessions were not served, by [`Fault::index`].
    pub fn faults(&self) -> [u64; Fault::ALL.len()] {
        self.sessions.faults()
    }

    /// The open sessions in counts. It looks at each of them, and none opens or ends meanwhile: for now
    /// and then, not for every event.
    pub fn census(&self) -> Census {
        self.sessions.census()
    }

    /// What all sessions have said and heard.
    pub fn volume(&self) -> Volume {
        self.sessions.traffic.volume()
    }

    /// How many sessions have been opened.
    pub fn opened(&self) -> u64 {
        self.sessions.opened()
    }

    /// How many of them are over, by [`CloseReason::index`].
    pub fn ended(&self) -> [u64; CloseReason::ALL.len()] {
        self.sessions.ended()
    }

    /// How many sessions that polled have gone on over a websocket.
    pub fn upgrades(&self) -> u64 {
        self.sessions.upgrades()
    }

    /// Refuses sessions from here on (503, `Retry-After`); those that are open go on.
    pub fn drain(&self) {
        self.sessions.drain();
    }

    /// Whether sessions are opened: neither [`drain`](Self::drain) nor [`close_all`](Self::close_all) was
    /// called.
    pub fn is_accepting(&self) -> bool {
        self.sessions.is_accepting()
    }

    /// The open sessions, in no order that a client could have a hand in: that of their hashed ids.
    pub fn sessions(&self) -> Vec<Arc<Shared>> {
        self.sessions.all()
    }

    /// Ends every session, once what is queued for it has been written, and those to come.
    pub fn close_all(&self, reason: CloseReason) {
        self.sessions.close_all(reason);
    }

    /// Ends every session at once.
    pub fn discard_all(&self, reason: CloseReason) {
        for session in self.sessions.all() {
            session.discard(Ending::of(reason));
        }
    }

    /// Answers a request under the engine's path: opens a session, whose messages go to the handler
    /// that `handler` makes, serves one that is open, or says in an HTTP response why not.
    ///
    /// With a middleware, that is later: a request is not heard of before it has passed.
    ///
    /// Dropping the future is what a client does that goes away; it ends a session only where Node's
    /// server ends it too. hyper drops a request's future as soon as it sees the client go, be it before the
    /// first poll: so a session hears of its request by this call, and not only when the future is polled.
    pub fn answer<H, B>(
        &self,
        request: Request,
        body: B,
        handler: impl FnOnce(&Arc<Shared>) -> H + Send + 'static,
    ) -> Answering<H>
    where
        H: Handler,
        B: HttpBody + Send + 'static,
        B::Data: Send,
    {
        if let Some(cors) = &self.config().cors
            && request.method == Method::OPTIONS
        {
            let response = cors.preflight(&request.headers).map(|()| full(""));
            return Box::pin(ready(Answer::Http(response)));
        }
        let mut headers = HeaderMap::new();
        self.apply_cors(&request, &mut headers);
        if self.config().hooks.middlewares.is_empty() {
            return self.answer_passed(request, body, headers, handler);
        }
        let engine = self.clone();
        Box::pin(async move {
            match engine.pass(request).await {
                Ok(request) => engine.answer_passed(request, body, headers, handler).await,
                Err(mut response) => {
                    Cors::merge(&headers, response.headers_mut());
                    Answer::Http(response)
                }
            }
        })
    }

    /// Lets a request pass through the middlewares, or says how it is answered.
    async fn pass(&self, request: Request) -> Result<Request, Response<Body>> {
        let middlewares = &self.config().hooks.middlewares;
        if middlewares.is_empty() {
            return Ok(request);
        }
        // Who hears of refusals hears of the request as it came.
        let came = request.clone();
        middlewares.pass(request).await.map_err(|Halt(why)| match why {
            Why::Answered(response) => response.map(full),
            Why::Refused(reason) => {
                tracing::debug!(target: "engine", %reason, "a middleware refuses a request");
                self.refuse(&came, came.is_upgrade(), &Refusal::Middleware.into())
            }
        })
    }

    /// Answers a request that has passed all middlewares, with these headers of CORS.
    fn answer_passed<H, B>(
        &self,
        request: Request,
        body: B,
        headers: HeaderMap,
        handler: impl FnOnce(&Arc<Shared>) -> H + Send + 'static,
    ) -> Answering<H>
    where
        H: Handler,
        B: HttpBody + Send + 'static,
        B::Data: Send,
    {
        let upgrade = request.is_upgrade();
        match self.judge(&request, upgrade) {
            Ok(Asked {
                intent: Intent::Join(Transport::Polling), session: Some(session), ..
            }) if !upgrade => {
                let answering = requests::begin(&self.sessions, &session, request, body);
                Box::pin(async move {
                    let mut response = answering.await;
                    Cors::merge(&headers, response.headers_mut());
                    Answer::Http(response)
                })
            }
            judged => {
                let engine = self.clone();
                Box::pin(async move {
                    let answer = match judged {
                        Ok(asked) => engine.serve(&request, upgrade, asked, handler).await,
                        Err(refusal) => Err(refusal.into()),
                    };
                    let mut answer = answer.unwrap_or_else(|refused| {
                        Answer::Http(engine.refuse(&request, upgrade, &refused))
                    });
                    merge_cors(&headers, &mut answer);
                    answer
                })
            }
        }
    }

    /// Adds the headers of CORS to an answer of somebody else's under the engine's path.
    pub fn apply_cors(&self, request: &Request, response: &mut HeaderMap) {
        if let Some(cors) = &self.config().cors {
            cors.apply(&request.headers, response);
        }
    }

    /// The head of a request whose connection comes from `peer`.
    pub fn request(&self, parts: Parts, peer: SocketAddr) -> Request {
        let trusted = self.config().trusted_proxies.as_ref();
        let mut address =
            trusted.map_or(peer, |trusted| trusted.client_address(peer, &parts.headers));
        let secure = trusted.and_then(|trusted| trusted.client_is_secure(peer, &parts.headers));
        let secure = secure.unwrap_or_else(|| parts.extensions.get::<OverTls>().is_some());
        // A socket that listens on both writes an IPv4 address as one of IPv6.
        address.set_ip(address.ip().to_canonical());
        Request::new(parts, address, secure, &self.config().keep_extensions)
    }

    fn refuse(&self, request: &Request, upgrade: bool, refused: &Refused) -> Response<Body> {
        let refusal = refused.refusal;
        let said;
        let message = match &refused.because {
            Because::Forbidden(Some(message)) => message,
            Because::Handshake(handshake) => {
                said = handshake.to_string();
                &said
            }
            _ => refusal.message(),
        };
        self.sessions.refuse(request, refusal, message);
        match &refused.because {
            Because::Handshake(handshake) => answer::not_a_websocket(*handshake),
            _ => answer::refused(refusal, message, upgrade),
        }
    }

    /// Checks a request in the official server's order, and finds the session that it names.
    fn judge(&self, request: &Request, upgrade: bool) -> Result<Asked, Refusal> {
        let asked = engineio::Request {
            get: request.method == Method::GET || request.is_connect(),
            upgrade,
            origin: request.headers.get(ORIGIN).map(HeaderValue::as_bytes),
        };
        let mut found = None;
        let session = |sid: &str| {
            found = self.sessions.find(sid);
            let transport = found.as_ref()?.transport();
            Some(KnownSession { transport, revision: found.as_ref()?.revision() })
        };
        let query = Query::parse(request.query_string());
        let intent = engineio::verify(&query, &asked, &self.config().transports, session)?;
        Ok(Asked {
            intent,
            session: found,
            revision: query.revision(),
            base64: query.b64,
            j: query.j.map(Cow::into_owned),
        })
    }

    /// Does what needs no request of an open session: opens one, or lets a websocket try to become one's
    /// transport.
    async fn serve<H: Handler>(
        &self,
        request: &Request,
        upgrade: bool,
        asked: Asked,
        handler: impl FnOnce(&Arc<Shared>) -> H + Send,
    ) -> Result<Answer<Upgraded<H>>, Refused> {
        match (asked.intent, asked.session) {
            (Intent::Join(Transport::Websocket), Some(session)) => {
                self.probe(request, asked.base64, &session)
            }
            (Intent::Open(Transport::Polling), _) if !upgrade => {
                // Binary has no place in a script.
                let form = Form::new(asked.revision, asked.base64 || asked.j.is_some());
                let j = asked.j.as_deref();
                let admission = self.admit(request, form, j.is_some()).await?;
                self.open_polling(request, form, j, admission, handler).await.map(Answer::Http)
            }
            (Intent::Open(Transport::Websocket), _) => {
                let form = Form::new(asked.revision, asked.base64);
                let admission = self.admit(request, form, false).await?;
                self.open_websocket(request, form, admission, handler).await
            }
            // An upgrade to polling is none.
            _ => Err(Refusal::TransportMismatch.into()),
        }
    }

    /// Whether this client may open a session; `scripted` if it polls by scripts.
    async fn admit(
        &self,
        request: &Request,
        form: Form,
        scripted: bool,
    ) -> Result<Option<Admission>, Refused> {
        if !self.sessions.is_accepting() {
            return Err(Refusal::ShuttingDown.into());
        }
        // Before anything is counted: a page must not spend what its visitors' address may have.
        if let Some(cors) = &self.config().cors {
            let headers = &request.headers;
            let allowed = if scripted { cors.allows_script(headers) } else { cors.allows(headers) };
            if !allowed {
                return Err(Refusal::OriginNotAllowed.into());
            }
        }
        // The cheap questions first: the application's may cost it something.
        let admission = self.sessions.admit(request.address.ip())?;
        self.config().hooks.is_allowed(request).await?;
        if form.revision() == Revision::V3 && !self.config().allow_eio3 {
            return Err(Refusal::UnsupportedRevision.into());
        }
        Ok(admission)
    }

    async fn open_polling<H: Handler>(
        &self,
        request: &Request,
        form: Form,
        j: Option<&str>,
        admission: Option<Admission>,
        handler: impl FnOnce(&Arc<Shared>) -> H,
    ) -> Result<Response<Body>, Refused> {
        let mut session =
            self.open(request, admission, form, Some(Box::default()), handler).await?;
        let config = self.config();
        let mut payload = payload::Writer::new(session.shared().payload_form());
        let initial = config.initial_packet.clone();
        let first = [Some(session.open_packet(config.upgrades())), initial];
        for packet in first.into_iter().flatten() {
            payload.text(packet.text());
            let entry = Entry::Packet(packet);
            session.shared().tell_queued(&entry);
            session.shared().tell_sent(&entry);
        }
        let mut payload = payload.into_bytes();
        if let Some(j) = j {
            payload = jsonp::script(j, &payload);
        }
        self.sessions.traffic.sent(1 + usize::from(config.initial_packet.is_some()), payload.len());
        let sid = session.shared().sid();
        // Its requests may come as soon as it is told its id.
        session.announce();
        drop(tokio::spawn(Task::polling(session)));
        let manner = Manner::of(request, config);
        let encoding = manner.encoding(config, payload.len());
        if let Some(encoding) = encoding {
            payload = encoding.compress(payload).await.ok_or(Refusal::ShuttingDown)?;
        }
        let mut response = answer::payload(full(payload), false, manner, encoding);
        let headers = response.headers_mut();
        if let Some(cookie) = &config.cookie {
            headers.append(SET_COOKIE, cookie.header(sid));
        }
        config.hooks.edit(headers, request, true);
        Ok(response)
    }

    async fn open_websocket<H: Handler>(
        &self,
        request: &Request,
        form: Form,
        admission: Option<Admission>,
        handler: impl FnOnce(&Arc<Shared>) -> H,
    ) -> Result<Answer<Upgraded<H>>, Refused> {
        let mut response = shake_hands(request)?;
        let session = self.open(request, admission, form, None, handler).await?;
        session.shared().set_deflating(self.agree(request, &mut response));
        self.config().hooks.edit(response.headers_mut(), request, true);
        Ok(Answer::Upgrade(response, Upgraded::session(session)))
    }

    /// A websocket that wants to become the transport of a session.
    fn probe<H: Handler>(
        &self,
        request: &Request,
        base64: bool,
        session: &Arc<Shared>,
    ) -> Result<Answer<Upgraded<H>>, Refused> {
        if !self.config().allow_upgrades {
            return Err(Refusal::TransportMismatch.into());
        }
        let mut response = shake_hands(request)?;
        let probing = session.begin_probe().map_err(|shut| match shut {
            Shut::Gone => Refusal::TransportMismatch,
            Shut::Overlap => Refusal::AlreadyUpgrading,
        })?;
        let deflating = self.agree(request, &mut response);
        self.config().hooks.edit(response.headers_mut(), request, false);
        let probe = Probe::new(&self.sessions, probing, base64, deflating);
        Ok(Answer::Upgrade(response, Upgraded::probe(probe)))
    }

    /// Agrees on compression with the client, if the engine has any.
    fn agree(&self, request: &Request, response: &mut Response<()>) -> Option<Arc<Deflating>> {
        self.sessions.deflate.as_ref()?.agree(&request.headers, response.headers_mut())
    }

    async fn open<H: Handler>(
        &self,
        request: &Request,
        admission: Option<Admission>,
        form: Form,
        door: Option<Box<Door>>,
        handler: impl FnOnce(&Arc<Shared>) -> H,
    ) -> Result<Session<H>, Refusal> {
        let config = self.config();
        let sid = match config.hooks.id(request).await {
            // An id that is taken would hand one client's session to another.
            Some(id) => id.filter(|id| self.sessions.reserve(*id)),
            None => random_id().ok(),
        };
        let sid = sid.ok_or(Refusal::IdGeneration)?;
        let shared = Arc::new(Shared::new(
            sid,
            config.max_buffered_bytes,
            Handshake::new(
                request.address,
                request.secure,
                request.url(),
                &request.headers,
                &config.keep_headers,
                &request.extensions,
            ),
            form,
            door,
            self.sessions.traffic.clone(),
        ));
        let handler = handler(&shared);
        Ok(Session::new(self.sessions.clone(), shared, admission, handler))
    }

    fn config(&self) -> &Config {
        &self.sessions.config
    }
}

/// Adds the headers of CORS to an answer that the application had its say in.
fn merge_cors<H: Handler>(headers: &HeaderMap, answer: &mut Answer<Upgraded<H>>) {
    let answers = match answer {
        Answer::Http(response) => response.headers_mut(),
        Answer::Upgrade(response, _) => response.headers_mut(),
    };
    Cors::merge(headers, answers);
}

/// Completes the opening handshake of a WebSocket.
fn shake_hands(request: &Request) -> Result<Response<()>, Refused> {
    let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let no = |no| Refused { refusal: Refusal::InvalidHandshake, because: Because::Handshake(no) };
    if request.is_connect() {
        let connect = handshake::Connect { protocol: Some("websocket"), headers };
        handshake::judge_connect(connect).map_err(no)?;
        return Ok(Response::new(()));
    }
    let accept = handshake::judge(handshake::Request {
        method: request.method.as_str(),
        version: version(request.version),
        headers,
    })
    .map_err(no)?;
    let key = HeaderValue::from_bytes(accept.accept_key.as_bytes());
    Ok(answer::switching_protocols(key.expect("base64 is a header's value")))
}

/// An id of 120 random bits, for sessions and for sockets.
///
/// # Errors
///
/// When the operating system has no randomness.
fn random_id() -> Result<Sid, getrandom::Error> {
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

fn version(version: http::Version) -> (u8, u8) {
    match version {
        http::Version::HTTP_09 => (0, 9),
        http::Version::HTTP_10 => (1, 0),
        http::Version::HTTP_2 => (2, 0),
        http::Version::HTTP_3 => (3, 0),
        _ => (1, 1),
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("sessions", &self.len()).finish_non_exhaustive()
    }
}
