//! Clients of several parsers on one server.

use bytes::Bytes;
use sockeye_server::parser::{self, Parsed, Parser};
use sockeye_server::{Args, Data, JsonParser, MsgpackParser, Namespace, Server, Socket};
use sockeye_socketio::{Error, Limits, Malformed};
use sockeye_testkit::peer::{Message, Peer, http};
use sockeye_testkit::polling::Polling;

use crate::harness::{root, serve, sync, until};

/// CONNECT in the form of each parser.
const CONNECT_MSGPACK: &[u8] = b"\x82\xa4type\x00\xa3nsp\xa1/";
const CONNECT_JSON: &str = r#"{"type":0,"nsp":"/"}"#;

fn chat() -> Namespace {
    root()
        .on_connect(|socket: Socket| {
            socket.join("lobby");
        })
        .on("echo", |Data(args): Data<Args>| args)
}

async fn msgpack(address: std::net::SocketAddr) -> Peer {
    let mut peer = Peer::engineio(address).await;
    peer.send_binary(CONNECT_MSGPACK).await;
    let Message::Binary(connected) = peer.recv().await else { panic!("no binary came") };
    assert!(connected.starts_with(b"\x83\xa4type\x00\xa4data\x82\xa3sid\xb4"), "{connected:x?}");
    assert!(connected.ends_with(b"\xa3pid\xd4\x00\x00\xa3nsp\xa1/"), "{connected:x?}");
    peer
}

