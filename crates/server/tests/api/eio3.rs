//! Clients of the JavaScript versions 2.x: revision 3 of Engine.IO, revision 4 of Socket.IO.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use sockeye_server::{Data, Namespace, Refusal, Revision, Server, ServerBuilder, Socket};
use sockeye_testkit::peer::{Message, Peer, Response};
use sockeye_testkit::polling::{Polling, request};

use crate::harness::{
    FACES, UPGRADE, journal, root, serve, sync, with_reasons, with_sockets, within,
};

mod bad_input;
mod jsonp;

const POLLING: &str = "/socket.io/?EIO=3&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=3&transport=websocket";
const OCTETS: &str = "Content-Type: application/octet-stream\r\n";

fn builder(namespace: Namespace) -> ServerBuilder {
    Server::builder().namespace(namespace).allow_eio3(true)
}

/// Packets as revision 3 has them in text.
fn payload(packets: &[&str]) -> String {
    packets.iter().fold(String::new(), |mut payload, packet| {
        write!(payload, "{}:{packet}", packet.encode_utf16().count()).unwrap();
        payload
    })
}

/// A session that polls.
struct Polled {
    address: SocketAddr,
    target: String,
}

impl Polled {
    async fn open(address: SocketAddr, target: &str) -> Self {
        let response = request(address, "GET", target, "", b"").await.recv_http().await;
        let sid = response.text().split("\"sid\":\"").nth(1).and_then(|rest| rest.get(..20));
        let sid = sid.unwrap_or_else(|| panic!("not an open packet: {}", response.text()));
        Self { address, target: format!("{target}&sid={sid}") }
    }

    /// One that is in `/`.
    async fn socketio(address: SocketAddr) -> Self {
        let session = Self::open(address, POLLING).await;
        assert_eq!(session.poll().await.text(), "2:40");
        session
    }

    async fn begin_poll(&self) -> Peer {
        request(self.address, "GET", &self.target, "", b"").await
    }

    async fn poll(&self) -> Response {
        let response = self.begin_poll().await.recv_http().await;
        assert_eq!(response.status, 200, "{}\n{}", response.head, response.text());
        response
    }

    async fn ask(&self, method: &str, headers: &str, body: &[u8]) -> Response {
        let headers = format!("{headers}Content-Length: {}\r\n", body.len());
        request(self.address, method, &self.target, &headers, body).await.recv_http().await
    }

    async fn post(&self, body: impl AsRef<[u8]>) {
        let response = self.ask("POST", "", body.as_ref()).await;
        assert_eq!((response.status, response.text()), (200, "ok"), "{}", response.head);
    }

    async fn websocket(&self, query: &str) -> Peer {
        let target = self.target.replace("=polling", "=websocket");
        Peer::websocket(self.address, &format!("{target}{query}")).await
    }
}

/// A websocket that is in `/`, told so unasked.
async fn websocket(address: SocketAddr, query: &str) -> Peer {
    let mut peer = Peer::websocket(address, &format!("{WEBSOCKET}{query}")).await;
    assert!(peer.recv_text().await.starts_with("0{\"sid\":\""));
    peer.expect_text("40").await;
    peer
}

#[tokio::test]
async fn it_is_refused_unless_allowed() {
    for face in FACES {
        let server = face.serve(Server::builder().namespace(root())).await;
        for eio in ["&EIO=3", "", "&EIO=5", "&EIO="] {
            let target = format!("/socket.io/?transport=polling{eio}");
            let refused = request(server.address, "GET", &target, "", b"").await.recv_http().await;
            let said = "{\"code\":5,\"message\":\"Unsupported protocol version\"}";
            assert_eq!((refused.status, refused.text()), (400, said), "{face:?} {eio}");
            let target = format!("/socket.io/?transport=websocket{eio}");
            let refused =
                request(server.address, "GET", &target, UPGRADE, b"").await.recv_http().await;
            assert_eq!(refused.status, 400, "{face:?} {eio}");
            assert_eq!(refused.text(), "Unsupported protocol version", "{face:?} {eio}");
        }
        // The others go on as ever.
        Polling::socketio(server.address).await;
    }
}

