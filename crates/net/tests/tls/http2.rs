//! HTTP/2 through TLS: what is agreed on by ALPN.

use std::net::SocketAddr;
use std::sync::Arc;

use sockeye_net::Listening;
use sockeye_net::dial::{Error, Http2Error};
use sockeye_net::tls::{Acceptor, HTTP_1_1, ServerConfig};
use sockeye_net::websocket::{Client, Server, WebSocket, dial::HttpVersion};
use tokio::net::TcpListener;

use crate::authority::Authority;
use crate::{acceptor, connector, within};

/// A server that says its client's address and what it was asked by.
async fn serve(listening: Listening) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let greet = |socket: WebSocket, request: http::Request<()>| async move {
        let peer = socket.peer().expect("an address");
        socket.send(format!("{peer} {:?}", request.version())).expect("open");
        socket.closed().await;
    };
    let server = Server::builder(greet).listening(listening).build();
    tokio::spawn(async move { server.serve_listener(listener).await });
    address
}

async fn open(client: &Client, url: &str) -> (WebSocket, String) {
    let mut socket = within(client.connect(url)).await.expect("open");
    let greeting = within(socket.recv()).await.expect("a greeting");
    let greeting = greeting.as_text().expect("text").to_owned();
    (socket, greeting)
}

#[tokio::test]
async fn the_client_wishes_and_the_server_chooses() {
    let authority = Authority::new();
    let both = serve(Listening { tls: Some(acceptor(&authority)), ..Listening::default() }).await;
    let tls = Some(acceptor(&authority));
    let without = serve(Listening { tls, http2: None, ..Listening::default() }).await;
    let config = ServerConfig::new(authority.issue(&["localhost"]).identity()).alpn([HTTP_1_1]);
    let tls = Some(Acceptor::new(config).expect("a provider"));
    let http1 = serve(Listening { tls, ..Listening::default() }).await;

    for (address, version, spoken, shared) in [
        (both, HttpVersion::Http1, "HTTP/1.1", false),
        (both, HttpVersion::Either, "HTTP/2.0", true),
        (both, HttpVersion::Http2, "HTTP/2.0", true),
        (without, HttpVersion::Either, "HTTP/1.1", false),
        (http1, HttpVersion::Either, "HTTP/1.1", false),
    ] {
        let url = format!("wss://localhost:{}/", address.port());
        let client = Client::new().tls(Arc::new(connector(&authority))).http(version);
        let (_first, one) = open(&client, &url).await;
        let (_second, other) = open(&client, &url).await;
        assert!(one.ends_with(spoken), "{version:?}: {one}");
        assert_eq!(one == other, shared, "{version:?}: {one}, {other}");
    }
    let url = format!("wss://localhost:{}/", http1.port());
    let client = Client::new().tls(Arc::new(connector(&authority))).http(HttpVersion::Http2);
    let error = within(client.connect(&url)).await.expect_err("no HTTP/2");
    // One that has protocols, and none of ours, ends the handshake (RFC 7301 §3.2).
    assert!(matches!(error, Error::Tls { .. } | Error::Http2(Http2Error::NotChosen)), "{error:?}");
}
