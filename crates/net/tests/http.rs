//! The HTTP part of a connection's life: ordinary answers, the upgrade, the end.

mod common;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use common::{Site, UPGRADE_TO_ECHO, switching_protocols};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use sockeye_net::http::{full, take_over};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Far below the time that an idle connection is allowed to wait with its next request.
const DEADLINE: Duration = Duration::from_secs(10);

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.expect("not done within the deadline")
}

struct Host {
    site: Site,
    address: SocketAddr,
    closing: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Host {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (site, closing) = (Site::new(), watch::Sender::new(false));
        let accept =
            sockeye_net::accept(listener, site.clone(), Default::default(), closing.subscribe());
        Self { site, address, closing, accepting: tokio::spawn(accept) }
    }

    async fn connect(&self) -> TcpStream {
        within(TcpStream::connect(self.address)).await.expect("the server listens")
    }
}

/// Sends a request and reads its answer, whose body must be this.
async fn get(client: &mut (impl AsyncRead + AsyncWrite + Unpin), path: &str, body: &str) -> String {
    request(client, path).await;
    answer(client, body).await
}

async fn request(client: &mut (impl AsyncWrite + Unpin), path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: example.org\r\n\r\n");
    within(client.write_all(request.as_bytes())).await.expect("the server reads");
}

/// Reads an answer with this body; returns its head.
async fn answer(client: &mut (impl AsyncRead + Unpin), body: &str) -> String {
    let head = head(client).await;
    let mut found = vec![0; body.len()];
    within(client.read_exact(&mut found)).await.expect("a body");
    assert_eq!(String::from_utf8_lossy(&found), body);
    head
}

/// Reads a head and nothing behind it.
async fn head(client: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(client.read_u8()).await.expect("the server answers"));
    }
    String::from_utf8(head).expect("a head is text")
}

async fn assert_ended(client: &mut (impl AsyncRead + Unpin)) {
    let mut rest = Vec::new();
    within(client.read_to_end(&mut rest)).await.expect("a proper end");
    assert_eq!(String::from_utf8_lossy(&rest), "");
}

/// Shakes hands, with these bytes right behind the request.
async fn upgrade(client: &mut (impl AsyncRead + AsyncWrite + Unpin), behind: &[u8]) {
    let request = [UPGRADE_TO_ECHO.as_bytes(), behind].concat();
    within(client.write_all(&request)).await.expect("the server reads");
    let head = head(client).await;
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    let accept = "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    assert!(head.to_lowercase().contains(&accept.to_lowercase()), "{head}");
    assert!(head.contains(accept.split_once(": ").expect("a header").1), "{head}");
}

/// A text frame of a client, masked with zeros.
fn text(text: &str) -> Vec<u8> {
    [&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], text.as_bytes()].concat()
}

