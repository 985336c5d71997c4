//! From Rust values to positional arguments, and back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sockeye_socketio::{decode_args, encode};

fn sent<T: Serialize + ?Sized>(args: &T) -> String {
    let mut out = Vec::new();
    assert!(encode::event(&mut out, "/", None, "e", args).unwrap().is_empty());
    String::from_utf8(out).unwrap()
}

fn answered<T: Serialize + ?Sized>(args: &T) -> String {
    let mut out = Vec::new();
    assert!(encode::ack(&mut out, "/", 1, args).unwrap().is_empty());
    String::from_utf8(out).unwrap()
}

fn read<'de, T: Deserialize<'de>>(args: &'de str) -> Result<T, String> {
    decode_args(args, &[]).map_err(|error| error.to_string())
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Message {
    text: String,
    #[serde(default)]
    likes: Option<u32>,
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Pair(u8, String);

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Name(String);

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Marker;

#[derive(Serialize, Deserialize, Debug, PartialEq)]
enum Choice {
    Nothing,
    One(u8),
    Two(u8, u8),
    Named { a: u8 },
}

#[test]
fn tuples_are_positional() {
    assert_eq!(sent(&(1, "two", [3])), r#"2["e",1,"two",[3]]"#);
    assert_eq!(sent(&(1,)), r#"2["e",1]"#);
    assert_eq!(sent(&Pair(1, "x".into())), r#"2["e",1,"x"]"#);
    assert_eq!(sent(&[1, 2, 3]), r#"2["e",1,2,3]"#);
    assert_eq!(sent(&&Box::new((1, 2))), r#"2["e",1,2]"#, "references are nothing of their own");
    assert_eq!(sent(&((1, 2), 3)), r#"2["e",[1,2],3]"#, "only the outermost");
    assert_eq!(sent(&((), 1)), r#"2["e",null,1]"#);
}

#[test]
fn unit_is_no_argument() {
    assert_eq!(sent(&()), r#"2["e"]"#);
    assert_eq!(answered(&()), "31[]");
    // serde cannot tell these from `()`.
    assert_eq!(sent(&serde_json::Value::Null), r#"2["e"]"#);
    assert_eq!(sent(&(serde_json::Value::Null,)), r#"2["e",null]"#);
}

#[test]
fn all_else_is_one_argument() {
    assert_eq!(sent("text"), r#"2["e","text"]"#);
    assert_eq!(sent(&12u64), r#"2["e",12]"#);
    assert_eq!(sent(&-1.5), r#"2["e",-1.5]"#);
    assert_eq!(sent(&f64::NAN), r#"2["e",null]"#);
    assert_eq!(sent(&true), r#"2["e",true]"#);
    assert_eq!(sent(&'c'), r#"2["e","c"]"#);
    assert_eq!(sent(&i128::MIN), format!(r#"2["e",{}]"#, i128::MIN));
    assert_eq!(sent(&vec![1, 2]), r#"2["e",[1,2]]"#);
    assert_eq!(sent(&[1, 2][..]), r#"2["e",[1,2]]"#);
    assert_eq!(sent(&None::<u8>), r#"2["e",null]"#);
    assert_eq!(sent(&Some((1, 2))), r#"2["e",[1,2]]"#);
    assert_eq!(sent(&Name("n".into())), r#"2["e","n"]"#);
    assert_eq!(sent(&Marker), r#"2["e",null]"#);
    assert_eq!(sent(&Choice::Nothing), r#"2["e","Nothing"]"#);
    assert_eq!(sent(&Choice::One(1)), r#"2["e",{"One":1}]"#);
    assert_eq!(sent(&Choice::Two(1, 2)), r#"2["e",{"Two":[1,2]}]"#);
    assert_eq!(sent(&Choice::Named { a: 1 }), r#"2["e",{"Named":{"a":1}}]"#);
    let message = Message { text: "hi".into(), likes: None };
    assert_eq!(sent(&message), r#"2["e",{"text":"hi","likes":null}]"#);
    assert_eq!(sent(&format_args!("{}-{}", 1, 2)), r#"2["e","1-2"]"#);
    let raw = RawValue::from_string(r#"{"as":"is"}"#.into()).unwrap();
    assert_eq!(sent(&raw), r#"2["e",{"as":"is"}]"#);
    assert_eq!(sent(&(&raw, 1)), r#"2["e",{"as":"is"},1]"#);
    assert_eq!(answered("x"), r#"31["x"]"#);
    assert_eq!(answered(&vec![1]), "31[[1]]");
}

#[test]
fn an_answer_may_be_a_result() {
    type Answer<T> = Result<T, &'static str>;
    assert_eq!(answered(&Answer::Ok(1)), "31[1]");
    assert_eq!(answered(&Answer::Ok((1, 2))), "31[1,2]");
    assert_eq!(answered(&Answer::Ok(())), "31[]");
    assert_eq!(answered(&Answer::<()>::Err("no")), r#"31[{"error":"no"}]"#);
    let failure = Message { text: "no".into(), likes: Some(1) };
    assert_eq!(answered(&Err::<(), _>(failure)), r#"31[{"error":{"text":"no","likes":1}}]"#);
    assert_eq!(answered(&Err::<(), _>((1, 2))), r#"31[{"error":[1,2]}]"#);
    // Only the outermost, and only in answers.
    assert_eq!(answered(&(Answer::Ok(1), 2)), r#"31[{"Ok":1},2]"#);
    assert_eq!(answered(&Answer::Ok(Answer::Ok(1))), r#"31[{"Ok":1}]"#);
    assert_eq!(sent(&Answer::Ok(1)), r#"2["e",{"Ok":1}]"#);
}

#[test]
fn tuples_take_arguments_by_position() {
    assert_eq!(read(r#"1,"two",[3]"#), Ok((1u8, "two".to_owned(), vec![3u8])));
    assert_eq!(read(r#"1,"x""#), Ok(Pair(1, "x".into())));
    assert_eq!(read("1,2,3"), Ok([1u8, 2, 3]));
    assert_eq!(read("[1,2],3"), Ok(((1u8, 2u8), 3u8)), "only the outermost");
    assert_eq!(read("1,2,3"), Ok((1u8, 2u8)), "what is too much is ignored");
    assert_eq!(read(" 1\t,\n2 "), Ok((1u8, 2u8)));
    assert_eq!(read(r#""a,b","c\"]","d""#), Ok(("a,b", "c\"]".to_owned(), "d")));
    assert_eq!(read("1"), Ok((1u8,)));
}

#[test]
fn one_type_takes_the_first_argument() {
    assert_eq!(read("7"), Ok(7u8));
    assert_eq!(read(r#""text",2"#), Ok("text".to_owned()));
    assert_eq!(read(r#""borrowed""#), Ok("borrowed"));
    assert_eq!(read("[1,2]"), Ok(vec![1u8, 2]));
    assert_eq!(read(r#"{"text":"hi"}"#), Ok(Message { text: "hi".into(), likes: None }));
    assert_eq!(read(r#""n""#), Ok(Name("n".into())));
    assert_eq!(read("null"), Ok(Marker));
    assert_eq!(read("[1,2]"), Ok(Some((1u8, 2u8))));
    assert_eq!(read(r#""Nothing""#), Ok(Choice::Nothing));
    assert_eq!(read(r#"{"Two":[1,2]},3"#), Ok(Choice::Two(1, 2)));
    assert_eq!(read(r#"{"a":[1]},2"#), Ok(serde_json::json!({"a": [1]})));
    assert_eq!(read::<&RawValue>(r#"{"as": "is"},2"#).unwrap().get(), r#"{"as": "is"}"#);
    let raws: (&RawValue, &RawValue) = read("1.50,[ 2]").unwrap();
    assert_eq!((raws.0.get(), raws.1.get()), ("1.50", "[ 2]"));
}

#[test]
fn what_was_not_sent() {
    for args in ["", "1", r#""x",[]"#] {
        assert_eq!(read(args), Ok(()), "unit takes whatever there is: {args}");
    }
    assert_eq!(read(""), Ok(None::<u8>));
    assert_eq!(read("null"), Ok(None::<u8>));
    assert_eq!(read(""), Ok(serde_json::Value::Null));
    assert_eq!(read("1"), Ok((1u8, None::<u8>)));
    assert_eq!(read("1"), Ok((1u8, (), Marker, None::<u8>)));
    assert_eq!(read("1,null,3"), Ok((1u8, None::<u8>, Some(3u8))));
    #[derive(Deserialize, Debug, PartialEq)]
    struct Maybe(Option<u8>);
    assert_eq!(read("1"), Ok((1u8, Maybe(None))));
    assert_eq!(read(""), Ok(Maybe(None)));
}

#[test]
fn errors_say_what_and_where() {
    let missing = "argument 1: missing (0 sent), expected u8";
    assert_eq!(read::<u8>("").unwrap_err(), missing);
    assert_eq!(read::<(u8,)>("").unwrap_err(), missing);
    assert_eq!(
        read::<(u8, String, Message)>(r#"1,"x""#).unwrap_err(),
        "argument 3: missing (2 sent), expected struct Message"
    );
    assert_eq!(
        read::<(u8, u8)>(r#"1,"x""#).unwrap_err(),
        r#"argument 2: invalid type: string "x", expected u8 at line 1 column 3"#
    );
    assert_eq!(
        read::<u8>("256").unwrap_err(),
        "argument 1: invalid value: integer `256`, expected u8 at line 1 column 3"
    );
    assert_eq!(
        read::<Message>(r#"{"txt":"hi"}"#).unwrap_err(),
        "argument 1: missing field `text` at line 1 column 12"
    );
    let error = decode_args::<(u8, u8)>("1,[]", &[]).unwrap_err();
    assert_eq!(error.argument(), Some(2));
    // Handing in what is no JSON is an error too.
    for args in ["[", ",", "]", "{]", "\"", "é", "1,,2"] {
        assert!(read::<(u8, u8)>(args).is_err(), "{args}");
    }
}
