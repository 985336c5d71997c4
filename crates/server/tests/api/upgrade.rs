//! From polling to a websocket, within one session.

use std::time::Duration;

use sockeye_server::{Data, Fault, Namespace, Server};
use sockeye_testkit::peer::{Message, Peer};
use sockeye_testkit::polling::{Polling, request};

use crate::harness::{
    FACES, Journal, Running, journal, root, serve, serve_namespace, sync, with_reasons,
    with_sockets, within,
};

#[tokio::test]
async fn a_session_goes_on_over_its_websocket() {
    for face in FACES {
        let (namespace, mut reasons) = with_reasons(root());
        let (namespace, mut sockets) = with_sockets(namespace);
        let server = face.serve(Server::builder().namespace(namespace)).await;
        let (client, id) = Polling::socketio(server.address).await;
        let socket = sockets.next().await;
        let mut peer = client.upgrade().await;
        sync(&mut peer).await;
        socket.emit("by websocket", ()).unwrap();
        peer.expect_text("42[\"by websocket\"]").await;
        assert_eq!(socket.id(), id);
        assert_eq!(server.clients(), 1);
        // Polling is over.
        for method in ["GET", "POST"] {
            let answer = client.request(method, "Content-Length: 0\r\n", b"").await;
            assert_eq!(answer.text(), "{\"code\":3,\"message\":\"Bad request\"}", "{face:?}");
        }
        peer.finish().await;
        reasons.expect(["transport close"]).await;
        assert_eq!(server.clients(), 0);
    }
}

#[tokio::test]
async fn every_poll_during_a_probe_ends_at_once() {
    for face in FACES {
        let server = face.serve(Server::builder().namespace(root())).await;
        let (client, _) = Polling::socketio(server.address).await;
        let mut waiting = client.begin_poll().await;
        let mut peer = client.websocket().await;
        peer.send_text("2probe").await;
        peer.expect_text("3probe").await;
        assert_eq!(waiting.recv_http().await.text(), "6", "{face:?}");
        for _ in 0..3 {
            assert_eq!(client.poll().await, "6", "{face:?}");
        }
        // What there is to say goes by polling until the client has upgraded.
        server.emit("early", ()).unwrap();
        assert_eq!(client.poll().await, "42[\"early\"]");
        client.post("421[\"sync\"]").await;
        assert_eq!(client.poll().await, "431[]");
        peer.send_text("5").await;
        sync(&mut peer).await;
    }
}

#[tokio::test]
async fn what_was_queued_while_polling_comes_first_on_the_websocket() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve_namespace(namespace).await;
    let (client, _) = Polling::socketio(server.address).await;
    let socket = sockets.next().await;
    let mut peer = client.websocket().await;
    peer.send_text("2probe").await;
    peer.expect_text("3probe").await;
    for n in 0..10 {
        socket.emit("n", (n, bytes::Bytes::from_static(b"bytes"))).unwrap();
    }
    peer.send_text("5").await;
    for n in 0..10 {
        peer.expect_text(&format!("451-[\"n\",{n},{{\"_placeholder\":true,\"num\":0}}]")).await;
        assert_eq!(peer.recv().await, Message::Binary(b"bytes".to_vec()));
    }
}

/// Behind `5`, and in the same segment.
#[tokio::test]
async fn what_the_client_says_right_behind_its_upgrade_is_heard() {
    let server = serve_namespace(root()).await;
    let (client, _) = Polling::socketio(server.address).await;
    let mut peer = client.websocket().await;
    // Zero as a mask changes nothing.
    let frame =
        |text: &str| [&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], text.as_bytes()].concat();
    let mut bytes = [frame("2probe"), frame("5"), frame("421[\"sync\"]")].concat();
    let cut = bytes.split_off(bytes.len() - 3);
    peer.send_bytes(&bytes).await;
    peer.expect_text("3probe").await;
    peer.send_bytes(&cut).await;
    peer.expect_text("431[]").await;
}

