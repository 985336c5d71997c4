//! Namespaces: what a user registers for one, and what it is while the server runs.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use sockeye_handler::{Erased, Failure, Guard, Handler, Routes};
use sockeye_hub::Hub;
use sockeye_hub::adapter::Adapter;
use sockeye_socketio::{DisconnectReason, Value};

use crate::children::{Names, Parent};
use crate::cluster::RoomHandler;
use crate::config::Config;
use crate::connect::{Gate, Middleware};
use crate::gather::Gathers;
use crate::journal::Journal;
use crate::metrics::Counters;
use crate::pattern::{Captures, Pattern};
use crate::server::Core;
use crate::server_side::ServerSide;
use crate::socket::Socket;

/// What happens in one namespace: handlers, registered once for all of its sockets.
///
/// ```
/// use sockeye_server::{Data, Namespace, Socket};
///
/// let chat = Namespace::new("/")
///     .on_connect(|socket: Socket| async move {
///         socket.join("lobby");
///     })
///     .on("chat message", |socket: Socket, Data(text): Data<String>| {
///         socket.broadcast().emit("chat message", &text).ok();
///     });
/// ```
#[must_use = "a namespace does nothing before it is given to a server's builder"]
pub struct Namespace {
    pub(crate) path: Box<str>,
    /// Of a dynamic one, whose path is only a word for it.
    pub(crate) names: Option<Names>,
    pub(crate) handlers: Handlers,
}

/// What a user registered: for a namespace, or for all children of a dynamic one.
#[derive(Default)]
pub(crate) struct Handlers {
    pub(crate) routes: Routes<Socket>,
    pub(crate) middleware: Vec<Gate>,
    pub(crate) connect: Vec<Erased<Socket>>,
    pub(crate) disconnect: Vec<Erased<Socket>>,
    pub(crate) leaving: Vec<Box<LeavingHook>>,
    pub(crate) outgoing: Vec<Erased<Socket>>,
    pub(crate) errors: Vec<Box<ErrorHook>>,
    pub(crate) state: StateMap,
    pub(crate) server_side: Routes<ServerSide>,
    pub(crate) rooms: Vec<RoomHandler>,
    /// Its clients are not recovered.
    pub(crate) unkept: bool,
}

/// Hears what went wrong with an event.
type ErrorHook = dyn Fn(&Socket, &str, &Failure) + Send + Sync;

/// Hears of a socket that is about to leave its rooms.
type LeavingHook = dyn Fn(&Socket, DisconnectReason) + Send + Sync;

/// Values by their type.
pub(crate) type StateMap = HashMap<TypeId, Box<dyn Any + Send + Sync>>;

impl Namespace {
    /// A namespace without handlers. A path without a leading `/` gets one, as in Node.
    pub fn new(path: &str) -> Self {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Self { path: path.into(), names: None, handlers: Handlers::default() }
    }

    /// All namespaces whose names have this pattern, each of which comes to be when the first client asks for
    /// it. In the pattern, `{name}` stands for one or more characters that are no `/`, and `*`, at the end, for
    /// one or more of any; of several places, each takes as little as it can. Handlers find what stood
    /// there by [`Path<T>`](crate::Path), and the whole name by [`NamespaceName`](crate::NamespaceName).
    ///
    /// Each such namespace, a child, has sockets and rooms of its own, and shares the handlers, the middleware
    /// and the [state](Self::state) registered here. When a client asks for a namespace that is not
    /// there, the dynamic ones are tried in the order in which they were given to the
    /// [builder](crate::ServerBuilder::namespace). When its last socket leaves, the child is gone; see
    /// [`cleanup_empty_namespaces`](crate::ServerBuilder::cleanup_empty_namespaces) and
    /// [`max_dynamic_namespaces`](crate::ServerBuilder::max_dynamic_namespaces). Whatever follows a `?` in a
    /// name is a part of it.
    ///
    /// ```
    /// use sockeye_server::{Namespace, Path, Server, Socket};
    ///
    /// let workspaces = Namespace::matching("/workspace-{id}")
    ///     .on("whereami", |Path(id): Path<u32>| id);
    /// let io = Server::builder().namespace(workspaces).build();
    /// io.parent("/workspace-{id}").unwrap().emit("news", "for all workspaces").ok();
    /// ```
    ///
    /// # Panics
    ///
    /// If it is no pattern: a place without a name or an end, two places with one name or nothing between them,
    /// a `*` before the end.
    #[doc(alias = "of")]
    pub fn matching(pattern: &str) -> Self {
        let path =
            if pattern.starts_with('/') { pattern.to_owned() } else { format!("/{pattern}") };
        match Pattern::parse(&path) {
            Ok(pattern) => Self::parent(&path, Names::Pattern(pattern)),
            Err(error) => panic!("{path:?} is no pattern of namespaces: {error}"),
        }
    }

