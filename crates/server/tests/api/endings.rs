//! DISCONNECT both ways, and how a connection ends: what is on the wire, and what the sockets are told.

use std::time::Duration;

use sockeye_server::{DisconnectReason, Namespace, Server, Socket};
use sockeye_testkit::peer::{Message, Peer};
use sockeye_testkit::polling::Polling;

use crate::harness::{FACES, journal, root, serve, sync, with_reasons, with_sockets};

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

/// What only the server knows: Node's official client shows it in its details, Sockeye's as `details.reason`.
#[tokio::test]
async fn a_client_that_the_server_ends_is_told_why() {
    let offences = [
        ("x", 1002, "parse error"),
        ("2", 1002, "transport error"),
        ("4x", 1002, "invalid packet"),
        ("42[\"connect\"]", 1002, "reserved event name"),
        ("bAQI=", 1002, "unexpected attachment"),
        ("42/other,[\"e\"]", 1002, "packet for a namespace that is not joined"),
        ("40", 1002, "namespace joined twice"),
        ("44{}", 1002, "packet that only servers send"),
        ("4599-[\"e\"]", 1008, "too many attachments"),
        ("451-[\"e\",{\"_placeholder\":true,\"num\":0}]", 1008, "attachment timeout"),
    ];
    let (namespace, mut reasons) = with_reasons(root());
    let (namespace, mut sockets) = with_sockets(namespace);
    let builder = Server::builder().namespace(namespace).max_attachments(10);
    let builder = builder.attachment_timeout(Duration::from_millis(100));
    let server = serve(builder.connect_timeout(Duration::from_millis(500))).await;
    for (packet, code, words) in offences {
        let (mut peer, _) = Peer::socketio(server.address).await;
        peer.send_text(packet).await;
        peer.expect_close(code).await;
        assert_eq!(peer.farewell(), words, "{packet}");
        let details =
            Some(words).filter(|words| *words != "parse error" && *words != "transport error");
        reasons.next().await;
        assert_eq!(sockets.next().await.disconnect_details(), details, "{packet}");

        let (client, _) = Polling::socketio(server.address).await;
        let mut poll = client.begin_poll().await;
        client.post(packet).await;
        assert_eq!(poll.recv_http().await.text(), format!("1{words}"), "{packet}");
        reasons.next().await;
        assert_eq!(sockets.next().await.disconnect_details(), details, "{packet}");
    }
    let mut peer = Peer::engineio(server.address).await;
    peer.expect_close(1008).await;
    assert_eq!(peer.farewell(), "no namespace joined in time");
    reasons.expect_nothing();
}

/// Node's server has an error beside the reason in these cases, and nothing in the others.
#[tokio::test]
async fn handlers_are_told_what_is_known_beside_the_reason() {
    let (note, mut ends) = journal();
    let namespace = root().on_disconnect(move |socket: Socket, reason: DisconnectReason| {
        note.write((reason.as_str(), socket.disconnect_details()));
    });
    let (namespace, mut sockets) = with_sockets(namespace);
    let server = serve(Server::builder().namespace(namespace).max_payload(1000)).await;

    let (mut peer, _) = Peer::socketio(server.address).await;
    assert_eq!(sockets.next().await.disconnect_details(), None);
    peer.send_text(&"4".repeat(1001)).await;
    ends.expect([("transport error", Some("message too large"))]).await;

    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.send_frame(0x83, b"a reserved opcode").await;
    ends.expect([("transport error", Some("websocket protocol error"))]).await;

    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.send_text("41").await;
    ends.expect([("client namespace disconnect", None)]).await;
    peer.send_text("x").await;
    peer.expect_close(1002).await;

    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.finish().await;
    ends.expect([("transport close", None)]).await;
    ends.expect_nothing();
}

/// Where the application ends a session there is nothing to add: its words come before.
#[tokio::test]
async fn what_the_application_ends_is_closed_as_nodes_server_does() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve(Server::builder().namespace(namespace)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    sockets.next().await.disconnect_client();
    peer.expect_text("41").await;
    peer.expect_close(1005).await;

    let (client, _) = Polling::socketio(server.address).await;
    sockets.next().await.disconnect_client();
    assert_eq!(client.poll().await, "41");
    assert_eq!(client.poll().await, "1");
}
