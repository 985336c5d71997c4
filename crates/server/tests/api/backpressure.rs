//! Everything is bounded: what happens where a bound is reached.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use sockeye_server::{Data, EmitError, Server, ServerBuilder, Socket, TryEmitError};
use sockeye_testkit::peer::{Message, Peer, text_frame};
use tokio::sync::Semaphore;

use crate::harness::{
    FACES, Journal, Running, journal, root, serve, sync, with_reasons, with_sockets, within,
};

/// What no buffer of the kernel takes: more than its largest for a sender and a receiver together.
const BEYOND_THE_KERNEL: usize = 20 << 20;

/// Nothing moved for so long that it is blocked, not slow.
const STILL: Duration = Duration::from_millis(400);

/// At the limit of running handlers events wait, while acks, pongs and closes pass.
#[tokio::test]
async fn only_events_wait_for_running_handlers() {
    for face in FACES {
        let gate = Arc::new(Semaphore::new(0));
        let waiting = gate.clone();
        let (note, mut started) = journal();
        let namespace = root().on("slow", move |Data(n): Data<u32>| {
            note.write(n);
            let gate = waiting.clone();
            async move {
                gate.acquire().await.unwrap().forget();
                n
            }
        });
        let (namespace, mut sockets) = with_sockets(namespace);
        let (namespace, mut reasons) = with_reasons(namespace);
        let builder = Server::builder().namespace(namespace).max_running_handlers(2);
        let server = face.serve(builder).await;
        let (mut peer, _) = Peer::socketio(server.address).await;
        let socket = sockets.next().await;

        for n in 0..5 {
            peer.send_text(&format!("42{n}[\"slow\",{n}]")).await;
        }
        started.expect([0, 1]).await;
        // What passes.
        peer.send_frame(0x89, b"ping").await;
        peer.expect(Message::Pong(b"ping".to_vec())).await;
        let answer = socket.emit_with_ack::<u32>("q", ());
        peer.expect_text("420[\"q\"]").await;
        peer.send_text("430[7]").await;
        assert_eq!(within(answer).await.unwrap(), 7);
        started.expect_nothing();

        // One that is done makes room for one, in order.
        for n in 0..3 {
            gate.add_permits(1);
            peer.expect_text(&format!("43{n}[{n}]")).await;
            started.expect([n + 2]).await;
        }
        started.expect_nothing();
        peer.send_text("429[\"slow\",9]").await;
        peer.send_text("41").await;
        reasons.expect(["client namespace disconnect"]).await;
        // What had not reached a handler when the socket left never does.
        gate.add_permits(100);
        peer.join("/").await;
        sync(&mut peer).await;
        started.expect_nothing();
    }
}

#[tokio::test]
async fn heartbeats_pass_running_handlers() {
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    let namespace = root().on("slow", move || {
        let gate = waiting.clone();
        async move { gate.acquire().await.unwrap().forget() }
    });
    let builder = Server::builder()
        .namespace(namespace)
        .max_running_handlers(1)
        .ping_interval(Duration::from_millis(100))
        .ping_timeout(Duration::from_millis(3000));
    let server = serve(builder).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.send_text("420[\"slow\"]").await;
    peer.send_text("421[\"slow\"]").await;
    for _ in 0..3 {
        peer.expect_text("2").await;
        peer.send_text("3").await;
    }
    gate.add_permits(2);
    for id in 0..2 {
        loop {
            match peer.recv_text().await.as_str() {
                "2" => peer.send_text("3").await,
                text => {
                    assert_eq!(text, format!("43{id}[]"));
                    break;
                }
            }
        }
    }
}

/// A server whose handlers of `n` wait at a gate, one at a time.
struct Stalled {
    server: Running,
    gate: Arc<Semaphore>,
    started: Journal<u32>,
    reasons: Journal<&'static str>,
}

