//! Whatever a peer sends ends in a typed error and the documented answer, never in a panic or a
//! hang, and other clients are served all the while.

use std::time::Duration;

use sockeye_server::{Data, Namespace, Server};
use sockeye_testkit::peer::{Message, Peer, frame, text_frame};
use tokio::sync::watch;

use crate::harness::{
    FACES, Face, Journal, Running, journal, root, serve, sync, with_reasons, with_sockets, within,
};

/// Bytes that no server should accept.
struct Offence {
    what: String,
    bytes: Vec<u8>,
}

impl Offence {
    fn new(what: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { what: what.into(), bytes: bytes.into() }
    }

    /// A text message, followed by binary ones.
    fn packet(text: &str, attachments: &[&[u8]]) -> Self {
        let mut bytes = text_frame(text);
        for attachment in attachments {
            bytes.extend(frame(0x82, attachment));
        }
        Self::new(text, bytes)
    }
}

/// A server, and the reasons for which its sockets left.
struct Judge {
    server: Running,
    reasons: Journal<&'static str>,
}

impl Judge {
    async fn new(face: Face) -> Self {
        let (namespace, reasons) = with_reasons(root().on("e", || ()));
        let builder = Server::builder()
            .namespace(namespace)
            .namespace(Namespace::new("/other"))
            .max_payload(10_000);
        Self { server: face.serve(builder).await, reasons }
    }

    /// The client in `/` that does this is closed with `code`, its socket hears `reason`, and the
    /// next client is served.
    async fn expect(&mut self, offence: &Offence, code: u16, reason: &str) {
        let (mut peer, _) = Peer::socketio(self.server.address).await;
        peer.send_bytes(&offence.bytes).await;
        match peer.recv().await {
            Message::Close(found) if found == code => {}
            other => panic!("{}: expected Close({code}), got {other:?}", offence.what),
        }
        assert_eq!(self.reasons.next().await, reason, "{}", offence.what);
        peer.try_send_bytes(&frame(0x88, &[])).await;
        let end = peer.recv().await;
        assert!(matches!(end, Message::Eof | Message::Reset), "{}: {end:?}", offence.what);
    }

    /// All is over for the offenders, and nobody else noticed.
    async fn finish(mut self) {
        let (mut peer, _) = Peer::socketio(self.server.address).await;
        sync(&mut peer).await;
        assert_eq!(self.server.clients(), 1);
        self.reasons.expect_nothing();
    }
}

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
        judge.expect(&Offence::new("one frame", frame(0x81, &message)), 1007, "transport error").await;
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

/// Engine.IO has its own words: "parse error", and no close code.
#[tokio::test]
async fn packets_that_are_not_engine_io() {
    let mut judge = Judge::new(Face::Own).await;
    for text in ["", "7", "9[\"e\"]", "x", "€", "-", " 4", "\0", "b!", "bA", "bAQ=A"] {
        judge.expect(&Offence::packet(text, &[]), 1005, "parse error").await;
    }
    judge.finish().await;
}

