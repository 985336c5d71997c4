//! Sizes and counts: judged by what is declared, and memory that follows what has arrived.

use sockeye_websocket::{CloseCode, Connection, Error, Head, Limit, Limits, OpCode, Role};

use crate::check::{KEY, Seen, binary, check, failed, last, more, receive, text};

fn limits() -> Limits {
    Limits { max_message_size: 300, max_frame_size: 200, max_fragments: 4, ..Limits::default() }
}

/// The head alone, without its payload.
fn head(fin: bool, opcode: OpCode, len: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    Head { fin, mask: Some(KEY), ..Head::new(opcode, len) }.encode(&mut bytes);
    bytes
}

#[test]
fn the_defaults() {
    let limits = Limits::default();
    assert_eq!(limits.max_message_size, 1_000_000);
    assert!(limits.max_frame_size >= limits.max_message_size);
    let full = last(OpCode::Binary, &vec![1; 1_000_000]);
    let mut connection = Connection::new(Role::Server);
    assert_eq!(receive(&mut connection, &limits, &full), [binary(&vec![1; 1_000_000])]);
}

#[test]
fn frame_size() {
    check(&limits(), &last(OpCode::Binary, &[1; 200]), &[binary(&[1; 200])]);
    for declared in [201, 1000, u64::MAX >> 1] {
        let error = Limit::FrameSize { limit: 200, declared };
        for fin in [true, false] {
            for opcode in [OpCode::Text, OpCode::Binary] {
                check(&limits(), &head(fin, opcode, declared), &[failed(error)]);
            }
        }
        assert_eq!(Error::from(error).close_code(), CloseCode::TOO_BIG);
    }
}

#[test]
fn message_size() {
    let limits = Limits { max_frame_size: usize::MAX, ..limits() };
    check(&limits, &last(OpCode::Binary, &[1; 300]), &[binary(&[1; 300])]);
    for declared in [301, 70_000, u64::MAX >> 1] {
        let error = Limit::MessageSize { limit: 300, declared };
        check(&limits, &head(true, OpCode::Text, declared), &[failed(error)]);
        check(&limits, &head(false, OpCode::Text, declared), &[failed(error)]);
        assert_eq!(Error::from(error).close_code(), CloseCode::TOO_BIG);
    }
}

#[test]
fn message_size_over_fragments() {
    let fits = [more(OpCode::Binary, &[1; 200]), last(OpCode::Continuation, &[1; 100])];
    check(&limits(), &fits.concat(), &[binary(&[1; 300])]);

    let error = Limit::MessageSize { limit: 300, declared: 301 };
    for fin in [true, false] {
        let script = [more(OpCode::Text, &[b'x'; 200]), head(fin, OpCode::Continuation, 101)];
        check(&limits(), &script.concat(), &[failed(error)]);
    }
    // Each message has its own sum.
    let script = [fits.concat(), fits.concat()].concat();
    check(&limits(), &script, &[binary(&[1; 300]), binary(&[1; 300])]);
}

#[test]
fn the_sum_of_fragments_does_not_overflow() {
    let limits = Limits { max_message_size: usize::MAX, ..Limits::default() };
    let half = head(false, OpCode::Binary, u64::MAX >> 1);
    let mut connection = Connection::new(Role::Server);
    assert_eq!(receive(&mut connection, &limits, &half), []);
    assert!(connection.buffered() < 1000);
    // The payload of nearly 2^63 bytes never comes, so no second head does either; the next bytes
    // are payload.
    assert_eq!(receive(&mut connection, &limits, &half), []);
    assert!(connection.buffered() < 10_000);
}

#[test]
fn control_frames_are_not_messages() {
    let limits = Limits { max_message_size: 0, max_frame_size: 0, ..limits() };
    let script = [last(OpCode::Ping, &[0; 125]), last(OpCode::Text, b"")].concat();
    check(&limits, &script, &[Seen::Ping(vec![0; 125]), text("")]);
    let error = Limit::FrameSize { limit: 0, declared: 1 };
    check(&limits, &last(OpCode::Text, b"x"), &[failed(error)]);
}

#[test]
fn fragments() {
    let mut script = more(OpCode::Text, b"a");
    script.extend(more(OpCode::Continuation, b"").repeat(2));
    let fits = [script.clone(), last(OpCode::Continuation, b"b")].concat();
    check(&limits(), &fits.repeat(2), &[text("ab"), text("ab")]);

    let error = Limit::Fragments { limit: 4 };
    script.extend(more(OpCode::Continuation, b""));
    for fifth in [more(OpCode::Continuation, b""), last(OpCode::Continuation, b"")] {
        check(&limits(), &[script.clone(), fifth].concat(), &[failed(error)]);
    }
    assert_eq!(Error::from(error).close_code(), CloseCode::POLICY);
}

#[test]
fn a_flood_of_empty_fragments_ends() {
    let limits = Limits::default();
    let mut connection = Connection::new(Role::Server);
    assert_eq!(receive(&mut connection, &limits, &more(OpCode::Text, b"")), []);
    let flood = more(OpCode::Continuation, b"").repeat(10_000);
    let error = Limit::Fragments { limit: limits.max_fragments };
    assert_eq!(receive(&mut connection, &limits, &flood), [failed(error)]);
    assert_eq!(connection.buffered(), 0);
}

#[test]
fn a_lying_length_allocates_next_to_nothing() {
    let limits = Limits::default();
    for opcode in [OpCode::Text, OpCode::Binary] {
        for fin in [true, false] {
            let mut connection = Connection::new(Role::Server);
            let head = head(fin, opcode, 1_000_000);
            assert_eq!(receive(&mut connection, &limits, &head), []);
            assert!(connection.buffered() < 512, "the head: {}", connection.buffered());
            assert_eq!(receive(&mut connection, &limits, &KEY), []);
            assert!(connection.buffered() < 4096 + 512, "a few bytes: {}", connection.buffered());
        }
    }
}

#[test]
fn memory_follows_what_has_arrived_up_to_the_limit() {
    let limits = Limits { max_message_size: 100_000, max_fragments: u32::MAX, ..Limits::default() };
    for (frame_len, frames) in [(100_000, 1), (1000, 100), (10, 10_000)] {
        let mut script = more(OpCode::Binary, &vec![1; frame_len]);
        for _ in 1..frames {
            script.extend(more(OpCode::Continuation, &vec![1; frame_len]));
        }
        let mut connection = Connection::new(Role::Server);
        let mut arrived = 0;
        for piece in script.chunks(700) {
            assert_eq!(receive(&mut connection, &limits, piece), []);
            arrived += piece.len();
            let bound = (2 * arrived).clamp(4096, limits.max_message_size) + 512;
            assert!(connection.buffered() <= bound, "{} > {bound}", connection.buffered());
        }
        let end = last(OpCode::Continuation, b"");
        assert_eq!(receive(&mut connection, &limits, &end), [binary(&vec![1; 100_000])]);
    }
}

#[test]
fn limits_are_told_with_their_value() {
    for (limit, words) in [
        (
            Limit::MessageSize { limit: 300, declared: 301 },
            "a message of 301 bytes exceeds max_message_size, 300 bytes",
        ),
        (
            Limit::FrameSize { limit: 200, declared: 201 },
            "a frame of 201 bytes exceeds max_frame_size, 200 bytes",
        ),
        (Limit::Fragments { limit: 4 }, "a message has more fragments than max_fragments, 4"),
    ] {
        assert_eq!(Error::from(limit).to_string(), words);
    }
}