async fn stalled() -> Stalled {
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    let (note, started) = journal();
    let namespace = root().on("n", move |Data((n, _)): Data<(u32, String)>| {
        note.write(n);
        let gate = waiting.clone();
        async move { drop(gate.acquire().await.unwrap()) }
    });
    let (namespace, reasons) = with_reasons(namespace);
    let builder =
        Server::builder().namespace(namespace).max_running_handlers(1).max_waiting_bytes(64 * 1024);
    Stalled { server: serve(builder).await, gate, started, reasons }
}

/// Numbered events of 16 KiB.
fn numbered(bytes: usize) -> (u32, Vec<u8>) {
    let padding = "x".repeat(16 * 1024);
    let mut all = Vec::with_capacity(bytes + 32 * 1024);
    let mut events = 0;
    while all.len() < bytes {
        all.extend(text_frame(&format!("42[\"n\",{events},\"{padding}\"]")));
        events += 1;
    }
    (events, all)
}

/// The byte limit stops reading: the client is held up, and nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_sends_too_much_is_held_up() {
    let Stalled { server, gate, mut started, reasons: _reasons } = stalled().await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let (events, bytes) = numbered(BEYOND_THE_KERNEL);
    let sent = peer.send_until_blocked(&bytes, bytes.len(), STILL).await;
    assert!(sent < bytes.len(), "the server took all of {sent} bytes, with a limit of 64 KiB");
    started.expect([0]).await;
    started.expect_nothing();
    // Others are served meanwhile.
    let (mut other, _) = Peer::socketio(server.address).await;
    sync(&mut other).await;

    gate.add_permits(1);
    peer.send_bytes(&bytes[sent..]).await;
    started.expect(1..events).await;
    sync(&mut peer).await;
}

/// A client that hangs up is noticed although nothing is read from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hang_up_is_noticed_while_nothing_is_read() {
    // In order: what comes before the end of the stream must fit into the kernel's buffers.
    let Stalled { server, gate: _gate, mut started, mut reasons } = stalled().await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let (_, bytes) = numbered(110_000);
    peer.send_bytes(&bytes).await;
    started.expect([0]).await;
    peer.finish().await;
    reasons.expect(["transport close"]).await;
    started.expect_nothing();

    // With a reset, whatever was on its way.
    let (mut peer, _) = Peer::socketio(server.address).await;
    let (_, bytes) = numbered(4 << 20);
    peer.send_until_blocked(&bytes, bytes.len(), STILL).await;
    started.expect([0]).await;
    peer.reset();
    reasons.expect(["transport close"]).await;
    started.expect_nothing();
}

/// One event is larger than all that may wait: it is handled all the same.
#[tokio::test]
async fn one_large_event_may_wait() {
    let Stalled { server, gate, mut started, reasons: _reasons } = stalled().await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    for n in 0..3 {
        peer.send_text(&format!("42{n}[\"n\",{n},\"{}\"]", "x".repeat(200_000))).await;
    }
    started.expect([0]).await;
    gate.add_permits(1);
    started.expect([1, 2]).await;
    for n in 0..3 {
        peer.expect_text(&format!("43{n}[]")).await;
    }
}

/// A server with room for this many bytes, and two clients: one that will not read, and another.
async fn two_clients(
    max_buffered_bytes: usize,
) -> (Running, [(Peer, Socket); 2], Journal<&'static str>) {
    let builder = |namespace| -> ServerBuilder {
        Server::builder().namespace(namespace).max_buffered_bytes(max_buffered_bytes)
    };
    let (namespace, mut sockets) = with_sockets(root());
    let (namespace, reasons) = with_reasons(namespace);
    let server = serve(builder(namespace)).await;
    let (lazy, _) = Peer::socketio(server.address).await;
    let lazy = (lazy, sockets.next().await);
    let (busy, _) = Peer::socketio(server.address).await;
    let busy = (busy, sockets.next().await);
    (server, [lazy, busy], reasons)
}

fn padding() -> String {
    "x".repeat(32 * 1024)
}

