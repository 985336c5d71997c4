//! `socket.on` and `socket.off`, and that nothing outlives the socket.

use std::sync::Arc;

use sockeye_server::{Data, Socket};
use sockeye_testkit::peer::Peer;

use crate::harness::{DropNote, FACES, journal, root, serve_namespace, sync, with_sockets, within};

#[tokio::test]
async fn handlers_of_one_socket() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;
    let (mut other, _) = Peer::socketio(server.address).await;

    let handler = socket.on("own", |Data(n): Data<u32>| n + 1);
    peer.send_text(r#"420["own",1]"#).await;
    peer.expect_text("430[2]").await;
    // It is the other socket's event of nobody.
    other.send_text(r#"420["own",1]"#).await;
    sync(&mut other).await;

    assert!(socket.off(handler));
    assert!(!socket.off(handler), "it is gone already");
    peer.send_text(r#"421["own",1]"#).await;
    sync(&mut peer).await;
}

#[tokio::test]
async fn handlers_of_the_socket_run_beside_the_namespaces() {
    let (note, mut noted) = journal();
    let (own, again) = (note.clone(), note.clone());
    let fallback = note.clone();
    let namespace = root()
        .on("e", move || note.write("namespace"))
        .on_fallback(move || fallback.write("fallback"));
    let (namespace, mut sockets) = with_sockets(namespace);
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;
    let first = socket.on("e", move || own.write("own"));
    socket.on("e", move || again.write("again"));
    peer.send_text(r#"42["e"]"#).await;
    noted.expect(["namespace", "own", "again"]).await;
    socket.off(first);
    peer.send_text(r#"42["e"]"#).await;
    noted.expect(["namespace", "again"]).await;
    // What the socket handles itself is nothing for the fallback.
    let (note, mut own) = journal();
    socket.on("own only", move || note.write(()));
    peer.send_text(r#"42["own only"]"#).await;
    own.expect([()]).await;
    sync(&mut peer).await;
    noted.expect_nothing();
}

/// A handler may take itself off, or add others, while it runs.
#[tokio::test]
async fn handlers_may_change_the_handlers() {
    let namespace = root().on("add", |socket: Socket| {
        socket.on("added", |socket: Socket| {
            socket.on("added later", || "later");
            "added"
        });
    });
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    for (packet, answer) in [
        (r#"420["add"]"#, "430[]"),
        (r#"420["added"]"#, r#"430["added"]"#),
        (r#"420["added later"]"#, r#"430["later"]"#),
    ] {
        peer.send_text(packet).await;
        peer.expect_text(answer).await;
    }
}

/// In the style of the JavaScript API: a closure that holds its own socket is no leak.
#[tokio::test]
async fn a_socket_that_its_own_handler_holds_is_no_leak() {
    for face in FACES {
        for ending in ["client", "server", "transport"] {
            let (note, mut noted) = journal();
            let namespace = root().on_connect(move |socket: Socket| {
                socket.insert_extension(Arc::new(DropNote("socket", note.clone())));
                let (captured, guard) = (socket.clone(), DropNote("handler", note.clone()));
                socket.on("e", move || {
                    let _ = (&captured, &guard);
                });
            });
            let server = face.serve(sockeye_server::Server::builder().namespace(namespace)).await;
            let (mut peer, _) = Peer::socketio(server.address).await;
            peer.send_text(r#"420["e"]"#).await;
            peer.expect_text("430[]").await;
            noted.expect_nothing();
            match ending {
                "client" => peer.send_text("41").await,
                "server" => server.of("/").unwrap().disconnect(),
                _ => peer.finish().await,
            }
            // The handler, and then the socket with all that belongs to it.
            noted.expect(["handler", "socket"]).await;
        }
    }
}

/// Nor is one that a socket's handler is given when it is over already.
#[tokio::test]
async fn handlers_of_a_disconnected_socket_are_dropped_at_once() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;
    peer.finish().await;
    within(socket.closed()).await;
    let (note, mut dropped) = journal();
    let guard = DropNote("handler", note);
    let captured = socket.clone();
    let handler = socket.on("e", move || {
        let _ = (&captured, &guard);
    });
    dropped.expect(["handler"]).await;
    assert!(!socket.off(handler));
}

/// The session, its sockets and their namespace's handlers go when the server goes.
#[tokio::test]
async fn a_server_that_is_dropped_leaves_nothing() {
    let (note, mut noted) = journal();
    let guard = DropNote("namespace", note.clone());
    let namespace = root().on("e", move || {
        let _ = &guard;
    });
    let namespace = namespace.on_connect(move |socket: Socket| {
        socket.insert_extension(Arc::new(DropNote("socket", note.clone())));
    });
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let io = server.io.clone();
    let closing = tokio::spawn(async move { io.close().await });
    peer.expect_close(1001).await;
    within(closing).await.unwrap();
    noted.expect(["socket"]).await;
    drop(server);
    noted.expect(["namespace"]).await;
}
