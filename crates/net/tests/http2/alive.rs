//! Peers that are gone without a word.

use std::time::Duration;

use sockeye_net::dial::KeepAlive;
use sockeye_net::websocket::{Options, Server, WebSocket, Why};
use sockeye_net::{Http2, Listening};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::raw::{ACK, DATA, HEADERS, PING, Raw, frame};
use crate::{client, serve, within};

fn short() -> KeepAlive {
    let moment = Duration::from_millis(300);
    KeepAlive { ping_interval: Some(moment), pong_timeout: moment }
}

/// No WebSocket asks by itself.
fn quiet() -> Options {
    Options { ping_interval: None, ..Options::default() }
}

#[tokio::test]
async fn a_server_asks_a_silent_client_and_gives_it_up() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::builder(move |socket: WebSocket| {
        tell.send(socket).expect("heard");
        async {}
    });
    let http2 = Some(Http2 { keep_alive: short(), ..Http2::default() });
    let server = server.options(quiet()).http2(http2).build();
    let mut raw = Raw::client(serve(&server).await).await;
    raw.open(1).await;
    raw.open(3).await;
    let sockets = [told.recv().await.expect("one"), told.recv().await.expect("another")];
    // Who answers is asked again, and lives.
    for _ in 0..3 {
        let ping = raw.next_of(PING).await.expect("a question");
        assert_eq!(ping.flags, 0);
        raw.send(&frame(PING, ACK, 0, &ping.payload)).await;
    }
    raw.send(&frame(DATA, 0, 1, b"\x89\x80\0\0\0\0")).await;
    assert_eq!(raw.next_of(DATA).await.expect("a pong").payload, b"\x8A\0");
    // Who does not is gone, with all its WebSockets.
    for socket in sockets {
        let ending = within(socket.closed()).await;
        assert!(matches!(ending.why, Why::Lost(_)), "{ending}");
    }
    while raw.next().await.is_some() {}
}

#[tokio::test]
async fn a_server_counts_whom_it_gave_up() {
    let listening = Listening {
        http2: Some(Http2 { keep_alive: short(), ..Http2::default() }),
        ..Listening::default()
    };
    let gate = std::sync::Arc::new(sockeye_net::Gate::new(listening));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let closing = tokio::sync::watch::Sender::new(false);
    let mirror = crate::requests::Mirror;
    tokio::spawn(sockeye_net::accept(listener, mirror, gate.clone(), closing.subscribe()));
    // A body that never ends is what is waited for.
    let mut raw = Raw::client(address).await;
    let mut post = crate::raw::GET.to_vec();
    post[0].1 = "POST";
    raw.headers(1, 0, &post).await;
    while raw.next().await.is_some() {}
    assert_eq!(gate.turned_away()[sockeye_net::TurnedAway::PongTimeout.index()], 1);
}

#[tokio::test]
async fn a_client_asks_a_silent_server_and_gives_it_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}/", listener.local_addr().expect("bound"));
    let client = client().options(quiet()).keep_alive(short());
    let opening = tokio::spawn(async move { client.connect(&url).await });
    let (stream, _) = within(listener.accept()).await.expect("a connection");
    let mut raw = Raw::server(stream).await;
    assert_eq!(raw.next_of(HEADERS).await.expect("a request").stream, 1);
    raw.send(&frame(HEADERS, 4, 1, b"\x88")).await;
    let socket = within(opening).await.expect("no panic").expect("open");
    for _ in 0..3 {
        let ping = raw.next_of(PING).await.expect("a question");
        raw.send(&frame(PING, ACK, 0, &ping.payload)).await;
    }
    let ending = within(socket.closed()).await;
    assert!(matches!(ending.why, Why::Lost(_)), "{ending}");
    while raw.next().await.is_some() {}
}

#[tokio::test]
async fn a_client_whose_websockets_are_gone_does_not_wait_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}/", listener.local_addr().expect("bound"));
    let client = client().options(quiet()).keep_alive(short());
    let opening = tokio::spawn(async move { client.connect(&url).await });
    let (stream, _) = within(listener.accept()).await.expect("a connection");
    let mut raw = Raw::server(stream).await;
    raw.next_of(HEADERS).await.expect("a request");
    // A window that lets it send more than the kernel takes, and nobody who reads that.
    raw.send(&frame(8, 0, 0, &[0x7F, 0, 0, 0])).await;
    raw.send(&frame(8, 0, 1, &[0x7F, 0, 0, 0])).await;
    raw.send(&frame(HEADERS, 4, 1, b"\x88")).await;
    let socket = within(opening).await.expect("no panic").expect("open");
    while socket.try_send(vec![0; 60_000]).is_ok() {
        tokio::task::yield_now().await;
    }
    drop(socket);
    // The client's end is closed with what is left unsent, so that this ends.
    while raw.next().await.is_some() {}
}
