//! Namespaces: what a user registers for one, and what it is while the server runs.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use sockeye_handler::{Erased, Failure, Guard, Handler, Routes};
use sockeye_hub::Hub;

use crate::config::Config;
use crate::connect::{Gate, Middleware};
use crate::metrics::Counters;
use crate::server::Core;
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
pub struct Namespace {
    pub(crate) path: Box<str>,
    pub(crate) routes: Routes<Socket>,
    pub(crate) middleware: Vec<Gate>,
    pub(crate) connect: Vec<Erased<Socket>>,
    pub(crate) disconnect: Vec<Erased<Socket>>,
    pub(crate) outgoing: Vec<Erased<Socket>>,
    pub(crate) errors: Vec<Box<ErrorHook>>,
    pub(crate) state: StateMap,
}

/// Hears what went wrong with an event.
type ErrorHook = dyn Fn(&Socket, &str, &Failure) + Send + Sync;

/// Values by their type.
pub(crate) type StateMap = HashMap<TypeId, Box<dyn Any + Send + Sync>>;

impl Namespace {
    /// A namespace without handlers. A path without a leading `/` gets one, as in Node.
    pub fn new(path: &str) -> Self {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Self {
            path: path.into(),
            routes: Routes::default(),
            middleware: Vec::new(),
            connect: Vec::new(),
            disconnect: Vec::new(),
            outgoing: Vec::new(),
            errors: Vec::new(),
            state: StateMap::new(),
        }
    }

    /// The path.
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
    /// and what was emitted reaches the client right after its `connect`.
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
        self.middleware.push(Gate::new(middleware));
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
        self.connect.push(Erased::new(handler));
        self
    }

    /// Handles the events named `event`, of all sockets.
    ///
    /// Handlers of one socket start in the order in which its events arrived. What a handler
    /// returns answers the ack; see [`Handler`].
    pub fn on<M: 'static>(mut self, event: &str, handler: impl Handler<Socket, M>) -> Self {
        self.routes.on(event, handler);
        self
    }

    /// Handles the events that no other handler is for; without one, they are dropped with a
    /// warning in the log.
    pub fn on_fallback<M: 'static>(mut self, handler: impl Handler<Socket, M>) -> Self {
        self.routes.fallback(handler);
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
        self.routes.guard(middleware);
        self
    }

    /// Adds a listener to all events of all sockets. It is told first, before middleware and handlers, and
    /// what it returns answers nothing. [`EventName`](crate::EventName) has the event's name.
    #[doc(alias = "onAny")]
    pub fn on_any<M: 'static>(mut self, listener: impl Handler<Socket, M>) -> Self {
        self.routes.any(listener);
        self
    }

    /// Adds a listener to all events that are queued for a client; see [`Socket::on_any_outgoing`].
    #[doc(alias = "onAnyOutgoing")]
    pub fn on_any_outgoing<M: 'static>(mut self, listener: impl Handler<Socket, M>) -> Self {
        self.outgoing.push(Erased::new(listener));
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
        self.errors.push(Box::new(hook));
        self
    }

    /// Called for each socket that was connected and is no more, once its [`on_connect`](Self::on_connect)
    /// handlers are done.
    ///
    /// It takes the extractors of an [event handler](Self::on) and
    /// [`DisconnectReason`](crate::DisconnectReason). The socket has left its rooms by then.
    #[doc(alias = "disconnect")]
    pub fn on_disconnect<M: 'static>(mut self, handler: impl Handler<Socket, M>) -> Self {
        self.disconnect.push(Erased::new(handler));
        self
    }

    /// Gives the handlers a value, which they take as [`State<T>`](crate::State). One value of a
    /// type; the last counts.
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.state.insert(TypeId::of::<T>(), Box::new(value));
        self
    }
}

/// A namespace of a running server.
pub(crate) struct Inner {
    pub(crate) path: Box<str>,
    pub(crate) routes: Routes<Socket>,
    pub(crate) middleware: Vec<Gate>,
    pub(crate) connect: Vec<Erased<Socket>>,
    pub(crate) disconnect: Vec<Erased<Socket>>,
    pub(crate) outgoing: Vec<Erased<Socket>>,
    pub(crate) errors: Vec<Box<ErrorHook>>,
    pub(crate) state: StateMap,
    pub(crate) hub: Hub<Socket>,
    /// The next ack id: one counter for the namespace, as in Node.
    pub(crate) next_ack: AtomicU64,
    pub(crate) server: Arc<Core>,
}

impl Inner {
    pub(crate) fn new(namespace: Namespace, server: Arc<Core>) -> Self {
        let Namespace { path, routes, middleware, connect, disconnect, outgoing, errors, state } =
            namespace;
        let (hub, next_ack) = (Hub::default(), AtomicU64::new(0));
        Self {
            path,
            routes,
            middleware,
            connect,
            disconnect,
            outgoing,
            errors,
            state,
            hub,
            next_ack,
            server,
        }
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.server.counters
    }

    pub(crate) fn config(&self) -> &Config {
        &self.server.config
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace")
            .field("path", &self.path)
            .field("events", &self.routes)
            .finish_non_exhaustive()
    }
}
