//! Connection state recovery: clients that come back as what they were, and those that do not.

mod dynamic;
mod parsers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use sockeye_server::{
    EmitError, EventName, Namespace, Recovery, Refusal, Request, Server, ServerBuilder, Socket,
    TryEmitError,
};
use sockeye_testkit::peer::{Message, Peer};
use sockeye_testkit::polling::Polling;
use tokio::sync::Notify;

use crate::harness::{
    FACES, Journal, journal, root, serve, sync, until, with_reasons, with_sockets, within,
};

/// What a client remembers of its socket.
#[derive(Clone, Debug, PartialEq)]
struct Past {
    sid: String,
    pid: String,
    offset: Option<String>,
}

impl Past {
    /// What the official client says when it connects again.
    fn connect(&self, own: &str) -> String {
        let Self { pid, offset, .. } = self;
        let offset = offset.as_ref().map(|offset| format!(",\"offset\":\"{offset}\""));
        format!("40{{\"pid\":\"{pid}\"{}{own}}}", offset.unwrap_or_default())
    }
}

fn recoverable(namespace: Namespace) -> ServerBuilder {
    Server::builder().namespace(namespace).connection_state_recovery(Recovery::memory())
}

fn joined(reply: &str) -> Past {
    let reply: Value = serde_json::from_str(reply.strip_prefix("40").expect(reply)).unwrap();
    let text = |name: &str| reply[name].as_str().unwrap_or_default().to_owned();
    Past { sid: text("sid"), pid: text("pid"), offset: None }
}

/// A new client, and what it is told.
async fn first(address: SocketAddr) -> (Peer, Past) {
    let mut peer = Peer::engineio(address).await;
    peer.send_text("40").await;
    let past = joined(&peer.recv_text().await);
    assert_eq!((past.sid.len(), past.pid.len()), (20, 20), "{past:?}");
    assert_ne!(past.sid, past.pid);
    (peer, past)
}

/// A client that comes back, and what it is told first.
async fn again(address: SocketAddr, past: &Past) -> (Peer, Past) {
    let mut peer = Peer::engineio(address).await;
    peer.send_text(&past.connect("")).await;
    let now = joined(&peer.recv_text().await);
    (peer, now)
}

/// The next event, as the official client takes it: without its offset, which it keeps.
async fn event(peer: &mut Peer, past: &mut Past) -> Vec<Value> {
    let text = peer.recv_text().await;
    let start = text.find('[').expect(&text);
    let mut args: Vec<Value> = serde_json::from_str(&text[start..]).expect(&text);
    let Some(Value::String(offset)) = args.pop() else { panic!("no offset in {text}") };
    past.offset = Some(offset);
    args
}

async fn events(peer: &mut Peer, past: &mut Past, names: &[&str]) {
    for name in names {
        assert_eq!(event(peer, past).await, [Value::from(*name)]);
    }
}

#[tokio::test]
async fn a_client_comes_back_as_what_it_was() {
    for face in FACES {
        let (namespace, mut sockets) = with_sockets(root());
        let (namespace, mut reasons) = with_reasons(namespace);
        let server = face.serve(recoverable(namespace)).await;
        let (mut peer, mut past) = first(server.address).await;
        let socket = sockets.next().await;
        assert!(!socket.recovered());
        socket.join("red");
        socket.join("left");
        socket.leave("left");
        socket.set_data(&("data", 1)).unwrap();
        server.to("red").emit("heard", ()).unwrap();
        events(&mut peer, &mut past, &["heard"]).await;
        peer.reset();
        assert!(["transport close", "transport error"].contains(&reasons.next().await));

        server.emit("all", ()).unwrap();
        server.to("red").emit("red", ()).unwrap();
        server.to("left").emit("a room it has left", ()).unwrap();
        server.to("blue").emit("another room", ()).unwrap();
        server.except("red").emit("not red", ()).unwrap();
        socket.broadcast().emit("its own broadcast", ()).unwrap();
        socket.emit("private", ()).unwrap();
        server.volatile().emit("volatile", ()).unwrap();
        drop(server.everyone().emit_with_acks::<()>("to be answered", ()).unwrap());
        server.to(past.sid.as_str()).emit("by id", ()).unwrap();
        server.emit("binary", (Bytes::from_static(b"\x01\x02"), "user's string")).unwrap();

        let (mut peer, now) = again(server.address, &past).await;
        assert_eq!((&now.sid, &now.pid), (&past.sid, &past.pid));
        events(&mut peer, &mut past, &["all", "red", "private", "by id"]).await;
        let binary = event(&mut peer, &mut past).await;
        assert_eq!(binary[0], "binary");
        assert_eq!(binary[2], "user's string");
        peer.expect_binary(b"\x01\x02").await;
        let socket = sockets.next().await;
        assert!(socket.recovered());
        assert_eq!(socket.id(), past.sid);
        assert_eq!(socket.data(), Some(("data".to_owned(), 1)));
        let mut rooms = socket.rooms();
        rooms.sort();
        let mut expected = [past.sid.as_str(), "red"].map(Box::from);
        expected.sort();
        assert_eq!(rooms, expected);
        // And goes on as any other.
        server.to("red").emit("live", ()).unwrap();
        events(&mut peer, &mut past, &["live"]).await;
        sync(&mut peer).await;
    }
}