    /// All namespaces whose names match a regular expression: as [`matching`](Self::matching). As in Node it may
    /// match anywhere in a name, unless `^` and `$` say otherwise. [`Path<T>`](crate::Path) has its
    /// groups, by name or else by number.
    #[cfg(feature = "regex")]
    #[doc(alias = "of")]
    pub fn regex(regex: regex::Regex) -> Self {
        let path = regex.as_str().to_owned();
        Self::parent(&path, Names::Regex(regex))
    }

    /// All namespaces for whose names an async function says `true`: as [`matching`](Self::matching). It gets
    /// the name and the `auth` of the client that asks first, and is asked again only when the namespace is not
    /// there. Whether *this* client may enter is for the [middleware](Self::middleware), which sees each.
    /// `title` stands for all of them in logs and [`Server::parent`](crate::Server::parent).
    ///
    /// After a restart, one to which clients may [come back](crate::ServerBuilder::connection_state_recovery) is
    /// there when the first of them asks; one whose name decides, at once.
    ///
    /// What a client sends to the namespace before it is answered is lost while the function runs; official
    /// clients wait for the answer. If it panics, the client is refused with `internal error`; if it does not answer
    /// within the [`connect_timeout`](crate::ServerBuilder::connect_timeout), with `connect timeout`.
    ///
    /// ```
    /// use sockeye_server::{Namespace, Value};
    ///
    /// # async fn exists(name: &str) -> bool { true }
    /// let tenants = Namespace::dynamic("tenants", async |name: String, _auth: Option<Value>| {
    ///     exists(&name).await
    /// });
    /// ```
    #[doc(alias = "of")]
    pub fn dynamic<F, A>(title: &str, decide: F) -> Self
    where
        F: Fn(String, Option<Value>) -> A + Send + Sync + 'static,
        A: Future<Output = bool> + Send + 'static,
    {
        let decide = move |name, auth| -> Pin<Box<dyn Future<Output = bool> + Send>> {
            Box::pin(decide(name, auth))
        };
        Self::parent(title, Names::Function(Box::new(decide)))
    }

    fn parent(path: &str, names: Names) -> Self {
        Self { path: path.into(), names: Some(names), handlers: Handlers::default() }
    }

