//! The application's say in what the engine answers.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use http::HeaderMap;
use sockeye_engineio::{Refusal, Sid};

use crate::events::{Listener, SessionEvent, SessionRef};
use crate::middleware::{Halt, Middlewares};
use crate::request::Request;

type Allowing = Pin<Box<dyn Future<Output = Result<(), Forbidden>> + Send>>;
type AllowRequest = dyn Fn(&Request) -> Allowing + Send + Sync;
type EditHeaders = dyn Fn(&mut HeaderMap, &Request) + Send + Sync;
type Generating = Pin<Box<dyn Future<Output = Option<Sid>> + Send>>;
type GenerateId = dyn Fn(&Request) -> Generating + Send + Sync;
type OnError = dyn Fn(&ConnectionError<'_>) + Send + Sync;

/// The functions that an application has put into the engine.
#[derive(Clone, Default)]
pub struct Hooks {
    pub(crate) middlewares: Middlewares,
    allow_request: Option<Arc<AllowRequest>>,
    initial_headers: Option<Arc<EditHeaders>>,
    headers: Option<Arc<EditHeaders>>,
    generate_id: Option<Arc<GenerateId>>,
    connection_error: Option<Arc<OnError>>,
    session_event: Option<Listener>,
}

/// Why [`Hooks::allow_request`] lets a client open no session: this message in the answer, and status 403,
/// or 400 to a websocket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forbidden {
    pub(crate) message: Option<String>,
}

impl Forbidden {
    /// With this message instead of `Forbidden`. The client sees it.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()) }
    }
}

impl From<&str> for Forbidden {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

impl From<String> for Forbidden {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

/// A request that the engine refused: Node's event `connection_error`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ConnectionError<'a> {
    /// The request.
    pub request: &'a Request,
    /// Why: its [code](Refusal::code) and [context](Refusal::context) are Node's.
    pub refusal: Refusal,
    /// What the client was told.
    pub message: &'a str,
}

impl Hooks {
    /// Adds what every request passes through before it is judged, behind those that are there.
    pub fn middleware<F, A>(&mut self, middleware: F)
    where
        F: Fn(Request) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Request, Halt>> + Send + 'static,
    {
        self.middlewares.push(middleware);
    }

    /// Who may open a session; not asked for later requests of a session, nor for its upgrade. The
    /// future is dropped if the client goes away.
    pub fn allow_request<F, A, E>(&mut self, allow: F)
    where
        F: Fn(&Request) -> A + Send + Sync + 'static,
        A: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Forbidden>,
    {
        self.allow_request = Some(Arc::new(move |request| {
            let allowing = allow(request);
            Box::pin(async move { allowing.await.map_err(Into::into) })
        }));
    }

    /// Edits the headers of the answer that opens a session: the first poll's, or the `101`.
    pub fn initial_headers(
        &mut self,
        edit: impl Fn(&mut HeaderMap, &Request) + Send + Sync + 'static,
    ) {
        self.initial_headers = Some(Arc::new(edit));
    }

    /// Edits the headers of every answer in the name of a session; an error's, with status 4xx or 5xx, is
    /// none, as in Node.
    pub fn headers(&mut self, edit: impl Fn(&mut HeaderMap, &Request) + Send + Sync + 'static) {
        self.headers = Some(Arc::new(edit));
    }

    /// Where the ids of sessions come from; `None` refuses the handshake. The future is dropped if the
    /// client goes away.
    pub fn generate_id<F, A>(&mut self, generate: F)
    where
        F: Fn(&Request) -> A + Send + Sync + 'static,
        A: Future<Output = Option<Sid>> + Send + 'static,
    {
        self.generate_id = Some(Arc::new(move |request| Box::pin(generate(request))));
    }

    /// Who hears of every request that is refused.
    pub fn connection_error(
        &mut self,
        hear: impl Fn(&ConnectionError<'_>) + Send + Sync + 'static,
    ) {
        self.connection_error = Some(Arc::new(hear));
    }

    /// Who hears of what happens to sessions.
    pub fn session_event(
        &mut self,
        hear: impl Fn(SessionRef<'_>, SessionEvent<'_>) + Send + Sync + 'static,
    ) {
        self.session_event = Some(Arc::new(hear));
    }

    pub(crate) fn listener(&self) -> Option<Listener> {
        self.session_event.clone()
    }

    pub(crate) async fn is_allowed(&self, request: &Request) -> Result<(), Forbidden> {
        match &self.allow_request {
            Some(allow) => allow(request).await,
            None => Ok(()),
        }
    }

    /// Whether the application wants to see a session's requests when they are answered.
    pub(crate) fn wants_requests(&self) -> bool {
        self.headers.is_some() || self.connection_error.is_some()
    }

    /// Lets the application have the headers of an answer; `initial` if it opens a session.
    pub(crate) fn edit(&self, headers: &mut HeaderMap, request: &Request, initial: bool) {
        let initial = self.initial_headers.as_ref().filter(|_| initial);
        for edit in initial.into_iter().chain(&self.headers) {
            edit(headers, request);
        }
    }

    /// An id of the application's making: `Some(None)` if it makes none for this request.
    pub(crate) async fn id(&self, request: &Request) -> Option<Option<Sid>> {
        match &self.generate_id {
            Some(generate) => Some(generate(request).await),
            None => None,
        }
    }

    /// Whether the ids of sessions are of the application's making.
    pub(crate) fn makes_ids(&self) -> bool {
        self.generate_id.is_some()
    }

    pub(crate) fn refused(&self, error: &ConnectionError<'_>) {
        if let Some(hear) = &self.connection_error {
            hear(error);
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("allow_request", &self.allow_request.is_some())
            .field("initial_headers", &self.initial_headers.is_some())
            .field("headers", &self.headers.is_some())
            .field("generate_id", &self.generate_id.is_some())
            .field("connection_error", &self.connection_error.is_some())
            .field("session_event", &self.session_event.is_some())
            .finish()
    }
}
