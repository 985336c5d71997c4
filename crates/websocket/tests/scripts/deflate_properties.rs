//! Properties of compressed messages: they arrive, whatever was agreed on and however they are cut;
//! no window is exceeded; and no bytes do harm.

use proptest::{collection::vec, prelude::*, sample::Index};
use sockeye_websocket::{
    Connection, Event, Head, Limits, OpCode, Role,
    deflate::{Compression, Compressor, Compressors, Context, Inflater, Params, WindowBits},
    mask,
};

use crate::{
    check::{KEY, Seen},
    rfc1951,
};

fn context() -> impl Strategy<Value = Context> {
    (any::<bool>(), 8_u8..=15).prop_map(|(takeover, bits)| Context {
        takeover,
        window: WindowBits::new(bits).expect("8 to 15"),
    })
}

fn compression() -> impl Strategy<Value = Compression> {
    (prop_oneof![Just(0_usize), Just(50)], 0_u8..=10, 0_u8..=10)
        .prop_map(|(threshold, level, mem_level)| Compression { threshold, level, mem_level })
}

/// What compresses well, badly, or not at all.
fn message() -> impl Strategy<Value = Seen> {
    let random = (any::<u32>(), 0..5000_usize).prop_map(|(seed, len)| noise(seed, len));
    let words = vec("[a-f]{1,5}", 0..600).prop_map(|words| words.join(" "));
    prop_oneof![
        2 => words.prop_map(Seen::Text),
        1 => "\\PC{0,300}".prop_map(Seen::Text),
        1 => random.prop_map(Seen::Binary),
        1 => (any::<u8>(), 0..80_000_usize).prop_map(|(byte, len)| Seen::Binary(vec![byte; len])),
        // Repetitions at every distance.
        1 => (any::<u32>(), 1..3000_usize, 1..4_usize)
            .prop_map(|(seed, len, times)| Seen::Binary(noise(seed, len).repeat(times))),
    ]
}

fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as u8
    })
    .take(len)
    .collect()
}

fn payload(message: &Seen) -> (OpCode, &[u8]) {
    match message {
        Seen::Text(text) => (OpCode::Text, text.as_bytes()),
        Seen::Binary(bytes) => (OpCode::Binary, bytes),
        _ => unreachable!("not a message"),
    }
}

/// What one end of a connection compresses by.
enum Sender {
    Alone(Box<Compressors>),
    Takeover(Compressor),
}

impl Sender {
    fn new(context: Context, compression: &Compression) -> Self {
        if context.takeover {
            Self::Takeover(Compressor::new(context.window, compression))
        } else {
            Self::Alone(Box::default())
        }
    }

    /// The message as one frame, appended to something that was there before.
    fn frame(
        &mut self,
        context: Context,
        compression: &Compression,
        message: &Seen,
        mask: Option<mask::Key>,
    ) -> (Head, Vec<u8>) {
        let (opcode, payload) = payload(message);
        let mut out = b"before".to_vec();
        let compressed = match self {
            Self::Alone(compressors) => {
                compressors.append(&mut out, context.window, compression, opcode, payload, mask)
            }
            Self::Takeover(compressor) => compressor.append(&mut out, opcode, payload, mask),
        };
        assert!(out.starts_with(b"before"));
        let (head, size) = Head::parse(&out[6..]).expect("a head").expect("a whole one");
        let mut body = out.split_off(6 + size);
        assert_eq!(head, Head { rsv: head.rsv, mask, ..Head::new(opcode, body.len() as u64) });
        assert_eq!(head.rsv, if compressed { 0b100 } else { 0 });
        if let Some(key) = mask {
            mask::apply(key, 0, &mut body);
        }
        if !compressed {
            assert_eq!(body, payload);
        } else if matches!(self, Self::Alone(_)) {
            assert!(body.len() < payload.len());
        }
        (head, body)
    }
}

/// The frame in fragments, cut at the given places.
fn fragments(head: Head, body: &[u8], cuts: &[Index], wire: &mut Vec<u8>) {
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
    ends.push(body.len());
    ends.sort_unstable();
    let (mut start, count) = (0, ends.len());
    for (i, end) in ends.into_iter().enumerate() {
        let piece = &body[start..end];
        let opcode = if i == 0 { head.opcode } else { OpCode::Continuation };
        let rsv = if i == 0 { head.rsv } else { 0 };
        let len = piece.len() as u64;
        Head { fin: i + 1 == count, rsv, opcode, len, ..head }.encode(wire);
        let from = wire.len();
        wire.extend_from_slice(piece);
        if let Some(key) = head.mask {
            mask::apply(key, 0, &mut wire[from..]);
        }
        start = end;
    }
}

