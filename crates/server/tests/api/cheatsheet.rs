//! The lines of Node's emit cheatsheet that no other module has: modifiers, and what they do on the
//! wire.

use std::time::Duration;

use sockeye_server::{AckError, Server};
use sockeye_testkit::peer::{Message, Peer};
use sockeye_testkit::polling::Polling;

use crate::harness::{root, serve, sync, with_sockets, within};

#[tokio::test]
async fn modifiers_of_one_socket() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve(Server::builder().namespace(namespace)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;
    let (mut other, _) = Peer::socketio(server.address).await;
    let other_socket = sockets.next().await;
    other_socket.join("r");

    socket.compress(false).emit("plain", 1).unwrap();
    socket.send("hi").unwrap();
    peer.expect_text("42[\"plain\",1]").await;
    peer.expect_text("42[\"message\",\"hi\"]").await;
    within(socket.drained()).await;
    assert_eq!(socket.buffered_bytes(), 0);
    socket.volatile().emit("volatile", ()).unwrap();
    peer.expect_text("42[\"volatile\"]").await;

    let asked = socket.timeout(Duration::from_millis(30)).emit_with_ack::<u32>("q", ());
    peer.expect_text("420[\"q\"]").await;
    assert!(matches!(within(asked).await, Err(AckError::Timeout)));
    let asked = socket.timeout(Duration::from_secs(3600)).emit_with_ack::<u32>("q", ());
    peer.expect_text("421[\"q\"]").await;
    peer.send_text("431[7]").await;
    assert_eq!(within(asked).await.unwrap(), 7);

    // They stay with what goes on to others.
    let short = socket.timeout(Duration::from_millis(30));
    for acks in [
        short.to("r").emit_with_acks::<u32>("q", ()).unwrap(),
        short.except("nowhere").emit_with_acks::<u32>("q", ()).unwrap(),
        short.compress(false).broadcast().emit_with_acks::<u32>("q", ()).unwrap(),
    ] {
        let responses = within(acks.all()).await;
        assert_eq!(responses.missing.sockets, [other_socket.id().into()]);
    }
    for id in 2..5 {
        other.expect_text(&format!("42{id}[\"q\"]")).await;
    }
    server.send("to all").unwrap();
    for peer in [&mut peer, &mut other] {
        peer.expect_text("42[\"message\",\"to all\"]").await;
    }
    sync(&mut peer).await;
    sync(&mut other).await;
}

/// Volatile means: a client that cannot be written to now never gets it.
#[tokio::test]
async fn volatile_events_are_for_who_can_be_written_to() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve(Server::builder().namespace(namespace)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;
    within(socket.drained()).await;
    // More than a cork buffer is queued, and this thread has not let anybody write it.
    socket.emit("large", "x".repeat(100_000)).unwrap();
    assert!(!socket.is_writable());
    socket.volatile().emit("lost", ()).unwrap();
    assert!(!socket.emit_volatile("lost", ()).unwrap());
    server.volatile().emit("lost", ()).unwrap();
    let acks = server.volatile().emit_with_acks::<u32>("lost", ()).unwrap();
    let responses = within(acks.all()).await;
    assert_eq!(responses.missing.sockets, [socket.id().into()], "missing at once");
    let Message::Text(large) = peer.recv().await else { panic!("no text") };
    assert!(large.starts_with("42[\"large\""));
    sync(&mut peer).await;
    within(socket.drained()).await;
    server.volatile().emit("heard", ()).unwrap();
    peer.expect_text("42[\"heard\"]").await;
}

/// What is not to be compressed is not, where polling compresses.
#[tokio::test]
async fn uncompressed_events_are_not_compressed() {
    let (namespace, mut sockets) = with_sockets(root());
    let builder = Server::builder().namespace(namespace).http_compression(Some(1000));
    let server = serve(builder).await;
    let (client, _) = Polling::socketio(server.address).await;
    let socket = sockets.next().await;
    let data = "x".repeat(5000);
    for compress in [true, false] {
        for broadcast in [true, false] {
            if broadcast {
                server.compress(compress).emit("e", &data).unwrap();
            } else {
                socket.compress(compress).emit("e", &data).unwrap();
            }
            let polled = client.request("GET", "Accept-Encoding: gzip\r\n", b"").await;
            let compressed = polled.header("content-encoding").is_some();
            assert_eq!(compressed, compress, "broadcast: {broadcast}: {}", polled.head);
        }
    }
}
