//! Raw Engine.IO from outside: what its user is promised, over real connections.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sockeye_server::engine::{
    CloseReason, Connection, Engine, EngineBuilder, Message, SendError, TrySendError,
};
use sockeye_server::{Fault, HandshakeRefusal, Request, Revision, Transport};
use sockeye_testkit::deadline::{until, within};
use sockeye_testkit::peer::{self, Peer};
use sockeye_testkit::polling::{Polling, request};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

const PATH: &str = "/engine.io/";
const WEBSOCKET: &str = "/engine.io/?EIO=4&transport=websocket";

#[derive(Clone, Copy, Debug)]
enum Face {
    Own,
    Axum,
}

const FACES: [Face; 2] = [Face::Own, Face::Axum];

impl Face {
    async fn listen(self, engine: &Engine) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let engine = engine.clone();
        match self {
            Self::Own => drop(tokio::spawn(async move { engine.serve_listener(listener).await })),
            Self::Axum => {
                let service = axum::Router::new()
                    .merge(engine.router())
                    .into_make_service_with_connect_info::<SocketAddr>();
                drop(tokio::spawn(async move { axum::serve(listener, service).await }));
            }
        }
        address
    }
}

/// An engine whose connections the test holds.
struct Running {
    engine: Engine,
    address: SocketAddr,
    connections: mpsc::UnboundedReceiver<Connection>,
}

impl Running {
    async fn serve(face: Face, builder: EngineBuilder) -> Self {
        let (give, connections) = mpsc::unbounded_channel();
        let engine = builder.build(move |connection| {
            let give = give.clone();
            async move { drop(give.send(connection)) }
        });
        let address = face.listen(&engine).await;
        Self { engine, address, connections }
    }

    #[track_caller]
    fn connection(&mut self) -> impl Future<Output = Connection> {
        let next = within(self.connections.recv());
        async move { next.await.unwrap() }
    }

    /// A client that polls, and the server's end of it.
    async fn polling(&mut self) -> (Polling, Connection) {
        let client = Polling::open_at(self.address, PATH).await;
        (client, self.connection().await)
    }

    /// A client on a websocket, and the server's end of it.
    async fn websocket(&mut self) -> (Peer, Connection) {
        let peer = open_websocket(self.address).await;
        (peer, self.connection().await)
    }

    async fn until_no_client(&self) {
        until(|| self.engine.clients() == 0).await;
    }
}

async fn open_websocket(address: SocketAddr) -> Peer {
    let mut peer = Peer::websocket(address, WEBSOCKET).await;
    let open = peer.recv_text().await;
    assert!(open.starts_with("0{\"sid\":\""), "{open}");
    peer
}

/// The next message must be this.
#[track_caller]
fn expect(connection: &mut Connection, expected: impl Into<Message>) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    let expected = expected.into();
    let next = within(connection.recv());
    async move { assert_eq!(next.await, Some(expected), "{caller}") }
}

/// The client must be gone, and for this reason.
#[track_caller]
fn expect_end(connection: &mut Connection, reason: CloseReason) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        assert_eq!(within(connection.recv()).await, None, "{caller}");
        assert_eq!(connection.sender().close_reason(), Some(reason), "{caller}");
        assert!(!connection.sender().is_open(), "{caller}");
        // It stays so.
        assert_eq!(within(connection.recv()).await, None, "{caller}");
        assert_eq!(connection.send("too late"), Err(SendError::Closed), "{caller}");
    }
}

