//! How WebSockets and their connection end.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::Method;
use sockeye_net::Listening;
use sockeye_net::websocket::{Ending, Server, WebSocket, Why};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::peer::Peer;
use crate::raw::{END_STREAM, GET, Raw};
use crate::{client, echo, serve, within};

/// A server that tells how each of its WebSockets ended.
fn teller() -> (Server, mpsc::UnboundedReceiver<Ending>) {
    let (tell, told) = mpsc::unbounded_channel();
    let server = Server::new(move |mut socket: WebSocket| {
        let tell = tell.clone();
        async move {
            while socket.recv().await.is_some() {}
            tell.send(socket.closed().await).expect("heard");
        }
    });
    (server, told)
}

#[tokio::test]
async fn a_stream_that_ends_or_is_reset_is_lost_and_the_others_live_on() {
    let (server, mut told) = teller();
    let mut peer = Peer::connect(serve(&server).await).await;
    let mut lives = peer.open(&[]).await;

    let mut stream = peer.open(&[]).await;
    stream.sender.send_data(Bytes::new(), true).expect("open");
    let ending = within(told.recv()).await.expect("an ending");
    assert!(matches!(ending.why, Why::Lost(None)) && !ending.clean, "{ending}");

    let mut stream = peer.open(&[]).await;
    stream.sender.send_reset(Reason::CANCEL);
    let ending = within(told.recv()).await.expect("an ending");
    let Why::Lost(Some(error)) = ending.why else { panic!("{ending}") };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");

    // Dropped without a word: h2 resets it.
    drop(peer.open(&[]).await);
    let ending = within(told.recv()).await.expect("an ending");
    assert!(matches!(ending.why, Why::Lost(Some(_))), "{ending}");

    lives.send(b"\x89\x81\0\0\0\0p");
    assert_eq!(lives.read(3).await, b"\x8A\x01p");
}

#[tokio::test]
async fn a_connection_that_ends_takes_its_websockets_with_it() {
    let (server, mut told) = teller();
    let mut peer = Peer::connect(serve(&server).await).await;
    let _streams = [peer.open(&[]).await, peer.open(&[]).await];
    assert_eq!(server.connections(), 2);
    peer.connection.abort();
    for _ in 0..2 {
        let ending = within(told.recv()).await.expect("an ending");
        assert!(matches!(ending.why, Why::Lost(_)) && !ending.clean, "{ending}");
    }
}

#[tokio::test]
async fn a_stalled_websocket_notices_that_its_stream_was_reset() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let options = sockeye_net::websocket::Options { max_unread_bytes: 1, ..Default::default() };
    let server = Server::builder(move |socket: WebSocket| {
        tell.send(socket).expect("heard");
        async {}
    });
    let mut peer = Peer::connect(serve(&server.options(options).build()).await).await;
    let mut stream = peer.open(&[]).await;
    let unread = told.recv().await.expect("a socket");
    stream.send(b"\x81\x81\0\0\0\0a\x81\x81\0\0\0\0b");
    stream.sender.send_reset(Reason::CANCEL);
    let ending = within(unread.closed()).await;
    assert!(matches!(ending.why, Why::Lost(_)), "{ending}");
}

#[tokio::test]
async fn a_closing_server_says_goaway_and_lets_websockets_close() {
    let server = Server::new(echo);
    let mut peer = Peer::connect(serve(&server).await).await;
    let mut stream = peer.open(&[]).await;
    let closing = tokio::spawn({
        let server = server.clone();
        async move { server.close().await }
    });
    assert_eq!(stream.read(4).await, b"\x88\x02\x03\xE9");
    stream.send(b"\x88\x82\0\0\0\0\x03\xE9");
    assert_eq!(stream.rest().await.expect("a good end"), b"");
    stream.sender.send_data(Bytes::new(), true).expect("open");
    within(closing).await.expect("it closes");
    within(peer.connection).await.expect("it ends").expect("a good end");
}

#[tokio::test]
async fn a_closing_server_does_not_wait_for_an_idle_client() {
    let head_timeout = Duration::from_secs(3600);
    let listening = Listening { head_timeout, ..Listening::default() };
    let server = Server::builder(echo).listening(listening).build();
    let mut raw = Raw::client(serve(&server).await).await;
    raw.headers(1, END_STREAM, GET).await;
    raw.answer(1).await.expect("an answer");
    within(server.close()).await;
    // It is told so, does not answer the PING that goes with that, and is not waited for.
    assert!(raw.ends_with(0).await);
    while raw.next().await.is_some() {}
}

#[tokio::test]
async fn a_client_of_a_closing_server_hears_the_code() {
    let server = Server::new(echo);
    let address = serve(&server).await;
    let socket = client().connect(&format!("ws://{address}/")).await.expect("open");
    within(server.close()).await;
    let ending = within(socket.closed()).await;
    assert!(ending.clean, "{ending}");
    assert!(matches!(ending.why, Why::Peer(Some((code, _))) if code.get() == 1001), "{ending}");
}

