//! A panic in a handler costs its own socket, and nothing else.

use sockeye_server::{Ack, DisconnectReason, Failure, Namespace, Server, Socket};
use sockeye_testkit::peer::Peer;

use crate::harness::{journal, root, serve, sync};

fn panics() {
    panic!("on purpose, within a test");
}

#[tokio::test]
async fn it_closes_its_own_socket_and_says_so() {
    let (note, mut told) = journal();
    let (end, mut reasons) = journal();
    let namespace = Namespace::new("/chat")
        .on("sync panic", panics)
        .on("inline", || async { panics() })
        .on("later", || async {
            tokio::task::yield_now().await;
            panics();
        })
        .on("by hand", |ack: Ack| async move {
            tokio::task::yield_now().await;
            panics();
            ack.send(1);
        })
        .on("answered", |ack: Ack| {
            ack.send(1);
            panics();
        })
        .on_error(move |_, event, failure| {
            if event != "disconnect" {
                note.write((event.to_owned(), failure.clone()));
            }
        })
        .on_disconnect(move |reason: DisconnectReason| {
            end.write(reason);
            panics();
        });
    let server = serve(Server::builder().namespace(root()).namespace(namespace)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    for event in ["sync panic", "inline", "later", "by hand", "answered"] {
        peer.join("/chat").await;
        peer.send_text(&format!("42/chat,7[\"{event}\"]")).await;
        let answer = if event == "answered" { "1" } else { "{\"error\":\"internal error\"}" };
        peer.expect_text(&format!("43/chat,7[{answer}]")).await;
        peer.expect_text("41/chat,").await;
        assert_eq!(told.next().await, (event.to_owned(), Failure::Panicked));
        reasons.expect([DisconnectReason::ServerNamespaceDisconnect]).await;
        // The client's other namespace stays.
        sync(&mut peer).await;
    }
    // Those of the disconnect handler are counted, and cost nothing.
    assert_eq!(server.metrics().handler_panics, 10);
}

#[tokio::test]
async fn middleware_listeners_and_hooks_that_panic() {
    let namespace = |path: &str| Namespace::new(path).on("e", || ());
    let builder = Server::builder()
        .namespace(root())
        .namespace(namespace("/middleware").packet_middleware(panics))
        .namespace(namespace("/any").on_any(panics))
        .namespace(namespace("/once").on_connect(|socket: Socket| {
            socket.once("e", panics);
        }))
        .namespace(namespace("/hook").on("wrong", || Err::<(), _>(1)).on_error(|_, _, _| panics()));
    let server = serve(builder).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    for path in ["/middleware", "/any", "/once"] {
        peer.join(path).await;
        peer.send_text(&format!("42{path},[\"e\"]")).await;
        peer.expect_text(&format!("41{path},")).await;
        sync(&mut peer).await;
    }
    peer.join("/hook").await;
    peer.send_text("42/hook,0[\"wrong\"]").await;
    peer.expect_text("43/hook,0[{\"error\":1}]").await;
    peer.send_text("42/hook,1[\"e\"]").await;
    peer.expect_text("43/hook,1[]").await;
}

/// What is told of rooms may panic in the midst of a socket's end, which goes on.
#[tokio::test]
async fn what_hears_of_rooms_and_panics_leaves_nothing_behind() {
    let rooms = Namespace::matching("/room-{n}")
        .on_room(|_| panics())
        .on("join", |socket: Socket| socket.join("a") && socket.join("b"));
    let server = serve(Server::builder().namespace(root()).namespace(rooms)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    for n in 0..3 {
        let path = format!("/room-{n}");
        peer.join(&path).await;
        peer.send_text(&format!("42{path},0[\"join\"]")).await;
        peer.expect_text(&format!("43{path},0[true]")).await;
        peer.send_text(&format!("41{path},")).await;
        sync(&mut peer).await;
        assert!(server.of(&path).is_none());
    }
}
