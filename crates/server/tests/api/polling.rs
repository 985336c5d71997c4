//! Socket.IO by long polling: what a client notices, and what its absence does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sockeye_server::{Data, Fault, Namespace, Server, Socket, TryEmitError};
use sockeye_testkit::peer::Peer;
use sockeye_testkit::polling::Polling;
use tokio::sync::Notify;

use crate::harness::{
    FACES, Journal, Running, journal, root, serve, serve_namespace, until, with_reasons,
    with_sockets, within,
};

/// Until the poll that was begun has reached the session.
async fn until_writable(socket: &Socket) {
    within(async {
        while !socket.is_writable() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn events_and_acks_go_both_ways() {
    for face in FACES {
        let namespace = root()
            .on("double", |Data(n): Data<u32>| n * 2)
            .on("size", |Data(bytes): Data<bytes::Bytes>| bytes.len());
        let (namespace, mut sockets) = with_sockets(namespace);
        let server = face.serve(Server::builder().namespace(namespace)).await;
        let (client, id) = Polling::socketio(server.address).await;
        let socket = sockets.next().await;
        assert_eq!(socket.id(), id);
        // Several packets in one payload, an attachment among them.
        client.post("421[\"double\",21]\u{1e}451-2[\"size\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQID").await;
        assert_eq!(client.poll().await, "431[42]\u{1e}432[3]", "{face:?}");
        let poll = client.begin_poll().await;
        socket.emit("bytes", bytes::Bytes::from_static(&[1, 2, 3, 4])).unwrap();
        let mut poll = poll;
        let expected = "451-[\"bytes\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQIDBA==";
        assert_eq!(poll.recv_http().await.text(), expected, "{face:?}");
    }
}

#[tokio::test]
async fn what_is_emitted_between_two_polls_waits_for_the_next_one() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve_namespace(namespace).await;
    let (client, _) = Polling::socketio(server.address).await;
    let socket = sockets.next().await;
    for n in 0..3 {
        socket.emit("n", n).unwrap();
    }
    assert_eq!(client.poll().await, "42[\"n\",0]\u{1e}42[\"n\",1]\u{1e}42[\"n\",2]");
}

#[tokio::test]
async fn a_volatile_event_goes_only_while_a_poll_waits() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve_namespace(namespace).await;
    let (client, _) = Polling::socketio(server.address).await;
    let socket = sockets.next().await;
    // No poll waits.
    server.of("/").unwrap().volatile().emit("lost", ()).unwrap();
    let mut poll = client.begin_poll().await;
    until_writable(&socket).await;
    server.of("/").unwrap().volatile().emit("now", ()).unwrap();
    assert_eq!(poll.recv_http().await.text(), "42[\"now\"]");
}

#[tokio::test]
async fn a_broadcast_reaches_clients_of_both_transports_in_one_order() {
    let server = serve_namespace(root()).await;
    let (polling, _) = Polling::socketio(server.address).await;
    let (mut websocket, _) = Peer::socketio(server.address).await;
    for n in 0..100 {
        server.emit("n", n).unwrap();
    }
    let expected: Vec<_> = (0..100).map(|n| format!("42[\"n\",{n}]")).collect();
    for expected in &expected {
        websocket.expect_text(expected).await;
    }
    let mut came = Vec::new();
    while came.len() < 100 {
        came.extend(polling.poll().await.split('\u{1e}').map(str::to_owned));
    }
    assert_eq!(came, expected);
}

#[tokio::test]
async fn a_client_that_gives_its_poll_up_is_disconnected() {
    for face in FACES {
        let (namespace, mut reasons) = with_reasons(root());
        let server = face.serve(Server::builder().namespace(namespace)).await;
        let (client, _) = Polling::socketio(server.address).await;
        client.begin_poll().await.reset();
        reasons.expect(["transport error"]).await;
        let gone = client.request("GET", "", b"").await;
        assert_eq!(gone.text(), "{\"code\":1,\"message\":\"Session ID unknown\"}", "{face:?}");
        assert_eq!(server.clients(), 0);
    }
}

/// The handler runs on, its session lives on, and its answer waits for the next poll.
#[tokio::test]
async fn a_post_that_is_given_up_after_its_body_was_received_is_dispatched() {
    for face in FACES {
        let (note, mut notes) = journal();
        let go = Arc::new(Notify::new());
        let wait = go.clone();
        let namespace = root().on("slow", move |Data(n): Data<u32>| {
            let (note, wait) = (note.clone(), wait.clone());
            async move {
                note.write(n);
                wait.notified().await;
                note.write(n + 1);
                n
            }
        });
        // One handler at a time, and no room for a second event: the POST is not answered.
        let server = face
            .serve(
                Server::builder().namespace(namespace).max_running_handlers(1).max_waiting_bytes(1),
            )
            .await;
        let (client, _) = Polling::socketio(server.address).await;
        let post =
            client.begin_post("421[\"slow\",1]\u{1e}422[\"slow\",3]\u{1e}423[\"slow\",5]").await;
        assert_eq!(notes.next().await, 1);
        post.reset();
        for n in [2, 3, 4, 5, 6] {
            go.notify_one();
            assert_eq!(notes.next().await, n, "{face:?}");
        }
        let mut answers = Vec::new();
        while answers.len() < 3 {
            answers.extend(client.poll().await.split('\u{1e}').map(str::to_owned));
        }
        assert_eq!(answers, ["431[1]", "432[3]", "433[5]"]);
        assert_eq!(server.clients(), 1);
    }
}

/// All of it is there, and so is the end of the stream, when the server comes to it.
#[tokio::test]
async fn a_post_whose_client_leaves_right_behind_it_is_dispatched() {
    let (note, mut notes) = journal();
    let namespace = root().on("n", move |Data(n): Data<u32>| note.write(n));
    let server = serve_namespace(namespace).await;
    let (client, _) = Polling::socketio(server.address).await;
    for n in 0..50 {
        let mut post = client.begin_post(&format!("42[\"n\",{n}]")).await;
        post.finish().await;
        drop(post);
        assert_eq!(notes.next().await, n);
    }
}

#[tokio::test]
async fn a_post_that_is_given_up_within_its_body_ends_the_session() {
    let (namespace, mut reasons) = with_reasons(root());
    let server = serve_namespace(namespace).await;
    let (client, _) = Polling::socketio(server.address).await;
    let mut post = Peer::connect(server.address).await;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n42[\"sync\"",
        client.target()
    );
    post.send_bytes(head.as_bytes()).await;
    post.reset();
    reasons.expect(["transport error"]).await;
}

#[tokio::test]
async fn a_client_that_says_close_is_gone_and_its_poll_ends() {
    let (namespace, mut reasons) = with_reasons(root());
    let (namespace, mut sockets) = with_sockets(namespace);
    let server = serve_namespace(namespace).await;
    let (client, _) = Polling::socketio(server.address).await;
    let mut poll = client.begin_poll().await;
    until_writable(&sockets.next().await).await;
    client.post("1").await;
    reasons.expect(["transport close"]).await;
    assert_eq!(poll.recv_http().await.text(), "6");
}

#[tokio::test]
async fn a_client_that_is_put_out_hears_so_even_if_no_poll_waits() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve_namespace(namespace).await;
    let (client, _) = Polling::socketio(server.address).await;
    let socket = sockets.next().await;
    socket.emit("last words", ()).unwrap();
    socket.disconnect_client();
    within(socket.closed()).await;
    assert_eq!(client.poll().await, "42[\"last words\"]\u{1e}41");
    // Behind its own poll: the official client would hear of it before what came along.
    assert_eq!(client.poll().await, "1");
    let gone = client.request("GET", "", b"").await;
    assert_eq!(gone.status, 400);
    within(async {
        while server.clients() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_closing_server_answers_the_polls_that_wait_and_opens_no_sessions() {
    let (namespace, mut reasons) = with_reasons(root());
    let (namespace, mut sockets) = with_sockets(namespace);
    let server = serve_namespace(namespace).await;
    let (client, _) = Polling::socketio(server.address).await;
    let socket = sockets.next().await;
    let mut poll = client.begin_poll().await;
    until_writable(&socket).await;
    let io = server.io.clone();
    let closing = tokio::spawn(async move { io.close().await });
    reasons.expect(["server shutting down"]).await;
    assert_eq!(poll.recv_http().await.text(), "1server shutting down");
    within(closing).await.unwrap();
    assert_eq!(server.clients(), 0);
}

#[tokio::test]
async fn a_closing_server_says_all_it_has_to_say_in_the_last_poll() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve_namespace(namespace).await;
    let (client, _) = Polling::socketio(server.address).await;
    let socket = sockets.next().await;
    let mut poll = client.begin_poll().await;
    until_writable(&socket).await;
    let io = server.io.clone();
    // Both in one turn of the runtime, so that the poll finds both.
    tokio::spawn(async move {
        io.emit("last words", ()).unwrap();
        io.close().await;
    });
    assert_eq!(poll.recv_http().await.text(), "42[\"last words\"]\u{1e}1server shutting down");
}

#[tokio::test]
async fn a_slow_consumer_is_disconnected() {
    let (namespace, mut reasons) = with_reasons(root());
    let (namespace, mut sockets) = with_sockets(namespace);
    let server = serve(Server::builder().namespace(namespace).max_buffered_bytes(10_000)).await;
    let (client, _) = Polling::socketio(server.address).await;
    let socket = sockets.next().await;
    let text = "x".repeat(1000);
    while socket.emit("news", &text).is_ok() {}
    reasons.expect(["transport error"]).await;
    assert_eq!(client.request("GET", "", b"").await.status, 400);
    assert_eq!(server.metrics().slow_consumers, 1);
}

/// More than the kernel holds of a connection that nobody reads from.
const TOO_MUCH: usize = 24 << 20;

/// A client whose poll is being answered with an event of [`TOO_MUCH`], and does not read.
async fn with_unread_answer(
    server: &Running,
    sockets: &mut Journal<Socket>,
) -> (Polling, Socket, Peer) {
    let (client, _) = Polling::socketio(server.address).await;
    let socket = sockets.next().await;
    until(|| socket.buffered_bytes() == 0).await;
    socket.emit("news", "x".repeat(TOO_MUCH)).unwrap();
    let poll = client.begin_poll().await;
    until(|| socket.buffered_bytes() < TOO_MUCH).await;
    (client, socket, poll)
}

/// A session whose answers are not read to their end is not written to without end.
#[tokio::test]
async fn what_a_poll_has_taken_counts_until_the_kernel_has_it() {
    for face in FACES {
        let (namespace, mut sockets) = with_sockets(root());
        let builder = Server::builder().namespace(namespace).max_buffered_bytes(TOO_MUCH);
        let server = face.serve(builder).await;
        let (client, socket, mut poll) = with_unread_answer(&server, &mut sockets).await;
        let refused = socket.try_emit("news", "x".repeat(TOO_MUCH)).unwrap_err();
        assert!(matches!(refused, TryEmitError::Full(_)), "{face:?}");
        assert!(poll.recv_http().await.text().ends_with("xxx\"]"), "{face:?}");
        until(|| socket.buffered_bytes() == 0).await;
        socket.emit("more", ()).unwrap();
        assert_eq!(client.poll().await, "42[\"more\"]", "{face:?}");
    }
}

#[tokio::test]
async fn a_poll_before_the_last_answer_has_gone_overlaps() {
    for face in FACES {
        let (namespace, mut reasons) = with_reasons(root());
        let (namespace, mut sockets) = with_sockets(namespace);
        let builder = Server::builder().namespace(namespace).max_buffered_bytes(TOO_MUCH);
        let server = face.serve(builder).await;
        let (client, _socket, _poll) = with_unread_answer(&server, &mut sockets).await;
        assert_eq!(client.request("GET", "", b"").await.status, 400, "{face:?}");
        reasons.expect(["transport error"]).await;
        assert_eq!(server.metrics().faults.get(Fault::PollOverlap), 1);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_half_way_ends_the_session() {
    for face in FACES {
        let (namespace, mut reasons) = with_reasons(root());
        let (namespace, mut sockets) = with_sockets(namespace);
        let builder = Server::builder().namespace(namespace).max_buffered_bytes(TOO_MUCH);
        let server = face.serve(builder).await;
        let (client, socket, poll) = with_unread_answer(&server, &mut sockets).await;
        poll.reset();
        reasons.expect(["transport error"]).await;
        assert_eq!(server.metrics().faults.get(Fault::PollAborted), 1, "{face:?}");
        assert_eq!(client.request("GET", "", b"").await.status, 400);
        assert_eq!(socket.buffered_bytes(), 0);
    }
}

#[tokio::test]
async fn a_client_without_pong_is_given_up_in_time() {
    const INTERVAL: Duration = Duration::from_millis(300);
    const TIMEOUT: Duration = Duration::from_millis(600);
    let (namespace, mut reasons) = with_reasons(root());
    let builder =
        Server::builder().namespace(namespace).ping_interval(INTERVAL).ping_timeout(TIMEOUT);
    let server = serve(builder).await;
    let begun = Instant::now();
    let (client, _) = Polling::socketio(server.address).await;
    assert_eq!(client.poll().await, "2");
    let pinged = begun.elapsed();
    client.post("3").await;
    let answered = Instant::now();
    assert_eq!(client.poll().await, "2");
    assert!(answered.elapsed() + Duration::from_millis(20) >= INTERVAL);
    assert!(pinged + Duration::from_millis(20) >= INTERVAL);
    let mut last = client.begin_poll().await;
    reasons.expect(["ping timeout"]).await;
    assert!(answered.elapsed() + Duration::from_millis(20) >= INTERVAL + TIMEOUT);
    assert_eq!(last.recv_http().await.text(), "1ping timeout");
}

#[tokio::test]
async fn a_handler_that_is_behind_holds_the_post_and_the_heartbeat() {
    let (note, mut notes) = journal();
    let go = Arc::new(Notify::new());
    let wait = go.clone();
    let namespace = root().on("slow", move || {
        let (note, wait) = (note.clone(), wait.clone());
        async move {
            note.write(());
            wait.notified().await;
        }
    });
    let builder = Server::builder()
        .namespace(namespace)
        .max_running_handlers(1)
        .max_waiting_bytes(1)
        .ping_interval(Duration::from_millis(100))
        .ping_timeout(Duration::from_millis(500));
    let server = serve(builder).await;
    let (client, _) = Polling::socketio(server.address).await;
    let poll = client.begin_poll().await;
    // The pong stands behind more than may wait.
    let mut post = client
        .begin_post("42[\"slow\"]\u{1e}42[\"slow\"]\u{1e}42[\"slow\"]\u{1e}3\u{1e}42999[\"sync\"]")
        .await;
    notes.next().await;
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert_eq!(server.clients(), 1, "a client whose pong lies unread is not given up");
    for _ in 0..2 {
        go.notify_one();
        notes.next().await;
    }
    go.notify_one();
    assert_eq!(post.recv_http().await.text(), "ok");
    drop(poll);
}

#[tokio::test]
async fn a_namespace_of_its_own_and_rooms_work_as_ever() {
    let admin = Namespace::new("/admin").on_connect(|socket: Socket| {
        socket.join("staff");
    });
    let server = serve(Server::builder().namespace(root()).namespace(admin)).await;
    let client = Polling::open(server.address).await;
    client.post("40/admin,\u{1e}40/nope,").await;
    let came = client.poll().await;
    let (joined, refused) = came.split_once('\u{1e}').unwrap();
    assert!(joined.starts_with("40/admin,{\"sid\":"), "{came}");
    assert_eq!(refused, "44/nope,{\"message\":\"Invalid namespace\"}");
    server.of("/admin").unwrap().to("staff").emit("hello", ()).unwrap();
    assert_eq!(client.poll().await, "42/admin,[\"hello\"]");
}
