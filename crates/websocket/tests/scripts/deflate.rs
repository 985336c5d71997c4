//! Compressed messages as they are received (RFC 7692 §6, §7.2.2).

use std::borrow::Cow;

use sockeye_websocket::{
    CloseCode, Connection, Error, Event, Head, Limit, Limits, OpCode, PeerMisbehaved, Role,
    deflate::{Compression, Compressor, Compressors, Context, Inflater, Params, WindowBits},
    frame, mask,
};

use crate::check::{KEY, Seen, binary, check_from, failed, last, more, receive, text};

const RSV1: u8 = 0b100;

/// "Hello", compressed: the examples of RFC 7692 §7.2.3.
const HELLO: &[u8] = &[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];

pub(crate) fn params(takeover: bool) -> Params {
    let context = Context { takeover, ..Context::default() };
    Params { client: context, server: context }
}

fn server(takeover: bool) -> Connection {
    Connection::new(Role::Server).with_deflate(params(takeover))
}

/// A client's frame with reserved bits.
fn frame(fin: bool, rsv: u8, opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let head = Head { fin, rsv, mask: Some(KEY), ..Head::new(opcode, payload.len() as u64) };
    let mut bytes = Vec::new();
    head.encode(&mut bytes);
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    mask::apply(KEY, 0, &mut bytes[start..]);
    bytes
}

/// A compressed message in one frame.
fn whole(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    frame(true, RSV1, opcode, payload)
}

/// A message compressed by us, as a client without context takeover.
fn compressed(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let compression = Compression { threshold: 0, level: 6, ..Compression::default() };
    let mut out = Vec::new();
    let mut compressors = Compressors::new();
    let window = WindowBits::MAX;
    assert!(compressors.append(&mut out, window, &compression, opcode, payload, Some(KEY)));
    out
}

/// Bytes that do not become smaller.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as u8
    })
    .take(len)
    .collect()
}

#[track_caller]
fn check(script: &[u8], expected: &[Seen]) {
    for takeover in [false, true] {
        check_from(|| server(takeover), &Limits::default(), script, expected);
    }
}

#[test]
fn the_examples_of_rfc_7692_section_7_2_3() {
    // §7.2.3.1: in one frame and in two.
    check(&whole(OpCode::Text, HELLO), &[text("Hello")]);
    let fragments =
        [frame(false, RSV1, OpCode::Text, &HELLO[..3]), last(OpCode::Continuation, &HELLO[3..])];
    check(&fragments.concat(), &[text("Hello")]);
    // §7.2.3.2: the second message refers to the first one.
    let again = whole(OpCode::Text, &[0xF2, 0x00, 0x11, 0x00, 0x00]);
    let script = [whole(OpCode::Text, HELLO), again].concat();
    check_from(|| server(true), &Limits::default(), &script, &[text("Hello"), text("Hello")]);
    let cut = [text("Hello"), failed(PeerMisbehaved::DeflateInvalid)];
    check_from(|| server(false), &Limits::default(), &script, &cut);
    // §7.2.3.3: a block without compression.
    let stored = [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00];
    check(&whole(OpCode::Text, &stored), &[text("Hello")]);
    // §7.2.3.4: a final block.
    let last_block = [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00];
    check(&whole(OpCode::Text, &last_block), &[text("Hello")]);
    // §7.2.3.5: two blocks.
    let blocks = [0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00];
    check(&whole(OpCode::Text, &blocks), &[text("Hello")]);
    // §7.2.3.6: an empty message.
    check(&whole(OpCode::Text, &[0x00]), &[text("")]);
    check(&whole(OpCode::Binary, &[0x00]), &[binary(b"")]);
}

