//! The packets of Engine.IO 4 and Socket.IO 5 on a websocket, byte by byte.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sockeye_server::{Data, EventName, Namespace, Refusal, Server, Socket};
use sockeye_testkit::peer::{Message, Peer, TARGET, frame, text_frame};
use sockeye_websocket::handshake::client;

use crate::harness::{FACES, journal, root, serve, serve_namespace, sync, with_sockets};

fn is_id(id: &str) -> bool {
    id.len() == 20 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// The id in an open packet, which must have exactly these other members.
fn sid<'a>(open: &'a str, rest: &str) -> &'a str {
    let sid = open.strip_prefix("0{\"sid\":\"").and_then(|open| open.strip_suffix(rest));
    let sid = sid.unwrap_or_else(|| panic!("not the expected open packet: {open}"));
    assert!(is_id(sid), "{sid}");
    sid
}

#[tokio::test]
async fn the_open_packet() {
    for face in FACES {
        let server = face.serve(Server::builder().namespace(root())).await;
        let mut peer = Peer::websocket(server.address, TARGET).await;
        let open = peer.recv_text().await;
        sid(
            &open,
            r#"","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#,
        );
    }
}

#[tokio::test]
async fn the_open_packet_tells_the_options() {
    let builder = Server::builder()
        .ping_interval(Duration::from_millis(1234))
        .ping_timeout(Duration::from_secs(5))
        .max_payload(100);
    let server = serve(builder).await;
    let mut peer = Peer::websocket(server.address, TARGET).await;
    let open = peer.recv_text().await;
    sid(&open, r#"","upgrades":[],"pingInterval":1234,"pingTimeout":5000,"maxPayload":100}"#);
}

#[tokio::test]
async fn ids_are_public_and_never_the_sessions() {
    let server = serve(Server::builder().namespace(root()).namespace(Namespace::new("/b"))).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let mut peer = Peer::websocket(server.address, TARGET).await;
        let open = peer.recv_text().await;
        let members =
            r#"","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        seen.push(sid(&open, members).to_owned());
        seen.push(peer.join("/").await);
        seen.push(peer.join("/b").await);
        // Another connection to the same namespace has another id.
        peer.send_text("41").await;
        seen.push(peer.join("/").await);
    }
    assert!(seen.iter().all(|id| is_id(id)), "{seen:?}");
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), all, "an id was given twice: {seen:?}");
}

#[tokio::test]
async fn namespaces_are_joined_with_and_without_comma_and_auth() {
    let namespaces = Server::builder().namespace(root()).namespace(Namespace::new("custom"));
    let server = serve(namespaces).await;
    for connect in ["40/custom", "40/custom,", "40/custom,{}", "40/custom,{\"a\":[1,\"€\"]}"] {
        let mut peer = Peer::engineio(server.address).await;
        peer.send_text(connect).await;
        assert!(is_id(&peer.expect_joined("/custom").await), "{connect}");
    }
    for connect in ["40", "40{}", "40/,", "40{\"token\":\"abc\"}"] {
        let mut peer = Peer::engineio(server.address).await;
        peer.send_text(connect).await;
        assert!(is_id(&peer.expect_joined("/").await), "{connect}");
        sync(&mut peer).await;
    }
}

