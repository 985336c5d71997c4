//! How long things live: handlers, futures, connections, the server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sockeye_server::{DisconnectReason, Namespace, Server, ServerBuilder, Socket};
use sockeye_testkit::deadline::DEADLINE;
use sockeye_testkit::peer::{Message, Peer, TARGET, http};
use sockeye_testkit::polling::{Polling, request};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::harness::{
    DropNote, FACES, Running, journal, root, serve, serve_namespace, sync, with_reasons,
    with_sockets, within,
};

/// Closes the server in a task.
fn close(server: &Running) -> JoinHandle<()> {
    let io = server.io.clone();
    tokio::spawn(async move { io.close().await })
}

/// As in Node, handlers run on after a disconnect.
#[tokio::test]
async fn handlers_run_on_after_a_disconnect() {
    for face in FACES {
        let gate = Arc::new(Semaphore::new(0));
        let waiting = gate.clone();
        let (note, mut noted) = journal();
        let namespace = root().on("work", move |socket: Socket| {
            let (gate, note) = (waiting.clone(), note.clone());
            async move {
                note.write("started".to_owned());
                note.write(format!("told: {}", socket.closed().await));
                assert!(socket.emit("e", ()).is_err());
                gate.acquire().await.unwrap().forget();
                note.write("finished".to_owned());
                "an answer that nobody gets"
            }
        });
        let server = face.serve(Server::builder().namespace(namespace)).await;
        let (mut peer, _) = Peer::socketio(server.address).await;
        peer.send_text("420[\"work\"]").await;
        noted.expect(["started".to_owned()]).await;
        peer.finish().await;
        noted.expect(["told: transport close".to_owned()]).await;
        gate.add_permits(1);
        noted.expect(["finished".to_owned()]).await;
    }
}

#[tokio::test]
async fn closed_may_be_awaited_by_many_and_again() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;
    assert_eq!(socket.disconnect_reason(), None);
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let socket = socket.clone();
            tokio::spawn(async move { socket.closed().await })
        })
        .collect();
    // One wait that is given up.
    let given_up = tokio::time::timeout(Duration::from_millis(20), socket.closed()).await;
    assert!(given_up.is_err());
    peer.send_text("41").await;
    for waiting in waiting {
        let reason = within(waiting).await.unwrap();
        assert_eq!(reason, DisconnectReason::ClientNamespaceDisconnect);
    }
    assert_eq!(within(socket.closed()).await, DisconnectReason::ClientNamespaceDisconnect);
    assert_eq!(socket.disconnect_reason(), Some(DisconnectReason::ClientNamespaceDisconnect));
}

#[tokio::test]
async fn disconnect_handlers_run_once_whatever_happens() {
    let (namespace, mut reasons) = with_reasons(root());
    let (namespace, mut sockets) = with_sockets(namespace);
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;
    socket.disconnect();
    socket.disconnect();
    socket.disconnect_client();
    server.of("/").unwrap().disconnect();
    peer.send_text("41").await;
    peer.expect_text("41").await;
    peer.expect_close(1005).await;
    reasons.expect(["server namespace disconnect"]).await;
    assert_eq!(within(socket.closed()).await, DisconnectReason::ServerNamespaceDisconnect);
    let (mut other, _) = Peer::socketio(server.address).await;
    sync(&mut other).await;
    reasons.expect_nothing();
}

/// All of the client's namespaces: a DISCONNECT for each, then the end (Node's `disconnect(true)`).
#[tokio::test]
async fn a_client_is_disconnected_altogether() {
    for face in FACES {
        let (root, mut reasons) = with_reasons(root());
        let (root, mut sockets) = with_sockets(root);
        let (chat, mut chat_reasons) = with_reasons(Namespace::new("/chat"));
        let server = face.serve(Server::builder().namespace(root).namespace(chat)).await;
        let (mut peer, _) = Peer::socketio(server.address).await;
        peer.join("/chat").await;
        let socket = sockets.next().await;
        socket.emit("last", ()).unwrap();
        socket.disconnect_client();
        peer.expect_text("42[\"last\"]").await;
        peer.expect_text("41").await;
        peer.expect_text("41/chat,").await;
        peer.expect_close(1005).await;
        reasons.expect(["server namespace disconnect"]).await;
        chat_reasons.expect(["server namespace disconnect"]).await;
        assert_eq!(server.clients(), 0);
    }
}

