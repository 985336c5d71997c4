//! The Admin UI's protocol: what its page is told, and what it may do.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::SocketAddr;

use serde_json::{Value, json};
use sockeye_server::admin::{Admin, Mode, NotAHash};
use sockeye_server::{EventName, Namespace, Recovery, Server, ServerBuilder, Socket};
use sockeye_testkit::peer::Peer;
use sockeye_testkit::polling::request;
use tokio::net::TcpListener;

/// Of the password `sesame`.
const HASH: &str = "$2a$04$ynjDaQ.mtOsrdqeY9zjRNOWHzZQ2oc4dHCm5HG3ghs/56gbJbAFqi";

const CREDENTIALS: &str = r#"40/admin,{"username":"ann","password":"sesame"}"#;

async fn serve(builder: ServerBuilder) -> (Server, SocketAddr) {
    let io = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = io.clone();
    tokio::spawn(async move { serving.serve_listener(listener).await });
    (io, address)
}

fn builder(admin: Admin) -> ServerBuilder {
    let root = Namespace::new("/").on("echo", |socket: Socket| {
        socket.join("echoers");
        socket.emit("heard", ("you", [1, 2])).unwrap();
    });
    Server::builder().namespace(root).admin(admin)
}

fn admin() -> Admin {
    Admin::with_password("ann", HASH).unwrap()
}

/// An admin's connection, past its CONNECT.
struct Page {
    peer: Peer,
}

impl Page {
    async fn open(address: SocketAddr, connect: &str) -> Self {
        let mut peer = Peer::engineio(address).await;
        peer.send_text(connect).await;
        peer.expect_joined("/admin").await;
        Self { peer }
    }

    /// The arguments of the next event, which must have this name. Statistics come whenever they do.
    async fn event(&mut self, name: &str) -> Vec<Value> {
        loop {
            let text = self.peer.recv_text().await;
            let Some(json) = text.strip_prefix("42/admin,") else { continue };
            let mut event: Vec<Value> = serde_json::from_str(json).unwrap();
            let found = event.remove(0);
            if found == name {
                return event;
            }
            assert_eq!(found, "server_stats", "instead of {name}: {event:?}");
        }
    }

    async fn command(&mut self, event: &Value) {
        self.peer.send_text(&format!("42/admin,{event}")).await;
    }
}

/// The time as JavaScript writes it.
fn assert_time(value: &Value) {
    let time = value.as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z') && time.contains('T'), "{time}");
}