    /// The path; of a dynamic one, the pattern, the regular expression or the title.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Decides who is let in: called for each client that asks, before the client is answered. Several are
    /// asked one after the other, in the order of their registration, until one refuses.
    ///
    /// It may be async, and takes the extractors of an [event handler](Self::on), where
    /// [`Data<T>`](crate::Data) is the client's `auth`. When the last one has agreed, the client is connected;
    /// when one returns an error, the client gets a `connect_error` with the [`Refusal`]'s message and data.
    /// An extractor that fails refuses with what does not fit, and a panic with `internal error`. Meanwhile,
    /// the client's events wait; what is emitted to the socket and the rooms that it joins are the socket's,
    /// and what was emitted reaches the client right after its `connect`. All together have the
    /// [`connect_timeout`](crate::ServerBuilder::connect_timeout) to decide: then they are dropped where they wait,
    /// and the client is refused with `connect timeout`. They run on when the client leaves meanwhile, which
    /// [`Socket::closed`](crate::Socket::closed) tells.
    ///
    /// ```
    /// use sockeye_server::{Data, Namespace, Refusal, Socket};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Auth { token: String }
    ///
    /// let chat = Namespace::new("/chat").middleware(|socket: Socket, Data(auth): Data<Auth>| async move {
    ///     if auth.token != "secret" {
    ///         return Err(Refusal::new("not authorized"));
    ///     }
    ///     socket.join("members");
    ///     Ok(())
    /// });
    /// ```
    ///
    /// [`Refusal`]: crate::Refusal
    #[doc(alias = "use")]
    pub fn middleware<M: 'static>(mut self, middleware: impl Middleware<M>) -> Self {
        self.handlers.middleware.push(Gate::new(middleware));
        self
    }

    /// Called for each socket that has just been connected: the [middleware](Self::middleware) has let it in,
    /// and the answer to the client is queued.
    ///
    /// The handler may be async, and takes the extractors of an [event handler](Self::on), where
    /// [`Data<T>`](crate::Data) is the client's `auth`. The client's events wait for its end, within
    /// [`max_waiting_bytes`](crate::ServerBuilder::max_waiting_bytes), so that no first event is lost to
    /// a handler that [it registers](Socket::on) after a wait: what goes on as long as the socket does belongs
    /// into a task of its own. Several run one after the other, in the order of their registration.
    ///
    /// If it panics, or an extractor fails, the socket is [disconnected](Socket::disconnect).
    #[doc(alias = "connection")]
    pub fn on_connect<M: 'static>(mut self, handler: impl Handler<Socket, M>) -> Self {
        self.handlers.connect.push(Erased::new(handler));
        self
    }

    /// Handles the events named `event`, of all sockets.
    ///
    /// Handlers of one socket start in the order in which its events arrived. What a handler
    /// returns answers the ack; see [`Handler`].
    pub fn on<M: 'static>(mut self, event: &str, handler: impl Handler<Socket, M>) -> Self {
        self.handlers.routes.on(event, handler);
        self
    }

    /// Handles the events that no other handler is for; without one, they are dropped with a
    /// warning in the log.
    pub fn on_fallback<M: 'static>(mut self, handler: impl Handler<Socket, M>) -> Self {
        self.handlers.routes.fallback(handler);
        self
    }

    /// Adds a middleware for the events of all sockets: it decides whether an event reaches its handlers.
    /// Several are asked in the order of their registration, then the
    /// [socket's own](Socket::packet_middleware).
    ///
    /// It is a function of [extractors](Self::on), not async, since no event may overtake another. When it
    /// returns an error, the event is dropped, its ack answered with `{"error": error}`, and
    /// [`on_error`](Self::on_error) hears of it. Listeners to [all events](Self::on_any) are told before.
    ///
    /// ```
    /// use sockeye_server::{EventName, Namespace, Socket};
    ///
    /// let chat = Namespace::new("/").packet_middleware(|socket: Socket, EventName(event)| {
    ///     let admin = socket.rooms().iter().any(|room| &**room == "admins");
    ///     if event.starts_with("admin:") && !admin { Err("not authorized") } else { Ok(()) }
    /// });
    /// ```
    #[doc(alias = "use")]
    pub fn packet_middleware<M: 'static>(mut self, middleware: impl Guard<Socket, M>) -> Self {
        self.handlers.routes.guard(middleware);
        self
    }

    /// Adds a listener to all events of all sockets. It is told first, before middleware and handlers, and
    /// what it returns answers nothing. [`EventName`](crate::EventName) has the event's name.
    #[doc(alias = "onAny")]
    pub fn on_any<M: 'static>(mut self, listener: impl Handler<Socket, M>) -> Self {
        self.handlers.routes.any(listener);
        self
    }

    /// Adds a listener to all events that are queued for a client; see [`Socket::on_any_outgoing`].
    #[doc(alias = "onAnyOutgoing")]
    pub fn on_any_outgoing<M: 'static>(mut self, listener: impl Handler<Socket, M>) -> Self {
        self.handlers.outgoing.push(Erased::new(listener));
        self
    }

    /// Hears of every event, by its name, with which something went wrong: what an extractor did not take, what
    /// a middleware refused, what a handler returned as an error, a panic, and that nobody handles it. The
    /// event `connect` is the [`on_connect`](Self::on_connect) handlers'.
    ///
    /// All of that is logged and [counted](crate::Metrics), too, and the client's ack is answered; after a panic,
    /// the socket is disconnected.
    #[doc(alias = "error")]
    pub fn on_error(
        mut self,
        hook: impl Fn(&Socket, &str, &Failure) + Send + Sync + 'static,
    ) -> Self {
        self.handlers.errors.push(Box::new(hook));
        self
    }

    /// Called for each socket that was connected and is no more, once its [`on_connect`](Self::on_connect)
    /// handlers are done.
    ///
    /// It takes the extractors of an [event handler](Self::on) and
    /// [`DisconnectReason`](crate::DisconnectReason). The socket has left its rooms by then: who is to know
    /// them, registers [`on_disconnecting`](Self::on_disconnecting).
    #[doc(alias = "disconnect")]
    pub fn on_disconnect<M: 'static>(mut self, handler: impl Handler<Socket, M>) -> Self {
        self.handlers.disconnect.push(Erased::new(handler));
        self
    }

    /// Called once for each socket that was connected, when it is no more, but is in its
    /// [rooms](Socket::rooms) still: who is in them can be told.
    ///
    /// ```
    /// # use sockeye_server::{Namespace, Socket};
    /// let chat = Namespace::new("/").on_disconnecting(|socket: &Socket, _reason| {
    ///     for room in socket.rooms() {
    ///         socket.to(&*room).emit("user left", socket.id()).ok();
    ///     }
    /// });
    /// ```
    ///
    /// It is called at once, by whoever ends the socket, and must not block; a panic is logged. The client
    /// hears nothing more. [`on_connect`](Self::on_connect) handlers may be running still.
    #[doc(alias = "disconnecting")]
    pub fn on_disconnecting(
        mut self,
        hook: impl Fn(&Socket, DisconnectReason) + Send + Sync + 'static,
    ) -> Self {
        self.handlers.leaving.push(Box::new(hook));
        self
    }

    /// Gives the handlers a value, which they take as [`State<T>`](crate::State). One value of a
    /// type; the last counts.
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.handlers.state.insert(TypeId::of::<T>(), Box::new(value));
        self
    }
}