#[tokio::test]
async fn text_and_bytes_go_both_ways_over_both_transports_and_across_an_upgrade() {
    for face in FACES {
        let mut server = Running::serve(face, Engine::builder()).await;
        let (client, mut connection) = server.polling().await;
        let sender = connection.sender().clone();
        assert_eq!(sender.id().as_str(), client.sid());
        assert_eq!(sender.transport(), Transport::Polling);
        assert_eq!(sender.handshake().query("transport").as_deref(), Some("polling"));
        client.post("4hello\u{1e}bAQID\u{1e}4\u{1e}b").await;
        expect(&mut connection, "hello").await;
        expect(&mut connection, vec![1, 2, 3]).await;
        expect(&mut connection, "").await;
        expect(&mut connection, Vec::new()).await;
        connection.send("text").unwrap();
        connection.send(vec![1, 2, 3, 4]).unwrap();
        sender.send("").unwrap();
        sender.send(Bytes::new()).unwrap();
        assert_eq!(client.poll().await, "4text\u{1e}bAQIDBA==\u{1e}4\u{1e}b", "{face:?}");

        connection.send("between").unwrap();
        client.post("4before").await;
        let mut peer = client.upgrade().await;
        peer.send_text("4after").await;
        expect(&mut connection, "before").await;
        expect(&mut connection, "after").await;
        peer.expect_text("4between").await;
        assert!(within(sender.upgraded()).await);
        assert_eq!(sender.transport(), Transport::Websocket);

        peer.send_binary(&[9]).await;
        expect(&mut connection, vec![9]).await;
        sender.send(vec![8, 7]).unwrap();
        sender.send_uncompressed("last").unwrap();
        peer.expect_binary(&[8, 7]).await;
        peer.expect_text("4last").await;
        assert_eq!(server.engine.clients(), 1);

        peer.send_close(&[]).await;
        expect_end(&mut connection, CloseReason::TransportClose).await;
        server.until_no_client().await;
    }
}

#[tokio::test]
async fn what_a_middleware_finds_out_goes_with_the_handshake() {
    for face in FACES {
        let builder = Engine::builder().engine_middleware(|mut request: Request| {
            request.extensions.insert(request.query("transport"));
            async { Ok(request) }
        });
        let mut server = Running::serve(face, builder).await;
        let transport = |connection: &Connection| {
            let extensions = connection.sender().handshake().extensions();
            extensions.get::<Option<String>>().cloned().flatten()
        };
        let (client, connection) = server.polling().await;
        assert_eq!(transport(&connection).as_deref(), Some("polling"), "{face:?}");
        let _peer = client.upgrade().await;
        assert!(within(connection.sender().upgraded()).await);
        assert_eq!(transport(&connection).as_deref(), Some("polling"));
        let (_peer, connection) = server.websocket().await;
        assert_eq!(transport(&connection).as_deref(), Some("websocket"));
    }
}

#[tokio::test]
async fn what_came_before_the_end_can_be_taken_and_then_the_reason_is_known() {
    for face in FACES {
        let builder = || Engine::builder().max_payload(1000);
        let mut server = Running::serve(face, builder()).await;
        let large = format!("4{}", "x".repeat(2000));
        let ends: [(&[u8], CloseReason); 5] = [
            (&peer::frame(0x88, b""), CloseReason::TransportClose),
            (&peer::text_frame("1"), CloseReason::TransportClose),
            (&peer::text_frame("x"), CloseReason::ParseError),
            (&peer::text_frame(&large), CloseReason::TransportError),
            (&peer::frame(0x83, b""), CloseReason::TransportError),
        ];
        for (end, reason) in ends {
            let (mut peer, mut connection) = server.websocket().await;
            peer.send_bytes(&[&peer::text_frame("4one"), &peer::text_frame("4two"), end].concat())
                .await;
            expect(&mut connection, "one").await;
            until(|| !connection.sender().is_open()).await;
            expect(&mut connection, "two").await;
            expect_end(&mut connection, reason).await;
        }
        let (mut peer, mut connection) = server.websocket().await;
        peer.send_text("4one").await;
        peer.finish().await;
        expect(&mut connection, "one").await;
        expect_end(&mut connection, CloseReason::TransportClose).await;

        for (end, reason) in [("1", CloseReason::TransportClose), ("x", CloseReason::ParseError)] {
            let (client, mut connection) = server.polling().await;
            drop(client.begin_post(&format!("4one\u{1e}4two\u{1e}{end}")).await.recv_http().await);
            expect(&mut connection, "one").await;
            expect(&mut connection, "two").await;
            expect_end(&mut connection, reason).await;
        }
        server.until_no_client().await;
    }
}

