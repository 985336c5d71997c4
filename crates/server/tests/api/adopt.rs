//! Socket.IO on the sessions of a raw engine: `Server::adopt`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sockeye_server::engine::{CloseReason, Connection, Engine, EngineBuilder, Message, Sender};
use sockeye_server::{
    Data, MsgpackParser, Namespace, Server, ServerBuilder, Socket, Transport, Value,
};
use sockeye_testkit::peer::Peer;
use sockeye_testkit::polling::Polling;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::harness::{
    FACES, Face, gate, journal, pass, root, serve, sync, until, with_reasons, with_sockets, within,
};

/// A raw engine at Socket.IO's path, whose connections the test holds.
struct Raw {
    engine: Engine,
    address: SocketAddr,
    connections: mpsc::UnboundedReceiver<Connection>,
}

impl Raw {
    async fn serve(face: Face, builder: EngineBuilder) -> Self {
        let (give, connections) = mpsc::unbounded_channel();
        let engine = builder.path("/socket.io").build(move |connection| {
            give.send(connection).ok();
            std::future::ready(())
        });
        let address = listen(face, &engine).await;
        Self { engine, address, connections }
    }

    /// A client on a websocket that has said nothing yet, and the server's end of it.
    async fn client(&mut self) -> (Peer, Connection) {
        let peer = Peer::engineio(self.address).await;
        (peer, within(self.connections.recv()).await.unwrap())
    }

    /// A client that was adopted and is in the namespace `/`.
    async fn adopted(&mut self, io: &Server) -> (Peer, Sender) {
        let (mut peer, connection) = self.client().await;
        let sender = connection.sender().clone();
        io.adopt(connection);
        peer.join("/").await;
        (peer, sender)
    }

    /// Until the engine has read so many bytes of packets.
    #[track_caller]
    fn until_read(&self, bytes: usize) -> impl Future<Output = ()> {
        until(move || self.engine.metrics().volume.bytes_in >= bytes as u64)
    }
}

async fn listen(face: Face, engine: &Engine) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let engine = engine.clone();
    match face {
        Face::Own => drop(tokio::spawn(async move { engine.serve_listener(listener).await })),
        Face::Axum => {
            let app = axum::Router::new().merge(engine.router());
            drop(tokio::spawn(async move { axum::serve(listener, app).await }));
        }
    }
    address
}

/// An engine all of whose clients are the server's: what Node's `io.bind(engine)` makes of one.
async fn bound(face: Face, io: &Server) -> (Engine, SocketAddr) {
    let io = io.clone();
    let engine = Engine::builder().path("/socket.io").build(move |connection| {
        io.adopt(connection);
        std::future::ready(())
    });
    let address = listen(face, &engine).await;
    (engine, address)
}

fn build(namespace: Namespace) -> Server {
    Server::builder().namespace(namespace).build()
}

