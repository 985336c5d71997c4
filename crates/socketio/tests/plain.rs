//! The plain convention: what its messages mean, what is wrong with others, and that nothing is lost
//! between it and Socket.IO.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use proptest::prelude::*;
use sockeye_socketio::plain::{self, Error, Message};
use sockeye_socketio::{Args, Limit, Limits, Map, Value, decode_args, encode};

/// What a plain client gets of an event.
fn plain_event<T: serde::Serialize>(ack: Option<u64>, name: &str, args: &T) -> String {
    let mut packet = Vec::new();
    let attachments = encode::event(&mut packet, "/any", ack, name, args).unwrap();
    to_plain(&packet, &attachments)
}

fn to_plain(packet: &[u8], attachments: &[Bytes]) -> String {
    let mut out = b"before".to_vec();
    plain::encode(&mut out, std::str::from_utf8(packet).unwrap(), attachments);
    String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
}

fn decode(text: &str) -> Result<Message<'_>, Error> {
    plain::decode(text, &Limits::default())
}

#[track_caller]
fn event(text: &str) -> (String, String, Vec<Bytes>, Option<u64>) {
    match decode(text) {
        Ok(Message::Event { name, args, attachments, id }) => {
            (name.into_owned(), args.into_owned(), attachments, id)
        }
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn what_a_server_says() {
    let mut packet = Vec::new();
    encode::connect(&mut packet, "/chat", "an-id", None);
    assert_eq!(to_plain(&packet, &[]), r#"{"connected":{"id":"an-id"}}"#);

    packet.clear();
    encode::connect_error(&mut packet, "/", "no \"entry\"", Some(&[1, 2])).unwrap();
    assert_eq!(to_plain(&packet, &[]), r#"{"error":{"message":"no \"entry\"","data":[1,2]}}"#);
    assert_eq!(to_plain(b"4\"no\"", &[]), r#"{"error":{"message":"no"}}"#);
    assert_eq!(to_plain(b"4", &[]), r#"{"error":{"message":""}}"#);

    packet.clear();
    encode::disconnect(&mut packet, "/chat");
    assert_eq!(to_plain(&packet, &[]), "");

    assert_eq!(plain_event(None, "e", &()), r#"{"event":"e","args":[]}"#);
    assert_eq!(
        plain_event(Some(7), "a\"b", &(1, "x")),
        r#"{"event":"a\"b","args":[1,"x"],"id":7}"#
    );

    packet.clear();
    let none = encode::ack(&mut packet, "/chat", u64::MAX, &("posted", 1)).unwrap();
    assert_eq!(to_plain(&packet, &none), r#"{"ack":18446744073709551615,"args":["posted",1]}"#);

    for other in ["", "7", "2", "2{", "0", "0{}", "0{\"sid\":1}", "hello"] {
        assert_eq!(to_plain(other.as_bytes(), &[]), "", "{other}");
    }
}

#[test]
fn binary_of_a_server() {
    let binary = |bytes: &'static [u8]| Value::Binary(Bytes::from_static(bytes));
    assert_eq!(
        plain_event(None, "e", &(binary(b"\0\x01"), "x", [binary(b"")], binary(b"???"))),
        r#"{"event":"e","args":[{"$binary":"AAE="},"x",[{"$binary":""}],{"$binary":"Pz8/"}]}"#
    );
    // An attachment stands where the encoder has put it and nowhere else.
    let fake: Value = serde_json::json!({"_placeholder": true, "num": 1}).into();
    assert_eq!(
        plain_event(None, "e", &(&fake, binary(b"a"), &fake)),
        r#"{"event":"e","args":[{"_placeholder":true,"num":1},{"$binary":"YQ=="},{"_placeholder":true,"num":1}]}"#
    );
    let many = vec![serde_json::json!({"_placeholder": true, "num": 0}); 50];
    let text = plain_event(None, "e", &(Bytes::from_static(b"aaaaaa"), many));
    assert_eq!(text.matches("YWFhYWFh").count(), 1);
}

#[test]
fn keys_that_look_like_binary() {
    for (json, plain) in [
        (r#"{"$binary":1}"#, r#"{"$$binary":1}"#),
        (r#"{"$$binary":{"$binary":"AA=="}}"#, r#"{"$$$binary":{"$$binary":"AA=="}}"#),
        (r#"{"a":1,"$binary" : "$binary"}"#, r#"{"a":1,"$$binary" : "$binary"}"#),
        (r#"{"\u0024bin\u0061ry":1}"#, r#"{"$\u0024bin\u0061ry":1}"#),
        (r#"["$binary",{"binary":1,"$binaryx":2,"$ binary":3,"x$binary":4}]"#, ""),
        (r#"{"\\$binary":1,"\"$binary":"\\\"$binary"}"#, ""),
    ] {
        let plain = if plain.is_empty() { json } else { plain };
        let raw: Box<serde_json::value::RawValue> = serde_json::from_str(json).unwrap();
        let said = plain_event(None, "e", &raw);
        assert_eq!(said, format!(r#"{{"event":"e","args":[{plain}]}}"#));
        let (_, args, attachments, _) = event(&said);
        assert_eq!((args.as_str(), attachments.len()), (json, 0), "{said}");
    }
    let (_, args, ..) = event(r#"{"event":"e","args":[{"\u0024\u0024binary":1}]}"#);
    assert_eq!(args, r#"{"\u0024binary":1}"#);
}

#[test]
fn what_a_client_says() {
    let same = ("chat message".to_owned(), "\"hi\", 1".to_owned(), vec![], Some(7));
    assert_eq!(event(r#"{"event":"chat message","args":["hi", 1],"id":7}"#), same);
    assert_eq!(
        event(" { \"id\" : 7 ,\n\"args\":[ \"hi\", 1 ], \"event\":\"chat message\" } "),
        same
    );
    assert_eq!(event(r#"{"ev\u0065nt":"chat\u0020message","args":["hi", 1],"id":7}"#), same);
    let bare = ("e".to_owned(), String::new(), vec![], None);
    assert_eq!(event(r#"{"event":"e"}"#), bare);
    assert_eq!(event(r#"{"event":"e","args":[]}"#), bare);
    assert_eq!(event(r#"{"event":""}"#).0, "");
    assert_eq!(event(r#"{"event":"12"}"#).0, "12");
    assert_eq!(event(r#"{"event":"e","id":18446744073709551615}"#).3, Some(u64::MAX));
    // Cut characters of JavaScript.
    assert_eq!(event(r#"{"event":"\ud83d","args":["\ud83d"]}"#).1, r#""\ufffd""#);
    assert_eq!(event(r#"{"event":"\ud83d"}"#).0, "\u{fffd}");

    let ack = Message::Ack { id: 3, args: "\"posted\"".into(), attachments: vec![] };
    assert_eq!(decode(r#"{"ack":3,"args":["posted"]}"#), Ok(ack));
    let ack = Message::Ack { id: 0, args: "".into(), attachments: vec![] };
    assert_eq!(decode(r#"{"ack":0}"#), Ok(ack));
}

#[test]
fn binary_of_a_client() {
    for (args, json, binary) in [
        (r#"[{"$binary":"AAE="}]"#, r#"{"_placeholder":true,"num":0}"#, &[&b"\0\x01"[..]][..]),
        (r#"[{"$binary":"AAE"}]"#, r#"{"_placeholder":true,"num":0}"#, &[b"\0\x01"]),
        (
            r#"[1,{ "\u0024binary" : "Pz8\/" } ,{"a":[{"$binary":""}]}]"#,
            r#"1,{"_placeholder":true,"num":0} ,{"a":[{"_placeholder":true,"num":1}]}"#,
            &[b"???", b""],
        ),
    ] {
        let text = format!(r#"{{"event":"e","args":{args}}}"#);
        let (_, found, attachments, _) = event(&text);
        assert_eq!(
            (found.as_str(), attachments.as_slice()),
            (json, &binary.iter().map(|b| Bytes::from_static(b)).collect::<Vec<_>>()[..])
        );
        let text = format!(r#"{{"ack":1,"args":{args}}}"#);
        let ack = Message::Ack { id: 1, args: json.into(), attachments };
        assert_eq!(decode(&text), Ok(ack));
    }
}

#[test]
fn what_is_wrong() {
    let ten = [r#"{"$binary":"AA=="}"#; 10].join(",");
    for (text, error) in [
        ("", Error::Json),
        ("hello", Error::Json),
        ("{", Error::Json),
        (r#"{"event":"e",}"#, Error::Json),
        (r#"{"event":"e"}x"#, Error::Json),
        (r#"{"event":"e","args":[1 2]}"#, Error::Json),
        (r#"{"event":"e","x":[1 2]}"#, Error::Json),
        (r#"["event","e"]"#, Error::NotAnObject),
        ("1", Error::NotAnObject),
        ("null", Error::NotAnObject),
        (r#""event""#, Error::NotAnObject),
        ("{}", Error::Nothing),
        (r#"{"args":[]}"#, Error::Nothing),
        (r#"{"id":1}"#, Error::Nothing),
        (r#"{"event":"e","arg":["x"]}"#, Error::UnknownKey("arg".into())),
        (r#"{"connected":{}}"#, Error::UnknownKey("connected".into())),
        (r#"{"event":"e","event":"f"}"#, Error::RepeatedKey("event")),
        (r#"{"event":"e","args":[],"\u0061rgs":[]}"#, Error::RepeatedKey("args")),
        (r#"{"event":"e","ack":1}"#, Error::EventAndAck),
        (r#"{"event":12}"#, Error::EventName),
        (r#"{"event":null}"#, Error::EventName),
        (r#"{"event":["e"]}"#, Error::EventName),
        (r#"{"event":"disconnect"}"#, Error::ReservedEvent("disconnect".into())),
        (r#"{"event":"conn\u0065ct"}"#, Error::ReservedEvent("connect".into())),
        (r#"{"event":"e","args":"x"}"#, Error::Args),
        (r#"{"event":"e","args":{"0":1}}"#, Error::Args),
        (r#"{"event":"e","args":null}"#, Error::Args),
        (r#"{"ack":1,"args":1}"#, Error::Args),
        (r#"{"event":"e","id":-1}"#, Error::Id("id")),
        (r#"{"event":"e","id":1.0}"#, Error::Id("id")),
        (r#"{"event":"e","id":1e3}"#, Error::Id("id")),
        (r#"{"event":"e","id":"1"}"#, Error::Id("id")),
        (r#"{"event":"e","id":null}"#, Error::Id("id")),
        (r#"{"event":"e","id":18446744073709551616}"#, Error::Id("id")),
        (r#"{"ack":"1"}"#, Error::Id("ack")),
        (r#"{"ack":null}"#, Error::Id("ack")),
        (r#"{"ack":1,"id":1}"#, Error::IdOfAck),
        (r#"{"event":"e","args":[{"$binary":1}]}"#, Error::Binary),
        (r#"{"event":"e","args":[{"$binary":null}]}"#, Error::Binary),
        (r#"{"event":"e","args":[{"$binary":"%"}]}"#, Error::Binary),
        (r#"{"event":"e","args":[{"$binary":"AA==","x":1}]}"#, Error::Binary),
        (r#"{"event":"e","args":[{"x":1,"$binary":"AA=="}]}"#, Error::Binary),
        (r#"{"event":"e","args":[{"x":"{","$binary":"AA=="}]}"#, Error::Binary),
        (r#"{"event":"e","args":[{"$binary":"AA==","$binary":"AA=="}]}"#, Error::Binary),
        (r#"{"event":"e","args":[{"$binary":["AA=="]}]}"#, Error::Binary),
        (
            r#"{"event":"e","args":[{"$binary":""},{"_placehold\u0065r": true,"num":0}]}"#,
            Error::Placeholder,
        ),
        (
            &format!(r#"{{"event":"e","args":[{ten},{{"$binary":""}}]}}"#),
            Error::LimitExceeded(Limit::Attachments),
        ),
    ] {
        assert_eq!(decode(text), Err(error), "{text}");
    }
    assert!(decode(&format!(r#"{{"event":"e","args":[{ten}]}}"#)).is_ok());

    let limits = Limits { max_attachment_bytes: 3, ..Limits::default() };
    let text = r#"{"event":"e","args":[{"$binary":"AAA="},{"$binary":"AA=="}]}"#;
    assert!(plain::decode(text, &limits).is_ok());
    let text = r#"{"event":"e","args":[{"$binary":"AAA="},{"$binary":"AAA="}]}"#;
    let error = plain::decode(text, &limits).unwrap_err();
    assert_eq!(error, Error::LimitExceeded(Limit::AttachmentBytes));

    let long = "é".repeat(1000);
    let error = decode(&format!(r#"{{"{long}":1}}"#)).unwrap_err();
    assert!(error.to_string().len() < 200, "{error}");
}

#[test]
fn an_object_like_a_placeholder_is_no_binary() {
    let said = r#"{"event":"e","args":[{"_placeholder":true,"num":0}]}"#;
    let (name, args, attachments, _) = event(said);
    let args: Args = decode_args(&args, &attachments).unwrap();
    assert_eq!(plain_event(None, &name, &args), said);
}

#[test]
fn auth_is_an_object() {
    assert_eq!(plain::auth(" {\"token\":1} "), Ok("{\"token\":1}"));
    for wrong in ["", " ", "token", "[]", "\"x\"", "{", "{}x", "null"] {
        assert_eq!(plain::auth(wrong), Err(Error::Auth), "{wrong}");
    }
}

/// Half a million brackets: neither way may need a stack for them.
#[test]
fn deep_nesting_is_no_harm() {
    let deep =
        |open: &str, close: &str| format!("{}1{}", open.repeat(300_000), close.repeat(300_000));
    for args in [deep("[", "]"), deep(r#"{"$$binary":"#, "}"), deep(r#"["$binary","#, "]")] {
        let text = format!(r#"{{"event":"e","args":[{args}]}}"#);
        let (name, found, attachments, _) = event(&text);
        let packet = format!("2[\"{name}\",{found}]");
        assert_eq!(to_plain(packet.as_bytes(), &attachments), text);
    }
    // Not each is looked for to the end.
    let fakes = deep(r#"{"_placeholder":true,"num":"#, "}");
    let said = to_plain(format!("2[\"e\",{fakes}]").as_bytes(), &[Bytes::from_static(b"a")]);
    assert_eq!(said, format!(r#"{{"event":"e","args":[{fakes}]}}"#));
    assert_eq!(
        decode(&format!(r#"{{"event":"e","args":[{}]}}"#, deep(r#"{"$binary":"#, "}"))),
        Err(Error::Binary)
    );
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => any::<String>(),
        2 => "\\${0,3}binary",
        1 => Just("_placeholder".to_owned()),
        1 => Just("num".to_owned()),
    ]
}

/// Any JSON, with keys that mean something here among the others.
fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        key().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Anything with binary in it, and no object that Socket.IO would take for binary.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|b| Value::Binary(b.into())),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec(("\\${0,3}binary|[a-z]", inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map>())),
        ]
    })
}

proptest! {
    /// Plain, Socket.IO, plain, byte for byte; and what Socket.IO has in between is the same JSON as what
    /// the plain client meant.
    #[test]
    fn json_of_any_shape_survives(args in prop::collection::vec(json(), 0..4), name in "[^c-n].*") {
        let mut packet = Vec::new();
        let meant = serde_json::to_string(&args).unwrap();
        let args = Args(args.into_iter().map(Value::from).collect());
        let none = encode::event(&mut packet, "/", Some(1), &name, &args).unwrap();
        let plain = to_plain(&packet, &none);
        let (found, json, attachments, id) = event(&plain);
        prop_assert_eq!((found.as_str(), id, attachments.len()), (name.as_str(), Some(1), 0));
        prop_assert_eq!(format!("[{json}]"), meant);
        let again: Args = decode_args(&json, &attachments).unwrap();
        prop_assert_eq!(plain_event(id, &found, &again), plain);
    }

    #[test]
    fn binary_anywhere_survives(args in prop::collection::vec(value(), 0..4)) {
        let args = Args(args);
        let plain = plain_event(None, "e", &args);
        let limits = Limits { max_attachments: 1000, ..Limits::default() };
        let Ok(Message::Event { args: json, attachments, .. }) = plain::decode(&plain, &limits) else {
            panic!("{plain}");
        };
        let again: Args = decode_args(&json, &attachments).unwrap();
        prop_assert_eq!(&again, &args);
        prop_assert_eq!(plain_event(None, "e", &again), plain);
    }

    #[test]
    fn no_text_does_harm(text in r#"[{}\[\]:,"\\u0-9a-e$ ]{0,60}|.*"#) {
        let _ = decode(&text);
        let _ = decode(&format!(r#"{{"event":"e","args":[{text}]}}"#));
        let mut out = Vec::new();
        plain::encode(&mut out, &text, &[Bytes::from_static(b"x")]);
        plain::encode(&mut out, &format!("2[\"e\",{text}]"), &[Bytes::from_static(b"x")]);
    }
}