#[tokio::test]
async fn a_probe_that_goes_wrong_leaves_polling_alive() {
    let server = serve_namespace(root()).await;
    let (client, _) = Polling::socketio(server.address).await;
    for wrong in ["4message", "2", "1", "x", "3probe"] {
        let mut peer = client.websocket().await;
        peer.send_text(wrong).await;
        peer.expect_close(1005).await;
    }
    let mut peer = client.websocket().await;
    peer.send_binary(b"5").await;
    peer.expect_close(1005).await;
    // One that breaks the WebSocket protocol, one that closes, and one that is just gone.
    let mut peer = client.websocket().await;
    peer.send_frame(0x83, b"").await;
    peer.expect_close(1002).await;
    let mut peer = client.websocket().await;
    peer.send_text("2probe").await;
    peer.expect_text("3probe").await;
    peer.send_close(&1000_u16.to_be_bytes()).await;
    peer.expect_close(1000).await;
    client.websocket().await.reset();
    client.post("421[\"sync\"]").await;
    assert_eq!(client.poll().await, "431[]");
    // Another one may try.
    let mut peer = within(async {
        loop {
            // The server may not have noticed yet that the last one is gone.
            let target = client.target().replace("=polling", "=websocket");
            let mut peer = Peer::connect(server.address).await;
            let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
            let head = format!(
                "GET {target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n"
            );
            peer.send_bytes(head.as_bytes()).await;
            if peer.recv_http().await.status == 101 {
                break peer;
            }
        }
    })
    .await;
    peer.send_text("2probe").await;
    peer.expect_text("3probe").await;
    peer.send_text("5").await;
    sync(&mut peer).await;
}

#[tokio::test]
async fn a_probe_may_not_take_longer_than_the_upgrade_timeout() {
    for probed in [false, true] {
        let builder =
            Server::builder().namespace(root()).upgrade_timeout(Duration::from_millis(500));
        let server = serve(builder).await;
        let (client, _) = Polling::socketio(server.address).await;
        let mut peer = client.websocket().await;
        if probed {
            peer.send_text("2probe").await;
            peer.expect_text("3probe").await;
        }
        peer.expect_close(1005).await;
        client.post("421[\"sync\"]").await;
        assert_eq!(client.poll().await, "431[]");
        assert_eq!(server.metrics().faults.get(Fault::UpgradeFailed), 1);
    }
}

const WEBSOCKET: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

#[tokio::test]
async fn a_second_websocket_is_refused() {
    let server = serve_namespace(root()).await;
    let (client, _) = Polling::socketio(server.address).await;
    let target = client.target().replace("=polling", "=websocket");
    let mut first = client.websocket().await;
    let second = request(server.address, "GET", &target, WEBSOCKET, b"").await.recv_http().await;
    assert_eq!((second.status, second.text()), (400, "Bad request"));
    first.send_text("2probe").await;
    first.expect_text("3probe").await;
    first.send_text("5").await;
    sync(&mut first).await;
    let third = request(server.address, "GET", &target, WEBSOCKET, b"").await.recv_http().await;
    assert_eq!((third.status, third.text()), (400, "Bad request"));
    sync(&mut first).await;
}

#[tokio::test]
async fn a_session_that_ends_takes_its_probe_along() {
    let (namespace, mut reasons) = with_reasons(root());
    let server = serve_namespace(namespace).await;
    let (client, _) = Polling::socketio(server.address).await;
    let mut peer = client.websocket().await;
    peer.send_text("2probe").await;
    peer.expect_text("3probe").await;
    client.post("1").await;
    reasons.expect(["transport close"]).await;
    peer.expect_close(1005).await;
    assert_eq!(server.metrics().faults.get(Fault::UpgradeFailed), 0);
}

#[tokio::test]
async fn without_upgrades_there_is_none() {
    let server = serve(Server::builder().namespace(root()).allow_upgrades(false)).await;
    let (client, _) = Polling::socketio(server.address).await;
    assert!(client.open_packet().contains("\"upgrades\":[]"), "{}", client.open_packet());
    let target = client.target().replace("=polling", "=websocket");
    let refused = request(server.address, "GET", &target, WEBSOCKET, b"").await.recv_http().await;
    assert_eq!(refused.status, 400);
    // A session may still begin on a websocket.
    let (mut peer, _) = Peer::socketio(server.address).await;
    sync(&mut peer).await;
}

/// A session with a POST that the server has begun to read, and a websocket that asks for the upgrade.
async fn with_post_on_its_way(server: &Running, headers: &str) -> (Polling, Peer, Peer) {
    let (client, _) = Polling::socketio(server.address).await;
    let mut peer = client.websocket().await;
    peer.send_text("2probe").await;
    peer.expect_text("3probe").await;
    let headers = format!("Expect: 100-continue\r\n{headers}\r\n");
    let mut post = request(server.address, "POST", &client.target(), &headers, b"").await;
    assert_eq!(post.recv_http().await.status, 100);
    peer.send_text("5").await;
    peer.send_text("42[\"n\",2]").await;
    (client, post, peer)
}

