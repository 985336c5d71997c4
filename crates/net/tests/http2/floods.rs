//! Peers that send much of what costs them little.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use sockeye_net::websocket::Server;
use sockeye_net::{Gate, Listening, TurnedAway};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::peer::Peer;
use crate::raw::{
    CONTINUATION, DATA, GET, GOAWAY, HEADERS, PING, Raw, SETTINGS, block, code, frame,
};
use crate::{echo, serve, within};

const ENHANCE_YOUR_CALM: u32 = 11;

#[tokio::test]
async fn a_head_without_an_end_ends_its_connection() {
    // As many lines as there is room for, and lines of which nothing is ever complete.
    let lines = block(&[("x", "y"); 2000]);
    let endless = [&[0, 1, b'x', 0x7F, 0xFF, 0xFF, 0xFF, 0x07][..], &[b'z'; 16_000]].concat();
    for (first, rest) in
        [(&lines, &lines), (&Vec::new(), &Vec::new()), (&endless, &vec![b'z'; 16_000])]
    {
        let mut raw = Raw::client(serve(&Server::new(echo)).await).await;
        raw.send(&frame(HEADERS, 0, 1, &[&block(GET), &first[..]].concat())).await;
        let mut sent = 0;
        while sent < 1_000 && raw.try_send(&frame(CONTINUATION, 0, 1, rest)).await.is_ok() {
            sent += 1;
        }
        let mut reason = None;
        while let Some(frame) = raw.next().await {
            if frame.kind == GOAWAY {
                reason = Some(code(&frame.payload[4..]));
            }
        }
        // Or COMPRESSION_ERROR; a reset may have destroyed what it said.
        assert!(
            reason.is_none_or(|reason| reason == ENHANCE_YOUR_CALM || reason == 9),
            "{reason:?}"
        );
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_and_the_connection_lives_on() {
    let mut peer = Peer::connect(serve(&Server::new(echo)).await).await;
    let large: &str = "x".repeat(20_000).leak();
    let (status, ..) = peer.ask(Method::GET, None, &[("x-large", large)]).await;
    assert_eq!(status, 431);
    let fits: &str = "x".repeat(15_000).leak();
    let (status, ..) = peer.ask(Method::GET, None, &[("x-large", fits)]).await;
    assert_eq!(status, 405);
}

/// Frames that must be answered, by a client that does not read the answers.
#[tokio::test]
async fn who_reads_no_answers_is_not_read_from_and_is_given_up() {
    for flood in [frame(PING, 0, 0, b"12345678"), frame(SETTINGS, 0, 0, &[])] {
        let listening =
            Listening { write_timeout: Duration::from_millis(50), ..Listening::default() };
        let gate = Arc::new(Gate::new(listening));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let closing = watch::Sender::new(false);
        let endpoint = crate::requests::Mirror;
        tokio::spawn(sockeye_net::accept(listener, endpoint, gate.clone(), closing.subscribe()));
        let mut raw = Raw::client(address).await;
        let flood = flood.repeat(4096);
        // It ends by the server's doing: nothing else ends it.
        while raw.try_send(&flood).await.is_ok() {}
        let slow = TurnedAway::WriteTimeout.index();
        within(async {
            while gate.turned_away()[slow] == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn pieces_of_nothing_end_their_connection() {
    let mut raw = Raw::client(serve(&Server::new(echo)).await).await;
    raw.open(1).await;
    raw.send(&frame(DATA, 0, 1, b"").repeat(101)).await;
    assert!(raw.ends_with(ENHANCE_YOUR_CALM).await);
}