/// Whatever Socket.IO does not allow: no close code, "forced close".
#[tokio::test]
async fn packets_that_are_not_socket_io() {
    for face in FACES {
        let mut judge = Judge::new(face).await;
        let cases = [
            // No type, or none that exists.
            "4", "47", "49[\"e\"]", "4x", "4-", "4€", "4[\"e\"]", "4{}",
            // CONNECT: an object or nothing.
            "40/other,[]", "40/other,\"x\"", "40/other,null", "40/other,1", "40/other,true",
            "40/other,{", "40/other,{\"a\":}", "40/other,{}x", "40/other,[{}]",
            // DISCONNECT: nothing.
            "41{}", "41[]", "41\"x\"", "41null", "41x",
            // EVENT: an array that begins with a string or a number.
            "42{}", "42\"e\"", "42null", "421", "42true", "42[]", "42[null]", "42[true]",
            "42[{}]", "42[[\"e\"]]", "42[\"e\"", "42[\"e\",]", "42[,\"e\"]", "42[\"e\"]]",
            "42[\"e\"]x", "42[\"e]", "42['e']", "42[\"e\",undefined]", "42[\"e\",NaN]",
            "42[\"e\",01]", "42[\"e\",\"\\x\"]", "42[\"e\",\"\n\"]", "42[\"e\",\"\\ud8\"]",
            "42abc[\"e\"]", "42-1[\"e\"]", "421.5[\"e\"]", "421e3[\"e\"]", "42,[\"e\"]",
            // Names that are the library's own.
            "42[\"connect\"]", "42[\"connect_error\"]", "42[\"disconnect\"]",
            "42[\"disconnecting\"]", "42[\"newListener\"]", "42[\"removeListener\"]",
            "42[\"\\u0063onnect\"]", "420[\"disconnect\",1]",
            // An id that does not fit.
            "42184467440737095516160[\"e\"]", "4399999999999999999999999[]",
            // ACK: an array.
            "430{}", "430\"x\"", "430null", "4301", "430[", "430[1,]",
            // CONNECT_ERROR is the server's.
            "44{\"message\":\"x\"}", "44\"x\"", "44", "44/other,{}",
            // Attachments: a count from 1 to 10.
            "45[\"e\"]", "45-[\"e\"]", "450-[\"e\"]", "4511-[\"e\"]", "4599999999999999999999-[\"e\"]",
            "45x-[\"e\"]", "451[\"e\"]", "451.5-[\"e\"]", "45-1-[\"e\"]", "46[1]", "460-[1]",
            "4611-0[1]", "451",
        ];
        for case in cases {
            judge.expect(&Offence::packet(case, &[]), 1005, "forced close").await;
        }
        judge.finish().await;
    }
}