/// The slow consumer is disconnected; the others are not held up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_is_disconnected() {
    let (server, [(_lazy, slow), (mut busy, quick)], mut reasons) = two_clients(256 * 1024).await;
    let padding = padding();
    let mut n = 0_u32;
    while slow.is_connected() {
        server.emit("n", (n, &padding)).unwrap();
        busy.expect_text(&format!("42[\"n\",{n},\"{padding}\"]")).await;
        n += 1;
        assert!((n as usize) < BEYOND_THE_KERNEL / padding.len(), "it may buffer without end");
    }
    reasons.expect(["transport error"]).await;
    assert!(matches!(slow.emit("e", ()), Err(EmitError::Disconnected)));
    assert_eq!(slow.buffered_bytes(), 0, "what waited is let go");
    assert!(quick.is_connected());
    sync(&mut busy).await;
    assert_eq!(server.clients(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn emit_tells_of_a_slow_consumer() {
    let (_server, [(_lazy, slow), _busy], mut reasons) = two_clients(256 * 1024).await;
    let padding = padding();
    let error = loop {
        match slow.emit("n", &padding) {
            Ok(()) => tokio::task::yield_now().await,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, EmitError::SlowConsumer), "{error:?}");
    reasons.expect(["transport error"]).await;
}

/// `try_emit` hands the data back and leaves the client connected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn try_emit_hands_the_data_back() {
    let (_server, [(mut lazy, slow), _busy], mut reasons) = two_clients(256 * 1024).await;
    let padding = padding();
    let n = fill(&slow, &padding).await;
    assert!(slow.is_connected());
    assert!(slow.buffered_bytes() <= 256 * 1024);

    // Acks have a reserve, and what waits is not lost.
    lazy.send_text("42999[\"sync\"]").await;
    for n in 0..n {
        lazy.expect_text(&format!("42[\"n\",{n},\"{padding}\"]")).await;
    }
    lazy.expect_text("43999[]").await;
    slow.try_emit("again", ()).unwrap();
    lazy.expect_text("42[\"again\"]").await;
    reasons.expect_nothing();
    lazy.finish().await;
    within(slow.closed()).await;
    match slow.try_emit("gone", "data") {
        Err(TryEmitError::Emit(EmitError::Disconnected, data)) => assert_eq!(data, "data"),
        other => panic!("{other:?}"),
    }
}

/// Emits numbered events until nothing moves any more; returns how many were taken.
async fn fill(socket: &Socket, padding: &str) -> u32 {
    let mut n = 0;
    loop {
        match socket.try_emit("n", (n, padding)) {
            Ok(()) => n += 1,
            Err(TryEmitError::Full((number, data))) => {
                assert_eq!((number, data), (n, padding), "the data come back");
                // Full, but the kernel may still be taking some of it.
                let before = socket.buffered_bytes();
                tokio::time::sleep(STILL).await;
                if socket.buffered_bytes() == before {
                    return n;
                }
            }
            Err(other) => panic!("{other}"),
        }
        assert!((n as usize) < BEYOND_THE_KERNEL / padding.len(), "it may buffer without end");
    }
}

/// `emit_wait` waits for room; dropped before, it sends nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn emit_wait_waits() {
    let (_server, [(mut lazy, slow), _busy], mut reasons) = two_clients(256 * 1024).await;
    let padding = padding();
    let n = fill(&slow, &padding).await;
    let short = tokio::time::timeout(Duration::from_millis(50), slow.emit_wait("n", &padding));
    assert!(short.await.is_err(), "there is no room");

    let (socket, data) = (slow.clone(), padding.clone());
    let waiting = tokio::spawn(async move {
        for n in n..n + 100 {
            socket.emit_wait("n", (n, &data)).await.unwrap();
        }
    });
    for n in 0..n + 100 {
        lazy.expect_text(&format!("42[\"n\",{n},\"{padding}\"]")).await;
    }
    within(waiting).await.unwrap();
    sync(&mut lazy).await;
    reasons.expect_nothing();
}

