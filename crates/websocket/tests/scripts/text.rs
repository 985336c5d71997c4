//! UTF-8 judged while it arrives (RFC 6455 §8.1, RFC 3629 §4).

use sockeye_websocket::{Connection, Limits, OpCode, PeerMisbehaved, Role, mask};

use crate::check::{KEY, Seen, check, failed, last, more, receive, text};

/// Sequences that are not UTF-8, each with the number of bytes after which no continuation can save
/// it.
const BAD: &[(&[u8], usize)] = &[
    // A continuation byte where a character begins.
    (b"\x80", 1),
    (b"\xBF", 1),
    // Bytes that never occur.
    (b"\xC0\x80", 1),
    (b"\xC1\xBF", 1),
    (b"\xF5\x80\x80\x80", 1),
    (b"\xF8\x88\x80\x80\x80", 1),
    (b"\xFC\x84\x80\x80\x80\x80", 1),
    (b"\xFE", 1),
    (b"\xFF", 1),
    // Overlong forms.
    (b"\xE0\x80\x80", 2),
    (b"\xE0\x9F\xBF", 2),
    (b"\xF0\x80\x80\x80", 2),
    (b"\xF0\x8F\xBF\xBF", 2),
    // Surrogates.
    (b"\xED\xA0\x80", 2),
    (b"\xED\xAD\xBF", 2),
    (b"\xED\xB0\x80", 2),
    (b"\xED\xBF\xBF", 2),
    // Beyond U+10FFFF.
    (b"\xF4\x90\x80\x80", 2),
    (b"\xF4\xBF\xBF\xBF", 2),
    // A character broken off by another.
    (b"\xC3x", 2),
    (b"\xC3\xC3", 2),
    (b"\xE2x", 2),
    (b"\xE2\x82x", 3),
    (b"\xE2\x82\xF0", 3),
    (b"\xF0\x9F\x98x", 4),
    (b"\xF0\x9F\xF0", 3),
];

/// The first and last character of each length, and the neighbours of what is forbidden.
const GOOD: &[&str] = &[
    "\0",
    "\u{7F}",
    "\u{80}",
    "\u{7FF}",
    "\u{800}",
    "\u{FFF}",
    "\u{1000}",
    "\u{CFFF}",
    "\u{D7FF}",
    "\u{E000}",
    "\u{FFFD}",
    "\u{FFFF}",
    "\u{10000}",
    "\u{3FFFF}",
    "\u{FFFFF}",
    "\u{10FFFF}",
    "κόσμε",
    "a\u{300}",
    "𝄞🐟",
    "",
];

#[test]
fn good_text_passes_at_every_place() {
    for good in GOOD {
        // Up to eight bytes in front: every phase of the mask and of eight-byte steps.
        for lead in 0..9 {
            let whole = format!("{}{good}{}", "x".repeat(lead), "é");
            check(&Limits::default(), &last(OpCode::Text, whole.as_bytes()), &[text(&whole)]);
        }
    }
}

#[test]
fn bad_text_is_refused_at_every_place() {
    for (bad, _) in BAD {
        for lead in 0..9 {
            for tail in ["", "tail of eight or more"] {
                let payload = ["x".repeat(lead).as_bytes(), bad, tail.as_bytes()].concat();
                let error = failed(PeerMisbehaved::TextNotUtf8);
                check(&Limits::default(), &last(OpCode::Text, &payload), &[error]);
            }
        }
    }
}

#[test]
fn binary_messages_are_not_judged() {
    for (bad, _) in BAD {
        let expected = [Seen::Binary(bad.to_vec())];
        check(&Limits::default(), &last(OpCode::Binary, bad), &expected);
    }
}

/// Feeds a text frame of which only `at_hand` arrives at first, in pieces of `step` bytes. Gives
/// the number of bytes after which it was refused.
fn refused_after(lead: &[u8], bad: &[u8], step: usize) -> Option<usize> {
    let limits = Limits::default();
    let mut connection = Connection::new(Role::Server);
    assert_eq!(receive(&mut connection, &limits, &more(OpCode::Text, lead)), []);
    // The frame is declared to go on for much longer than it does.
    let frame = last(OpCode::Continuation, &[bad, &[b'x'; 100]].concat());
    let (head, _) = frame.split_at(6);
    assert_eq!(receive(&mut connection, &limits, head), []);
    let mut masked = bad.to_vec();
    mask::apply(KEY, 0, &mut masked);
    let mut fed = 0;
    for piece in masked.chunks(step) {
        fed += piece.len();
        let seen = receive(&mut connection, &limits, piece);
        if !seen.is_empty() {
            assert_eq!(seen, [failed(PeerMisbehaved::TextNotUtf8)]);
            return Some(fed);
        }
    }
    None
}

#[test]
fn bad_text_is_refused_by_its_first_impossible_byte() {
    for (bad, impossible) in BAD {
        for lead in ["", "x", "é", "a longer lead"] {
            // Byte by byte, the refusal comes with the very byte.
            let refused = refused_after(lead.as_bytes(), bad, 1);
            assert_eq!(refused, Some(*impossible), "{bad:x?} after {lead:?}");
            // All at once, in the middle of the frame, it comes at once.
            assert!(refused_after(lead.as_bytes(), bad, bad.len()).is_some(), "{bad:x?}");
            let early = &bad[..*impossible];
            assert!(refused_after(lead.as_bytes(), early, early.len()).is_some(), "{bad:x?}");
        }
    }
}

#[test]
fn what_can_still_become_text_is_waited_for() {
    for (bad, impossible) in BAD {
        let possible = &bad[..impossible - 1];
        assert_eq!(refused_after(b"lead", possible, 1), None, "{possible:x?}");
        assert_eq!(refused_after(b"lead", possible, 9), None, "{possible:x?}");
    }
}

/// Every sequence of two bytes, and every three and four that begin at a boundary of the grammar,
/// agrees with the standard library, cut or not.
#[test]
fn agrees_with_the_standard_library() {
    let limits = Limits::default();
    let edges = [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xE0, 0xFF];
    let leads =
        [0x7F, 0x80, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xF0, 0xF1, 0xF4, 0xF5];
    let pairs = (0..=u16::MAX).map(|pair| pair.to_be_bytes().to_vec());
    let longer = leads.into_iter().flat_map(|a| {
        edges.into_iter().flat_map(move |b| {
            edges.into_iter().flat_map(move |c| {
                edges.into_iter().flat_map(move |d| [vec![a, b, c], vec![a, b, c, d]])
            })
        })
    });
    for bytes in pairs.chain(longer) {
        let expected = match std::str::from_utf8(&bytes) {
            Ok(good) => text(good),
            Err(_) => failed(PeerMisbehaved::TextNotUtf8),
        };
        let frame = last(OpCode::Text, &bytes);
        for cut in 6..=frame.len() {
            let mut connection = Connection::new(Role::Server);
            let mut seen = receive(&mut connection, &limits, &frame[..cut]);
            if seen.is_empty() {
                seen = receive(&mut connection, &limits, &frame[cut..]);
            }
            assert_eq!(seen, std::slice::from_ref(&expected), "{bytes:x?} cut at {cut}");
        }
    }
}
