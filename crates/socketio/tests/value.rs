//! Arguments of which nobody knows the types.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sockeye_socketio::{Args, Body, Limits, Map, Value, decode, decode_args, encode};

fn bytes(data: &'static [u8]) -> Bytes {
    Bytes::from_static(data)
}

fn read(args: &str, attachments: &[Bytes]) -> Result<Value, String> {
    decode_args(args, attachments).map_err(|error| error.to_string())
}

fn read_all(args: &str, attachments: &[Bytes]) -> Result<Vec<Value>, String> {
    decode_args(args, attachments).map(|Args(args)| args).map_err(|error| error.to_string())
}

fn sent<T: Serialize + ?Sized>(args: &T) -> (String, Vec<Bytes>) {
    let mut out = Vec::new();
    let attachments = encode::event(&mut out, "/", None, "e", args).unwrap();
    (String::from_utf8(out).unwrap(), attachments)
}

fn answered<T: Serialize + ?Sized>(args: &T) -> (String, Vec<Bytes>) {
    let mut out = Vec::new();
    let attachments = encode::ack(&mut out, "/", 1, args).unwrap();
    (String::from_utf8(out).unwrap(), attachments)
}

fn placeholder(num: usize) -> String {
    format!(r#"{{"_placeholder":true,"num":{num}}}"#)
}

fn object<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Map::from_iter(entries).into()
}