#[tokio::test]
async fn only_who_knows_the_password_is_let_in() {
    let (_io, address) = serve(builder(admin())).await;
    for auth in [
        "",
        "{}",
        r#"{"username":"ann"}"#,
        r#"{"username":"ann","password":"wrong"}"#,
        r#"{"username":"bob","password":"sesame"}"#,
        r#"{"username":["ann"],"password":7}"#,
        r#"{"sessionId":"0123456789abcdef"}"#,
    ] {
        let mut peer = Peer::engineio(address).await;
        peer.send_text(&format!("40/admin,{auth}")).await;
        peer.expect_text(r#"44/admin,{"message":"invalid credentials"}"#).await;
    }
    let mut page = Page::open(address, CREDENTIALS).await;
    let session = page.event("session").await.remove(0);
    let id = session.as_str().unwrap();
    assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    // The page keeps that instead of the password.
    let mut again = Page::open(address, &format!(r#"40/admin,{{"sessionId":"{id}"}}"#)).await;
    again.event("socket_connected").await; // of itself, since another admin is there
    again.event("config").await;
}

#[test]
fn what_is_no_hash_is_refused() {
    for hash in ["", "sesame", "$2b$04$short", &HASH[..59]] {
        assert_eq!(Admin::with_password("ann", hash).unwrap_err(), NotAHash, "{hash:?}");
    }
}

#[tokio::test]
async fn the_page_is_told_what_it_may_do() {
    let all = ["EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT"];
    let read = ["AGGREGATED_EVENTS", "ALL_EVENTS"];
    for (admin, features) in [
        (Admin::without_password(), [&all[..], &read].concat()),
        (Admin::without_password().read_only(true), read.to_vec()),
        (
            Admin::without_password().mode(Mode::Production),
            [&all[..], &["AGGREGATED_EVENTS"]].concat(),
        ),
        (
            Admin::without_password().mode(Mode::Production).read_only(true),
            vec!["AGGREGATED_EVENTS"],
        ),
    ] {
        let (_io, address) = serve(builder(admin)).await;
        let mut page = Page::open(address, "40/admin,").await;
        let config = page.event("config").await;
        assert_eq!(config, [json!({ "supportedFeatures": features })]);
    }
}

#[tokio::test]
async fn each_socket_and_event_is_told() {
    let (io, address) = serve(builder(admin())).await;
    let (mut early, early_id) = Peer::socketio(address).await;
    let mut page = Page::open(address, CREDENTIALS).await;
    page.event("session").await;
    page.event("config").await;
    let sockets = page.event("all_sockets").await.remove(0);
    let found = sockets.as_array().unwrap().iter().find(|socket| socket["id"] == *early_id);
    assert_eq!(found.unwrap()["nsp"], "/");
    let mut peer = Peer::engineio(address).await;
    peer.send_text("40").await;
    let id = peer.expect_joined("/").await;
    let connected = page.event("socket_connected").await;
    let socket = &connected[0];
    assert_eq!((&socket["id"], &socket["transport"]), (&json!(id), &json!("websocket")));
    assert_eq!((&socket["rooms"], &socket["data"]), (&json!([id]), &json!({})));
    assert_eq!(socket["clientId"].as_str().unwrap().len(), 12);
    assert_eq!(socket["handshake"]["address"], "127.0.0.1");
    assert_time(&connected[1]);

    peer.send_text("42[\"echo\",{\"a\":1}]").await;
    let received = page.event("event_received").await;
    assert_eq!(received[..3], [json!("/"), json!(id), json!(["echo", { "a": 1 }])]);
    let joined = page.event("room_joined").await;
    assert_eq!(joined[..3], [json!("/"), json!("echoers"), json!(id)]);
    let sent = page.event("event_sent").await;
    assert_eq!(sent[..3], [json!("/"), json!(id), json!(["heard", "you", [1, 2]])]);

    let socket = io.to(&id).sockets().remove(0);
    socket.emit_wait("waited", 3).await.unwrap();
    let sent = page.event("event_sent").await;
    assert_eq!(sent[..3], [json!("/"), json!(id), json!(["waited", 3])]);
    socket.set_data(&json!({ "name": "Ann" })).unwrap();
    let updated = page.event("socket_updated").await;
    assert_eq!(updated, [json!({ "id": id, "nsp": "/", "data": { "name": "Ann" } })]);

    peer.send_text("41").await;
    let mut left = [page.event("room_left").await, page.event("room_left").await];
    left.sort_by_key(|left| left[1] == "echoers");
    assert_eq!(left.map(|left| left[1].clone()), [json!(id), json!("echoers")]);
    let disconnected = page.event("socket_disconnected").await;
    let reason = json!("client namespace disconnect");
    assert_eq!(disconnected[..3], [json!("/"), json!(id), reason]);
    early.send_text("42[\"nobody\"]").await;
    page.event("event_received").await;
}

#[tokio::test]
async fn what_clients_prove_themselves_by_is_not_told() {
    let (_io, address) = serve(builder(admin())).await;
    let mut page = Page::open(address, CREDENTIALS).await;
    for event in ["session", "config", "all_sockets"] {
        page.event(event).await;
    }
    let headers = "Cookie: id=secret\r\nAuthorization: Bearer secret\r\nX-Seen: yes\r\n";
    let ask = async |method, sid: &str, body: &[u8]| {
        let target = format!("/socket.io/?EIO=4&transport=polling{sid}");
        let headers = format!("{headers}Content-Length: {}\r\n", body.len());
        request(address, method, &target, &headers, body).await.recv_http().await
    };
    let open = ask("GET", "", b"").await;
    let sid = format!("&sid={}", open.text().split('"').nth(3).unwrap());
    ask("POST", &sid, b"40{\"token\":\"secret\"}").await;
    let connected = page.event("socket_connected").await.remove(0);
    assert_eq!(connected["handshake"]["headers"]["x-seen"], "yes");
    assert!(!connected.to_string().contains("secret"), "{connected}");
}

#[tokio::test]
async fn admins_reach_everyone() {
    let (io, address) = serve(builder(admin())).await;
    let (mut peer, id) = Peer::socketio(address).await;
    let (mut other, _) = Peer::socketio(address).await;
    let mut page = Page::open(address, CREDENTIALS).await;

    page.command(&json!(["emit", "/", null, "news", 1, { "b": 2 }])).await;
    for peer in [&mut peer, &mut other] {
        peer.expect_text("42[\"news\",1,{\"b\":2}]").await;
    }
    page.command(&json!(["join", "/", "vip", id])).await;
    page.command(&json!(["emit", "/", "vip", "psst"])).await;
    peer.expect_text("42[\"psst\"]").await;
    page.command(&json!(["leave", "/", "vip", id])).await;
    page.command(&json!(["emit", "/", "vip", "nobody hears it"])).await;
    // What makes no sense is nothing.
    for nonsense in
        [json!(["emit"]), json!(["emit", 7, null, "x"]), json!(["emit", "/no", null, "x"])]
    {
        page.command(&nonsense).await;
    }
    page.command(&json!(["_disconnect", "/", false, id])).await;
    peer.expect_text("41").await;
    page.command(&json!(["_disconnect", "/", true])).await;
    other.expect_text("41").await;
    other.expect_close(1005).await;
    assert_eq!(io.of("/").unwrap().sockets().len(), 0);
}

#[tokio::test]
async fn statistics_come_every_two_seconds() {
    let admin = Admin::without_password().mode(Mode::Production).server_id("one");
    let (_io, address) = serve(builder(admin)).await;
    let mut page = Page::open(address, "40/admin,").await;
    page.event("config").await;
    let mut stats = Vec::new();
    while stats.len() < 2 {
        let text = page.peer.recv_text().await;
        if let Some(json) = text.strip_prefix("42/admin,[\"server_stats\",") {
            let json = json.strip_suffix(']').unwrap();
            stats.push(serde_json::from_str::<Value>(json).unwrap());
            if stats.len() == 1 {
                Peer::socketio(address).await;
            }
        }
    }
    let [first, second] = &stats[..] else { unreachable!() };
    assert_eq!((&first["serverId"], &first["clientsCount"]), (&json!("one"), &json!(1)));
    assert_eq!(first["pid"], std::process::id());
    assert!(second["uptime"].as_f64().unwrap() > first["uptime"].as_f64().unwrap());
    assert_eq!(second["pollingClientsCount"], 0);
    let events = second["aggregatedEvents"].as_array().unwrap();
    let count = |kind: &str| -> u64 {
        let found = events.iter().filter(|event| event["type"] == kind);
        found.map(|event| event["count"].as_u64().unwrap()).sum()
    };
    assert_eq!((count("rawConnection"), count("rawDisconnection")), (1, 1));
    assert!(count("packetsIn") >= 1 && count("bytesOut") >= 100, "{events:?}");
    let timestamps = events.iter().map(|event| event["timestamp"].as_u64().unwrap());
    assert!(timestamps.clone().count() > 0 && timestamps.clone().all(|time| time % 1000 == 0));
    let namespaces = second["namespaces"].as_array().unwrap();
    assert!(namespaces.contains(&json!({ "name": "/admin", "socketsCount": 1 })), "{namespaces:?}");
}

/// An admin who looks at the statistics alone is not told of single sockets.
#[tokio::test]
async fn in_production_single_sockets_are_not_told() {
    let admin = Admin::without_password().mode(Mode::Production);
    let (_io, address) = serve(builder(admin)).await;
    let mut page = Page::open(address, "40/admin,").await;
    page.event("config").await;
    let (mut peer, _) = Peer::socketio(address).await;
    peer.send_text("42[\"echo\"]").await;
    peer.expect_text("42[\"heard\",\"you\",[1,2]]").await;
    page.command(&json!(["emit", "/admin", null, "mark"])).await;
    page.event("mark").await;
}

/// Whatever an admin does to be there again: there is one who counts, for all.
#[tokio::test]
async fn nothing_is_counted_twice_for_a_page_that_is_loaded_again() {
    let admin = Admin::without_password().mode(Mode::Production);
    let (io, address) = serve(builder(admin)).await;
    for _ in 0..5 {
        let mut page = Page::open(address, "40/admin,").await;
        page.event("config").await;
        page.peer.send_text("41/admin,").await;
        // Sooner than anybody looks who counts.
        while !io.of("/admin").unwrap().sockets().is_empty() {
            tokio::task::yield_now().await;
        }
    }
    let mut page = Page::open(address, "40/admin,").await;
    page.event("config").await;
    let mut peer = Peer::engineio(address).await;
    peer.send_text("x").await;
    peer.expect_close(1002).await;
    // Until those that come behind the first that tell of it.
    let (mut count, mut told) = (0, 0);
    while told < 2 {
        let text = page.peer.recv_text().await;
        let Some(json) = text.strip_prefix("42/admin,[\"server_stats\",") else { continue };
        let stats: Value = serde_json::from_str(json.strip_suffix(']').unwrap()).unwrap();
        let events = stats["aggregatedEvents"].as_array().unwrap();
        let errors = events.iter().filter(|event| event["subType"] == "parse error");
        count += errors.map(|event| event["count"].as_u64().unwrap()).sum::<u64>();
        told += u32::from(count > 0);
    }
    assert_eq!(count, 1);
}

/// Where clients can be recovered, what admins are told of an event is told within that event's turn, in
/// which no listener may run.
#[tokio::test]
async fn listeners_to_outgoing_events_may_emit_while_admins_watch_and_events_are_kept() {
    let root = Namespace::new("/").on_any_outgoing(|socket: Socket, EventName(name)| {
        if &*name == "first" {
            socket.emit("second", ()).unwrap();
        }
    });
    let builder = Server::builder().namespace(root).admin(admin());
    let (io, address) = serve(builder.connection_state_recovery(Recovery::memory())).await;
    let mut page = Page::open(address, CREDENTIALS).await;
    page.event("session").await;
    page.event("config").await;
    page.event("all_sockets").await;
    let (mut peer, _) = Peer::socketio(address).await;
    page.event("socket_connected").await;
    io.emit("first", ()).unwrap();
    for event in ["first", "second"] {
        assert!(peer.recv_text().await.starts_with(&format!("42[\"{event}\"")));
        assert_eq!(page.event("event_sent").await[2][0], event);
    }
}

/// Nor are admins themselves: they hear no offsets, have nothing to come back with, and what they are told
/// drives nothing out that others missed.
#[tokio::test]
async fn where_clients_can_be_recovered_admins_are_not() {
    let recovery = Recovery::memory();
    let (io, address) = serve(builder(admin()).connection_state_recovery(recovery)).await;
    let mut peer = Peer::engineio(address).await;
    peer.send_text(CREDENTIALS).await;
    let reply = peer.recv_text().await;
    assert!(reply.starts_with("40/admin,{\"sid\":") && !reply.contains("pid"), "{reply}");
    let mut page = Page { peer };
    page.event("session").await;
    assert_eq!(page.event("config").await.len(), 1);
    page.event("all_sockets").await;
    let mut peer = Peer::engineio(address).await;
    peer.send_text("40").await;
    let reply: Value = serde_json::from_str(&peer.recv_text().await[2..]).unwrap();
    assert_eq!(page.event("socket_connected").await.len(), 2);
    // Who takes its own place comes behind its going.
    let mut again = Peer::engineio(address).await;
    again.send_text(&format!("40{{\"pid\":{}}}", reply["pid"])).await;
    assert!(again.recv_text().await.contains(reply["sid"].as_str().unwrap()));
    assert_eq!(page.event("room_left").await[2], reply["sid"]);
    let gone = page.event("socket_disconnected").await;
    assert_eq!((&gone[0], &gone[1]), (&json!("/"), &reply["sid"]));
    assert_eq!(page.event("socket_connected").await[0]["id"], reply["sid"]);
    peer.expect_text("41").await;
    peer.expect_close(1008).await;
    // And is said once.
    io.emit("event", ()).unwrap();
    again.recv_text().await;
    assert_eq!(page.event("event_sent").await[1], reply["sid"]);
}