/// A namespace of a running server.
pub(crate) struct Inner {
    pub(crate) path: Box<str>,
    pub(crate) handlers: Arc<Handlers>,
    pub(crate) hub: Hub<Socket>,
    /// Where clients can be recovered.
    pub(crate) journal: Option<Journal>,
    /// The next ack id: one counter for the namespace, as in Node.
    pub(crate) next_ack: AtomicU64,
    /// Events that many are to answer.
    pub(crate) gathers: Gathers,
    /// The way to the other servers. Empty: there are none.
    pub(crate) adapter: OnceLock<Option<Arc<dyn Adapter>>>,
    pub(crate) server: Arc<Core>,
    /// Of a dynamic one.
    pub(crate) parent: Option<Arc<Parent>>,
    /// The hooks for dynamic ones have been told of it.
    pub(crate) told: OnceLock<()>,
    pub(crate) captures: Captures,
}

impl Deref for Inner {
    type Target = Handlers;

    fn deref(&self) -> &Handlers {
        &self.handlers
    }
}

impl Inner {
    pub(crate) fn new(path: Box<str>, handlers: Handlers, server: Arc<Core>) -> Self {
        Self::with(path, Arc::new(handlers), None, Captures::default(), server)
    }

    pub(crate) fn child(
        path: Box<str>,
        captures: Captures,
        parent: Arc<Parent>,
        server: Arc<Core>,
    ) -> Self {
        let handlers = parent.handlers.clone();
        Self::with(path, handlers, Some(parent), captures, server)
    }

    fn with(
        path: Box<str>,
        handlers: Arc<Handlers>,
        parent: Option<Arc<Parent>>,
        captures: Captures,
        server: Arc<Core>,
    ) -> Self {
        let (hub, next_ack) = (Hub::default(), AtomicU64::new(0));
        let (gathers, adapter) = (Gathers::default(), OnceLock::new());
        let kept = server.kept.as_ref().filter(|_| !handlers.unkept);
        let journal = kept.map(|kept| Journal::new(kept, &path));
        let told = OnceLock::new();
        Self {
            path,
            handlers,
            hub,
            journal,
            next_ack,
            gathers,
            adapter,
            server,
            parent,
            told,
            captures,
        }
    }

    /// A socket has left, or was not let in.
    pub(crate) fn left(&self) {
        if let Some(parent) = &self.parent {
            parent.leave(self);
        }
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.server.counters
    }

    pub(crate) fn config(&self) -> &Config {
        &self.server.config
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace").field("path", &self.path).finish_non_exhaustive()
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace")
            .field("path", &self.path)
            .field("names", &self.names)
            .field("events", &self.handlers.routes)
            .finish_non_exhaustive()
    }
}
