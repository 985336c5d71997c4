//! How a Socket.IO server is made: the options beside those that [every server](crate::Builder) has.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hashbrown::HashMap;
use sockeye_hub::adapter::Factory;
use sockeye_socketio::{Parser, Value};

#[cfg(feature = "admin")]
use crate::admin::Admin;
use crate::bundle::Bundle;
use crate::children::{Children, NamespaceHook};
use crate::config::Config;
use crate::namespace::{self, Namespace};
use crate::observe::Observer;
use crate::options::{Builder, Options, millis};
use crate::recovery::{Kept, Recovery};
use crate::server::{AdapterFactory, Core, Inner, PlainRoute, Server};

/// Makes a [`Server`].
pub type ServerBuilder = Builder<SocketIo>;

/// What a [`Builder`] of a Socket.IO server holds besides the common options.
#[derive(Debug, Default)]
pub struct SocketIo {
    config: Config,
    namespaces: Vec<Namespace>,
    hooks: NamespaceHooks,
    bundle: Bundle,
    plain: Vec<PlainRoute>,
    adapter: Option<AdapterFactory>,
    recovery: Option<Recovery>,
    #[cfg(feature = "admin")]
    admin: Option<Admin>,
}

#[derive(Default)]
struct NamespaceHooks(Vec<Box<NamespaceHook>>);

impl fmt::Debug for NamespaceHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.len().fmt(f)
    }
}

impl Default for ServerBuilder {
    fn default() -> Self {
        Self { options: Options::new("/socket.io"), kind: SocketIo::default() }
    }
}

