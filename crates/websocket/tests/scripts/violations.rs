//! Every rule that a peer can break: the error it gets, the code it is told, and that nothing else
//! comes of it.

use sockeye_websocket::{
    CloseCode, Connection, Error, Head, Limits, OpCode, PeerMisbehaved, Role, State, frame,
};

use crate::check::{KEY, Seen, check, check_from, failed, last, more, text};

/// The rule must be found broken after a good message, and the peer told `code`.
#[track_caller]
fn breaks(script: &[u8], rule: PeerMisbehaved, code: CloseCode) {
    let script = [&last(OpCode::Text, b"good"), script, &last(OpCode::Text, b"never")].concat();
    let mut server = check(&Limits::default(), &script, &[text("good"), failed(rule)]);

    let error = Error::PeerMisbehaved(rule);
    assert_eq!(error.close_code(), code);
    assert_eq!(server.state(), State::Failed { error, close_owed: true });
    assert!(server.owes_close() && !server.is_closed());
    let mut out = Vec::new();
    assert!(server.reply_close(None, &mut out));
    let mut expected = Vec::new();
    frame::append_close(&mut expected, Some((code, "")), None);
    assert_eq!(out, expected);
    assert!(server.is_closed() && !server.is_closed_cleanly());
    assert!(!server.reply_close(None, &mut out), "told once");
}

fn head(first: u8, second: u8, rest: &[u8]) -> Vec<u8> {
    [&[first, second], rest, &KEY].concat()
}

#[test]
fn reserved_opcodes() {
    for bits in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        for fin in [0, 0x80] {
            let script = head(fin | bits, 0x80, &[]);
            breaks(&script, PeerMisbehaved::ReservedOpCode(bits), CloseCode::PROTOCOL);
        }
    }
}

#[test]
fn reserved_bits() {
    for rsv in 1..8 {
        for opcode in [OpCode::Text, OpCode::Binary, OpCode::Ping, OpCode::Pong, OpCode::Close] {
            let script = head(0x80 | rsv << 4 | opcode as u8, 0x80, &[]);
            breaks(&script, PeerMisbehaved::ReservedBits(rsv), CloseCode::PROTOCOL);
        }
        let script = [more(OpCode::Text, b""), head(0x80 | rsv << 4, 0x80, &[])].concat();
        breaks(&script, PeerMisbehaved::ReservedBits(rsv), CloseCode::PROTOCOL);
    }
}

#[test]
fn masks() {
    for opcode in [OpCode::Text, OpCode::Binary, OpCode::Ping, OpCode::Pong, OpCode::Close] {
        let mut script = Vec::new();
        frame::append(&mut script, opcode, b"");
        breaks(&script, PeerMisbehaved::NotMasked, CloseCode::PROTOCOL);

        let client = || Connection::new(Role::Client);
        let rule = PeerMisbehaved::Masked;
        check_from(client, &Limits::default(), &last(opcode, b""), &[failed(rule)]);
        assert_eq!(Error::from(rule).close_code(), CloseCode::PROTOCOL);
    }
}

#[test]
fn lengths() {
    let rule = PeerMisbehaved::LengthNotMinimal;
    breaks(&head(0x81, 0xFE, &[0, 0]), rule, CloseCode::PROTOCOL);
    breaks(&head(0x82, 0xFE, &[0, 125]), rule, CloseCode::PROTOCOL);
    breaks(&head(0x82, 0xFF, &[0, 0, 0, 0, 0, 0, 0xFF, 0xFF]), rule, CloseCode::PROTOCOL);
    let rule = PeerMisbehaved::LengthBeyond63Bits;
    breaks(&head(0x82, 0xFF, &[0x80, 0, 0, 0, 0, 0, 0, 0]), rule, CloseCode::PROTOCOL);
    breaks(&head(0x82, 0xFF, &[0xFF; 8]), rule, CloseCode::PROTOCOL);
}

