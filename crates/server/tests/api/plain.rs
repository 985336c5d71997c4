//! Plain connections: sockets beside those of Socket.IO, without its framing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use sockeye_server::{
    AckError, Args, Cors, Data, EmitError, HandshakeRefusal, Namespace, Refusal, Server,
    ServerBuilder, Socket, Transport,
};
use sockeye_testkit::peer::{Message, Peer, http, text_frame};
use tokio::sync::Semaphore;

use crate::harness::{
    FACES, Face, Running, UPGRADE, expect_end, journal, root, serve, until, with_reasons,
    with_sockets, within,
};

/// What no buffer of the kernel takes: more than its largest for a sender and a receiver together.
const BEYOND_THE_KERNEL: usize = 20 << 20;

/// A chat in which everybody is in the same room, whatever they speak.
fn chat() -> Namespace {
    root()
        .on_connect(|socket: Socket| {
            socket.join("lobby");
        })
        .on("chat message", |socket: Socket, args: Data<Args>| {
            socket.broadcast().to("lobby").emit("chat message", args.0).ok();
            "posted"
        })
        .on("echo", |Data(args): Data<Args>| args)
}

fn builder(namespace: Namespace) -> ServerBuilder {
    Server::builder().namespace(namespace).plain("/plain", "/")
}

/// A plain client, let in, and the id of its socket.
async fn plain(server: &Running) -> (Peer, String) {
    let mut peer = Peer::websocket(server.address, "/plain").await;
    let id = expect_connected(&mut peer).await;
    (peer, id)
}