#[test]
fn compressed_and_plain_messages_alternate() {
    let script = [
        whole(OpCode::Text, HELLO),
        last(OpCode::Text, b"plain"),
        last(OpCode::Ping, b"p"),
        whole(OpCode::Binary, HELLO),
        last(OpCode::Binary, b"plain"),
        more(OpCode::Text, b"in "),
        last(OpCode::Continuation, b"two"),
        whole(OpCode::Text, HELLO),
        last(OpCode::Close, &[]),
    ];
    let expected = [
        text("Hello"),
        text("plain"),
        Seen::Ping(b"p".to_vec()),
        binary(b"Hello"),
        binary(b"plain"),
        text("in two"),
        text("Hello"),
        Seen::Close(None),
    ];
    check(&script.concat(), &expected);
}

#[test]
fn control_frames_come_between_compressed_fragments() {
    for cut in 0..=HELLO.len() {
        let script = [
            frame(false, RSV1, OpCode::Text, &HELLO[..cut]),
            last(OpCode::Ping, b"ping"),
            more(OpCode::Continuation, b""),
            last(OpCode::Pong, b""),
            last(OpCode::Continuation, &HELLO[cut..]),
        ];
        let expected = [Seen::Ping(b"ping".to_vec()), Seen::Pong(vec![]), text("Hello")];
        check(&script.concat(), &expected);
    }
}

#[test]
fn only_the_first_frame_of_a_message_says_that_it_is_compressed() {
    let bits = &[failed(PeerMisbehaved::ReservedBits(RSV1))];
    for opcode in [OpCode::Ping, OpCode::Pong, OpCode::Close, OpCode::Continuation] {
        check(&frame(true, RSV1, opcode, b""), bits);
    }
    for first in [0, RSV1] {
        let script = [
            frame(false, first, OpCode::Text, &HELLO[..1]),
            frame(true, RSV1, OpCode::Continuation, &HELLO[1..]),
        ];
        check(&script.concat(), bits);
    }
    for rsv in [0b010, 0b001, 0b110, 0b111] {
        check(&frame(true, rsv, OpCode::Text, HELLO), &[failed(PeerMisbehaved::ReservedBits(rsv))]);
    }
    // Nothing was agreed on.
    let plain = || Connection::new(Role::Server);
    check_from(plain, &Limits::default(), &whole(OpCode::Text, HELLO), bits);
}

#[test]
fn final_blocks_may_come_anywhere() {
    let (last_block, empty) = (&[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00], &[0x03, 0x00]);
    for (parts, expected) in [
        // At the end, with and without the beginning of the block that the flush adds.
        (vec![&last_block[..], &[0x00]], "Hello"),
        (vec![&last_block[..]], "Hello"),
        (vec![&empty[..]], ""),
        // In the middle.
        (vec![&last_block[..], HELLO], "HelloHello"),
        (vec![&last_block[..], empty, last_block, last_block, &[0x00]], "HelloHelloHello"),
        (vec![&empty[..], empty, empty, HELLO], "Hello"),
    ] {
        check(&whole(OpCode::Text, &parts.concat()), &[text(expected)]);
    }
}

#[test]
fn nothing_refers_to_what_is_before_a_final_block() {
    let again = &[0xF2, 0x00, 0x11, 0x00, 0x00][..];
    let last_block = &[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00][..];
    let invalid = || failed(PeerMisbehaved::DeflateInvalid);
    // In the same message.
    check(&whole(OpCode::Text, &[last_block, again].concat()), &[invalid()]);
    // In the next one, if there is nothing after it, and otherwise to no more than that.
    let script = [whole(OpCode::Text, &[last_block, &[0x00]].concat()), whole(OpCode::Text, again)];
    check_from(|| server(true), &Limits::default(), &script.concat(), &[text("Hello"), invalid()]);
    let script = [whole(OpCode::Text, &[last_block, HELLO].concat()), whole(OpCode::Text, again)];
    let expected = [text("HelloHello"), text("Hello")];
    check_from(|| server(true), &Limits::default(), &script.concat(), &expected);
}