/// Its user may have logged in anew meanwhile.
#[tokio::test]
async fn the_handshake_is_that_of_the_new_session() {
    let (namespace, mut sockets) = with_sockets(root());
    let requests = AtomicU32::new(0);
    let builder = recoverable(namespace).engine_middleware(move |mut request: Request| {
        request.extensions.insert(requests.fetch_add(1, Ordering::Relaxed));
        async { Ok(request) }
    });
    let server = serve(builder).await;
    let (peer, past) = first(server.address).await;
    assert_eq!(sockets.next().await.handshake().extensions().get(), Some(&0_u32));
    peer.reset();
    let (_peer, now) = again(server.address, &past).await;
    assert_eq!(now.sid, past.sid);
    let socket = sockets.next().await;
    assert!(socket.recovered());
    assert_eq!(socket.handshake().extensions().get(), Some(&1_u32));
}

#[tokio::test]
async fn before_its_first_event() {
    let (namespace, mut reasons) = with_reasons(root());
    let server = serve(recoverable(namespace)).await;
    server.emit("before it was there", ()).unwrap();
    let (peer, mut past) = first(server.address).await;
    peer.reset();
    reasons.next().await;
    server.emit("missed", ()).unwrap();
    let (mut peer, now) = again(server.address, &past).await;
    assert_eq!(now.sid, past.sid);
    events(&mut peer, &mut past, &["missed"]).await;
    sync(&mut peer).await;
}

#[tokio::test]
async fn the_last_argument_is_the_offset_of_all_that_may_be_heard() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve(recoverable(namespace)).await;
    let (mut peer, mut past) = first(server.address).await;
    let socket = sockets.next().await;
    socket.emit("kept", "text").unwrap();
    assert_eq!(event(&mut peer, &mut past).await, ["kept", "text"]);
    let kept = past.offset.clone();
    // What is not kept carries where the log stands.
    assert!(socket.emit_volatile("volatile", "text").unwrap());
    assert_eq!(event(&mut peer, &mut past).await, ["volatile", "text"]);
    assert_eq!(past.offset, kept);
    server.to(socket.id()).volatile().emit("volatile", ("a", "b")).unwrap();
    assert_eq!(event(&mut peer, &mut past).await, ["volatile", "a", "b"]);
    assert_eq!(past.offset, kept);
    // The client takes no offset from what it is to answer.
    let answer = socket.emit_with_ack::<u32>("question", "text");
    peer.expect_text("420[\"question\",\"text\"]").await;
    peer.send_text("430[1]").await;
    assert_eq!(within(answer).await.unwrap(), 1);
    // Nor is it kept.
    drop(peer);
    let (mut peer, now) = again(server.address, &past).await;
    assert_eq!(now.sid, past.sid);
    sync(&mut peer).await;
}

