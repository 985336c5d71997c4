//! Messages whole and in fragments, control frames between them, and where payloads lie.

use std::borrow::Cow;

use sockeye_websocket::{Connection, Event, Limits, OpCode, Role, deflate::Inflater, frame};

use crate::check::{KEY, Seen, binary, check, check_from, last, more, receive, text};

#[test]
fn the_examples_of_rfc_6455_section_5_7() {
    let limits = Limits::default();
    let client = || Connection::new(Role::Client);

    // "A single-frame unmasked text message" and the same masked.
    let bytes = [0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F];
    check_from(client, &limits, &bytes, &[text("Hello")]);
    let bytes = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58];
    check(&limits, &bytes, &[text("Hello")]);

    // "A fragmented unmasked text message".
    let bytes = [0x01, 0x03, 0x48, 0x65, 0x6C, 0x80, 0x02, 0x6C, 0x6F];
    check_from(client, &limits, &bytes, &[text("Hello")]);

    // "Unmasked Ping request and masked Ping response".
    let bytes = [0x89, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F];
    check_from(client, &limits, &bytes, &[Seen::Ping(b"Hello".to_vec())]);
    let bytes = [0x8A, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58];
    check(&limits, &bytes, &[Seen::Pong(b"Hello".to_vec())]);

    // "256 bytes binary message" and "64KiB binary message", unmasked.
    for len in [256, 65_536] {
        let mut bytes = Vec::new();
        frame::append(&mut bytes, OpCode::Binary, &vec![0xAB; len]);
        check_from(client, &limits, &bytes, &[binary(&vec![0xAB; len])]);
    }
}

#[test]
fn every_length_form() {
    for len in [0, 1, 2, 3, 4, 5, 7, 8, 9, 20, 124, 125, 126, 127, 1000, 65_535, 65_536] {
        let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
        check(&Limits::default(), &last(OpCode::Binary, &payload), &[binary(&payload)]);
    }
}

#[test]
fn many_messages_in_one_read() {
    let script = [
        last(OpCode::Text, b"one"),
        last(OpCode::Binary, &[2, 2]),
        last(OpCode::Text, b""),
        last(OpCode::Binary, &[]),
        last(OpCode::Text, "κόσμε".as_bytes()),
    ];
    let expected = [text("one"), binary(&[2, 2]), text(""), binary(&[]), text("κόσμε")];
    check(&Limits::default(), &script.concat(), &expected);
}

#[test]
fn fragments_are_joined() {
    for (opcode, expected) in [(OpCode::Text, text("abcdef")), (OpCode::Binary, binary(b"abcdef"))]
    {
        let script = [
            more(opcode, b"ab"),
            more(OpCode::Continuation, b""),
            more(OpCode::Continuation, b"cde"),
            last(OpCode::Continuation, b"f"),
            last(OpCode::Text, b"next"),
        ];
        check(&Limits::default(), &script.concat(), &[expected, text("next")]);
    }
}

#[test]
fn empty_fragments_are_a_message_too() {
    let script = [more(OpCode::Text, b""), last(OpCode::Continuation, b"")].concat();
    check(&Limits::default(), &script, &[text("")]);
}

#[test]
fn control_frames_come_between_fragments() {
    let script = [
        last(OpCode::Ping, b"0"),
        more(OpCode::Text, b"ab"),
        last(OpCode::Ping, b"1"),
        last(OpCode::Pong, b""),
        more(OpCode::Continuation, b"cd"),
        last(OpCode::Ping, &[b'2'; 125]),
        last(OpCode::Continuation, b"ef"),
        last(OpCode::Pong, b"3"),
    ];
    let expected = [
        Seen::Ping(b"0".to_vec()),
        Seen::Ping(b"1".to_vec()),
        Seen::Pong(vec![]),
        Seen::Ping(vec![b'2'; 125]),
        text("abcdef"),
        Seen::Pong(b"3".to_vec()),
    ];
    check(&Limits::default(), &script.concat(), &expected);
}

#[test]
fn characters_are_cut_between_fragments() {
    let bytes = "a€😀é".as_bytes();
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let script = [
                more(OpCode::Text, &bytes[..first]),
                more(OpCode::Continuation, &bytes[first..second]),
                last(OpCode::Continuation, &bytes[second..]),
            ];
            check(&Limits::default(), &script.concat(), &[text("a€😀é")]);
        }
    }
}

