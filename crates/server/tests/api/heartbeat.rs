//! Pings, pongs and the time they may take.
//!
//! The bounds are wide upwards, for slow machines, and strict downwards.

use std::time::{Duration, Instant};

use sockeye_server::{Namespace, Server, ServerBuilder};
use sockeye_testkit::peer::{Message, Peer};

use crate::harness::{FACES, root, serve, sync, with_reasons};

const INTERVAL: Duration = Duration::from_millis(300);
const TIMEOUT: Duration = Duration::from_millis(600);

/// Liveness deadlines are rounded down to the ticks of the timer wheel. The client's clock starts
/// before whatever starts the server's.
const EARLY: Duration = Duration::from_millis(20);

/// On a machine that is busy.
const LATE: Duration = Duration::from_secs(10);

fn builder(namespace: Namespace) -> ServerBuilder {
    Server::builder().namespace(namespace).ping_interval(INTERVAL).ping_timeout(TIMEOUT)
}

#[track_caller]
fn assert_took(since: Instant, expected: Duration) {
    let took = since.elapsed();
    assert!(took + EARLY >= expected, "after {took:?} already, instead of {expected:?}");
    assert!(took <= expected + LATE, "only after {took:?}, instead of {expected:?}");
}

#[tokio::test]
async fn pings_come_an_interval_after_the_pong() {
    for face in FACES {
        let server = face.serve(builder(root())).await;
        let mut since = Instant::now();
        let (mut peer, _) = Peer::socketio(server.address).await;
        for _ in 0..3 {
            peer.expect_text("2").await;
            assert_took(since, INTERVAL);
            since = Instant::now();
            peer.send_text("3").await;
        }
        sync(&mut peer).await;
    }
}

#[tokio::test]
async fn a_client_without_pong_is_given_up() {
    for face in FACES {
        let (namespace, mut reasons) = with_reasons(root());
        let server = face.serve(builder(namespace)).await;
        let since = Instant::now();
        let (mut peer, _) = Peer::socketio(server.address).await;
        peer.expect_text("2").await;
        reasons.expect(["ping timeout"]).await;
        assert_took(since, INTERVAL + TIMEOUT);
        peer.expect_close(1001).await;
        assert_eq!(server.clients(), 0);
    }
}

#[tokio::test]
async fn a_client_in_no_namespace_is_pinged_too() {
    let server = serve(builder(root())).await;
    let mut peer = Peer::engineio(server.address).await;
    peer.expect_text("2").await;
    peer.send_text("3").await;
    peer.expect_text("2").await;
    peer.expect_close(1001).await;
}

/// Other packets put the end off once, and not for ever.
#[tokio::test]
async fn a_client_that_talks_but_does_not_pong_is_given_up() {
    let (namespace, mut reasons) = with_reasons(root());
    let server = serve(builder(namespace)).await;
    let since = Instant::now();
    let (mut peer, _) = Peer::socketio(server.address).await;
    let mut pings = 0;
    loop {
        peer.send_text("420[\"sync\"]").await;
        match peer.recv().await {
            Message::Text(text) if text == "2" => pings += 1,
            Message::Text(text) => assert_eq!(text, "430[]"),
            Message::Close(1001) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pings, 1, "no ping is sent while a pong is awaited");
    assert_took(since, INTERVAL + TIMEOUT);
    reasons.expect(["ping timeout"]).await;
}

/// WebSocket's own ping is answered, and is not the heartbeat.
#[tokio::test]
async fn websocket_pings_are_answered_besides() {
    let (namespace, mut reasons) = with_reasons(root());
    let server = serve(builder(namespace)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    for _ in 0..3 {
        peer.send_frame(0x89, b"payload").await;
        peer.expect(Message::Pong(b"payload".to_vec())).await;
    }
    peer.expect_text("2").await;
    peer.send_frame(0x8A, b"").await;
    reasons.expect(["ping timeout"]).await;
}

/// In revision 4 only the server pings.
#[tokio::test]
async fn a_ping_from_the_client_is_refused() {
    let (namespace, mut reasons) = with_reasons(root());
    let server = serve(builder(namespace)).await;
    for ping in ["2", "2probe"] {
        let (mut peer, _) = Peer::socketio(server.address).await;
        peer.send_text(ping).await;
        peer.expect_close(1002).await;
        reasons.expect(["transport error"]).await;
    }
}

#[tokio::test]
async fn many_clients_are_all_given_up_in_time() {
    let (namespace, mut reasons) = with_reasons(root());
    let server = serve(builder(namespace)).await;
    let mut peers = Vec::new();
    for _ in 0..50 {
        peers.push(Peer::socketio(server.address).await.0);
    }
    let since = Instant::now();
    for _ in 0..50 {
        reasons.expect(["ping timeout"]).await;
    }
    assert!(since.elapsed() <= INTERVAL + TIMEOUT + LATE, "{:?}", since.elapsed());
    assert_eq!(server.clients(), 0);
    drop(peers);
}

const CONNECT: Duration = Duration::from_millis(250);

#[tokio::test]
async fn a_client_that_joins_nothing_is_closed() {
    let (namespace, mut reasons) = with_reasons(root());
    let server = serve(Server::builder().namespace(namespace).connect_timeout(CONNECT)).await;
    let since = Instant::now();
    let mut silent = Peer::engineio(server.address).await;
    let mut refused = Peer::engineio(server.address).await;
    refused.send_text("40/nope,").await;
    refused.expect_text("44/nope,{\"message\":\"Invalid namespace\"}").await;
    silent.expect_close(1008).await;
    assert_took(since, CONNECT);
    refused.expect_close(1008).await;
    reasons.expect_nothing();
    assert_eq!(server.clients(), 0);
}

/// Once is enough: a client that leaves its last namespace may stay.
#[tokio::test]
async fn a_client_that_joined_once_may_stay() {
    let server = serve(Server::builder().namespace(root()).connect_timeout(CONNECT)).await;
    let (mut left, _) = Peer::socketio(server.address).await;
    let (mut stayed, _) = Peer::socketio(server.address).await;
    left.send_text("41").await;
    assert_eq!(left.recv_within(2 * CONNECT).await, None);
    left.join("/").await;
    sync(&mut left).await;
    sync(&mut stayed).await;
}