#[tokio::test]
async fn the_handshake_says_what_it_says_to_others() {
    for face in FACES {
        let server = face.serve(builder(root()).max_payload(1234)).await;
        for eio in ["&EIO=3", "", "&EIO=5"] {
            let target = format!("/socket.io/?transport=polling{eio}");
            let answer = request(server.address, "GET", &target, "", b"").await.recv_http().await;
            assert_eq!(answer.header("content-type"), Some("text/plain; charset=UTF-8"));
            let (length, open) = answer.text().split_once(':').unwrap();
            assert_eq!(length, open.len().to_string());
            let rest = "\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,\"pingTimeout\":20000,\
                 \"maxPayload\":1234}";
            assert!(open.starts_with("0{\"sid\":\"") && open.ends_with(rest), "{open}");
        }
        let (mut peer, id) = Peer::socketio(server.address).await;
        sync(&mut peer).await;
        assert_eq!(id.len(), 20, "revision 4 is as ever");
    }
}

#[tokio::test]
async fn a_client_is_in_the_main_namespace_unasked() {
    for face in FACES {
        let (namespace, mut sockets) = with_sockets(root());
        let server = face.serve(builder(namespace)).await;
        let polled = Polled::socketio(server.address).await;
        let socket = sockets.next().await;
        assert_eq!((socket.auth(), socket.revision()), (None, Revision::V3));
        assert!(!polled.target.contains(socket.id()), "its id is not the secret one");
        polled.post(payload(&["421[\"sync\"]"])).await;
        assert_eq!(polled.poll().await.text(), "5:431[]");

        let mut peer = websocket(server.address, "").await;
        let socket = sockets.next().await;
        sync(&mut peer).await;
        socket.emit("hello", "€").unwrap();
        peer.expect_text("42[\"hello\",\"€\"]").await;
        socket.disconnect();
        peer.expect_text("41").await;
        let (_, socket) = (Peer::socketio(server.address).await, sockets.next().await);
        assert_eq!(socket.revision(), Revision::V4);
    }
}

#[tokio::test]
async fn a_namespace_is_asked_for_with_a_query_and_answered_without_data() {
    let (note, mut auths) = journal();
    let other = Namespace::new("/n")
        .on_connect(move |socket: Socket| note.write(socket.auth().map(str::to_owned)))
        .on("sync", || ());
    let server = serve(builder(root()).namespace(other)).await;
    let mut peer = websocket(server.address, "").await;
    for (asks, auth) in [
        ("40/n", None),
        ("40/n,", None),
        ("40/n?,", None),
        ("40/n?token=a%22b&n=1&token=%E2%82%AC,", Some(json!({"token": "€", "n": "1"}))),
        ("40/n?a=b", Some(json!({"a": "b"}))),
        // What Node takes for nothing here, too.
        ("40/n,{\"token\":\"ignored\"}", None),
    ] {
        peer.send_text(asks).await;
        peer.expect_text("40/n,").await;
        let seen = auths.next().await.map(|auth| serde_json::from_str(&auth).unwrap());
        assert_eq!(seen, auth, "{asks}");
        peer.send_text("42/n,1[\"sync\"]").await;
        peer.expect_text("43/n,1[]").await;
        peer.send_text("42/n?a=b,2[\"sync\"]").await;
        peer.expect_text("43/n,2[]").await;
        peer.send_text("41/n,").await;
        sync(&mut peer).await;
    }
    // The query is not part of the name, whose length is limited.
    peer.send_text(&format!("40/n?long={},", "x".repeat(5000))).await;
    peer.expect_text("40/n,").await;
    peer.send_text(&format!("40/{},", "n".repeat(512))).await;
    peer.expect_close(1008).await;
}

#[tokio::test]
async fn a_refusal_is_plain() {
    let refuse = |Data(auth): Data<serde_json::Value>| match auth["why"].as_str() {
        Some("data") => Err(Refusal::new("no").with_data(json!({"code": 42}))),
        Some("empty") => Err(Refusal::new("no").with_data(json!([]))),
        Some("false") => Err(Refusal::new("no").with_data(false)),
        _ => Err(Refusal::new("a \"no\"")),
    };
    let server = serve(builder(root()).namespace(Namespace::new("/n").middleware(refuse))).await;
    let mut peer = websocket(server.address, "").await;
    for (asks, answer) in [
        ("40/n?why=message,", "44/n,\"a \\\"no\\\"\""),
        ("40/n?why=data,", "44/n,{\"code\":42}"),
        ("40/n?why=empty,", "44/n,[]"),
        ("40/n?why=false,", "44/n,\"no\""),
        ("40/nowhere?x=y,", "44/nowhere,{\"message\":\"Invalid namespace\"}"),
    ] {
        peer.send_text(asks).await;
        peer.expect_text(answer).await;
    }
    sync(&mut peer).await;
}