#[tokio::test]
async fn its_clients_are_as_those_of_the_servers_own_engine() {
    for face in FACES {
        let namespace = root().on_connect(|socket: Socket| socket.join("lobby")).on(
            "chat message",
            |socket: Socket, Data(text): Data<String>| {
                socket.broadcast().to("lobby").emit("chat message", text).ok();
                "posted"
            },
        );
        let (namespace, mut sockets) = with_sockets(namespace);
        let server = serve(Server::builder().namespace(namespace)).await;
        let (engine, address) = bound(face, &server).await;

        let (mut own, _) = Peer::socketio(server.address).await;
        sockets.next().await;
        let (mut websocket, _) = Peer::socketio(address).await;
        let socket = sockets.next().await;
        assert_eq!(socket.handshake().query("transport").as_deref(), Some("websocket"));
        let (polling, id) = Polling::socketio(address).await;
        let socket = sockets.next().await;
        assert_eq!((socket.id(), socket.transport()), (&*id, Transport::Polling));
        assert_eq!((engine.clients(), server.clients(), server.sockets("/")), (2, 1, 3));

        // Each hears of what the others say.
        polling.post("421[\"chat message\",\"by a poll\"]").await;
        assert_eq!(polling.poll().await, "431[\"posted\"]", "{face:?}");
        own.expect_text("42[\"chat message\",\"by a poll\"]").await;
        websocket.expect_text("42[\"chat message\",\"by a poll\"]").await;
        own.send_text("42[\"chat message\",\"own\"]").await;
        websocket.expect_text("42[\"chat message\",\"own\"]").await;
        assert_eq!(polling.poll().await, "42[\"chat message\",\"own\"]");
        server.to("lobby").emit("all", ()).unwrap();
        own.expect_text("42[\"all\"]").await;
        websocket.expect_text("42[\"all\"]").await;

        // What waits for a poll comes by the websocket.
        let mut upgraded = polling.upgrade().await;
        upgraded.expect_text("42[\"all\"]").await;
        until(|| socket.transport() == Transport::Websocket).await;
        upgraded.send_text("422[\"chat message\",\"upgraded\"]").await;
        upgraded.expect_text("432[\"posted\"]").await;
        own.expect_text("42[\"chat message\",\"upgraded\"]").await;
        websocket.expect_text("42[\"chat message\",\"upgraded\"]").await;

        // Acks and binary, asked of the client.
        let asking = socket.clone();
        let asked = tokio::spawn(async move { asking.emit_with_ack::<Bytes>("ask", ()).await });
        upgraded.expect_text("420[\"ask\"]").await;
        upgraded.send_text("461-0[{\"_placeholder\":true,\"num\":0}]").await;
        upgraded.send_binary(&[1, 2]).await;
        assert_eq!(within(asked).await.unwrap().unwrap(), [1, 2][..]);

        // It leaves its namespace, and comes again.
        upgraded.send_text("41").await;
        until(|| server.sockets("/") == 2).await;
        upgraded.join("/").await;
        sync(&mut upgraded).await;
    }
}

#[tokio::test]
async fn what_has_come_is_heard_in_order_but_for_what_was_taken() {
    for face in FACES {
        let (note, mut heard) = journal();
        let namespace = root().on("n", move |Data(n): Data<u32>| note.write(n));
        let io = build(namespace);
        let mut raw = Raw::serve(face, Engine::builder()).await;

        let (mut peer, mut connection) = raw.client().await;
        let sender = connection.sender().clone();
        let mut sent = 0;
        for text in
            ["4a token", "40", "42[\"n\",0]", "451-[\"n\",{\"_placeholder\":true,\"num\":0}]"]
        {
            peer.send_text(text).await;
            sent += text.len();
        }
        // The attachment comes later.
        raw.until_read(sent).await;
        assert_eq!(within(connection.recv()).await, Some(Message::Text("a token".to_owned())));
        connection.send("who are you?").unwrap();
        peer.expect_text("4who are you?").await;
        io.adopt(connection);
        peer.expect_joined("/").await;
        peer.send_binary(b"1").await;
        for n in 1..100 {
            peer.send_text(&format!("42[\"n\",{n}]")).await;
        }
        heard.expect(0..100).await;
        // A way to the client that was there before is one still.
        sender.send("2[\"raw\"]").unwrap();
        peer.expect_text("42[\"raw\"]").await;

        let polling = Polling::open(raw.address).await;
        let connection = within(raw.connections.recv()).await.unwrap();
        polling.post("40\u{1e}42[\"n\",100]\u{1e}42[\"n\",101]").await;
        io.adopt(connection);
        assert!(polling.poll().await.starts_with("40{\"sid\":"), "{face:?}");
        heard.expect([100, 101]).await;
        heard.expect_nothing();
    }
}

