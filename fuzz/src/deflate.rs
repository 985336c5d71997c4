//! Compressed messages: arbitrary bytes in place of a deflate stream never panic nor inflate beyond
//! the limit, and what we compress comes back as it was.
//!
//! ```text
//! u8       bit 0 inflates what follows, or else compresses it; 1 context takeover; 2 a client sends
//! u8 u8    the window; the limit for a message
//! u8 u8    the level; the memory level
//! ..       messages: a length, a number of repetitions (only to compress), the bytes
//! ```

use sockeye_websocket::{
    Connection, Error, Head, Limit, Limits, OpCode, Role,
    deflate::{Compression, Compressor, Compressors, Context, Inflater, Params, WindowBits},
    mask,
};

use crate::{
    Choices,
    wire::{Seen, Take, receive},
};

/// What marks a compressed message (RFC 7692 §6).
const RSV1: u8 = 0b100;

/// See the [module](self).
pub fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let flags = choices.byte();
    let is = |bit: u8| flags & 1 << bit != 0;
    let window = WindowBits::new(8 + choices.byte() % 8).expect("8 to 15");
    let context = Context { takeover: is(1), window };
    let limits = Limits {
        max_message_size: choices.of(&[1_000_000, 0, 10, 1_000, 65_536, 70_000]),
        ..Limits::default()
    };
    let compression =
        Compression { threshold: 0, level: choices.byte() % 11, mem_level: choices.byte() % 11 };
    let (from, to) =
        if is(2) { (Role::Client, Role::Server) } else { (Role::Server, Role::Client) };
    let mask = (from == Role::Client).then_some([0x37, 0xFA, 0x21, 0x3D]);
    let params = Params { client: context, server: context };
    let receiver = Connection::new(to).with_deflate(params);
    if is(0) {
        inflate(choices, receiver, &limits, mask);
    } else {
        round_trip(choices, receiver, &limits, context, &compression, mask);
    }
}

/// Every message is what its sender says is compressed.
fn inflate(
    mut choices: Choices<'_>,
    connection: Connection,
    limits: &Limits,
    key: Option<mask::Key>,
) {
    let mut wire = Vec::new();
    while !choices.is_empty() {
        let payload = choices.short();
        let opcode = if payload.len().is_multiple_of(2) { OpCode::Binary } else { OpCode::Text };
        let head = Head { rsv: RSV1, mask: key, ..Head::new(opcode, payload.len() as u64) };
        head.encode(&mut wire);
        let start = wire.len();
        wire.extend_from_slice(payload);
        if let Some(key) = key {
            mask::apply(key, 0, &mut wire[start..]);
        }
    }
    let mut connection = connection;
    let (mut seen, mut inflater) = (Vec::new(), Inflater::new());
    receive(&mut connection, limits, &mut inflater, &wire, Take::All, &mut seen);

    // In two pieces, and by an inflater that has something else behind it.
    let params = connection.deflate().expect("it has deflate");
    let mut again = Connection::new(connection.role()).with_deflate(params);
    let mut halves = Vec::new();
    let (first, second) = wire.split_at(wire.len() / 2);
    receive(&mut again, limits, &mut inflater, first, Take::One, &mut halves);
    if again.is_open() {
        receive(&mut again, limits, &mut inflater, second, Take::One, &mut halves);
    }
    assert_eq!(halves, seen);
}

/// What is compressed is received as it was.
fn round_trip(
    mut choices: Choices<'_>,
    mut connection: Connection,
    limits: &Limits,
    Context { takeover, window }: Context,
    compression: &Compression,
    mask: Option<mask::Key>,
) {
    let mut own = takeover.then(|| Compressor::new(window, compression));
    let (mut shared, mut inflater) = (Compressors::new(), Inflater::new());
    // As much as a run may cost.
    for _ in 0..6 {
        if choices.is_empty() {
            break;
        }
        let times = 1 + usize::from(choices.byte()).pow(2) / 200;
        let payload = choices.short().repeat(times);
        let (opcode, sent) = match String::from_utf8(payload) {
            Ok(text) => (OpCode::Text, Seen::Text(text)),
            Err(error) => (OpCode::Binary, Seen::Binary(error.into_bytes())),
        };
        let payload = match &sent {
            Seen::Text(text) => text.as_bytes(),
            Seen::Binary(bytes) => bytes,
            _ => unreachable!("it is a message"),
        };
        let mut wire = b"before".to_vec();
        let compressed = match &mut own {
            Some(own) => own.append(&mut wire, opcode, payload, mask),
            None => shared.append(&mut wire, window, compression, opcode, payload, mask),
        };
        assert!(wire.starts_with(b"before"));
        let wire = &wire[6..];
        assert_eq!(wire[0] & 0x40 != 0, compressed);
        assert!(takeover || wire.len() <= payload.len() + 14, "it does not become larger");

        let mut seen = Vec::new();
        receive(&mut connection, limits, &mut inflater, wire, Take::All, &mut seen);
        if payload.len() <= limits.max_message_size {
            assert!(seen == [sent], "a message came back as another");
        } else {
            let exceeded =
                matches!(seen[..], [Seen::Failed(Error::LimitExceeded(Limit::MessageSize { .. }))]);
            assert!(exceeded, "{seen:?}");
            break;
        }
    }
}
