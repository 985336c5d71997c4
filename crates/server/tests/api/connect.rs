//! Who is let into a namespace, and what happens while that is being decided.

use std::time::Duration;

use serde::Deserialize;
use sockeye_server::{
    AckError, Data, DisconnectReason, Handshake, Namespace, Refusal, Server, Socket, State,
};
use sockeye_testkit::peer::{Message, Peer};

use crate::harness::{
    FACES, gate, journal, pass, root, serve, serve_namespace, sync, with_reasons, with_sockets,
    within,
};

#[derive(Debug, Deserialize)]
struct Auth {
    token: String,
}

#[tokio::test]
async fn handlers_take_extractors_async_or_not() {
    for face in FACES {
        let (note, mut noted) = journal();
        let other = note.clone();
        let sync_handler = root().state("state").middleware(
            move |socket: Socket,
                  Data(auth): Data<Auth>,
                  handshake: Handshake,
                  state: State<&'static str>| {
                note.write((
                    socket.id().to_owned(),
                    auth.token,
                    handshake.url().to_owned(),
                    *state,
                ));
            },
        );
        let async_handler = Namespace::new("/async").state("other state").middleware(
            move |socket: Socket,
                  Data(auth): Data<Auth>,
                  handshake: Handshake,
                  state: State<&'static str>| {
                let note = other.clone();
                async move {
                    tokio::task::yield_now().await;
                    note.write((
                        socket.id().to_owned(),
                        auth.token,
                        handshake.url().to_owned(),
                        *state,
                    ));
                }
            },
        );
        let server =
            face.serve(Server::builder().namespace(sync_handler).namespace(async_handler)).await;
        let url = "/socket.io/?EIO=4&transport=websocket".to_owned();
        let mut peer = Peer::engineio(server.address).await;
        peer.send_text("40{\"token\":\"abc\"}").await;
        let id = peer.expect_joined("/").await;
        assert_eq!(noted.next().await, (id, "abc".to_owned(), url.clone(), "state"));
        peer.send_text("40/async,{\"token\":\"def\"}").await;
        let id = peer.expect_joined("/async").await;
        assert_eq!(noted.next().await, (id, "def".to_owned(), url, "other state"));
    }
}

#[tokio::test]
async fn auth_that_does_not_fit_is_a_refusal() {
    let optional = Namespace::new("/optional")
        .middleware(|auth: Data<Option<Auth>>| auth.0.map_or(Ok(()), |auth| Err(auth.token)));
    let strict = root().middleware(|_: Data<Auth>| ());
    let server = serve(Server::builder().namespace(strict).namespace(optional)).await;
    let mut peer = Peer::engineio(server.address).await;
    for connect in ["40", "40{}", "40{\"token\":1}"] {
        peer.send_text(connect).await;
        let refusal = peer.recv_text().await;
        assert!(refusal.starts_with("44{\"message\":\""), "{connect}: {refusal}");
    }
    peer.join("/optional").await;
    peer.send_text("41/optional,").await;
    peer.send_text("40/optional,{\"token\":\"echoed\"}").await;
    peer.expect_text("44/optional,{\"message\":\"echoed\"}").await;
}

#[tokio::test]
async fn the_socket_knows_its_auth() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve_namespace(namespace).await;
    let mut peer = Peer::engineio(server.address).await;
    peer.send_text("40{\"token\":\"abc\"}").await;
    peer.expect_joined("/").await;
    let socket = sockets.next().await;
    assert_eq!(socket.auth(), Some("{\"token\":\"abc\"}"));
    assert_eq!(socket.auth_as::<Auth>().unwrap().token, "abc");
    let _others = Peer::socketio(server.address).await;
    let socket = sockets.next().await;
    assert_eq!(socket.auth(), None);
    assert!(socket.auth_as::<Auth>().is_none());
}

