//! Several servers that are one, by an adapter.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use sockeye_server::{
    Ack, Data, EventName, Namespace, RemoteSocket, RoomEvent, Server, ServerSide, Socket, State,
    Value,
};
use sockeye_testkit::peer::{Message, Peer};

use crate::harness::{Journal, Running, journal, root, serve, sync, until, with_sockets, within};
use crate::loopback::Bus;

/// Shorter than [`within`] waits, for servers that never answer.
const SHORT: Duration = Duration::from_millis(500);

/// A server of the cluster with one client.
struct Site {
    server: Running,
    peer: Peer,
    socket: Socket,
    sockets: Journal<Socket>,
}

impl Site {
    async fn new(bus: &Bus, name: &'static str) -> Self {
        let (namespace, mut sockets) = with_sockets(root());
        let server = bus.serve(name, namespace).await;
        let (peer, _) = Peer::socketio(server.address).await;
        let socket = sockets.next().await;
        Self { server, peer, socket, sockets }
    }
}

async fn two() -> (Bus, Site, Site) {
    let bus = Bus::default();
    let (a, b) = (Site::new(&bus, "a").await, Site::new(&bus, "b").await);
    (bus, a, b)
}

#[tokio::test]
async fn broadcasts_reach_the_sockets_of_both() {
    let (_bus, mut a, mut b) = two().await;
    a.server.emit("all", (1, "x")).unwrap();
    b.socket.join("room");
    a.server.to("room").emit("room", Bytes::from_static(b"\x01")).unwrap();
    a.socket.broadcast().emit("others", ()).unwrap();
    a.server.except("room").emit("except", ()).unwrap();
    a.server.to(b.socket.id()).emit("id", ()).unwrap();
    a.server.to("room").to(a.socket.id()).except(b.socket.id()).emit("sum", ()).unwrap();
    a.server.local().emit("local", ()).unwrap();
    a.server.volatile().emit("volatile", ()).unwrap();
    for expected in ["42[\"all\",1,\"x\"]", "42[\"except\"]", "42[\"sum\"]", "42[\"local\"]"] {
        a.peer.expect_text(expected).await;
    }
    b.peer.expect_text("42[\"all\",1,\"x\"]").await;
    b.peer.expect_text(r#"451-["room",{"_placeholder":true,"num":0}]"#).await;
    b.peer.expect_binary(b"\x01").await;
    b.peer.expect_text("42[\"others\"]").await;
    b.peer.expect_text("42[\"id\"]").await;
    // The volatile event may or may not have found the connections idle.
    for site in [&mut a, &mut b] {
        site.peer.send_text("42999[\"sync\"]").await;
        let mut next = site.peer.recv().await;
        if next == Message::Text("42[\"volatile\"]".to_owned()) {
            next = site.peer.recv().await;
        }
        assert_eq!(next, Message::Text("43999[]".to_owned()));
    }
}

#[tokio::test]
async fn namespaces_of_the_cluster_are_apart() {
    let bus = Bus::default();
    let server = |name| {
        let bus = bus.clone();
        async move {
            let builder = Server::builder().namespace(root()).namespace(Namespace::new("/chat"));
            serve(builder.adapter(bus.factory(name, false))).await
        }
    };
    let (a, b) = (server("a").await, server("b").await);
    let (mut peer, _) = Peer::socketio(b.address).await;
    peer.join("/chat").await;
    a.of("/chat").unwrap().emit("e", 1).unwrap();
    peer.expect_text("42/chat,[\"e\",1]").await;
    sync(&mut peer).await;
}

/// Where the adapter knows an event's place among others only later, it says when, and may add to it.
#[tokio::test]
async fn an_adapter_may_deliver_itself() {
    let bus = Bus::default();
    let mut peers = Vec::new();
    let mut servers = Vec::new();
    let mut sockets = Vec::new();
    for name in ["a", "b"] {
        let (namespace, mut joined) = with_sockets(root());
        let builder = Server::builder().namespace(namespace).adapter(bus.factory(name, true));
        let server = serve(builder).await;
        peers.push(Peer::socketio(server.address).await.0);
        sockets.push(joined.next().await);
        servers.push(server);
    }
    servers[0].emit("e", 1).unwrap();
    servers[0].local().emit("local", ()).unwrap();
    peers[0].expect_text("42[\"e\",1,\"offset\"]").await;
    peers[0].expect_text("42[\"local\"]").await;
    peers[1].expect_text("42[\"e\",1,\"offset\"]").await;
    // Who is left out is so by name, since it comes back from the adapter.
    sockets[0].broadcast().emit("others", ()).unwrap();
    peers[1].expect_text("42[\"others\",\"offset\"]").await;
    for peer in &mut peers {
        sync(peer).await;
    }
}

#[tokio::test]
async fn acks_come_from_both() {
    let (bus, mut a, mut b) = two().await;
    // The counters of the two differ by one.
    drop(b.socket.emit_with_ack::<()>("x", ()));
    b.peer.expect_text("420[\"x\"]").await;
    let acks = a.server.everyone().emit_with_acks::<u32>("q", 7).unwrap();
    a.peer.expect_text("420[\"q\",7]").await;
    b.peer.expect_text("421[\"q\",7]").await;
    b.peer.send_text("431[2]").await;
    a.peer.send_text("430[1]").await;
    let responses = within(acks.all()).await;
    assert!(responses.missing.is_empty());
    let mut answers: Vec<_> =
        responses.answers.into_iter().map(|answer| (answer.socket, answer.data.unwrap())).collect();
    answers.sort_unstable_by_key(|(_, answer)| *answer);
    let expected = [(Some(a.socket.id().into()), 1), (Some(b.socket.id().into()), 2)];
    assert_eq!(answers, expected);
    until(|| bus.waiting() == 0).await;
}

#[tokio::test]
async fn a_socket_elsewhere_that_goes_is_missing_at_once() {
    let (_bus, a, mut b) = two().await;
    let acks = a.server.to(b.socket.id()).emit_with_acks::<u32>("q", ()).unwrap();
    b.peer.expect_text("420[\"q\"]").await;
    b.peer.send_text("41").await;
    let responses = within(acks.all()).await;
    assert!(responses.answers.is_empty());
    assert_eq!((responses.missing.elsewhere, responses.missing.sockets.len()), (1, 0));
}

#[tokio::test]
async fn dropping_the_acks_forgets_them_everywhere() {
    let (bus, a, mut b) = two().await;
    let mut acks = a.server.everyone().emit_with_acks::<u32>("q", ()).unwrap();
    b.peer.expect_text("420[\"q\"]").await;
    assert_eq!(bus.waiting(), 1);
    let cancelled = tokio::time::timeout(SHORT, acks.next()).await;
    assert!(cancelled.is_err(), "nobody has answered");
    drop(acks);
    until(|| bus.waiting() == 0).await;
    b.peer.send_text("430[1]").await;
    sync(&mut b.peer).await;
}

#[derive(Debug, Deserialize)]
struct Shake {
    headers: Value,
    time: String,
    address: String,
    xdomain: bool,
    secure: bool,
    issued: u64,
    url: String,
    query: Value,
    auth: Value,
}

#[tokio::test]
async fn sockets_are_described_and_can_be_acted_on() {
    let (_bus, a, mut b) = two().await;
    b.socket.join("room");
    b.socket.set_data(&("name", 7)).unwrap();
    let fetched = within(a.server.to("room").fetch_sockets()).await;
    assert!(fetched.silent.is_empty());
    let [remote]: [RemoteSocket; 1] = fetched.found.try_into().unwrap();
    assert_eq!(remote.id(), b.socket.id());
    assert_eq!(remote.rooms(), [b.socket.id().into(), Box::<str>::from("room")]);
    assert_eq!(remote.data::<(String, u32)>(), None, "one argument, which is an array");
    assert_eq!(remote.data::<Value>().unwrap(), Value::Array(vec!["name".into(), 7.into()]));
    let shake: Shake = remote.handshake().unwrap();
    assert!(shake.headers.get("host").is_some());
    assert!(shake.time.ends_with(" GMT+0000 (Coordinated Universal Time)"), "{}", shake.time);
    assert_eq!((shake.address.as_str(), shake.xdomain, shake.secure), ("127.0.0.1", false, false));
    assert!(shake.issued > 1_600_000_000_000);
    assert!(shake.url.starts_with("/socket.io/?"), "{}", shake.url);
    assert_eq!(shake.query.get("EIO").and_then(Value::as_str), Some("4"));
    assert_eq!(shake.auth, Value::Object(sockeye_server::Map::default()));

    let all = within(a.server.everyone().fetch_sockets()).await.found;
    assert_eq!(all.len(), 2);
    let own = within(a.server.local().fetch_sockets()).await.found;
    assert_eq!(own.iter().map(RemoteSocket::id).collect::<Vec<_>>(), [a.socket.id()]);
    assert_eq!(a.server.everyone().sockets().len(), 1, "handles are this server's alone");

    remote.emit("e", 1).unwrap();
    b.peer.expect_text("42[\"e\",1]").await;
    remote.join(["x", "y"]);
    remote.leave("room");
    let mut rooms = b.socket.rooms();
    rooms.sort_unstable();
    assert!(rooms.contains(&"x".into()) && rooms.contains(&"y".into()), "{rooms:?}");
    assert!(!rooms.contains(&"room".into()), "{rooms:?}");
    let asked = tokio::spawn({
        let remote = remote.clone();
        async move { remote.emit_with_ack::<u32>("q", ()).await.unwrap() }
    });
    b.peer.expect_text("420[\"q\"]").await;
    b.peer.send_text("430[5]").await;
    assert_eq!(within(asked).await.unwrap().values().collect::<Vec<_>>(), [5]);
    remote.disconnect();
    b.peer.expect_text("41").await;
    within(b.socket.closed()).await;
}

#[tokio::test]
async fn rooms_and_ends_reach_across() {
    let (_bus, mut a, mut b) = two().await;
    a.server.everyone().join("all");
    assert!(a.socket.rooms().contains(&"all".into()), "at once");
    assert!(b.socket.rooms().contains(&"all".into()));
    a.socket.broadcast().leave("all");
    assert!(a.socket.rooms().contains(&"all".into()));
    assert!(!b.socket.rooms().contains(&"all".into()));
    a.server.local().join("here");
    assert!(!b.socket.rooms().contains(&"here".into()));
    a.server.everyone().disconnect();
    a.peer.expect_text("41").await;
    b.peer.expect_text("41").await;
    a.peer.join("/").await;
    b.peer.join("/").await;
    let again = b.sockets.next().await;
    a.server.to(again.id()).disconnect_clients();
    b.peer.expect_text("41").await;
    within(again.closed()).await;
    assert!(!matches!(b.peer.recv().await, Message::Text(_)), "the connection ends");
    sync(&mut a.peer).await;
}

#[tokio::test]
async fn servers_speak_to_each_other_and_never_to_themselves() {
    let bus = Bus::default();
    let (note, mut heard) = journal();
    let mut servers = Vec::new();
    for name in ["a", "b", "c"] {
        let note = note.clone();
        let namespace = root()
            .state(name)
            .on_server_side(
                "hello",
                move |State(me): State<&'static str>, Data(from): Data<String>| {
                    note.write((me, from.clone()));
                    (me, from)
                },
            )
            .on_server_side("later", |EventName(event): EventName, io: ServerSide| async move {
                tokio::task::yield_now().await;
                assert_eq!((&*event, io.namespace()), ("later", "/"));
                io.everyone().sockets().len()
            })
            .on_server_side("bytes", |Data(bytes): Data<Bytes>, ack: Ack<ServerSide>| {
                assert!(ack.is_wanted());
                ack.send(bytes);
            });
        servers.push(bus.serve(name, namespace).await);
    }
    servers[0].everyone().server_side_emit("hello", "a").unwrap();
    let mut who = [heard.next().await, heard.next().await];
    who.sort_unstable();
    assert_eq!(who, [("b", "a".to_owned()), ("c", "a".to_owned())]);

    let ask = servers[0].everyone();
    let answers = ask.server_side_emit_with_acks::<(String, String)>("hello", "x").unwrap();
    let answers = within(answers).await;
    assert!(answers.silent.is_empty());
    let mut found: Vec<_> = answers.found.into_iter().map(|answer| answer.unwrap().0).collect();
    found.sort_unstable();
    assert_eq!(found, ["b", "c"]);
    let answers = within(ask.server_side_emit_with_acks::<usize>("later", ()).unwrap()).await;
    assert_eq!(answers.found, [Ok(0), Ok(0)]);
    let bytes = Bytes::from_static(b"\x00");
    let answers = within(ask.server_side_emit_with_acks::<Bytes>("bytes", &bytes).unwrap()).await;
    assert_eq!(answers.found, [Ok(bytes.clone()), Ok(bytes)]);
    // What does not fit is the answer's error, and not the call's.
    let answers = within(ask.server_side_emit_with_acks::<u8>("hello", "x").unwrap()).await;
    assert!(answers.found.len() == 2 && answers.found.iter().all(Result::is_err));
    assert_eq!(within(servers[0].servers()).await, 3);
    within(servers[2].close()).await;
    assert_eq!(within(servers[0].servers()).await, 2);
}