/// A message without a byte is what zlib makes of a second flush with nothing in between.
#[test]
fn a_compressed_message_without_a_byte_is_empty() {
    check(&whole(OpCode::Text, b""), &[text("")]);
    let script = [frame(false, RSV1, OpCode::Binary, b""), last(OpCode::Continuation, b"")];
    check(&script.concat(), &[binary(b"")]);
}

#[test]
fn what_is_no_deflate_fails() {
    let invalid = PeerMisbehaved::DeflateInvalid;
    let cut = PeerMisbehaved::DeflateCut;
    let twice = [HELLO, HELLO].concat();
    for (payload, rule) in [
        // The reserved kind of block.
        (&b"\x06"[..], invalid),
        (b"plain text", invalid),
        // A distance beyond the beginning.
        (&[0xF2, 0x00, 0x11, 0x00, 0x00], invalid),
        // Cut in a stored block, and in one with fixed codes.
        (&[0x00, 0xFF, 0x00, 0x00, 0xFF, 0x48], cut),
        (&HELLO[..4], invalid),
        (&HELLO[..6], invalid),
        // The end that should have been left out.
        (&[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00, 0x00, 0xFF, 0xFF], invalid),
        // Something behind the end.
        (&[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x07], invalid),
        (&[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00, 0x00], invalid),
        // The header of the block that the flush began is no block.
        (&twice, invalid),
    ] {
        check(&whole(OpCode::Binary, payload), &[failed(rule)]);
        assert_eq!(Error::from(rule).close_code(), CloseCode::INVALID_PAYLOAD);
    }
}

#[test]
fn text_is_judged_after_inflating() {
    for bytes in [&b"\xC3\x28"[..], b"\xE2\x82", &[&[b'x'; 70_000][..], b"\xFF"].concat()] {
        let stored = {
            let mut out = Vec::new();
            for chunk in bytes.chunks(65_535) {
                out.push(0);
                out.extend((chunk.len() as u16).to_le_bytes());
                out.extend((!(chunk.len() as u16)).to_le_bytes());
                out.extend(chunk);
            }
            out.push(0);
            out
        };
        check(&whole(OpCode::Text, &stored), &[failed(PeerMisbehaved::TextNotUtf8)]);
        check(&whole(OpCode::Binary, &stored), &[binary(bytes)]);
    }
    // A compressed payload is no text, and need not be: 0xF2 begins a character of four bytes.
    check(&whole(OpCode::Text, HELLO), &[text("Hello")]);
}

#[test]
fn sizes_are_those_of_the_inflated_message() {
    let limits = Limits { max_message_size: 1000, ..Limits::default() };
    let fits = compressed(OpCode::Binary, &[7; 1000]);
    let exceeds = compressed(OpCode::Binary, &[7; 1001]);
    assert!(exceeds.len() < 100);
    let error = Limit::MessageSize { limit: 1000, declared: 1001 };
    for takeover in [false, true] {
        let script = [fits.clone(), fits.clone()].concat();
        let twice = [binary(&[7; 1000]), binary(&[7; 1000])];
        check_from(|| server(takeover), &limits, &script, &twice);
        check_from(|| server(takeover), &limits, &exceeds, &[failed(error)]);
    }
    let none = Limits { max_message_size: 0, ..Limits::default() };
    check_from(|| server(false), &none, &whole(OpCode::Text, &[0x00]), &[text("")]);
    let error = Limit::MessageSize { limit: 0, declared: 1 };
    check_from(|| server(false), &none, &whole(OpCode::Text, HELLO), &[failed(error)]);
}

