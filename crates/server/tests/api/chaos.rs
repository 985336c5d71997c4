//! Networks that do what networks do, between the client and the server.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sockeye_server::{Data, Fault, HandshakeRefusal, Namespace, Server, ServerBuilder, Socket};
use sockeye_testkit::chaos::{Chaos, Direction, Ending};
use sockeye_testkit::peer::{Message, Peer, TARGET};
use sockeye_testkit::polling::{Polling, request};

use crate::harness::{
    FACES, Running, UPGRADE, expect_end, journal, root, serve, sync, until, with_reasons,
    with_sockets,
};

const ENDINGS: [Ending; 2] = [Ending::Fin, Ending::Reset];

fn echoing() -> Namespace {
    root()
        .on("echo", |Data((n, text)): Data<(u32, String)>| (n, text.len()))
        .on("size", |Data(bytes): Data<Bytes>| bytes.len())
}

/// A heartbeat of 600 ms.
fn hurried(namespace: Namespace) -> ServerBuilder {
    Server::builder()
        .namespace(namespace)
        .ping_interval(Duration::from_millis(100))
        .ping_timeout(Duration::from_millis(500))
}

/// Nobody is left, and there is room for others.
async fn expect_nobody(server: &Running) {
    until(|| server.clients() == 0).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    loop {
        peer.send_text("42999[\"sync\"]").await;
        match peer.recv_text().await.as_str() {
            "2" => peer.send_text("3").await,
            "43999[]" => break,
            other => panic!("{other}"),
        }
    }
}

/// Every kind of packet, in both directions.
async fn talk_over_websocket(peer: &mut Peer, socket: &Socket, slow: bool) {
    let long = "x".repeat(if slow { 300 } else { 3000 });
    for n in 0..5 {
        peer.send_text(&format!("42{n}[\"echo\",{n},\"{long}äöü€\"]")).await;
        peer.expect_text(&format!("43{n}[{n},{}]", long.len() + 9)).await;
        peer.send_text("451-7[\"size\",{\"_placeholder\":true,\"num\":0}]").await;
        peer.send_binary(&[7; 200]).await;
        peer.expect_text("437[200]").await;
        socket.emit("bytes", Bytes::from(vec![n as u8; 200])).unwrap();
        peer.expect_text("451-[\"bytes\",{\"_placeholder\":true,\"num\":0}]").await;
        peer.expect_binary(&[n as u8; 200]).await;
        socket.emit("text", format!("{long}äöü€")).unwrap();
        peer.expect_text(&format!("42[\"text\",\"{long}äöü€\"]")).await;
    }
}

async fn talk_by_polling(client: &Polling, socket: &Socket) {
    for n in 0..3 {
        client.post(&format!("42{n}[\"echo\",{n},\"äöü€\"]\u{1e}451-7[\"size\",{{\"_placeholder\":true,\"num\":0}}]\u{1e}bAQID")).await;
        assert_eq!(client.poll().await, format!("43{n}[{n},9]\u{1e}437[3]"));
        let mut poll = client.begin_poll().await;
        socket.emit("text", "äöü€".repeat(50)).unwrap();
        let expected = format!("42[\"text\",\"{}\"]", "äöü€".repeat(50));
        assert_eq!(poll.recv_http().await.text(), expected);
    }
}

#[tokio::test]
async fn what_comes_in_slices_is_understood_as_if_it_had_come_whole() {
    for face in FACES {
        let (namespace, mut sockets) = with_sockets(echoing());
        let server = face.serve(Server::builder().namespace(namespace)).await;
        let chaos = Chaos::start(server.address);
        for bytes in [1, 2, 3, 7, 64] {
            chaos.slice(Direction::Up, bytes);
            chaos.slice(Direction::Down, bytes);
            let (mut peer, _) = Peer::socketio(chaos.address()).await;
            let socket = sockets.next().await;
            talk_over_websocket(&mut peer, &socket, bytes < 64).await;
            peer.finish().await;
            peer.expect_eof().await;

            let (client, _) = Polling::socketio(chaos.address()).await;
            let socket = sockets.next().await;
            talk_by_polling(&client, &socket).await;
            let mut peer = client.upgrade().await;
            talk_over_websocket(&mut peer, &socket, bytes < 64).await;
            drop(peer);
            until(|| server.clients() == 0).await;
        }
        assert_eq!(server.metrics().violations, 0, "{face:?}");
        assert_eq!(server.metrics().faults.total(), 0, "{face:?}");
        assert_eq!(server.metrics().refusals.total(), 0, "{face:?}");
    }
}

