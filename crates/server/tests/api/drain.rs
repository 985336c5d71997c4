//! Going down gracefully: `Server::drain`.

use std::time::{Duration, Instant};

use sockeye_server::Server;
use sockeye_testkit::peer::{Message, Peer, http};
use sockeye_testkit::polling::Polling;

use crate::harness::{FACES, root, serve_namespace, until, with_reasons, within};

/// Long enough that its end is told from its beginning.
const WINDOW: Duration = Duration::from_millis(1500);

const HANDSHAKE: &str =
    "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn clients_leave_one_after_the_other_within_the_window() {
    const CLIENTS: usize = 10;
    let (namespace, mut reasons) = with_reasons(root());
    let server = serve_namespace(namespace).await;
    let begun = Instant::now();
    let mut ends = Vec::new();
    for _ in 0..CLIENTS {
        let (mut peer, _) = Peer::socketio(server.address).await;
        ends.push(tokio::spawn(async move {
            // The end may be further away than a peer waits by itself.
            let end = loop {
                if let Some(message) = peer.recv_within(WINDOW * 4).await {
                    break message;
                }
            };
            (Instant::now(), end)
        }));
    }
    let opened = begun.elapsed();
    assert!(server.is_accepting());

    let begun = Instant::now();
    within(server.drain(WINDOW)).await;
    // Not sooner than the last slice: whoever drains may end the process next.
    assert!(begun.elapsed() >= WINDOW * 9 / 10, "{:?}", begun.elapsed());
    let mut left = Vec::new();
    for end in ends {
        let (when, end) = end.await.unwrap();
        assert_eq!(end, Message::Close(1001));
        left.push(when);
    }
    reasons.expect(["server shutting down"; CLIENTS]).await;
    left.sort();
    // The first at once, the last in the last of ten slices.
    let spread = left[CLIENTS - 1] - left[0];
    assert!(spread >= WINDOW / 2, "all within {spread:?}; they were opened within {opened:?}");
}

#[tokio::test]
async fn nobody_is_let_in_and_those_inside_go_on_until_their_turn() {
    for face in FACES {
        let namespace = root().on("echo", || "still here");
        let server = face.serve(Server::builder().namespace(namespace)).await;
        let (mut peer, _) = Peer::socketio(server.address).await;
        let (mut second, _) = Peer::socketio(server.address).await;
        let io = server.io.clone();
        let draining = tokio::spawn(async move { io.drain(WINDOW).await });
        until(|| !server.is_accepting()).await;
        let refused = http(server.address, HANDSHAKE).await;
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
        assert!(refused.text().contains("\"code\":3"), "{}", refused.text());

        // One of the two has its turn at once, the other in the middle of the window.
        until(|| server.clients() == 1).await;
        peer.send_text("421[\"echo\"]").await;
        second.send_text("421[\"echo\"]").await;
        let said = [peer.recv().await, second.recv().await];
        let text = Message::Text("431[\"still here\"]".to_owned());
        assert!(said.contains(&text) && said.contains(&Message::Close(1001)), "{face:?}: {said:?}");
        let (mut first, mut last) = if said[1] == text { (peer, second) } else { (second, peer) };
        first.send_close(&1001_u16.to_be_bytes()).await;
        last.expect_close(1001).await;
        within(draining).await.unwrap();
        assert_eq!(server.clients(), 0);
    }
}

/// A client that polls hears of its end by its next poll.
#[tokio::test]
async fn clients_that_poll_are_told() {
    let (namespace, mut reasons) = with_reasons(root());
    let server = serve_namespace(namespace).await;
    let (client, _) = Polling::socketio(server.address).await;
    let io = server.io.clone();
    let draining = tokio::spawn(async move { io.drain(Duration::from_millis(100)).await });
    assert_eq!(client.poll().await, "1server shutting down");
    within(draining).await.unwrap();
    reasons.expect(["server shutting down"]).await;
}

#[tokio::test]
async fn without_clients_there_is_nothing_to_wait_for() {
    let server = serve_namespace(root()).await;
    let begun = Instant::now();
    within(server.drain(Duration::from_secs(3600))).await;
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn a_drain_that_is_given_up_keeps_the_door_shut() {
    let server = serve_namespace(root()).await;
    let (peer, _) = Peer::socketio(server.address).await;
    let (second, _) = Peer::socketio(server.address).await;
    for mut peer in [peer, second] {
        tokio::spawn(async move { peer.expect_close(1001).await });
    }
    let given_up =
        tokio::time::timeout(Duration::from_millis(100), server.drain(Duration::from_secs(3600)));
    assert!(given_up.await.is_err());
    assert_eq!(server.clients(), 1);
    assert_eq!(http(server.address, HANDSHAKE).await.status, 503);
    within(server.close()).await;
    assert_eq!(server.clients(), 0);
}