#[tokio::test]
async fn close_ends_every_client() {
    for face in FACES {
        let (namespace, mut reasons) = with_reasons(root());
        let server = face.serve(Server::builder().namespace(namespace)).await;
        let mut peers = Vec::new();
        for _ in 0..3 {
            peers.push(Peer::socketio(server.address).await.0);
        }
        let mut joining = Peer::engineio(server.address).await;
        assert_eq!(server.clients(), 4);
        server.emit("goodbye", ()).unwrap();
        let closing = close(&server);
        for peer in &mut peers {
            // What was queued still goes out; no DISCONNECT, so that clients reconnect.
            peer.expect_text("42[\"goodbye\"]").await;
            peer.expect_close(1001).await;
            reasons.expect(["server shutting down"]).await;
        }
        joining.expect_close(1001).await;
        within(closing).await.unwrap();
        assert_eq!(server.clients(), 0);
        // It is idempotent.
        within(server.close()).await;
        within(server.close()).await;
        reasons.expect_nothing();
    }
}

#[tokio::test]
async fn close_twice_at_once() {
    let server = serve_namespace(root()).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let (first, second) = (close(&server), close(&server));
    peer.expect_close(1001).await;
    within(first).await.unwrap();
    within(second).await.unwrap();
}

#[tokio::test]
async fn a_server_without_clients_closes_at_once() {
    let server = serve_namespace(root()).await;
    let since = Instant::now();
    within(server.close()).await;
    // The grace is five seconds.
    assert!(since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
    // Also before it ever listened.
    within(Server::builder().namespace(root()).build().close()).await;
}

#[tokio::test]
async fn a_closed_server_accepts_no_one() {
    let io = Server::builder().namespace(root()).build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn({
        let io = io.clone();
        async move { io.serve_listener(listener).await }
    });
    let (mut peer, _) = Peer::socketio(address).await;
    sync(&mut peer).await;
    let closing = tokio::spawn({
        let io = io.clone();
        async move { io.close().await }
    });
    peer.expect_close(1001).await;
    within(closing).await.unwrap();
    within(serving).await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
    // Listening again ends at once.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    within(io.serve_listener(listener)).await.unwrap();

    // In somebody else's HTTP server: no more sessions.
    let server = FACES[1].serve(Server::builder().namespace(root())).await;
    within(server.close()).await;
    let request = format!(
        "GET {TARGET} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    assert_eq!(http(server.address, &request).await.status, 503);
}

/// Connections that have not sent a request, or half of one, or one that was answered.
#[tokio::test]
async fn connections_in_the_http_phase_end_with_the_server() {
    let server = serve_namespace(root()).await;
    let mut silent = Peer::connect(server.address).await;
    let mut kept_alive = Peer::connect(server.address).await;
    kept_alive.send_bytes(b"GET /socket.io/ HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(kept_alive.recv_http().await.status, 400);
    // Once this client is served, the others before it were accepted.
    let (mut peer, _) = Peer::socketio(server.address).await;
    sync(&mut peer).await;
    let closing = close(&server);
    peer.expect_close(1001).await;
    within(closing).await.unwrap();
    kept_alive.expect_eof().await;
    silent.expect_eof().await;
}

fn with_grace(namespace: Namespace, grace: Duration) -> ServerBuilder {
    Server::builder().namespace(namespace).grace(grace)
}

#[tokio::test]
async fn close_waits_for_handlers_that_finish_in_time() {
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    let (note, mut noted) = journal();
    let namespace = root().on("work", move |socket: Socket| {
        let (gate, note) = (waiting.clone(), note.clone());
        async move {
            note.write("started");
            socket.closed().await;
            gate.acquire().await.unwrap().forget();
            note.write("finished");
        }
    });
    let server = serve(with_grace(namespace, Duration::from_secs(60))).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.send_text("42[\"work\"]").await;
    noted.expect(["started"]).await;
    let closing = close(&server);
    peer.expect_close(1001).await;
    assert!(!closing.is_finished(), "the handler is still running");
    gate.add_permits(1);
    within(closing).await.unwrap();
    noted.expect(["finished"]).await;
}

#[tokio::test]
async fn close_aborts_handlers_after_the_grace() {
    for face in FACES {
        let grace = Duration::from_millis(150);
        let (note, mut noted) = journal();
        let connecting = note.clone();
        let namespace = root().on("work", move || {
            let guard = DropNote("dropped", note.clone());
            async move {
                guard.1.write("started");
                std::future::pending::<()>().await;
                drop(guard);
            }
        });
        let stuck = Namespace::new("/stuck").on_connect(move || {
            let guard = DropNote("dropped", connecting.clone());
            async move {
                guard.1.write("started");
                std::future::pending::<()>().await;
                drop(guard);
            }
        });
        let server = face.serve(with_grace(namespace, grace).namespace(stuck)).await;
        let (mut peer, _) = Peer::socketio(server.address).await;
        peer.send_text("42[\"work\"]").await;
        peer.send_text("40/stuck,").await;
        peer.expect_joined("/stuck").await;
        noted.expect(["started", "started"]).await;
        let since = Instant::now();
        let closing = close(&server);
        peer.expect_close(1001).await;
        within(closing).await.unwrap();
        assert!(since.elapsed() >= grace, "after {:?} already", since.elapsed());
        noted.expect(["dropped", "dropped"]).await;
    }
}

/// A client that never answers the close frame does not keep the server.
#[tokio::test]
async fn close_does_not_wait_for_clients_that_do_not_answer() {
    let (namespace, mut reasons) = with_reasons(root());
    let server = serve(with_grace(namespace, Duration::from_millis(150))).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    within(server.close()).await;
    assert_eq!(server.clients(), 0);
    reasons.expect(["server shutting down"]).await;
    peer.expect(Message::Close(1001)).await;
}

/// Nor does one that does not even read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_does_not_wait_for_clients_that_do_not_read() {
    let (namespace, mut sockets) = with_sockets(root());
    let builder = with_grace(namespace, Duration::from_millis(150)).max_buffered_bytes(64 << 20);
    let server = serve(builder).await;
    let (_lazy, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;
    for _ in 0..48 {
        socket.emit("large", "x".repeat(1 << 20)).unwrap();
    }
    within(server.close()).await;
    assert_eq!(server.clients(), 0);
    assert_eq!(within(socket.closed()).await, DisconnectReason::ServerShuttingDown);
}

/// A client that is between two polls fetches what is queued for it, be it by the connection that it has or
/// by a new one; nobody else is let in meanwhile.
#[tokio::test]
async fn a_closing_server_can_be_polled_to_the_end() {
    for kept in [true, false] {
        let (namespace, mut sockets) = with_sockets(root());
        let (namespace, mut reasons) = with_reasons(namespace);
        // Nothing here waits for its end.
        let server = serve(with_grace(namespace, 10 * DEADLINE)).await;
        let (client, _) = Polling::socketio(server.address).await;
        let socket = sockets.next().await;
        let poll = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", client.target());
        let mut peer = Peer::connect(server.address).await;
        socket.emit("first", ()).unwrap();
        peer.send_bytes(poll.as_bytes()).await;
        assert_eq!(peer.recv_http().await.text(), "42[\"first\"]");
        if !kept {
            peer.finish().await;
            peer.expect_eof().await;
        }

        socket.emit("last", ()).unwrap();
        let closing = close(&server);
        reasons.expect(["server shutting down"]).await;
        let handshake = "/socket.io/?EIO=4&transport=polling";
        let refused = request(server.address, "GET", handshake, "", b"").await.recv_http().await;
        assert_eq!(refused.status, 503, "{}", refused.head);
        if !kept {
            peer = Peer::connect(server.address).await;
        }
        peer.send_bytes(poll.as_bytes()).await;
        assert_eq!(peer.recv_http().await.text(), "42[\"last\"]\u{1e}1server shutting down");

        within(closing).await.unwrap();
        peer.expect_eof().await;
        assert!(TcpStream::connect(server.address).await.is_err());
    }
}

/// Where `listen` is dropped, nobody is accepted any more, but the connections that are there are served on.
#[tokio::test]
async fn a_client_whose_listener_is_gone_can_poll_to_the_end() {
    let (namespace, mut sockets) = with_sockets(root());
    let io = with_grace(namespace, 10 * DEADLINE).build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn({
        let io = io.clone();
        async move { io.serve_listener(listener).await }
    });
    let (client, _) = Polling::socketio(address).await;
    let socket = sockets.next().await;
    let poll = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", client.target());
    let mut peer = Peer::connect(address).await;
    socket.emit("first", ()).unwrap();
    peer.send_bytes(poll.as_bytes()).await;
    assert_eq!(peer.recv_http().await.text(), "42[\"first\"]");
    socket.emit("last", ()).unwrap();
    serving.abort();
    assert!(within(serving).await.unwrap_err().is_cancelled());
    assert_eq!(within(socket.closed()).await, DisconnectReason::ServerShuttingDown);
    assert!(TcpStream::connect(address).await.is_err());
    peer.send_bytes(poll.as_bytes()).await;
    assert_eq!(peer.recv_http().await.text(), "42[\"last\"]\u{1e}1server shutting down");
    peer.expect_eof().await;
    within(io.close()).await;
}

/// Dropping `listen` stops accepting, and disconnects the clients as `close` does.
#[tokio::test]
async fn dropping_the_listening_future_closes() {
    let (namespace, mut reasons) = with_reasons(root());
    let io = Server::builder().namespace(namespace).build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn({
        let io = io.clone();
        async move { io.serve_listener(listener).await }
    });
    let (mut peer, _) = Peer::socketio(address).await;
    sync(&mut peer).await;
    serving.abort();
    assert!(within(serving).await.unwrap_err().is_cancelled());
    peer.expect_close(1001).await;
    reasons.expect(["server shutting down"]).await;
    assert!(TcpStream::connect(address).await.is_err());
    within(io.close()).await;
}

/// Dropping `close` does not stop the closing.
#[tokio::test]
async fn dropping_close_goes_on_closing() {
    let (namespace, mut reasons) = with_reasons(root());
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    {
        let mut closing = Box::pin(server.close());
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(closing.as_mut().poll(cx)));
        assert!(polled.await.is_pending());
    }
    peer.expect_close(1001).await;
    reasons.expect(["server shutting down"]).await;
}

#[tokio::test]
async fn listening_on_a_port_in_use_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let io = Server::builder().namespace(root()).build();
    let error = within(io.listen(taken.local_addr().unwrap())).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    // That was no end.
    let (namespace, _sockets) = with_sockets(root());
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    sync(&mut peer).await;
}

/// A runtime that is dropped takes its connections along, and their sockets learn it.
#[test]
fn a_runtime_that_ends_leaves_no_socket_connected() {
    for polls in [false, true] {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (server, peer, socket) = runtime.block_on(async {
            let (namespace, mut sockets) = with_sockets(root());
            let server = serve_namespace(namespace).await;
            let peer = if polls {
                Polling::socketio(server.address).await;
                None
            } else {
                Some(Peer::socketio(server.address).await)
            };
            let socket = sockets.next().await;
            socket.emit("unheard", "x".repeat(1000)).unwrap();
            (server, peer, socket)
        });
        assert!(socket.is_connected());
        drop(runtime);
        assert!(!socket.is_connected(), "polls: {polls}");
        assert!(socket.disconnect_reason().is_some());
        assert_eq!(socket.buffered_bytes(), 0);
        assert_eq!(server.clients(), 0);
        drop(peer);
    }
}

#[tokio::test]
async fn clients_are_counted() {
    let server = serve(Server::builder().namespace(root())).await;
    assert_eq!(server.clients(), 0);
    let _engine_only = Peer::engineio(server.address).await;
    assert_eq!(server.clients(), 1);
    let (mut peer, _) = Peer::socketio(server.address).await;
    assert_eq!(server.clients(), 2);
    peer.send_close(&[]).await;
    peer.expect(Message::Close(1005)).await;
    peer.expect_eof().await;
    assert_eq!(server.clients(), 1);
}
