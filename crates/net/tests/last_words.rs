//! What a peer says right before it closes is answered before its close is, whoever answers.

use sockeye_net::websocket::{Client, CloseCode, Message, Server, WebSocket, Why};
use sockeye_testkit::deadline::within;
use sockeye_websocket::handshake::accept_key;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

const HANDSHAKE: &[u8] = b"GET / HTTP/1.1\r\nHost: example.org\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// More wake-ups of all other tasks than a close may have been answered after.
const TURNS: usize = 20;

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(stream.read_u8()).await.expect("a head"));
    }
    String::from_utf8(head).expect("text")
}

/// All that still comes.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    within(stream.read_to_end(&mut bytes)).await.expect("no reset");
    bytes
}

/// A client of bytes alone, whose WebSocket a server of this handler has opened.
async fn client_of(server: &Server) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let server = server.clone();
    tokio::spawn(async move { server.serve_listener(listener).await });
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(HANDSHAKE).await.expect("sent");
    head(&mut stream).await;
    stream
}

/// A server of bytes alone: opens a client's WebSocket, says this right behind its answer, and hands over what
/// the client said, without masks.
async fn server_that_says(said: &'static [u8]) -> (WebSocket, oneshot::Receiver<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (tell, heard) = oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let request = head(&mut stream).await;
        let key = request.lines().find_map(|line| line.strip_prefix("sec-websocket-key: "));
        let accept = accept_key(key.expect("a key").as_bytes());
        let accept = std::str::from_utf8(accept.as_bytes()).expect("base64 is ASCII");
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        stream.write_all(&[answer.as_bytes(), said].concat()).await.expect("sent");
        tell.send(unmasked(&rest(&mut stream).await)).expect("the test waits");
    });
    let socket = Client::new().connect(&format!("ws://{address}/")).await.expect("open");
    (socket, heard)
}

/// The short masked frames in here: first byte and payload.
fn unmasked(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let [first, length, a, b, c, d, behind @ ..] = bytes {
        let (payload, behind) = behind.split_at(usize::from(length & 0x7F));
        let payload = payload.iter().zip([a, b, c, d].into_iter().cycle());
        frames.push([*first].into_iter().chain(payload.map(|(byte, key)| byte ^ key)).collect());
        bytes = behind;
    }
    assert!(bytes.is_empty(), "cut: {bytes:?}");
    frames
}

/// An echo that lets everybody else run before each answer.
async fn slow_echo(mut socket: WebSocket) -> WebSocket {
    while let Some(message) = socket.recv().await {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        socket.send(message).expect("open");
    }
    socket
}

#[tokio::test]
async fn a_client_answers_from_another_task() {
    for (last, answer) in [
        (&b"\x81\x02hi\x82\x01\x07\x88\x02\x0F\xA0"[..], &b"\x88\x0F\xA0"[..]),
        // An opcode that has no meaning.
        (b"\x81\x02hi\x82\x01\x07\x83\x00", b"\x88\x03\xEA"),
    ] {
        let (socket, heard) = server_that_says(last).await;
        let socket = within(slow_echo(socket)).await;
        let frames = within(heard).await.expect("all that was said");
        assert_eq!(frames, [&b"\x81hi"[..], b"\x82\x07", answer]);
        let why = within(socket.closed()).await.why;
        assert!(matches!(why, Why::Peer(Some(_)) | Why::Refused(_)), "{why}");
    }
}

#[tokio::test]
async fn a_server_answers_from_its_handler_and_from_another_task() {
    let own = Server::new(|socket| async { drop(slow_echo(socket).await) });
    let other = Server::new(|socket| {
        drop(tokio::spawn(slow_echo(socket)));
        async {}
    });
    for server in [own, other] {
        let mut peer = client_of(&server).await;
        let said = b"\x81\x82\0\0\0\0hi\x82\x81\0\0\0\0\x07\x88\x82\0\0\0\0\x0F\xA0";
        peer.write_all(said).await.expect("sent");
        assert_eq!(rest(&mut peer).await, b"\x81\x02hi\x82\x01\x07\x88\x02\x0F\xA0");
    }
}

#[tokio::test]
async fn who_takes_its_time_gets_less_than_it_wants() {
    // Nobody takes what came, and somebody never answers what he took.
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::new(move |socket: WebSocket| {
        tell.send(socket).expect("heard");
        async {}
    });
    for takes in [false, true] {
        let mut peer = client_of(&server).await;
        peer.write_all(b"\x81\x82\0\0\0\0hi\x88\x82\0\0\0\0\x0F\xA0").await.expect("sent");
        let mut socket = within(told.recv()).await.expect("a socket");
        if takes {
            assert_eq!(within(socket.recv()).await, Some(Message::from("hi")));
        }
        assert_eq!(rest(&mut peer).await, b"\x88\x02\x0F\xA0");
        drop(peer);
        assert!(matches!(within(socket.closed()).await.why, Why::Peer(Some(_))));
        // What was not taken in time is still there.
        let left = if takes { None } else { Some(Message::from("hi")) };
        assert_eq!(within(socket.recv()).await, left);
    }
}

#[tokio::test]
async fn a_handle_that_closes_after_the_peer_did_changes_nothing_but_the_waiting() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::new(move |mut socket: WebSocket| {
        let tell = tell.clone();
        async move {
            let hi = socket.recv().await.expect("a message");
            // By now the peer's close is there, and waits for what becomes of this.
            tokio::task::yield_now().await;
            socket.send(hi).expect("open");
            socket.close(CloseCode::NORMAL, "mine");
            tell.send(socket.closed().await).expect("heard");
        }
    });
    let mut peer = client_of(&server).await;
    peer.write_all(b"\x81\x82\0\0\0\0hi\x88\x82\0\0\0\0\x0F\xA0").await.expect("sent");
    assert_eq!(rest(&mut peer).await, b"\x81\x02hi\x88\x02\x0F\xA0");
    drop(peer);
    let ending = within(told.recv()).await.expect("an ending");
    let Why::Peer(Some((code, _))) = ending.why else { panic!("{ending}") };
    assert!(ending.clean);
    assert_eq!(code.get(), 4000);
}
