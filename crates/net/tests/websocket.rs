//! The plain API over real sockets, with a peer that is nothing but bytes.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use sockeye_net::websocket::{
    Client, CloseCode, Limits, Message, Options, Prepared, SendError, Server, TrySendError,
    WebSocket, Why, deflate,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const HANDSHAKE: &str = "GET / HTTP/1.1\r\nHost: example.org\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Starts a server on a free port.
async fn serve(server: &Server) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let server = server.clone();
    tokio::spawn(async move { server.serve_listener(listener).await });
    address
}

/// Opens a WebSocket with these further header lines; the answer's head, and the stream behind it.
async fn open(address: std::net::SocketAddr, headers: &str) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(format!("{HANDSHAKE}{headers}\r\n").as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
    (String::from_utf8(head).expect("text"), stream)
}

async fn read(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).await.expect("bytes");
    bytes
}

async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("the end");
    bytes
}

async fn echo(mut socket: WebSocket) {
    while let Some(message) = socket.recv().await {
        socket.send(message).ok();
    }
}

#[tokio::test]
async fn messages_come_back_with_their_types_and_a_close_is_answered() {
    let server = Server::new(echo);
    let (head, mut peer) = open(serve(&server).await, "").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    peer.write_all(b"\x81\x82\0\0\0\0hi\x82\x81\0\0\0\0\x07\x89\x81\0\0\0\0p").await.expect("sent");
    // The pong is the driver's, and goes first.
    assert_eq!(read(&mut peer, 3 + 4 + 3).await, b"\x8A\x01p\x81\x02hi\x82\x01\x07");
    peer.write_all(b"\x88\x82\0\0\0\0\x03\xE8").await.expect("sent");
    assert_eq!(rest(&mut peer).await, b"\x88\x02\x03\xE8");
}

#[tokio::test]
async fn a_handler_hears_how_it_ended() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::new(move |mut socket: WebSocket| {
        let tell = tell.clone();
        async move {
            assert!(socket.recv().await.is_none());
            tell.send(socket.closed().await).expect("heard");
        }
    });
    let address = serve(&server).await;

    let (_, mut peer) = open(address, "").await;
    peer.write_all(b"\x88\x85\0\0\0\0\x0F\xA0bye").await.expect("sent");
    drop(rest(&mut peer).await);
    drop(peer);
    let ending = told.recv().await.expect("an ending");
    assert!(ending.clean);
    let Why::Peer(Some((code, reason))) = ending.why else { panic!("{ending}") };
    assert_eq!((code.get(), &*reason), (4000, "bye"));

    let (_, peer) = open(address, "").await;
    drop(peer);
    let ending = told.recv().await.expect("an ending");
    assert!(!ending.clean && matches!(ending.why, Why::Lost(_)), "{ending}");

    let (_, mut peer) = open(address, "").await;
    peer.write_all(b"\x81\x01x").await.expect("sent");
    assert_eq!(rest(&mut peer).await[..4], *b"\x88\x02\x03\xEA");
    let ending = told.recv().await.expect("an ending");
    assert!(!ending.clean && matches!(ending.why, Why::Refused(_)), "{ending}");
}

