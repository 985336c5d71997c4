//! What is no WebSocket: RFC 6455's close codes, and "transport error" for the sockets.

use sockeye_testkit::peer::{Message, Peer, frame};

use crate::harness::{FACES, Face};
use crate::judge::{Judge, Offence};

/// A frame's head as given, then the masking key and this much of payload.
fn raw(head: &[u8], payload: &[u8]) -> Vec<u8> {
    [head, &[0, 0, 0, 0], payload].concat()
}

/// RFC 6455 §5: close code 1002.
#[tokio::test]
async fn frames_that_break_the_protocol() {
    for face in FACES {
        let mut judge = Judge::new(face).await;
        let cases = [
            Offence::new("not masked", *b"\x81\x02hi"),
            Offence::new("reserved opcode 3", frame(0x83, b"")),
            Offence::new("reserved opcode 7", frame(0x87, b"x")),
            Offence::new("reserved opcode 11", frame(0x8B, b"")),
            Offence::new("RSV1 without an extension", frame(0xC1, b"x")),
            Offence::new("RSV2", frame(0xA1, b"x")),
            Offence::new("RSV3", frame(0x91, b"x")),
            Offence::new("RSV1 on a ping", frame(0xC9, b"")),
            Offence::new("fragmented ping", frame(0x09, b"x")),
            Offence::new("fragmented close", frame(0x08, b"")),
            Offence::new("ping of 126 bytes", frame(0x89, &[0; 126])),
            Offence::new("pong of 200 bytes", frame(0x8A, &[0; 200])),
            Offence::new("5 bytes, length in 16 bits", raw(&[0x81, 0xFE, 0, 5], b"hello")),
            Offence::new("125 bytes, length in 16 bits", raw(&[0x81, 0xFE, 0, 125], &[b'x'; 125])),
            Offence::new(
                "65535 bytes, length in 64 bits",
                raw(&[0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], &[]),
            ),
            Offence::new(
                "length beyond 63 bits",
                raw(&[0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0], &[]),
            ),
            Offence::new("continuation of nothing", frame(0x80, b"x")),
            Offence::new("text within fragments", [frame(0x01, b"a"), frame(0x81, b"b")].concat()),
            Offence::new("binary within text", [frame(0x01, b"a"), frame(0x02, b"b")].concat()),
            Offence::new("half a close code", frame(0x88, &[3])),
            Offence::new("close code 0", frame(0x88, &0_u16.to_be_bytes())),
            Offence::new("close code 999", frame(0x88, &999_u16.to_be_bytes())),
            Offence::new("close code 1004", frame(0x88, &1004_u16.to_be_bytes())),
            Offence::new("close code 1005", frame(0x88, &1005_u16.to_be_bytes())),
            Offence::new("close code 1006", frame(0x88, &1006_u16.to_be_bytes())),
            Offence::new("close code 1015", frame(0x88, &1015_u16.to_be_bytes())),
            Offence::new("close code 2999", frame(0x88, &2999_u16.to_be_bytes())),
            Offence::new("close code 5000", frame(0x88, &5000_u16.to_be_bytes())),
        ];
        for case in &cases {
            judge.expect(case, 1002, "transport error").await;
        }
        judge.finish().await;
    }
}

/// Text that is not UTF-8, cut at every boundary: close code 1007.
#[tokio::test]
async fn text_that_is_not_utf_8() {
    let mut judge = Judge::new(Face::Own).await;
    let bad: [&[u8]; 9] = [
        b"\x80",             // a continuation byte alone
        b"\xC0\x80",         // an overlong form
        b"\xE0\x80\x80",     // another
        b"\xED\xA0\x80",     // half of a UTF-16 pair
        b"\xF4\x90\x80\x80", // beyond U+10FFFF
        b"\xF0\x9F\x98",     // the end is missing
        b"\xE2\x82",         // as well
        b"\xC3",             // as well
        b"\xFF",             // never a byte of UTF-8
    ];
    for bad in bad {
        let message = [b"42[\"", bad].concat();
        judge
            .expect(&Offence::new("one frame", frame(0x81, &message)), 1007, "transport error")
            .await;
        // In two fragments, cut anywhere within.
        for cut in 4..message.len() {
            let (first, second) = message.split_at(cut);
            let bytes = [frame(0x01, first), frame(0x80, second)].concat();
            let what = format!("{bad:x?} cut at {cut}");
            judge.expect(&Offence::new(what, bytes), 1007, "transport error").await;
        }
    }
    // In front of what would be right, and noticed before the message has ended.
    let early = [frame(0x01, b"\xFFok"), frame(0x00, b"more")].concat();
    judge.expect(&Offence::new("an early fragment", early), 1007, "transport error").await;
    let reason = [&1000_u16.to_be_bytes()[..], b"\xFF"].concat();
    let close = Offence::new("the reason of a close frame", frame(0x88, &reason));
    judge.expect(&close, 1007, "transport error").await;
    judge.finish().await;
}

/// The judgement falls by the declared length: close code 1009.
#[tokio::test]
async fn messages_that_are_too_large() {
    let mut judge = Judge::new(Face::Own).await;
    let declared = |len: u64| [&[0x82, 0xFF][..], &len.to_be_bytes()].concat();
    let cases = [
        Offence::new("one byte more", frame(0x81, &[b'x'; 10_001])),
        Offence::new("a binary one", frame(0x82, &[0; 10_001])),
        Offence::new("16 bits, only its head", raw(&[0x82, 0xFE, 0x27, 0x11], &[])),
        Offence::new("4 GiB, only its head", raw(&declared(1 << 32), &[])),
        Offence::new("8 EiB less one byte, only its head", raw(&declared(i64::MAX as u64), &[])),
        Offence::new(
            "fragments together",
            [frame(0x01, &[b'x'; 6000]), frame(0x80, &[b'x'; 4001])].concat(),
        ),
        Offence::new(
            "a lying last fragment",
            [frame(0x01, &[b'x'; 6000]), raw(&[0x80, 0xFE, 0x0F, 0xA1], &[])].concat(),
        ),
    ];
    for case in &cases {
        judge.expect(case, 1009, "transport error").await;
    }
    judge.finish().await;
}

#[tokio::test]
async fn fragments_without_end() {
    let mut judge = Judge::new(Face::Own).await;
    let mut bytes = frame(0x01, b"");
    for _ in 0..5000 {
        bytes.extend(frame(0x00, b""));
    }
    judge.expect(&Offence::new("empty fragments", bytes), 1008, "transport error").await;
    judge.finish().await;
}

/// The end of the stream within a frame.
#[tokio::test]
async fn frames_that_are_cut_off() {
    let mut judge = Judge::new(Face::Own).await;
    let whole = [
        frame(0x01, b"42[\"e\""),
        frame(0x00, &[b' '; 200]),
        frame(0x89, b"ping"),
        frame(0x80, b"]"),
    ]
    .concat();
    for cut in (0..whole.len()).filter(|cut| *cut < 40 || cut % 16 == 0 || *cut > 200) {
        let (mut peer, _) = Peer::socketio(judge.server.address).await;
        peer.send_bytes(&whole[..cut]).await;
        peer.finish().await;
        judge.reasons.expect(["transport close"]).await;
        loop {
            match peer.recv().await {
                Message::Eof | Message::Reset => break,
                // If it was not cut off.
                Message::Pong(payload) => assert_eq!(payload, b"ping"),
                other => panic!("cut at {cut}: {other:?}"),
            }
        }
    }
    judge.finish().await;
}