#[tokio::test]
async fn connect_errors() {
    let refusing = Namespace::new("/auth").middleware(|| {
        #[derive(Serialize)]
        struct Why {
            code: u32,
            retry: bool,
        }
        Err::<(), _>(Refusal::new("not authorized").with_data(Why { code: 42, retry: false }))
    });
    let plain = Namespace::new("/plain").middleware(|| Err::<(), _>("say \"please\""));
    let server =
        serve(Server::builder().namespace(root()).namespace(refusing).namespace(plain)).await;
    let mut peer = Peer::engineio(server.address).await;
    for (connect, answer) in [
        (
            "40/auth,{\"t\":\"no\"}",
            r#"44/auth,{"message":"not authorized","data":{"code":42,"retry":false}}"#,
        ),
        ("40/plain,", r#"44/plain,{"message":"say \"please\""}"#),
        ("40/nope,", r#"44/nope,{"message":"Invalid namespace"}"#),
        ("40/nope", r#"44/nope,{"message":"Invalid namespace"}"#),
    ] {
        peer.send_text(connect).await;
        peer.expect_text(answer).await;
    }
    // The same connection can still be let in.
    peer.join("/").await;
    sync(&mut peer).await;

    let server = serve(Server::builder().namespace(Namespace::new("/only"))).await;
    let mut peer = Peer::engineio(server.address).await;
    peer.send_text("40").await;
    peer.expect_text(r#"44{"message":"Invalid namespace"}"#).await;
}

#[tokio::test]
async fn events_from_the_client() {
    let (note, mut events) = journal();
    let namespace = root().on_fallback(
        move |EventName(name): EventName, Data(args): Data<[serde_json::Value; 3]>| {
            note.write(format!("{name} {}", serde_json::to_string(&args).unwrap()));
        },
    );
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    for (packet, noted) in [
        (r#"42["hello",1,{"a":null}]"#, r#"hello [1,{"a":null},null]"#),
        (r#"42[12,"numeric event"]"#, r#"12 ["numeric event",null,null]"#),
        (r#"42["",true,[]]"#, r#" [true,[],null]"#),
        (r#"42["\u20ac\n","…€😀","\ud83d\ude00"]"#, "€\n [\"…€😀\",\"😀\",null]"),
        // Half of a pair, which JavaScript sends when a string was cut there.
        (r#"42["half","\ud83d"]"#, "half [\"\u{FFFD}\",null,null]"),
        (r#"42/,["with the namespace"]"#, "with the namespace [null,null,null]"),
        (r#"42[ "spaces" , 1 ]"#, "spaces [1,null,null]"),
    ] {
        peer.send_text(packet).await;
        assert_eq!(events.next().await, noted, "{packet}");
    }
    // Without a payload it is no event, and no offence (as in Node).
    peer.send_text("42").await;
    sync(&mut peer).await;
    events.expect_nothing();
}

#[tokio::test]
async fn events_from_the_server() {
    #[derive(Serialize)]
    struct Point {
        x: i32,
        name: Option<&'static str>,
    }
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;

    socket.emit("none", ()).unwrap();
    peer.expect_text(r#"42["none"]"#).await;
    socket.emit("one", 1.5).unwrap();
    peer.expect_text(r#"42["one",1.5]"#).await;
    socket.emit("tuple", ("a", 2, true)).unwrap();
    peer.expect_text(r#"42["tuple","a",2,true]"#).await;
    socket.emit("list", [1, 2]).unwrap();
    let list = peer.recv_text().await;
    assert!(list == r#"42["list",[1,2]]"# || list == r#"42["list",1,2]"#, "{list}");
    socket.emit("vec", vec!["a"]).unwrap();
    peer.expect_text(r#"42["vec",["a"]]"#).await;
    socket.emit("nothing", None::<u8>).unwrap();
    peer.expect_text(r#"42["nothing",null]"#).await;
    socket.emit("struct", Point { x: -1, name: None }).unwrap();
    peer.expect_text(r#"42["struct",{"x":-1,"name":null}]"#).await;
    socket.emit("…€😀\"\n", "…€😀\"\n").unwrap();
    peer.expect_text("42[\"…€😀\\\"\\n\",\"…€😀\\\"\\n\"]").await;
    socket.send("hi").unwrap();
    peer.expect_text(r#"42["message","hi"]"#).await;
    server.emit("all", ("a", 1)).unwrap();
    peer.expect_text(r#"42["all","a",1]"#).await;
}

#[tokio::test]
async fn acks_both_ways() {
    let (namespace, mut sockets) = with_sockets(
        root().on("ackme", |Data((text, number)): Data<(String, u32)>| (text, number)),
    );
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;

    peer.send_text(r#"420["ackme","x",2]"#).await;
    peer.expect_text(r#"430["x",2]"#).await;
    peer.send_text(r#"4212["ackme","y",3]"#).await;
    peer.expect_text(r#"4312["y",3]"#).await;
    peer.send_text(r#"429007199254740991["ackme","z",4]"#).await;
    peer.expect_text(r#"439007199254740991["z",4]"#).await;

    // The server's ids are its own.
    for id in 0..3 {
        let answer = socket.emit_with_ack::<(String, u32)>("question", id);
        peer.expect_text(&format!(r#"42{id}["question",{id}]"#)).await;
        peer.send_text(&format!(r#"43{id}["answer",{id}]"#)).await;
        assert_eq!(answer.await.unwrap(), ("answer".to_owned(), id));
    }
}

/// Binary of every kind of place, to be sent back.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Nested {
    x: Bytes,
    more: Vec<Bytes>,
}

#[tokio::test]
async fn binary_events_and_acks() {
    let (note, mut noted) = journal();
    let namespace = root()
        .on("b", move |Data(data): Data<(Bytes, Nested)>| note.write(data))
        .on("bin", |Data(bytes): Data<Bytes>| bytes)
        .on("swapped", |Data((a, b)): Data<(Bytes, Bytes)>| (a.to_vec(), b.to_vec()));
    let (namespace, mut sockets) = with_sockets(namespace);
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;

    let nested = Nested {
        x: Bytes::from_static(&[3]),
        more: vec![Bytes::new(), Bytes::from_static(&[4, 5])],
    };
    let data = (Bytes::from_static(&[1, 2]), nested);
    let packet = r#"454-["b",{"_placeholder":true,"num":0},{"x":{"_placeholder":true,"num":1},"more":[{"_placeholder":true,"num":2},{"_placeholder":true,"num":3}]}]"#;
    let attachments: [&[u8]; 4] = [&[1, 2], &[3], &[], &[4, 5]];
    peer.send_text(packet).await;
    for attachment in attachments {
        peer.send_binary(attachment).await;
    }
    assert_eq!(noted.next().await, data);

    // The server's encoder pulls them out depth first, in the same order.
    socket.emit("b", &data).unwrap();
    peer.expect_text(packet).await;
    for attachment in attachments {
        peer.expect_binary(attachment).await;
    }

    peer.send_text(r#"451-12["bin",{"_placeholder":true,"num":0}]"#).await;
    peer.send_binary(b"\x00\xff").await;
    peer.expect_text(r#"461-12[{"_placeholder":true,"num":0}]"#).await;
    peer.expect_binary(b"\x00\xff").await;

    // Placeholders in another order, and attachments that came as base64 in text.
    peer.send_text(
        r#"452-1["swapped",{"_placeholder":true,"num":1},{"num":0,"_placeholder":true}]"#,
    )
    .await;
    peer.send_text("bAQI=").await;
    peer.send_text("bAw==").await;
    peer.expect_text("431[[3],[1,2]]").await;

    // Acks from the client with attachments.
    let answer = socket.emit_with_ack::<(u8, Bytes)>("question", Bytes::from_static(b"?"));
    peer.expect_text(r#"451-0["question",{"_placeholder":true,"num":0}]"#).await;
    peer.expect_binary(b"?").await;
    peer.send_text(r#"461-0[7,{"_placeholder":true,"num":0}]"#).await;
    peer.send_binary(b"!").await;
    assert_eq!(answer.await.unwrap(), (7, Bytes::from_static(b"!")));
    sync(&mut peer).await;
}

#[tokio::test]
async fn ten_attachments_are_allowed() {
    let namespace = root().on("ten", |Data(all): Data<Vec<Bytes>>| all.concat());
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let placeholders: Vec<_> =
        (0..10).map(|num| format!("{{\"_placeholder\":true,\"num\":{num}}}")).collect();
    peer.send_text(&format!("4510-5[\"ten\",[{}]]", placeholders.join(","))).await;
    for byte in 0..10 {
        peer.send_binary(&[byte]).await;
    }
    peer.expect_text("435[[0,1,2,3,4,5,6,7,8,9]]").await;
}

#[tokio::test]
async fn several_namespaces_on_one_connection() {
    let echo = |name: &'static str| {
        Namespace::new(name)
            .on("who", move |Data(bytes): Data<Bytes>| (name, bytes))
            .on("am i", move || name)
    };
    let server = serve(Server::builder().namespace(echo("/")).namespace(echo("/chat"))).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.join("/chat").await;
    peer.send_text(r#"423["am i"]"#).await;
    peer.expect_text(r#"433["/"]"#).await;
    peer.send_text(r#"42/chat,3["am i"]"#).await;
    peer.expect_text(r#"43/chat,3["/chat"]"#).await;
    peer.send_text(r#"451-/chat,0["who",{"_placeholder":true,"num":0}]"#).await;
    peer.send_binary(b"b").await;
    peer.expect_text(r#"461-/chat,0["/chat",{"_placeholder":true,"num":0}]"#).await;
    peer.expect_binary(b"b").await;

    server.of("/chat").unwrap().emit("to chat", 1).unwrap();
    server.emit("to root", 2).unwrap();
    peer.expect_text(r#"42/chat,["to chat",1]"#).await;
    peer.expect_text(r#"42["to root",2]"#).await;

    // Leaving one leaves the other.
    peer.send_text("41/chat,").await;
    peer.send_text(r#"424["am i"]"#).await;
    peer.expect_text(r#"434["/"]"#).await;
    server.of("/chat").unwrap().emit("to nobody", ()).unwrap();
    peer.join("/chat").await;
    peer.send_text(r#"42/chat,5["am i"]"#).await;
    peer.expect_text(r#"43/chat,5["/chat"]"#).await;
}

#[tokio::test]
async fn nothing_is_lost_behind_the_handshake() {
    for face in FACES {
        let server = face.serve(Server::builder().namespace(root())).await;
        let host = server.address.to_string();
        let mut bytes = client::request(TARGET, &host, &client::key([7; 16])).into_bytes();
        for text in ["40", "421[\"sync\"]", "422[\"sync\"]"] {
            bytes.extend(text_frame(text));
        }
        let mut peer = Peer::connect(server.address).await;
        peer.send_bytes(&bytes).await;
        assert_eq!(peer.recv_http().await.status, 101);
        assert!(peer.recv_text().await.starts_with('0'));
        peer.expect_joined("/").await;
        peer.expect_text("431[]").await;
        peer.expect_text("432[]").await;
    }
}

#[tokio::test]
async fn input_cut_at_every_byte() {
    for face in FACES {
        let namespace = root().on("e", |Data((text, bytes)): Data<(String, Bytes)>| (text, bytes));
        let server = face.serve(Server::builder().namespace(namespace)).await;
        let host = server.address.to_string();
        let mut bytes = client::request(TARGET, &host, &client::key([7; 16])).into_bytes();
        bytes.extend(text_frame("40"));
        bytes.extend(text_frame(r#"451-1["e","…€😀",{"_placeholder":true,"num":0}]"#));
        bytes.extend(frame(0x82, &[0; 200]));
        let mut peer = Peer::connect(server.address).await;
        for byte in bytes {
            peer.send_bytes(&[byte]).await;
            // On this one thread the server has its turn between any two bytes.
            tokio::task::yield_now().await;
        }
        assert_eq!(peer.recv_http().await.status, 101);
        assert!(peer.recv_text().await.starts_with('0'));
        peer.expect_joined("/").await;
        peer.expect_text(r#"461-1["…€😀",{"_placeholder":true,"num":0}]"#).await;
        peer.expect_binary(&[0; 200]).await;
    }
}

#[tokio::test]
async fn fragments_with_control_frames_between_them() {
    let server = serve_namespace(root()).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.send_frame(0x01, b"421[\"s").await;
    peer.send_frame(0x89, b"are you there?").await;
    peer.expect(Message::Pong(b"are you there?".to_vec())).await;
    peer.send_frame(0x00, b"").await;
    peer.send_frame(0x8A, b"unsolicited").await;
    peer.send_frame(0x80, b"ync\"]").await;
    peer.expect_text("431[]").await;
}

#[tokio::test]
async fn packets_without_a_meaning_are_ignored() {
    let server = serve_namespace(root()).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    // open, upgrade, noop, a pong that nobody asked for.
    for packet in ["0", "0{}", "5", "6", "3", "3probe"] {
        peer.send_text(packet).await;
    }
    // An ack that nobody awaits, with and without an id.
    for packet in ["4377[1]", "43[1]", "42[\"nobody handles this\"]"] {
        peer.send_text(packet).await;
    }
    sync(&mut peer).await;
}

#[tokio::test]
async fn a_message_of_exactly_the_limit_passes() {
    let namespace = root().on("len", |Data(text): Data<String>| text.len());
    let server = serve(Server::builder().namespace(namespace).max_payload(100_000)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let length = 100_000 - r#"420["len",""]"#.len();
    peer.send_text(&format!(r#"420["len","{}"]"#, "x".repeat(length))).await;
    peer.expect_text(&format!("430[{length}]")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_event_arrives_whole() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket: Socket = sockets.next().await;
    // Larger than the outbox's limit: it is accepted where nothing else waits.
    let data = "0123456789".repeat(300_000);
    socket.emit("large", &data).unwrap();
    peer.expect_text(&format!("42[\"large\",\"{data}\"]")).await;
    sync(&mut peer).await;
}