#[tokio::test]
async fn an_idle_connection_ends_and_one_with_a_websocket_stays() {
    let listening = Listening { head_timeout: Duration::from_millis(500), ..Listening::default() };
    let address = serve(&Server::builder(echo).listening(listening).build()).await;
    let mut busy = Peer::connect(address).await;
    let mut stream = busy.open(&[]).await;
    // Told by GOAWAY, which is a good end.
    let idle = Peer::connect(address).await;
    within(idle.connection).await.expect("it ends").expect("a good end");
    // One that says nothing at all, and one that begins and goes no further.
    let mut silent = TcpStream::connect(address).await.expect("connected");
    assert_eq!(within(silent.read(&mut [0; 1])).await.expect("an end"), 0);
    stream.send(b"\x81\x81\0\0\0\0x");
    assert_eq!(stream.read(3).await, b"\x81\x01x");
    // And once its last stream has ended, it is idle.
    stream.send(b"\x88\x80\0\0\0\0");
    assert_eq!(stream.rest().await.expect("a good end"), b"\x88\0");
    drop(stream);
    within(busy.connection).await.expect("it ends").expect("a good end");
}

/// Looking whether it is HTTP/2 and reading the head of HTTP/1.1 have one deadline together.
#[tokio::test]
async fn a_beginning_that_might_be_http2_gives_no_more_time_for_a_head() {
    const PATIENCE: Duration = Duration::from_secs(1);
    let listening = Listening { head_timeout: PATIENCE, ..Listening::default() };
    let address = serve(&Server::builder(echo).listening(listening).build()).await;
    let (ended, mut ends) = mpsc::unbounded_channel();
    let until_its_end = |mut stream: TcpStream, name| {
        let ended = ended.clone();
        tokio::spawn(async move {
            let _ = stream.read_to_end(&mut Vec::new()).await;
            ended.send(name).expect("it is awaited");
        });
    };
    let mut slow = TcpStream::connect(address).await.expect("connected");
    slow.write_all(b"P").await.expect("sent");
    tokio::time::sleep(PATIENCE / 4).await;
    until_its_end(TcpStream::connect(address).await.expect("connected"), "the later one");
    tokio::time::sleep(PATIENCE / 4).await;
    // Now it is known to be HTTP/1.1, and has half of the time left.
    slow.write_all(b"OST / HTTP/1.1\r\n").await.expect("sent");
    until_its_end(slow, "the slow one");
    assert_eq!(within(ends.recv()).await, Some("the slow one"));
    assert_eq!(within(ends.recv()).await, Some("the later one"));
}

#[tokio::test]
async fn an_answer_that_is_not_taken_is_given_up() {
    let listening = Listening { write_timeout: Duration::from_millis(50), ..Listening::default() };
    let gate = std::sync::Arc::new(sockeye_net::Gate::new(listening));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let closing = tokio::sync::watch::Sender::new(false);
    let large = crate::requests::Large(200_000);
    tokio::spawn(sockeye_net::accept(listener, large, gate.clone(), closing.subscribe()));
    let mut peer = Peer::connect(address).await;
    let (answer, _) = peer.request(Method::GET, "/", None, &[]).await;
    let mut answer = within(answer).await.expect("an answer");
    let body = answer.body_mut();
    let error = loop {
        // Nothing is given back, so 65 535 bytes are all that may come.
        match within(body.data()).await.expect("no good end") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.reason(), Some(Reason::CANCEL), "{error}");
    let slow = sockeye_net::TurnedAway::WriteTimeout.index();
    assert_eq!(gate.turned_away()[slow], 1);
}

#[tokio::test]
async fn streams_that_are_reset_at_once_end_their_connection() {
    let address = serve(&Server::new(echo)).await;
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let mut flood = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for id in (1..=2001_u32).step_by(2) {
        // :method GET, :scheme http, :path /, from HPACK's static table; then RST_STREAM, CANCEL.
        flood.extend_from_slice(b"\0\0\x03\x01\x05");
        flood.extend_from_slice(&id.to_be_bytes());
        flood.extend_from_slice(b"\x82\x86\x84\0\0\x04\x03\0");
        flood.extend_from_slice(&id.to_be_bytes());
        flood.extend_from_slice(&8_u32.to_be_bytes());
    }
    // It may be over before all of it is sent.
    let _ = stream.write_all(&flood).await;
    let mut said = Vec::new();
    let _ = within(stream.read_to_end(&mut said)).await;
    // The last frame is GOAWAY, with ENHANCE_YOUR_CALM as its reason.
    let calm = 11_u32.to_be_bytes();
    let is_goaway = |frame: &[u8]| frame[3] == 7 && frame[13..17] == calm;
    assert!(said.windows(17).any(is_goaway), "{said:?}");
}