async fn json(address: std::net::SocketAddr) -> Peer {
    let mut peer = Peer::engineio(address).await;
    peer.send_text(&format!("4{CONNECT_JSON}")).await;
    let connected = peer.recv_text().await;
    assert!(connected.starts_with(r#"4{"type":0,"data":{"sid":""#), "{connected}");
    peer
}

#[tokio::test]
async fn each_client_of_a_room_hears_its_own_parser() {
    let builder = Server::builder().also_parser(MsgpackParser).also_parser(JsonParser);
    let server = serve(builder.namespace(chat())).await;
    let mut binary = msgpack(server.address).await;
    let mut text = json(server.address).await;
    let (mut native, _) = Peer::socketio(server.address).await;
    sync(&mut native).await;

    server.of("/").unwrap().to("lobby").emit("e", (1, Bytes::from_static(&[7]))).unwrap();
    binary.expect_binary(b"\x83\xa4type\x02\xa4data\x93\xa1e\x01\xc4\x01\x07\xa3nsp\xa1/").await;
    text.expect_text(r#"4{"type":2,"data":["e",1,{"type":"Buffer","data":[7]}],"nsp":"/"}"#).await;
    native.expect_text(r#"451-["e",1,{"_placeholder":true,"num":0}]"#).await;
    native.expect_binary(&[7]).await;
}

#[tokio::test]
async fn events_and_acks_go_through_the_parser() {
    let server = serve(Server::builder().parser(MsgpackParser).namespace(chat())).await;
    let mut peer = msgpack(server.address).await;
    peer.send_binary(
        b"\x85\xa4type\x02\xa4data\x94\xa4echo\xc4\x02ab\xd4\x00\x00\xcb\x3f\xf8\0\0\0\0\0\0\
          \xa7options\x81\xa8compress\xc3\xa2id\x07\xa3nsp\xa1/",
    )
    .await;
    peer.expect_binary(
        b"\x84\xa2id\x07\xa4type\x03\xa4data\x93\xc4\x02ab\xc0\xcb\x3f\xf8\0\0\0\0\0\0\xa3nsp\xa1/",
    )
    .await;
}

#[tokio::test]
async fn what_the_parser_cannot_read_ends_the_session() {
    let server = serve(Server::builder().parser(MsgpackParser).namespace(chat())).await;
    for wrong in [&b"\xc1"[..], b"\x82\xa4type\x05\xa3nsp\xa1/"] {
        let mut peer = msgpack(server.address).await;
        peer.send_binary(wrong).await;
        peer.expect_close(1002).await;
    }
    until(|| server.of("/").unwrap().sockets().is_empty()).await;
}

#[tokio::test]
async fn polling_carries_binary_as_base64() {
    let server = serve(Server::builder().also_parser(MsgpackParser).namespace(chat())).await;
    let open =
        http(server.address, "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n")
            .await;
    let sid = open.text().split('"').nth(3).unwrap().to_owned();
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    let body = "bgqR0eXBlAKNuc3ChLw==";
    let post = format!(
        "POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(http(server.address, &post).await.text(), "ok");
    let poll = http(server.address, &format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    assert!(poll.text().starts_with("bg6R0eXBlAKRkYXRhgqNzaWS0"), "{}", poll.text());
}

/// Its client begins with `!`; what comes behind that, and what goes to the client, is the default form, its
/// escapes undone. It panics at what says so.
struct Shouting;

impl Parser for Shouting {
    fn encode(&self, packet: &Parsed) -> Vec<parser::Message> {
        assert!(!packet.data.contains("panic"), "on purpose, within a test");
        let kind = char::from(packet.kind.as_byte());
        let data = packet.data.replace("\\u001e", "\u{1e}");
        vec![parser::Message::Text(format!("!{kind}{data}"))]
    }

    fn decode(&self, message: parser::Message, _: &Limits) -> Result<Parsed, Error> {
        let parser::Message::Text(text) = message else { return Err(Malformed::Form.into()) };
        assert!(!text.contains("panic"), "on purpose, within a test");
        Parsed::from_text(&text[1..], &[]).ok_or(Malformed::Other.into())
    }

    fn recognizes(&self, first: &parser::Message) -> bool {
        let parser::Message::Text(text) = first else { panic!("on purpose, within a test") };
        text.starts_with('!')
    }
}

/// Nobody else's session is touched, in whose wake-up it may be that the packet is encoded.
#[tokio::test]
async fn a_parser_that_panics_costs_its_own_client_a_packet() {
    let builder = Server::builder().also_parser(Shouting).also_parser(MsgpackParser);
    let server = serve(builder.namespace(chat())).await;
    let mut peer = Peer::engineio(server.address).await;
    peer.send_text("4!0").await;
    assert!(peer.recv_text().await.starts_with("4!0{\"sid\":\""));
    let (mut native, _) = Peer::socketio(server.address).await;
    sync(&mut native).await;
    let lobby = server.of("/").unwrap().to("lobby");
    lobby.emit("e", "panic").unwrap();
    lobby.emit("e", "calm").unwrap();
    native.expect_text("42[\"e\",\"panic\"]").await;
    native.expect_text("42[\"e\",\"calm\"]").await;
    peer.expect_text("4!2[\"e\",\"calm\"]").await;
    // What it cannot read because it panics ends the client in good order, as what is malformed does.
    peer.send_text("4!2[\"panic\"]").await;
    peer.expect_close(1002).await;
    sync(&mut native).await;
    assert_eq!(server.metrics().violations, 1);
    // Nor does it keep the next parser from being asked.
    msgpack(server.address).await;
}

/// It would be read as several packets, of which clients could choose the second.
#[tokio::test]
async fn the_separator_of_payloads_is_never_polled() {
    let server = serve(Server::builder().also_parser(Shouting).namespace(chat())).await;
    let polling = Polling::open(server.address).await;
    polling.post("4!0").await;
    assert!(polling.poll().await.starts_with("4!0{\"sid\":\""));
    let mut peer = Peer::engineio(server.address).await;
    peer.send_text("4!0").await;
    assert!(peer.recv_text().await.starts_with("4!0{\"sid\":\""));
    let lobby = server.of("/").unwrap().to("lobby");
    lobby.emit("e", "\u{1e}1").unwrap();
    lobby.emit("e", "next").unwrap();
    assert_eq!(polling.poll().await, "4!2[\"e\",\"next\"]");
    // WebSocket has no such separator.
    peer.expect_text("4!2[\"e\",\"\u{1e}1\"]").await;
    peer.expect_text("4!2[\"e\",\"next\"]").await;
}