#[tokio::test]
async fn a_client_without_a_pong_is_gone_by_ping_timeout() {
    const INTERVAL: Duration = Duration::from_millis(100);
    const TIMEOUT: Duration = Duration::from_millis(100);
    for face in FACES {
        let builder = Engine::builder().ping_interval(INTERVAL).ping_timeout(TIMEOUT);
        let mut server = Running::serve(face, builder).await;
        let begun = Instant::now();
        let (_peer, mut connection) = server.websocket().await;
        expect_end(&mut connection, CloseReason::PingTimeout).await;
        // Deadlines are rounded down to the wheel's tick.
        assert!(begun.elapsed() + Duration::from_millis(20) >= INTERVAL + TIMEOUT);
        let (_client, mut connection) = server.polling().await;
        expect_end(&mut connection, CloseReason::PingTimeout).await;
    }
}

#[tokio::test]
async fn a_connection_that_is_dropped_says_all_it_had_to_say() {
    const MESSAGES: usize = 200;
    let text = "x".repeat(1000);
    for face in FACES {
        let mut server = Running::serve(face, Engine::builder()).await;
        let (mut peer, connection) = server.websocket().await;
        let sender = connection.sender().clone();
        for _ in 0..MESSAGES {
            connection.send(text.as_str()).unwrap();
        }
        drop(connection);
        assert_eq!(sender.send("too late"), Err(SendError::Closed));
        assert_eq!(sender.close_reason(), Some(CloseReason::ForcedClose));
        for _ in 0..MESSAGES {
            peer.expect_text(&format!("4{text}")).await;
        }
        peer.expect_close(1005).await;

        let (client, connection) = server.polling().await;
        for _ in 0..MESSAGES {
            connection.send(text.as_str()).unwrap();
        }
        drop(connection);
        let mut came = 0;
        while came < MESSAGES {
            for packet in client.poll().await.split('\u{1e}') {
                assert_eq!(packet[1..], text, "{face:?}");
                came += 1;
            }
        }
        assert_eq!(client.poll().await, "1");
        assert_eq!(client.request("GET", "", b"").await.status, 400);
        server.until_no_client().await;
    }
}

#[tokio::test]
async fn closing_a_sender_ends_the_session_and_its_connection_hears_so() {
    for face in FACES {
        let mut server = Running::serve(face, Engine::builder()).await;
        let (mut peer, mut connection) = server.websocket().await;
        connection.send("last words").unwrap();
        connection.sender().close();
        expect_end(&mut connection, CloseReason::ForcedClose).await;
        connection.sender().close();
        peer.expect_text("4last words").await;
        peer.expect_close(1005).await;

        // From within the wait of another one.
        let (client, mut connection) = server.polling().await;
        let sender = connection.sender().clone();
        let mut poll = client.begin_poll().await;
        until(|| sender.is_writable()).await;
        let (ended, ()) = tokio::join!(within(connection.recv()), async { sender.close() });
        assert_eq!(ended, None);
        assert_eq!(poll.recv_http().await.text(), "1", "{face:?}");
        server.until_no_client().await;
    }
}