#[tokio::test]
async fn a_client_that_the_main_namespace_refuses_may_be_in_others() {
    for (main, said) in [
        (Some(Refusal::new("members only")), "44\"members only\""),
        (Some(Refusal::new("no").with_data(json!({"code": 1}))), "44{\"code\":1}"),
        (None, "44{\"message\":\"Invalid namespace\"}"),
    ] {
        let mut server =
            Server::builder().allow_eio3(true).namespace(Namespace::new("/n").on("sync", || ()));
        if let Some(refusal) = main {
            let refuse = move || Err::<(), _>(refusal.clone());
            server = server.namespace(Namespace::new("/").middleware(refuse));
        }
        let server = serve(server).await;
        let mut peer = Peer::websocket(server.address, WEBSOCKET).await;
        assert!(peer.recv_text().await.starts_with('0'));
        peer.expect_text(said).await;
        peer.send_text("40/n,").await;
        peer.expect_text("40/n,").await;
        peer.send_text("42/n,1[\"sync\"]").await;
        peer.expect_text("43/n,1[]").await;
    }
}

#[tokio::test]
async fn events_wait_for_middleware_that_takes_its_time() {
    let (go, gone) = tokio::sync::watch::channel(false);
    let namespace = root().middleware(move |socket: Socket| {
        let mut gone = gone.clone();
        async move {
            socket.emit("early", ()).unwrap();
            gone.wait_for(|gone| *gone).await.unwrap();
            Ok::<_, Refusal>(())
        }
    });
    let server = serve(builder(namespace)).await;
    let mut peer = Peer::websocket(server.address, WEBSOCKET).await;
    assert!(peer.recv_text().await.starts_with('0'));
    peer.send_text("421[\"sync\"]").await;
    peer.send_text("2").await;
    peer.expect_text("3").await;
    go.send_replace(true);
    peer.expect_text("40").await;
    peer.expect_text("42[\"early\"]").await;
    peer.expect_text("431[]").await;
}

#[tokio::test]
async fn a_client_that_joins_nothing_is_closed() {
    let refuse = || Err::<(), _>("members only");
    let namespace = Namespace::new("/").middleware(refuse);
    let server = serve(builder(namespace).connect_timeout(Duration::from_millis(500))).await;
    let mut peer = Peer::websocket(server.address, WEBSOCKET).await;
    assert!(peer.recv_text().await.starts_with('0'));
    peer.expect_text("44\"members only\"").await;
    peer.expect_close(1008).await;
}

fn echoing() -> Namespace {
    root().on("echo", |Data(bytes): Data<Bytes>| bytes)
}

#[tokio::test]
async fn binary_has_its_type_on_a_websocket() {
    for face in FACES {
        let server = face.serve(builder(echoing())).await;
        let mut peer = websocket(server.address, "").await;
        peer.send_text("451-1[\"echo\",{\"_placeholder\":true,\"num\":0}]").await;
        peer.send_binary(&[4, 1, 2, 255]).await;
        peer.expect_text("461-1[{\"_placeholder\":true,\"num\":0}]").await;
        peer.expect_binary(&[4, 1, 2, 255]).await;
        // As text, too, and of every length.
        for length in [0, 1, 124, 125, 126, 65_534, 65_535] {
            peer.send_text("451-1[\"echo\",{\"_placeholder\":true,\"num\":0}]").await;
            let mut bytes = vec![7; length + 1];
            bytes[0] = 4;
            peer.send_binary(&bytes).await;
            peer.expect_text("461-1[{\"_placeholder\":true,\"num\":0}]").await;
            peer.expect_binary(&bytes).await;
        }
        peer.send_text("451-1[\"echo\",{\"_placeholder\":true,\"num\":0}]").await;
        peer.send_text("b4AQID").await;
        peer.expect_text("461-1[{\"_placeholder\":true,\"num\":0}]").await;
        peer.expect_binary(&[4, 1, 2, 3]).await;

        let mut peer = websocket(server.address, "&b64=1").await;
        peer.send_text("451-1[\"echo\",{\"_placeholder\":true,\"num\":0}]").await;
        peer.send_binary(&[4, 1, 2, 3]).await;
        peer.expect_text("461-1[{\"_placeholder\":true,\"num\":0}]").await;
        peer.expect_text("b4AQID").await;
    }
}

