//! The official Admin UI: what its page needs of a server.
//!
//! The page is that of the npm package `@socket.io/admin-ui`, from <https://admin.socket.io> or from a
//! directory of one's own, and it connects as any client does, to a namespace of its own:
//!
//! ```
//! use sockeye_server::admin::Admin;
//! use sockeye_server::{Namespace, Server};
//!
//! # const HASH: &str = "$2b$10$heqvAkYMez.Va6Et2uXInOnkCT6/uQj1brkrbyG3LpopDklcq7ZOS";
//! let admin = Admin::with_password("admin", HASH)?; // a bcrypt hash, as the official one takes
//! let io = Server::builder().namespace(Namespace::new("/")).admin(admin).build();
//! # Ok::<(), sockeye_server::admin::NotAHash>(())
//! ```
//!
//! A page of another origin needs [CORS](crate::Builder::cors) with credentials, as with the official server.
//!
//! It costs a connected admin something, and without one next to nothing: statistics are gathered while
//! somebody looks, and events are only told to somebody. What an admin cannot take at once of single events
//! is dropped, so that one who looks at a busy server does not slow it down.

mod auth;
mod commands;
mod describe;
mod stats;
mod watch;

use std::sync::{Arc, OnceLock, Weak};

pub use auth::NotAHash;
pub(crate) use watch::Watch;

use crate::namespace::Namespace;
use crate::server;
use crate::socket::Socket;
use auth::Auth;

/// The most sockets that an admin is told of when it connects. The official server tells all, which the page
/// does not survive.
const MAX_SOCKETS: usize = 2000;

/// What the Admin UI is served with: its credentials, and how much it sees and may do.
#[derive(Clone, Debug)]
pub struct Admin {
    namespace: String,
    auth: Auth,
    mode: Mode,
    read_only: bool,
    server_id: Option<String>,
}

/// How much an admin sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Each socket and each event.
    #[default]
    Development,
    /// Statistics alone: what it costs does not grow with the number of sockets.
    Production,
}

impl Admin {
    /// Admins have this name and the password of this bcrypt hash (`$2a$`, `$2b$`, `$2y$`), as
    /// `npx bcrypt-cli` or `htpasswd -nB` makes it.
    ///
    /// # Errors
    ///
    /// What is no bcrypt hash.
    #[doc(alias = "auth")]
    pub fn with_password(username: &str, hash: &str) -> Result<Self, NotAHash> {
        Ok(Self::new(Auth::basic(username, hash)?))
    }

    /// Whoever reaches the server is an admin: for a server that only its developer reaches.
    pub fn without_password() -> Self {
        Self::new(Auth::none())
    }

    fn new(auth: Auth) -> Self {
        Self {
            namespace: "/admin".to_owned(),
            auth,
            mode: Mode::default(),
            read_only: false,
            server_id: None,
        }
    }

    /// The namespace that the page connects to. Default: `/admin`.
    #[doc(alias = "namespaceName")]
    pub fn namespace(mut self, path: &str) -> Self {
        self.namespace = path.to_owned();
        self
    }

    /// How much admins see. Default: [`Mode::Development`].
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Whether admins only look on: they can neither emit nor move or disconnect sockets. Default: no.
    #[doc(alias = "readonly")]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// What the page calls this server. Default: the host's name.
    #[doc(alias = "serverId")]
    pub fn server_id(mut self, id: &str) -> Self {
        self.server_id = Some(id.to_owned());
        self
    }

    /// The features that the page offers.
    fn features(&self) -> Vec<&'static str> {
        let mut features = Vec::new();
        if !self.read_only {
            features.extend([
                "EMIT",
                "JOIN",
                "LEAVE",
                "DISCONNECT",
                "MJOIN",
                "MLEAVE",
                "MDISCONNECT",
            ]);
        }
        features.push("AGGREGATED_EVENTS");
        if self.mode == Mode::Development {
            features.push("ALL_EVENTS");
        }
        features
    }

    /// The namespace, and who watches the others for it.
    pub(crate) fn build(self) -> (Namespace, Arc<Watch>) {
        let features = self.features();
        let mut namespace = Namespace::new(&self.namespace);
        let watch = Arc::new(Watch::new(namespace.path(), self.mode, self.server_id));
        let (watching, server) = (watch.clone(), watch.server.clone());
        let auth = self.auth;
        // What admins are told is old by the time that they are back, and would drive others' events out.
        namespace.handlers.unkept = true;
        namespace = namespace
            .middleware(move |socket: Socket| {
                let auth = auth.clone();
                async move { auth.admit(&socket).await }
            })
            .on_connect(move |socket: Socket| watching.enter(&socket, &features));
        let watching = watch.clone();
        namespace = namespace.on_disconnect(move || watching.leave());
        if !self.read_only {
            namespace = commands::register(namespace, &server);
        }
        (namespace, watch)
    }
}

/// The server, which exists later than its namespaces do, and must not be kept alive by them.
pub(crate) type LateServer = Arc<OnceLock<Weak<server::Inner>>>;
