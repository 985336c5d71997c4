//! Peers that ask for too much, or go on when they were told off.

use std::time::Duration;

use sockeye_server::{Data, Namespace, Server};
use sockeye_testkit::peer::{Message, Peer, frame, text_frame};
use sockeye_testkit::polling::{Polling, request};

use crate::harness::{Face, journal, root, serve, sync, with_reasons, with_sockets, within};
use crate::judge::{Judge, Offence};

#[tokio::test]
async fn too_many_namespaces() {
    let (namespace, mut reasons) = with_reasons(root());
    let builder = (0..100).fold(Server::builder().namespace(namespace), |builder, n| {
        builder.namespace(Namespace::new(&format!("/{n}")))
    });
    let server = serve(builder).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let mut joined = 1;
    for n in 0..100 {
        peer.send_text(&format!("40/{n},")).await;
        match peer.recv().await {
            Message::Text(text) => assert!(text.starts_with(&format!("40/{n},{{")), "{text}"),
            Message::Close(1008) => break,
            other => panic!("{other:?}"),
        }
        joined += 1;
    }
    assert_eq!(joined, 64);
    reasons.expect(["forced close"]).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    sync(&mut peer).await;
}

/// Names that do not exist are refused, as many as come, and the client may stay.
#[tokio::test]
async fn many_unknown_namespaces() {
    let server = serve(Server::builder().namespace(root())).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    for n in 0..500 {
        peer.send_text(&format!("40/{n},")).await;
        peer.expect_text(&format!("44/{n},{{\"message\":\"Invalid namespace\"}}")).await;
    }
    sync(&mut peer).await;
}

#[tokio::test]
async fn names_of_namespaces_that_are_too_long() {
    let mut judge = Judge::new(Face::Own).await;
    let name = "n".repeat(5000);
    for text in [format!("40/{name},"), format!("40/{name}"), format!("42/{name},[\"e\"]")] {
        judge.expect(&Offence::packet(&text, &[]), 1008, "forced close").await;
    }
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
                Message::Close(1002) => {}
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
        (text_frame("42[\"connect\"]"), Message::Close(1002)),
        (text_frame("x"), Message::Close(1002)),
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

/// A middleware that takes its time is no means to start any number of them.
#[tokio::test]
async fn connecting_and_leaving_without_end() {
    let (note, mut started) = journal();
    let slow = Namespace::new("/slow").middleware(move || {
        note.write(());
        std::future::pending::<()>()
    });
    let server = serve(Server::builder().namespace(root()).namespace(slow)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let pair = [text_frame("40/slow,"), text_frame("41/slow,")].concat();
    for _ in 0..100 {
        peer.try_send_bytes(&pair.repeat(20)).await;
    }
    peer.try_send_bytes(&text_frame("420[\"sync\"]")).await;
    // Whether it is refused or held back is the server's choice.
    let end = peer.recv().await;
    assert!(end == Message::Close(1008) || end == Message::Text("430[]".to_owned()), "{end:?}");
    let mut running = 0;
    while started.try_next().is_some() {
        running += 1;
    }
    assert!(running <= 64, "{running} middlewares of one client are running at once");
    let (mut other, _) = Peer::socketio(server.address).await;
    sync(&mut other).await;
}

/// As browsers do, the client sends all of its body before it reads: it hears why that was in vain.
#[tokio::test]
async fn whoever_sends_a_body_in_vain_hears_why() {
    let server = serve(Server::builder().namespace(root())).await;
    let body = vec![b'x'; 8 << 20];
    let declared = format!("Content-Length: {}\r\n", body.len());
    let binary = format!("Content-Type: application/octet-stream\r\n{declared}");
    let chunked = "Transfer-Encoding: chunked\r\n".to_owned();
    let chunk = [format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    let session = async || Polling::open(server.address).await.target();
    let handshake = "/socket.io/?EIO=4&transport=polling";
    for (method, target, headers, body, status) in [
        ("POST", session().await, &declared, &body, 413),
        ("POST", session().await, &chunked, &chunk, 413),
        ("POST", session().await, &binary, &body, 400),
        ("PUT", session().await, &declared, &body, 500),
        ("POST", handshake.to_owned(), &declared, &body, 400),
        ("POST", "/elsewhere".to_owned(), &declared, &body, 404),
    ] {
        let mut peer = request(server.address, method, &target, headers, body).await;
        let answer = peer.recv_http().await;
        assert_eq!(answer.status, status, "{method} {target} {headers}");
        peer.expect_eof().await;
    }
}

/// .. but not for ever.
#[tokio::test]
async fn whoever_goes_on_in_vain_is_cut_off() {
    let server = serve(Server::builder().namespace(root()).max_connections(1)).await;
    let chunk = [b"100000\r\n", &[b'x'; 1 << 20][..], b"\r\n"].concat();
    let head = "POST /elsewhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut peer = Peer::connect(server.address).await;
    peer.send_bytes(head.as_bytes()).await;
    let sent = peer.send_until_blocked(&chunk, 256 << 20, Duration::from_secs(5)).await;
    assert!(sent < 256 << 20, "all of it was taken");
    drop(peer);

    // Nor is one waited for that says nothing more: its place is free again while it is there still.
    let _silent = within(async {
        loop {
            let mut peer = Peer::connect(server.address).await;
            peer.try_send_bytes(head.as_bytes()).await;
            if peer.recv_http_or_end().await.is_some() {
                break peer;
            }
        }
    })
    .await;
    within(async {
        loop {
            let mut peer = Peer::connect(server.address).await;
            peer.try_send_bytes(b"GET /elsewhere HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
            if peer.recv_http_or_end().await.is_some() {
                break;
            }
        }
    })
    .await;
}
