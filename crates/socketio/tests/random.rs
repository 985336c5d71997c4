//! Whatever comes in: no panic. Whatever goes out: it can be read again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use serde_json::Value;
use sockeye_socketio::{
    Args, Body, Connection, Event, Limits, decode, decode_args, encode, is_reserved,
};

/// Text that is often nearly a packet.
fn packetish() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("/a,"),
        Just("/"),
        Just(","),
        Just("-"),
        Just("0"),
        Just("1"),
        Just("2"),
        Just("12"),
        Just("["),
        Just("]"),
        Just("{"),
        Just("}"),
        Just("\""),
        Just("\"x\""),
        Just(":"),
        Just("\\"),
        Just("\\ud83d"),
        Just("\"_placeholder\":true"),
        Just("\"num\":0"),
        Just("null"),
        Just("é€😀"),
        Just(" "),
        Just("1e999"),
        Just("\u{0}"),
    ];
    ("[0-6]?[0-9-]{0,3}", vec(piece, 0..12)).prop_map(|(head, pieces)| head + &pieces.concat())
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(".*", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_packet_or_an_error(text in ".*", nearly in packetish()) {
        let _ = decode(&text, &Limits::default());
        let _ = decode(&nearly, &Limits::default());
    }

    #[test]
    fn any_conversation_ends_or_goes_on(
        messages in vec(prop_oneof![
            packetish().prop_map(Ok),
            vec(any::<u8>(), 0..8).prop_map(Err),
        ], 0..20),
    ) {
        let limits = Limits::default();
        let mut connection = Connection::new(0, &limits);
        let _ = connection.receive_text(0, &limits, "0");
        connection.connected("/");
        for message in &messages {
            let event = match message {
                Ok(text) => connection.receive_text(1, &limits, text),
                Err(data) => connection.receive_binary(1, &limits, Bytes::copy_from_slice(data)),
            };
            match event {
                Ok(Some(Event::Event { args, attachments, .. })) => {
                    let _ = decode_args::<(Value, Bytes, Option<String>)>(&args, &attachments);
                    let _ = decode_args::<Value>(&args, &attachments);
                    let _ = decode_args::<Args>(&args, &attachments);
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }

    #[test]
    fn any_arguments_fit_or_do_not(args in packetish(), data in vec(any::<u8>(), 0..4)) {
        let attachments = [Bytes::from(data)];
        let _ = decode_args::<(Value, Value)>(&args, &attachments);
        let _ = decode_args::<(Bytes, &str, Vec<Bytes>)>(&args, &attachments);
        let _ = decode_args::<(Value, f64, String)>(&args, &[]);
        let _ = decode_args::<Args>(&args, &attachments);
        let _ = decode_args::<(sockeye_socketio::Value, Args)>(&args, &attachments);
    }

    #[test]
    fn events_come_back(
        namespace in "/[^,]{0,20}",
        ack in any::<Option<u64>>(),
        name in ".*",
        first in json(),
        second in json(),
        data in vec(any::<u8>(), 0..20),
        binary in any::<bool>(),
    ) {
        prop_assume!(!is_reserved(&name));
        let data = binary.then(|| Bytes::from(data));
        let mut out = Vec::new();
        let args = (&first, &data, &second);
        let attachments = encode::event(&mut out, &namespace, ack, &name, &args).unwrap();
        let text = String::from_utf8(out).unwrap();
        let limits = Limits { max_namespace_bytes: 1000, ..Limits::default() };
        let packet = decode(&text, &limits).unwrap();
        prop_assert_eq!(packet.namespace, &namespace);
        prop_assert_eq!(packet.ack, ack);
        prop_assert_eq!(packet.attachments as usize, attachments.len());
        let Body::Event { name: back, args } = packet.body else { panic!("not an event") };
        prop_assert_eq!(back.as_deref(), Some(&*name));
        let back: (Value, Option<Bytes>, Value) = decode_args(args, &attachments).unwrap();
        prop_assert_eq!(back, (first, data, second));
    }

    #[test]
    fn answers_come_back(id in any::<u64>(), value in json()) {
        let mut out = Vec::new();
        prop_assert!(encode::ack(&mut out, "/", id, &value).unwrap().is_empty());
        let text = String::from_utf8(out).unwrap();
        let packet = decode(&text, &Limits::default()).unwrap();
        prop_assert_eq!(packet.ack, Some(id));
        let Body::Ack { args } = packet.body else { panic!("not an answer") };
        let back: Value = decode_args(args, &[]).unwrap();
        prop_assert_eq!(back, value);
    }
}
