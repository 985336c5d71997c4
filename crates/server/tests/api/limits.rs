//! Limits that a server's own emits meet.

use std::time::Duration;

use sockeye_server::{AckError, EmitError, Server, Socket};
use sockeye_testkit::peer::Peer;

use crate::harness::{root, serve, sync, with_reasons, with_sockets};

/// Within a handler nothing is written before its first wait: a client that reads is not slow only
/// because more than its outbox holds is said to it at once.
#[tokio::test]
async fn a_handler_may_say_more_at_once_than_an_outbox_holds() {
    const EVENTS: usize = 100;
    let text = "x".repeat(1000);
    let said = text.clone();
    let (namespace, mut reasons) = with_reasons(root().on("history", move |socket: Socket| {
        for _ in 0..EVENTS {
            socket.emit("n", &said).unwrap();
        }
    }));
    let server = serve(Server::builder().namespace(namespace).max_buffered_bytes(10_000)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.send_text("42[\"history\"]").await;
    for _ in 0..EVENTS {
        peer.expect_text(&format!("42[\"n\",\"{text}\"]")).await;
    }
    sync(&mut peer).await;
    reasons.expect_nothing();
    assert_eq!(server.metrics().slow_consumers, 0);
}

#[tokio::test]
async fn a_client_may_owe_so_many_answers_and_no_more() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve(Server::builder().namespace(namespace).max_pending_acks(2)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket: Socket = sockets.next().await;
    let first = socket.emit_with_ack::<u32>("ask", ());
    let _second = socket.emit_with_ack::<u32>("ask", ());
    let third = socket.emit_with_ack::<u32>("ask", ()).await;
    assert!(matches!(third, Err(AckError::Emit(EmitError::TooManyAcks))), "{third:?}");
    peer.expect_text("420[\"ask\"]").await;
    peer.expect_text("421[\"ask\"]").await;
    peer.send_text("430[7]").await;
    assert_eq!(first.await.unwrap(), 7);
    // An answer makes room.
    let fourth = socket.emit_with_ack::<u32>("ask", ()).timeout(Duration::from_secs(5));
    peer.expect_text("423[\"ask\"]").await;
    peer.send_text("433[8]").await;
    assert_eq!(fourth.await.unwrap(), 8);
}