#[tokio::test]
async fn refusals_of_every_kind() {
    let (note, mut left) = journal();
    let namespace = |path: &str| {
        let note = note.clone();
        Namespace::new(path).on_disconnect(move |reason: DisconnectReason| note.write(reason))
    };
    let builder = Server::builder()
        .namespace(namespace("/").middleware(|| ()))
        .namespace(namespace("/str").middleware(|| Err::<(), _>("a str")))
        .namespace(
            namespace("/string").middleware(|| async { Err::<(), _>("a String".to_owned()) }),
        )
        .namespace(namespace("/refusal").middleware(|| Err::<(), _>(Refusal::new("plain"))))
        .namespace(namespace("/data").middleware(|| async {
            tokio::task::yield_now().await;
            Err::<(), _>(Refusal::new("with data").with_data(("a", [1, 2])))
        }))
        .namespace(namespace("/null").middleware(|| Err::<(), _>(Refusal::new("").with_data(()))));
    let server = serve(builder).await;
    let mut peer = Peer::engineio(server.address).await;
    for (path, payload) in [
        ("/str", r#"{"message":"a str"}"#),
        ("/string", r#"{"message":"a String"}"#),
        ("/refusal", r#"{"message":"plain"}"#),
        ("/data", r#"{"message":"with data","data":["a",[1,2]]}"#),
        ("/null", r#"{"message":"","data":null}"#),
    ] {
        // It may be tried again.
        for _ in 0..2 {
            peer.send_text(&format!("40{path},")).await;
            peer.expect_text(&format!("44{path},{payload}")).await;
        }
        assert!(server.of(path).unwrap().sockets().is_empty());
    }
    peer.join("/").await;
    left.expect_nothing();
}

#[tokio::test]
async fn a_refused_socket_is_not_connected() {
    let (note, mut sockets) = journal();
    let gate = gate();
    let waiting = gate.clone();
    let (namespace, mut reasons) = with_reasons(root().middleware(move |socket: Socket| {
        note.write(socket.clone());
        let gate = waiting.clone();
        async move {
            socket.join("room");
            socket.emit("never", "heard").unwrap();
            pass(gate).await;
            Err::<(), _>("no")
        }
    }));
    let server = serve_namespace(namespace).await;
    let mut peer = Peer::engineio(server.address).await;
    peer.send_text("40").await;
    let socket = sockets.next().await;
    assert!(!socket.is_connected());
    assert_eq!(server.to("room").sockets().len(), 1);
    gate.add_permits(1);
    peer.expect_text("44{\"message\":\"no\"}").await;
    within(socket.closed()).await;
    assert!(socket.emit("e", ()).is_err());
    assert!(!socket.join("room"));
    assert!(socket.rooms().is_empty());
    assert!(server.to("room").sockets().is_empty());
    reasons.expect_nothing();
}

#[tokio::test]
async fn events_wait_for_the_middleware() {
    for face in FACES {
        let gate = gate();
        let waiting = gate.clone();
        let (note, mut noted) = journal();
        let namespace =
            root().middleware(move || pass(waiting.clone())).on("n", move |Data(n): Data<u32>| {
                note.write(n);
                n
            });
        let other = Namespace::new("/other").on("sync", || ());
        let server = face.serve(Server::builder().namespace(namespace).namespace(other)).await;
        let mut peer = Peer::engineio(server.address).await;
        peer.join("/other").await;
        peer.send_text("40").await;
        for n in 0..20 {
            peer.send_text(&format!("42{n}[\"n\",{n}]")).await;
        }
        // Another namespace is not held up, nor is anything else.
        peer.send_text("42/other,0[\"sync\"]").await;
        peer.expect_text("43/other,0[]").await;
        peer.send_frame(0x89, b"").await;
        peer.expect(Message::Pong(Vec::new())).await;
        noted.expect_nothing();

        gate.add_permits(1);
        peer.expect_joined("/").await;
        for n in 0..20 {
            peer.expect_text(&format!("43{n}[{n}]")).await;
        }
        noted.expect(0..20).await;
        sync(&mut peer).await;
    }
}

#[tokio::test]
async fn what_is_emitted_meanwhile_comes_after_the_connect() {
    let gate = gate();
    let waiting = gate.clone();
    let (note, mut sockets) = journal();
    let namespace = root().middleware(move |socket: Socket| {
        let (gate, note) = (waiting.clone(), note.clone());
        async move {
            socket.emit("first", 1).unwrap();
            assert!(socket.join("room"));
            note.write(socket.clone());
            pass(gate).await;
            socket.emit("last", 4).unwrap();
        }
    });
    let server = serve_namespace(namespace).await;
    let mut peer = Peer::engineio(server.address).await;
    peer.send_text("40").await;
    let socket = sockets.next().await;
    server.to("room").emit("second", 2).unwrap();
    server.to(socket.id()).emit("third", 3).unwrap();
    server.emit("everyone", ()).unwrap();
    server.except("room").emit("not this one", ()).unwrap();
    gate.add_permits(1);
    assert_eq!(peer.expect_joined("/").await, socket.id());
    peer.expect_text("42[\"first\",1]").await;
    peer.expect_text("42[\"second\",2]").await;
    peer.expect_text("42[\"third\",3]").await;
    peer.expect_text("42[\"everyone\"]").await;
    peer.expect_text("42[\"last\",4]").await;
    sync(&mut peer).await;
}

#[tokio::test]
async fn a_synchronous_middleware_emits_after_the_connect_too() {
    let namespace = root().middleware(|socket: Socket| {
        socket.join("room");
        socket.emit("welcome", ()).unwrap();
        socket.everyone().to("room").emit("joined", ()).unwrap();
    });
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.expect_text("42[\"welcome\"]").await;
    peer.expect_text("42[\"joined\"]").await;
    sync(&mut peer).await;
}

#[tokio::test]
async fn a_panic_is_a_refusal() {
    fn panics() {
        panic!("on purpose, within a test");
    }
    let (namespace, mut reasons) = with_reasons(root());
    let builder = Server::builder()
        .namespace(namespace)
        .namespace(Namespace::new("/sync").middleware(panics))
        .namespace(Namespace::new("/inline").middleware(|| async { panics() }))
        .namespace(Namespace::new("/later").middleware(|| async {
            tokio::task::yield_now().await;
            panics();
        }));
    let server = serve(builder).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    for path in ["/sync", "/inline", "/later"] {
        peer.send_text(&format!("40{path},")).await;
        let refusal = peer.recv_text().await;
        assert!(refusal.starts_with(&format!("44{path},{{\"message\":\"")), "{refusal}");
        assert!(!refusal.contains("on purpose"), "what went wrong is not the client's business");
        assert!(server.of(path).unwrap().sockets().is_empty());
        sync(&mut peer).await;
    }
    reasons.expect_nothing();
}

#[tokio::test]
async fn a_handler_that_disconnects_its_socket() {
    for later in [false, true] {
        let (namespace, mut reasons) =
            with_reasons(root().on_connect(move |socket: Socket| async move {
                if later {
                    tokio::task::yield_now().await;
                }
                socket.emit("before", ()).unwrap();
                socket.disconnect();
                assert!(socket.emit("after", ()).is_err());
            }));
        let server = serve_namespace(namespace).await;
        let mut peer = Peer::engineio(server.address).await;
        // And again: it may come back, to the same end.
        for _ in 0..2 {
            peer.send_text("40").await;
            peer.expect_joined("/").await;
            peer.expect_text("42[\"before\"]").await;
            peer.expect_text("41").await;
            reasons.expect(["server namespace disconnect"]).await;
        }
        peer.send_frame(0x89, b"").await;
        peer.expect(Message::Pong(Vec::new())).await;
        reasons.expect_nothing();
        assert!(server.of("/").unwrap().sockets().is_empty());
    }
}

/// One answer is enough: who was let in and put out is not refused as well.
#[tokio::test]
async fn a_handler_that_disconnects_its_socket_and_refuses() {
    for later in [false, true] {
        let namespace = root().middleware(move |socket: Socket| async move {
            if later {
                tokio::task::yield_now().await;
            }
            socket.disconnect();
            if later {
                tokio::task::yield_now().await;
            }
            Err::<(), _>("no")
        });
        let server = serve_namespace(namespace).await;
        let mut peer = Peer::engineio(server.address).await;
        peer.send_text("40").await;
        let mut answers = vec![peer.recv_text().await];
        if answers[0].starts_with("40") {
            answers.push(peer.recv_text().await);
            assert_eq!(answers[1], "41");
        } else {
            assert_eq!(answers[0], "44{\"message\":\"no\"}");
        }
        // The next CONNECT is answered next.
        peer.send_text("40/nope,").await;
        peer.expect_text("44/nope,{\"message\":\"Invalid namespace\"}").await;
    }
}

#[tokio::test]
async fn a_handler_that_disconnects_the_client() {
    let (namespace, mut reasons) =
        with_reasons(root().on_connect(|socket: Socket| socket.disconnect_client()));
    let server = serve_namespace(namespace).await;
    let mut peer = Peer::engineio(server.address).await;
    peer.send_text("40").await;
    peer.expect_joined("/").await;
    peer.expect_text("41").await;
    peer.expect_close(1005).await;
    reasons.expect(["server namespace disconnect"]).await;
}

/// The question is held back as long as the middleware waits for its answer: time resolves that.
#[tokio::test]
async fn a_middleware_that_awaits_its_clients_ack_times_out() {
    let (note, mut noted) = journal();
    let namespace = root().middleware(move |socket: Socket| {
        let note = note.clone();
        async move {
            let answer = socket.emit_with_ack::<u32>("question", ()).await;
            note.write(matches!(answer, Err(AckError::Timeout)));
        }
    });
    let builder = Server::builder().namespace(namespace).ack_timeout(Duration::from_millis(100));
    let server = serve(builder).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    noted.expect([true]).await;
    peer.expect_text("420[\"question\"]").await;
    sync(&mut peer).await;
}

/// A connect handler runs behind the reply, so its question is asked and answered.
#[tokio::test]
async fn a_connect_handler_may_await_its_clients_ack() {
    let (note, mut noted) = journal();
    let namespace = root().on_connect(move |socket: Socket| {
        let note = note.clone();
        async move { note.write(socket.emit_with_ack::<u32>("question", ()).await.unwrap()) }
    });
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.expect_text("420[\"question\"]").await;
    peer.send_text("430[42]").await;
    noted.expect([42]).await;
    sync(&mut peer).await;
}

/// It is found by everybody, itself included, and what it is sent comes behind the reply.
#[tokio::test]
async fn a_connect_handler_finds_its_socket_among_all() {
    for face in FACES {
        let (note, mut noted) = journal();
        let namespace = root().on_connect(move |socket: Socket| {
            note.write((socket.is_connected(), socket.everyone().sockets() == [socket.clone()]));
            socket.everyone().to(socket.id()).emit("found", ()).unwrap();
        });
        let server = face.serve(Server::builder().namespace(namespace)).await;
        let (mut peer, _) = Peer::socketio(server.address).await;
        noted.expect([(true, true)]).await;
        peer.expect_text("42[\"found\"]").await;
        sync(&mut peer).await;
    }
}

/// The reply is there before the handler is done; the first events are not lost to what it registers.
#[tokio::test]
async fn events_wait_for_the_connect_handlers() {
    for face in FACES {
        let gate = gate();
        let (waiting, second) = (gate.clone(), gate.clone());
        let (note, mut noted) = journal();
        let namespace = root()
            .on_connect(move |socket: Socket| {
                let gate = waiting.clone();
                async move {
                    pass(gate).await;
                    socket.on("n", |Data(n): Data<u32>| n);
                }
            })
            .on_connect(move |socket: Socket| {
                note.write(socket.is_connected());
                pass(second.clone())
            });
        let server = face.serve(Server::builder().namespace(namespace)).await;
        let mut peer = Peer::engineio(server.address).await;
        peer.send_text("40").await;
        for n in 0..20 {
            peer.send_text(&format!("42{n}[\"n\",{n}]")).await;
        }
        peer.expect_joined("/").await;
        peer.send_frame(0x89, b"").await;
        peer.expect(Message::Pong(Vec::new())).await;
        noted.expect_nothing();
        gate.add_permits(1);
        // One after the other.
        noted.expect([true]).await;
        peer.send_frame(0x89, b"").await;
        peer.expect(Message::Pong(Vec::new())).await;
        gate.add_permits(1);
        for n in 0..20 {
            peer.expect_text(&format!("43{n}[{n}]")).await;
        }
        sync(&mut peer).await;
    }
}

/// Whoever is not set up does not stay.
#[tokio::test]
async fn a_connect_handler_that_cannot_be_called_or_panics() {
    fn panics() {
        panic!("on purpose, within a test");
    }
    let builder = Server::builder()
        .namespace(root())
        .namespace(Namespace::new("/auth").on_connect(|_: Data<Auth>| ()))
        .namespace(Namespace::new("/panic").on_connect(panics))
        .namespace(Namespace::new("/later").on_connect(|| async {
            tokio::task::yield_now().await;
            panics();
        }));
    let server = serve(builder).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    for path in ["/auth", "/panic", "/later"] {
        peer.send_text(&format!("40{path},")).await;
        peer.expect_joined(path).await;
        peer.expect_text(&format!("41{path},")).await;
        sync(&mut peer).await;
    }
}

#[tokio::test]
async fn middleware_in_order_until_one_refuses() {
    let (note, mut noted) = journal();
    let (first, second, third, greeted) = (note.clone(), note.clone(), note.clone(), note);
    let namespace = root()
        .middleware(move |socket: Socket| {
            first.write("first");
            socket.emit("held back", ()).unwrap();
        })
        .middleware(move |Data(auth): Data<Option<Auth>>| {
            let note = second.clone();
            async move {
                tokio::task::yield_now().await;
                note.write("second");
                auth.map(|_| ()).ok_or("no token")
            }
        })
        .middleware(move || third.write("third"))
        .on_connect(move |socket: Socket| {
            greeted.write("connected");
            assert!(socket.is_connected());
        });
    let server = serve_namespace(namespace).await;
    let mut peer = Peer::engineio(server.address).await;
    peer.send_text("40").await;
    peer.expect_text("44{\"message\":\"no token\"}").await;
    noted.expect(["first", "second"]).await;
    peer.send_text("40{\"token\":\"x\"}").await;
    peer.expect_joined("/").await;
    peer.expect_text("42[\"held back\"]").await;
    noted.expect(["first", "second", "third", "connected"]).await;
    noted.expect_nothing();
}

#[tokio::test]
async fn the_server_closes_while_the_handler_runs() {
    let (note, mut sockets) = journal();
    let namespace = root().on_connect(move |socket: Socket| {
        note.write(socket.clone());
        async move {
            socket.closed().await;
        }
    });
    let (namespace, mut reasons) = with_reasons(namespace);
    let server = serve_namespace(namespace).await;
    let mut peer = Peer::engineio(server.address).await;
    peer.send_text("40").await;
    peer.expect_joined("/").await;
    let socket = sockets.next().await;
    let io = server.io.clone();
    let closing = tokio::spawn(async move { io.close().await });
    peer.expect_close(1001).await;
    within(closing).await.unwrap();
    assert_eq!(socket.disconnect_reason(), Some(DisconnectReason::ServerShuttingDown));
    reasons.expect(["server shutting down"]).await;
}
