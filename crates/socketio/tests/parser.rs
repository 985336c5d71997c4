//! The other parsers: what they write and read, and what they refuse.

use bytes::Bytes;
use proptest::prelude::*;
use serde::Deserialize;
use sockeye_socketio::parser::{Message, Parsed};
use sockeye_socketio::{
    Args, Connection, Error, Event, JsonParser, Kind, Limit, Limits, Malformed, Misbehaviour,
    MsgpackParser, Parser, Value, decode_args,
};

/// What npm's parser has made: see `interop/parsers/vectors.mjs`.
#[derive(Deserialize)]
struct Vectors {
    /// The default parser's text, its attachments, and the msgpack of the same packet.
    server: Vec<(String, Vec<String>, String)>,
    /// The msgpack of an event, and the JSON of its data.
    client: Vec<(String, String)>,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("msgpack.json")).expect("the vectors are JSON")
}

fn unhex(hex: &str) -> Bytes {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("the vectors are in hexadecimal"))
        .collect()
}

fn read(bytes: impl Into<Bytes>) -> Result<Parsed, Error> {
    MsgpackParser.decode(Message::Binary(bytes.into()), &Limits::default())
}

fn malformed(why: Malformed) -> Error {
    Error::PeerMisbehaved(Misbehaviour::Message(why))
}

