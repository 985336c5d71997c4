//! The server: namespaces, the engine below them, and the end of it all.

#[cfg(any(feature = "admin", feature = "prometheus"))]
use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hashbrown::HashMap;
use serde::Serialize;
use sockeye_handler::Running;
use sockeye_hub::adapter::Factory;
use sockeye_net::wheel::sleep;

use crate::builder::ServerBuilder;
use crate::bundle::Bundle;
use crate::children::Children;
use crate::cluster::{REQUEST_TIMEOUT, too_late};
use crate::config::Config;
use crate::connect::Refusal;
use crate::emit::EmitError;
use crate::metrics::{Counters, Metrics};
use crate::namespace::{self, Handlers};
use crate::observe::Observer;
use crate::operators::{Broadcast, Rooms};
use crate::parent::ParentBroadcast;
use crate::recovery::Kept;
use crate::site::Site;
use crate::tasks::Tasks;

/// A Socket.IO server. A clone is another handle of the same server.
///
/// ```no_run
/// use sockeye_server::{Data, Namespace, Server, Socket};
///
/// # async fn run() -> std::io::Result<()> {
/// let chat = Namespace::new("/").on("chat message", |socket: Socket, Data(text): Data<String>| {
///     socket.broadcast().emit("chat message", text).ok();
/// });
/// let io = Server::builder().namespace(chat).build();
/// io.listen("127.0.0.1:3000").await
/// # }
/// ```
///
/// What it does to many, [`emit`](Self::emit) and [`to`](Self::to) for two, is about the namespace `/`. In a server
/// that was built without it nobody can be in there: it is done to nobody, and is no error.
#[derive(Clone)]
pub struct Server {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) site: Site,
    pub(crate) core: Arc<Core>,
    pub(crate) namespaces: HashMap<Box<str>, Arc<namespace::Inner>>,
    /// Namespaces that come and go with their sockets.
    pub(crate) children: Arc<Children>,
    pub(crate) bundle: Bundle,
    /// Where plain connections are taken.
    pub(crate) plain: Vec<PlainRoute>,
    /// What stands for `/` where it is not there.
    pub(crate) nobody: OnceLock<Arc<namespace::Inner>>,
}

/// A path for plain connections, and the namespace that they are in.
#[derive(Clone, Debug)]
pub(crate) struct PlainRoute {
    pub(crate) path: Box<str>,
    pub(crate) namespace: Arc<str>,
}

/// What namespaces and sockets need of their server.
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) counters: Counters,
    pub(crate) adapter: Option<AdapterFactory>,
    observer: Option<Arc<dyn Observer>>,
    /// What clients missed.
    pub(crate) kept: Option<Kept>,
    tasks: Tasks,
}

/// Makes the adapters of a server's namespaces.
pub(crate) struct AdapterFactory(pub(crate) Box<dyn Factory>);

impl fmt::Debug for AdapterFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdapterFactory")
    }
}

impl Core {
    pub(crate) fn new(
        config: Config,
        adapter: Option<AdapterFactory>,
        observer: Option<Arc<dyn Observer>>,
        kept: Option<Kept>,
    ) -> Self {
        let (counters, tasks) = (Counters::default(), Tasks::default());
        Self { config, counters, adapter, observer, kept, tasks }
    }

    /// Who wants to know what happens, if there is somebody at the moment.
    pub(crate) fn observer(&self) -> Option<&dyn Observer> {
        self.observer.as_deref().filter(|observer| observer.is_watching())
    }

    /// Runs a handler to its end, or to the end of the server's grace.
    pub(crate) fn spawn(&self, running: Running) {
        self.tasks.spawn(running);
    }

    /// Closes the adapter of a namespace that is going, in a task of its own.
    pub(crate) fn close_adapter(&self, namespace: &namespace::Inner) {
        if let Some(adapter) = namespace.adapter().cloned() {
            self.tasks.spawn_end(async move { adapter.close().await });
        }
    }

    /// A session begins.
    pub(crate) fn begin(&self) {
        self.tasks.begin();
    }
}

impl Inner {
    /// The namespaces that were built, and the dynamic ones that are there now.
    pub(crate) fn all_namespaces(&self) -> impl Iterator<Item = Arc<namespace::Inner>> {
        self.namespaces.values().cloned().chain(self.children.list(None))
    }

    /// One that is there; a path without a leading `/` gets one, as in Node.
    fn namespace(&self, path: &str) -> Option<Arc<namespace::Inner>> {
        if !path.starts_with('/') {
            return self.namespace(&format!("/{path}"));
        }
        self.namespaces.get(path).cloned().or_else(|| self.children.find(path))
    }