#[test]
fn the_frames_of_a_message_may_declare_what_deflate_adds_but_not_more() {
    let limits = Limits { max_message_size: 100, ..Limits::default() };
    // Stored blocks of one byte each are as bad as it gets, and are not what anybody makes.
    let head = |fin, rsv, opcode, len| {
        let mut bytes = Vec::new();
        Head { fin, rsv, mask: Some(KEY), ..Head::new(opcode, len) }.encode(&mut bytes);
        bytes
    };
    let max = 100 + 12 + 1 + 64;
    let error = Limit::MessageSize { limit: 100, declared: max + 1 };
    for opcode in [OpCode::Text, OpCode::Binary] {
        let fits = head(true, RSV1, opcode, max);
        check_from(|| server(false), &limits, &fits, &[]);
        let exceeds = head(true, RSV1, opcode, max + 1);
        check_from(|| server(false), &limits, &exceeds, &[failed(error)]);
        let fragments = [
            frame(false, RSV1, opcode, &[0; 77]),
            head(true, 0, OpCode::Continuation, max + 1 - 77),
        ];
        check_from(|| server(false), &limits, &fragments.concat(), &[failed(error)]);
    }
    // Not compressed, nothing is added.
    let error = Limit::MessageSize { limit: 100, declared: 101 };
    check_from(|| server(false), &limits, &head(true, 0, OpCode::Text, 101), &[failed(error)]);
}

#[test]
fn a_small_message_is_lent_from_the_inflater() {
    let limits = Limits::default();
    let mut inflater = Inflater::new();
    let mut connection = server(false);
    let mut input = [whole(OpCode::Text, HELLO), compressed(OpCode::Binary, &[7; 65_537])].concat();
    let mut events = connection.receive(&limits, &mut inflater, &mut input);
    assert!(matches!(events.next(), Some(Ok(Event::Text(Cow::Borrowed("Hello"))))));
    // A large one is handed out, so that the inflater does not keep its size.
    let Some(Ok(Event::Binary(Cow::Owned(bytes)))) = events.next() else { panic!() };
    assert_eq!(bytes, [7; 65_537]);
    assert!(bytes.capacity() <= 70_000);
    assert!(events.next().is_none());
    assert_eq!(connection.buffered(), 0);
}

#[test]
fn one_inflater_serves_connections_whatever_the_others_sent() {
    let limits = Limits { max_message_size: 100, ..Limits::default() };
    let mut inflater = Inflater::new();
    let mut takeover = server(true);
    let mut seen = |connection: &mut Connection, mut input: Vec<u8>| {
        let mut events = connection.receive(&limits, &mut inflater, &mut input);
        events.next().map(Seen::from).unwrap()
    };
    assert_eq!(seen(&mut takeover, whole(OpCode::Text, HELLO)), text("Hello"));
    let bombs = [
        compressed(OpCode::Binary, &[7; 1_000_000]),
        whole(OpCode::Text, b"\x06"),
        whole(OpCode::Text, &HELLO[..4]),
        whole(OpCode::Text, &[0x00, 0xFF, 0x00, 0x00, 0xFF, 0x48]),
    ];
    for bomb in bombs {
        assert!(matches!(seen(&mut server(false), bomb.clone()), Seen::Failed(_)));
        assert_eq!(seen(&mut server(false), whole(OpCode::Text, HELLO)), text("Hello"));
        assert!(matches!(seen(&mut server(true), bomb), Seen::Failed(_)));
        let again = whole(OpCode::Text, &[0xF2, 0x00, 0x11, 0x00, 0x00]);
        assert_eq!(seen(&mut takeover, again), text("Hello"));
    }
}

