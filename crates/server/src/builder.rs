//! How a Socket.IO server is made: the options beside those that [every server](crate::Builder) has.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::bundle::Bundle;
use crate::config::Config;
use crate::namespace::{self, Namespace};
use crate::options::{Builder, Options, millis};
use crate::server::{Core, Inner, Server};

/// Makes a [`Server`].
pub type ServerBuilder = Builder<SocketIo>;

/// What a [`Builder`] of a Socket.IO server holds besides the common options.
#[derive(Debug, Default)]
pub struct SocketIo {
    config: Config,
    namespaces: Vec<Namespace>,
    bundle: Bundle,
}

impl Default for ServerBuilder {
    fn default() -> Self {
        Self { options: Options::new("/socket.io"), kind: SocketIo::default() }
    }
}

impl ServerBuilder {
    /// Adds a namespace. Of several with one path, the last counts.
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.kind.namespaces.push(namespace);
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

    /// Serves the official client's bundles from this directory (`socket.io.js` and its siblings,
    /// as in the npm package `socket.io`'s `client-dist`) instead of Sockeye's own client. They are
    /// read now.
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

    /// The server, not listening yet.
    pub fn build(self) -> Server {
        let Self { options, kind: SocketIo { mut config, namespaces, bundle } } = self;
        config.max_buffered_bytes = options.transport.max_buffered_bytes;
        let core = Arc::new(Core::new(config));
        let namespaces = namespaces
            .into_iter()
            .map(|namespace| {
                let path = namespace.path.clone();
                (path, Arc::new(namespace::Inner::new(namespace, core.clone())))
            })
            .collect();
        let site = options.build();
        Server { inner: Arc::new(Inner { site, core, namespaces, bundle }) }
    }
}
