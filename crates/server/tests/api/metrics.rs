//! What is counted.

use sockeye_server::engine::CloseReason;
use sockeye_server::{Namespace, Refusal, Socket};
use sockeye_testkit::peer::Peer;
use sockeye_testkit::polling::Polling;

use crate::harness::{root, serve, sync, until, with_sockets};

#[tokio::test]
async fn each_outcome_is_counted() {
    let (namespace, mut sockets) = with_sockets(root());
    let guarded = Namespace::new("/guarded").middleware(|| Err::<(), _>(Refusal::new("no")));
    let builder = sockeye_server::Server::builder();
    let server =
        serve(builder.namespace(namespace).namespace(guarded).max_buffered_bytes(4096)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket: Socket = sockets.next().await;
    assert_eq!(server.metrics().sessions.websocket, 1);

    for path in ["/guarded", "/nope"] {
        peer.send_text(&format!("40{path},")).await;
        peer.recv_text().await;
    }
    sync(&mut peer).await;
    assert_eq!(server.metrics().connects_refused, 2);

    // It reads no more: what does not fit is handed back, dropped, or its end.
    let large = "x".repeat(4000);
    let mut in_a_row = 0;
    while in_a_row < 50 {
        in_a_row = if socket.try_emit("n", &large).is_ok() { 0 } else { in_a_row + 1 };
        tokio::task::yield_now().await;
    }
    assert!(server.metrics().handed_back >= 50);
    assert!(!socket.emit_volatile("v", ()).unwrap());
    assert_eq!(server.metrics().volatile_dropped, 1);
    assert!(socket.emit("n", &large).is_err());
    assert_eq!(server.metrics().slow_consumers, 1);
}

#[tokio::test]
async fn a_broken_packet_is_a_violation() {
    let server = serve(sockeye_server::Server::builder().namespace(root())).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.send_text("4broken").await;
    peer.expect_close(1005).await;
    assert_eq!(server.metrics().violations, 1);
}

#[tokio::test]
async fn traffic_and_transports_are_counted() {
    let server = serve(sockeye_server::Server::builder().namespace(root())).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let (polling, _) = Polling::socketio(server.address).await;
    let census = server.metrics().sessions;
    assert_eq!((census.websocket, census.polling, census.plain), (1, 1, 0));

    let before = server.metrics().volume;
    peer.send_text("420[\"sync\",1]").await;
    peer.expect_text("430[]").await;
    polling.post("42[\"none\"]\u{1e}421[\"sync\"]").await;
    assert_eq!(polling.poll().await, "431[]");
    let after = server.metrics().volume;
    assert_eq!(after.packets_in - before.packets_in, 3);
    assert_eq!(after.bytes_in - before.bytes_in, 13 + 10 + 11);
    assert_eq!(after.packets_out - before.packets_out, 2);
    assert_eq!(after.bytes_out - before.bytes_out, 5 + 5);

    assert_eq!(server.metrics().upgrades, 0);
    let mut upgraded = polling.upgrade().await;
    sync(&mut upgraded).await;
    assert_eq!((server.metrics().upgrades, server.metrics().sessions.websocket), (1, 2));

    assert_eq!((server.metrics().opened, server.metrics().ended.total()), (2, 0));
    upgraded.send_text("1").await;
    upgraded.expect_close(1005).await;
    until(|| server.metrics().ended.get(CloseReason::TransportClose) == 1).await;
    assert_eq!(server.metrics().sessions.websocket, 1);
}