#[test]
fn a_window_grows_with_what_has_come_up_to_its_size() {
    for bits in 8..=15 {
        let window = WindowBits::new(bits).unwrap();
        let mut params = params(true);
        params.client.window = window;
        let mut connection = Connection::new(Role::Server).with_deflate(params);
        assert_eq!(connection.deflate(), Some(params));
        assert_eq!(connection.buffered(), 0);
        let compression = Compression { threshold: 0, ..Compression::default() };
        let mut compressor = Compressor::new(window, &compression);
        let mut sent = 0;
        for i in 0..400_usize {
            let message: Vec<u8> = (0..i).map(|j| (i * j % 251) as u8).collect();
            let mut frame = Vec::new();
            compressor.append(&mut frame, OpCode::Binary, &message, Some(KEY));
            let seen = receive(&mut connection, &Limits::default(), &frame);
            assert_eq!(seen, [binary(&message)]);
            sent += i;
            let bound = (2 * sent).min(window.size());
            let buffered = connection.buffered();
            assert!(buffered <= bound + 512, "{buffered} bytes for a window of {bits} bits");
        }
        assert!(connection.buffered() >= window.size().min(sent));
    }
}

#[test]
fn closing_lets_the_window_go() {
    let limits = Limits::default();
    let mut connection = server(true);
    let message = compressed(OpCode::Binary, &[7; 30_000]);
    assert_eq!(receive(&mut connection, &limits, &message), [binary(&[7; 30_000])]);
    assert!(connection.buffered() >= 30_000);
    assert!(connection.close(0, &limits, None, None, &mut Vec::new()));
    // What still comes is passed over without a look at it.
    let script = [whole(OpCode::Text, b"\x06"), last(OpCode::Close, &[])].concat();
    assert_eq!(receive(&mut connection, &limits, &script), [Seen::Close(None)]);
    assert_eq!(connection.buffered(), 0);
}

/// What does not become smaller, at every level, with every memory level, and of lengths around
/// those at which zlib writes in between.
#[test]
fn noise_goes_as_it_is() {
    let noise = noise(70_000);
    let window = WindowBits::MAX;
    for (level, mem_level) in (1..=9).flat_map(|level| (1..=9).map(move |mem| (level, mem))) {
        let compression = Compression { threshold: 0, level, mem_level };
        let mut compressors = Compressors::new();
        let mut compressor = Compressor::new(window, &compression);
        let mut connection = Connection::new(Role::Client).with_deflate(params(true));
        for len in [1, 2, 3, 300, 511, 512, 513, 700, 2000, 5000, 20_000, 70_000] {
            let (mut out, mut plain) = (vec![], vec![]);
            let noise = &noise[..len];
            let small =
                compressors.append(&mut out, window, &compression, OpCode::Binary, noise, None);
            frame::append(&mut plain, OpCode::Binary, noise);
            assert!(!small && out == plain, "{len} bytes, level {level}, memory {mem_level}");
            // With context takeover it is sent all the same.
            out.clear();
            assert!(compressor.append(&mut out, OpCode::Binary, noise, None));
            let seen = receive(&mut connection, &Limits::default(), &out);
            assert!(seen == [binary(noise)], "{len} bytes, level {level}, memory {mem_level}");
        }
    }
}

#[test]
fn a_client_inflates_what_a_server_compressed() {
    let compression = Compression::default();
    let mut compressors = Compressors::new();
    let window = WindowBits::MAX;
    let large = "large ".repeat(1000);
    let mut wire = Vec::new();
    assert!(compressors.append(
        &mut wire,
        window,
        &compression,
        OpCode::Text,
        large.as_bytes(),
        None
    ));
    assert!(wire.len() < 200);
    // Below the threshold, and what does not become smaller: as `frame` makes it.
    let noise = noise(2000);
    for (opcode, payload) in [(OpCode::Text, &b"small"[..]), (OpCode::Binary, &noise)] {
        let (mut out, mut plain) = (vec![], vec![]);
        let compressed = compressors.append(&mut out, window, &compression, opcode, payload, None);
        frame::append(&mut plain, opcode, payload);
        assert!(!compressed);
        assert_eq!(out, plain);
        wire.extend(plain);
    }
    let mut connection = Connection::new(Role::Client).with_deflate(params(false));
    let seen = receive(&mut connection, &Limits::default(), &wire);
    assert_eq!(seen, [text(&large), text("small"), binary(&noise)]);
}
