//! Events that the client answers.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sockeye_server::{AckError, AckFuture, EmitError, Server, Socket};
use sockeye_testkit::peer::Peer;

use crate::harness::{FACES, Journal, Running, journal, root, serve, sync, with_sockets, within};

/// A server, its only client, and the client's socket.
async fn connected() -> (Running, Peer, Socket) {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve(Server::builder().namespace(namespace)).await;
    let (peer, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;
    (server, peer, socket)
}

#[tokio::test]
async fn the_answer() {
    let (_server, mut peer, socket) = connected().await;
    let answer = socket.emit_with_ack::<u32>("add", (1, 2));
    peer.expect_text(r#"420["add",1,2]"#).await;
    peer.send_text("430[3]").await;
    assert_eq!(within(answer).await.unwrap(), 3);

    let answer = socket.emit_with_ack::<()>("nothing", ());
    peer.expect_text(r#"421["nothing"]"#).await;
    peer.send_text("431[]").await;
    within(answer).await.unwrap();

    let answer = socket.emit_with_ack::<(String, Option<u32>)>("tuple", ());
    peer.expect_text(r#"422["tuple"]"#).await;
    peer.send_text(r#"432["a"]"#).await;
    assert_eq!(within(answer).await.unwrap(), ("a".to_owned(), None));

    let answer = socket.emit_with_ack::<Bytes>("binary", ());
    peer.expect_text(r#"423["binary"]"#).await;
    peer.send_text(r#"461-3[{"_placeholder":true,"num":0}]"#).await;
    peer.send_binary(b"\x00\x01").await;
    assert_eq!(within(answer).await.unwrap(), Bytes::from_static(b"\x00\x01"));
}

/// The event goes out by the call, whether the answer is awaited or not; answers come in any order.
#[tokio::test]
async fn several_answers_in_any_order() {
    let (_server, mut peer, socket) = connected().await;
    let answers: Vec<AckFuture<u32>> = (0..3).map(|n| socket.emit_with_ack("q", n)).collect();
    for n in 0..3 {
        peer.expect_text(&format!("42{n}[\"q\",{n}]")).await;
    }
    for n in [2, 0, 1] {
        peer.send_text(&format!("43{n}[{}]", n * 10)).await;
    }
    for (n, answer) in (0..).zip(answers) {
        assert_eq!(within(answer).await.unwrap(), n * 10);
    }
}

#[tokio::test]
async fn an_answer_of_another_shape() {
    let (_server, mut peer, socket) = connected().await;
    let answer = socket.emit_with_ack::<u32>("q", ());
    peer.expect_text(r#"420["q"]"#).await;
    peer.send_text(r#"430["not a number"]"#).await;
    assert!(matches!(within(answer).await, Err(AckError::Data(_))));
    let answer = socket.emit_with_ack::<u32>("q", ());
    peer.expect_text(r#"421["q"]"#).await;
    peer.send_text("431[]").await;
    assert!(matches!(within(answer).await, Err(AckError::Data(_))));
    sync(&mut peer).await;
}

/// Whatever the event's data do, no answer is awaited of an event that was not sent.
#[tokio::test]
async fn data_that_panic_leave_no_ack_behind() {
    struct Panics;

    impl serde::Serialize for Panics {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("on purpose, within a test");
        }
    }

    let (namespace, mut sockets) = with_sockets(root());
    let server = serve(Server::builder().namespace(namespace).max_pending_acks(1)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;
    let emitter = socket.clone();
    let emitted = tokio::spawn(async move { drop(emitter.emit_with_ack::<()>("q", Panics)) });
    assert!(emitted.await.unwrap_err().is_panic());
    assert_eq!(server.metrics().acks.pending(), 0);
    let answer = socket.emit_with_ack::<u32>("q", ());
    peer.expect_text("421[\"q\"]").await;
    peer.send_text("431[7]").await;
    assert_eq!(within(answer).await.unwrap(), 7);
}

#[tokio::test]
async fn no_answer_in_time() {
    let (namespace, mut sockets) = with_sockets(root());
    let default = Duration::from_millis(120);
    let server = serve(Server::builder().namespace(namespace).ack_timeout(default)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;

    let since = Instant::now();
    let answer = socket.emit_with_ack::<u32>("q", ());
    assert!(matches!(within(answer).await, Err(AckError::Timeout)));
    // A user's timeout never fires early.
    assert!(since.elapsed() >= default, "after {:?} already", since.elapsed());

    let shorter = Duration::from_millis(40);
    let since = Instant::now();
    let answer = socket.emit_with_ack::<u32>("q", ()).timeout(shorter);
    assert!(matches!(within(answer).await, Err(AckError::Timeout)));
    assert!(since.elapsed() >= shorter, "after {:?} already", since.elapsed());

    let longer = socket.emit_with_ack::<u32>("q", ()).timeout(Duration::from_secs(3600));
    for n in 0..3 {
        peer.expect_text(&format!("42{n}[\"q\"]")).await;
    }
    // Late answers are ignored.
    peer.send_text("430[1]").await;
    peer.send_text("431[1]").await;
    sync(&mut peer).await;
    peer.send_text("432[7]").await;
    assert_eq!(within(longer).await.unwrap(), 7);
}

#[tokio::test]
async fn a_disconnect_ends_every_wait() {
    for face in FACES {
        for ending in ["packet", "transport", "server", "refused input"] {
            let (namespace, mut sockets) = with_sockets(root());
            let server = face.serve(Server::builder().namespace(namespace)).await;
            let (mut peer, _) = Peer::socketio(server.address).await;
            let socket = sockets.next().await;
            let waiting = socket.emit_with_ack::<u32>("q", ());
            // One that is being polled, and one that is not.
            let polled = tokio::spawn(socket.emit_with_ack::<u32>("q", ()));
            peer.expect_text(r#"420["q"]"#).await;
            peer.expect_text(r#"421["q"]"#).await;
            match ending {
                "packet" => peer.send_text("41").await,
                "transport" => peer.finish().await,
                "server" => socket.disconnect(),
                _ => peer.send_text("4x").await,
            }
            assert!(
                matches!(within(polled).await.unwrap(), Err(AckError::Disconnected)),
                "{ending}"
            );
            assert!(matches!(within(waiting).await, Err(AckError::Disconnected)), "{ending}");
            // And what comes too late does not even begin.
            let late = within(socket.emit_with_ack::<u32>("q", ())).await;
            assert!(
                matches!(
                    late,
                    Err(AckError::Disconnected | AckError::Emit(EmitError::Disconnected))
                ),
                "{ending}: {late:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_encoded_is_not_awaited() {
    let (_server, mut peer, socket) = connected().await;
    let answer = within(socket.emit_with_ack::<u32>("disconnect", ())).await;
    assert!(matches!(answer, Err(AckError::Emit(EmitError::Encode(_)))), "{answer:?}");
    sync(&mut peer).await;
}

#[tokio::test]
async fn dropping_the_future_forgets_the_answer() {
    let (_server, mut peer, socket) = connected().await;
    drop(socket.emit_with_ack::<u32>("q", ()));
    let aborted = tokio::spawn(socket.emit_with_ack::<u32>("q", ()));
    peer.expect_text(r#"420["q"]"#).await;
    peer.expect_text(r#"421["q"]"#).await;
    aborted.abort();
    assert!(within(aborted).await.unwrap_err().is_cancelled());
    let kept = socket.emit_with_ack::<u32>("q", ());
    peer.expect_text(r#"422["q"]"#).await;
    for id in 0..3 {
        peer.send_text(&format!("43{id}[{id}]")).await;
    }
    assert_eq!(within(kept).await.unwrap(), 2);
    sync(&mut peer).await;
}

/// An answer is its socket's: nobody else can give it.
#[tokio::test]
async fn another_client_cannot_answer() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve(Server::builder().namespace(namespace)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;
    let (mut other, _) = Peer::socketio(server.address).await;
    let answer = socket.emit_with_ack::<u32>("q", ());
    peer.expect_text(r#"420["q"]"#).await;
    other.send_text("430[666]").await;
    sync(&mut other).await;
    peer.send_text("430[1]").await;
    assert_eq!(within(answer).await.unwrap(), 1);
}

/// The handler's place is given back while it waits for its own client, which may have to send
/// other events before the answer.
#[tokio::test]
async fn a_handler_that_awaits_its_own_client_does_not_hold_it_up() {
    for face in FACES {
        let (note, mut answers): (_, Journal<u32>) = journal();
        let namespace = root().on("ask me", move |socket: Socket| {
            let note = note.clone();
            async move {
                let answer = socket.emit_with_ack::<u32>("question", ()).await.unwrap();
                note.write(answer);
                answer
            }
        });
        let namespace = namespace.on("async", || async { tokio::task::yield_now().await });
        let builder = Server::builder().namespace(namespace).max_running_handlers(1);
        let server = face.serve(builder).await;
        let (mut peer, _) = Peer::socketio(server.address).await;
        // Three at a time, with one place.
        for id in 0..3 {
            peer.send_text(&format!("42{id}[\"ask me\"]")).await;
        }
        for id in 0..3 {
            peer.expect_text(&format!("42{id}[\"question\"]")).await;
        }
        peer.send_text("427[\"async\"]").await;
        peer.expect_text("437[]").await;
        for id in [1, 2, 0] {
            peer.send_text(&format!("43{id}[{id}]")).await;
            peer.expect_text(&format!("43{id}[{id}]")).await;
        }
        answers.expect([1, 2, 0]).await;
        sync(&mut peer).await;
    }
}

/// Also where the wait is not the handler's own poll, but one of several in it.
#[tokio::test]
async fn an_answer_awaited_within_a_select_does_not_hold_the_client_up() {
    let namespace = root().on("ask me", |socket: Socket| async move {
        let answer = socket.emit_with_ack::<u32>("question", ());
        tokio::select! {
            answer = answer => answer.unwrap(),
            () = std::future::pending() => unreachable!(),
        }
    });
    let builder = Server::builder().namespace(namespace).max_running_handlers(1);
    let server = serve(builder).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.send_text("420[\"ask me\"]").await;
    peer.send_text("421[\"ask me\"]").await;
    peer.expect_text("420[\"question\"]").await;
    peer.expect_text("421[\"question\"]").await;
    peer.send_text("431[1]").await;
    peer.expect_text("431[1]").await;
    peer.send_text("430[0]").await;
    peer.expect_text("430[0]").await;
}

/// As its client is told, and whoever hears of errors.
#[tokio::test]
async fn a_handler_may_fail_with_the_error_of_what_it_sent() {
    let ask = async |socket: Socket| {
        let answer: u32 = socket.emit_with_ack("how many?", ()).await?;
        Ok::<_, AckError>(answer)
    };
    let emit = |socket: Socket| -> Result<(), EmitError> { socket.emit("connect", ()) };
    let server = serve(Server::builder().namespace(root().on("ask", ask).on("emit", emit))).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.send_text(r#"421["ask"]"#).await;
    peer.expect_text(r#"420["how many?"]"#).await;
    peer.send_text(r#"430["many"]"#).await;
    let answer = peer.recv_text().await;
    assert!(answer.starts_with(r#"431[{"error":"the answer"#), "{answer}");
    peer.send_text(r#"422["emit"]"#).await;
    let answer = peer.recv_text().await;
    assert!(answer.starts_with(r#"432[{"error":""#), "{answer}");
}