#[test]
fn a_whole_message_is_lent_from_the_input() {
    let limits = Limits::default();
    let mut inflater = Inflater::new();
    let mut connection = Connection::new(Role::Server);
    let mut input = [last(OpCode::Text, b"lent"), last(OpCode::Binary, b"too")].concat();
    let range = input.as_ptr_range();
    let mut events = connection.receive(&limits, &mut inflater, &mut input);

    let Some(Ok(Event::Text(Cow::Borrowed(text)))) = events.next() else { panic!() };
    assert!(range.contains(&text.as_ptr()));
    let Some(Ok(Event::Binary(Cow::Borrowed(bytes)))) = events.next() else { panic!() };
    assert!(range.contains(&bytes.as_ptr()));
    assert_eq!(connection.buffered(), 0);
}

#[test]
fn a_head_that_was_cut_costs_no_copy_of_the_payload() {
    let limits = Limits::default();
    let mut inflater = Inflater::new();
    for cut in 1..6 {
        let mut connection = Connection::new(Role::Server);
        let mut input = last(OpCode::Text, b"lent");
        let (head, rest) = input.split_at_mut(cut);
        assert!(connection.receive(&limits, &mut inflater, head).next().is_none());
        assert_eq!(connection.buffered(), 0);
        let mut events = connection.receive(&limits, &mut inflater, rest);
        assert!(matches!(events.next(), Some(Ok(Event::Text(Cow::Borrowed("lent"))))));
    }
}

#[test]
fn stopping_in_the_middle_leaves_the_rest_untouched() {
    let limits = Limits::default();
    let mut inflater = Inflater::new();
    let mut connection = Connection::new(Role::Server);
    let first = last(OpCode::Text, b"first");
    let second = last(OpCode::Text, b"second");
    let mut input = [first.clone(), second.clone()].concat();

    let mut events = connection.receive(&limits, &mut inflater, &mut input);
    assert_eq!((events.consumed(), events.remaining()), (0, input_len(&first, &second)));
    assert_eq!(events.next(), Some(Ok(Event::Text("first".into()))));
    assert_eq!((events.consumed(), events.remaining()), (first.len(), second.len()));
    assert_eq!(input[first.len()..], second, "still masked");
    assert_eq!(receive(&mut connection, &limits, &second), [text("second")]);
}

fn input_len(first: &[u8], second: &[u8]) -> usize {
    first.len() + second.len()
}

#[test]
fn memory_is_given_back_between_messages() {
    let limits = Limits::default();
    let mut connection = Connection::new(Role::Server);
    for (script, expected) in [
        (last(OpCode::Text, b"cut"), text("cut")),
        (last(OpCode::Ping, b"cut"), Seen::Ping(b"cut".to_vec())),
    ] {
        let (a, b) = script.split_at(script.len() - 1);
        assert_eq!(receive(&mut connection, &limits, a), []);
        assert!(connection.buffered() > 0);
        assert_eq!(receive(&mut connection, &limits, b), [expected]);
        assert_eq!(connection.buffered(), 0);
    }
}

#[test]
fn two_connections_understand_each_other() {
    let limits = Limits::default();
    let mut server = Connection::new(Role::Server);
    let mut client = Connection::new(Role::Client);

    let mut wire = Vec::new();
    frame::append_masked(&mut wire, OpCode::Text, b"to the server", KEY);
    assert_eq!(receive(&mut server, &limits, &wire), [text("to the server")]);

    wire.clear();
    frame::append(&mut wire, OpCode::Text, b"to the client");
    assert_eq!(receive(&mut client, &limits, &wire), [text("to the client")]);
}

#[test]
fn frames_are_counted_where_no_event_comes_of_them() {
    let script = [
        last(OpCode::Text, b"whole"),
        more(OpCode::Binary, b""),
        more(OpCode::Continuation, b"x"),
        last(OpCode::Ping, b""),
        last(OpCode::Continuation, b"cut"),
    ];
    let mut script = script.concat();
    let (first, rest) = script.split_at_mut(11 + 6 + 3);
    let (mut connection, mut inflater) = (Connection::new(Role::Server), Inflater::new());
    let limits = Limits::default();

    let mut events = connection.receive(&limits, &mut inflater, first);
    assert_eq!(events.frames(), 0);
    assert!(matches!(events.next(), Some(Ok(Event::Text(_)))));
    assert_eq!(events.frames(), 1);
    assert!(events.next().is_none());
    assert_eq!(events.frames(), 2, "one that is not whole counts when its head is");

    let mut events = connection.receive(&limits, &mut inflater, rest);
    assert!(matches!(events.next(), Some(Ok(Event::Ping(_)))));
    assert_eq!(events.frames(), 2);
    assert!(matches!(events.next(), Some(Ok(Event::Binary(_)))));
    assert!(events.next().is_none());
    assert_eq!(events.frames(), 3);
}