/// An event with this value, which is msgpack, as its one argument.
fn event(value: &[u8]) -> Vec<u8> {
    [b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1e", value].concat()
}

#[test]
fn packets_are_what_npm_makes_of_them() {
    for (text, attachments, hex) in vectors().server {
        let attachments: Vec<_> = attachments.iter().map(|hex| unhex(hex)).collect();
        let packet = Parsed::from_text(&text, &attachments).unwrap();
        assert_eq!(MsgpackParser.encode(&packet), [Message::Binary(unhex(&hex))], "{text}");
    }
}

#[test]
fn what_npm_has_made_is_read_back() {
    for (text, attachments, hex) in vectors().server {
        let attachments: Vec<_> = attachments.iter().map(|hex| unhex(hex)).collect();
        let packet = Parsed::from_text(&text, &attachments).unwrap();
        let back = read(unhex(&hex)).unwrap();
        assert_eq!(back.attachments, packet.attachments);
        assert_eq!(
            (back.kind, back.namespace, back.ack, back.data),
            (packet.kind, packet.namespace, packet.ack, packet.data)
        );
    }
}

#[test]
fn what_json_lacks_is_what_stringify_makes_of_it() {
    for (hex, json) in vectors().client {
        let packet = read(unhex(&hex)).unwrap();
        assert_eq!(packet.ack, Some(1));
        let value = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(value(&packet.data), value(&json), "{hex}");
    }
}

/// npm's parser writes the low bits of such a number as if they were all of it: 1e300 arrives as 0.
#[test]
fn whole_numbers_beyond_64_bits_keep_their_value() {
    let packet = Parsed::from_text("2[\"e\",1e300]", &[]).unwrap();
    let written = MsgpackParser.encode(&packet);
    let [Message::Binary(bytes)] = &written[..] else { panic!("{written:?}") };
    assert_eq!(read(bytes.clone()).unwrap().data, "[\"e\",1e+300]");
}

#[test]
fn every_violation_has_its_error() {
    for (bytes, why) in [
        (&b""[..], Malformed::Truncated),
        (b"\xc0", Malformed::Type),
        (b"\x80", Malformed::Type),
        (b"\x82\xa4type\x05\xa3nsp\xa1/", Malformed::Type),
        (b"\x81\xa4type\x01", Malformed::Namespace),
        (b"\x82\xa4type\x01\xa3nsp\x01", Malformed::Namespace),
        (b"\x82\xa4type\x01\xa3nsp\xa1/\x00", Malformed::TrailingBytes),
        (b"\x82\xa4type\x02\xa3nsp\xa1/", Malformed::Payload),
        (b"\x83\xa4type\x01\xa3nsp\xa1/\xa4data\x90", Malformed::Payload),
        (b"\x83\xa4type\x00\xa3nsp\xa1/\xa4data\x90", Malformed::Payload),
        (b"\x84\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa1e\xa2id\xff", Malformed::AckId),
        (&event(b"\xc1"), Malformed::Syntax),
        (&event(b"\x81\x90\x01"), Malformed::Key),
        // Lengths that lie.
        (&event(b"\xdd\xff\xff\xff\xff\x01"), Malformed::Truncated),
        (&event(b"\xdf\xff\xff\xff\xff\xa1a"), Malformed::Truncated),
        (&event(b"\xdb\xff\xff\xff\xffa"), Malformed::Truncated),
        (&event(b"\xc6\xff\xff\xff\xffa"), Malformed::Truncated),
        (&event(&[0x91; 1000]), Malformed::Depth),
    ] {
        assert_eq!(read(bytes.to_vec()), Err(malformed(why)), "{bytes:x?}");
    }
    let text = Message::Text(String::new());
    assert_eq!(MsgpackParser.decode(text, &Limits::default()), Err(malformed(Malformed::Form)));
}

#[test]
fn binary_is_limited_as_attachments_are() {
    let limits = Limits { max_attachments: 2, max_attachment_bytes: 3, ..Limits::default() };
    let read = |value: &[u8]| {
        let message = Message::Binary(event(value).into());
        MsgpackParser.decode(message, &limits).map(|packet| packet.attachments.len())
    };
    assert_eq!(read(b"\x92\xc4\x01a\xc7\x02\x00bc"), Ok(2));
    assert_eq!(read(b"\x93\xc4\x00\xc4\x00\xc4\x00"), Err(Limit::Attachments.into()));
    assert_eq!(read(b"\x92\xc4\x02aa\xc4\x02bb"), Err(Limit::AttachmentBytes.into()));
}

#[test]
fn keys_are_what_javascript_makes_of_them() {
    let packet = read(event(b"\x84\x01\x02\xff\x03\xc3\x04\xc0\x05")).unwrap();
    assert_eq!(packet.data, r#"["e",{"1":2,"-1":3,"true":4,"null":5}]"#);
}

/// Of a size that nothing gets through that compares each with all others, or copies all for each.
#[test]
fn many_keys_cost_what_they_take() {
    let mut map = vec![0xdf];
    map.extend(150_000_u32.to_be_bytes());
    for key in 0..150_000_u32 {
        map.push(0xce);
        map.extend(key.to_be_bytes());
        map.push(0xc0);
    }
    let packet = read(event(&map)).unwrap();
    let args = packet.data.strip_prefix("[\"e\",").unwrap().strip_suffix(']').unwrap();
    let Args(args) = decode_args(args, &[]).unwrap();
    let Value::Object(map) = &args[0] else { panic!("{args:?}") };
    assert_eq!(map.len(), 150_000);
    let written = MsgpackParser.encode(&packet);
    let [Message::Binary(bytes)] = &written[..] else { panic!("{written:?}") };
    assert_eq!(read(bytes.clone()), Ok(packet));
}

#[test]
fn json_is_one_text() {
    let limits = Limits::default();
    for (text, json) in [
        ("0{\"sid\":\"a\"}", r#"{"type":0,"data":{"sid":"a"},"nsp":"/"}"#),
        ("2/a,7[\"e\",1]", r#"{"type":2,"data":["e",1],"id":7,"nsp":"/a"}"#),
        ("37[1]", r#"{"id":7,"type":3,"data":[1],"nsp":"/"}"#),
        ("1", r#"{"type":1,"nsp":"/"}"#),
    ] {
        let packet = Parsed::from_text(text, &[]).unwrap();
        let message = Message::Text(json.into());
        assert_eq!(JsonParser.encode(&packet), std::slice::from_ref(&message));
        assert_eq!(JsonParser.decode(message, &limits), Ok(packet));
    }
    let text = r#"51-["{\"_placeholder\":true,\"num\":0}",{"_placeholder":true,"num":0},2]"#;
    let packet = Parsed::from_text(text, &[Bytes::from_static(&[1, 200])]).unwrap();
    let data = r#"["{\"_placeholder\":true,\"num\":0}",{"type":"Buffer","data":[1,200]},2]"#;
    let json = format!(r#"{{"type":2,"data":{data},"nsp":"/"}}"#);
    assert_eq!(JsonParser.encode(&packet), [Message::Text(json)]);
    for (json, why) in [
        ("", Malformed::Syntax),
        ("{} ]", Malformed::Syntax),
        (r#"[2,"/",["e"],7]"#, Malformed::Syntax),
        (r#"{"nsp":"/"}"#, Malformed::Type),
        (r#"{"type":5,"nsp":"/"}"#, Malformed::Type),
        (r#"{"type":1}"#, Malformed::Namespace),
        (r#"{"type":2,"nsp":"/"}"#, Malformed::Payload),
        (r#"{"type":2,"nsp":"/","data":["e"],"id":"x"}"#, Malformed::AckId),
    ] {
        let message = Message::Text(json.into());
        assert_eq!(JsonParser.decode(message, &limits), Err(malformed(why)), "{json}");
    }
}

#[test]
fn a_connection_judges_as_it_does_by_the_default_parser() {
    let limits = Limits::default();
    let mut connection = Connection::new(0, &limits);
    let parsed = |kind, data: &str, attachments| Parsed {
        kind,
        namespace: "/".into(),
        ack: None,
        data: data.into(),
        attachments,
    };
    let hello = parsed(Kind::Event, "[\"hello\",1]", Vec::new());
    let error = connection.receive_parsed(&limits, &hello).unwrap_err();
    assert_eq!(error, Misbehaviour::NotJoined(Kind::Event).into());

    let connect = parsed(Kind::Connect, "{\"token\":1}", Vec::new());
    let event = connection.receive_parsed(&limits, &connect).unwrap();
    let auth = Some("{\"token\":1}");
    assert_eq!(event, Some(Event::Connect { namespace: "/".into(), auth: auth.map(Into::into) }));
    let event = connection.receive_parsed(&limits, &hello).unwrap();
    assert!(
        matches!(event, Some(Event::Event { name, args, .. }) if name == "hello" && args == "1")
    );

    let reserved = parsed(Kind::Event, "[\"disconnect\"]", Vec::new());
    let error = connection.receive_parsed(&limits, &reserved).unwrap_err();
    assert_eq!(error, Misbehaviour::ReservedEvent.into());
    let forged = r#"["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]"#;
    let forged = parsed(Kind::Event, forged, vec![Bytes::new()]);
    let error = connection.receive_parsed(&limits, &forged).unwrap_err();
    assert_eq!(error, Misbehaviour::PlaceholderOutOfRange.into());
    let many = parsed(Kind::Event, "[\"e\"]", vec![Bytes::new(); 11]);
    let error = connection.receive_parsed(&limits, &many).unwrap_err();
    assert_eq!(error, Limit::Attachments.into());
    let comma = Parsed { namespace: "/a,b".into(), ..connect };
    let error = connection.receive_parsed(&limits, &comma).unwrap_err();
    assert_eq!(error, malformed(Malformed::Namespace));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(value in prop::collection::vec(any::<u8>(), 0..200)) {
        let message = event(&value);
        let length = message.len();
        if let Ok(packet) = read(message) {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&packet.data).is_ok());
            // A placeholder is the most that a few bytes become, and there are ten at the most.
            prop_assert!(packet.data.len() <= length * 24 + 400);
        }
    }

    #[test]
    fn what_is_written_is_read_back(
        text in ".*",
        number in any::<i64>(),
        float in prop::num::f64::NORMAL,
        binary in prop::collection::vec(any::<u8>(), 0..300),
        ack in prop::option::of(any::<u64>()),
    ) {
        let text = serde_json::to_string(&text).unwrap();
        let placeholder = r#"{"_placeholder":true,"num":0}"#;
        let packet = Parsed {
            kind: Kind::Event,
            namespace: "/n".into(),
            ack,
            data: format!("[\"e\",{{{text}:[{text},{number},{placeholder}]}},{float:e}]"),
            attachments: vec![binary.into()],
        };
        let written = MsgpackParser.encode(&packet);
        let [Message::Binary(bytes)] = &written[..] else { panic!("{written:?}") };
        let back = read(bytes.clone()).unwrap();
        prop_assert_eq!(&back.attachments, &packet.attachments);
        prop_assert_eq!((back.kind, back.ack), (packet.kind, packet.ack));
        let again = MsgpackParser.encode(&back);
        prop_assert_eq!(again, written);
    }
}