#[tokio::test]
async fn discarding_drops_what_is_queued() {
    for face in FACES {
        let mut server = Running::serve(face, Engine::builder()).await;
        let (client, mut connection) = server.polling().await;
        connection.send("unheard").unwrap();
        // Alone, it would wait for a poll.
        connection.sender().close();
        connection.sender().discard();
        expect_end(&mut connection, CloseReason::ForcedClose).await;
        server.until_no_client().await;
        let answer = client.begin_poll().await.recv_http().await;
        assert_eq!(answer.text(), r#"{"code":1,"message":"Session ID unknown"}"#, "{face:?}");

        let (mut peer, mut connection) = server.websocket().await;
        connection.sender().discard();
        expect_end(&mut connection, CloseReason::ForcedClose).await;
        peer.expect_close(1005).await;
        server.until_no_client().await;
    }
}

#[tokio::test]
async fn a_receive_that_is_given_up_has_taken_nothing() {
    let mut server = Running::serve(Face::Own, Engine::builder()).await;
    let (mut peer, mut connection) = server.websocket().await;
    for n in 0..200 {
        let text = n.to_string();
        peer.send_text(&format!("4{text}")).await;
        for _ in 0..n % 7 {
            tokio::select! {
                biased;
                () = tokio::task::yield_now() => {}
                message = connection.recv() => {
                    // Then it was taken, and by this one.
                    assert_eq!(message, Some(Message::Text(text.clone())));
                    connection.send("again").unwrap();
                    peer.expect_text("4again").await;
                    peer.send_text(&format!("4{text}")).await;
                }
            }
        }
        expect(&mut connection, text).await;
    }
}

#[tokio::test]
async fn a_text_with_the_separator_is_handed_back() {
    for face in FACES {
        let mut server = Running::serve(face, Engine::builder()).await;
        for websocket in [false, true] {
            let (client, connection) = server.polling().await;
            let mut peer = if websocket { Some(client.upgrade().await) } else { None };
            let bad = "a\u{1e}b";
            assert_eq!(connection.send(bad), Err(SendError::Separator));
            let back = connection.sender().try_send(bad);
            assert_eq!(back, Err(TrySendError::Separator(bad.into())));
            assert_eq!(within(connection.sender().send_wait(bad)).await, Err(SendError::Separator));
            // Bytes may hold it, and the client is still there.
            connection.send(bad.as_bytes().to_vec()).unwrap();
            connection.send("good").unwrap();
            match &mut peer {
                Some(peer) => {
                    peer.expect_binary(bad.as_bytes()).await;
                    peer.expect_text("4good").await;
                }
                None => assert_eq!(client.poll().await, "bYR5i\u{1e}4good", "{face:?}"),
            }
        }
    }
}

#[tokio::test]
async fn an_upgrade_is_awaited_by_whoever_likes() {
    for face in FACES {
        let mut server = Running::serve(face, Engine::builder()).await;
        // A session that began there.
        let (_peer, connection) = server.websocket().await;
        assert_eq!(connection.sender().transport(), Transport::Websocket);
        assert!(within(connection.sender().upgraded()).await);

        // One that goes there.
        let (client, connection) = server.polling().await;
        let sender = connection.sender().clone();
        let waiting = tokio::spawn(async move { sender.upgraded().await });
        let mut peer = client.upgrade().await;
        assert!(within(waiting).await.unwrap());
        // It was there, even when it is over.
        peer.finish().await;
        until(|| !connection.sender().is_open()).await;
        assert!(within(connection.sender().upgraded()).await, "{face:?}");

        // One that never does.
        let (client, connection) = server.polling().await;
        let sender = connection.sender().clone();
        let waiting = tokio::spawn(async move { sender.upgraded().await });
        client.post("1").await;
        assert!(!within(waiting).await.unwrap(), "{face:?}");
    }
}

#[tokio::test]
async fn what_has_no_room_is_handed_back_or_waits_and_arrives_in_order() {
    const MESSAGES: usize = 300;
    let payload = "x".repeat(10_000);
    for face in FACES {
        for websocket in [false, true] {
            let builder = Engine::builder().max_buffered_bytes(100_000);
            let mut server = Running::serve(face, builder).await;
            let (client, connection) = server.polling().await;
            let mut peer = if websocket { Some(client.upgrade().await) } else { None };
            if websocket {
                assert!(within(connection.sender().upgraded()).await);
            }
            let sender = connection.sender().clone();
            let text = |n: usize| format!("{n} {payload}");
            let mut sent = 0;
            // Until the kernel's buffers are full, too.
            let mut full = 0;
            while full < 50 {
                match sender.try_send(text(sent)) {
                    Ok(()) => (sent, full) = (sent + 1, 0),
                    Err(TrySendError::Full(back)) => {
                        assert_eq!(back, Message::Text(text(sent)));
                        full += 1;
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            assert!(sender.buffered_bytes() >= 80_000, "{}", sender.buffered_bytes());
            assert!(!sender.is_writable());
            let waiting = sent;
            let last = text(waiting + MESSAGES);
            // One that is given up queues nothing.
            let given_up = sender.send_wait(text(sent));
            assert!(tokio::time::timeout(Duration::from_millis(5), given_up).await.is_err());
            let rest = {
                let (sender, payload) = (sender.clone(), payload.clone());
                tokio::spawn(async move {
                    for n in waiting..=waiting + MESSAGES {
                        sender.send_wait(format!("{n} {payload}")).await.unwrap();
                    }
                })
            };
            let mut next = 0;
            while next <= waiting + MESSAGES {
                let came = match &mut peer {
                    Some(peer) => peer.recv_text().await,
                    None => client.poll().await,
                };
                for packet in came.split('\u{1e}') {
                    assert_eq!(packet[1..], text(next), "{face:?}");
                    next += 1;
                }
            }
            assert_eq!(next - 1, waiting + MESSAGES, "{last}");
            within(rest).await.unwrap();
            until(|| sender.buffered_bytes() == 0).await;
        }
    }
}

#[tokio::test]
async fn who_waits_for_room_hears_of_the_end() {
    let mut server = Running::serve(Face::Own, Engine::builder().max_buffered_bytes(1000)).await;
    let (client, connection) = server.polling().await;
    let sender = connection.sender().clone();
    while sender.try_send("x".repeat(100)).is_ok() {}
    let waiting = tokio::spawn(async move { sender.send_wait("x".repeat(900)).await });
    tokio::task::yield_now().await;
    client.post("1").await;
    assert_eq!(within(waiting).await.unwrap(), Err(SendError::Closed));
    let back = connection.sender().try_send("late");
    assert_eq!(back, Err(TrySendError::Closed("late".into())));
}

#[tokio::test]
async fn a_slow_consumer_is_disconnected() {
    for face in FACES {
        let builder = Engine::builder().max_buffered_bytes(10_000);
        let mut server = Running::serve(face, builder).await;
        let (_client, mut connection) = server.polling().await;
        let refused = loop {
            if let Err(refused) = connection.send("x".repeat(1000)) {
                break refused;
            }
        };
        assert_eq!(refused, SendError::SlowConsumer);
        expect_end(&mut connection, CloseReason::TransportError).await;
        server.until_no_client().await;
    }
}

/// More than may wait comes in one piece, while somebody waits for it already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_inbox_is_read_on_when_it_is_taken_from() {
    const MESSAGES: usize = 200;
    for face in FACES {
        for websocket in [false, true] {
            for max in [1, 1000, 5000] {
                let builder = Engine::builder().max_waiting_bytes(max);
                let mut server = Running::serve(face, builder).await;
                let (client, mut connection) = server.polling().await;
                let mut peer = if websocket { Some(client.upgrade().await) } else { None };
                let reading = tokio::spawn(async move {
                    for n in 0..MESSAGES {
                        expect(&mut connection, format!("{n} {}", "x".repeat(100))).await;
                    }
                    connection
                });
                // It waits already.
                tokio::task::yield_now().await;
                let text = |n: usize| format!("4{n} {}", "x".repeat(100));
                match &mut peer {
                    Some(peer) => {
                        let all: Vec<u8> =
                            (0..MESSAGES).flat_map(|n| peer::text_frame(&text(n))).collect();
                        peer.send_bytes(&all).await;
                    }
                    None => {
                        let all: Vec<_> = (0..MESSAGES).map(text).collect();
                        client.post(&all.join("\u{1e}")).await;
                    }
                }
                within(reading).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn one_message_that_fills_the_inbox_does_not_end_reading() {
    let mut server = Running::serve(Face::Own, Engine::builder()).await;
    let (mut peer, mut connection) = server.websocket().await;
    let large = "x".repeat(999_999);
    for _ in 0..3 {
        let (came, ()) = tokio::join!(within(connection.recv()), async {
            let one = peer::text_frame(&format!("4{large}"));
            peer.send_bytes(&[&one[..], &one, &one].concat()).await;
        });
        assert!(came.is_some_and(|came| came == Message::Text(large.clone())));
        for _ in 0..2 {
            let came = within(connection.recv()).await;
            assert!(came.is_some_and(|came| came == Message::Text(large.clone())));
        }
    }
}

#[tokio::test]
async fn nothing_more_is_read_from_a_client_while_its_inbox_is_full() {
    const PIECE: usize = 10_000;
    let mut server = Running::serve(Face::Own, Engine::builder().max_waiting_bytes(50_000)).await;
    let (mut peer, mut connection) = server.websocket().await;
    let frame = peer::text_frame(&format!("4{}", "x".repeat(PIECE)));
    let patience = Duration::from_millis(200);
    let most = 200 * 1024 * 1024;
    let sent = peer.send_until_blocked(&frame, most, patience).await;
    assert!(sent < most, "all was read: {sent}");
    let whole = sent.div_ceil(frame.len());
    let rest = frame[sent % frame.len()..].to_vec();
    let rest = if sent.is_multiple_of(frame.len()) { Vec::new() } else { rest };
    let sending = tokio::spawn(async move {
        peer.send_bytes(&rest).await;
        peer.send_text("4end").await;
        peer
    });
    for _ in 0..whole {
        expect(&mut connection, "x".repeat(PIECE)).await;
    }
    expect(&mut connection, "end").await;
    drop(within(sending).await.unwrap());
}

/// A missing pong that lies behind what the server does not read is no fault of the client.
#[tokio::test]
async fn a_client_whose_inbox_is_full_keeps_its_heartbeat() {
    let builder = Engine::builder()
        // One message may always wait.
        .max_waiting_bytes(0)
        .ping_interval(Duration::from_millis(100))
        .ping_timeout(Duration::from_millis(500));
    let mut server = Running::serve(Face::Own, builder).await;
    let (mut peer, mut connection) = server.websocket().await;
    peer.send_text("4one").await;
    peer.send_text("4two").await;
    // Longer than the heartbeat bears of a client that may speak.
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert!(connection.sender().is_open());
    expect(&mut connection, "one").await;
    expect(&mut connection, "two").await;
    peer.expect_text("2").await;
    peer.send_text("3").await;
    peer.send_text("4three").await;
    expect(&mut connection, "three").await;
}

#[tokio::test]
async fn a_closing_engine_says_what_is_queued_and_waits_for_its_handlers() {
    for face in FACES {
        let done = Arc::new(AtomicUsize::new(0));
        let count = done.clone();
        let engine = Engine::builder().build(move |mut connection: Connection| {
            let count = count.clone();
            async move {
                connection.send("welcome").unwrap();
                while connection.recv().await.is_some() {}
                let reason = connection.sender().close_reason();
                assert_eq!(reason, Some(CloseReason::ServerShuttingDown));
                tokio::time::sleep(Duration::from_millis(20)).await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let address = face.listen(&engine).await;
        let mut peer = open_websocket(address).await;
        let client = Polling::open_at(address, PATH).await;
        peer.expect_text("4welcome").await;
        assert_eq!(client.poll().await, "4welcome");
        let mut poll = client.begin_poll().await;
        // Until the poll waits: one that comes too late finds no session.
        client.post("4x").await;
        let closing = tokio::spawn({
            let engine = engine.clone();
            async move { engine.close().await }
        });
        peer.expect_close(1001).await;
        assert_eq!(poll.recv_http().await.text(), "1server shutting down", "{face:?}");
        within(closing).await.unwrap();
        assert_eq!(done.load(Ordering::Relaxed), 2);
        assert_eq!(engine.clients(), 0);
    }
}

#[tokio::test]
async fn a_stuck_handler_is_aborted_after_the_grace() {
    struct Note(Option<oneshot::Sender<()>>);
    impl Drop for Note {
        fn drop(&mut self) {
            self.0.take().unwrap().send(()).ok();
        }
    }
    const GRACE: Duration = Duration::from_millis(200);
    for face in FACES {
        let (dropped, mut was_dropped) = oneshot::channel();
        let note = std::sync::Mutex::new(Some(Note(Some(dropped))));
        let engine = Engine::builder().grace(GRACE).build(move |connection: Connection| {
            let note = note.lock().unwrap().take();
            async move {
                let _held = (connection, note);
                std::future::pending::<()>().await;
            }
        });
        let address = face.listen(&engine).await;
        let mut peer = open_websocket(address).await;
        let begun = Instant::now();
        within(engine.close()).await;
        assert!(begun.elapsed() >= GRACE, "{:?}", begun.elapsed());
        assert!(was_dropped.try_recv().is_ok(), "{face:?}: the handler goes on");
        assert_eq!(engine.clients(), 0);
        peer.expect_close(1001).await;
    }
}

#[tokio::test]
async fn a_panic_ends_the_client_whose_handler_it_is_and_no_other() {
    for face in FACES {
        let engine = Engine::builder().build(|mut connection: Connection| {
            let how = connection.sender().handshake().query("how");
            assert!(how.as_deref() != Some("at once"), "on purpose, within a test");
            async move {
                while let Some(message) = connection.recv().await {
                    assert!(message != Message::from("panic"), "on purpose, within a test");
                    connection.send(message).ok();
                }
            }
        });
        let address = face.listen(&engine).await;
        let mut bystander = open_websocket(address).await;
        let client = Polling::open_at(address, PATH).await;

        let mut peer = open_websocket(address).await;
        peer.send_text("4panic").await;
        peer.expect_close(1005).await;

        let victim = Polling::open_at(address, PATH).await;
        victim.post("4panic").await;
        assert_eq!(victim.poll().await, "1");
        until(|| engine.clients() == 2).await;

        // Before there is a future.
        let mut peer = Peer::websocket(address, &format!("{WEBSOCKET}&how=at%20once")).await;
        peer.expect_eof().await;
        let target = format!("{PATH}?EIO=4&transport=polling&how=at%20once");
        let opened = request(address, "GET", &target, "", b"").await.recv_http().await;
        assert_eq!(opened.status, 200);
        until(|| engine.clients() == 2).await;

        bystander.send_text("4still here").await;
        bystander.expect_text("4still here").await;
        client.post("4still here").await;
        assert_eq!(client.poll().await, "4still here", "{face:?}");
    }
}

#[tokio::test]
async fn refusals_and_faults_are_counted() {
    for face in FACES {
        let mut server = Running::serve(face, Engine::builder()).await;
        let bad = format!("{PATH}?EIO=3&transport=polling");
        let refused = request(server.address, "GET", &bad, "", b"").await.recv_http().await;
        assert_eq!(refused.status, 400);
        assert_eq!(server.engine.refusals().get(HandshakeRefusal::UnsupportedRevision), 1);
        assert_eq!(server.engine.refusals().total(), 1);
        let (client, mut connection) = server.polling().await;
        let mut first = client.begin_poll().await;
        until(|| connection.sender().is_writable()).await;
        assert_eq!(client.request("GET", "", b"").await.status, 400);
        expect_end(&mut connection, CloseReason::TransportError).await;
        assert_eq!(server.engine.faults().get(Fault::PollOverlap), 1);
        assert_eq!(server.engine.faults().total(), 1);
        assert_eq!(server.engine.turned_away().total(), 0);
        // It is answered, whatever the answer.
        first.recv_http().await;
        // Another path is not the engine's.
        let other = "/socket.io/?EIO=4&transport=polling";
        assert_eq!(
            request(server.address, "GET", other, "", b"").await.recv_http().await.status,
            404
        );
    }
}

#[tokio::test]
async fn revision_3_is_spoken_where_it_is_allowed() {
    for face in FACES {
        let mut running = Running::serve(face, Engine::builder().allow_eio3(true)).await;
        let target = WEBSOCKET.replace("EIO=4", "EIO=3");
        let mut peer = Peer::websocket(running.address, &target).await;
        assert!(peer.recv_text().await.starts_with("0{\"sid\":"));
        let mut connection = running.connection().await;
        assert_eq!(connection.sender().revision(), Revision::V3);
        peer.send_text("4hello").await;
        peer.send_binary(&[4, 1, 2]).await;
        peer.send_text("2").await;
        peer.expect_text("3").await;
        assert_eq!(connection.recv().await, Some(Message::Text("hello".to_owned())));
        assert_eq!(connection.recv().await, Some(Message::Binary(Bytes::from_static(&[1, 2]))));
        // What separates packets in revision 4 does not here.
        connection.send("a\u{1e}b").unwrap();
        connection.send(vec![1, 2]).unwrap();
        peer.expect_text("4a\u{1e}b").await;
        peer.expect_binary(&[4, 1, 2]).await;

        let target = "/engine.io/?transport=polling";
        let open = request(running.address, "GET", target, "", b"").await.recv_http().await;
        let sid = open.text().split("\"sid\":\"").nth(1).unwrap()[..20].to_owned();
        let connection = running.connection().await;
        connection.send("a\u{1e}b").unwrap();
        let target = format!("{target}&sid={sid}");
        let polled = request(running.address, "GET", &target, "", b"").await.recv_http().await;
        assert_eq!(polled.text(), "4:4a\u{1e}b", "{face:?}");
        connection.send("€").unwrap();
        connection.send(vec![4]).unwrap();
        let polled = request(running.address, "GET", &target, "", b"").await.recv_http().await;
        assert_eq!(polled.body, b"\0\x04\xff4\xe2\x82\xac\x01\x02\xff\x04\x04", "{face:?}");

        let running = Running::serve(face, Engine::builder()).await;
        let target = "/engine.io/?EIO=3&transport=polling";
        let refused = request(running.address, "GET", target, "", b"").await.recv_http().await;
        assert_eq!(refused.text(), "{\"code\":5,\"message\":\"Unsupported protocol version\"}");
    }
}

#[tokio::test]
async fn what_happens_is_counted() {
    for face in FACES {
        let mut running = Running::serve(face, Engine::builder()).await;
        let (mut client, mut connection) = running.websocket().await;
        let (_polling, _other) = running.polling().await;
        let census = running.engine.metrics().sessions;
        assert_eq!((census.websocket, census.polling), (1, 1), "{face:?}");
        let before = running.engine.metrics().volume;
        client.send_text("4hello").await;
        assert_eq!(connection.recv().await, Some(Message::Text("hello".to_owned())));
        connection.send("hi").unwrap();
        client.expect_text("4hi").await;
        let after = running.engine.metrics().volume;
        assert_eq!(after.bytes_in - before.bytes_in, 6);
        assert_eq!(after.bytes_out - before.bytes_out, 3);
        client.send_text("1").await;
        expect_end(&mut connection, CloseReason::TransportClose).await;
        let metrics = running.engine.metrics();
        assert_eq!((metrics.opened, metrics.ended.total()), (2, 1));
        assert_eq!(metrics.ended.get(CloseReason::TransportClose), 1);
        assert_eq!(metrics.refusals.total() + metrics.upgrades, 0);
    }
}

#[cfg(feature = "prometheus")]
#[tokio::test]
async fn prometheus_finds_the_counts() {
    let mut running = Running::serve(Face::Own, Engine::builder()).await;
    let (_client, _connection) = running.websocket().await;
    let page = running.engine.prometheus();
    for line in [
        "sockeye_sessions{transport=\"websocket\"} 1",
        "sockeye_sessions_opened_total 1",
        "sockeye_sessions_ended_total{reason=\"transport_close\"} 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
    assert!(page.ends_with("# EOF\n") && !page.contains("namespace"), "{page}");
}