fn with_numbers() -> (Namespace, Journal<u32>) {
    let (note, notes) = journal();
    (root().on("n", move |Data(n): Data<u32>| note.write(n)), notes)
}

#[tokio::test]
async fn an_upgrade_waits_for_the_post_before_it() {
    for face in FACES {
        let (namespace, mut notes) = with_numbers();
        let server = face.serve(Server::builder().namespace(namespace)).await;
        let (client, mut post, mut peer) = with_post_on_its_way(&server, "Content-Length: 9").await;
        // Its polls end at once, whatever has come of the upgrade by now.
        let poll = client.request("GET", "", b"").await;
        assert_eq!((poll.status, poll.text()), (200, "6"), "{face:?}");
        post.send_bytes(b"42[\"n\",1]").await;
        assert_eq!(post.recv_http().await.text(), "ok", "{face:?}");
        assert_eq!([notes.next().await, notes.next().await], [1, 2]);
        sync(&mut peer).await;
    }
}

/// Its packets are missing: what comes behind them is not heard either.
#[tokio::test]
async fn a_post_that_breaks_off_before_an_upgrade_ends_the_session() {
    for face in FACES {
        let (namespace, mut notes) = with_numbers();
        let (namespace, mut reasons) = with_reasons(namespace);
        let server = face.serve(Server::builder().namespace(namespace)).await;
        let (client, post, _peer) = with_post_on_its_way(&server, "Content-Length: 9").await;
        // The server has had time to come to the upgrade.
        assert_eq!(client.poll().await, "6");
        post.reset();
        reasons.expect(["transport error"]).await;
        assert_eq!(server.metrics().faults.get(Fault::PostAborted), 1, "{face:?}");
        notes.expect_nothing();
    }
}

#[tokio::test]
async fn an_upgrade_goes_on_behind_a_post_that_is_too_large() {
    let (namespace, mut notes) = with_numbers();
    let server = serve(Server::builder().namespace(namespace).max_payload(1000)).await;
    let (_, mut post, mut peer) = with_post_on_its_way(&server, "Transfer-Encoding: chunked").await;
    post.send_bytes(&[b"3e9\r\n", &[b'x'; 1001][..], b"\r\n"].concat()).await;
    assert_eq!(post.recv_http().await.status, 413);
    assert_eq!(notes.next().await, 2);
    sync(&mut peer).await;
}

/// The numbers that a client sends by POST, then behind its upgrade, while the server sends its own.
#[tokio::test]
async fn nothing_is_lost_doubled_or_reordered_across_an_upgrade() {
    const EACH: u32 = 2000;
    for face in FACES {
        let (note, mut notes) = journal();
        let namespace = root().on("n", move |Data(n): Data<u32>| note.write(n));
        let (namespace, mut sockets) = with_sockets(namespace);
        let server = face.serve(Server::builder().namespace(namespace)).await;
        let (client, _) = Polling::socketio(server.address).await;
        let socket = sockets.next().await;
        let emitter = tokio::spawn(async move {
            for n in 0..EACH {
                socket.emit("n", n).unwrap();
                if n % 16 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        });
        let mut received = Vec::new();
        let mut sent = 0;
        let mut peer = client.websocket().await;
        for round in 0..20 {
            let payload: Vec<_> = (sent..sent + 20).map(|n| format!("42[\"n\",{n}]")).collect();
            sent += 20;
            client.post(&payload.join("\u{1e}")).await;
            if round == 10 {
                peer.send_text("2probe").await;
                peer.expect_text("3probe").await;
            }
            if round >= 10 || round % 2 == 0 {
                received.extend(numbers(&client.poll().await));
            }
        }
        peer.send_text("5").await;
        while sent < EACH {
            peer.send_text(&format!("42[\"n\",{sent}]")).await;
            sent += 1;
        }
        while received.len() < EACH as usize {
            received.extend(numbers(&peer.recv_text().await));
        }
        assert!(received.into_iter().eq(0..EACH), "{face:?}");
        emitter.await.unwrap();
        for n in 0..EACH {
            assert_eq!(notes.next().await, n, "{face:?}");
        }
        notes.expect_nothing();
    }
}

/// The numbers in a payload, which holds nothing else but noops.
fn numbers(payload: &str) -> Vec<u32> {
    let packets = payload.split('\u{1e}').filter(|packet| *packet != "6");
    let number = |packet: &str| packet.strip_prefix("42[\"n\",")?.strip_suffix(']')?.parse().ok();
    packets.map(|packet| number(packet).unwrap_or_else(|| panic!("{packet} came"))).collect()
}