#[tokio::test]
async fn what_a_peer_said_before_it_ended_the_connection_is_answered_first() {
    let (tell, mut told) = mpsc::unbounded_channel();
    // Once by the connection's own task, and once by another.
    let own = Server::new(move |mut socket: WebSocket| {
        let tell = tell.clone();
        async move {
            while let Some(message) = socket.recv().await {
                socket.send(message).expect("open");
            }
            tell.send(socket.closed().await.why).expect("heard");
        }
    });
    let other = Server::new(|socket: WebSocket| {
        drop(tokio::spawn(echo(socket)));
        async {}
    });
    for server in [&own, &other] {
        let address = serve(server).await;
        for (last, answer) in [
            // An opcode that has no meaning.
            (&b"\x83\x80\0\0\0\0"[..], &b"\x88\x02\x03\xEA"[..]),
            (b"\x81\x81\0\0\0\0\xFF", b"\x88\x02\x03\xEF"),
            (b"\x88\x82\0\0\0\0\x0F\xA0", b"\x88\x02\x0F\xA0"),
        ] {
            let (_, mut peer) = open(address, "").await;
            let said = [&b"\x81\x82\0\0\0\0hi\x82\x81\0\0\0\0\x07"[..], last, b"\x81\x80\0\0\0\0"];
            peer.write_all(&said.concat()).await.expect("sent");
            assert_eq!(rest(&mut peer).await, [b"\x81\x02hi\x82\x01\x07", answer].concat());
        }
    }
    for _ in 0..2 {
        assert!(matches!(told.recv().await, Some(Why::Refused(_))));
    }
    assert!(matches!(told.recv().await, Some(Why::Peer(Some(_)))));
}

#[tokio::test]
async fn a_socket_that_is_let_go_closes_after_what_was_sent() {
    let server = Server::new(|socket: WebSocket| async move {
        socket.send("first").expect("open");
        socket.send(Bytes::from_static(b"second")).expect("open");
    });
    let (_, mut peer) = open(serve(&server).await, "").await;
    let all = b"\x81\x05first\x82\x06second\x88\x02\x03\xE8";
    assert_eq!(read(&mut peer, all.len()).await, all);
    peer.write_all(b"\x88\x82\0\0\0\0\x03\xE8").await.expect("sent");
    assert_eq!(rest(&mut peer).await, b"");
}

#[tokio::test]
async fn a_handler_that_panics_ends_its_connection_and_no_other() {
    let server = Server::new(|mut socket: WebSocket| async move {
        let message = socket.recv().await.expect("a message");
        assert_eq!(message.as_text(), Some("good"), "this test's panic");
        socket.send(message).expect("open");
        socket.recv().await;
    });
    let address = serve(&server).await;
    let (_, mut good) = open(address, "").await;
    let (_, mut bad) = open(address, "").await;
    bad.write_all(b"\x81\x83\0\0\0\0bad").await.expect("sent");
    assert_eq!(read(&mut bad, 4).await, b"\x88\x14\x03\xF3");
    good.write_all(b"\x81\x84\0\0\0\0good").await.expect("sent");
    assert_eq!(read(&mut good, 6).await, b"\x81\x04good");
}

#[tokio::test]
async fn the_first_subprotocol_of_ours_that_is_offered_is_chosen() {
    let options = Options { subprotocols: vec!["v2".into(), "v1".into()], ..Options::default() };
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::builder(move |socket: WebSocket| {
        tell.send(socket.subprotocol().map(str::to_owned)).expect("heard");
        async {}
    });
    let server = server.options(options).build();
    let address = serve(&server).await;
    for (offer, chosen) in [
        ("Sec-WebSocket-Protocol: v1, v2\r\n", Some("v2")),
        ("Sec-WebSocket-Protocol: v1\r\nSec-WebSocket-Protocol: v3\r\n", Some("v1")),
        ("Sec-WebSocket-Protocol: V2\r\n", None),
        ("", None),
    ] {
        let (head, _) = open(address, offer).await;
        let line = chosen.map(|chosen| format!("sec-websocket-protocol: {chosen}\r\n"));
        match line {
            Some(line) => assert!(head.contains(&line), "{head}"),
            None => assert!(!head.contains("sec-websocket-protocol"), "{head}"),
        }
        assert_eq!(told.recv().await.expect("a handler").as_deref(), chosen);
    }
}

