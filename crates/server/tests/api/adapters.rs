//! What a server is worth whose adapter is not: it keeps its own times, and ends.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sockeye_server::adapter::{
    Adapter, Answers, Arguments, Delivery, Factory, Flags, Gathered, Local, Pending, Selection,
    SocketRecord,
};
use sockeye_server::{Namespace, Server, ServerBuilder, Socket};
use sockeye_testkit::peer::Peer;

use crate::harness::{root, serve, sync, until, with_sockets, within};

/// Shorter than [`within`] waits.
const SHORT: Duration = Duration::from_millis(500);

/// Carries nothing and never answers.
#[derive(Clone, Default)]
struct Mute {
    /// How many were told to close.
    closed: Arc<AtomicUsize>,
}

impl Mute {
    fn factory(&self) -> impl Factory + use<> {
        let mute = self.clone();
        move |_: &str, _: Arc<dyn Local>| -> Arc<dyn Adapter> { Arc::new(mute.clone()) }
    }

    fn closed(&self) -> usize {
        self.closed.load(Ordering::Relaxed)
    }
}

impl Adapter for Mute {
    fn broadcast(&self, _: Arguments, _: &Selection, _: Flags) -> Delivery {
        Delivery::Now
    }

    fn broadcast_with_acks(
        &self,
        _: Arguments,
        _: &Selection,
        _: Flags,
        _: Duration,
        _: Arc<dyn Answers>,
    ) -> Pending<Vec<Box<str>>> {
        Box::pin(pending())
    }

    fn join(&self, _: &Selection, _: &[Box<str>]) {}

    fn leave(&self, _: &Selection, _: &[Box<str>]) {}

    fn disconnect(&self, _: &Selection, _: bool) {}

    fn fetch_sockets(&self, _: &Selection, _: Duration) -> Pending<Gathered<SocketRecord>> {
        Box::pin(pending())
    }

    fn server_side_emit(&self, _: Arguments) {}

    fn server_side_emit_with_acks(
        &self,
        _: Arguments,
        _: Duration,
    ) -> Pending<Gathered<Arguments>> {
        Box::pin(pending())
    }

    fn server_count(&self) -> Pending<usize> {
        Box::pin(pending())
    }

    fn close(&self) -> Pending<()> {
        self.closed.fetch_add(1, Ordering::Relaxed);
        Box::pin(pending())
    }
}

fn rooms() -> Namespace {
    Namespace::matching("/room-{n}")
}

fn builder(mute: &Mute) -> ServerBuilder {
    Server::builder().namespace(root()).adapter(mute.factory()).grace(SHORT)
}

#[tokio::test]
async fn whoever_waits_for_it_waits_no_longer_than_it_was_told() {
    let server = serve(builder(&Mute::default())).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let mut acks = server.timeout(SHORT).emit_with_acks::<u32>("q", ()).unwrap();
    peer.expect_text("420[\"q\"]").await;
    peer.send_text("430[7]").await;
    assert_eq!(within(acks.next()).await.unwrap().data.unwrap(), 7);
    assert!(within(acks.next()).await.is_none());
    assert_eq!(acks.missing().servers, ["unknown".into()]);

    let everyone = server.timeout(SHORT);
    let fetched = within(everyone.fetch_sockets()).await;
    assert_eq!((fetched.found.len(), fetched.silent), (1, vec!["unknown".into()]));
    let answers = everyone.server_side_emit_with_acks::<u32>("e", ()).unwrap();
    let answers = within(answers).await;
    assert_eq!((answers.found.len(), answers.silent), (0, vec!["unknown".into()]));
}

#[tokio::test]
async fn each_one_is_closed_and_not_awaited_for_ever() {
    let mute = Mute::default();
    let server = builder(&mute).namespace(Namespace::new("/other")).namespace(rooms());
    let server = serve(server.cleanup_empty_namespaces(false)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.join("/room-1").await;
    within(server.close()).await;
    assert_eq!(mute.closed(), 3);
}

/// A child whose last socket ends when the server's grace does.
#[tokio::test]
async fn the_last_childs_is_closed_too() {
    let mute = Mute::default();
    let rooms = rooms().on("stay", pending::<()>);
    let server = serve(builder(&mute).namespace(rooms)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.join("/room-1").await;
    peer.send_text("42/room-1,[\"stay\"]").await;
    sync(&mut peer).await;
    within(server.close()).await;
    until(|| mute.closed() == 2).await;
}

/// Handles of sockets may be used where no runtime is.
#[tokio::test]
async fn a_thread_without_a_runtime_ends_the_last_socket_of_a_child() {
    let mute = Mute::default();
    let (rooms, mut sockets) = with_sockets(rooms());
    let server = serve(builder(&mute).namespace(rooms)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.join("/room-1").await;
    let socket = sockets.next().await;
    std::thread::spawn(move || socket.disconnect()).join().unwrap();
    peer.expect_text("41/room-1,").await;
    until(|| mute.closed() == 1).await;
}

#[tokio::test]
async fn a_thread_without_a_runtime_emits_to_who_is_listened_to() {
    let (note, mut heard) = crate::harness::journal();
    let namespace = root().on_any_outgoing(move |_: Socket| {
        let note = note.clone();
        async move {
            tokio::task::yield_now().await;
            note.write("heard");
        }
    });
    let (namespace, mut sockets) = with_sockets(namespace);
    let server = serve(Server::builder().namespace(namespace)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;
    std::thread::spawn(move || socket.emit("e", ()).unwrap()).join().unwrap();
    peer.expect_text("42[\"e\"]").await;
    heard.expect(["heard"]).await;
}

/// A factory that fails costs whoever asks, and no place among the dynamic namespaces.
#[tokio::test]
async fn a_factory_that_panics_refuses_and_keeps_no_place() {
    let made = Arc::new(AtomicUsize::new(0));
    let mute = Mute::default();
    let (count, adapter) = (made.clone(), mute.clone());
    let factory = move |path: &str, _: Arc<dyn Local>| -> Arc<dyn Adapter> {
        // Those of `/` and of `/room-1` are made; that of `/room-2` only at the third attempt.
        let attempt = count.fetch_add(usize::from(path == "/room-2"), Ordering::Relaxed);
        assert!(path != "/room-2" || attempt == 2, "on purpose, within a test");
        Arc::new(adapter.clone())
    };
    let builder = Server::builder()
        .namespace(root())
        .namespace(Namespace::matching("/room-{n}"))
        .max_dynamic_namespaces(1)
        .adapter(factory);
    let server = serve(builder).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    for _ in 0..2 {
        peer.send_text("40/room-2,").await;
        peer.expect_text("44/room-2,{\"message\":\"internal error\"}").await;
        assert_eq!(server.namespaces(), ["/"]);
    }
    // The one place that there is.
    peer.join("/room-1").await;
    peer.send_text("41/room-1,").await;
    peer.join("/room-2").await;
    assert_eq!(made.load(Ordering::Relaxed), 3);
    assert_eq!(server.metrics().namespaces_refused, 0);
}
