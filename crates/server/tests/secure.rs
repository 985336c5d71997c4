//! What a handshake says of TLS, over real connections.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;

use http::Request;
use sockeye_net::tls::{Acceptor, ClientConfig, Connector, Identity, ServerConfig, Stream};
use sockeye_server::OverTls;
use sockeye_server::engine::{Connection, Engine};
use sockeye_testkit::deadline::within;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const TARGET: &str = "/engine.io/?EIO=4&transport=polling";

/// An engine that tells of every session whether its client speaks TLS.
fn engine(tls: Option<Acceptor>) -> (Engine, mpsc::UnboundedReceiver<bool>) {
    let (tell, told) = mpsc::unbounded_channel();
    let mut builder = Engine::builder();
    if let Some(tls) = tls {
        builder = builder.tls(tls);
    }
    let engine = builder.build(move |connection: Connection| {
        let _ = tell.send(connection.sender().handshake().is_secure());
        std::future::ready(())
    });
    (engine, told)
}

async fn listen(engine: Engine) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { engine.serve_listener(listener).await });
    address
}

async fn tcp(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// A server for `localhost`, and the certificate that its clients trust.
fn acceptor() -> (Acceptor, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = made.cert.pem();
    let identity = Identity::from_pem(pem.as_bytes(), made.signing_key.serialize_pem().as_bytes());
    (Acceptor::new(ServerConfig::new(identity.unwrap())).unwrap(), pem)
}

async fn tls(address: SocketAddr, pem: &str, alpn: &str) -> Stream<TcpStream> {
    let config = ClientConfig::new().roots_from_pem(pem.as_bytes()).unwrap().alpn([alpn]);
    let connector = Connector::new(config).unwrap();
    let stream = within(connector.connect("localhost", tcp(address).await)).await.unwrap();
    assert_eq!(stream.alpn(), Some(alpn.as_bytes()));
    stream
}

/// Opens a session by HTTP/1.1.
async fn open(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let request = format!("GET {TARGET} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
}

/// Opens a session by HTTP/2.
async fn open_by_http2(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let (mut requests, connection) = within(h2::client::handshake(stream)).await.unwrap();
    tokio::spawn(connection);
    let uri = format!("http://localhost{TARGET}");
    let (answer, _) = requests.send_request(Request::get(uri).body(()).unwrap(), true).unwrap();
    assert_eq!(within(answer).await.unwrap().status(), 200);
}

#[tokio::test]
async fn through_tls_of_its_own_it_is_secure() {
    let (acceptor, pem) = acceptor();
    let (engine, mut told) = engine(Some(acceptor));
    let address = listen(engine).await;
    let mut stream = tls(address, &pem, "http/1.1").await;
    open(&mut stream).await;
    assert_eq!(within(told.recv()).await, Some(true));
    open_by_http2(tls(address, &pem, "h2").await).await;
    assert_eq!(within(told.recv()).await, Some(true));
}

#[tokio::test]
async fn in_the_clear_it_is_not() {
    let (engine, mut told) = engine(None);
    let address = listen(engine).await;
    let mut stream = tcp(address).await;
    open(&mut stream).await;
    assert_eq!(within(told.recv()).await, Some(false));
    open_by_http2(tcp(address).await).await;
    assert_eq!(within(told.recv()).await, Some(false));
}

#[tokio::test]
async fn another_server_that_ends_tls_can_say_so() {
    for says in [false, true] {
        let (engine, mut told) = engine(None);
        let mark = axum::middleware::from_fn(
            move |mut request: axum::extract::Request, next: axum::middleware::Next| {
                if says {
                    request.extensions_mut().insert(OverTls);
                }
                next.run(request)
            },
        );
        let router: axum::Router = engine.router().layer(mark);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut stream = tcp(address).await;
        open(&mut stream).await;
        assert_eq!(within(told.recv()).await, Some(says));
    }
}