#[tokio::test]
async fn attachments_that_do_not_fit() {
    let mut judge = Judge::new(Face::Own).await;
    let cases: [(&str, &[&[u8]]); 11] = [
        // Beyond the end, before the beginning, not a number, missing.
        (r#"451-["e",{"_placeholder":true,"num":1}]"#, &[b"a"]),
        (r#"452-["e",{"_placeholder":true,"num":2}]"#, &[b"a", b"b"]),
        (r#"451-["e",{"_placeholder":true,"num":-1}]"#, &[b"a"]),
        (r#"451-["e",{"_placeholder":true,"num":"0"}]"#, &[b"a"]),
        (r#"451-["e",{"_placeholder":true}]"#, &[b"a"]),
        (r#"451-["e",{"_placeholder":true,"num":4294967296}]"#, &[b"a"]),
        (r#"461-0[{"_placeholder":true,"num":7}]"#, &[b"a"]),
        // The payload is judged as without attachments.
        (r#"451-{"_placeholder":true,"num":0}"#, &[b"a"]),
        (r#"451-["connect",{"_placeholder":true,"num":0}]"#, &[b"a"]),
        (r#"461-0{"_placeholder":true,"num":0}"#, &[b"a"]),
        (r#"451-[{"_placeholder":true,"num":0}]"#, &[b"a"]),
    ];
    for (text, attachments) in cases {
        judge.expect(&Offence::packet(text, attachments), 1005, "forced close").await;
    }
    // Text where binary is due, at the first and at a later one.
    let text = r#"452-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
    for attachments in [&[][..], &[&b"a"[..]]] {
        let mut offence = Offence::packet(text, attachments);
        offence.bytes.extend(text_frame("42[\"e\"]"));
        judge.expect(&offence, 1005, "forced close").await;
    }
    // Binary where none is due.
    judge.expect(&Offence::new("binary", frame(0x82, b"a")), 1005, "forced close").await;
    judge.expect(&Offence::packet("bAQI=", &[]), 1005, "forced close").await;
    let mut surplus = Offence::packet(
        r#"451-["e",{"_placeholder":true,"num":0}]"#,
        &[b"a", b"one too many"],
    );
    surplus.what = "one attachment too many".to_owned();
    judge.expect(&surplus, 1005, "forced close").await;
    judge.finish().await;
}

#[tokio::test]
async fn attachments_that_never_come() {
    let (namespace, mut reasons) = with_reasons(root());
    let builder =
        Server::builder().namespace(namespace).attachment_timeout(Duration::from_millis(150));
    let server = serve(builder).await;
    let text = r#"452-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
    for attachments in [0, 1] {
        let (mut peer, _) = Peer::socketio(server.address).await;
        peer.send_text(text).await;
        for _ in 0..attachments {
            peer.send_binary(b"a").await;
        }
        peer.expect_close(1005).await;
        reasons.expect(["forced close"]).await;
    }
    let (mut peer, _) = Peer::socketio(server.address).await;
    sync(&mut peer).await;
}

#[tokio::test]
async fn packets_that_the_state_does_not_allow() {
    let mut judge = Judge::new(Face::Own).await;
    let placeholder = r#"["e",{"_placeholder":true,"num":0}]"#;
    for text in [
        "40",
        "40{}",
        "40/,",
        "42/other,[\"e\"]",
        "42/other,7[\"e\"]",
        "42/nope,[\"e\"]",
        "43/other,0[1]",
        "41/other,",
        "41/nope",
        &format!("451-/other,{placeholder}"),
    ] {
        judge.expect(&Offence::packet(text, &[]), 1005, "forced close").await;
    }
    // A second CONNECT to another namespace ends all of the client's.
    let mut twice = Offence::packet("40/other,", &[]);
    twice.bytes.extend(text_frame("40/other,"));
    let (mut peer, _) = Peer::socketio(judge.server.address).await;
    peer.send_bytes(&twice.bytes).await;
    peer.expect_joined("/other").await;
    peer.expect_close(1005).await;
    judge.reasons.expect(["forced close"]).await;
    judge.finish().await;
}

#[tokio::test]
async fn anything_but_connect_at_first() {
    let mut judge = Judge::new(Face::Own).await;
    for text in ["42[\"e\"]", "41", "430[]", "44{}", "451-[\"e\"]", "4"] {
        let mut peer = Peer::engineio(judge.server.address).await;
        peer.send_text(text).await;
        peer.expect_close(1005).await;
    }
    let mut peer = Peer::engineio(judge.server.address).await;
    peer.send_binary(b"a").await;
    peer.expect_close(1005).await;
    // Nor after the client has left.
    let (mut peer, _) = Peer::socketio(judge.server.address).await;
    peer.send_text("41").await;
    judge.reasons.expect(["client namespace disconnect"]).await;
    peer.send_text("42[\"e\"]").await;
    peer.expect_close(1005).await;
    judge.finish().await;
}

#[tokio::test]
async fn a_second_connect_while_the_first_is_being_decided() {
    let (open, gate) = watch::channel(false);
    let (namespace, mut reasons) = with_reasons(root().on_connect(move || {
        let mut gate = gate.clone();
        async move {
            let _ = gate.wait_for(|open| *open).await;
        }
    }));
    let server = serve(Server::builder().namespace(namespace)).await;
    let mut peer = Peer::engineio(server.address).await;
    peer.send_text("40").await;
    peer.send_text("40").await;
    peer.expect_close(1005).await;
    open.send(true).unwrap();
    // For the handler, which agreed, the socket was there.
    reasons.expect(["forced close"]).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    sync(&mut peer).await;
}

#[tokio::test]
async fn too_many_namespaces_and_too_long_names() {
    let mut judge = Judge::new(Face::Own).await;
    let mut many = Offence::new("namespaces", []);
    for n in 0..200 {
        many.bytes.extend(text_frame(&format!("40/{n},")));
    }
    let (mut peer, _) = Peer::socketio(judge.server.address).await;
    peer.send_bytes(&many.bytes).await;
    let mut refused = 0;
    loop {
        match peer.recv().await {
            Message::Text(text) => {
                assert!(text.ends_with("{\"message\":\"Invalid namespace\"}"), "{text}");
                refused += 1;
            }
            Message::Close(1005) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!((10..200).contains(&refused), "{refused}");
    judge.reasons.expect(["forced close"]).await;

    let long = format!("40/{},", "n".repeat(5000));
    judge.expect(&Offence::packet(&long, &[]), 1005, "forced close").await;
    let long = format!("42/{}[\"e\"]", "n".repeat(5000));
    judge.expect(&Offence::packet(&long, &[]), 1005, "forced close").await;
    judge.finish().await;
}

/// JSON of any depth may come; what must not happen is that the stack overflows.
#[tokio::test]
async fn json_that_is_nested_deeply() {
    let namespace = root()
        .on("value", |Data(value): Data<serde_json::Value>| value.is_array())
        .on("ignored", |Data(()): Data<()>| ());
    let server = serve(Server::builder().namespace(namespace)).await;
    let depth = 400_000;
    for event in ["value", "ignored", "nobody's"] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let depth = depth / open.len();
            let inner = if open == "[" { "" } else { "1" };
            let nested = format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
            let (mut peer, _) = Peer::socketio(server.address).await;
            peer.send_text(&format!("420[\"{event}\",{nested}]")).await;
            peer.send_text("421[\"sync\"]").await;
            match peer.recv().await {
                // It fits no handler's type, or nobody looked at it.
                Message::Text(text) if text.starts_with("430[") => peer.expect_text("431[]").await,
                Message::Text(text) => assert_eq!(text, "431[]", "{event} {open}"),
                // Or it is refused altogether.
                Message::Close(1005) => {}
                other => panic!("{event} {open}: {other:?}"),
            }
        }
    }
    let auth = format!("40{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let mut peer = Peer::engineio(server.address).await;
    peer.send_text(&auth).await;
    let _ = peer.recv().await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    sync(&mut peer).await;
}

/// What comes behind the offence is not looked at, and does not keep the connection.
#[tokio::test]
async fn an_offender_who_goes_on_is_cut_off() {
    let (note, mut handled) = journal();
    let namespace = root().on("after", move || note.write(()));
    let (namespace, mut reasons) = with_reasons(namespace);
    let server = serve(Server::builder().namespace(namespace)).await;
    for (offence, code) in [
        (frame(0x83, b""), Message::Close(1002)),
        (text_frame("42[\"connect\"]"), Message::Close(1005)),
        (text_frame("x"), Message::Close(1005)),
    ] {
        let (mut peer, _) = Peer::socketio(server.address).await;
        peer.send_bytes(&[offence, text_frame("420[\"after\"]").repeat(100)].concat()).await;
        peer.expect(code).await;
        reasons.next().await;
        for _ in 0..100 {
            peer.try_send_bytes(&text_frame("420[\"after\"]")).await;
        }
        peer.try_send_bytes(&frame(0x88, &[])).await;
        let end = peer.recv().await;
        assert!(matches!(end, Message::Eof | Message::Reset), "{end:?}");
    }
    handled.expect_nothing();
}

#[tokio::test]
async fn an_offender_who_does_not_hang_up_is_hung_up_on() {
    let server = serve(Server::builder().namespace(root())).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.send_frame(0x83, b"").await;
    peer.expect(Message::Close(1002)).await;
    // It says nothing more, and leaves the connection open.
    let end = within(peer.recv()).await;
    assert_eq!(end, Message::Eof);
    assert_eq!(server.clients(), 0);
}

/// Acks that were never asked for.
#[tokio::test]
async fn acks_that_nobody_awaits_are_ignored() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve(Server::builder().namespace(namespace)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;
    let answer = socket.emit_with_ack::<u32>("q", ());
    peer.expect_text("420[\"q\"]").await;
    for id in ["1", "77", "18446744073709551615", ""] {
        peer.send_text(&format!("43{id}[1]")).await;
    }
    peer.send_text("430[2]").await;
    // The same answer again.
    peer.send_text("430[3]").await;
    assert_eq!(within(answer).await.unwrap(), 2);
    sync(&mut peer).await;
}
