//! Clients and servers that do not wait for a middleware's answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockeye_server::{DisconnectReason, Namespace, Server, Socket, Value};
use sockeye_testkit::peer::{Message, Peer};

use crate::harness::{
    DropNote, gate, journal, pass, root, serve, serve_namespace, sync, until, with_reasons,
    with_sockets, within,
};

/// What becomes of a client that does not wait for the answer.
#[tokio::test]
async fn the_client_leaves_while_the_handler_runs() {
    for refuse in [false, true] {
        for by_packet in [true, false] {
            let gate = gate();
            let waiting = gate.clone();
            let (note, mut sockets) = journal();
            let (end, mut ended) = journal();
            let (namespace, mut reasons) =
                with_reasons(root().middleware(move |socket: Socket| {
                    let (gate, note, end) = (waiting.clone(), note.clone(), end.clone());
                    async move {
                        socket.join("room");
                        note.write(socket.clone());
                        let reason = socket.closed().await;
                        assert!(!socket.join("too late"));
                        pass(gate).await;
                        end.write(reason);
                        if refuse { Err("no") } else { Ok(()) }
                    }
                }));
            let server = serve_namespace(namespace).await;
            let mut peer = Peer::engineio(server.address).await;
            peer.send_text("40").await;
            let socket = sockets.next().await;
            let reason = if by_packet {
                peer.send_text("41").await;
                DisconnectReason::ClientNamespaceDisconnect
            } else {
                peer.finish().await;
                DisconnectReason::TransportClose
            };
            assert_eq!(within(socket.closed()).await, reason);
            assert!(server.to("room").sockets().is_empty());
            assert!(server.of("/").unwrap().sockets().is_empty());
            reasons.expect_nothing();
            gate.add_permits(1);
            assert_eq!(ended.next().await, reason);
            if by_packet {
                // Neither a CONNECT nor a refusal is sent to who has left.
                peer.send_frame(0x89, b"").await;
                peer.expect(Message::Pong(Vec::new())).await;
            }
            // It was never connected, whatever the middleware says.
            reasons.expect_nothing();
        }
    }
}

/// Left and back again, while the first answer is still out.
#[tokio::test]
async fn the_client_comes_back_while_the_handler_runs() {
    let gate = gate();
    let waiting = gate.clone();
    let (note, mut sockets) = journal();
    let (namespace, mut reasons) = with_reasons(root().middleware(move |socket: Socket| {
        let gate = waiting.clone();
        note.write(socket);
        pass(gate)
    }));
    let server = serve_namespace(namespace).await;
    let mut peer = Peer::engineio(server.address).await;
    peer.send_text("40").await;
    let first = sockets.next().await;
    peer.send_text("41").await;
    within(first.closed()).await;
    peer.send_text("40").await;
    let second = sockets.next().await;
    gate.add_permits(2);
    assert_eq!(peer.expect_joined("/").await, second.id());
    assert!(second.is_connected());
    assert!(!first.is_connected());
    sync(&mut peer).await;
    peer.finish().await;
    reasons.expect(["transport close"]).await;
    reasons.expect_nothing();
}