#[tokio::test]
async fn who_left_or_was_put_out_is_not_recovered() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve(recoverable(namespace)).await;
    // Each way out, and the reason that the handlers hear.
    for way in 0..2 {
        let (mut peer, past) = first(server.address).await;
        let socket = sockets.next().await;
        match way {
            0 => peer.send_text("41").await,
            _ => socket.disconnect(),
        }
        within(socket.closed()).await;
        assert!(matches!(socket.emit("too late", ()), Err(EmitError::Disconnected)));
        let (mut peer, now) = again(server.address, &past).await;
        assert_ne!(now.sid, past.sid);
        assert_ne!(now.pid, past.pid);
        assert!(!sockets.next().await.recovered());
        sync(&mut peer).await;
    }
}

/// Nor who is put out while it is away.
#[tokio::test]
async fn who_is_away_can_be_disconnected() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve(recoverable(namespace)).await;
    let (peer, past) = first(server.address).await;
    let socket = sockets.next().await;
    peer.reset();
    within(socket.closed()).await;
    // The link ends a moment after the socket.
    until(|| {
        socket.disconnect();
        matches!(socket.emit("too late", ()), Err(EmitError::Disconnected))
    })
    .await;
    let (_peer, now) = again(server.address, &past).await;
    assert_ne!(now.sid, past.sid);
}

/// What comes with middleware that is not skipped and whoever moves sockets meanwhile.
#[tokio::test]
async fn rooms_that_are_joined_before_it_is_told_what_it_missed_count() {
    let (go_on, wait) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let namespace = root().middleware({
        let (go_on, wait) = (go_on.clone(), wait.clone());
        move |socket: Socket| {
            let (go_on, wait) = (go_on.clone(), wait.clone());
            async move {
                if socket.recovered() {
                    socket.join("late");
                    go_on.notify_one();
                    wait.notified().await;
                }
            }
        }
    });
    let (namespace, mut sockets) = with_sockets(namespace);
    let recovery = Recovery::memory().skip_middlewares(false);
    let builder = Server::builder().namespace(namespace).connection_state_recovery(recovery);
    let server = serve(builder).await;
    let (peer, mut past) = first(server.address).await;
    let socket = sockets.next().await;
    peer.reset();
    within(socket.closed()).await;
    let mut peer = Peer::engineio(server.address).await;
    peer.send_text(&past.connect("")).await;
    within(go_on.notified()).await;
    server.to("late").emit("late", ()).unwrap();
    wait.notify_one();
    assert_eq!(joined(&peer.recv_text().await).sid, past.sid);
    events(&mut peer, &mut past, &["late"]).await;
    sync(&mut peer).await;
}

/// Node's list: not those who sent what is no packet.
#[tokio::test]
async fn for_each_reason_a_client_is_recovered_or_not() {
    let (namespace, mut reasons) = with_reasons(root());
    let builder = recoverable(namespace)
        .max_payload(1000)
        .ping_interval(Duration::from_millis(300))
        .ping_timeout(Duration::from_millis(200));
    let server = serve(builder).await;
    for (reason, is_recovered) in [
        ("transport close", true),
        ("transport error", true),
        ("forced close", true),
        ("ping timeout", true),
        ("parse error", false),
    ] {
        let (mut peer, past) = first(server.address).await;
        match reason {
            "transport close" => peer.finish().await,
            "transport error" => peer.send_text(&format!("4{}", "x".repeat(1000))).await,
            "forced close" => peer.send_text("4x").await,
            "parse error" => peer.send_text("x").await,
            _ => {}
        }
        reasons.expect([reason]).await;
        let (peer, now) = again(server.address, &past).await;
        assert_eq!(now.sid == past.sid, is_recovered, "{reason}");
        drop(peer);
        reasons.next().await;
    }
}