#[tokio::test]
async fn a_server_that_is_alone_hears_nothing() {
    let namespace = root().on_server_side("hello", || -> u32 { panic!("it is for others") });
    let server = serve(Server::builder().namespace(namespace)).await;
    server.everyone().server_side_emit("hello", ()).unwrap();
    let answers = server.everyone().server_side_emit_with_acks::<u32>("hello", ()).unwrap();
    let answers = within(answers).await;
    assert!(answers.found.is_empty() && answers.silent.is_empty());
    assert_eq!(server.servers().await, 1);
    assert!(within(server.everyone().fetch_sockets()).await.found.is_empty());
    assert!(server.everyone().server_side_emit("disconnect", ()).is_err(), "a reserved name");
}

#[tokio::test]
async fn a_silent_server_is_named_and_holds_nobody_else_up() {
    let (bus, mut a, mut b) = two().await;
    bus.add_silent("c");
    let acks = a.server.timeout(SHORT).emit_with_acks::<u32>("q", ()).unwrap();
    a.peer.expect_text("420[\"q\"]").await;
    a.peer.send_text("430[1]").await;
    b.peer.expect_text("420[\"q\"]").await;
    b.peer.send_text("430[2]").await;
    let responses = within(acks.all()).await;
    assert_eq!(responses.missing.servers, ["c".into()]);
    assert!(responses.answers.iter().all(|answer| answer.data.is_ok()));

    let fetched = within(a.server.timeout(SHORT).fetch_sockets()).await;
    assert_eq!((fetched.found.len(), fetched.silent), (2, vec!["c".into()]));

    let ask = a.server.timeout(SHORT);
    let answers = within(ask.server_side_emit_with_acks::<u32>("nobody handles it", ()).unwrap());
    let answers = answers.await;
    assert_eq!((answers.found.len(), answers.silent), (0, vec!["c".into()]));
}