#[tokio::test]
async fn one_broadcast_reaches_each_client_in_its_form() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve(builder(namespace)).await;
    let mut old = websocket(server.address, "").await;
    let mut old_text = websocket(server.address, "&b64=1").await;
    let (mut new, _) = Peer::socketio(server.address).await;
    let polled = Polled::socketio(server.address).await;
    let (polled_new, _) = Polling::socketio(server.address).await;
    for _ in 0..5 {
        sockets.next().await;
    }
    server.emit("news", Bytes::from_static(&[1, 2, 3])).unwrap();
    let event = "451-[\"news\",{\"_placeholder\":true,\"num\":0}]";
    old.expect_text(event).await;
    old.expect_binary(&[4, 1, 2, 3]).await;
    old_text.expect_text(event).await;
    old_text.expect_text("b4AQID").await;
    new.expect_text(event).await;
    new.expect_binary(&[1, 2, 3]).await;
    let answer = polled.poll().await;
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    let body = [b"\0\x04\x02\xff", event.as_bytes(), b"\x01\x04\xff\x04\x01\x02\x03"].concat();
    assert_eq!(answer.body, body, "{:?}", String::from_utf8_lossy(&answer.body));
    assert_eq!(polled_new.poll().await, format!("{event}\u{1e}bAQID"));
}

#[tokio::test]
async fn payloads_are_in_text_or_in_binary() {
    for face in FACES {
        let server =
            face.serve(builder(echoing().on("text", |Data(text): Data<String>| text))).await;
        let polled = Polled::socketio(server.address).await;
        polled.post(payload(&["421[\"text\",\"€😀\"]", "422[\"text\",\"b\"]"])).await;
        let answer = polled.poll().await;
        assert_eq!(answer.text(), payload(&["431[\"€😀\"]", "432[\"b\"]"]), "{face:?}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=UTF-8"));
        // In text with base64, and in binary; what comes back is binary.
        let event = "451-1[\"echo\",{\"_placeholder\":true,\"num\":0}]";
        let echoed = "461-1[{\"_placeholder\":true,\"num\":0}]";
        let binary = [&[0, 4, 3, 255][..], event.as_bytes(), &[1, 4, 255, 4, 1, 2, 3]].concat();
        for (headers, body) in [("", payload(&[event, "b4AQID"]).into_bytes()), (OCTETS, binary)] {
            assert_eq!(polled.ask("POST", headers, &body).await.status, 200);
            let answer = polled.poll().await;
            assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
            let expected =
                [&[0, 3, 6, 255][..], echoed.as_bytes(), &[1, 4, 255, 4, 1, 2, 3]].concat();
            assert_eq!(answer.body, expected, "{face:?}");
        }
        // A client that cannot take binary gets text.
        let polled = Polled::open(server.address, &format!("{POLLING}&b64=1")).await;
        assert_eq!(polled.poll().await.text(), "2:40");
        polled.post(payload(&[event, "b4AQID"])).await;
        let answer = polled.poll().await;
        assert_eq!(answer.text(), payload(&[echoed, "b4AQID"]));
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=UTF-8"));
    }
}

#[tokio::test]
async fn long_answers_are_compressed_in_both_forms() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve(builder(namespace).http_compression(Some(10))).await;
    let polled = Polled::socketio(server.address).await;
    let socket = sockets.next().await;
    socket.emit("zeros", Bytes::from(vec![0; 10_000])).unwrap();
    let mut poll =
        request(server.address, "GET", &polled.target, "Accept-Encoding: gzip\r\n", b"").await;
    let answer = poll.recv_http().await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    assert!(answer.body.len() < 1000);
}

#[tokio::test]
async fn a_session_goes_on_over_its_websocket() {
    for face in FACES {
        let (namespace, mut sockets) = with_sockets(root());
        let server = face.serve(builder(namespace)).await;
        for (query, binary) in
            [("", Message::Binary(vec![4, 1])), ("&b64=1", Message::Text("b4AQ==".to_owned()))]
        {
            let polled = Polled::socketio(server.address).await;
            let socket = sockets.next().await;
            let mut waiting = polled.begin_poll().await;
            let mut peer = polled.websocket(query).await;
            peer.send_text("2probe").await;
            peer.expect_text("3probe").await;
            assert_eq!(waiting.recv_http().await.text(), "1:6", "{face:?}");
            assert_eq!(polled.poll().await.text(), "1:6");
            // What is queued now goes the other way, in that way's form.
            socket.emit("queued", Bytes::from_static(&[1])).unwrap();
            peer.send_text("5").await;
            peer.expect_text("451-[\"queued\",{\"_placeholder\":true,\"num\":0}]").await;
            peer.expect(binary).await;
            peer.send_text("2").await;
            peer.expect_text("3").await;
            sync(&mut peer).await;
            assert_eq!(socket.revision(), Revision::V3);
            let refused = polled.ask("GET", "", b"").await;
            assert_eq!(refused.text(), "{\"code\":3,\"message\":\"Bad request\"}");
        }
    }
}