/// Both the engine's bound and the server's hold, and nothing is lost or changes places.
#[tokio::test]
async fn more_than_handlers_can_take_waits_where_it_is() {
    const EVENTS: usize = 2000;
    let (note, mut heard) = journal();
    let hold = gate();
    let (go, handlers) = (hold.clone(), hold);
    let namespace = root().on("n", move |Data((n, _)): Data<(usize, String)>| {
        let (note, gate) = (note.clone(), handlers.clone());
        async move {
            pass(gate).await;
            note.write(n);
        }
    });
    let builder = Server::builder().namespace(namespace);
    let io = builder.max_running_handlers(1).max_waiting_bytes(10_000).build();
    let mut raw = Raw::serve(Face::Own, Engine::builder().max_waiting_bytes(100_000)).await;
    let (mut peer, connection) = raw.client().await;
    let filler = "x".repeat(500);
    let mut all = peer_text("40");
    for n in 0..EVENTS {
        all.extend(peer_text(&format!("42[\"n\",{n},\"{filler}\"]")));
    }
    tokio::spawn(async move {
        peer.send_bytes(&all).await;
        // It listens to the end.
        while peer.recv_within(Duration::from_secs(60)).await.is_some() {}
    });
    raw.until_read(80_000).await;
    io.adopt(connection);
    for n in 0..EVENTS {
        // The rest is not read meanwhile.
        if n == 1 {
            let read = raw.engine.metrics().volume.bytes_in;
            assert!(read < 600 * EVENTS as u64 / 2, "{read}");
        }
        go.add_permits(1);
        heard.expect([n]).await;
    }
}

/// As on any other session, however much has come before.
#[tokio::test]
async fn what_has_come_lets_others_have_their_turn() {
    const EVENTS: usize = 4000;
    let turn = Arc::new(AtomicUsize::new(0));
    let (now, (note, mut heard)) = (turn.clone(), journal());
    let io = build(root().on("n", move || note.write(now.load(Ordering::Relaxed))));
    let mut raw = Raw::serve(Face::Own, Engine::builder()).await;
    let (mut peer, connection) = raw.client().await;
    let mut all = peer_text("40");
    all.extend(peer_text("42[\"n\"]").repeat(EVENTS));
    peer.send_bytes(&all).await;
    raw.until_read("40".len() + "42[\"n\"]".len() * EVENTS).await;
    // It is woken at once, and not, as by `yield_now`, when nobody else is.
    tokio::spawn(std::future::poll_fn(move |cx| {
        turn.fetch_add(1, Ordering::Relaxed);
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    }));
    io.adopt(connection);
    let mut of_turn = HashMap::<_, usize>::new();
    for _ in 0..EVENTS {
        *of_turn.entry(heard.next().await).or_default() += 1;
    }
    assert!(of_turn.values().all(|events| *events <= 256), "{of_turn:?}");
    peer.expect_joined("/").await;
    sync(&mut peer).await;
}

fn peer_text(text: &str) -> Vec<u8> {
    sockeye_testkit::peer::text_frame(text)
}

#[tokio::test]
async fn it_ends_by_the_client_the_socket_or_the_way_that_was_there_before() {
    for face in FACES {
        let (namespace, mut sockets) = with_sockets(root());
        let (namespace, mut reasons) = with_reasons(namespace);
        let io = build(namespace);
        let mut raw = Raw::serve(face, Engine::builder()).await;

        let (mut peer, sender) = raw.adopted(&io).await;
        sockets.next().await;
        peer.send_close(&[]).await;
        reasons.expect(["transport close"]).await;
        until(|| !sender.is_open()).await;
        assert_eq!(sender.close_reason(), Some(CloseReason::TransportClose));

        let (mut peer, sender) = raw.adopted(&io).await;
        sockets.next().await.disconnect_client();
        peer.expect_text("41").await;
        peer.expect_close(1005).await;
        reasons.expect(["server namespace disconnect"]).await;
        assert_eq!(sender.close_reason(), Some(CloseReason::ForcedClose), "{face:?}");

        let (mut peer, sender) = raw.adopted(&io).await;
        let socket = sockets.next().await;
        socket.emit("last words", ()).unwrap();
        sender.close();
        peer.expect_text("42[\"last words\"]").await;
        peer.expect_close(1005).await;
        reasons.expect(["forced close"]).await;

        let (mut peer, sender) = raw.adopted(&io).await;
        peer.send_text("4no packet").await;
        peer.expect_close(1002).await;
        reasons.expect(["forced close"]).await;
        assert_eq!(io.metrics().violations, 1);
        until(|| !sender.is_open()).await;
        until(|| raw.engine.clients() == 0).await;
        assert_eq!(io.sockets("/"), 0);
    }
}