impl ServerBuilder {
    /// Adds a namespace. Of several with one path, the last counts; [dynamic](Namespace::matching) ones are
    /// tried in order.
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.kind.namespaces.push(namespace);
        self
    }

    /// Joins the server with others to a cluster: what is said to rooms and namespaces reaches the
    /// sockets of all of them. `factory` makes an [adapter](crate::adapter::Adapter) for each
    /// namespace. Default: the server is alone.
    pub fn adapter(mut self, factory: impl Factory) -> Self {
        self.kind.adapter = Some(AdapterFactory(Box::new(factory)));
        self
    }

    /// Takes plain connections at a path: WebSockets without Engine.IO and Socket.IO, for programs that have
    /// only a WebSocket library. Each is a socket of the one `namespace`, beside those of Socket.IO clients:
    /// the same handlers, rooms, acks, limits and hooks. Default: none anywhere.
    ///
    /// What is said over them is JSON:
    ///
    /// | message | from | is |
    /// |---|---|---|
    /// | `{"connected":{"id":"…"}}` | the server | the client is let in |
    /// | `{"event":"chat message","args":["hi"]}` | both | an event |
    /// | `{"event":"chat message","args":["hi"],"id":7}` | both | an event that wants an answer |
    /// | `{"ack":7,"args":["posted"]}` | both | the answer |
    /// | `{"error":{"message":"…"}}` | the server | what is wrong; then it closes |
    ///
    /// Binary within `args` is `{"$binary":"<base64>"}`, and a key like that which is meant as it stands has
    /// one `$` more. The server closes with 1000 and the reason when it disconnects the socket, with 1001 when
    /// it shuts down or a ping is not answered, with 1003 for a binary message, 1007 for a message that is
    /// none of these, 1008 for a client that is refused or passed a limit, and 1009 for a message that is too
    /// large. The client ends by closing. `sockeye_socketio::plain` has all of it.
    ///
    /// The `auth` of the client is the parameter `auth` of the query, a JSON object: as in
    /// `ws://host/plain?auth=%7B%22token%22%3A%22x%22%7D`. Proxies write queries into their logs: a secret is
    /// better off in a header, which [`handshake`](crate::Socket::handshake) has. The heartbeat of
    /// [`ping_interval`](Self::ping_interval) and [`ping_timeout`](Self::ping_timeout) goes by WebSocket pings,
    /// and everything that is heard of the client counts as an answer.
    ///
    /// The path is matched as a whole, be it within the server's own [`path`](Self::path); of several
    /// namespaces for one path, the last counts. A namespace that was not built refuses each client.
    ///
    /// ```
    /// use sockeye_server::{Namespace, Server};
    ///
    /// let io = Server::builder().namespace(Namespace::new("/chat")).plain("/plain", "/chat").build();
    /// ```
    pub fn plain(mut self, path: &str, namespace: &str) -> Self {
        let slash = |path: &str| format!("/{}", path.strip_prefix('/').unwrap_or(path));
        let route = PlainRoute { path: slash(path).into(), namespace: slash(namespace).into() };
        self.kind.plain.retain(|other| other.path != route.path);
        self.kind.plain.push(route);
        self
    }

    /// Whether a [dynamic namespace](Namespace::matching) is gone when its last socket has left. Default: yes;
    /// in Node, no. Who keeps them should know that clients make up the names.
    ///
    /// One to which clients may [come back](Self::connection_state_recovery) stays until they cannot any more.
    #[doc(alias = "cleanupEmptyChildNamespaces")]
    pub fn cleanup_empty_namespaces(mut self, cleanup: bool) -> Self {
        self.kind.config.cleanup_empty_namespaces = cleanup;
        self
    }

    /// The most [dynamic namespaces](Namespace::matching) there may be at a time, those to which clients may come
    /// back included; clients that ask for
    /// another one are refused with `too many namespaces`. Default: 100 000; Node has no limit.
    pub fn max_dynamic_namespaces(mut self, namespaces: usize) -> Self {
        self.kind.config.max_dynamic_namespaces = namespaces;
        self
    }

    /// Calls `hook` with the name of each namespace that comes to be, but for `/`: of those that are built in
    /// [`build`](Self::build), and of a [dynamic](Namespace::matching) one before its first socket is let in.
    #[doc(alias = "new_namespace")]
    pub fn on_namespace(mut self, hook: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.kind.hooks.0.push(Box::new(hook));
        self
    }

    /// The parser of all clients, instead of the default one. Clients must be made with the same.
    ///
    /// ```
    /// use sockeye_server::{MsgpackParser, Server};
    ///
    /// let io = Server::builder().parser(MsgpackParser).build();
    /// ```
    ///
    /// [`Parser`](crate::Parser) says how to write one's own.
    pub fn parser(mut self, parser: impl Parser + 'static) -> Self {
        self.kind.config.parsers.get_or_insert_default().set_main(parser);
        self
    }

    /// A further parser, for those clients whose first message it
    /// [recognizes](crate::Parser::recognizes); the others have the default one, or that of
    /// [`parser`](Self::parser). All share namespaces and rooms. Of several parsers that recognize a
    /// client, the first added counts.
    ///
    /// ```
    /// use sockeye_server::{JsonParser, MsgpackParser, Server};
    ///
    /// // Clients may speak any of the three.
    /// let io = Server::builder().also_parser(MsgpackParser).also_parser(JsonParser).build();
    /// ```
    ///
    /// # Panics
    ///
    /// At the eighth.
    pub fn also_parser(mut self, parser: impl Parser + 'static) -> Self {
        self.kind.config.parsers.get_or_insert_default().add(parser);
        self
    }

    /// What the default parser writes in the place of each value that clients are sent: the second argument of
    /// JavaScript's `JSON.stringify`, and as there called with `""` for the data of a packet, then for what is in
    /// the value that it has made. `None` is `undefined`: an object's entry is left out, and in an array there
    /// is `null`. Default: every value as it is.
    ///
    /// It sees the arguments of events and acks, the event's name as the first, the `sid` of a CONNECT, and refusals;
    /// an integer beyond 64 bits as the nearest `f64`, and binary as `{"_placeholder":true,"num":0}`. That is not for
    /// it to make: of a [`Value::Binary`] comes a list of numbers. With
    /// [recovery](Self::connection_state_recovery) an event's last argument is a string like `0000.1`, which tells the
    /// client where it is: without it, it cannot come back.
    ///
    /// An event to many is replaced once, when the first of them is written to, and for nobody of another parser, a
    /// [plain](Self::plain) connection, or another server. Handlers, adapters and the log of recovery have the values
    /// as they were. It is called in the midst of the server's work, while others may wait: it must be quick, and
    /// should send nothing.
    ///
    /// A packet at which it panics, whose values nest deeper than 127 levels, or of which it makes what clients would
    /// not take (an event that is no array, or has a reserved name), is not sent, and logged.
    ///
    /// ```
    /// use sockeye_server::{Server, Value};
    ///
    /// /// To JavaScript, whole numbers from here on are others.
    /// const SAFE: u64 = 1 << 53;
    ///
    /// let io = Server::builder()
    ///     .replacer(|_key, value| match value.as_u64() {
    ///         Some(number) if number >= SAFE => Some(format!("{number}n").into()),
    ///         _ => Some(value),
    ///     })
    ///     .reviver(|_key, value| {
    ///         let digits = value.as_str().and_then(|text| text.strip_suffix('n'));
    ///         let number = digits.and_then(|digits| digits.parse::<u64>().ok());
    ///         Some(number.map_or(value, Value::from))
    ///     });
    /// ```
    #[doc(alias = "Encoder")]
    pub fn replacer(
        mut self,
        replacer: impl Fn(&str, Value) -> Option<Value> + Send + Sync + 'static,
    ) -> Self {
        self.kind.config.parsers.get_or_insert_default().set_replacer(Box::new(replacer));
        self
    }

    /// What the default parser reads in the place of each value that clients send: the second argument of
    /// JavaScript's `JSON.parse`, and as there called for what is in a value, then for that, and with `""` for the
    /// data of the packet. `None` is `undefined`: an object's entry is left out, and in an array there is
    /// `null`. Default: every value as it is.
    ///
    /// It sees what [`replacer`](Self::replacer) sees, and what clients send along with their CONNECT: for recovery
    /// the `pid` and the `offset`. What it makes is judged as if the client had sent it, and a client at whose packet
    /// it panics is disconnected, as if that could not be read. With a reviver, so it is for values that nest deeper
    /// than 127 levels, and for numbers beyond every `f64`.
    #[doc(alias = "Decoder")]
    pub fn reviver(
        mut self,
        reviver: impl Fn(&str, Value) -> Option<Value> + Send + Sync + 'static,
    ) -> Self {
        self.kind.config.parsers.get_or_insert_default().set_reviver(Arc::new(reviver));
        self
    }

    /// How long a client may stay without joining a namespace. Default: 45 s.
    #[doc(alias = "connectTimeout")]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.kind.config.socketio.connect_timeout = millis(timeout);
        self
    }

    /// The most attachments of one packet from a client. Default: 10, as in Node.
    #[doc(alias = "maxAttachments")]
    pub fn max_attachments(mut self, attachments: u32) -> Self {
        self.kind.config.socketio.max_attachments = attachments;
        self
    }

    /// The most bytes of all attachments of one packet from a client. Default: 10 000 000, which is
    /// what Node's defaults come to.
    pub fn max_attachment_bytes(mut self, bytes: usize) -> Self {
        self.kind.config.socketio.max_attachment_bytes = bytes;
        self
    }

    /// How long the attachments of a packet may take. Default: 60 s; Node waits for ever.
    pub fn attachment_timeout(mut self, timeout: Duration) -> Self {
        self.kind.config.socketio.attachment_timeout = millis(timeout);
        self
    }

    /// The most namespaces that one client may be in, or be joining. Default: 64; Node has no limit.
    pub fn max_namespaces(mut self, namespaces: usize) -> Self {
        self.kind.config.socketio.max_namespaces = namespaces;
        self
    }

    /// The most bytes of `auth` of one client, of all namespaces that it is in or is joining: they are kept
    /// as long as its sockets are. With more it is refused, with `too many bytes of auth`. Default:
    /// 1 000 000; Node has no limit.
    pub fn max_auth_bytes(mut self, bytes: usize) -> Self {
        self.kind.config.max_auth_bytes = bytes;
        self
    }

    /// The most handlers of one client that may be waiting for something at a time; further events
    /// queue. Default: 32; Node has no limit.
    pub fn max_running_handlers(mut self, handlers: u32) -> Self {
        self.kind.config.handlers.max_running = handlers.max(1);
        self
    }

    /// The most bytes of one client's events that may queue for its handlers; then nothing more is
    /// read from it until some are done. One event may always wait, be it as large as it may. Default:
    /// 1 MiB.
    pub fn max_waiting_bytes(mut self, bytes: usize) -> Self {
        self.kind.config.handlers.max_waiting_bytes = bytes;
        self
    }

    /// How long a client's answer is awaited, unless told otherwise. Default: 20 s; Node waits for
    /// ever.
    #[doc(alias = "ackTimeout")]
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.kind.config.ack_timeout = timeout;
        self
    }

    /// The most answers that one socket may owe at a time; further events with an ack are refused.
    /// Default: 4096; Node has no limit.
    pub fn max_pending_acks(mut self, acks: usize) -> Self {
        self.kind.config.max_pending_acks = acks;
        self
    }

    /// Whether it is measured how long the handlers of events take, for
    /// [`Metrics::handler_times`](crate::Metrics::handler_times): that costs two looks at the clock for each
    /// of them. Default: no.
    pub fn measure_handlers(mut self, measure: bool) -> Self {
        self.kind.config.measure_handlers = measure;
        self
    }

    /// Serves the official client's bundles from this directory (`socket.io.js` and its siblings,
    /// as in the npm package `socket.io`'s `client-dist`) instead of Sockeye's own client. They are
    /// read now.
    ///
    /// Either is compressed when somebody first accepts it so: by gzip or deflate, and with the feature
    /// `brotli` by that too. Of those that a browser likes alike it gets the smallest, which is brotli's;
    /// Node takes the one that it names first, which is none of the browsers' brotli.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read, or holds no `socket.io.js`.
    #[doc(alias = "serveClient")]
    pub fn serve_client(mut self, dir: impl AsRef<Path>) -> io::Result<Self> {
        self.kind.bundle = Bundle::from_dir(dir.as_ref())?;
        Ok(self)
    }

    /// Serves no client at all.
    #[doc(alias = "serveClient")]
    pub fn without_client(mut self) -> Self {
        self.kind.bundle = Bundle::none();
        self
    }

    /// Serves the official [Admin UI](crate::admin): its page connects to a namespace of its own. Default: no.
    #[cfg(feature = "admin")]
    #[doc(alias = "instrument")]
    pub fn admin(mut self, admin: Admin) -> Self {
        self.kind.admin = Some(admin);
        self
    }

    /// Lets clients that lost their connection for a while come back as what they were: with the same
    /// socket id, rooms and [data](crate::Socket::data), and with the events that they missed. Default: they
    /// come back as new ones.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use sockeye_server::{Recovery, Server};
    ///
    /// let recovery = Recovery::memory().max_disconnection(Duration::from_secs(600));
    /// let io = Server::builder().connection_state_recovery(recovery).build();
    /// ```
    ///
    /// The official clients need no change. A socket is recovered if its client did not leave and was not
    /// put out, comes back in [time](Recovery::max_disconnection), and can be told *every* event that it
    /// missed; else it gets a new one. [`Socket::recovered`](crate::Socket::recovered) and, in JavaScript,
    /// `socket.recovered` tell which.
    ///
    /// * What is kept: events to the socket itself, to its rooms and to everyone, as the rooms were when they
    ///   were emitted. Not volatile events, nor those that want an answer.
    /// * [`Socket::emit`](crate::Socket::emit) to a client that is away succeeds, for it will be heard.
    /// * Every event, but for those that want an answer, has one more argument: a short string, the offset.
    ///   Handlers in JavaScript may take or ignore it.
    /// * Extensions, handlers of the socket's own and what waited for an answer are not restored.
    /// * Plain connections are not recovered, and get no offset. Nor are sockets in rooms with names of more than
    ///   65 000 bytes.
    /// * The disconnect handlers of a socket that is put out for the one that took its place may run behind
    ///   that one's connect handlers, with the same id.
    /// * [Admins](crate::admin) are not recovered.
    ///
    /// Node's holes are closed: a client is recovered before its first event, and however long ago its
    /// last one was; a socket that is still thought to be open is put out when its client comes back on
    /// another connection; what is kept has a limit.
    #[doc(alias = "connectionStateRecovery")]
    pub fn connection_state_recovery(mut self, recovery: Recovery) -> Self {
        self.kind.recovery = Some(recovery);
        self
    }

    /// The server, not listening yet.
    pub fn build(self) -> Server {
        let Self { options, mut kind } = self;
        let observer = kind.watch();
        let SocketIo { mut config, namespaces, hooks, bundle, plain, adapter, recovery, .. } = kind;
        config.max_buffered_bytes = options.transport.max_buffered_bytes;
        let engine = &options.transport.engine;
        let kept = recovery.map(|it| it.start(engine, options.transport.max_stall));
        let core = Arc::new(Core::new(config, adapter, observer.clone(), kept));
        let (mut fixed, mut dynamic) = (HashMap::new(), Vec::new());
        for Namespace { path, names, handlers } in namespaces {
            if let Some(names) = names {
                dynamic.push((path, names, handlers));
            } else {
                let inner = namespace::Inner::new(path.clone(), handlers, core.clone());
                fixed.insert(path, Arc::new(inner));
            }
        }
        fixed.values().for_each(namespace::Inner::enroll);
        let mut named: Vec<_> = fixed.keys().filter(|path| ***path != *"/").collect();
        named.sort_unstable();
        named.iter().for_each(|path| hooks.0.iter().for_each(|hook| hook(path)));
        let children = Children::new(dynamic, hooks.0, core.clone());
        if let Some(kept) = &core.kept {
            let awaited = kept.log.awaited().into_iter();
            children.revive(awaited.filter(|path| !fixed.contains_key(&**path)));
            Kept::tidy(Arc::downgrade(&kept.log), Arc::downgrade(&children));
        }
        let site = options.build();
        let nobody = OnceLock::new();
        let inner = Inner { site, core, namespaces: fixed, children, bundle, plain, nobody };
        let server = Server { inner: Arc::new(inner) };
        if let Some(observer) = observer {
            observer.begin(&server);
        }
        server
    }
}

impl SocketIo {
    /// Adds the admins' namespace, if there is to be one, and says who watches the others for it.
    fn watch(&mut self) -> Option<Arc<dyn Observer>> {
        #[cfg(feature = "admin")]
        if let Some(admin) = self.admin.take() {
            let (namespace, watch) = admin.build();
            self.namespaces.push(namespace);
            return Some(watch);
        }
        None
    }
}
