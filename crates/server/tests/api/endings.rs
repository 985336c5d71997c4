//! DISCONNECT both ways, and how a connection ends: what is on the wire, and what the sockets are told.

use sockeye_server::{Namespace, Server};
use sockeye_testkit::peer::{Message, Peer};

use crate::harness::{FACES, root, serve, sync, with_reasons, with_sockets};

#[tokio::test]
async fn the_client_disconnects_and_may_come_back() {
    let (root, mut reasons) = with_reasons(root());
    let (custom, mut custom_reasons) = with_reasons(Namespace::new("/custom"));
    let server = serve(Server::builder().namespace(root).namespace(custom)).await;
    let (mut peer, first) = Peer::socketio(server.address).await;
    peer.send_text("41").await;
    reasons.expect(["client namespace disconnect"]).await;
    // The session lives on, though it is in no namespace.
    let second = peer.join("/").await;
    assert_ne!(first, second);
    sync(&mut peer).await;

    for disconnect in ["41/custom,", "41/custom"] {
        peer.join("/custom").await;
        peer.send_text(disconnect).await;
        custom_reasons.expect(["client namespace disconnect"]).await;
    }
    sync(&mut peer).await;
    reasons.expect_nothing();
}

#[tokio::test]
async fn the_server_disconnects_and_the_client_may_come_back() {
    let (namespace, mut reasons) = with_reasons(Namespace::new("/auth"));
    let (namespace, mut sockets) = with_sockets(namespace);
    let server = serve(Server::builder().namespace(root()).namespace(namespace)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.join("/auth").await;
    let socket = sockets.next().await;
    socket.emit("last", "words").unwrap();
    socket.disconnect();
    assert!(!socket.is_connected());
    assert!(socket.emit("too", "late").is_err());
    peer.expect_text(r#"42/auth,["last","words"]"#).await;
    peer.expect_text("41/auth,").await;
    reasons.expect(["server namespace disconnect"]).await;

    // What the client sent before it could know is dropped.
    peer.send_text("42/auth,[\"crossed\"]").await;
    peer.send_text("41/auth,").await;
    sync(&mut peer).await;
    peer.join("/auth").await;
    assert_ne!(sockets.next().await, socket);
    reasons.expect_nothing();
}

#[tokio::test]
async fn what_ends_a_connection_and_what_its_sockets_are_told() {
    for face in FACES {
        let (namespace, mut reasons) = with_reasons(root());
        let server = face.serve(Server::builder().namespace(namespace)).await;

        // The client closes its websocket, with a code and without.
        let (mut peer, _) = Peer::socketio(server.address).await;
        peer.send_close(&1000_u16.to_be_bytes()).await;
        peer.expect(Message::Close(1000)).await;
        peer.expect_eof().await;
        reasons.expect(["transport close"]).await;

        let (mut peer, _) = Peer::socketio(server.address).await;
        peer.send_close(&[]).await;
        peer.expect(Message::Close(1005)).await;
        peer.expect_eof().await;
        reasons.expect(["transport close"]).await;

        // Engine.IO's own close packet.
        let (mut peer, _) = Peer::socketio(server.address).await;
        peer.send_text("1").await;
        peer.expect_close(1005).await;
        reasons.expect(["transport close"]).await;

        // TCP ends, in order or not.
        let (mut peer, _) = Peer::socketio(server.address).await;
        peer.finish().await;
        peer.expect_eof().await;
        reasons.expect(["transport close"]).await;

        let (peer, _) = Peer::socketio(server.address).await;
        peer.reset();
        reasons.expect(["transport close"]).await;
        reasons.expect_nothing();

        let (mut peer, _) = Peer::socketio(server.address).await;
        sync(&mut peer).await;
    }
}