/// A way of 20 ms to and fro, within a heartbeat of 600.
#[tokio::test]
async fn a_long_way_delays_and_harms_nothing() {
    const DELAY: Duration = Duration::from_millis(10);
    for face in FACES {
        let (namespace, mut reasons) = with_reasons(root());
        let server = face.serve(hurried(namespace)).await;
        let chaos = Chaos::start(server.address);
        for direction in [Direction::Up, Direction::Down] {
            chaos.delay(direction, DELAY);
        }
        let (client, _) = Polling::socketio(chaos.address()).await;
        for _ in 0..3 {
            assert_eq!(client.poll().await, "2");
            client.post("3").await;
        }
        let mut peer = client.upgrade().await;
        // It comes by the websocket or not at all: a poll that waited has ended by the probe.
        for _ in 0..5 {
            peer.expect_text("2").await;
            peer.send_text("3").await;
        }
        let begun = Instant::now();
        peer.send_text("421[\"sync\"]").await;
        loop {
            match peer.recv_text().await.as_str() {
                "2" => peer.send_text("3").await,
                answer => break assert_eq!(answer, "431[]"),
            }
        }
        assert!(begun.elapsed() >= DELAY * 2);
        reasons.expect_nothing();
        peer.finish().await;
        reasons.expect(["transport close"]).await;
    }
}

#[tokio::test]
async fn a_connection_whose_client_is_silenced_ends() {
    for face in FACES {
        let (namespace, mut reasons) = with_reasons(root());
        let (namespace, mut sockets) = with_sockets(namespace);
        let server = face.serve(Server::builder().namespace(namespace)).await;
        let chaos = Chaos::start(server.address);
        // The client has closed, as the server sees it.
        let (mut peer, _) = Peer::socketio(chaos.address()).await;
        drop(sockets.next().await);
        chaos.half_close(Direction::Up);
        reasons.expect(["transport close"]).await;
        peer.expect_eof().await;
        drop(peer);

        let (client, _) = Polling::socketio(chaos.address()).await;
        let socket = sockets.next().await;
        chaos.connections_wait(0).await;
        let poll = client.begin_poll().await;
        chaos.connections_wait(1).await;
        until(|| socket.is_writable()).await;
        chaos.half_close(Direction::Up);
        reasons.expect(["transport error"]).await;
        assert_eq!(server.metrics().faults.get(Fault::PollAborted), 1, "{face:?}");
        drop(poll);
        expect_nobody(&server).await;
    }
}

/// The server cannot know that nobody hears it; the heartbeat finds out.
#[tokio::test]
async fn a_client_that_hears_nothing_any_more_is_given_up() {
    for face in FACES {
        let (namespace, mut reasons) = with_reasons(root());
        let server = face.serve(hurried(namespace)).await;
        let chaos = Chaos::start(server.address);
        let (mut peer, _) = Peer::socketio(chaos.address()).await;
        chaos.half_close(Direction::Down);
        loop {
            match peer.recv().await {
                Message::Text(ping) if ping == "2" => peer.send_text("3").await,
                other => break assert_eq!(other, Message::Eof),
            }
        }
        reasons.expect(["ping timeout"]).await;
        expect_nobody(&server).await;
    }
}

#[tokio::test]
async fn a_client_that_is_stalled_is_given_up_by_heartbeat_or_by_what_waits_for_it() {
    for face in FACES {
        let (namespace, mut reasons) = with_reasons(root());
        let (namespace, mut sockets) = with_sockets(namespace);
        let server = face.serve(hurried(namespace)).await;
        let chaos = Chaos::start(server.address);
        for direction in [Direction::Up, Direction::Down] {
            let (peer, _) = Peer::socketio(chaos.address()).await;
            drop(sockets.next().await);
            chaos.stall(direction);
            reasons.expect(["ping timeout"]).await;
            until(|| server.clients() == 0).await;
            drop(peer);
            chaos.resume(direction);
            // By polling, with a poll that waits and without.
            for polls in [false, true] {
                let (client, _) = Polling::socketio(chaos.address()).await;
                drop(sockets.next().await);
                chaos.stall(direction);
                let poll = if polls { Some(client.begin_poll().await) } else { None };
                let reason = reasons.next().await;
                assert_eq!(reason, "ping timeout", "{face:?} {direction:?} {polls}");
                drop(poll);
                chaos.resume(direction);
                until(|| server.clients() == 0).await;
            }
        }

        // More waits for it than may.
        let (namespace, mut reasons) = with_reasons(root());
        let (namespace, mut sockets) = with_sockets(namespace);
        let builder = Server::builder().namespace(namespace).max_buffered_bytes(100_000);
        let server = face.serve(builder).await;
        let chaos = Chaos::start(server.address);
        let (peer, _) = Peer::socketio(chaos.address()).await;
        let socket = sockets.next().await;
        chaos.stall(Direction::Down);
        let text = "x".repeat(10_000);
        while socket.emit("news", &text).is_ok() {
            tokio::task::yield_now().await;
        }
        reasons.expect(["transport error"]).await;
        assert_eq!(server.metrics().slow_consumers, 1);
        expect_nobody(&server).await;
        drop(peer);
    }
}

