//! Properties over random scripts: what is sent arrives, however it is cut; and no bytes do harm.

use proptest::{collection::vec, prelude::*, sample::Index};
use sockeye_websocket::{Connection, Limits, OpCode, Role, frame};

use crate::check::{Seen, frame, receive};

#[derive(Clone, Debug)]
enum Sent {
    /// A message in fragments of these lengths and a rest.
    Message(Seen, Vec<usize>),
    /// A control frame.
    Control(Seen),
}

fn message() -> impl Strategy<Value = Sent> {
    let body = prop_oneof![
        "\\PC{0,300}".prop_map(Seen::Text),
        vec(any::<u8>(), 0..300).prop_map(Seen::Binary),
        (60_000..70_000_usize).prop_map(|len| Seen::Binary((0..len).map(|i| i as u8).collect())),
    ];
    (body, vec(0_usize..100, 0..5)).prop_map(|(body, cuts)| Sent::Message(body, cuts))
}

fn control() -> impl Strategy<Value = Sent> {
    let payload = || vec(any::<u8>(), 0..=125);
    prop_oneof![payload().prop_map(Seen::Ping), payload().prop_map(Seen::Pong)]
        .prop_map(Sent::Control)
}

/// The frames of a message.
fn fragments(body: &Seen, cuts: &[usize]) -> Vec<Vec<u8>> {
    let (mut opcode, mut payload) = match body {
        Seen::Text(text) => (OpCode::Text, text.as_bytes()),
        Seen::Binary(bytes) => (OpCode::Binary, &bytes[..]),
        _ => unreachable!("not a message"),
    };
    let mut frames = Vec::new();
    for &cut in cuts {
        let (piece, rest) = payload.split_at(cut.min(payload.len()));
        frames.push(frame(false, opcode, piece));
        (opcode, payload) = (OpCode::Continuation, rest);
    }
    frames.push(frame(true, opcode, payload));
    frames
}

fn control_frame(control: &Seen) -> Vec<u8> {
    match control {
        Seen::Ping(payload) => frame(true, OpCode::Ping, payload),
        Seen::Pong(payload) => frame(true, OpCode::Pong, payload),
        _ => unreachable!("not a control frame"),
    }
}

/// Hands the wire over in pieces that end at `cuts`, watching the memory.
fn receive_cut(
    connection: &mut Connection,
    limits: &Limits,
    wire: &[u8],
    cuts: &[Index],
) -> Vec<Seen> {
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
    ends.push(wire.len());
    ends.sort_unstable();
    let mut seen = Vec::new();
    let mut start = 0;
    for end in ends {
        seen.extend(receive(connection, limits, &wire[start..end]));
        assert!(connection.buffered() <= limits.max_message_size + 512);
        start = end;
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sent_arrives(
        sent in vec(prop_oneof![3 => message(), 1 => control()], 0..6),
        between in vec(control(), 0..3),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let (mut wire, mut expected) = (Vec::new(), Vec::new());
        for sent in &sent {
            match sent {
                Sent::Control(control) => {
                    wire.extend(control_frame(control));
                    expected.push(control.clone());
                }
                Sent::Message(body, cuts) => {
                    let frames = fragments(body, cuts);
                    for (i, frame) in frames.iter().enumerate() {
                        if i > 0 && let Some(Sent::Control(control)) = between.get(i - 1) {
                            wire.extend(control_frame(control));
                            expected.push(control.clone());
                        }
                        wire.extend(frame);
                    }
                    expected.push(body.clone());
                }
            }
        }
        let mut connection = Connection::new(Role::Server);
        let seen = receive_cut(&mut connection, &Limits::default(), &wire, &cuts);
        prop_assert_eq!(seen, expected);
        prop_assert!(connection.is_open());
        prop_assert_eq!(connection.buffered(), 0);
    }

    #[test]
    fn unmasked_frames_arrive_at_a_client(
        payload in vec(any::<u8>(), 0..300),
        cuts in vec(any::<Index>(), 0..5),
    ) {
        let mut wire = Vec::new();
        frame::append(&mut wire, OpCode::Binary, &payload);
        let mut connection = Connection::new(Role::Client);
        let seen = receive_cut(&mut connection, &Limits::default(), &wire, &cuts);
        prop_assert_eq!(seen, [Seen::Binary(payload)]);
    }

    /// Random bytes, most of which are no frames.
    #[test]
    fn no_bytes_do_harm(
        wire in vec(any::<u8>(), 0..300),
        cuts in vec(any::<Index>(), 0..8),
        server in any::<bool>(),
        close_first in any::<bool>(),
    ) {
        harmless(&wire, &cuts, server, close_first)?;
    }

    /// Bytes that look more like frames: few opcodes, short lengths, and mistakes here and there.
    #[test]
    fn no_frames_do_harm(
        heads in vec((0_u8..=255, prop_oneof![Just(0x80_u8), 0x80..0x90_u8, any::<u8>()], vec(any::<u8>(), 4..20)), 0..30),
        valid in any::<bool>(),
        cuts in vec(any::<Index>(), 0..8),
        close_first in any::<bool>(),
    ) {
        let mut wire = Vec::new();
        for (first, second, rest) in heads {
            let first = if valid { [0x01, 0x02, 0x00, 0x80, 0x81, 0x82, 0x89, 0x8A][usize::from(first % 8)] } else { first };
            let payload = usize::from(second & 0x0F);
            wire.extend([first, second]);
            wire.extend(rest.iter().copied().cycle().take(4 + payload));
        }
        harmless(&wire, &cuts, true, close_first)?;
    }
}

/// Cut or not, the same comes of it: no panic, the same events, little memory.
fn harmless(wire: &[u8], cuts: &[Index], server: bool, close: bool) -> Result<(), TestCaseError> {
    let limits = Limits { max_message_size: 1000, max_fragments: 5, ..Limits::default() };
    let role = if server { Role::Server } else { Role::Client };
    let connection = || {
        let mut connection = Connection::new(role);
        if close {
            let key = (!server).then_some([1, 2, 3, 4]);
            connection.close(0, &limits, None, key, &mut Vec::new());
        }
        connection
    };
    let mut whole = connection();
    let expected = receive(&mut whole, &limits, wire);
    let mut cut = connection();
    let mut seen = receive_cut(&mut cut, &limits, wire, cuts);
    // A failure is reported once per call.
    seen.dedup_by(|a, b| matches!(a, Seen::Failed(_)) && a == b);
    prop_assert_eq!(seen, expected);
    prop_assert_eq!(cut.state(), whole.state());
    Ok(())
}