#[tokio::test]
async fn a_session_stays_with_its_revision() {
    let server = serve(builder(root())).await;
    let polled = Polled::socketio(server.address).await;
    let (four, _) = Polling::socketio(server.address).await;
    for (target, other) in [
        (polled.target.clone(), polled.target.replace("EIO=3", "EIO=4")),
        (four.target(), four.target().replace("EIO=4", "EIO=3")),
        (four.target(), four.target().replace("EIO=4&", "")),
    ] {
        for method in ["GET", "POST"] {
            let headers = "Content-Length: 0\r\n";
            let refused =
                request(server.address, method, &other, headers, b"").await.recv_http().await;
            let said = "{\"code\":3,\"message\":\"Bad request\"}";
            assert_eq!((refused.status, refused.text()), (400, said), "{target} {other}");
        }
        let upgrade = other.replace("=polling", "=websocket");
        let refused =
            request(server.address, "GET", &upgrade, UPGRADE, b"").await.recv_http().await;
        assert_eq!((refused.status, refused.text()), (400, "Bad request"));
    }
    // Anything but 4 is 3.
    let none = Polled { target: polled.target.replace("EIO=3&", ""), ..polled };
    none.post(payload(&["421[\"sync\"]"])).await;
    assert_eq!(none.poll().await.text(), "5:431[]");
    four.post("421[\"sync\"]").await;
    assert_eq!(four.poll().await, "431[]");
}

#[tokio::test]
async fn a_clients_pings_are_answered() {
    for face in FACES {
        let server = face.serve(builder(root())).await;
        let polled = Polled::socketio(server.address).await;
        for (pings, pongs) in [
            (payload(&["2"]), "1:3"),
            (payload(&["2probe"]), "1:3"),
            (payload(&["2", "2"]), "1:31:3"),
        ] {
            polled.post(pings).await;
            assert_eq!(polled.poll().await.text(), pongs, "{face:?}");
        }
        let mut peer = websocket(server.address, "").await;
        for ping in ["2", "2probe", "2\u{20ac}"] {
            peer.send_text(ping).await;
            peer.expect_text("3").await;
        }
    }
}

#[tokio::test]
async fn a_client_without_pings_is_given_up() {
    for face in FACES {
        let (namespace, mut reasons) = with_reasons(root());
        let millis = Duration::from_millis;
        let server = face
            .serve(builder(namespace).ping_interval(millis(150)).ping_timeout(millis(450)))
            .await;
        let mut peer = websocket(server.address, "").await;
        // It says something all the time, which is no ping.
        let talk = async {
            loop {
                peer.try_send_bytes(&sockeye_testkit::peer::text_frame("6")).await;
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = within(reasons.expect(["ping timeout"])) => {}
            () = talk => {}
        }
        let polled = Polled::socketio(server.address).await;
        reasons.expect(["ping timeout"]).await;
        let gone = polled.ask("GET", "", b"").await;
        assert_eq!(gone.text(), "{\"code\":1,\"message\":\"Session ID unknown\"}", "{face:?}");
    }
}

#[tokio::test]
async fn pings_keep_a_client() {
    let (namespace, mut reasons) = with_reasons(root());
    let server = serve(builder(namespace).ping_interval(Duration::from_secs(1))).await;
    let mut peer = websocket(server.address, "").await;
    // Far more than one interval's worth, without waiting for any.
    for _ in 0..100 {
        peer.send_text("2").await;
        peer.expect_text("3").await;
    }
    sync(&mut peer).await;
    reasons.expect_nothing();
}

#[tokio::test]
async fn a_flood_of_pings_is_answered_only_as_far_as_there_is_room() {
    let (namespace, mut sockets) = with_sockets(root());
    let limit = 64 * 1024;
    let server = serve(builder(namespace).max_buffered_bytes(limit)).await;
    let polled = Polled::socketio(server.address).await;
    let socket = sockets.next().await;
    for _ in 0..3 {
        polled.post("1:2".repeat(300_000)).await;
    }
    assert!(socket.buffered_bytes() <= 2 * limit, "{}", socket.buffered_bytes());
    assert!(socket.is_connected());
    let answer = polled.poll().await;
    assert!(answer.body.len() < limit && answer.text().replace("1:3", "").is_empty());
    polled.post(payload(&["2", "421[\"sync\"]"])).await;
    assert_eq!(polled.poll().await.text(), "1:35:431[]");
}
