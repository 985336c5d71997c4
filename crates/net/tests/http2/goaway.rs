//! When our own client sends a request once more, and above all when it does not (RFC 9113 §8.7).

use std::time::Duration;

use sockeye_net::dial::{Error, Http2Error, Phase, Timeouts};
use sockeye_net::websocket::{Client, WebSocket, Why};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::raw::{DATA, GOAWAY, HEADERS, RST_STREAM, Raw, frame};
use crate::{client, within};

type Opening = JoinHandle<Result<WebSocket, Error>>;

/// A client, and a server's end of its connections.
struct Scene {
    client: Client,
    url: String,
    listener: TcpListener,
}

impl Scene {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("ws://{}/", listener.local_addr().expect("bound"));
        Self { client: client(), url, listener }
    }

    fn connect(&self) -> Opening {
        let (client, url) = (self.client.clone(), self.url.clone());
        tokio::spawn(async move { client.connect(&url).await })
    }

    async fn accept(&self) -> Raw {
        let (stream, _) = within(self.listener.accept()).await.expect("a connection");
        Raw::server(stream).await
    }

    /// A connection with one WebSocket.
    async fn open(&self) -> (Raw, WebSocket) {
        let opening = self.connect();
        let mut raw = self.accept().await;
        assert_eq!(raw.next_of(HEADERS).await.expect("a request").stream, 1);
        raw.send(&frame(HEADERS, 4, 1, b"\x88")).await;
        (raw, opened(opening).await)
    }
}

async fn opened(opening: Opening) -> WebSocket {
    within(opening).await.expect("no panic").expect("open")
}

async fn failed(opening: Opening) -> Error {
    within(opening).await.expect("no panic").expect_err("no WebSocket")
}

/// GOAWAY with the last stream that was seen.
fn goaway(last: u32, reason: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), reason.to_be_bytes()].concat())
}

#[tokio::test]
async fn a_request_behind_the_last_stream_is_sent_again() {
    for reason in [0, 2] {
        let scene = Scene::new().await;
        let (mut raw, socket) = scene.open().await;
        let opening = scene.connect();
        assert_eq!(raw.next_of(HEADERS).await.expect("a request").stream, 3);
        raw.send(&goaway(1, reason)).await;
        let mut other = scene.accept().await;
        assert_eq!(other.next_of(HEADERS).await.expect("the request").stream, 1);
        other.send(&frame(HEADERS, 4, 1, b"\x88")).await;
        let again = opened(opening).await;
        // The first one is still open: GOAWAY ends nothing by itself (RFC 9113 §6.8).
        raw.send(&frame(DATA, 0, 1, b"\x81\x02hi")).await;
        let mut socket = socket;
        assert_eq!(within(socket.recv()).await.expect("a message").as_text(), Some("hi"));
        drop(again);
    }
}

#[tokio::test]
async fn a_request_that_may_have_been_processed_is_not_sent_again() {
    // A GOAWAY that counts it in, one that is no help, a reset for another reason, and nothing at all.
    let most = (1 << 31) - 1;
    for (says, ends) in [
        (goaway(3, 0), true),
        (goaway(3, 2), true),
        (goaway(most, 0), true),
        (frame(RST_STREAM, 0, 3, &2_u32.to_be_bytes()), false),
        (frame(RST_STREAM, 0, 3, &8_u32.to_be_bytes()), false),
        (Vec::new(), true),
    ] {
        let scene = Scene::new().await;
        let (mut raw, socket) = scene.open().await;
        let opening = scene.connect();
        assert_eq!(raw.next_of(HEADERS).await.expect("a request").stream, 3);
        raw.send(&says).await;
        if ends {
            drop(raw);
        }
        let error = tokio::select! {
            error = failed(opening) => error,
            _ = scene.listener.accept() => panic!("it is sent again: {says:?}"),
        };
        assert!(matches!(error, Error::Http2(Http2Error::Broken(_))), "{says:?}: {error:?}");
        drop(socket);
    }
}