#[tokio::test]
async fn a_stall_that_ends_in_time_has_lost_nothing() {
    const EVENTS: u32 = 300;
    for face in FACES {
        let (note, mut notes) = journal();
        let namespace = root().on("n", move |Data((n, _)): Data<(u32, String)>| note.write(n));
        let (namespace, mut sockets) = with_sockets(namespace);
        let builder = Server::builder().namespace(namespace).max_buffered_bytes(64 * 1024 * 1024);
        let server = face.serve(builder).await;
        let chaos = Chaos::start(server.address);
        let (mut peer, _) = Peer::socketio(chaos.address()).await;
        let socket = sockets.next().await;
        chaos.stall(Direction::Up);
        chaos.stall(Direction::Down);
        let text = "x".repeat(10_000);
        for n in 0..EVENTS {
            socket.emit("n", (n, &text)).unwrap();
        }
        let sending = {
            let text = text.clone();
            tokio::spawn(async move {
                for n in 0..EVENTS {
                    peer.send_text(&format!("42[\"n\",{n},\"{text}\"]")).await;
                }
                peer
            })
        };
        // Until the server finds its way blocked.
        until(|| !socket.is_writable()).await;
        chaos.resume(Direction::Up);
        chaos.resume(Direction::Down);
        for n in 0..EVENTS {
            assert_eq!(notes.next().await, n, "{face:?}");
        }
        let mut peer = sending.await.unwrap();
        for n in 0..EVENTS {
            peer.expect_text(&format!("42[\"n\",{n},\"{text}\"]")).await;
        }
        sync(&mut peer).await;
    }
}

#[tokio::test]
async fn a_post_that_is_cut_in_its_body_ends_its_session() {
    for face in FACES {
        for ending in ENDINGS {
            let (namespace, mut reasons) = with_reasons(root());
            let server = face.serve(Server::builder().namespace(namespace)).await;
            let chaos = Chaos::start(server.address);
            let (client, _) = Polling::socketio(chaos.address()).await;
            chaos.connections_wait(0).await;
            let body = "42[\"sync\",\"".to_owned() + &"x".repeat(10_000) + "\"]";
            let head = format!(
                "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
                client.target(),
                body.len()
            );
            chaos.cut_after(Direction::Up, head.len() as u64 + 5000, ending);
            let mut peer = Peer::connect(chaos.address()).await;
            peer.try_send_bytes((head + &body).as_bytes()).await;
            reasons.expect(["transport error"]).await;
            assert_eq!(server.metrics().faults.get(Fault::PostAborted), 1, "{face:?} {ending:?}");
            drop(peer);
            chaos.calm();
            expect_nobody(&server).await;
        }
    }
}

/// What was on its way is lost; its client does not come back for more, and misses a heartbeat.
#[tokio::test]
async fn a_poll_whose_answer_is_cut_ends_its_session() {
    for face in FACES {
        for ending in ENDINGS {
            for bytes in [0, 20, 400, 10_000] {
                let (namespace, mut reasons) = with_reasons(root());
                let (namespace, mut sockets) = with_sockets(namespace);
                let server = face.serve(hurried(namespace)).await;
                let chaos = Chaos::start(server.address);
                let (client, _) = Polling::socketio(chaos.address()).await;
                chaos.connections_wait(0).await;
                chaos.cut_after(Direction::Down, bytes, ending);
                let socket = sockets.next().await;
                socket.emit("news", "x".repeat(100_000)).unwrap();
                let poll = client.begin_poll().await;
                let reason = reasons.next().await;
                assert!(
                    ["ping timeout", "transport error"].contains(&reason),
                    "{face:?} {ending:?} {bytes}: {reason}"
                );
                assert!(!socket.is_connected());
                drop(poll);
                expect_nobody(&server).await;
            }
        }
    }
}

#[tokio::test]
async fn a_websocket_that_is_cut_anywhere_ends_its_session() {
    for face in FACES {
        for ending in ENDINGS {
            for direction in [Direction::Up, Direction::Down] {
                for bytes in [0, 1, 3, 500] {
                    let (namespace, mut reasons) = with_reasons(root());
                    let (namespace, mut sockets) = with_sockets(namespace);
                    let server = face.serve(Server::builder().namespace(namespace)).await;
                    let chaos = Chaos::start(server.address);
                    let (mut peer, _) = Peer::socketio(chaos.address()).await;
                    let socket = sockets.next().await;
                    chaos.cut_after(direction, bytes, ending);
                    let text = "x".repeat(1000);
                    if direction == Direction::Up {
                        peer.try_send_bytes(&sockeye_testkit::peer::text_frame(&text)).await;
                    } else {
                        socket.emit("news", &text).unwrap();
                    }
                    let reason = reasons.next().await;
                    let case = format!("{face:?} {ending:?} {direction:?} {bytes}");
                    assert_eq!(reason, "transport close", "{case}");
                    until(|| server.clients() == 0).await;
                    assert_eq!(server.metrics().violations, 0, "{case}");
                }
            }
        }
    }
}

