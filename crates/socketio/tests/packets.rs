//! Packets as text, byte by byte: what the official packages send and accept, and what they do not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::borrow::Cow;

use serde_json::json;
use sockeye_socketio::{
    Body, EncodeError, Error, Kind, Limit, Limits, Misbehaviour, Packet, decode, encode,
    is_valid_namespace,
};

fn read(text: &str) -> Result<Packet<'_>, Error> {
    decode(text, &Limits::default())
}

fn packet<'a>(kind: Kind, namespace: &'a str, ack: Option<u64>, body: Body<'a>) -> Packet<'a> {
    Packet { kind, attachments: 0, namespace, ack, body }
}

fn event<'a>(name: &'a str, args: &'a str) -> Body<'a> {
    Body::Event { name: Some(Cow::Borrowed(name)), args }
}

/// What an encoder appends behind what was there.
fn written(encode: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = b"head4".to_vec();
    encode(&mut out);
    assert!(out.starts_with(b"head4"));
    String::from_utf8(out.split_off(5)).unwrap()
}

#[test]
fn connect() {
    use Body::Connect;
    let sid = r#"{"sid":"iVMoBT2MZCoIWMP4AAAA"}"#;
    for (text, namespace, data) in [
        ("0", "/", None),
        (r#"0{"sid":"iVMoBT2MZCoIWMP4AAAA"}"#, "/", Some(sid)),
        (r#"0/auth,{"t":"no"}"#, "/auth", Some(r#"{"t":"no"}"#)),
        ("0/nope,", "/nope", None),
        ("0/random", "/random", None),
        ("0{}", "/", Some("{}")),
        ("0/,", "/", None),
    ] {
        assert_eq!(read(text), Ok(packet(Kind::Connect, namespace, None, Connect(data))), "{text}");
    }
    // An id is not asked for here, but Node reads over it.
    assert_eq!(read("0/a,7{}"), Ok(packet(Kind::Connect, "/a", Some(7), Connect(Some("{}")))));

    let id = "iVMoBT2MZCoIWMP4AAAA";
    assert_eq!(written(|out| encode::connect(out, "/", id, None)), format!("0{sid}"));
    assert_eq!(written(|out| encode::connect(out, "/auth", id, None)), format!("0/auth,{sid}"));
    assert_eq!(
        written(|out| encode::connect(out, "/", "an-id", Some("a-pid"))),
        r#"0{"sid":"an-id","pid":"a-pid"}"#
    );
}

#[test]
fn connect_error() {
    let refusal = r#"4/auth,{"message":"not authorized","data":{"code":42,"retry":false}}"#;
    let data = json!({"code": 42, "retry": false});
    let no = |out: &mut Vec<u8>| {
        encode::connect_error(out, "/auth", "not authorized", Some(&data)).unwrap();
    };
    assert_eq!(written(no), refusal);
    let no = |out: &mut Vec<u8>| {
        encode::connect_error(out, "/nope", "Invalid namespace", None::<&()>).unwrap();
    };
    assert_eq!(written(no), r#"4/nope,{"message":"Invalid namespace"}"#);

    assert_eq!(
        read(refusal),
        Ok(packet(Kind::ConnectError, "/auth", None, Body::ConnectError(Some(&refusal[7..]))))
    );
    assert_eq!(
        read(r#"4"no""#),
        Ok(packet(Kind::ConnectError, "/", None, Body::ConnectError(Some(r#""no""#))))
    );
    assert_eq!(read("4"), Ok(packet(Kind::ConnectError, "/", None, Body::ConnectError(None))));
}

#[test]
fn disconnect() {
    for (text, namespace) in [("1", "/"), ("1/auth,", "/auth"), ("1/custom", "/custom")] {
        assert_eq!(
            read(text),
            Ok(packet(Kind::Disconnect, namespace, None, Body::Disconnect)),
            "{text}"
        );
    }
    assert_eq!(written(|out| encode::disconnect(out, "/")), "1");
    assert_eq!(written(|out| encode::disconnect(out, "/auth")), "1/auth,");
}

#[test]
fn events() {
    let unusual = r#"null,null,null,"1970-01-01T00:00:00.000Z",1,"…€😀""#;
    let unusual_text = format!(r#"2["u",{unusual}]"#);
    for (text, namespace, ack, name, args) in [
        (r#"2["hello",1,{"a":null}]"#, "/", None, "hello", r#"1,{"a":null}"#),
        (r#"20["ackme","x",2]"#, "/", Some(0), "ackme", r#""x",2"#),
        (r#"2[12,"numeric event"]"#, "/", None, "12", r#""numeric event""#),
        (&unusual_text, "/", None, "u", unusual),
        (r#"2["alone"]"#, "/", None, "alone", ""),
        (r#"2/chat,["x",[]]"#, "/chat", None, "x", "[]"),
        (r#"2/chat,12["x"]"#, "/chat", Some(12), "x", ""),
        (r#"2/chat?a=b/c,0012["x",1]"#, "/chat?a=b/c", Some(12), "x", "1"),
        // JSON may have blanks, though no client sends any.
        ("2[ \"x\"\t,\n1 , 2 ] ", "/", None, "x", "1 , 2"),
        (r#"2[ "x" ]"#, "/", None, "x", ""),
        (r#"2["a,]\"b",1]"#, "/", None, "a,]\"b", "1"),
        (r#"2["a\n\u20acé"]"#, "/", None, "a\n€é", ""),
        (r#"2["",1]"#, "/", None, "", "1"),
        (r#"2[-1.5e3,1]"#, "/", None, "-1.5e3", "1"),
        (r#"2["connection"]"#, "/", None, "connection", ""),
        (r#"2["error"]"#, "/", None, "error", ""),
        (r#"218446744073709551615["x"]"#, "/", Some(u64::MAX), "x", ""),
    ] {
        assert_eq!(
            read(text),
            Ok(packet(Kind::Event, namespace, ack, event(name, args))),
            "{text}"
        );
    }
    // Without any JSON there is no name; Node lets it pass.
    let nameless = Body::Event { name: None, args: "" };
    assert_eq!(read("2"), Ok(packet(Kind::Event, "/", None, nameless.clone())));
    assert_eq!(read("2/a,5"), Ok(packet(Kind::Event, "/a", Some(5), nameless)));
}

#[test]
fn a_name_without_escapes_is_not_copied() {
    let borrowed = |text| match read(text).unwrap().body {
        Body::Event { name: Some(name), .. } => matches!(name, Cow::Borrowed(_)),
        _ => false,
    };
    assert!(borrowed(r#"2["hello",1]"#));
    assert!(borrowed(r#"2["héllo"]"#));
    assert!(borrowed(r#"2[12]"#));
    assert!(!borrowed(r#"2["a\nb"]"#));
}

#[test]
fn acks() {
    for (text, namespace, ack, args) in [
        (r#"30["x",2]"#, "/", Some(0), r#""x",2"#),
        ("3/a,12[]", "/a", Some(12), ""),
        ("312", "/", Some(12), ""),
        ("3[1]", "/", None, "1"),
        ("37[ 1 , [2] ]", "/", Some(7), "1 , [2]"),
    ] {
        assert_eq!(read(text), Ok(packet(Kind::Ack, namespace, ack, Body::Ack { args })), "{text}");
    }
}

#[test]
fn binary() {
    let text = r#"52-["b",{"_placeholder":true,"num":0},{"x":{"_placeholder":true,"num":1}}]"#;
    let args = &text[8..text.len() - 1];
    assert_eq!(
        read(text),
        Ok(Packet { attachments: 2, ..packet(Kind::BinaryEvent, "/", None, event("b", args)) })
    );
    let text = r#"61-/a,12[{"_placeholder":true,"num":0}]"#;
    assert_eq!(
        read(text),
        Ok(Packet {
            attachments: 1,
            ..packet(Kind::BinaryAck, "/a", Some(12), Body::Ack { args: &text[9..text.len() - 1] })
        })
    );
    assert_eq!(read(r#"5010-["x"]"#).unwrap().attachments, 10, "leading zeros are a number");
}

#[test]
fn malformed() {
    use Kind::*;
    use Misbehaviour as M;
    for (text, error) in [
        ("", M::EmptyPacket),
        ("7", M::UnknownKind('7')),
        ("9[]", M::UnknownKind('9')),
        ("abc", M::UnknownKind('a')),
        (" 2", M::UnknownKind(' ')),
        ("€", M::UnknownKind('€')),
        ("\u{132}", M::UnknownKind('\u{132}')),
        // CONNECT takes an object or nothing.
        ("0[]", M::Payload(Connect)),
        (r#"0"x""#, M::Payload(Connect)),
        ("0null", M::Payload(Connect)),
        ("0 {}", M::Payload(Connect)),
        ("0{", M::Json(Connect)),
        ("0{}{}", M::Json(Connect)),
        ("0/a,{\"a\":}", M::Json(Connect)),
        // DISCONNECT takes nothing.
        ("1{}", M::Payload(Disconnect)),
        ("1[]", M::Payload(Disconnect)),
        ("1x", M::Payload(Disconnect)),
        // EVENT takes an array that begins with a name.
        ("2[]", M::Payload(Event)),
        ("2{}", M::Payload(Event)),
        (r#"2"x""#, M::Payload(Event)),
        ("2null", M::Payload(Event)),
        ("2abc", M::Payload(Event)),
        ("2[null]", M::Payload(Event)),
        ("2[true]", M::Payload(Event)),
        (r#"2[["x"]]"#, M::Payload(Event)),
        (r#"2[{"x":1}]"#, M::Payload(Event)),
        (r#"2[{"toString":"foo"}]"#, M::Payload(Event)),
        (r#"2 ["x"]"#, M::Payload(Event)),
        (r#"2-1["x"]"#, M::Payload(Event)),
        (r#"21-["x"]"#, M::Payload(Event)),
        (r#"242abc["x"]"#, M::Payload(Event)),
        (r#"21,["x"]"#, M::Payload(Event)),
        (r#"2["x""#, M::Json(Event)),
        (r#"2["x"]]"#, M::Json(Event)),
        (r#"2["x",]"#, M::Json(Event)),
        (r#"2[,"x"]"#, M::Json(Event)),
        (r#"2["x" 1]"#, M::Json(Event)),
        (r#"2["x",01]"#, M::Json(Event)),
        (r#"2["x",{"a"}]"#, M::Json(Event)),
        (r#"2["x",'a']"#, M::Json(Event)),
        (r#"2["x",undefined]"#, M::Json(Event)),
        ("2[\"x\n\"]", M::Json(Event)),
        (r#"2["\x"]"#, M::Json(Event)),
        ("2[", M::Json(Event)),
        // The names that Node keeps for itself, however they are written.
        (r#"2["connect"]"#, M::ReservedEvent),
        (r#"2["connect_error",1]"#, M::ReservedEvent),
        (r#"2["disconnect"]"#, M::ReservedEvent),
        (r#"2["disconnecting"]"#, M::ReservedEvent),
        (r#"2["newListener"]"#, M::ReservedEvent),
        (r#"2["removeListener"]"#, M::ReservedEvent),
        (r#"2["\u0063onnect"]"#, M::ReservedEvent),
        (r#"51-["disconnect"]"#, M::ReservedEvent),
        // ACK takes an array.
        ("3{}", M::Payload(Ack)),
        ("30null", M::Payload(Ack)),
        ("30[", M::Json(Ack)),
        ("30[1]1", M::Json(Ack)),
        ("4[]", M::Payload(ConnectError)),
        ("41", M::Payload(ConnectError)),
        // Binary kinds announce at least one attachment, in digits.
        ("5", M::IllegalAttachments),
        (r#"5["x"]"#, M::IllegalAttachments),
        ("51", M::IllegalAttachments),
        (r#"5-["x"]"#, M::IllegalAttachments),
        (r#"50-["x"]"#, M::IllegalAttachments),
        (r#"500-["x"]"#, M::IllegalAttachments),
        (r#"5-1-["x"]"#, M::IllegalAttachments),
        (r#"51.5-["x"]"#, M::IllegalAttachments),
        (r#"5+1-["x"]"#, M::IllegalAttachments),
        (r#"51e0-["x"]"#, M::IllegalAttachments),
        (r#"5a-["x"]"#, M::IllegalAttachments),
        (r#"6/a,1-["x"]"#, M::IllegalAttachments),
        ("60-[]", M::IllegalAttachments),
        (r#"51-{}"#, M::Payload(BinaryEvent)),
        (r#"51-["x"#, M::Json(BinaryEvent)),
        ("61-7{}", M::Payload(BinaryAck)),
        (r#"218446744073709551616["x"]"#, M::AckId),
        ("399999999999999999999999[]", M::AckId),
    ] {
        // CONNECT_ERROR's `1` is read as an id, and nothing follows.
        if text == "41" {
            assert!(read(text).is_ok());
            continue;
        }
        assert_eq!(read(text), Err(Error::PeerMisbehaved(error)), "{text}");
        assert_eq!(Error::PeerMisbehaved(error).reason().as_str(), "forced close");
    }
}

#[test]
fn limits() {
    for text in [r#"511-["x"]"#, "611-0[]", r#"599999999999999-["x"]"#] {
        assert_eq!(read(text), Err(Limit::Attachments.into()), "{text}");
    }
    let limits = Limits { max_attachments: 1, max_namespace_bytes: 4, ..Limits::default() };
    assert!(decode(r#"51-["x"]"#, &limits).is_ok());
    assert_eq!(decode(r#"52-["x"]"#, &limits), Err(Limit::Attachments.into()));
    assert!(decode("0/abc,", &limits).is_ok());
    assert_eq!(decode("0/abcd,", &limits), Err(Limit::NamespaceBytes.into()));
    assert_eq!(decode("0/abcd", &limits), Err(Limit::NamespaceBytes.into()));
}

#[test]
fn no_depth_overflows_the_stack() {
    let deep = format!("2[\"x\",{}{}]", "[".repeat(500_000), "]".repeat(500_000));
    assert!(read(&deep).is_ok());
    let open = format!("2[\"x\",{}", "[{\"a\":".repeat(200_000));
    assert_eq!(read(&open), Err(Misbehaviour::Json(Kind::Event).into()));
    let auth = format!("0{}1{}", "{\"a\":".repeat(200_000), "}".repeat(200_000));
    assert!(read(&auth).is_ok());
}

#[test]
fn encoders_have_the_golden_bytes() {
    let event = |nsp, ack, name, args: &serde_json::Value| {
        let args = args.as_array().unwrap();
        written(|out| {
            // Through the one tuple that serde takes for any number of fields.
            struct Spread<'a>(&'a [serde_json::Value]);
            impl serde::Serialize for Spread<'_> {
                fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                    use serde::ser::SerializeTuple as _;
                    let mut tuple = to.serialize_tuple(self.0.len())?;
                    self.0.iter().try_for_each(|arg| tuple.serialize_element(arg))?;
                    tuple.end()
                }
            }
            assert!(encode::event(out, nsp, ack, name, &Spread(args)).unwrap().is_empty());
        })
    };
    assert_eq!(event("/", None, "hello", &json!([1, {"a": null}])), r#"2["hello",1,{"a":null}]"#);
    assert_eq!(event("/", Some(0), "ackme", &json!(["x", 2])), r#"20["ackme","x",2]"#);
    assert_eq!(
        event("/", None, "u", &json!([null, null, null, "1970-01-01T00:00:00.000Z", 1, "…€😀"])),
        r#"2["u",null,null,null,"1970-01-01T00:00:00.000Z",1,"…€😀"]"#
    );
    assert_eq!(
        event("/chat", Some(u64::MAX), "x", &json!([])),
        r#"2/chat,18446744073709551615["x"]"#
    );
    assert_eq!(event("/", None, "a\"\n", &json!([])), r#"2["a\"\n"]"#);
    assert_eq!(written(|out| drop(encode::ack(out, "/", 0, &("x", 2)))), r#"30["x",2]"#);
    assert_eq!(written(|out| drop(encode::ack(out, "/a", 10, &()))), "3/a,10[]");
}

#[test]
fn reserved_names_are_not_sent() {
    for name in sockeye_socketio::RESERVED_EVENTS {
        let mut out = b"kept".to_vec();
        assert_eq!(
            encode::event(&mut out, "/", None, name, &1),
            Err(EncodeError::ReservedEvent(name.into()))
        );
        assert_eq!(out, b"kept");
    }
}

#[test]
fn what_fails_leaves_nothing_behind() {
    /// Writes half of itself.
    struct Broken;
    impl serde::Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            use serde::ser::{Error as _, SerializeSeq as _};
            to.serialize_seq(None)?.serialize_element(&1)?;
            Err(S::Error::custom("broken on purpose"))
        }
    }
    let failed = EncodeError::Serialize("broken on purpose".into());
    let mut out = b"kept".to_vec();
    assert_eq!(encode::event(&mut out, "/", None, "x", &(1, Broken)), Err(failed.clone()));
    assert_eq!(encode::event(&mut out, "/", None, "x", &Broken), Err(failed.clone()));
    assert_eq!(encode::ack(&mut out, "/", 1, &Ok::<_, ()>(Broken)), Err(failed.clone()));
    assert_eq!(encode::ack(&mut out, "/", 1, &Err::<(), _>(Broken)), Err(failed.clone()));
    assert_eq!(encode::connect_error(&mut out, "/", "no", Some(&Broken)), Err(failed));
    // Keys of JSON objects are strings.
    let map = std::collections::BTreeMap::from([(vec![1], 1)]);
    assert!(matches!(encode::ack(&mut out, "/", 1, &map), Err(EncodeError::Serialize(_))));
    assert_eq!(out, b"kept");
}

#[test]
fn which_namespaces_can_be_written() {
    for good in ["/", "/a", "/a/b?c=d", "/é"] {
        assert!(is_valid_namespace(good), "{good}");
    }
    for bad in ["", "a", "/a,b", ","] {
        assert!(!is_valid_namespace(bad), "{bad}");
    }
}
