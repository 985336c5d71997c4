//! What ends a session of revision 3, and what does not.

use sockeye_server::Fault;

use super::*;
use crate::harness::until;

/// What a POST holds, and how the session ends by it.
#[tokio::test]
async fn bad_payloads_end_the_session() {
    for face in FACES {
        let (namespace, mut reasons) = with_reasons(root());
        let server = face.serve(builder(namespace)).await;
        let text: &[(&[u8], &str)] = &[
            (b"", "parse error"),
            (b"40", "parse error"),
            (b"2", "parse error"),
            (b"3:4a", "parse error"),
            (b"1:2:4a", "parse error"),
            (b"-1:6", "parse error"),
            (b":6", "parse error"),
            (b" 1:6", "parse error"),
            (b"1:62", "parse error"),
            (b"99999999999999999999999:6", "parse error"),
            (b"6\x1e6", "parse error"),
            (b"1:7", "parse error"),
            (b"0:1:6", "parse error"),
            (b"1:b", "parse error"),
            (b"5:bAQID", "parse error"),
            (b"3:b4%", "parse error"),
            (b"2:4\xff", "parse error"),
            (b"1:3", "transport error"),
            (b"6:3probe", "transport error"),
            (b"1:1", "transport close"),
            // Engine.IO's part of it is right.
            (b"2:4x", "forced close"),
        ];
        let binary: &[(&[u8], &str)] = &[
            (b"1:6", "parse error"),
            (b"\x00", "parse error"),
            (b"\x00\xff", "parse error"),
            (b"\x00\x02\xff6", "parse error"),
            (b"\x00\x01\xff7", "parse error"),
            (b"\x02\x01\xff6", "parse error"),
            (b"\x00\x0a\xff6", "parse error"),
            (b"\x00\x02\xff4\xff", "parse error"),
            (b"\x01\x00\xff", "parse error"),
            (b"\x01\x01\xff4", "parse error"),
            (b"\x01\x01\xff\x02", "parse error"),
            (b"\x00\x01\xff3", "transport error"),
            (b"\x00\x01\xff1", "transport close"),
        ];
        for (headers, rows) in [("", text), (OCTETS, binary)] {
            for (body, reason) in rows {
                let polled = Polled::socketio(server.address).await;
                let answer = polled.ask("POST", headers, body).await;
                let case = format!("{face:?} {:?}", String::from_utf8_lossy(body));
                assert_eq!((answer.status, answer.text()), (200, "ok"), "{case}");
                assert_eq!(reasons.next().await, *reason, "{case}");
            }
        }
        // What is right before it is heard.
        let polled = Polled::socketio(server.address).await;
        polled.post("11:421[\"sync\"]1:7").await;
        assert_eq!(reasons.next().await, "parse error");
    }
}

#[tokio::test]
async fn bad_messages_end_the_session() {
    let (namespace, mut reasons) = with_reasons(root());
    let server = serve(builder(namespace)).await;
    for (message, reason) in [
        (Message::Text(String::new()), "parse error"),
        (Message::Text("7".to_owned()), "parse error"),
        (Message::Text("1:6".to_owned()), "transport close"),
        (Message::Text("bAQID".to_owned()), "parse error"),
        (Message::Text("3".to_owned()), "transport error"),
        (Message::Text("1".to_owned()), "transport close"),
        (Message::Text("40".to_owned()), "forced close"),
        (Message::Text("44\"error\"".to_owned()), "forced close"),
        (Message::Text("42/n,[\"x\"]".to_owned()), "forced close"),
        (Message::Binary(vec![]), "parse error"),
        (Message::Binary(b"4".to_vec()), "parse error"),
        (Message::Binary(vec![2]), "parse error"),
        // Of revision 3, but not due.
        (Message::Binary(vec![4, 1]), "forced close"),
    ] {
        let mut peer = websocket(server.address, "").await;
        match &message {
            Message::Text(text) => peer.send_text(text).await,
            Message::Binary(bytes) => peer.send_binary(bytes).await,
            _ => unreachable!(),
        }
        assert_eq!(reasons.next().await, reason, "{message:?}");
        peer.expect_close(if reason == "transport close" { 1005 } else { 1002 }).await;
    }
}

#[tokio::test]
async fn requests_are_limited_as_in_revision_4() {
    for face in FACES {
        let (namespace, mut reasons) = with_reasons(root());
        let (namespace, mut sockets) = with_sockets(namespace);
        let server = face.serve(builder(namespace).max_payload(100)).await;
        let polled = Polled::socketio(server.address).await;
        let socket = sockets.next().await;
        // Too large: the session lives on.
        for headers in ["", OCTETS] {
            let answer = polled.ask("POST", headers, &[b'1'; 101]).await;
            assert_eq!((answer.status, answer.text()), (413, ""), "{face:?}");
        }
        let answer = polled.ask("PUT", "", b"").await;
        assert_eq!((answer.status, answer.text()), (500, ""));
        polled.post(payload(&["421[\"sync\"]"])).await;
        assert_eq!(polled.poll().await.text(), "5:431[]");
        reasons.expect_nothing();
        // Two polls at once.
        let mut first = polled.begin_poll().await;
        until(|| socket.is_writable()).await;
        let answer = polled.ask("GET", "", b"").await;
        assert_eq!((answer.status, answer.text()), (400, ""));
        assert_eq!(first.recv_http().await.text(), "20:1overlap from client");
        reasons.expect(["transport error"]).await;
        assert_eq!(server.metrics().faults.get(Fault::PollOverlap), 1);

        let mut peer = websocket(server.address, "").await;
        peer.send_text(&format!("4{}", "x".repeat(100))).await;
        reasons.expect(["transport error"]).await;
        peer.expect_close(1009).await;
    }
}
