//! Limits that a server's own emits meet.

use std::time::Duration;

use sockeye_server::{AckError, EmitError, Namespace, Server, Socket, Value};
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

/// What a client says of itself is kept as long as its sockets are there.
#[tokio::test]
async fn the_auth_of_all_namespaces_of_a_client_is_bounded() {
    let slow = Namespace::dynamic("slow", async |name: String, _: Option<Value>| {
        tokio::task::yield_now().await;
        name.starts_with("/slow")
    });
    let builder = Server::builder().namespace(root()).namespace(slow).max_auth_bytes(100);
    let server = serve(builder.namespace(Namespace::new("/a"))).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let auth = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    peer.send_text(&format!("40/a,{}", auth(101))).await;
    peer.expect_text("44/a,{\"message\":\"too many bytes of auth\"}").await;
    peer.send_text(&format!("40/a,{}", auth(60))).await;
    peer.expect_joined("/a").await;
    // Also while it is not known whether the namespace is there.
    peer.send_text(&format!("40/slow-1,{}", auth(30))).await;
    peer.send_text(&format!("40/slow-2,{}", auth(30))).await;
    let mut answers = [peer.recv_text().await, peer.recv_text().await];
    answers.sort();
    assert!(answers[0].starts_with("40/slow-1,{"), "{answers:?}");
    assert_eq!(answers[1], "44/slow-2,{\"message\":\"too many bytes of auth\"}");
    peer.join("/slow-2").await;
    // What it leaves is no longer counted.
    peer.send_text("41/a,").await;
    peer.send_text(&format!("40/slow-3,{}", auth(60))).await;
    peer.expect_joined("/slow-3").await;
    sync(&mut peer).await;
}