#[tokio::test]
async fn the_time_to_join_a_namespace_begins_when_it_is_adopted() {
    const TIMEOUT: Duration = Duration::from_millis(200);
    let io = Server::builder().namespace(root()).connect_timeout(TIMEOUT).build();
    let mut raw = Raw::serve(Face::Own, Engine::builder()).await;
    let (mut peer, connection) = raw.client().await;
    assert_eq!(peer.recv_within(TIMEOUT * 2).await, None);
    let begun = Instant::now();
    io.adopt(connection);
    peer.expect_close(1008).await;
    // Deadlines are rounded down to the wheel's tick.
    assert!(begun.elapsed() + Duration::from_millis(20) >= TIMEOUT, "{:?}", begun.elapsed());
}

fn forever() -> ServerBuilder {
    // Who waits for its end fails.
    Server::builder().grace(Duration::from_secs(3600))
}

#[tokio::test]
async fn closing_the_server_ends_its_clients_and_not_their_engine() {
    for drain in [false, true] {
        let (namespace, mut reasons) = with_reasons(root());
        let io = forever().namespace(namespace).build();
        let mut raw = Raw::serve(Face::Own, Engine::builder()).await;
        let (mut websocket, _) = raw.adopted(&io).await;
        let (polling, connection) = {
            let polling = Polling::open(raw.address).await;
            (polling, within(raw.connections.recv()).await.unwrap())
        };
        io.adopt(connection);
        polling.post("40").await;
        polling.poll().await;
        let (mut bystander, others) = raw.client().await;

        let closing = io.clone();
        let closing = tokio::spawn(async move {
            if drain {
                closing.drain(Duration::from_millis(100)).await;
            } else {
                closing.close().await;
            }
        });
        websocket.expect_close(1001).await;
        assert_eq!(polling.poll().await, "1server shutting down");
        reasons.expect(["server shutting down", "server shutting down"]).await;
        within(closing).await.unwrap();
        until(|| raw.engine.clients() == 1).await;
        assert!(raw.engine.is_accepting());
        others.send("still here").unwrap();
        bystander.expect_text("4still here").await;

        // Who comes too late is told the same.
        let sender = others.sender().clone();
        io.adopt(others);
        bystander.expect_close(1001).await;
        assert_eq!(sender.close_reason(), Some(CloseReason::ServerShuttingDown));
        within(io.close()).await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_answer_is_cut_off_at_the_end_of_the_servers_grace() {
    let (namespace, mut reasons) = with_reasons(root());
    let io = Server::builder().namespace(namespace).grace(Duration::from_millis(100)).build();
    let mut raw = Raw::serve(Face::Own, Engine::builder()).await;
    // It polls no more.
    let polling = Polling::open(raw.address).await;
    let connection = within(raw.connections.recv()).await.unwrap();
    io.adopt(connection);
    polling.post("40").await;
    polling.poll().await;
    within(io.close()).await;
    reasons.expect(["server shutting down"]).await;
    until(|| raw.engine.clients() == 0).await;
}

#[tokio::test]
async fn closing_the_engine_ends_them_too() {
    for face in FACES {
        let (namespace, mut reasons) = with_reasons(root());
        let io = forever().namespace(namespace).build();
        let (engine, address) = bound(face, &io).await;
        let (mut peer, _) = Peer::socketio(address).await;
        let closing = tokio::spawn(async move { engine.close().await });
        peer.expect_close(1001).await;
        reasons.expect(["server shutting down"]).await;
        within(closing).await.unwrap();
        assert!(io.is_accepting(), "{face:?}");
        // Nothing is left to wait for.
        within(io.close()).await;
    }
}

#[tokio::test]
async fn a_client_that_is_gone_is_no_matter() {
    let (namespace, mut sockets) = with_sockets(root());
    let io = forever().namespace(namespace).build();
    let mut raw = Raw::serve(Face::Own, Engine::builder()).await;
    let (mut peer, connection) = raw.client().await;
    peer.send_text("40").await;
    peer.send_close(&[]).await;
    until(|| raw.engine.clients() == 0).await;
    let sender = connection.sender().clone();
    io.adopt(connection);
    assert_eq!(sender.close_reason(), Some(CloseReason::TransportClose));
    within(io.close()).await;
    assert!(sockets.try_next().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_whatever_the_moment_of_its_end() {
    let (namespace, mut reasons) = with_reasons(root());
    let io = forever().namespace(namespace).build();
    let mut raw = Raw::serve(Face::Own, Engine::builder()).await;
    for n in 0..200 {
        let (mut peer, connection) = raw.client().await;
        let sender = connection.sender().clone();
        let adopting = io.clone();
        let adopting = tokio::spawn(async move { adopting.adopt(connection) });
        peer.send_text("40").await;
        if n % 2 == 0 {
            sender.close();
        } else {
            peer.reset();
        }
        adopting.await.unwrap();
    }
    until(|| raw.engine.clients() == 0).await;
    within(io.close()).await;
    while let Some(reason) = reasons.try_next() {
        assert!(["forced close", "transport close", "transport error"].contains(&reason));
    }
    assert_eq!(io.sockets("/"), 0);
}

#[tokio::test]
async fn clients_of_revision_3_are_in_the_root_namespace_at_once() {
    let io = build(root().on("echo", |Data(text): Data<String>| text));
    let mut raw = Raw::serve(Face::Own, Engine::builder().allow_eio3(true)).await;
    let target = "/socket.io/?EIO=3&transport=websocket";
    let mut peer = Peer::websocket(raw.address, target).await;
    assert!(peer.recv_text().await.starts_with("0{\"sid\":"));
    io.adopt(within(raw.connections.recv()).await.unwrap());
    peer.expect_text("40").await;
    peer.send_text("420[\"echo\",\"old\"]").await;
    peer.expect_text("430[\"old\"]").await;
}

/// Of a receiver that has given up, as in a `select!` with a timeout.
#[tokio::test]
async fn who_waited_for_a_message_is_not_kept() {
    struct Waiting;

    impl Wake for Waiting {
        fn wake(self: Arc<Self>) {}
    }

    let io = build(root());
    let mut raw = Raw::serve(Face::Own, Engine::builder()).await;
    let (mut peer, mut connection) = raw.client().await;
    let waiting = Arc::new(Waiting);
    let waker = Waker::from(waiting.clone());
    assert!(pin!(connection.recv()).poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    io.adopt(connection);
    peer.join("/").await;
    assert_eq!(Arc::strong_count(&waiting), 1);
}

#[tokio::test]
async fn what_is_sent_raw_is_no_matter_of_the_servers_parsers() {
    let kept = |_: &str, value: Value| (value.as_str() != Some("before")).then_some(value);
    let replaced = Server::builder().namespace(root()).replacer(kept);
    let parsed = Server::builder().namespace(root()).also_parser(MsgpackParser);
    // {"type":0,"nsp":"/"}
    let msgpack = "bgqR0eXBlAKNuc3ChLw==";
    for (io, connect) in [(replaced.build(), "40"), (parsed.build(), msgpack)] {
        let mut raw = Raw::serve(Face::Own, Engine::builder()).await;
        let polling = Polling::open(raw.address).await;
        let connection = within(raw.connections.recv()).await.unwrap();
        let sender = connection.sender().clone();
        sender.send("2[\"before\"]").unwrap();
        io.adopt(connection);
        polling.post(connect).await;
        until(|| io.sockets("/") == 1).await;
        sender.send("after").unwrap();
        let heard = polling.poll().await;
        let heard: Vec<_> = heard.split('\u{1e}').collect();
        assert_eq!((heard.len(), heard[0], heard[2]), (3, "42[\"before\"]", "4after"), "{heard:?}");
    }
}