    /// A namespace that no client finds, and whose events are not kept.
    fn nobody(&self) -> &Arc<namespace::Inner> {
        self.nobody.get_or_init(|| {
            let handlers = Handlers { unkept: true, ..Handlers::default() };
            Arc::new(namespace::Inner::new("/".into(), handlers, self.core.clone()))
        })
    }

    /// A namespace that is there, with a place for a socket, which
    /// [`left`](namespace::Inner::left) gives back.
    pub(crate) fn enter(&self, path: &str) -> Option<Result<Arc<namespace::Inner>, Refusal>> {
        self.namespaces.get(path).cloned().map(Ok).or_else(|| self.children.enter(path))
    }
}

impl Server {
    /// A builder with the defaults of the official server.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// Sends an event to every socket of the namespace `/`, or of the [other one](Self::of).
    ///
    /// # Errors
    ///
    /// As [`Broadcast::emit`].
    pub fn emit(&self, event: &str, data: impl Serialize) -> Result<(), EmitError> {
        self.everyone().emit(event, data)
    }

    /// Emits the event `message` to every socket of the namespace `/`, as Node's `io.send` does.
    ///
    /// # Errors
    ///
    /// As [`Broadcast::emit`].
    #[doc(alias = "write")]
    pub fn send(&self, data: impl Serialize) -> Result<(), EmitError> {
        self.emit("message", data)
    }

    /// The sockets of a namespace, if there is such a namespace. A [dynamic](crate::Namespace::matching) one is
    /// there while a client is, or may come back; when it has gone and come again, what this returned before reaches nobody
    /// in the new one.
    pub fn of(&self, path: &str) -> Option<Broadcast> {
        self.inner.namespace(path).map(Broadcast::new)
    }

    /// As [`of`](Self::of), but a [dynamic](crate::Namespace::matching) namespace that is not there comes to be by
    /// it, if its name alone decides: by a pattern or a regular expression, as in Node. It stays until somebody
    /// has been in it and the last one leaves. On other servers of a cluster it is there when they have it.
    ///
    /// `None` if no namespace has such a name, or if there are
    /// [too many](crate::ServerBuilder::max_dynamic_namespaces), which is logged.
    #[doc(alias = "of")]
    pub fn open(&self, path: &str) -> Option<Broadcast> {
        let path = format!("/{}", path.strip_prefix('/').unwrap_or(path));
        self.of(&path).or_else(|| self.inner.children.open(&path)?.ok().map(Broadcast::new))
    }

    /// The sockets of all namespaces that one dynamic [`Namespace`](crate::Namespace) describes, by its
    /// [path](crate::Namespace::path): a pattern, a regular expression, a title. `None` if the server was
    /// built without it.
    pub fn parent(&self, path: &str) -> Option<ParentBroadcast> {
        let children = &self.inner.children;
        let parent = children.parents.iter().find(|parent| *parent.name == *path)?;
        Some(ParentBroadcast::new(children.clone(), parent.clone()))
    }

    /// The names of all namespaces that are there now, in no order.
    #[doc(alias = "_nsps")]
    pub fn namespaces(&self) -> Vec<String> {
        self.inner.all_namespaces().map(|namespace| namespace.path.to_string()).collect()
    }

    /// How many sockets are in a namespace, those that are being let in included; 0 if it is not there.
    #[doc(alias = "sockets.size")]
    pub fn sockets(&self, namespace: &str) -> usize {
        self.inner.namespace(namespace).map_or(0, |namespace| namespace.hub.len())
    }

    /// The sockets in these rooms of the namespace `/`.
    #[doc(alias = "in")]
    pub fn to(&self, rooms: impl Rooms) -> Broadcast {
        self.everyone().to(rooms)
    }

    /// The sockets of the namespace `/`, but for those in these rooms.
    pub fn except(&self, rooms: impl Rooms) -> Broadcast {
        self.everyone().except(rooms)
    }

    /// Everyone in the namespace `/`, with [`Broadcast::timeout`].
    pub fn timeout(&self, timeout: Duration) -> Broadcast {
        self.everyone().timeout(timeout)
    }

    /// Everyone in the namespace `/`, with [`Broadcast::volatile`].
    pub fn volatile(&self) -> Broadcast {
        self.everyone().volatile()
    }

    /// Everyone in the namespace `/`, with [`Broadcast::compress`].
    pub fn compress(&self, compress: bool) -> Broadcast {
        self.everyone().compress(compress)
    }

    /// Everyone of this server in the namespace `/`, with [`Broadcast::local`].
    pub fn local(&self) -> Broadcast {
        self.everyone().local()
    }