/// The client never learns of its session.
#[tokio::test]
async fn a_handshake_whose_answer_is_cut_leaves_nobody_behind() {
    for face in FACES {
        for ending in ENDINGS {
            for (target, headers) in
                [("/socket.io/?EIO=4&transport=polling", ""), (TARGET, UPGRADE)]
            {
                let server = face.serve(hurried(root())).await;
                let chaos = Chaos::start(server.address);
                for bytes in [0, 10] {
                    chaos.cut_after(Direction::Down, bytes, ending);
                    let mut peer = request(chaos.address(), "GET", target, headers, b"").await;
                    assert_eq!(peer.recv_http_or_end().await, None);
                }
                expect_nobody(&server).await;
                assert_eq!(server.metrics().refusals.total(), 0, "{face:?} {ending:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_websocket_that_is_cut_while_it_probes_leaves_its_session_polling() {
    for face in FACES {
        for ending in ENDINGS {
            for probed in [false, true] {
                let (namespace, mut reasons) = with_reasons(root());
                let server = face.serve(Server::builder().namespace(namespace)).await;
                let chaos = Chaos::start(server.address);
                let (client, _) = Polling::socketio(server.address).await;
                let target = client.target().replace("=polling", "=websocket");
                let mut peer = Peer::websocket(chaos.address(), &target).await;
                if probed {
                    peer.send_text("2probe").await;
                    peer.expect_text("3probe").await;
                }
                chaos.cut(ending);
                expect_end(&mut peer).await;
                until(|| server.metrics().faults.get(Fault::UpgradeFailed) == 1).await;
                client.post("421[\"sync\"]").await;
                assert_eq!(client.poll().await, "431[]", "{face:?} {ending:?} {probed}");
                // And another one may try.
                let mut peer = client.upgrade().await;
                sync(&mut peer).await;
                reasons.expect_nothing();
            }
        }
    }
}

/// A proxy that does not know WebSocket.
#[tokio::test]
async fn where_no_websocket_comes_through_polling_goes_on() {
    for face in FACES {
        let server = face.serve(Server::builder().namespace(root())).await;
        let chaos = Chaos::start(server.address);
        chaos.strip_upgrade();
        let (client, _) = Polling::socketio(chaos.address()).await;
        let refused = request(chaos.address(), "GET", TARGET, UPGRADE, b"").await.recv_http().await;
        assert_eq!(refused.text(), "{\"code\":3,\"message\":\"Bad request\"}", "{face:?}");
        let target = client.target().replace("=polling", "=websocket");
        let refused =
            request(chaos.address(), "GET", &target, UPGRADE, b"").await.recv_http().await;
        assert_eq!(refused.status, 400);
        let refusals = server.metrics().refusals;
        assert_eq!(refusals.get(HandshakeRefusal::UpgradeMissing), 1);
        assert_eq!(refusals.get(HandshakeRefusal::TransportMismatch), 1);
        client.post("421[\"sync\"]").await;
        assert_eq!(client.poll().await, "431[]", "{face:?}");
    }
}

/// However a connection ends, its place is free again.
#[tokio::test]
async fn no_end_of_a_connection_keeps_its_place() {
    let server = serve(hurried(root()).max_connections(2)).await;
    let chaos = Chaos::start(server.address);
    for ending in ENDINGS {
        for (target, headers, said) in [
            ("/socket.io/", "", 10),
            ("/socket.io/?EIO=4&transport=polling", "", 200),
            (TARGET, UPGRADE, 60),
            (TARGET, UPGRADE, 1000),
        ] {
            for _ in 0..3 {
                chaos.calm();
                let head = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
                let mut peer = Peer::connect(chaos.address()).await;
                peer.try_send_bytes(&head.as_bytes()[..head.len().min(said)]).await;
                chaos.connections_wait(1).await;
                chaos.cut(ending);
                drop(peer);
                chaos.connections_wait(0).await;
            }
        }
    }
    until(|| server.clients() == 0).await;
    for _ in 0..2 {
        let mut peers = Vec::new();
        while peers.len() < 2 {
            let mut peer = Peer::connect(server.address).await;
            let head = format!("GET {TARGET} HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n");
            peer.try_send_bytes(head.as_bytes()).await;
            if peer.recv_http_or_end().await.is_some_and(|response| response.status == 101) {
                peers.push(peer);
            }
        }
        drop(peers);
        until(|| server.clients() == 0).await;
    }
}