#[tokio::test]
async fn rooms_that_come_and_go_are_told() {
    let (note, mut told) = journal();
    let namespace = root().on_room(move |event: RoomEvent<'_>| {
        note.write(match event {
            RoomEvent::Created { room } => format!("create {room}"),
            RoomEvent::Joined { room, id } => format!("join {room} {id}"),
            RoomEvent::Left { room, id } => format!("leave {room} {id}"),
            RoomEvent::Deleted { room } => format!("delete {room}"),
        });
    });
    let (namespace, mut sockets) = with_sockets(namespace);
    let bus = Bus::default();
    let server = bus.serve("a", namespace).await;
    let (_peer, _) = Peer::socketio(server.address).await;
    let one = sockets.next().await;
    let (mut other, _) = Peer::socketio(server.address).await;
    let two = sockets.next().await;
    let (one_id, two_id) = (one.id().to_owned(), two.id().to_owned());
    assert!(one.join("r") && !one.join("r") && two.join("r") && one.leave("r"));
    other.send_text("41").await;
    within(two.closed()).await;
    let expected = [
        format!("create {one_id}"),
        format!("join {one_id} {one_id}"),
        format!("create {two_id}"),
        format!("join {two_id} {two_id}"),
        "create r".to_owned(),
        format!("join r {one_id}"),
        format!("join r {two_id}"),
        format!("leave r {one_id}"),
        format!("leave r {two_id}"),
        "delete r".to_owned(),
        format!("leave {two_id} {two_id}"),
        format!("delete {two_id}"),
    ];
    told.expect(expected.clone()).await;
    let short: Vec<_> =
        expected.iter().map(|told| told.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(bus.rooms(), short, "the adapter hears the same");
}