    /// Everyone in the namespace `/`: what [`of("/")`](Self::of) has.
    #[doc(alias = "sockets")]
    pub fn everyone(&self) -> Broadcast {
        self.of("/").unwrap_or_else(|| Broadcast::new(self.inner.nobody().clone()))
    }

    /// How many servers the cluster of the namespace `/` has, this one included. 1 without an
    /// [adapter](crate::ServerBuilder::adapter), or if that has not answered within 5 s.
    #[doc(alias = "serverCount")]
    pub async fn servers(&self) -> usize {
        let root = self.inner.namespace("/");
        let adapter = root.as_ref().and_then(|namespace| namespace.adapter());
        match adapter {
            Some(adapter) => tokio::select! {
                biased;
                servers = adapter.server_count() => servers,
                () = sleep(REQUEST_TIMEOUT) => {
                    too_late();
                    1
                }
            },
            None => 1,
        }
    }

    /// How many clients are connected, whatever namespaces they are in. Those that were [adopted](Self::adopt)
    /// are their engine's.
    #[doc(alias = "clientsCount")]
    pub fn clients(&self) -> usize {
        self.inner.site.engine.len()
    }

    /// What has happened since the server was built, in counts.
    pub fn metrics(&self) -> Metrics {
        Metrics::read(&self.inner)
    }

    /// How many sockets each namespace has, and all children of a dynamic one together.
    #[cfg(any(feature = "admin", feature = "prometheus"))]
    pub(crate) fn sockets_by_namespace(&self) -> impl Iterator<Item = (Cow<'_, str>, usize)> {
        let fixed = self.inner.namespaces.iter();
        let fixed = fixed.map(|(path, namespace)| (Cow::from(&**path), namespace.hub.len()));
        let children = &self.inner.children;
        fixed.chain(children.parents.iter().map(|parent| {
            let sockets = children.list(Some(parent)).iter().map(|child| child.hub.len()).sum();
            (Cow::from(&*parent.name), sockets)
        }))
    }

    /// Closes the server: it accepts no more clients, those that it has get what is queued for them
    /// and are disconnected (`server shutting down`; they hear `transport close` and will try to
    /// reconnect), and what is still going on after the [grace](crate::Builder::grace) is cut off:
    /// handlers are aborted, clients that do not answer are left alone. Then the namespaces'
    /// [adapters](crate::ServerBuilder::adapter) are closed, which are awaited for a grace of their own.
    ///
    /// A client that polls fetches the rest by another poll, so [`listen`](Self::listen) goes on until the
    /// last client is gone: do not drop it before this is ready.
    ///
    /// Ready when all that is done. Dropping the future does not stop the closing, only the wait,
    /// and with it the abortion of what outlives the grace.
    pub async fn close(&self) {
        tracing::debug!(target: "socket.io:server", clients = self.clients(), "closes");
        self.inner.core.tasks.close(&self.inner.site).await;
        let core = &self.inner.core;
        self.inner.all_namespaces().for_each(|namespace| core.close_adapter(&namespace));
        core.tasks.ended(self.inner.site.grace).await;
    }

    /// Closes the server gently, as before a deploy: from this call on it opens no sessions (503 with
    /// `Retry-After`), and the clients that it has are disconnected over the `window`, a few at a time in no
    /// order, as [`close`](Self::close) does it; who is still there at its end is, too. So they do not all
    /// reconnect, to whoever takes over, in the same second.
    ///
    /// Requests are answered to the end, those beside Socket.IO included: a readiness probe can ask
    /// [`is_accepting`](Self::is_accepting), and goes on getting answers.
    ///
    /// Ready when all is done, which may take the [grace](crate::Builder::grace) longer than the window.
    /// Dropping the future ends the draining: clients that it had not come to stay, new ones are still
    /// refused, and `close` does the rest.
    pub fn drain(&self, window: Duration) -> impl Future<Output = ()> + Send + '_ {
        self.inner.site.engine.drain();
        tracing::debug!(target: "socket.io:server", clients = self.clients(), ?window, "drains");
        async move {
            self.inner.site.drain(window).await;
            self.close().await;
        }
    }

    /// Whether new clients are let in: not once the server [drains](Self::drain) or
    /// [closes](Self::close).
    pub fn is_accepting(&self) -> bool {
        self.inner.site.engine.is_accepting()
    }

    /// The path under which this server is found, without a trailing slash.
    pub fn path(&self) -> &str {
        &self.inner.site.path
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("namespaces", &self.inner.namespaces.keys().collect::<Vec<_>>())
            .field("dynamic namespaces", &self.inner.children.len())
            .field("clients", &self.clients())
            .finish_non_exhaustive()
    }
}
