//! Binary inside of arguments: out as attachments, and back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sockeye_socketio::{decode_args, encode};

fn bytes(data: &'static [u8]) -> Bytes {
    Bytes::from_static(data)
}

fn sent<T: Serialize>(args: &T) -> (String, Vec<Bytes>) {
    let mut out = b"4".to_vec();
    let attachments = encode::event(&mut out, "/", None, "b", args).unwrap();
    (String::from_utf8(out).unwrap(), attachments)
}

fn read<T: DeserializeOwned>(args: &str, attachments: &[Bytes]) -> Result<T, String> {
    decode_args(args, attachments).map_err(|error| error.to_string())
}

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct Upload {
    name: String,
    file: Bytes,
    parts: Vec<Part>,
    extra: BTreeMap<String, Option<Bytes>>,
}

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
enum Part {
    Empty,
    Data(Bytes),
    Both(Bytes, u8),
    Named { data: Bytes },
}

fn upload() -> Upload {
    Upload {
        name: "pic".into(),
        file: bytes(&[1, 2]),
        parts: vec![
            Part::Data(bytes(&[3])),
            Part::Empty,
            Part::Both(bytes(&[]), 7),
            Part::Named { data: bytes(&[4]) },
        ],
        extra: BTreeMap::from([("a".into(), None), ("b".into(), Some(bytes(&[5])))]),
    }
}

#[test]
fn golden_event() {
    #[derive(Serialize)]
    struct Nested {
        x: Bytes,
    }
    let (text, attachments) = sent(&(bytes(&[1, 2]), Nested { x: bytes(&[3]) }));
    assert_eq!(
        text,
        r#"452-["b",{"_placeholder":true,"num":0},{"x":{"_placeholder":true,"num":1}}]"#
    );
    assert_eq!(attachments, [bytes(&[1, 2]), bytes(&[3])]);
}

#[test]
fn golden_ack_and_namespace() {
    let mut out = b"4".to_vec();
    let attachments = encode::ack(&mut out, "/", 12, &bytes(&[1])).unwrap();
    assert_eq!(out, br#"461-12[{"_placeholder":true,"num":0}]"#);
    assert_eq!(attachments, [bytes(&[1])]);

    let mut out = b"4".to_vec();
    encode::event(&mut out, "/chat", Some(7), "bin", &bytes(&[1])).unwrap();
    assert_eq!(out, br#"451-/chat,7["bin",{"_placeholder":true,"num":0}]"#);
}

#[test]
fn the_number_may_have_two_digits() {
    let (text, attachments) = sent(&vec![bytes(&[1]); 12]);
    assert!(text.starts_with(r#"4512-["b",[{"_placeholder":true,"num":0},"#), "{text}");
    assert_eq!(attachments.len(), 12);
}

#[test]
fn results_carry_binary_too() {
    let mut out = Vec::new();
    let attachments = encode::ack(&mut out, "/", 1, &Ok::<_, ()>((1, bytes(&[1])))).unwrap();
    assert_eq!(out, br#"61-1[1,{"_placeholder":true,"num":0}]"#);
    assert_eq!(attachments.len(), 1);
    let mut out = Vec::new();
    let attachments = encode::ack(&mut out, "/", 1, &Err::<(), _>(bytes(&[2]))).unwrap();
    assert_eq!(out, br#"61-1[{"error":{"_placeholder":true,"num":0}}]"#);
    assert_eq!(attachments, [bytes(&[2])]);
}

#[test]
fn binary_anywhere_comes_back() {
    let (text, attachments) = sent(&(1, upload(), Some(bytes(&[9]))));
    let args = text.strip_prefix(r#"456-["b","#).and_then(|args| args.strip_suffix(']')).unwrap();
    let back: (u8, Upload, Option<Bytes>) = read(args, &attachments).unwrap();
    assert_eq!(back, (1, upload(), Some(bytes(&[9]))));
}

#[test]
fn one_attachment_may_be_used_twice_and_in_any_order() {
    let args = r#"{"num":1,"_placeholder":true},{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}"#;
    let attachments = [bytes(b"a"), bytes(b"b")];
    let back: (Bytes, Bytes, Bytes) = read(args, &attachments).unwrap();
    assert_eq!(back, (bytes(b"b"), bytes(b"a"), bytes(b"b")));
}

#[test]
fn bytes_and_text_can_be_borrowed() {
    #[derive(Deserialize, Debug, PartialEq)]
    struct Borrowed<'a> {
        #[serde(borrow)]
        name: Cow<'a, str>,
        data: &'a [u8],
    }
    let attachments = [bytes(b"x")];
    let args = r#"{"name":"n","data":{"_placeholder":true,"num":0}},"t""#;
    let (back, text): (Borrowed<'_>, &str) = decode_args(args, &attachments).unwrap();
    assert_eq!((back, text), (Borrowed { name: "n".into(), data: b"x" }, "t"));
}

#[test]
fn what_is_no_binary_is_as_without_attachments() {
    let attachments = [bytes(b"x")];
    let read = |args| decode_args::<Bytes>(args, &attachments).unwrap();
    assert_eq!(read(r#""text""#), bytes(b"text"));
    assert_eq!(read(r#""t\u0065xt""#), bytes(b"text"));
    assert_eq!(read("[1,2]"), bytes(&[1, 2]));
    let value: serde_json::Value =
        decode_args(r#"{"a":[1,null,"x",-2.5,true]}"#, &attachments).unwrap();
    assert_eq!(value, serde_json::json!({"a": [1, null, "x", -2.5, true]}));
    let raw: &serde_json::value::RawValue = decode_args(r#"{"a": 1}"#, &attachments).unwrap();
    assert_eq!(raw.get(), r#"{"a": 1}"#);
    // A placeholder in a packet without attachments is an object like any other.
    let value: serde_json::Value = decode_args(r#"{"_placeholder":true,"num":0}"#, &[]).unwrap();
    assert_eq!(value, serde_json::json!({"_placeholder": true, "num": 0}));
}

#[test]
fn errors_say_what_is_wrong() {
    let attachments = [bytes(b"x")];
    for (args, message) in [
        (r#"{"_placeholder":true,"num":1}"#, "a placeholder for an attachment that does not exist"),
        (r#"{"_placeholder":true}"#, "a placeholder for an attachment that does not exist"),
        (r#"{"num":0}"#, "expected binary, found an object that is no placeholder"),
        (r#"{}"#, "expected binary, found an object that is no placeholder"),
        (r#"{"_placeholder":true,"num":-1}"#, "invalid value: integer `-1`, expected usize"),
        ("12", "invalid type: integer `12`, expected byte array"),
    ] {
        let error = read::<Bytes>(args, &attachments).unwrap_err();
        assert!(error.starts_with(&format!("argument 1: {message}")), "{args}: {error}");
    }
    assert!(read::<Bytes>(r#"{"_placeholder":true,"num":0}"#, &[]).is_err());
}