/// A middleware that hands over its socket and the means to answer.
type Asked = (Socket, tokio::sync::oneshot::Sender<Result<(), &'static str>>);

fn asking(namespace: Namespace) -> (Namespace, tokio::sync::mpsc::UnboundedReceiver<Asked>) {
    let (asked, asking) = tokio::sync::mpsc::unbounded_channel();
    let namespace = namespace.middleware(move |socket: Socket| {
        let (answer, answered) = tokio::sync::oneshot::channel();
        asked.send((socket, answer)).unwrap();
        async move { answered.await.unwrap_or(Ok(())) }
    });
    (namespace, asking)
}

/// Left and back again: which of the two answers comes first must not matter.
#[tokio::test]
async fn an_answer_is_for_the_socket_it_was_asked_for() {
    for second_is_let_in in [true, false] {
        for first_answers_first in [true, false] {
            let (namespace, mut asked) =
                asking(root().on("who", |socket: Socket| socket.id().to_owned()));
            let (namespace, mut reasons) = with_reasons(namespace);
            let server = serve_namespace(namespace).await;
            let mut peer = Peer::engineio(server.address).await;
            peer.send_text("40").await;
            let (_, first) = within(asked.recv()).await.unwrap();
            peer.send_text("41").await;
            peer.send_text("40").await;
            let (socket, second) = within(asked.recv()).await.unwrap();
            let mut first = Some(first);
            if first_answers_first {
                first.take().unwrap().send(Ok(())).unwrap();
            }
            peer.send_text("420[\"who\"]").await;
            if second_is_let_in {
                second.send(Ok(())).unwrap();
                assert_eq!(peer.expect_joined("/").await, socket.id());
                peer.expect_text(&format!("430[\"{}\"]", socket.id())).await;
                sync(&mut peer).await;
                peer.send_text("41").await;
                reasons.expect(["client namespace disconnect"]).await;
            } else {
                second.send(Err("no")).unwrap();
                peer.expect_text("44{\"message\":\"no\"}").await;
            }
            if let Some(first) = first {
                first.send(Ok(())).unwrap();
            }
            // What comes next is as if nothing had been.
            peer.send_text("40").await;
            let (_, third) = within(asked.recv()).await.unwrap();
            third.send(Ok(())).unwrap();
            peer.expect_joined("/").await;
            sync(&mut peer).await;
            reasons.expect_nothing();
        }
    }
}

/// The same, put out by the server.
#[tokio::test]
async fn put_out_and_back_again_while_the_handler_runs() {
    let (namespace, mut asked) = asking(root());
    let (namespace, mut reasons) = with_reasons(namespace);
    let server = serve_namespace(namespace).await;
    let mut peer = Peer::engineio(server.address).await;
    peer.send_text("40").await;
    let (socket, first) = within(asked.recv()).await.unwrap();
    socket.disconnect();
    peer.expect_joined("/").await;
    peer.expect_text("41").await;
    peer.send_text("40").await;
    let (socket, second) = within(asked.recv()).await.unwrap();
    second.send(Ok(())).unwrap();
    assert_eq!(peer.expect_joined("/").await, socket.id());
    sync(&mut peer).await;
    reasons.expect_nothing();
    first.send(Ok(())).unwrap();
    sync(&mut peer).await;
    reasons.expect_nothing();
    assert!(socket.is_connected());
}

/// The client answers a DISCONNECT with a CONNECT at once, while the thread that disconnected it may
/// not have finished.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn put_out_and_back_again_and_again() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let (socket, puts_out) = std::sync::mpsc::channel::<Socket>();
    let thread = std::thread::spawn(move || puts_out.iter().for_each(|socket| socket.disconnect()));
    for _ in 0..300 {
        socket.send(sockets.next().await).unwrap();
        peer.expect_text("41").await;
        peer.join("/").await;
    }
    drop(socket);
    thread.join().unwrap();
}

/// A client that is not let in must not hear what the others hear; what was said to it alone it
/// hears before its end.
#[tokio::test]
async fn put_out_before_it_is_let_in_hears_no_broadcast() {
    let (namespace, mut asked) = asking(root());
    let server = serve_namespace(namespace).await;
    let mut peer = Peer::engineio(server.address).await;
    peer.send_text("40").await;
    let (socket, _answer) = within(asked.recv()).await.unwrap();
    socket.join("insiders");
    server.emit("for everyone", ()).unwrap();
    server.to("insiders").emit("for insiders", ()).unwrap();
    socket.emit("for you", ()).unwrap();
    server.of("/").unwrap().disconnect();
    peer.expect_joined("/").await;
    peer.expect_text("42[\"for you\"]").await;
    peer.expect_text("41").await;
}

/// The answer stands behind the end of the connection, and counts all the same.
#[tokio::test]
async fn a_handler_that_ends_the_connection_and_agrees() {
    for later in [false, true] {
        let (namespace, mut reasons) =
            with_reasons(root().on_connect(move |socket: Socket| async move {
                if later {
                    tokio::task::yield_now().await;
                }
                socket.disconnect_client();
            }));
        let server = serve_namespace(namespace).await;
        let mut peer = Peer::engineio(server.address).await;
        peer.send_text("40").await;
        peer.expect_joined("/").await;
        peer.expect_text("41").await;
        peer.expect_close(1005).await;
        reasons.expect(["server namespace disconnect"]).await;
        reasons.expect_nothing();
    }
}

/// How far the connect handlers of one socket have come, and how often it has been disconnected.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Visit {
    begun: u32,
    ended: u32,
    left: u32,
}

#[derive(Clone, Default)]
struct Visits(Arc<Mutex<HashMap<String, Visit>>>);