/// Whoever waits for room learns that there will be none, and nothing is sent after the farewell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disconnect_ends_emit_wait() {
    for by_server in [true, false] {
        let (_server, [(mut lazy, slow), _busy], _reasons) = two_clients(256 * 1024).await;
        let padding = padding();
        let n = fill(&slow, &padding).await;
        let mut waiting = Box::pin(slow.emit_wait("n", &padding));
        let first = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx))).await;
        assert!(first.is_pending());
        if by_server {
            slow.disconnect();
        } else {
            lazy.finish().await;
        }
        let outcome = within(waiting).await;
        assert!(matches!(outcome, Err(EmitError::Disconnected)), "{by_server}: {outcome:?}");
        if by_server {
            for n in 0..n {
                lazy.expect_text(&format!("42[\"n\",{n},\"{padding}\"]")).await;
            }
            lazy.expect_text("41").await;
            lazy.join("/").await;
            sync(&mut lazy).await;
        }
    }
}

/// Volatile events go where the client can be written to, and nowhere else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn volatile_events_are_dropped_where_they_would_wait() {
    let (server, [(mut lazy, slow), (mut busy, quick)], mut reasons) =
        two_clients(256 * 1024).await;
    assert!(slow.emit_volatile("first", ()).unwrap());
    lazy.expect_text("42[\"first\"]").await;
    let padding = padding();
    let n = fill(&slow, &padding).await;
    for _ in 0..100 {
        assert!(!slow.emit_volatile("dropped", ()).unwrap());
    }
    server.of("/").unwrap().volatile().emit("volatile", ()).unwrap();
    busy.expect_text("42[\"volatile\"]").await;
    assert!(quick.emit_volatile("e", ()).unwrap());
    busy.expect_text("42[\"e\"]").await;
    lazy.send_text("42999[\"sync\"]").await;
    for n in 0..n {
        lazy.expect_text(&format!("42[\"n\",{n},\"{padding}\"]")).await;
    }
    lazy.expect_text("43999[]").await;
    assert!(slow.emit_volatile("last", ()).unwrap());
    lazy.expect_text("42[\"last\"]").await;
    reasons.expect_nothing();
}

/// Pings, however many, of a client that does not read the pongs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_pings_is_survived() {
    let (_server, [(mut lazy, slow), (mut busy, _quick)], mut reasons) =
        two_clients(64 * 1024).await;
    let ping = sockeye_testkit::peer::frame(0x89, &[b'p'; 125]);
    let pings = ping.repeat(1000);
    let sent = lazy.send_until_blocked(&pings, 16 << 20, STILL).await;
    sync(&mut busy).await;
    // The last one may be cut.
    lazy_finish_frame(&mut lazy, &ping, sent).await;
    lazy.send_text("42999[\"sync\"]").await;
    loop {
        match lazy.recv().await {
            Message::Pong(payload) => assert_eq!(payload, [b'p'; 125]),
            Message::Text(text) => {
                assert_eq!(text, "43999[]");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(slow.is_connected());
    reasons.expect_nothing();
}

async fn lazy_finish_frame(peer: &mut Peer, frame: &[u8], sent: usize) {
    if !sent.is_multiple_of(frame.len()) {
        peer.send_bytes(&frame[sent % frame.len()..]).await;
    }
}

/// Answers to events, of a client that does not read them: it is held up or disconnected, and what
/// waits for it is bounded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_and_does_not_read_is_bounded() {
    let namespace = root().on("ask", || "x".repeat(32 * 1024));
    let (namespace, mut sockets) = with_sockets(namespace);
    let limit = 64 * 1024;
    let server = serve(Server::builder().namespace(namespace).max_buffered_bytes(limit)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;
    let question = text_frame("420[\"ask\"]");
    peer.send_until_blocked(&question.repeat(1000), 1 << 20, STILL).await;
    // The limit, the acks' reserve of another 64 KiB, and an answer that began below both.
    let waits = socket.buffered_bytes();
    assert!(waits <= limit + 64 * 1024 + 33 * 1024, "{waits} bytes wait");
    let (mut other, _) = Peer::socketio(server.address).await;
    sync(&mut other).await;
}