#[tokio::test]
async fn what_opens_no_websocket_is_told_why() {
    let server = Server::builder(echo)
        .path("/chat")
        .origins(["https://example.org"])
        .judge(|request| {
            if request.uri().query() == Some("let=me") {
                return Ok(());
            }
            Err((http::StatusCode::UNAUTHORIZED, "who are you?"))
        })
        .build();
    let address = serve(&server).await;
    let upgrade = HANDSHAKE.strip_prefix("GET / HTTP/1.1\r\n").expect("it begins so");
    for (target, headers, status, body) in [
        ("/chat?let=me", upgrade.to_owned(), "101", ""),
        ("/chat?let=me", format!("{upgrade}Origin: https://EXAMPLE.org\r\n"), "101", ""),
        ("/chat?let=me", format!("{upgrade}Origin: https://evil.org\r\n"), "403", "origin"),
        ("/chat", upgrade.to_owned(), "401", "who are you?"),
        ("/", upgrade.to_owned(), "404", ""),
        ("/chat", "Host: a\r\n".into(), "426", "Upgrade: websocket"),
        ("/chat", upgrade.replace("13", "8"), "426", "version 13"),
    ] {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let request = format!("GET {target} HTTP/1.1\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        stream.shutdown().await.expect("shut");
        let answer = String::from_utf8_lossy(&rest(&mut stream).await).into_owned();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {answer}");
        assert!(answer.contains(body), "{target}: {answer}");
    }
}

#[tokio::test]
async fn a_peer_that_is_not_read_from_has_to_wait() {
    is_read_from_and_not().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_read_from_on_another_thread_goes_on_where_it_had_to_wait() {
    is_read_from_and_not().await;
}

async fn is_read_from_and_not() {
    let options = Options { max_unread_bytes: 4096, ..Options::default() };
    let (mut socket, mut peer) = held(options).await;
    const MESSAGES: usize = 200_000;
    let sending = tokio::spawn(async move {
        for number in 0..MESSAGES as u32 {
            let frame = [&b"\x82\xA0\0\0\0\0"[..], &[number as u8; 32]].concat();
            peer.write_all(&frame).await.expect("sent");
        }
        peer
    });
    // The kernel's buffers are full long before 200 000 messages are sent, and nothing is lost.
    for number in 0..MESSAGES as u32 {
        let message = socket.recv().await.expect("a message");
        assert_eq!(message.as_bytes(), [number as u8; 32]);
    }
    drop(sending.await.expect("sent"));
    assert!(socket.recv().await.is_none());
}

/// A connection whose peer reads nothing.
async fn with_a_peer_that_takes_nothing() -> (WebSocket, TcpStream) {
    held(Options { max_buffered_bytes: 100_000, ..Options::default() }).await
}

/// Both ends of a connection whose handler hands its socket over.
async fn held(options: Options) -> (WebSocket, TcpStream) {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::builder(move |socket: WebSocket| {
        tell.send(socket).expect("heard");
        async {}
    });
    let server = server.options(options).build();
    let (_, peer) = open(serve(&server).await, "").await;
    (told.recv().await.expect("a socket"), peer)
}

#[tokio::test]
async fn trying_to_send_hands_back_what_has_no_room() {
    let (socket, mut peer) = with_a_peer_that_takes_nothing().await;
    let mut sent = 0;
    let refused = loop {
        match socket.try_send(vec![7; 10_000]) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(refused, TrySendError::Full(Message::from(vec![7; 10_000])));
    assert!(socket.buffered_bytes() > 80_000);
    // With room again, waiting is over, and all that was accepted arrives.
    let sender = socket.sender();
    let waiting = tokio::spawn(async move {
        sender.send_wait("last").await.expect("open");
        sender.drained().await;
        assert_eq!(sender.buffered_bytes(), 0);
        sender.close(CloseCode::NORMAL, "");
    });
    let all = read(&mut peer, sent * 10_004 + 6).await;
    assert!(all.ends_with(b"\x81\x04last"));
    waiting.await.expect("sent");
    assert_eq!(read(&mut peer, 4).await, b"\x88\x02\x03\xE8");
}

#[tokio::test]
async fn a_consumer_too_slow_for_sending_is_disconnected() {
    let (socket, _peer) = with_a_peer_that_takes_nothing().await;
    let error = loop {
        if let Err(error) = socket.send(vec![7; 10_000]) {
            break error;
        }
        tokio::task::yield_now().await;
    };
    assert!(matches!(error, SendError::SlowConsumer(_)), "{error}");
    assert!(matches!(socket.send("more"), Err(SendError::Closed(_))));
    assert!(matches!(socket.send_wait("more").await, Err(SendError::Closed(_))));
}

#[tokio::test]
async fn a_silent_peer_is_pinged_and_given_up() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let options = Options {
        ping_interval: Some(Duration::from_millis(20)),
        // Long enough for this test's pongs on a machine that is busy.
        pong_timeout: Duration::from_millis(500),
        ..Options::default()
    };
    let server = Server::builder(move |mut socket: WebSocket| {
        let tell = tell.clone();
        async move {
            assert!(socket.recv().await.is_none());
            tell.send(socket.sender()).expect("heard");
        }
    });
    let server = server.options(options).build();
    let (_, mut peer) = open(serve(&server).await, "").await;
    for _ in 0..3 {
        assert_eq!(read(&mut peer, 2).await, b"\x89\x00");
        peer.write_all(b"\x8A\x80\0\0\0\0").await.expect("sent");
    }
    assert_eq!(read(&mut peer, 2).await, b"\x89\x00");
    assert_eq!(read(&mut peer, 4).await[..4], *b"\x88\x11\x03\xE9");
    let sender = told.recv().await.expect("the handler saw the end");
    drop(peer);
    assert!(matches!(sender.closed().await.why, Why::PongTimeout));
}

#[tokio::test]
async fn a_connection_without_messages_is_closed_when_told_to() {
    let options = Options {
        ping_interval: Some(Duration::from_millis(5)),
        idle_timeout: Some(Duration::from_millis(500)),
        ..Options::default()
    };
    let server = Server::builder(echo).options(options).build();
    let (_, mut peer) = open(serve(&server).await, "").await;
    peer.write_all(b"\x81\x80\0\0\0\0").await.expect("sent");
    let mut echoes = 0;
    loop {
        match *read(&mut peer, 2).await {
            [0x81, 0] => echoes += 1,
            // Pings and pongs are no messages.
            [0x89, 0] => peer.write_all(b"\x8A\x80\0\0\0\0").await.expect("sent"),
            [0x88, _] => break,
            ref other => panic!("{other:?}"),
        }
    }
    assert_eq!((echoes, &*read(&mut peer, 2).await), (1, &b"\x03\xE8"[..]));
}

#[tokio::test]
async fn a_closing_server_says_goodbye_to_all() {
    let server = Server::new(echo);
    let address = serve(&server).await;
    let (_, mut one) = open(address, "").await;
    let (_, mut two) = open(address, "").await;
    let closing = tokio::spawn({
        let server = server.clone();
        async move { server.close().await }
    });
    for peer in [&mut one, &mut two] {
        assert_eq!(read(peer, 4).await, b"\x88\x02\x03\xE9");
        peer.write_all(b"\x88\x82\0\0\0\0\x03\xE9").await.expect("sent");
        assert_eq!(rest(peer).await, b"");
    }
    closing.await.expect("closed");
    assert_eq!(server.connections(), 0);
}

const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

/// "ab" a thousand times, as one raw deflate block with fixed codes: an `a`, a `b`, then copies.
fn is_compressed(frame: &[u8]) -> bool {
    frame[0] == 0xC1 && frame[1] < 100
}

#[tokio::test]
async fn messages_are_compressed_where_that_was_agreed_on() {
    let server = Server::new(|socket: WebSocket| async move {
        let prepared = Prepared::new("ab".repeat(1000));
        socket.send("ab".repeat(1000)).expect("open");
        socket.send_prepared(&prepared).expect("open");
        socket.send("ab".repeat(100)).expect("open");
        socket.closed().await;
    });
    let address = serve(&server).await;
    let (head, mut peer) = open(address, DEFLATE).await;
    let answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";
    assert!(head.contains(answer), "{head}");
    for _ in 0..2 {
        let head = read(&mut peer, 2).await;
        assert!(is_compressed(&head), "{head:?}");
        read(&mut peer, head[1].into()).await;
    }
    assert_eq!(read(&mut peer, 4).await, b"\x81\x7E\x00\xC8", "below the threshold");

    let (head, mut peer) = open(address, "").await;
    assert!(!head.contains("sec-websocket-extensions"), "{head}");
    for _ in 0..2 {
        assert_eq!(read(&mut peer, 4).await, b"\x81\x7E\x07\xD0");
        read(&mut peer, 2000).await;
    }
}

#[tokio::test]
async fn a_compressed_message_is_received_as_any_other() {
    let server = Server::new(echo);
    let (_, mut peer) = open(serve(&server).await, DEFLATE).await;
    // RFC 7692 §7.2.3.1.
    peer.write_all(b"\xC1\x87\0\0\0\0\xF2\x48\xCD\xC9\xC9\x07\x00").await.expect("sent");
    assert_eq!(read(&mut peer, 7).await, b"\x81\x05Hello");
}

fn options(takeover: bool) -> Options {
    let context = deflate::Context { takeover, ..deflate::Context::default() };
    let config = deflate::Config { client: context, server: context, ..deflate::Config::default() };
    Options { compression: Some(config), ..Options::default() }
}

/// Two ends of a connection with these options, and what the client had the other say.
async fn echoed(server: Options, client: Options, messages: &[Message]) -> (Server, WebSocket) {
    let server = Server::builder(echo).options(server).build();
    let url = format!("ws://{}/", serve(&server).await);
    let mut socket = Client::new().options(client).connect(&url).await.expect("open");
    for message in messages {
        socket.send_wait(message.clone()).await.expect("open");
    }
    for message in messages {
        assert_eq!(socket.recv().await.as_ref(), Some(message));
    }
    (server, socket)
}

fn messages() -> Vec<Message> {
    let text = |n: usize| format!("{{\"event\":\"news\",\"number\":{n}}}").repeat(1 + n % 60);
    (0..300)
        .map(|n| if n % 7 == 0 { vec![n as u8; n * 9].into() } else { text(n).into() })
        .collect()
}

#[tokio::test]
async fn both_roles_talk_with_every_kind_of_compression() {
    let none = || Options { compression: None, ..Options::default() };
    for server in [options(false), options(true), none()] {
        for client in [options(false), options(true), none()] {
            let budgets = [&server, &client].map(|options| options.takeover_budget.clone());
            let (_, socket) = echoed(server.clone(), client, &messages()).await;
            socket.close(CloseCode::NORMAL, "");
            assert!(socket.closed().await.clean);
            drop(socket);
            // A connection gives back what it was granted, with its last handle.
            while budgets.iter().any(|budget| budget.used() > 0) {
                tokio::task::yield_now().await;
            }
        }
    }
}

#[tokio::test]
async fn takeover_ends_where_its_budget_does() {
    let scarce = |bytes| {
        let takeover_budget = Arc::new(deflate::Budget::new(bytes));
        Options { takeover_budget, ..options(true) }
    };
    // Enough for one connection: the next one goes without.
    let (server, _first) = echoed(scarce(500_000), scarce(usize::MAX), &messages()).await;
    let (_, mut peer) = open(serve(&server).await, DEFLATE).await;
    let text = "ab".repeat(1000);
    for _ in 0..2 {
        let frame = [&b"\x81\xFE\x07\xD0\0\0\0\0"[..], text.as_bytes()].concat();
        peer.write_all(&frame).await.expect("sent");
    }
    let mut echoes = Vec::new();
    for _ in 0..2 {
        let head = read(&mut peer, 2).await;
        assert!(is_compressed(&head), "{head:?}");
        echoes.push(read(&mut peer, head[1].into()).await);
    }
    assert_eq!(echoes[0], echoes[1], "the second echo refers to the first");
}

#[tokio::test]
async fn a_client_masks_all_that_it_says_and_closes_cleanly() {
    let server = Server::builder(echo)
        .options(Options { subprotocols: vec!["v1".into()], ..Options::default() })
        .build();
    let url = format!("ws://{}/", serve(&server).await);
    let options = Options {
        subprotocols: vec!["v2".into(), "v1".into()],
        ping_interval: Some(Duration::from_millis(2)),
        ..Options::default()
    };
    let mut socket = Client::new().options(options).connect(&url).await.expect("open");
    assert_eq!(socket.subprotocol(), Some("v1"));
    for message in messages() {
        socket.send(message.clone()).expect("open");
        // A server that saw a frame without a mask would close.
        assert_eq!(socket.recv().await, Some(message));
    }
    socket.close(CloseCode::new(4001).expect("a private code"), "bye");
    let ending = socket.closed().await;
    assert!(ending.clean && matches!(ending.why, Why::Local(..)), "{ending}");
    assert!(matches!(socket.send("late"), Err(SendError::Closed(_))));
}

#[tokio::test]
async fn what_does_not_open_is_told_by_its_step() {
    use sockeye_net::dial::Phase;

    let server = Server::builder(echo).path("/chat").build();
    let address = serve(&server).await;
    let refused = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let nobody = refused.local_addr().expect("bound");
    drop(refused);
    for (url, phase, words) in [
        (format!("ws://{address}/"), Some(Phase::Http), "404"),
        (format!("ws://{nobody}/"), Some(Phase::Tcp), "no TCP connection"),
        (format!("wss://{address}/chat"), cfg!(feature = "tls").then_some(Phase::Tls), "TLS"),
        ("ftp://example.org/".into(), None, "ftp"),
    ] {
        let error = sockeye_net::websocket::connect(&url).await.expect_err("it does not open");
        assert_eq!(error.phase(), phase, "{url}: {error}");
        assert!(error.to_string().contains(words), "{url}: {error}");
    }
}

#[tokio::test]
async fn a_peer_that_is_not_read_from_is_not_given_up_for_that() {
    let options = Options {
        max_unread_bytes: 64,
        ping_interval: Some(Duration::from_millis(10)),
        pong_timeout: Duration::from_millis(300),
        limits: Limits { close_timeout: 10, ..Limits::default() },
        ..Options::default()
    };
    let (mut socket, mut peer) = held(options).await;
    peer.write_all(&b"\x81\x82\0\0\0\0hi".repeat(100)).await.expect("sent");
    // It answers every ping, and nobody looks at its answers.
    for _ in 0..3 {
        assert_eq!(read(&mut peer, 2).await, b"\x89\0");
        peer.write_all(b"\x8A\x80\0\0\0\0").await.expect("sent");
    }
    for _ in 0..100 {
        assert_eq!(socket.recv().await.expect("a message").as_text(), Some("hi"));
    }
    // Who does not answer when it is read from again, is.
    assert!(socket.recv().await.is_none());
    assert!(matches!(socket.closed().await.why, Why::PongTimeout));
}

#[tokio::test]
async fn who_no_longer_waits_for_the_end_is_not_remembered_for_ever() {
    struct Nobody;

    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::new(move |socket: WebSocket| {
        tell.send(socket).expect("heard");
        async {}
    });
    let (_, _peer) = open(serve(&server).await, "").await;
    let socket = told.recv().await.expect("a socket");
    let given_up: Vec<_> = (0..20_000)
        .map(|_| {
            let task = Arc::new(Nobody);
            let waker = Waker::from(task.clone());
            let mut closed = pin!(socket.closed());
            assert!(closed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            Arc::downgrade(&task)
        })
        .collect();
    let kept = given_up.iter().filter(|task| task.strong_count() > 0).count();
    assert!(kept < 10_000, "{kept} wakers are kept");
}
