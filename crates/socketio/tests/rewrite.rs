//! The default parser's replacer and reviver, beside what npm's parser makes with the same functions.

use std::sync::{Arc, Mutex};

use serde::Deserialize;
use sockeye_socketio::parser::Parsed;
use sockeye_socketio::rewrite::{Rewrite, replace, revive};
use sockeye_socketio::{
    Connection, Event, Kind, Limits, Malformed, Map, Misbehaviour, Number, Value,
};

/// See `interop/parsers/rewrites.mjs`.
#[derive(Deserialize)]
struct Vectors {
    /// The text; `None` where clients would not take it.
    replaced: Vec<Row>,
    /// The JSON of the data, or `None`.
    revived: Vec<Row>,
}

/// The function, the packet's text, what becomes of it, and the keys in the order of the calls.
type Row = (String, String, Option<String>, Vec<String>);

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("rewrite.json")).expect("the vectors are JSON")
}

/// The functions of `rewrites.mjs`, by their names there.
fn rewrite(name: &str, key: &str, value: Value) -> Option<Value> {
    let object = |entries: Vec<(&str, Value)>| Value::Object(entries.into_iter().collect());
    Some(match name {
        "same" => value,
        "drop" if key == "secret" || value.as_str() == Some("secret") => return None,
        "digits" => match value {
            Value::Number(number) => format!("{number}n").into(),
            value => value,
        },
        "numbers" => {
            let digits = value.as_str().and_then(|text| text.strip_suffix('n'));
            let number = digits.and_then(|digits| digits.parse::<Number>().ok());
            number.map_or(value, Value::from)
        }
        "wrap" => match value.as_u64() {
            Some(n) if key == "wrap" && n > 0 => {
                object(vec![("wrap", (n - 1).into()), ("x", vec![n].into())])
            }
            _ => value,
        },
        "flat" => match value {
            Value::Array(values) if !key.is_empty() => values.len().into(),
            value => value,
        },
        "rename" if key == "0" && value.as_str() == Some("old") => "new".into(),
        "reserve" if key == "0" => "connect".into(),
        "second" if key == "0" => 42.into(),
        "nameless" if key == "0" => return None,
        "more" => match value {
            Value::Array(mut values) if key.is_empty() => {
                values.extend(["more".into(), object(vec![("secret", 1.into())])]);
                Value::Array(values)
            }
            value => value,
        },
        "object" if key.is_empty() => object(vec![("value", value)]),
        "nothing" if key.is_empty() => return None,
        "unplaced" if value.get("_placeholder").is_some() => "a file".into(),
        "replaced" if value.get("_placeholder").is_some() => {
            object(vec![("_placeholder", true.into()), ("num", 1.into())])
        }
        "drop" | "rename" | "reserve" | "second" | "nameless" | "object" | "nothing"
        | "unplaced" | "replaced" => value,
        _ => panic!("the vectors have a function that is not here: {name}"),
    })
}

/// What a function makes of a packet, and the keys that it was called with.
fn told<T>(name: &str, run: impl FnOnce(&Rewrite) -> T) -> (T, Vec<String>) {
    let (name, keys) = (name.to_owned(), Arc::new(Mutex::new(Vec::new())));
    let heard = keys.clone();
    let made = run(&move |key, value| {
        heard.lock().expect("nobody panics").push(key.to_owned());
        rewrite(&name, key, value)
    });
    let keys = std::mem::take(&mut *keys.lock().expect("nobody panics"));
    (made, keys)
}

#[test]
fn replaced_packets_are_what_npm_makes_of_them() {
    let rows = vectors().replaced;
    assert!(rows.len() > 200);
    for (name, text, expected, order) in rows {
        let (made, keys) = told(&name, |replacer| replace(&text, replacer).map(String::from));
        assert_eq!(made.ok(), expected, "{name}: {text}");
        assert_eq!(keys, order, "{name}: {text}");
    }
}

#[test]
fn revived_packets_are_what_npm_makes_of_them() {
    let rows = vectors().revived;
    assert!(rows.len() > 200);
    for (name, text, expected, order) in rows {
        let limits = Limits::default();
        let (made, keys) = told(&name, |reviver| revive(&text, &limits, reviver).map(String::from));
        let data =
            made.ok().and_then(|text| Parsed::from_text(&text, &[])).map(|packet| packet.data);
        assert_eq!(data, expected, "{name}: {text}");
        assert_eq!(keys, order, "{name}: {text}");
    }
}

