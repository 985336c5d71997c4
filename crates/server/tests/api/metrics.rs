//! What is counted.

use std::time::Duration;

use sockeye_server::engine::CloseReason;
use sockeye_server::{AckError, Data, Namespace, Refusal, Server, Socket};
use sockeye_testkit::peer::Peer;
use sockeye_testkit::polling::Polling;

use crate::harness::{root, serve, sync, until, with_sockets, within};

#[tokio::test]
async fn each_outcome_is_counted() {
    let (namespace, mut sockets) = with_sockets(root());
    let guarded = Namespace::new("/guarded").middleware(|| Err::<(), _>(Refusal::new("no")));
    let builder = Server::builder();
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
    let server = serve(Server::builder().namespace(root())).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.send_text("4broken").await;
    peer.expect_close(1002).await;
    assert_eq!(server.metrics().violations, 1);
}

#[tokio::test]
async fn traffic_and_transports_are_counted() {
    let server = serve(Server::builder().namespace(root())).await;
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

#[tokio::test]
async fn events_and_what_became_of_acks_are_counted() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve(Server::builder().namespace(namespace)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let (mut other, _) = Peer::socketio(server.address).await;
    let (socket, second) = (sockets.next().await, sockets.next().await);
    let now = |asked, answered, timed_out, disconnected, abandoned| {
        let acks = server.metrics().acks;
        let counts = (acks.asked, acks.answered, acks.timed_out, acks.disconnected, acks.abandoned);
        assert_eq!(counts, (asked, answered, timed_out, disconnected, abandoned));
        acks.pending()
    };

    let answer = socket.emit_with_ack::<()>("a", ());
    peer.expect_text("420[\"a\"]").await;
    assert_eq!(now(1, 0, 0, 0, 0), 1);
    peer.send_text("430[]").await;
    within(answer).await.unwrap();
    // An answer that comes twice, or to nothing, is none.
    peer.send_text("430[]").await;
    sync(&mut peer).await;
    assert_eq!(now(1, 1, 0, 0, 0), 0);

    let late = socket.emit_with_ack::<()>("a", ()).timeout(Duration::from_millis(1));
    assert!(matches!(within(late).await, Err(AckError::Timeout)));
    drop(socket.emit_with_ack::<()>("a", ()));
    assert_eq!(now(3, 1, 1, 0, 1), 0);
    for id in [1, 2] {
        peer.expect_text(&format!("42{id}[\"a\"]")).await;
    }

    // Of many, each counts: one answers, one does not in time; then one goes.
    let mut all = server
        .everyone()
        .timeout(Duration::from_millis(500))
        .emit_with_acks::<()>("b", ())
        .unwrap();
    peer.expect_text("423[\"b\"]").await;
    other.expect_text("423[\"b\"]").await;
    assert_eq!(now(5, 1, 1, 0, 1), 2);
    peer.send_text("433[]").await;
    assert!(within(all.next()).await.is_some());
    assert!(within(all.next()).await.is_none());
    drop(all);
    assert_eq!(now(5, 2, 2, 0, 1), 0);
    let all = server.everyone().emit_with_acks::<()>("c", ()).unwrap();
    let own = second.emit_with_ack::<()>("d", ());
    second.disconnect();
    assert!(matches!(within(own).await, Err(AckError::Disconnected)));
    assert_eq!(now(8, 2, 2, 2, 1), 1);
    drop(all);
    assert_eq!(now(8, 2, 2, 2, 2), 0);

    let metrics = server.metrics();
    assert_eq!((metrics.events_received, metrics.events_emitted), (1, 6));
}

#[tokio::test]
async fn dynamic_namespaces_are_counted() {
    let builder = Server::builder().namespace(root()).namespace(Namespace::matching("/room-{n}"));
    let server = serve(builder).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    assert_eq!(server.metrics().dynamic_namespaces, 0);
    peer.join("/room-1").await;
    peer.join("/room-2").await;
    assert_eq!(server.metrics().dynamic_namespaces, 2);
    peer.send_text("41/room-1,").await;
    sync(&mut peer).await;
    assert_eq!(server.metrics().dynamic_namespaces, 1);
}

#[tokio::test]
async fn handlers_are_measured_where_that_is_wanted() {
    let wait = Duration::from_millis(11);
    let namespace = || {
        root()
            .on("waits", move || tokio::time::sleep(wait))
            .on("panics", || -> u32 { panic!("on purpose") })
            .on("refuses", |Data(_): Data<u32>| ())
    };
    for measure in [true, false] {
        let server =
            serve(Server::builder().namespace(namespace()).measure_handlers(measure)).await;
        let (mut peer, _) = Peer::socketio(server.address).await;
        peer.send_text("420[\"waits\"]").await;
        peer.expect_text("430[]").await;
        sync(&mut peer).await;
        // What never reaches a handler takes no time.
        peer.send_text("42[\"refuses\"]").await;
        peer.send_text("421[\"panics\"]").await;
        peer.expect_text("431[{\"error\":\"internal error\"}]").await;
        until(|| server.metrics().handler_panics == 1).await;
        let times = server.metrics().handler_times;
        assert_eq!(times.count(), if measure { 3 } else { 0 });
        let long = times.iter().filter(|(bound, _)| bound.is_none_or(|bound| bound > wait));
        let long: u64 = long.map(|(_, count)| count).sum();
        assert!(times.sum() >= if measure { wait } else { Duration::ZERO }, "{times:?}");
        assert!(long >= u64::from(measure), "{times:?}");
    }
}