#[test]
fn control_frames() {
    for opcode in [OpCode::Close, OpCode::Ping, OpCode::Pong] {
        let script = more(opcode, b"");
        breaks(&script, PeerMisbehaved::FragmentedControlFrame, CloseCode::PROTOCOL);
        let script = last(opcode, &[0; 126]);
        breaks(&script, PeerMisbehaved::ControlFrameTooLong, CloseCode::PROTOCOL);
        let mut script = Vec::new();
        Head { mask: Some(KEY), ..Head::new(opcode, 65_536) }.encode(&mut script);
        breaks(&script, PeerMisbehaved::ControlFrameTooLong, CloseCode::PROTOCOL);
    }
}

#[test]
fn continuation_without_a_message() {
    let rule = PeerMisbehaved::UnexpectedContinuation;
    breaks(&last(OpCode::Continuation, b"x"), rule, CloseCode::PROTOCOL);
    breaks(&more(OpCode::Continuation, b"x"), rule, CloseCode::PROTOCOL);
    // After a message of fragments has ended, and although a control frame came.
    let script = [more(OpCode::Text, b""), last(OpCode::Continuation, b"")].concat();
    let script = [script, last(OpCode::Ping, b""), last(OpCode::Continuation, b"")].concat();
    let expected = [text(""), Seen::Ping(vec![]), failed(rule)];
    check(&Limits::default(), &script, &expected);
}

#[test]
fn message_within_a_message() {
    let rule = PeerMisbehaved::ExpectedContinuation;
    for first in [OpCode::Text, OpCode::Binary] {
        for second in [OpCode::Text, OpCode::Binary] {
            let script = [more(first, b"a"), last(second, b"b")].concat();
            breaks(&script, rule, CloseCode::PROTOCOL);
            let script = [more(first, b"a"), more(second, b"b")].concat();
            breaks(&script, rule, CloseCode::PROTOCOL);
        }
    }
}

#[test]
fn close_payloads() {
    breaks(&last(OpCode::Close, &[3]), PeerMisbehaved::CloseCodeCut, CloseCode::PROTOCOL);
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        let script = last(OpCode::Close, &u16::to_be_bytes(code));
        breaks(&script, PeerMisbehaved::CloseCodeNotAllowed(code), CloseCode::PROTOCOL);
    }
    let script = last(OpCode::Close, b"\x03\xE8bad \xFF");
    breaks(&script, PeerMisbehaved::CloseReasonNotUtf8, CloseCode::INVALID_PAYLOAD);
    let script = last(OpCode::Close, b"\x03\xE8cut \xE2\x82");
    breaks(&script, PeerMisbehaved::CloseReasonNotUtf8, CloseCode::INVALID_PAYLOAD);
}

#[test]
fn text_that_is_not_utf8() {
    let rule = PeerMisbehaved::TextNotUtf8;
    breaks(&last(OpCode::Text, b"bad \xFF"), rule, CloseCode::INVALID_PAYLOAD);
    breaks(&last(OpCode::Text, b"cut \xE2\x82"), rule, CloseCode::INVALID_PAYLOAD);
    let script = [more(OpCode::Text, b"cut \xE2"), last(OpCode::Continuation, b"\x82")].concat();
    breaks(&script, rule, CloseCode::INVALID_PAYLOAD);
}

#[test]
fn errors_are_told_in_words() {
    for (rule, words) in [
        (PeerMisbehaved::ReservedOpCode(11), "a frame has the reserved opcode 0xb"),
        (
            PeerMisbehaved::ReservedBits(4),
            "a frame has reserved bits set without an extension: 100",
        ),
        (PeerMisbehaved::NotMasked, "a client's frame is not masked"),
        (
            PeerMisbehaved::CloseCodeNotAllowed(1005),
            "a close frame has the status code 1005, which must not be sent",
        ),
    ] {
        assert_eq!(Error::from(rule).to_string(), words);
    }
}
