//! What is no Engine.IO or no Socket.IO, or not at that point: a close frame without a code.

use std::time::Duration;

use sockeye_server::Server;
use sockeye_testkit::peer::{Peer, frame, text_frame};
use tokio::sync::watch;

use crate::harness::{FACES, Face, root, serve, sync, with_reasons};
use crate::judge::{Judge, Offence};

/// Engine.IO has its own words: "parse error", and no close code.
#[tokio::test]
async fn packets_that_are_not_engine_io() {
    let mut judge = Judge::new(Face::Own).await;
    for text in ["", "7", "9[\"e\"]", "x", "€", "-", " 4", "\0", "b!", "bA", "bAQ=A"] {
        judge.expect(&Offence::packet(text, &[]), 1002, "parse error").await;
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
            "4",
            "47",
            "49[\"e\"]",
            "4x",
            "4-",
            "4€",
            "4[\"e\"]",
            "4{}",
            // CONNECT: an object or nothing.
            "40/other,[]",
            "40/other,\"x\"",
            "40/other,null",
            "40/other,true",
            "40/other,{",
            "40/other,{\"a\":}",
            "40/other,{}x",
            "40/other,[{}]",
            // DISCONNECT: nothing.
            "41{}",
            "41[]",
            "41\"x\"",
            "41null",
            "41x",
            // EVENT: an array that begins with a string or a number.
            "42{}",
            "42\"e\"",
            "42null",
            "42true",
            "42[]",
            "42[null]",
            "42[true]",
            "42[{}]",
            "42[[\"e\"]]",
            "42[\"e\"",
            "42[\"e\",]",
            "42[,\"e\"]",
            "42[\"e\"]]",
            "42[\"e\"]x",
            "42[\"e]",
            "42['e']",
            "42[\"e\",undefined]",
            "42[\"e\",NaN]",
            "42[\"e\",01]",
            "42[\"e\",\"\\x\"]",
            "42[\"e\",\"\n\"]",
            "42[\"e\",\"\\ud8\"]",
            "42abc[\"e\"]",
            "42-1[\"e\"]",
            "421.5[\"e\"]",
            "421e3[\"e\"]",
            "42,[\"e\"]",
            // Names that are the library's own.
            "42[\"connect\"]",
            "42[\"connect_error\"]",
            "42[\"disconnect\"]",
            "42[\"disconnecting\"]",
            "42[\"newListener\"]",
            "42[\"removeListener\"]",
            "42[\"\\u0063onnect\"]",
            "420[\"disconnect\",1]",
            // An id that does not fit.
            "42184467440737095516160[\"e\"]",
            "4399999999999999999999999[]",
            // ACK: an array.
            "430{}",
            "430\"x\"",
            "430null",
            "430[",
            "430[1,]",
            // CONNECT_ERROR is the server's.
            "44{\"message\":\"x\"}",
            "44\"x\"",
            "44",
            "44/other,{}",
            // Attachments: a count from 1 to 10.
            "45[\"e\"]",
            "45-[\"e\"]",
            "450-[\"e\"]",
            "45x-[\"e\"]",
            "451[\"e\"]",
            "451.5-[\"e\"]",
            "45-1-[\"e\"]",
            "46[1]",
            "460-[1]",
            "451",
        ];
        for case in cases {
            judge.expect(&Offence::packet(case, &[]), 1002, "forced close").await;
        }
        for case in ["4511-[\"e\"]", "4599999999999999999999-[\"e\"]", "4611-0[1]"] {
            judge.expect(&Offence::packet(case, &[]), 1008, "forced close").await;
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
        judge.expect(&Offence::packet(text, attachments), 1002, "forced close").await;
    }
    // Text where binary is due, at the first and at a later one.
    let text = r#"452-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
    for attachments in [&[][..], &[&b"a"[..]]] {
        let mut offence = Offence::packet(text, attachments);
        offence.bytes.extend(text_frame("42[\"e\"]"));
        judge.expect(&offence, 1002, "forced close").await;
    }
    // Binary where none is due.
    judge.expect(&Offence::new("binary", frame(0x82, b"a")), 1002, "forced close").await;
    judge.expect(&Offence::packet("bAQI=", &[]), 1002, "forced close").await;
    let mut surplus =
        Offence::packet(r#"451-["e",{"_placeholder":true,"num":0}]"#, &[b"a", b"one too many"]);
    surplus.what = "one attachment too many".to_owned();
    judge.expect(&surplus, 1002, "forced close").await;
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
        peer.expect_close(1008).await;
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
        judge.expect(&Offence::packet(text, &[]), 1002, "forced close").await;
    }
    // A second CONNECT to another namespace ends all of the client's.
    let mut twice = Offence::packet("40/other,", &[]);
    twice.bytes.extend(text_frame("40/other,"));
    let (mut peer, _) = Peer::socketio(judge.server.address).await;
    peer.send_bytes(&twice.bytes).await;
    peer.expect_joined("/other").await;
    peer.expect_close(1002).await;
    judge.reasons.expect(["forced close"]).await;
    judge.finish().await;
}

#[tokio::test]
async fn anything_but_connect_at_first() {
    let mut judge = Judge::new(Face::Own).await;
    for text in ["42[\"e\"]", "41", "430[]", "44{}", "451-[\"e\"]", "4"] {
        let mut peer = Peer::engineio(judge.server.address).await;
        peer.send_text(text).await;
        peer.expect_close(1002).await;
    }
    let mut peer = Peer::engineio(judge.server.address).await;
    peer.send_binary(b"a").await;
    peer.expect_close(1002).await;
    // Nor after the client has left.
    let (mut peer, _) = Peer::socketio(judge.server.address).await;
    peer.send_text("41").await;
    judge.reasons.expect(["client namespace disconnect"]).await;
    peer.send_text("42[\"e\"]").await;
    peer.expect_close(1002).await;
    judge.finish().await;
}

#[tokio::test]
async fn a_second_connect_while_the_first_is_being_decided() {
    let (open, gate) = watch::channel(false);
    let (namespace, mut reasons) = with_reasons(root().middleware(move || {
        let mut gate = gate.clone();
        async move {
            let _ = gate.wait_for(|open| *open).await;
        }
    }));
    let server = serve(Server::builder().namespace(namespace)).await;
    let mut peer = Peer::engineio(server.address).await;
    peer.send_text("40").await;
    peer.send_text("40").await;
    peer.expect_close(1002).await;
    open.send(true).unwrap();
    let (mut peer, _) = Peer::socketio(server.address).await;
    sync(&mut peer).await;
    // It was never connected.
    reasons.expect_nothing();
}
