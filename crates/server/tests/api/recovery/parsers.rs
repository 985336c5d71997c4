//! Clients of other parsers are recovered as those of the default one are.

use sockeye_server::parser::{self, Parsed, Parser};
use sockeye_server::{JsonParser, MsgpackParser};
use sockeye_socketio::{Error, Limits, Malformed};

use super::*;

/// The default form behind a `!`, both ways.
struct Custom;

impl Parser for Custom {
    fn encode(&self, packet: &Parsed) -> Vec<parser::Message> {
        vec![parser::Message::Text(format!(
            "!{}{}",
            char::from(packet.kind.as_byte()),
            packet.data
        ))]
    }

    fn decode(&self, message: parser::Message, _: &Limits) -> Result<Parsed, Error> {
        let parser::Message::Text(text) = message else { return Err(Malformed::Form.into()) };
        Parsed::from_text(&text[1..], &[]).ok_or(Malformed::Other.into())
    }

    fn recognizes(&self, first: &parser::Message) -> bool {
        matches!(first, parser::Message::Text(text) if text.starts_with('!'))
    }
}

/// What is sent as CONNECT, and what an answer says.
type Form = (fn(Option<&Past>) -> String, fn(&str) -> Value);

const FORMS: [Form; 2] = [
    (
        |past| {
            format!("4!0{}", past.map_or(String::new(), |past| past.connect("")[2..].to_owned()))
        },
        |text| {
            let json = text.strip_prefix("4!").expect(text).trim_start_matches(char::is_numeric);
            serde_json::from_str(json).expect(text)
        },
    ),
    (
        |past| {
            let data = past.map(|past| format!(",\"data\":{}", &past.connect("")[2..]));
            format!("4{{\"type\":0,\"nsp\":\"/\"{}}}", data.unwrap_or_default())
        },
        |text| {
            let packet: Value = serde_json::from_str(&text[1..]).expect(text);
            packet["data"].clone()
        },
    ),
];

#[tokio::test]
async fn text() {
    let (namespace, mut sockets) = with_sockets(root());
    let builder = recoverable(namespace).also_parser(Custom).also_parser(JsonParser);
    let server = serve(builder).await;
    for (connect, read) in FORMS {
        let enter = async |past: Option<&Past>| {
            let mut peer = Peer::engineio(server.address).await;
            peer.send_text(&connect(past)).await;
            let reply = read(&peer.recv_text().await);
            let past = joined(&format!("40{reply}"));
            (peer, past)
        };
        let heard = async |peer: &mut Peer, past: &mut Past| {
            let mut event: Vec<Value> =
                serde_json::from_value(read(&peer.recv_text().await)).unwrap();
            past.offset = event.pop().unwrap().as_str().map(str::to_owned);
            event
        };
        // Before its first event, and then behind it.
        let (peer, mut past) = enter(None).await;
        let socket = sockets.next().await;
        peer.reset();
        within(socket.closed()).await;
        for name in ["first", "second"] {
            server.emit(name, "text").unwrap();
            let (mut peer, now) = enter(Some(&past)).await;
            assert_eq!((&now.sid, &now.pid), (&past.sid, &past.pid));
            assert_eq!(heard(&mut peer, &mut past).await, [name, "text"]);
            let socket = sockets.next().await;
            assert!(socket.recovered());
            peer.reset();
            within(socket.closed()).await;
        }
    }
}

/// The official client sends JavaScript's `undefined` for the offset that it does not have, which msgpack writes.
#[tokio::test]
async fn msgpack_before_the_first_event() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve(recoverable(namespace).also_parser(MsgpackParser)).await;
    let mut peer = Peer::engineio(server.address).await;
    peer.send_binary(b"\x82\xa4type\x00\xa3nsp\xa1/").await;
    let Message::Binary(reply) = peer.recv().await else { panic!("no binary") };
    let socket = sockets.next().await;
    let at = reply.windows(4).position(|bytes| bytes == b"pid\xb4").unwrap() + 4;
    let pid = reply[at..at + 20].to_owned();
    peer.reset();
    within(socket.closed()).await;
    server.emit("missed", Bytes::from_static(b"\x07")).unwrap();
    let mut peer = Peer::engineio(server.address).await;
    let mut connect = b"\x83\xa4type\x00\xa4data\x82\xa3pid\xb4".to_vec();
    connect.extend_from_slice(&pid);
    connect.extend_from_slice(b"\xa6offset\xd4\x00\x00\xa3nsp\xa1/");
    peer.send_binary(&connect).await;
    peer.expect(Message::Binary(reply)).await;
    assert!(sockets.next().await.recovered());
    let Message::Binary(missed) = peer.recv().await else { panic!("no binary") };
    assert!(
        missed.starts_with(b"\x83\xa4type\x02\xa4data\x93\xa6missed\xc4\x01\x07\xa6"),
        "{missed:?}"
    );
}