#[test]
fn every_kind_of_value_comes_back_as_it_was() {
    for json in [
        "null",
        "true",
        "false",
        "0",
        "-1",
        "18446744073709551615",
        "-9223372036854775808",
        "1.5",
        "-0.0",
        "1e+300",
        "3.3675718408680693e+143",
        "5e-324",
        r#""""#,
        r#""…€😀\n\"""#,
        "[]",
        "[null,[1,[]]]",
        "{}",
        r#"{"z":1,"a":{"y":null,"x":[{}]},"":2,"é":3}"#,
    ] {
        let value = read(json, &[]).unwrap();
        assert_eq!(sent(&value), (format!(r#"2["e",{json}]"#), vec![]));
        assert_eq!(answered(&value).0, format!("31[{json}]"));
        // Attachments elsewhere in the packet change nothing.
        assert_eq!(read(json, &[bytes(b"x")]), Ok(value.clone()));
        assert_eq!(serde_json::from_str::<Value>(json).unwrap(), value);
    }
}

#[test]
fn a_value_is_the_first_argument() {
    assert_eq!(read("1,2", &[]), Ok(1.into()));
    assert_eq!(read("", &[]), Ok(Value::Null));
    let two: (u8, Value) = decode_args("1", &[bytes(b"x")]).unwrap();
    assert_eq!(two, (1, Value::Null));
    let two: (Option<Value>, Option<Value>) = decode_args("2", &[]).unwrap();
    assert_eq!(two, (Some(2.into()), None));
}

#[test]
fn numbers() {
    let number = |json| read(json, &[]).unwrap();
    assert_eq!(number("18446744073709551615").as_u64(), Some(u64::MAX));
    assert_eq!(number("18446744073709551615").as_i64(), None);
    assert_eq!(number("-9223372036854775808").as_i64(), Some(i64::MIN));
    assert_eq!(number("-1").as_u64(), None);
    assert_eq!(number("7").as_f64(), Some(7.0));
    assert_eq!(number("7.0").as_i64(), None);
    assert_eq!(number("18446744073709551616").as_f64(), Some(18_446_744_073_709_551_616.0));
    assert_eq!(number("1e-400").as_f64(), Some(0.0));
    // JSON knows it, but no `f64`.
    let error = read("1e400", &[]).unwrap_err();
    assert!(error.starts_with("argument 1: number out of range"), "{error}");
    let error = read_all("1,-1e400", &[bytes(b"x")]).unwrap_err();
    assert!(error.starts_with("argument 2: number out of range"), "{error}");
    assert_eq!(Value::from(f64::NAN), Value::Null);
    assert_eq!(Value::from(f64::INFINITY), Value::Null);
}

#[test]
fn binary_stands_where_its_placeholder_is() {
    let value = object([
        ("last", 1.into()),
        ("list", vec![Value::Binary(bytes(b"0")), object([("x", bytes(b"").into())])].into()),
        ("first", bytes(&[0, 255]).into()),
    ]);
    let (packet, attachments) = sent(&value);
    let json = format!(
        r#"{{"last":1,"list":[{},{{"x":{}}}],"first":{}}}"#,
        placeholder(0),
        placeholder(1),
        placeholder(2)
    );
    assert_eq!(packet, format!(r#"53-["e",{json}]"#));
    assert_eq!(attachments, [bytes(b"0"), bytes(b""), bytes(&[0, 255])]);
    assert_eq!(read(&json, &attachments), Ok(value));

    let value = Value::Binary(bytes(b"alone"));
    let (packet, attachments) = answered(&value);
    assert_eq!(packet, format!("61-1[{}]", placeholder(0)));
    assert_eq!(read(&placeholder(0), &attachments), Ok(value));
}

#[test]
fn a_placeholder_may_be_written_in_any_way() {
    let attachments = [bytes(b"a"), bytes(b"b")];
    for json in [
        r#"{"num":1,"_placeholder":true}"#,
        r#"{"x":[{}],"_placeholder":true,"num":1}"#,
        r#"{"_placeholder":false,"num":1,"\u005fplaceholder":true}"#,
        r#"{"_placeholder":true,"num":0,"num":1}"#,
    ] {
        assert_eq!(read(json, &attachments), Ok(bytes(b"b").into()), "{json}");
    }
}

#[test]
fn what_is_no_placeholder_is_an_object() {
    let json = placeholder(0);
    let same = object([("_placeholder", true.into()), ("num", 0.into())]);
    assert_eq!(read(&json, &[]), Ok(same.clone()));
    assert_eq!(read_all(&json, &[]), Ok(vec![same.clone()]));
    assert_eq!(sent(&same), (format!(r#"2["e",{json}]"#), vec![]));
    for json in [r#"{"_placeholder":1,"num":0}"#, r#"{"num":0}"#, r#"{"_placeholder":"true"}"#] {
        let value = read(json, &[bytes(b"x")]).unwrap();
        assert_eq!(sent(&value).0, format!(r#"2["e",{json}]"#));
    }
    // The names by which values ask for attachments mean nothing in JSON.
    let json = r#"{"$sockeye::Value":[{"$sockeye::Args":[]}]}"#;
    let value = read(json, &[bytes(b"x")]).unwrap();
    assert_eq!(sent(&value).0, format!(r#"2["e",{json}]"#));
}

#[test]
fn placeholders_that_fit_no_attachment_are_errors() {
    let attachments = [bytes(b"x")];
    let unknown = "argument 1: a placeholder for an attachment that does not exist";
    for json in [
        &placeholder(1),
        r#"{"_placeholder":true}"#,
        r#"{"_placeholder":true,"num":-1}"#,
        r#"{"_placeholder":true,"num":0.5}"#,
        r#"{"_placeholder":true,"num":"0"}"#,
        r#"{"_placeholder":true,"num":18446744073709551615}"#,
    ] {
        let error = read(json, &attachments).unwrap_err();
        assert!(error.starts_with(unknown), "{json}: {error}");
        assert_eq!(read_all(json, &attachments).unwrap_err(), error);
    }
    // Or else a packet of a megabyte could stand for thirty thousand.
    let twice = format!("{0},{0}", placeholder(0));
    let error = read(&format!("[{twice}]"), &attachments).unwrap_err();
    assert!(error.starts_with("argument 1: more placeholders than attachments"), "{error}");
    let error = read_all(&twice, &attachments).unwrap_err();
    assert!(error.starts_with("argument 2: more placeholders than attachments"), "{error}");
    let error = decode_args::<(u8, Args)>(&format!("1,[{twice}]"), &attachments).unwrap_err();
    assert!(error.to_string().contains("more placeholders than attachments"), "{error}");
}

#[test]
fn values_inside_of_other_types_hold_binary_too() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Letter {
        to: String,
        body: Value,
        more: BTreeMap<String, Option<Value>>,
        all: Args,
    }
    let letter = Letter {
        to: "me".into(),
        body: object([("file", bytes(b"1").into())]),
        more: BTreeMap::from([("a".into(), Some(bytes(b"2").into())), ("b".into(), None)]),
        all: Args(vec![bytes(b"3").into(), 4.into()]),
    };
    let (packet, attachments) = sent(&(&letter, &letter.body));
    let args = packet.strip_prefix(r#"54-["e","#).unwrap().strip_suffix(']').unwrap();
    let (back, body): (Letter, Value) = decode_args(args, &attachments).unwrap();
    assert_eq!((&back, &body), (&letter, &letter.body));
}

#[test]
fn keys_keep_their_order_and_the_last_value() {
    let value = read(r#"{"b":1,"a":2,"b":3,"c":4,"a":5,"b":6}"#, &[]).unwrap();
    assert_eq!(sent(&value).0, r#"2["e",{"b":6,"a":5,"c":4}]"#);

    let mut map = Map::new();
    assert!(map.is_empty());
    assert_eq!(map.insert("z", 1), None);
    assert_eq!(map.insert("a", "x"), None);
    assert_eq!(map.insert("z", 2), Some(1.into()));
    assert_eq!(map.insert("m", vec![1.5]), None);
    let keys = |map: &Map| map.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    assert_eq!(keys(&map), ["z", "a", "m"]);
    assert_eq!(map.remove("a"), Some("x".into()));
    assert_eq!(map.remove("a"), None);
    assert_eq!((map.len(), map.get("z"), map.get("a")), (2, Some(&2.into()), None));
    assert_eq!(map.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), ["z", "m"]);
}

#[test]
fn a_peer_s_many_keys_are_no_burden() {
    // Were each searched for among all before it, this would be 2·10¹⁰ comparisons.
    let entries: Vec<_> = (0..200_000).map(|n| format!(r#""{}":{n}"#, n % 190_000)).collect();
    let value = read(&format!("{{{}}}", entries.join(",")), &[]).unwrap();
    assert_eq!(value.as_object().unwrap().len(), 190_000);
    assert_eq!(value.get("9999").unwrap().as_u64(), Some(199_999));
    assert_eq!(value.get("10000").unwrap().as_u64(), Some(10_000));
}

#[test]
fn deep_nesting_is_an_error() {
    let arrays = |depth| "[".repeat(depth) + &"]".repeat(depth);
    let objects = |depth| "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
    for attachments in [&[][..], &[bytes(b"x")]] {
        for deep in [arrays(10_000), objects(10_000), arrays(128), objects(128)] {
            let error = read(&deep, attachments).unwrap_err();
            assert!(error.starts_with("argument 1: recursion limit exceeded"), "{error}");
            let error = read_all(&format!("1,{deep}"), attachments).unwrap_err();
            assert!(error.starts_with("argument 2: recursion limit exceeded"), "{error}");
        }
        for fits in [arrays(127), objects(127)] {
            let value = read(&fits, attachments).unwrap();
            assert_eq!(sent(&value).0, format!(r#"2["e",{fits}]"#));
        }
    }
}

#[test]
fn args_are_all_arguments() {
    for (args, count) in [("", 0), ("null", 1), ("[1,2]", 1), (r#"1,"two",[3],{"b":4,"a":5}"#, 4)] {
        let all: Args = decode_args(args, &[]).unwrap();
        assert_eq!(all.0.len(), count);
        let comma = if args.is_empty() { "" } else { "," };
        assert_eq!(sent(&all), (format!(r#"2["e"{comma}{args}]"#), vec![]));
        assert_eq!(answered(&all).0, format!("31[{args}]"));
        assert_eq!(answered(&Ok::<_, ()>(&all)).0, format!("31[{args}]"));
        assert_eq!(decode_args(args, &[bytes(b"x")]), Ok(all));
    }
    assert_eq!(answered(&Err::<(), _>(Args(vec![1.into()]))).0, r#"31[{"error":[1]}]"#);
    assert_eq!(read_all(" 1 ,\t2 ", &[]), Ok(vec![1.into(), 2.into()]));
    for args in ["[", ",", "1,,2", "1,]"] {
        assert!(read_all(args, &[]).is_err(), "{args}");
    }
}

#[test]
fn args_carry_binary() {
    let args = Args(vec![bytes(b"a").into(), 1.into(), vec![bytes(b"b")].into()]);
    let (packet, attachments) = answered(&args);
    assert_eq!(packet, format!("62-1[{},1,[{}]]", placeholder(0), placeholder(1)));
    let json = &packet["62-1[".len()..packet.len() - 1];
    assert_eq!(decode_args(json, &attachments), Ok(args));
}

#[test]
fn args_among_other_arguments_are_an_array() {
    let two: (u8, Args) = decode_args("1,[2,[3]]", &[]).unwrap();
    assert_eq!(two.1.0, [Value::from(2), vec![3].into()]);
    assert_eq!(sent(&two).0, r#"2["e",1,[2,[3]]]"#);
    for attachments in [&[][..], &[bytes(b"x")]] {
        let error = decode_args::<(u8, Args)>("1,2", attachments).unwrap_err().to_string();
        assert!(error.starts_with("argument 2: invalid type: integer `2`"), "{error}");
        assert!(error.contains("a list of arguments"), "{error}");
    }
}

#[test]
fn values_are_made_of_much() {
    let value = Value::from(json!({"a": [1, -2, 0.5, null, true, "x"], "b": {}}));
    let array = vec![1.into(), (-2).into(), 0.5.into(), Value::Null, true.into(), "x".into()];
    assert_eq!(value, object([("a", Value::Array(array)), ("b", Map::new().into())]));
    assert_eq!(Value::from(None::<u8>), Value::Null);
    assert_eq!(Value::from(Some(7usize)).as_u64(), Some(7));
    assert_eq!(Value::from(0.5f32).as_f64(), Some(0.5));

    let binary = Value::from(bytes(b"x"));
    assert_eq!(binary.as_binary(), Some(&bytes(b"x")));
    assert_eq!((binary.as_str(), binary.as_array(), binary.get("x")), (None, None, None));
    assert_eq!(Value::from("x".to_owned()).as_str(), Some("x"));
    assert_eq!(Value::from(true).as_bool(), Some(true));
    assert_eq!(Value::from(vec![1]).as_array(), Some(&[1.into()][..]));
    assert!(Value::default().is_null() && !binary.is_null());
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
        vec(any::<u8>(), 0..8).prop_map(|data| Bytes::from(data).into()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = prop_oneof!["[a-c]", ".*", Just("num".to_owned())];
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((key, inner), 0..4).prop_map(|entries| Map::from_iter(entries).into()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_arguments_come_back(args in vec(any_value(), 0..4)) {
        let args = Args(args);
        let (packet, attachments) = sent(&args);
        let limits = Limits { max_attachments: u32::MAX, ..Limits::default() };
        let Body::Event { args: json, .. } = decode(&packet, &limits).unwrap().body else {
            panic!("not an event")
        };
        let back: Args = decode_args(json, &attachments).unwrap();
        prop_assert_eq!(sent(&back), (packet.clone(), attachments.clone()));
        prop_assert_eq!(&back, &args);
        let first: Value = decode_args(json, &attachments).unwrap();
        prop_assert_eq!(&first, args.0.first().unwrap_or(&Value::Null));
    }
}
