//! Whatever a peer sends after the handshake: the same comes of it, however the transport cuts it;
//! it never panics; and what is held stays within the limits.
//!
//! ```text
//! u8       bit 0 client, 1 closing, 2 permessage-deflate, 3 with context takeover, 4 small windows
//! u8 u8 u8 limits: of messages, frames, fragments
//! u8 ..    how many lengths of pieces follow, and these; they are gone through again and again
//! ..       the bytes that the peer sends
//! ```

use sockeye_websocket::{
    CloseCode, Connection, Head, Limits, OpCode, Role, State,
    deflate::{Context, Inflater, Params, WindowBits},
};

use crate::{
    Choices,
    wire::{Seen, Take, receive},
};

const MESSAGE: [usize; 8] = [1_000_000, 1_000, 0, 1, 10, 125, 4_096, 70_000];
const FRAME: [usize; 6] = [usize::MAX, 0, 1, 10, 125, 1_000];
const FRAGMENTS: [u32; 6] = [4_096, 0, 1, 2, 5, 100];

/// See the [module](self).
pub fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let flags = choices.byte();
    let limits = Limits {
        max_message_size: choices.of(&MESSAGE),
        max_frame_size: choices.of(&FRAME),
        max_fragments: choices.of(&FRAGMENTS),
        ..Limits::default()
    };
    let pieces = choices.short();
    let wire = choices.rest();

    let connection = || new(flags, &limits);
    let whole = Run::of(connection(), &limits, [wire], Take::All);
    if flags & 2 == 0 && !matches!(whole.state, State::Failed { .. }) {
        check_limits(wire, &limits);
    }
    assert_eq!(Run::of(connection(), &limits, wire.chunks(1), Take::All), whole, "byte by byte");
    assert_eq!(Run::of(connection(), &limits, [wire], Take::One), whole, "event by event");
    if pieces.iter().any(|&len| len > 0) {
        assert_eq!(Run::of(connection(), &limits, cut(wire, pieces), Take::All), whole, "cut");
    }
}

/// The frames of what was received without an objection are within the limits.
fn check_limits(mut wire: &[u8], limits: &Limits) {
    let (mut fragments, mut declared) = (0, 0);
    while let Ok(Some((head, size))) = Head::parse(wire) {
        if head.opcode == OpCode::Close {
            return;
        }
        if !head.opcode.is_control() {
            (fragments, declared) = match head.opcode {
                OpCode::Continuation => (fragments + 1, declared + head.len),
                _ => (1, head.len),
            };
            assert!(head.len <= limits.max_frame_size as u64, "a frame of {} bytes", head.len);
            assert!(fragments <= limits.max_fragments.max(1), "{fragments} fragments");
            // What is compressed may be longer than what it inflates to.
            let max = limits.max_message_size as u64;
            assert!(declared <= max + max / 7 + 64, "a message of {declared} bytes");
        }
        let Some(rest) = usize::try_from(head.len).ok().and_then(|len| wire[size..].get(len..))
        else {
            return;
        };
        wire = rest;
    }
}

/// The wire in pieces of these lengths, again and again. No read brings an empty piece, but it does
/// no harm either.
fn cut<'a>(mut wire: &'a [u8], lengths: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut lengths = lengths.iter().map(|&len| usize::from(len)).cycle();
    std::iter::from_fn(move || {
        let len = lengths.next()?.min(wire.len());
        if wire.is_empty() { None } else { wire.split_off(..len) }
    })
}

fn new(flags: u8, limits: &Limits) -> Connection {
    let is = |bit: u8| flags & 1 << bit != 0;
    let role = if is(0) { Role::Client } else { Role::Server };
    let mut connection = Connection::new(role);
    if is(2) {
        let window = if is(4) { WindowBits::MIN } else { WindowBits::MAX };
        let context = Context { takeover: is(3), window };
        connection = connection.with_deflate(Params { client: context, server: context });
    }
    if is(1) {
        let mask = (role == Role::Client).then_some([1, 2, 3, 4]);
        let reason = Some((CloseCode::NORMAL, ""));
        assert!(connection.close(0, limits, reason, mask, &mut Vec::new()));
    }
    connection
}

/// What came of some input.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    seen: Vec<Seen>,
    state: State,
}

impl Run {
    fn of<'a>(
        mut connection: Connection,
        limits: &Limits,
        pieces: impl IntoIterator<Item = &'a [u8]>,
        take: Take,
    ) -> Self {
        let mut inflater = Inflater::new();
        let mut seen = Vec::new();
        for piece in pieces {
            receive(&mut connection, limits, &mut inflater, piece, take, &mut seen);
            if !matches!(connection.state(), State::Open | State::Closing { .. }) {
                break;
            }
        }
        let state = connection.state();
        end(connection, limits, &mut inflater);
        Self { seen, state }
    }
}

/// What holds of every connection at its end.
fn end(mut connection: Connection, limits: &Limits, inflater: &mut Inflater) {
    let before = connection.state();
    let mut seen = Vec::new();
    if !matches!(before, State::Open | State::Closing { .. }) {
        // Nothing is read any more, and a failure is told to whoever asks again.
        receive(&mut connection, limits, inflater, &[0x81, 0x80, 0, 0, 0, 0], Take::All, &mut seen);
        let expected = match before {
            State::Failed { error, .. } => vec![Seen::Failed(error)],
            _ => vec![],
        };
        assert_eq!(seen, expected);
        assert_eq!(connection.state(), before);
        assert_eq!(connection.buffered(), 0, "nothing is held any more");
    }
    let mut out = Vec::new();
    let mask = (connection.role() == Role::Client).then_some([1, 2, 3, 4]);
    let owed = connection.owes_close();
    assert_eq!(connection.reply_close(mask, &mut out), owed);
    assert_eq!(!out.is_empty(), owed);
    assert!(!owed || connection.is_closed());
    let _ = connection.receive_eof();
    assert!(connection.is_closed());
    assert_eq!(connection.buffered(), 0);
    assert!(!connection.reply_close(mask, &mut out), "one close frame is all there is");
}