async fn expect_connected(peer: &mut Peer) -> String {
    let connected = peer.recv_text().await;
    let id = connected
        .strip_prefix(r#"{"connected":{"id":""#)
        .and_then(|rest| rest.strip_suffix(r#""}}"#))
        .unwrap_or_else(|| panic!("{connected}"));
    id.to_owned()
}

/// Whatever the server has done for this plain peer so far has arrived.
async fn sync(peer: &mut Peer) {
    peer.send_text(r#"{"event":"sync","id":999}"#).await;
    peer.expect_text(r#"{"ack":999,"args":[]}"#).await;
}

#[tokio::test]
async fn both_kinds_are_in_one_room() {
    for face in FACES {
        let server = face.serve(builder(chat())).await;
        let (mut one, one_id) = plain(&server).await;
        let (mut two, two_id) = plain(&server).await;
        let (mut socketio, _) = Peer::socketio(server.address).await;
        assert!(one_id.len() == 20 && one_id != two_id);
        assert_eq!(server.clients(), 3);

        one.send_text(r#"{"event":"chat message","args":["hi",{"a":[1,null]}],"id":7}"#).await;
        one.expect_text(r#"{"ack":7,"args":["posted"]}"#).await;
        two.expect_text(r#"{"event":"chat message","args":["hi",{"a":[1,null]}]}"#).await;
        socketio.expect_text(r#"42["chat message","hi",{"a":[1,null]}]"#).await;

        socketio.send_text(r#"421["chat message","ho"]"#).await;
        socketio.expect_text(r#"431["posted"]"#).await;
        for plain in [&mut one, &mut two] {
            plain.expect_text(r#"{"event":"chat message","args":["ho"]}"#).await;
        }

        server.to(&one_id).emit("for you", ()).unwrap();
        one.expect_text(r#"{"event":"for you","args":[]}"#).await;
        sync(&mut two).await;
        one.send_close(b"").await;
        one.expect(Message::Close(1005)).await;
        until(|| server.clients() == 2).await;
        server.emit("left", 2).unwrap();
        two.expect_text(r#"{"event":"left","args":[2]}"#).await;
        socketio.expect_text(r#"42["left",2]"#).await;
    }
}

#[tokio::test]
async fn binary_goes_both_ways() {
    let server = serve(builder(chat())).await;
    let (mut plain, _) = plain(&server).await;
    let (mut socketio, _) = Peer::socketio(server.address).await;

    plain
        .send_text(
            r#"{"event":"chat message","args":[{"file":{"$binary":"AAE="}},{"$$binary":1}]}"#,
        )
        .await;
    socketio
        .expect_text(r#"451-["chat message",{"file":{"_placeholder":true,"num":0}},{"$binary":1}]"#)
        .await;
    socketio.expect_binary(b"\0\x01").await;

    socketio.send_text(r#"452-["chat message",{"_placeholder":true,"num":1},[{"_placeholder":true,"num":0}],{"$binary":1}]"#).await;
    socketio.send_binary(b"\0\x01").await;
    socketio.send_binary(b"???").await;
    plain
        .expect_text(r#"{"event":"chat message","args":[{"$binary":"Pz8/"},[{"$binary":"AAE="}],{"$$binary":1}]}"#)
        .await;

    plain.send_text(r#"{"event":"echo","args":["x",{"$binary":"Pz8\/"}],"id":0}"#).await;
    plain.expect_text(r#"{"ack":0,"args":["x",{"$binary":"Pz8/"}]}"#).await;
}

#[tokio::test]
async fn a_plain_client_answers() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve(builder(namespace).ack_timeout(Duration::from_millis(100))).await;
    let (mut peer, id) = plain(&server).await;
    let socket = sockets.next().await;
    assert_eq!((socket.id(), socket.transport()), (id.as_str(), Transport::Websocket));

    let answer = socket.emit_with_ack::<u32>("add", (1, 2)).timeout(Duration::from_secs(60));
    peer.expect_text(r#"{"event":"add","args":[1,2],"id":0}"#).await;
    // Of no interest to anybody.
    peer.send_text(r#"{"ack":17,"args":[4]}"#).await;
    peer.send_text(r#"{"ack":0,"args":[3]}"#).await;
    peer.send_text(r#"{"ack":0,"args":[4]}"#).await;
    assert_eq!(within(answer).await.unwrap(), 3);

    let answer = socket.emit_with_ack::<Bytes>("b", ()).timeout(Duration::from_secs(60));
    peer.expect_text(r#"{"event":"b","args":[],"id":1}"#).await;
    peer.send_text(r#"{"ack":1,"args":[{"$binary":"AAE"}]}"#).await;
    assert_eq!(within(answer).await.unwrap(), Bytes::from_static(b"\0\x01"));

    let answer = socket.emit_with_ack::<u32>("never", ());
    peer.expect_text(r#"{"event":"never","args":[],"id":2}"#).await;
    assert!(matches!(within(answer).await, Err(AckError::Timeout)));
    let answer = socket.emit_with_ack::<u32>("gone", ()).timeout(Duration::from_secs(60));
    peer.expect_text(r#"{"event":"gone","args":[],"id":3}"#).await;
    peer.finish().await;
    assert!(matches!(within(answer).await, Err(AckError::Disconnected)));
}

#[tokio::test]
async fn the_answers_a_client_may_owe_are_limited() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve(builder(namespace).max_pending_acks(1)).await;
    let (mut peer, _) = plain(&server).await;
    let socket = sockets.next().await;
    let first = socket.emit_with_ack::<u32>("q", ());
    let second = within(socket.emit_with_ack::<u32>("q", ())).await;
    assert!(matches!(second, Err(AckError::Emit(EmitError::TooManyAcks))));
    peer.expect_text(r#"{"event":"q","args":[],"id":0}"#).await;
    drop(first);
    sync(&mut peer).await;
}

#[derive(Deserialize)]
struct Auth {
    token: String,
}

#[tokio::test]
async fn the_middleware_decides() {
    for face in FACES {
        let guarded = Namespace::new("/guarded")
            .middleware(|Data(auth): Data<Option<Auth>>| async move {
                tokio::task::yield_now().await;
                match auth {
                    Some(auth) if auth.token == "ä/&" => Ok(()),
                    Some(_) => Err(Refusal::new("who?").with_data([1, 2])),
                    None => Err(Refusal::new("no token")),
                }
            })
            .on("sync", || ());
        let (guarded, mut reasons) = with_reasons(guarded);
        let builder = Server::builder()
            .namespace(guarded)
            .namespace(Namespace::new("/at once").middleware(|| Err::<(), _>("no")))
            // As written by somebody who forgets the slashes; and within the server's own path.
            .plain("plain", "guarded")
            .plain("/socket.io/at-once", "/at once")
            .plain("/nowhere", "/nowhere");
        let server = face.serve(builder).await;

        let target = "/plain?auth=%7B%22token%22%3A%22%C3%A4%2F%26%22%7D";
        let mut peer = Peer::websocket(server.address, target).await;
        // Events wait for the handler's word.
        peer.send_text(r#"{"event":"sync","id":0}"#).await;
        expect_connected(&mut peer).await;
        peer.expect_text(r#"{"ack":0,"args":[]}"#).await;

        for (target, said, code) in [
            ("/plain", r#"{"error":{"message":"no token"}}"#, 1008),
            (
                "/plain?auth=%7B%22token%22%3A%22%22%7D",
                r#"{"error":{"message":"who?","data":[1,2]}}"#,
                1008,
            ),
            ("/plain?auth=token", r#"{"error":{"message":"\"auth\" is not a JSON object"}}"#, 1007),
            ("/socket.io/at-once", r#"{"error":{"message":"no"}}"#, 1008),
            ("/nowhere", r#"{"error":{"message":"Invalid namespace"}}"#, 1008),
        ] {
            let mut peer = Peer::websocket(server.address, target).await;
            peer.expect_text(said).await;
            peer.expect_close(code).await;
        }
        until(|| server.clients() == 1).await;
        assert_eq!(server.metrics().connects_refused, 4);
        assert_eq!(server.metrics().violations, 1);
        assert!(reasons.try_next().is_none());
    }
}

/// What a connect handler emits and joins reaches a plain client behind its `connected`, too.
#[tokio::test]
async fn a_connect_handler_that_emits_and_disconnects() {
    let namespace = root().on_connect(|socket: Socket| {
        socket.emit("welcome", 1).unwrap();
        socket.disconnect();
    });
    let (namespace, mut reasons) = with_reasons(namespace);
    let server = serve(builder(namespace)).await;
    let mut peer = Peer::websocket(server.address, "/plain").await;
    expect_connected(&mut peer).await;
    peer.expect_text(r#"{"event":"welcome","args":[1]}"#).await;
    peer.expect_close(1000).await;
    reasons.expect(["server namespace disconnect"]).await;
}

/// A client that leaves while the middleware decides was never there.
#[tokio::test]
async fn a_client_that_leaves_too_early() {
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    let namespace = root().middleware(move || {
        let gate = waiting.clone();
        async move { drop(gate.acquire().await.unwrap()) }
    });
    let (namespace, mut reasons) = with_reasons(namespace);
    let server = serve(builder(namespace)).await;
    let mut peer = Peer::websocket(server.address, "/plain").await;
    peer.send_close(b"").await;
    peer.expect(Message::Close(1005)).await;
    until(|| server.clients() == 0).await;
    reasons.expect_nothing();
    gate.add_permits(1);
    within(server.close()).await;
    reasons.expect_nothing();
}

/// The connect timeout is for plain clients, too: the handler does not answer.
#[tokio::test]
async fn a_middleware_without_an_answer() {
    let namespace = root().middleware(std::future::pending::<()>);
    let timeout = Duration::from_millis(50);
    let server = serve(builder(namespace).connect_timeout(timeout)).await;
    let mut peer = Peer::websocket(server.address, "/plain").await;
    peer.expect_close(1008).await;
    assert_eq!(server.metrics().violations, 1);
}

#[tokio::test]
async fn every_end_has_its_reason() {
    for face in FACES {
        for (ending, code, reason) in [
            ("socket", 1000, "server namespace disconnect"),
            ("client", 1000, "server namespace disconnect"),
            ("server", 1001, "server shutting down"),
            ("close", 1000, "transport close"),
            ("eof", 0, "transport close"),
            ("broken frame", 1002, "transport error"),
            ("too large", 1009, "transport error"),
            ("not JSON", 1007, "forced close"),
        ] {
            let (namespace, mut sockets) = with_sockets(root());
            let (namespace, mut reasons) = with_reasons(namespace);
            let server = face.serve(builder(namespace).max_payload(1000)).await;
            let (mut peer, _) = plain(&server).await;
            let socket = sockets.next().await;
            socket.emit("last", ending).unwrap();
            match ending {
                "socket" => socket.disconnect(),
                "client" => socket.disconnect_client(),
                "server" => {
                    let io = server.io.clone();
                    tokio::spawn(async move { io.close().await });
                }
                _ => {}
            }
            peer.expect_text(&format!(r#"{{"event":"last","args":["{ending}"]}}"#)).await;
            match ending {
                "close" => peer.send_close(&1000_u16.to_be_bytes()).await,
                "eof" => peer.finish().await,
                "broken frame" => peer.send_frame(0x83, b"").await,
                "too large" => peer.send_text(&"x".repeat(1001)).await,
                "not JSON" => {
                    peer.send_text("hello").await;
                    let error = r#"{"error":{"message":"the message is not JSON"}}"#;
                    peer.expect_text(error).await;
                }
                _ => {}
            }
            if code == 0 {
                expect_end(&mut peer).await;
            } else {
                peer.expect_close(code).await;
            }
            reasons.expect([reason]).await;
            assert!(matches!(socket.emit("e", ()), Err(EmitError::Disconnected)), "{ending}");
            until(|| server.clients() == 0).await;
        }
    }
}

#[tokio::test]
async fn what_is_no_message_is_told_and_ends_the_connection() {
    let ten = [r#"{"$binary":"AA=="}"#; 10].join(",");
    let eleven = format!(r#"{{"event":"echo","args":[{ten},{{"$binary":""}}]}}"#);
    let table: &[(&str, u16, &str)] = &[
        ("", 1007, "not JSON"),
        ("42[\"echo\"]", 1007, "not a JSON object"),
        (r#"{"event":"echo"}{}"#, 1007, "not JSON"),
        (r#"["echo"]"#, 1007, "not a JSON object"),
        ("{}", 1007, r#"neither \"event\" nor \"ack\""#),
        (r#"{"event":"echo","ack":1}"#, 1007, r#"both \"event\" and \"ack\""#),
        (r#"{"event":1}"#, 1007, r#"\"event\" is not a string"#),
        (r#"{"event":"connect"}"#, 1007, r#"reserved name \"connect\""#),
        (r#"{"event":"disconnecting"}"#, 1007, r#"reserved name \"disconnecting\""#),
        (r#"{"event":"echo","args":{}}"#, 1007, r#"\"args\" is not an array"#),
        (r#"{"event":"echo","id":-1}"#, 1007, r#"\"id\" is not an unsigned integer"#),
        (r#"{"ack":"0"}"#, 1007, r#"\"ack\" is not an unsigned integer"#),
        (r#"{"event":"echo","data":1}"#, 1007, r#"unknown key \"data\""#),
        (r#"{"event":"echo","event":"echo"}"#, 1007, r#"the key \"event\" twice"#),
        (r#"{"event":"echo","args":[{"$binary":7}]}"#, 1007, "$binary"),
        (&eleven, 1008, "more attachments than allowed"),
    ];
    let (namespace, mut reasons) = with_reasons(chat());
    let server = serve(builder(namespace)).await;
    for (count, (text, code, words)) in (1..).zip(table) {
        let (mut peer, _) = plain(&server).await;
        peer.send_text(text).await;
        let error = peer.recv_text().await;
        assert!(error.starts_with(r#"{"error":{"message":""#) && error.contains(words), "{error}");
        peer.expect_close(*code).await;
        reasons.expect(["forced close"]).await;
        assert_eq!(server.metrics().violations, count, "{text}");
    }
    // What came before it counts, and what follows does not.
    let (mut peer, _) = plain(&server).await;
    let mut bytes = text_frame(r#"{"event":"echo","args":[1],"id":1}"#);
    bytes.extend(text_frame("oops"));
    bytes.extend(text_frame(r#"{"event":"echo","args":[2],"id":2}"#));
    peer.send_bytes(&bytes).await;
    peer.expect_text(r#"{"ack":1,"args":[1]}"#).await;
    peer.expect_text(r#"{"error":{"message":"the message is not JSON"}}"#).await;
    peer.expect_close(1007).await;

    let (mut peer, _) = plain(&server).await;
    peer.send_binary(b"{}").await;
    let error = peer.recv_text().await;
    assert!(error.contains("binary messages are not taken"), "{error}");
    peer.expect_close(1003).await;
}

#[tokio::test]
async fn limits_hold() {
    let namespace = chat().on("any", |Data(_): Data<serde_json::Value>| "taken");
    let server = serve(builder(namespace).max_attachment_bytes(3).max_attachments(3)).await;
    let (mut peer, _) = plain(&server).await;
    peer.send_text(r#"{"event":"echo","args":[{"$binary":"AAAA"}],"id":1}"#).await;
    peer.expect_text(r#"{"ack":1,"args":[{"$binary":"AAAA"}]}"#).await;
    // Nesting is the handler's matter, as over Socket.IO: it gets no such value, the session goes on.
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    peer.send_text(&format!(r#"{{"event":"any","args":[{deep}],"id":2}}"#)).await;
    let answer = peer.recv_text().await;
    assert!(
        answer.starts_with(r#"{"ack":2,"args":[{"error":"argument 1: recursion limit"#),
        "{answer}"
    );
    peer.send_text(r#"{"event":"echo","args":[{"$binary":"AAAA"},{"$binary":"AA"}],"id":3}"#).await;
    let error = "the attachments of a packet are larger than allowed";
    peer.expect_text(&format!(r#"{{"error":{{"message":"{error}"}}}}"#)).await;
    peer.expect_close(1008).await;

    let (mut peer, _) = plain(&server).await;
    peer.send_text(&format!(r#"{{"event":"echo","args":["{}"]}}"#, "x".repeat(1_000_000))).await;
    peer.expect_close(1009).await;
}

const INTERVAL: Duration = Duration::from_millis(60);
const TIMEOUT: Duration = Duration::from_millis(1500);

#[tokio::test]
async fn the_heartbeat_is_websockets_own() {
    for face in FACES {
        let (namespace, mut reasons) = with_reasons(root());
        let builder = builder(namespace).ping_interval(INTERVAL).ping_timeout(TIMEOUT);
        let server = face.serve(builder).await;
        let (mut peer, _) = plain(&server).await;
        for answer in [0x8a, 0x89, 0x81] {
            peer.expect(Message::Ping(vec![])).await;
            // A pong, a ping of its own, a message: whatever it is, the client lives.
            match answer {
                0x8a => peer.send_frame(0x8a, b"").await,
                0x89 => {
                    peer.send_frame(0x89, b"you?").await;
                    peer.expect(Message::Pong(b"you?".to_vec())).await;
                }
                _ => sync(&mut peer).await,
            }
        }
        peer.expect(Message::Ping(vec![])).await;
        peer.expect_close(1001).await;
        reasons.expect(["ping timeout"]).await;
    }
}

/// Nothing is read while the client's events fill their queue, so that its pongs may lie unread.
#[tokio::test]
async fn a_server_that_does_not_read_awaits_no_pong() {
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    let (note, mut started) = journal();
    let namespace = root().on("slow", move || {
        note.write(());
        let gate = waiting.clone();
        async move { drop(gate.acquire().await.unwrap()) }
    });
    let builder = builder(namespace)
        .max_running_handlers(1)
        .max_waiting_bytes(1)
        .ping_interval(Duration::from_millis(100))
        .ping_timeout(Duration::from_millis(400));
    let server = serve(builder).await;
    let (mut peer, _) = plain(&server).await;
    let slow = text_frame(r#"{"event":"slow","id":1}"#);
    peer.send_bytes(&slow.repeat(3)).await;
    started.expect([()]).await;
    // Twice as long as a pong may take, were it the client's fault.
    for _ in 0..10 {
        peer.expect(Message::Ping(vec![])).await;
    }
    assert_eq!(server.clients(), 1);
    gate.add_permits(1);
    let mut answers = 0;
    while answers < 3 {
        match peer.recv().await {
            Message::Ping(_) => peer.send_frame(0x8a, b"").await,
            Message::Text(text) => {
                assert_eq!(text, r#"{"ack":1,"args":[]}"#);
                answers += 1;
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A client that does not read: volatile events pass it by, others wait, and then it is its end.
#[tokio::test]
async fn a_slow_consumer() {
    let (namespace, mut sockets) = with_sockets(root());
    let (namespace, mut reasons) = with_reasons(namespace);
    let server = serve(builder(namespace).max_buffered_bytes(64 * 1024)).await;
    let (mut peer, _) = plain(&server).await;
    let socket = sockets.next().await;
    assert!(socket.emit_volatile("v", 1).unwrap());
    peer.expect_text(r#"{"event":"v","args":[1]}"#).await;

    let large = "x".repeat(16 * 1024);
    let mut sent = 0;
    let mut in_a_row = 0;
    while in_a_row < 50 {
        in_a_row = if socket.try_emit("n", (sent, &large)).is_ok() { 0 } else { in_a_row + 1 };
        sent += usize::from(in_a_row == 0);
        assert!(sent * large.len() < BEYOND_THE_KERNEL, "it is never full");
        tokio::task::yield_now().await;
    }
    assert!(!socket.is_writable());
    assert!(!socket.emit_volatile("v", 2).unwrap());
    assert_eq!(server.metrics().volatile_dropped, 1);
    assert!(matches!(socket.emit("n", &large), Err(EmitError::SlowConsumer)));
    assert_eq!(server.metrics().slow_consumers, 1);
    reasons.expect(["transport error"]).await;
    // What the kernel has had comes, whole and in order, and nothing that was volatile.
    for n in 0.. {
        match peer.recv().await {
            Message::Text(text) => {
                assert!(text.starts_with(&format!(r#"{{"event":"n","args":[{n},"x"#)), "{n}");
            }
            end => {
                assert!(n > 0 && matches!(end, Message::Close(1008) | Message::Eof), "{end:?}");
                break;
            }
        }
    }
}

/// A slow client's broadcasts wait in its outbox, and come once it reads.
#[tokio::test]
async fn a_client_that_reads_late() {
    let server = serve(builder(chat()).max_buffered_bytes(BEYOND_THE_KERNEL)).await;
    let (mut late, _) = plain(&server).await;
    let (mut other, _) = plain(&server).await;
    let large = Bytes::from(vec![7; 300 * 1024]);
    for n in 0..30 {
        server.to("lobby").emit("n", (n, &large)).unwrap();
        let text = other.recv_text().await;
        assert!(text.starts_with(&format!(r#"{{"event":"n","args":[{n},{{"$binary":"BwcH"#)));
    }
    for n in 0..30 {
        let text = late.recv_text().await;
        assert!(text.starts_with(&format!(r#"{{"event":"n","args":[{n},{{"$binary":"BwcH"#)));
        assert_eq!(
            text.len(),
            300 * 1024 / 3 * 4
                + r#"{"event":"n","args":[,{"$binary":""}]}"#.len()
                + n.to_string().len()
        );
    }
}

#[tokio::test]
async fn who_may_open_one_is_decided_as_for_all() {
    for face in FACES {
        let builder = builder(root())
            .cors(Cors::origins(["https://good.example"]).build().unwrap())
            .allow_request(|request| {
                let known = request.query("user").is_some();
                async move { if known { Ok(()) } else { Err("who are you?") } }
            })
            .on_initial_headers(|headers, _| {
                headers.insert("x-first", "1".parse().unwrap());
            })
            .max_connections(1);
        let server = face.serve(builder).await;
        let ask = async |target: &str, headers: &str| {
            let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
            http(server.address, &request).await
        };
        let response = ask("/plain?user=1", "").await;
        assert_eq!(response.status, 426, "{}", response.head);
        let bad = UPGRADE.replace("13", "12");
        assert_eq!(ask("/plain?user=1", &bad).await.status, 426);
        let evil = format!("{UPGRADE}Origin: https://evil.example\r\n");
        assert_eq!(ask("/plain?user=1", &evil).await.status, 403);
        let response = ask("/plain", UPGRADE).await;
        assert_eq!((response.status, response.text()), (400, "who are you?"));

        // From here on the listener's own limit must not be what refuses.
        let mut peer = Peer::connect(server.address).await;
        let good = format!("{UPGRADE}Origin: https://good.example\r\n");
        let request = format!("GET /plain?user=1 HTTP/1.1\r\nHost: x\r\n{good}\r\n");
        peer.send_bytes(request.as_bytes()).await;
        let response = peer.recv_http().await;
        assert_eq!(response.status, 101, "{}", response.head);
        assert_eq!(response.header("x-first"), Some("1"));
        assert_eq!(response.header("access-control-allow-origin"), Some("https://good.example"));
        expect_connected(&mut peer).await;
        if matches!(face, Face::Axum) {
            assert_eq!(ask("/plain?user=1", UPGRADE).await.status, 503);
            assert_eq!(server.metrics().refusals.get(HandshakeRefusal::TooManySessions), 1);
        }
        assert_eq!(server.metrics().refusals.get(HandshakeRefusal::Forbidden), 1);
        assert_eq!(server.metrics().refusals.get(HandshakeRefusal::OriginNotAllowed), 1);
        sync(&mut peer).await;
    }
}

#[tokio::test]
async fn there_is_none_unless_it_is_routed() {
    for face in FACES {
        let server = face.serve(Server::builder().namespace(root())).await;
        let request = format!("GET /plain HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n");
        assert_eq!(http(server.address, &request).await.status, 404);
        let server = face.serve(builder(root())).await;
        for other in ["/plain/", "/plainer", "/plain/x", "/"] {
            let request = format!("GET {other} HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n");
            assert_eq!(http(server.address, &request).await.status, 404, "{other}");
        }
    }
}