#[tokio::test]
async fn a_request_that_is_refused_on_a_fresh_connection_is_not_sent_again() {
    for says in [goaway(0, 0), frame(RST_STREAM, 0, 1, &7_u32.to_be_bytes())] {
        let scene = Scene::new().await;
        let opening = scene.connect();
        let mut raw = scene.accept().await;
        raw.next_of(HEADERS).await.expect("a request");
        raw.send(&says).await;
        let error = tokio::select! {
            error = failed(opening) => error,
            _ = scene.listener.accept() => panic!("it is sent again: {says:?}"),
        };
        assert!(matches!(error, Error::Http2(Http2Error::NotBegun(_))), "{says:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_connection_that_is_about_to_end_gets_no_more_websockets() {
    let scene = Scene::new().await;
    let (mut raw, mut socket) = scene.open().await;
    raw.send(&goaway((1 << 31) - 1, 0)).await;
    // What comes behind it, it has been read before.
    raw.send(&frame(DATA, 0, 1, b"\x81\x02hi")).await;
    assert_eq!(within(socket.recv()).await.expect("a message").as_text(), Some("hi"));
    let opening = scene.connect();
    let mut other = scene.accept().await;
    other.next_of(HEADERS).await.expect("a request");
    other.send(&frame(HEADERS, 4, 1, b"\x88")).await;
    let second = opened(opening).await;
    // And ends when its last WebSocket has.
    raw.send(&frame(DATA, 1, 1, b"\x88\x02\x03\xE9")).await;
    let ending = within(socket.closed()).await;
    assert!(ending.clean && matches!(ending.why, Why::Peer(_)), "{ending}");
    while raw.next().await.is_some() {}
    drop(second);
}

#[tokio::test]
async fn one_that_was_refused_forgets_only_the_connection_that_refused_it() {
    let scene = Scene::new().await;
    let (mut first, _one) = scene.open().await;
    let refused = [scene.connect(), scene.connect()];
    for id in [3, 5] {
        assert_eq!(first.next_of(HEADERS).await.expect("a request").stream, id);
    }
    first.send(&frame(RST_STREAM, 0, 3, &7_u32.to_be_bytes())).await;
    let mut second = scene.accept().await;
    assert_eq!(second.next_of(HEADERS).await.expect("a request").stream, 1);
    // The other one is refused when there is a new connection already, and takes that.
    first.send(&frame(RST_STREAM, 0, 5, &7_u32.to_be_bytes())).await;
    assert_eq!(second.next_of(HEADERS).await.expect("a request").stream, 3);
    for id in [1, 3] {
        second.send(&frame(HEADERS, 4, id, b"\x88")).await;
    }
    for opening in refused {
        opened(opening).await;
    }
}

#[tokio::test]
async fn a_server_that_never_sends_its_settings_is_waited_for_in_vain() {
    let scene = Scene::new().await;
    let timeouts = Timeouts { http: Duration::from_millis(50), ..Timeouts::default() };
    let client = scene.client.clone().timeouts(timeouts);
    let url = scene.url.clone();
    let opening: Opening = tokio::spawn(async move { client.connect(&url).await });
    let (stream, _) = within(scene.listener.accept()).await.expect("a connection");
    let mut raw = Raw::silent_server(stream).await;
    let error = failed(opening).await;
    assert!(matches!(error, Error::Timeout { phase: Phase::Http, .. }), "{error:?}");
    // And its connection is closed, without a request on it.
    while let Some(frame) = raw.next().await {
        assert_ne!(frame.kind, HEADERS, "{frame:?}");
    }
}

#[tokio::test]
async fn a_stream_that_the_server_ends_is_lost() {
    let scene = Scene::new().await;
    let (mut raw, socket) = scene.open().await;
    raw.send(&frame(DATA, 1, 1, b"")).await;
    let ending = within(socket.closed()).await;
    assert!(matches!(ending.why, Why::Lost(None)) && !ending.clean, "{ending}");
}

#[tokio::test]
async fn who_was_refused_waits_for_another_dial_no_longer_than_for_its_own() {
    let scene = Scene::new().await;
    let (mut first, mut socket) = scene.open().await;
    let total = Duration::from_secs(1);
    let client = scene.client.clone().timeouts(Timeouts { total, ..Timeouts::default() });
    let url = scene.url.clone();
    let impatient: Opening = tokio::spawn(async move { client.connect(&url).await });
    assert_eq!(first.next_of(HEADERS).await.expect("a request").stream, 3);
    // The next one needs another connection, whose server says nothing.
    first.send(&goaway((1 << 31) - 1, 0)).await;
    first.send(&frame(DATA, 0, 1, b"\x81\x02hi")).await;
    assert_eq!(within(socket.recv()).await.expect("a message").as_text(), Some("hi"));
    let patient = scene.connect();
    let (stream, _) = within(scene.listener.accept()).await.expect("a connection");
    let _silent = Raw::silent_server(stream).await;
    first.send(&frame(RST_STREAM, 0, 3, &7_u32.to_be_bytes())).await;
    let error = failed(impatient).await;
    assert!(matches!(error, Error::Timeout { is_total: true, .. }), "{error:?}");
    assert!(!patient.is_finished(), "the other one has its ten seconds");
    patient.abort();
}