#[tokio::test]
async fn bad_pids_and_offsets_get_a_new_session() {
    let (namespace, mut sockets) = with_sockets(root());
    let other = Namespace::new("/other");
    let server = serve(recoverable(namespace).namespace(other)).await;
    let (mut peer, mut past) = first(server.address).await;
    let socket = sockets.next().await;
    server.emit("heard", ()).unwrap();
    events(&mut peer, &mut past, &["heard"]).await;
    peer.reset();
    within(socket.closed()).await;
    server.emit("missed", ()).unwrap();
    let offset = past.offset.clone().unwrap();
    let requests = [
        r#"40{"pid":"AAAAAAAAAAAAAAAAAAAA"}"#.to_owned(),
        r#"40{"pid":"","offset":""}"#.to_owned(),
        r#"40{"pid":7,"offset":[]}"#.to_owned(),
        format!(r#"40{{"pid":"{}","offset":"hello"}}"#, past.pid),
        format!(r#"40{{"pid":"{}","offset":{{}}}}"#, past.pid),
        format!(r#"40{{"pid":"{}","offset":"{}0"}}"#, past.pid, past.offset.as_ref().unwrap()),
        format!(r#"40{{"pid":"{}"}}"#, past.sid),
        format!(r#"40{{"pid":"{}","offset":"{}"}}"#, past.pid, "0".repeat(10_000)),
        format!(r#"40{{"pid":"{}","offset":"{}.{}"}}"#, past.pid, &offset[..4], "_".repeat(10_000)),
    ];
    for request in requests {
        let mut peer = Peer::engineio(server.address).await;
        peer.send_text(&request).await;
        let now = joined(&peer.recv_text().await);
        assert!(now.sid != past.sid && now.pid != past.pid, "{request}");
        assert!(!sockets.next().await.recovered());
        sync(&mut peer).await;
    }
    // Another namespace's pid is none there, and does no harm here.
    let mut peer = Peer::engineio(server.address).await;
    peer.send_text(&past.connect("").replacen("40", "40/other,", 1)).await;
    let reply = peer.recv_text().await;
    assert!(!reply.contains(&past.sid) && !reply.contains(&past.pid), "{reply}");
    let (mut peer, now) = again(server.address, &past).await;
    assert_eq!(now.sid, past.sid);
    events(&mut peer, &mut past, &["missed"]).await;
}

#[tokio::test]
async fn auth_is_what_the_program_gave() {
    let (note, mut auths) = journal();
    let namespace =
        root().on_connect(move |socket: Socket| note.write(socket.auth().map(str::to_owned)));
    let server = serve(recoverable(namespace)).await;
    let (peer, past) = first(server.address).await;
    assert_eq!(auths.next().await, None);
    peer.reset();
    for own in ["", ",\"token\":\"t\""] {
        let mut peer = Peer::engineio(server.address).await;
        peer.send_text(&past.connect(own)).await;
        assert_eq!(joined(&peer.recv_text().await).sid, past.sid);
        let expected = (!own.is_empty()).then(|| "{\"token\":\"t\"}".to_owned());
        assert_eq!(auths.next().await, expected);
        peer.reset();
    }
}

/// The server does not know yet that the old connection is dead.
#[tokio::test]
async fn the_old_socket_is_put_out_and_has_no_say_any_more() {
    let (namespace, mut sockets) = with_sockets(root());
    let (namespace, mut reasons) = with_reasons(namespace);
    let server = serve(recoverable(namespace)).await;
    let (mut old, mut past) = first(server.address).await;
    let old_socket = sockets.next().await;
    old_socket.join("red");
    let (mut peer, now) = again(server.address, &past).await;
    assert_eq!(now.sid, past.sid);
    old.expect_text("41").await;
    old.expect_close(1008).await;
    assert_eq!(old.farewell(), "recovered by another connection");
    reasons.expect(["server namespace disconnect"]).await;
    assert!(!old_socket.is_connected());
    // A handle of the old one is as good as one of the new one for who wants to tell it something.
    old_socket.broadcast().emit("to the others", ()).unwrap();
    old_socket.emit("by the old handle", ()).unwrap();
    old_socket.try_emit("by the old handle", ()).unwrap();
    old_socket.join("blue");
    old_socket.set_data(&1).unwrap();
    events(&mut peer, &mut past, &["by the old handle", "by the old handle"]).await;
    let socket = sockets.next().await;
    assert_eq!(server.to(past.sid.as_str()).sockets(), std::slice::from_ref(&socket));
    peer.reset();
    within(socket.closed()).await;
    let (mut peer, now) = again(server.address, &past).await;
    assert_eq!(now.sid, past.sid);
    let socket = sockets.next().await;
    assert!(socket.rooms().iter().any(|room| &**room == "red"));
    assert!(!socket.rooms().iter().any(|room| &**room == "blue"));
    assert_eq!(socket.data::<u32>(), None);
    sync(&mut peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_with_one_pid_one_is_left() {
    let (namespace, mut reasons) = with_reasons(root());
    let server = serve(recoverable(namespace)).await;
    let (peer, past) = first(server.address).await;
    peer.reset();
    reasons.next().await;
    server.emit("missed", ()).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (past, address) = (past.clone(), server.address);
        tasks.spawn(async move {
            let mut peer = Peer::engineio(address).await;
            peer.send_text(&past.connect("")).await;
            peer
        });
    }
    let mut peers = tasks.join_all().await;
    // All but one come to their end, whatever they were told before, and none becomes somebody else.
    let mut open = Vec::new();
    for peer in &mut peers {
        loop {
            match peer.recv_within(Duration::from_secs(2)).await {
                Some(Message::Text(text)) => {
                    let is_reply = text.starts_with("40");
                    assert!(!is_reply || joined(&text).sid == past.sid, "{text}");
                }
                Some(Message::Close(_) | Message::Eof | Message::Reset) => break,
                Some(other) => panic!("{other:?}"),
                None => {
                    open.push(peer);
                    break;
                }
            }
        }
    }
    assert_eq!(open.len(), 1);
    assert_eq!(server.to(past.sid.as_str()).sockets().len(), 1);
    sync(open[0]).await;
}

#[tokio::test]
async fn middleware_is_skipped_unless_it_is_wanted() {
    for skip in [true, false] {
        let (note, mut asked) = journal();
        let namespace = root().middleware(move |socket: Socket| {
            note.write((socket.recovered(), socket.data::<u32>()));
            if socket.handshake().query("refuse").is_some() {
                return Err(Refusal::new("not now"));
            }
            Ok(())
        });
        let (namespace, mut sockets) = with_sockets(namespace);
        let recovery = Recovery::memory().skip_middlewares(skip);
        let builder = Server::builder().namespace(namespace).connection_state_recovery(recovery);
        let server = serve(builder).await;
        let (peer, mut past) = first(server.address).await;
        asked.expect([(false, None)]).await;
        let socket = sockets.next().await;
        socket.set_data(&7).unwrap();
        peer.reset();
        within(socket.closed()).await;
        server.emit("missed", ()).unwrap();
        if !skip {
            let target = "/socket.io/?EIO=4&transport=websocket&refuse=1";
            let mut peer = Peer::websocket(server.address, target).await;
            peer.recv_text().await;
            peer.send_text(&past.connect("")).await;
            // It hears nothing else, and may come again.
            peer.expect_text(r#"44{"message":"not now"}"#).await;
            asked.expect([(true, Some(7))]).await;
        }
        let (mut peer, now) = again(server.address, &past).await;
        assert_eq!(now.sid, past.sid);
        events(&mut peer, &mut past, &["missed"]).await;
        if skip {
            asked.expect_nothing();
        } else {
            asked.expect([(true, Some(7))]).await;
        }
        assert_eq!(sockets.next().await.data(), Some(7));
        sync(&mut peer).await;
    }
}

#[tokio::test]
async fn by_polling() {
    let (namespace, mut reasons) = with_reasons(root());
    let server = serve(recoverable(namespace)).await;
    let (peer, mut past) = first(server.address).await;
    peer.reset();
    reasons.next().await;
    server.emit("a", ()).unwrap();
    server.emit("b", Bytes::from_static(b"\x07")).unwrap();
    let polling = Polling::open(server.address).await;
    polling.post(&past.connect("")).await;
    let mut payload = String::new();
    while !payload.contains('b') || !payload.contains("bBw==") {
        payload += &polling.poll().await;
        payload += "\u{1e}";
    }
    let packets: Vec<_> = payload.split('\u{1e}').filter(|packet| *packet != "6").collect();
    assert_eq!(joined(packets[0]).sid, past.sid);
    assert!(packets[1].starts_with("42[\"a\",\""), "{packets:?}");
    assert!(
        packets[2].starts_with("451-[\"b\",{\"_placeholder\":true,\"num\":0},\""),
        "{packets:?}"
    );
    assert_eq!(packets[3], "bBw==");
    past.offset = None;
}

/// What a client missed may be more than its outbox holds, and more comes while it is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_is_told_as_fast_as_it_is_read() {
    let (namespace, mut sockets) = with_sockets(root());
    let builder = recoverable(namespace).max_buffered_bytes(64 * 1024);
    let server = serve(builder).await;
    let (peer, mut past) = first(server.address).await;
    let socket = sockets.next().await;
    peer.reset();
    within(socket.closed()).await;
    let padding = "x".repeat(1000);
    for n in 0..10_000 {
        server.emit("n", (n, &padding)).unwrap();
    }
    let (mut peer, now) = again(server.address, &past).await;
    assert_eq!(now.sid, past.sid);
    let io = server.io.clone();
    let emitter = thread::spawn(move || {
        // Few enough for the outbox, should all of them come behind the rest.
        for n in 10_000..10_300 {
            io.emit("n", (n, "")).unwrap();
            thread::sleep(Duration::from_micros(50));
        }
    });
    let mut last = None;
    for n in 0..10_300 {
        let args = event(&mut peer, &mut past).await;
        assert_eq!(args[..2], [Value::from("n"), Value::from(n)]);
        let position = past.offset.clone().map(|offset| (offset.len(), digits(&offset)));
        assert!(last < position);
        last = position;
    }
    emitter.join().unwrap();
    assert!(sockets.next().await.recovered());
    sync(&mut peer).await;
}

/// The digits of an offset in the order of their values.
fn digits(offset: &str) -> Vec<usize> {
    let order = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
    offset[5..].chars().map(|digit| order.find(digit).unwrap()).collect()
}

/// The order of the offsets is the order of delivery, for every socket, whoever emits from wherever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_ascend_for_every_socket() {
    const EVENTS: usize = 500;
    const THREADS: usize = 4;
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve(recoverable(namespace)).await;
    let (mut peers, mut all) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        peers.push(first(server.address).await);
        let socket = sockets.next().await;
        socket.join("room");
        all.push(socket);
    }
    let threads: Vec<_> = (0..THREADS)
        .map(|emitter| {
            let (io, sockets) = (server.io.clone(), all.clone());
            thread::spawn(move || {
                for n in 0..EVENTS {
                    match n % 4 {
                        0 => io.emit("n", (emitter, n)).unwrap(),
                        1 => io.to("room").emit("n", (emitter, n)).unwrap(),
                        2 => sockets.iter().for_each(|s| s.emit("n", (emitter, n)).unwrap()),
                        _ => {
                            io.to("room").volatile().emit("volatile", ()).unwrap();
                            sockets.iter().for_each(|s| s.try_emit("n", (emitter, n)).unwrap());
                        }
                    }
                }
            })
        })
        .collect();
    for (peer, past) in &mut peers {
        let (mut next, mut last) = ([0; THREADS], None);
        while next != [EVENTS; THREADS] {
            let args = event(peer, past).await;
            let offset = past.offset.as_deref().unwrap();
            let position = Some((offset.len(), digits(offset)));
            if args[0] == "volatile" {
                assert!(last <= position);
            } else {
                let number = |at: usize| args[at].as_u64().unwrap() as usize;
                assert_eq!(next[number(1)], number(2));
                next[number(1)] += 1;
                assert!(last < position);
            }
            last = position;
        }
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[tokio::test]
async fn a_slow_consumer_misses_nothing() {
    let (namespace, mut sockets) = with_sockets(root());
    let builder = recoverable(namespace).max_buffered_bytes(16 * 1024);
    let server = serve(builder).await;
    let (mut peer, mut past) = first(server.address).await;
    let socket = sockets.next().await;
    let padding = "x".repeat(1 << 20);
    // It does not read, and at some point no more goes into the kernel.
    let mut sent = 0;
    while socket.is_connected() && socket.emit("n", (sent, &padding)).is_ok() {
        sent += 1;
        tokio::task::yield_now().await;
        assert!(sent < 64, "the kernel takes it all");
    }
    within(socket.closed()).await;
    server.emit("n", (sent + 1, "")).unwrap();
    let mut next = 0;
    while let Some(Message::Text(text)) = peer.recv_within(Duration::from_secs(5)).await {
        let args: Vec<Value> = serde_json::from_str(text.strip_prefix("42").unwrap()).unwrap();
        assert_eq!(args[1], next);
        past.offset = args[3].as_str().map(str::to_owned);
        next += 1;
    }
    let (mut peer, now) = again(server.address, &past).await;
    assert_eq!(now.sid, past.sid);
    for n in next..=sent + 1 {
        assert_eq!(event(&mut peer, &mut past).await[1], n);
    }
    sync(&mut peer).await;
}

#[tokio::test]
async fn what_is_handed_back_was_never_sent() {
    let (namespace, mut sockets) = with_sockets(root());
    let builder = recoverable(namespace).max_buffered_bytes(16 * 1024);
    let server = serve(builder).await;
    let (peer, mut past) = first(server.address).await;
    let socket = sockets.next().await;
    let padding = "x".repeat(1 << 20);
    let mut sent = 0;
    while socket.try_emit("n", (sent, &padding)).is_ok() {
        sent += 1;
        tokio::task::yield_now().await;
    }
    assert!(matches!(socket.try_emit("n", (sent, &padding)), Err(TryEmitError::Full(_))));
    // One that waits for room does not get it any more.
    let waiting = tokio::spawn({
        let (socket, padding) = (socket.clone(), padding.clone());
        async move { socket.emit_wait("n", (-1, &padding)).await }
    });
    tokio::task::yield_now().await;
    peer.reset();
    assert!(matches!(within(waiting).await.unwrap(), Err(EmitError::Disconnected)));
    within(socket.closed()).await;
    let (mut peer, now) = again(server.address, &past).await;
    assert_eq!(now.sid, past.sid);
    for n in 0..sent {
        assert_eq!(event(&mut peer, &mut past).await[1], n);
    }
    let socket = sockets.next().await;
    within(socket.emit_wait("last", ())).await.unwrap();
    events(&mut peer, &mut past, &["last"]).await;
    sync(&mut peer).await;
}

#[tokio::test]
async fn who_is_away_for_too_long_is_not_recovered() {
    let recovery = Recovery::memory().max_disconnection(Duration::ZERO);
    let (namespace, mut sockets) = with_sockets(root());
    let builder = Server::builder().namespace(namespace).connection_state_recovery(recovery);
    let server = serve(builder).await;
    let (peer, past) = first(server.address).await;
    let socket = sockets.next().await;
    peer.reset();
    within(socket.closed()).await;
    // A millisecond is too long.
    thread::sleep(Duration::from_millis(2));
    let (_peer, now) = again(server.address, &past).await;
    assert_ne!(now.sid, past.sid);
}

#[tokio::test]
async fn what_was_missed_beyond_the_limit_is_a_new_session() {
    let recovery = Recovery::memory().max_bytes(64 * 1024);
    let (namespace, mut sockets) = with_sockets(root());
    let builder = Server::builder().namespace(namespace).connection_state_recovery(recovery);
    let server = serve(builder).await;
    let (peer, past) = first(server.address).await;
    let socket = sockets.next().await;
    peer.reset();
    within(socket.closed()).await;
    for n in 0..1000 {
        server.emit("n", (n, "some text")).unwrap();
    }
    let (mut peer, now) = again(server.address, &past).await;
    assert_ne!(now.sid, past.sid);
    sync(&mut peer).await;
}

#[tokio::test]
async fn plain_connections_hear_no_offsets() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve(recoverable(namespace).plain("/plain", "/")).await;
    let mut plain = Peer::websocket(server.address, "/plain").await;
    assert!(plain.recv_text().await.starts_with("{\"connected\":{\"id\":"));
    let socket = sockets.next().await;
    let (mut peer, mut past) = first(server.address).await;
    server.emit("both", "text").unwrap();
    plain.expect_text(r#"{"event":"both","args":["text"]}"#).await;
    assert_eq!(event(&mut peer, &mut past).await, ["both", "text"]);
    socket.emit("own", ()).unwrap();
    plain.expect_text(r#"{"event":"own","args":[]}"#).await;
    assert!(socket.emit_volatile("own", ()).unwrap());
    plain.expect_text(r#"{"event":"own","args":[]}"#).await;
    plain.reset();
    within(socket.closed()).await;
    assert!(matches!(socket.emit("gone", ()), Err(EmitError::Disconnected)));
}

#[tokio::test]
async fn a_client_that_breaks_while_it_is_told_comes_back_again() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve(recoverable(namespace).max_buffered_bytes(64 * 1024)).await;
    let (peer, mut past) = first(server.address).await;
    let socket = sockets.next().await;
    peer.reset();
    within(socket.closed()).await;
    let padding = "x".repeat(10_000);
    for n in 0..2000 {
        server.emit("n", (n, &padding)).unwrap();
    }
    let mut next = 0;
    for take in [0, 1, 500, 1499] {
        let (mut peer, now) = again(server.address, &past).await;
        assert_eq!(now.sid, past.sid);
        for _ in 0..take {
            assert_eq!(event(&mut peer, &mut past).await[1], next);
            next += 1;
        }
        if next < 2000 {
            peer.reset();
        } else {
            sync(&mut peer).await;
        }
    }
    until(|| server.to(past.sid.as_str()).sockets().len() == 1).await;
}

/// Users' code that an event or a join calls may emit, too: it runs in nobody's turn.
#[tokio::test]
async fn whoever_hears_of_an_event_may_emit() {
    let (namespace, mut sockets) = with_sockets(root());
    let namespace = namespace.on_any_outgoing(|socket: Socket, name: EventName| {
        if &*name.0 == "question" {
            socket.everyone().emit("overheard", &*name.0).unwrap();
        }
    });
    let server = serve(recoverable(namespace)).await;
    let mut peers = [first(server.address).await, first(server.address).await];
    let socket = sockets.next().await;
    sockets.next().await;
    server.emit("question", ()).unwrap();
    for (peer, past) in &mut peers {
        // Each of the two that heard it has said so, behind the event itself.
        events(peer, past, &["question"]).await;
        for _ in 0..2 {
            assert_eq!(event(peer, past).await, ["overheard", "question"]);
        }
        sync(peer).await;
    }
    drop(socket);
}

#[cfg(feature = "disk")]
mod disk {
    use super::*;

    /// One for a store, removed in the end.
    pub(super) struct Directory(std::path::PathBuf);

    impl Directory {
        pub(super) fn new(name: &str) -> Self {
            let dir = format!("sockeye-recovery-{name}-{}", std::process::id());
            let dir = std::env::temp_dir().join(dir);
            let _ = std::fs::remove_dir_all(&dir);
            Self(dir)
        }

        /// What is kept there. The former server lets go of it when its last task has ended.
        pub(super) async fn recovery(&self) -> Recovery {
            within(async {
                loop {
                    match Recovery::disk(&self.0) {
                        Ok(recovery) => break recovery,
                        Err(_) => tokio::task::yield_now().await,
                    }
                }
            })
            .await
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// A server that closes and one that takes its place.
    #[tokio::test]
    async fn clients_outlive_their_server() {
        let dir = Directory::new("outlive");
        let mut past = None;
        for run in 0..3 {
            let (namespace, mut sockets) = with_sockets(root());
            let recovery = dir.recovery().await;
            let builder =
                Server::builder().namespace(namespace).connection_state_recovery(recovery);
            let server = serve(builder).await;
            let (mut peer, now) = match &mut past {
                None => first(server.address).await,
                Some(past) => {
                    let (mut peer, mut now) = again(server.address, past).await;
                    assert_eq!(now.sid, past.sid);
                    events(&mut peer, past, &["missed"]).await;
                    now.offset.clone_from(&past.offset);
                    (peer, now)
                }
            };
            let socket = sockets.next().await;
            assert_eq!(socket.recovered(), run > 0);
            assert_eq!(socket.data(), (run > 0).then_some(run - 1));
            socket.set_data(&run).unwrap();
            let mut now = now;
            socket.emit("heard", ()).unwrap();
            events(&mut peer, &mut now, &["heard"]).await;
            peer.reset();
            within(socket.closed()).await;
            server.emit("missed", ()).unwrap();
            within(server.close()).await;
            past = Some(now);
        }
    }

    #[test]
    fn one_server_at_a_time() {
        let dir = Directory::new("one");
        let _recovery = Recovery::disk(&dir.0).unwrap();
        let error = Recovery::durable(&dir.0).unwrap_err().to_string();
        assert!(error.ends_with("another process has it open"), "{error}");
    }
}