/// Hands the wire over in pieces that end at `cuts`.
fn receive(
    connection: &mut Connection,
    limits: &Limits,
    inflater: &mut Inflater,
    wire: &[u8],
    cuts: &[Index],
) -> Vec<Seen> {
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
    ends.push(wire.len());
    ends.sort_unstable();
    let mut seen = Vec::new();
    let mut start = 0;
    for end in ends {
        let mut input = wire[start..end].to_vec();
        let mut events = connection.receive(limits, inflater, &mut input);
        while let Some(event) = events.next() {
            if let Ok(Event::Text(text)) = &event {
                assert!(text.len() <= limits.max_message_size);
            }
            if let Ok(Event::Binary(bytes)) = &event {
                assert!(bytes.len() <= limits.max_message_size);
            }
            seen.push(Seen::from(event));
        }
        start = end;
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_compressed_arrives(
        (client, server) in (context(), context()),
        from_client in any::<bool>(),
        compression in compression(),
        messages in vec((message(), vec(any::<Index>(), 0..4)), 1..8),
        cuts in vec(any::<Index>(), 0..10),
    ) {
        let params = Params { client, server };
        let (sender, receiver, mask) = if from_client {
            (Role::Client, Role::Server, Some(KEY))
        } else {
            (Role::Server, Role::Client, None)
        };
        let context = params.of(sender);
        prop_assert_eq!(context, params.of_peer(receiver));
        let mut compressor = Sender::new(context, &compression);
        let (mut wire, mut expected) = (Vec::new(), Vec::new());
        for (message, cuts) in &messages {
            let (head, body) = compressor.frame(context, &compression, message, mask);
            fragments(head, &body, cuts, &mut wire);
            expected.push(message.clone());
        }
        let limits = Limits::default();
        let mut inflater = Inflater::new();
        let mut connection = Connection::new(receiver).with_deflate(params);
        let seen = receive(&mut connection, &limits, &mut inflater, &wire, &cuts);
        prop_assert_eq!(seen, expected);
        prop_assert!(connection.is_open());
        // The same at a connection that is cut at every byte, with the same inflater.
        if wire.len() < 3000 {
            let mut connection = Connection::new(receiver).with_deflate(params);
            let mut seen = Vec::new();
            for byte in wire.chunks(1) {
                seen.extend(receive(&mut connection, &limits, &mut inflater, byte, &[]));
            }
            let expected: Vec<_> = messages.into_iter().map(|(message, _)| message).collect();
            prop_assert_eq!(seen, expected);
        }
    }

    #[test]
    fn nothing_refers_beyond_the_window(
        context in context(),
        compression in compression(),
        messages in vec(message(), 1..4),
    ) {
        let mut compressor = Sender::new(context, &compression);
        let mut before = Vec::new();
        for message in &messages {
            let (head, mut body) = compressor.frame(context, &compression, message, None);
            if head.rsv == 0 {
                continue;
            }
            if !context.takeover {
                before.clear();
            }
            let start = before.len();
            body.extend([0, 0, 0xFF, 0xFF]);
            let stream = rfc1951::inflate(&body, before);
            prop_assert!(stream.bytes[start..] == *payload(message).1);
            prop_assert!(stream.reach <= context.window.size(), "{} bytes", stream.reach);
            before = stream.bytes;
        }
    }

    /// Compressed messages with bytes changed, lost and added: no panic, no more than is allowed,
    /// and nothing that the next connection notices.
    #[test]
    fn no_compressed_bytes_do_harm(
        messages in vec(message(), 1..4),
        takeover in any::<bool>(),
        changes in vec((any::<Index>(), any::<u8>(), 0..3_u8), 0..5),
        cuts in vec(any::<Index>(), 0..5),
        max_message_size in prop_oneof![Just(300_usize), Just(20_000), Just(1_000_000)],
    ) {
        let context = Context { takeover, ..Context::default() };
        let params = Params { client: context, server: context };
        let compression = Compression { threshold: 0, ..Compression::default() };
        let mut compressor = Sender::new(context, &compression);
        let mut wire = Vec::new();
        for message in &messages {
            let (head, mut body) = compressor.frame(context, &compression, message, Some(KEY));
            for (place, byte, change) in &changes {
                let place = place.index(body.len() + 1);
                match change {
                    0 if place < body.len() => body[place] = *byte,
                    1 if place < body.len() => { body.remove(place); }
                    _ => body.insert(place, *byte),
                }
            }
            fragments(Head { rsv: 0b100, len: body.len() as u64, ..head }, &body, &[], &mut wire);
        }
        harmless(params, &wire, &cuts, max_message_size)?;
    }

    /// Random bytes in a compressed frame.
    #[test]
    fn no_noise_does_harm(
        bodies in vec(vec(any::<u8>(), 0..200), 1..5),
        takeover in any::<bool>(),
        cuts in vec(any::<Index>(), 0..5),
    ) {
        let context = Context { takeover, ..Context::default() };
        let mut wire = Vec::new();
        for body in &bodies {
            let head = Head { rsv: 0b100, mask: Some(KEY), ..Head::new(OpCode::Binary, body.len() as u64) };
            fragments(head, body, &[], &mut wire);
        }
        harmless(Params { client: context, server: context }, &wire, &cuts, 300)?;
    }
}

fn harmless(
    params: Params,
    wire: &[u8],
    cuts: &[Index],
    max_message_size: usize,
) -> Result<(), TestCaseError> {
    let limits = Limits { max_message_size, ..Limits::default() };
    let mut inflater = Inflater::new();
    let connection = || Connection::new(Role::Server).with_deflate(params);
    let mut whole = connection();
    let expected = receive(&mut whole, &limits, &mut inflater, wire, &[]);
    let mut cut = connection();
    let mut seen = receive(&mut cut, &limits, &mut inflater, wire, cuts);
    seen.dedup_by(|a, b| matches!(a, Seen::Failed(_)) && a == b);
    prop_assert_eq!(seen, expected);
    prop_assert_eq!(cut.state(), whole.state());

    // The next connection's messages, by the same inflater.
    let mut compressors = Compressors::new();
    let compression = Compression { threshold: 0, ..Compression::default() };
    let text = "the same again, ".repeat(10);
    let mut next = Vec::new();
    let window = WindowBits::MAX;
    compressors.append(&mut next, window, &compression, OpCode::Text, text.as_bytes(), Some(KEY));
    let seen = receive(&mut connection(), &limits, &mut inflater, &next, &[]);
    prop_assert_eq!(seen, [Seen::Text(text)]);
    Ok(())
}