async fn assert_echoed(client: &mut (impl AsyncRead + Unpin), texts: &[&str]) {
    for text in texts {
        let expected = [&[0x81, text.len() as u8], text.as_bytes()].concat();
        let mut found = vec![0; expected.len()];
        within(client.read_exact(&mut found)).await.expect("an echo");
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn a_connection_is_kept_alive_from_answer_to_answer() {
    let host = Host::start().await;
    let mut client = host.connect().await;
    for _ in 0..3 {
        assert!(get(&mut client, "/hello", "hello").await.starts_with("HTTP/1.1 200 "));
        assert!(get(&mut client, "/other", "not found").await.starts_with("HTTP/1.1 404 "));
    }
    upgrade(&mut client, b"").await;
    within(client.write_all(&text("after all that"))).await.expect("the server reads");
    assert_echoed(&mut client, &["after all that"]).await;
}

#[tokio::test]
async fn what_was_sent_behind_the_handshake_is_not_lost() {
    let host = Host::start().await;
    let frames = [text("one"), text("two"), text("three")].concat();
    for cut in 0..=frames.len() {
        let mut client = host.connect().await;
        upgrade(&mut client, &frames[..cut]).await;
        within(client.write_all(&frames[cut..])).await.expect("the server reads");
        assert_echoed(&mut client, &["one", "two", "three"]).await;
    }
}

#[tokio::test]
async fn a_handshake_that_arrives_byte_by_byte() {
    let host = Host::start().await;
    let mut client = host.connect().await;
    client.set_nodelay(true).expect("a TCP socket");
    for byte in UPGRADE_TO_ECHO.as_bytes() {
        within(client.write_all(&[*byte])).await.expect("the server reads");
        tokio::task::yield_now().await;
    }
    upgrade_answered(&mut client).await;
    within(client.write_all(&text("hi"))).await.expect("the server reads");
    assert_echoed(&mut client, &["hi"]).await;
}

async fn upgrade_answered(client: &mut TcpStream) {
    assert!(head(client).await.starts_with("HTTP/1.1 101 "));
}

#[tokio::test]
async fn closing_ends_idle_connections_and_lets_the_others_finish() {
    let host = Host::start().await;
    let (mut fresh, mut idle, mut busy, mut upgraded) =
        (host.connect().await, host.connect().await, host.connect().await, host.connect().await);
    get(&mut idle, "/hello", "hello").await;
    request(&mut busy, "/slow").await;
    upgrade(&mut upgraded, b"").await;
    // The request for the slow answer has been read: its handler waits.
    within(async {
        while host.site.slow_requests() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;

    host.closing.send_replace(true);
    let Host { site, accepting, closing: _closing, .. } = host;
    within(accepting).await.expect("accepting ends by itself");
    assert_ended(&mut idle).await;
    assert_ended(&mut fresh).await;
    site.permits.add_permits(1);
    answer(&mut busy, "at last").await;
    assert_ended(&mut busy).await;
    within(upgraded.write_all(&text("still here"))).await.expect("the server reads");
    assert_echoed(&mut upgraded, &["still here"]).await;
}

#[tokio::test]
async fn who_drops_the_accepting_keeps_what_was_accepted() {
    let host = Host::start().await;
    let (mut plain, mut upgraded) = (host.connect().await, host.connect().await);
    get(&mut plain, "/hello", "hello").await;
    upgrade(&mut upgraded, b"").await;

    host.accepting.abort();
    assert!(within(host.accepting).await.expect_err("it was aborted").is_cancelled());
    let refused = within(TcpStream::connect(host.address)).await;
    assert!(refused.is_err(), "nobody listens any more");
    get(&mut plain, "/hello", "hello").await;
    within(upgraded.write_all(&text("still here"))).await.expect("the server reads");
    assert_echoed(&mut upgraded, &["still here"]).await;
    drop(host.closing);
}

#[tokio::test]
async fn a_request_that_is_no_http_ends_that_connection_alone() {
    let host = Host::start().await;
    let (mut bad, mut good) = (host.connect().await, host.connect().await);
    within(bad.write_all(b"\x16\x03\x01\x02\x00\x01\r\n\r\n")).await.expect("the server reads");
    let mut all = Vec::new();
    // Whether an answer comes or just the end is hyper's affair.
    let _ = within(bad.read_to_end(&mut all)).await;
    assert!(all.is_empty() || all.starts_with(b"HTTP/1.1 400 "));
    get(&mut good, "/hello", "hello").await;
}

#[tokio::test]
async fn another_server_hands_over_its_tcp_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let frames = [text("one"), text("two")].concat();
    for cut in 0..=frames.len() {
        let mut client = within(TcpStream::connect(address)).await.expect("it listens");
        let (stream, _) = within(listener.accept()).await.expect("a connection");
        hand_over(stream);
        upgrade(&mut client, &frames[..cut]).await;
        within(client.write_all(&frames[cut..])).await.expect("the server reads");
        assert_echoed(&mut client, &["one", "two"]).await;
    }
}

#[tokio::test]
async fn another_server_hands_over_a_stream_of_its_own_kind() {
    let frames = [text("one"), text("two")].concat();
    for cut in 0..=frames.len() {
        let (mut client, stream) = tokio::io::duplex(1024);
        hand_over(stream);
        upgrade(&mut client, &frames[..cut]).await;
        within(client.write_all(&frames[cut..])).await.expect("the server reads");
        assert_echoed(&mut client, &["one", "two"]).await;
    }
}

/// Serves one connection as axum does.
fn hand_over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let site = Site::new();
    let service = service_fn(move |mut request| {
        let echo = site.echo();
        async move {
            let response = switching_protocols(&request);
            tokio::spawn(take_over(hyper::upgrade::on(&mut request), echo));
            Ok::<_, Infallible>(response.map(|()| full(Bytes::new())))
        }
    });
    tokio::spawn(async move {
        let builder = auto::Builder::new(TokioExecutor::new());
        let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
        served.expect("HTTP without errors");
    });
}