#[test]
fn what_is_revived_is_judged() {
    let joined = || {
        let mut connection = Connection::new(0, &Limits::default());
        connection.receive_text(0, &Limits::default(), "0").unwrap();
        connection.connected("/");
        connection
    };
    let limits = Limits::default();
    let reserve = |key: &str, value| rewrite("reserve", key, value);
    let text = revive("2[\"e\"]", &limits, &reserve).unwrap();
    let error = joined().receive_text(0, &limits, &text).unwrap_err();
    assert_eq!(error, Misbehaviour::ReservedEvent.into());
    // A placeholder of the reviver's counts as one of the client's.
    let replaced = |key: &str, value| rewrite("replaced", key, value);
    let text = "51-[\"e\",{\"_placeholder\":true,\"num\":0}]";
    let text = revive(text, &limits, &replaced).unwrap();
    let error = joined().receive_text(0, &limits, &text).unwrap_err();
    assert_eq!(error, Misbehaviour::PlaceholderOutOfRange.into());
    // A number as the data is none, and not the end of an ack id.
    let number = |key: &str, value| Some(if key.is_empty() { 5.into() } else { value });
    for text in
        ["2[\"e\"]", "21[\"e\"]", "3[]", "31[]", "51-[\"e\"]", "61-1[]", "0{}", "2/a,[\"e\"]"]
    {
        assert!(revive(text, &limits, &number).is_err(), "{text}");
    }
    // Half a character is mended before the reviver sees it.
    let same = |_: &str, value| Some(value);
    let text = revive("2[\"e\",\"\\ud83d\"]", &limits, &same).unwrap();
    let mut connection = joined();
    let Some(Event::Event { args, .. }) = connection.receive_text(0, &limits, &text).unwrap()
    else {
        panic!("an event came")
    };
    assert_eq!(args, "\"\u{fffd}\"");
}

#[test]
fn what_is_no_packet_is_not_replaced() {
    let never = |_: &str, _| panic!("it is no packet");
    for text in ["", "hello", "2hello", "2[", "51[]", "1", "0/a,", "4/a1"] {
        assert_eq!(replace(text, &never).unwrap(), text);
    }
    for text in ["", "hello", "2hello", "2[", "51[]"] {
        assert!(revive(text, &Limits::default(), &never).is_err(), "{text}");
    }
}

/// A client of revision 4 takes any JSON, for which nothing else is sent.
#[test]
fn a_refusal_is_replaced_as_what_its_client_takes() {
    let same = |_: &str, value| Some(value);
    let digits = |key: &str, value| rewrite("digits", key, value);
    for (text, replaced) in [
        ("45", "4\"5n\""),
        ("4/a1,12", "4/a1,\"12n\""),
        ("4-1.5", "4\"-1.5n\""),
        ("4[1]", "4[\"1n\"]"),
        ("4/a,{\"message\":\"no\",\"data\":1}", "4/a,{\"message\":\"no\",\"data\":\"1n\"}"),
    ] {
        assert_eq!(replace(text, &digits).unwrap(), replaced);
        assert_eq!(replace(text, &same).unwrap(), text);
    }
    for spoiled in [Value::Null, 5.into(), true.into(), vec![1].into()] {
        let spoil = {
            let spoiled = spoiled.clone();
            move |key: &str, value| Some(if key.is_empty() { spoiled.clone() } else { value })
        };
        assert!(replace("4/a,{\"message\":\"no\"}", &spoil).is_err(), "{spoiled:?}");
    }
}

/// What a replacer must see, for it may take secrets out, does not pass it by.
#[test]
fn what_nests_too_deep_is_an_error() {
    let same = |_: &str, value| Some(value);
    let nested = |depth| format!("2[\"e\",{}{}]", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(replace(&nested(126), &same).unwrap(), nested(126));
    assert_eq!(revive(&nested(126), &Limits::default(), &same).unwrap(), nested(126));
    let too_deep = Misbehaviour::Json(Kind::Event).into();
    assert_eq!(replace(&nested(127), &same), Err(too_deep));
    assert_eq!(revive(&nested(127), &Limits::default(), &same), Err(too_deep));
    let endless = |_: &str, value| {
        let entries: Map = [("again", value)].into_iter().collect();
        Some(Value::from(vec![Value::Object(entries)]))
    };
    let error = replace("2[\"e\"]", &endless).unwrap_err();
    assert_eq!(error, Malformed::Depth.into());
}
