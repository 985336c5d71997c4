//! What the modules share: a server on a free port, in either face, and journals of what happened in
//! its handlers.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use sockeye_server::{DisconnectReason, Namespace, Server, ServerBuilder, Socket};
use sockeye_testkit::deadline::DEADLINE;
use sockeye_testkit::peer::{Message, Peer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};

pub(crate) use sockeye_testkit::deadline::{until, within};

/// The headers of an upgrade, all of them right.
pub(crate) const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

/// How a server gets its connections.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Face {
    /// `Server::serve_listener`.
    Own,
    /// `Server::router` in `axum::serve`.
    Axum,
}

/// Both of them.
pub(crate) const FACES: [Face; 2] = [Face::Own, Face::Axum];

/// A server that is listening.
pub(crate) struct Running {
    pub(crate) io: Server,
    pub(crate) address: SocketAddr,
}

impl Deref for Running {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.io
    }
}

impl Face {
    pub(crate) async fn serve(self, builder: ServerBuilder) -> Running {
        let io = builder.build();
        // The socket listens from here on: nobody has to wait for the task.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        match self {
            Self::Own => {
                let io = io.clone();
                tokio::spawn(async move { io.serve_listener(listener).await });
            }
            Self::Axum => {
                let service = axum::Router::new()
                    .merge(io.router())
                    .into_make_service_with_connect_info::<SocketAddr>();
                tokio::spawn(async move { axum::serve(listener, service).await });
            }
        }
        Running { io, address }
    }
}

/// A server that owns its connections.
pub(crate) async fn serve(builder: ServerBuilder) -> Running {
    Face::Own.serve(builder).await
}

/// A server with one namespace and the defaults for all else.
pub(crate) async fn serve_namespace(namespace: Namespace) -> Running {
    serve(Server::builder().namespace(namespace)).await
}

/// `/`, with the event of [`sync`].
pub(crate) fn root() -> Namespace {
    Namespace::new("/").on("sync", || ())
}

/// Whatever the server has done for this peer so far has arrived: the answer to this event must be
/// what comes next. The namespace is [`root`].
#[track_caller]
pub(crate) fn sync(peer: &mut Peer) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        peer.send_text("42999[\"sync\"]").await;
        let next = peer.recv().await;
        assert_eq!(next, Message::Text("43999[]".to_owned()), "{caller}: something else came");
    }
}

/// Lets nobody through before a permit is added.
pub(crate) fn gate() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(0))
}

pub(crate) async fn pass(gate: Arc<Semaphore>) {
    gate.acquire().await.unwrap().forget();
}

/// The connection must end here, be it by a reset because not all that was sent had been read.
#[track_caller]
pub(crate) fn expect_end(peer: &mut Peer) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let end = peer.recv().await;
        assert!(matches!(end, Message::Eof | Message::Reset), "{caller}: {end:?} came");
    }
}

/// Writes to a [`Journal`].
#[derive(Debug)]
pub(crate) struct Note<T>(mpsc::UnboundedSender<T>);

impl<T> Clone for Note<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Note<T> {
    pub(crate) fn write(&self, entry: T) {
        // A test that has seen enough reads no more.
        let _ = self.0.send(entry);
    }
}

/// What handlers noted, in order.
pub(crate) struct Journal<T>(mpsc::UnboundedReceiver<T>);

pub(crate) fn journal<T>() -> (Note<T>, Journal<T>) {
    let (note, journal) = mpsc::unbounded_channel();
    (Note(note), Journal(journal))
}

impl<T: Debug + PartialEq> Journal<T> {
    /// The next entry, awaited.
    #[track_caller]
    pub(crate) fn next(&mut self) -> impl Future<Output = T> {
        let caller = std::panic::Location::caller();
        async move {
            match tokio::time::timeout(DEADLINE, self.0.recv()).await {
                Ok(Some(entry)) => entry,
                Ok(None) => panic!("{caller}: nobody is left to write"),
                Err(_) => panic!("{caller}: nothing was noted within {DEADLINE:?}"),
            }
        }
    }

    /// The next entries must be these.
    #[track_caller]
    pub(crate) fn expect(
        &mut self,
        expected: impl IntoIterator<Item = T>,
    ) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            for expected in expected {
                match tokio::time::timeout(DEADLINE, self.0.recv()).await {
                    Ok(Some(entry)) => assert_eq!(entry, expected, "{caller}"),
                    _ => panic!("{caller}: {expected:?} was not noted within {DEADLINE:?}"),
                }
            }
        }
    }

    /// The next entry, if there is one already.
    pub(crate) fn try_next(&mut self) -> Option<T> {
        self.0.try_recv().ok()
    }

    /// Nothing is noted now.
    #[track_caller]
    pub(crate) fn expect_nothing(&mut self) {
        if let Ok(entry) = self.0.try_recv() {
            panic!("{entry:?} was noted");
        }
    }
}

/// Notes its name when it is dropped.
#[derive(Debug)]
pub(crate) struct DropNote(pub(crate) &'static str, pub(crate) Note<&'static str>);

impl Drop for DropNote {
    fn drop(&mut self) {
        self.1.write(self.0);
    }
}

/// Notes why each socket of the namespace leaves, in Node's words.
pub(crate) fn with_reasons(namespace: Namespace) -> (Namespace, Journal<&'static str>) {
    let (note, reasons) = journal();
    let namespace =
        namespace.on_disconnect(move |reason: DisconnectReason| note.write(reason.as_str()));
    (namespace, reasons)
}

/// Lets a test have the sockets: hands each over when its client connects.
pub(crate) fn with_sockets(namespace: Namespace) -> (Namespace, Journal<Socket>) {
    let (note, sockets) = journal();
    (namespace.on_connect(move |socket: Socket| note.write(socket)), sockets)
}