impl Visits {
    fn of<T>(&self, socket: &Socket, note: impl FnOnce(&mut Visit) -> T) -> T {
        note(self.0.lock().unwrap().entry(socket.id().to_owned()).or_default())
    }
}

/// A hundred clients, half of which leave at once, and a middleware and a function that never answer.
#[tokio::test]
async fn who_decides_without_an_end_is_cut_off() {
    let (note, mut asked) = journal();
    let (dropped, mut drops) = journal();
    let hang = move || {
        note.write(());
        let dropped = DropNote("gone", dropped.clone());
        async move {
            std::future::pending::<()>().await;
            drop(dropped);
        }
    };
    let (middleware, name) = (hang.clone(), hang);
    let hung = Namespace::new("/hung").middleware(middleware);
    let names = Namespace::dynamic("names", move |_: String, _: Option<Value>| {
        let hang = name();
        async move {
            hang.await;
            true
        }
    });
    let builder = Server::builder().namespace(root()).namespace(hung).namespace(names);
    let server = serve(builder.connect_timeout(Duration::from_millis(300))).await;
    let mut peers = Vec::new();
    for n in 0..50 {
        let (mut peer, _) = Peer::socketio(server.address).await;
        peer.send_text("40/hung,").await;
        peer.send_text("40/name,").await;
        asked.expect([(), ()]).await;
        if n % 2 == 0 {
            peer.finish().await;
        } else {
            peers.push(peer);
        }
    }
    for peer in &mut peers {
        for _ in 0..2 {
            let refusal = peer.recv_text().await;
            let message = "{\"message\":\"connect timeout\"}";
            let expected = ["/hung", "/name"].map(|name| format!("44{name},{message}"));
            assert!(expected.contains(&refusal), "{refusal}");
        }
        sync(peer).await;
    }
    drops.expect(["gone"; 100]).await;
}

/// Clients and the server leave and end sockets at whatever moment: the connect handlers of each that was let
/// in ran once, its disconnect handler once and behind them, and no namespace stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_goes_whenever_is_told_of_once() {
    async fn yields(count: u8) {
        for _ in 0..count {
            tokio::task::yield_now().await;
        }
    }
    let visits = Visits::default();
    let (begin, end, leave) = (visits.clone(), visits.clone(), visits.clone());
    // By the first characters of a random id, so each in its own way.
    let way = |socket: &Socket, of: usize| socket.id().as_bytes()[of] % 8;
    let rooms = Namespace::matching("/room-{n}")
        .middleware(move |socket: Socket| async move {
            yields(way(&socket, 0)).await;
            match way(&socket, 1) {
                0 => return Err("no"),
                1 => socket.disconnect(),
                _ => {}
            }
            Ok(())
        })
        .on_connect(move |socket: Socket| begin.of(&socket, |visit| visit.begun += 1))
        .on_connect(move |socket: Socket| {
            let end = end.clone();
            async move {
                yields(way(&socket, 2)).await;
                if way(&socket, 3) == 0 {
                    socket.disconnect();
                }
                end.of(&socket, |visit| visit.ended += 1);
                assert_ne!(way(&socket, 4), 0, "on purpose, within a test");
            }
        })
        .on_disconnect(move |socket: Socket| {
            leave.of(&socket, |visit| {
                assert_eq!((visit.begun, visit.ended), (1, 1));
                visit.left += 1;
            })
        });
    let server = Arc::new(serve(Server::builder().namespace(root()).namespace(rooms)).await);
    let clients = (0..4_usize).map(|client| {
        let server = server.clone();
        tokio::spawn(async move {
            for n in 0..100 {
                let mut peer = Peer::engineio(server.address).await;
                for room in 0..4 {
                    let path = format!("/room-{}", (n + room) % 6);
                    peer.send_text(&format!("40{path},")).await;
                    yields((n * 3 + client) as u8 % 16).await;
                    match (n + client) % 4 {
                        0 => peer.send_text(&format!("41{path},")).await,
                        1 => server.of(&path).iter().for_each(|room| room.disconnect()),
                        _ => {}
                    }
                }
                if n % 3 == 0 {
                    peer.finish().await;
                }
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    until(|| server.clients() == 0 && server.namespaces() == ["/"]).await;
    let told = Visit { begun: 1, ended: 1, left: 1 };
    until(|| visits.0.lock().unwrap().values().all(|visit| *visit == told)).await;
    assert!(visits.0.lock().unwrap().len() > 100);
}
