//! What a server makes of the requests that come by HTTP/2.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response};
use http_body_util::BodyExt;
use sockeye_net::http::{Answer, Endpoint, Incoming, Successor, full};
use sockeye_net::websocket::{Options, Server};
use sockeye_net::{Io, Listening};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::peer::Peer;
use crate::{echo, serve, within};

#[tokio::test]
async fn a_websocket_is_opened_by_an_extended_connect() {
    let mut peer = Peer::connect(serve(&Server::new(echo)).await).await;
    let mut stream = peer.open(&[]).await;
    assert_eq!(stream.head.status(), 200);
    for absent in ["sec-websocket-accept", "upgrade", "connection", "content-length"] {
        assert!(!stream.head.headers().contains_key(absent), "{absent}");
    }
    assert!(stream.head.headers().contains_key("date"));
    stream.send(b"\x81\x82\0\0\0\0hi");
    assert_eq!(stream.read(4).await, b"\x81\x02hi");
    stream.send(b"\x88\x82\0\0\0\0\x03\xE8");
    assert_eq!(stream.rest().await.expect("a good end"), b"\x88\x02\x03\xE8");
}

#[tokio::test]
async fn a_frame_that_comes_in_pieces_and_several_in_one() {
    let mut peer = Peer::connect(serve(&Server::new(echo)).await).await;
    let mut stream = peer.open(&[]).await;
    for byte in b"\x81\x82\0\0\0\0hi" {
        stream.sender.send_data(Bytes::copy_from_slice(&[*byte]), false).expect("open");
        tokio::task::yield_now().await;
    }
    assert_eq!(stream.read(4).await, b"\x81\x02hi");
    stream.send(b"\x81\x81\0\0\0\0a\x81\x81\0\0\0\0b\x81\x81\0\0\0\0c");
    assert_eq!(stream.read(9).await, b"\x81\x01a\x81\x01b\x81\x01c");
}

#[tokio::test]
async fn subprotocols_and_compression_are_agreed_on_as_ever() {
    let options = Options { subprotocols: vec!["v2".into(), "v1".into()], ..Options::default() };
    let server = Server::builder(echo).options(options).build();
    let mut peer = Peer::connect(serve(&server).await).await;
    let offers =
        [("sec-websocket-protocol", "v1, v2"), ("sec-websocket-extensions", "permessage-deflate")];
    let stream = peer.open(&offers).await;
    assert_eq!(stream.head.headers()["sec-websocket-protocol"], "v2");
    let extensions = stream.head.headers()["sec-websocket-extensions"].to_str().expect("text");
    assert!(extensions.starts_with("permessage-deflate"), "{extensions}");
}

#[tokio::test]
async fn what_opens_no_websocket_is_told_why_and_the_connection_lives_on() {
    let server = Server::builder(echo)
        .origins(["https://example.org"])
        .judge(|request| match request.headers().contains_key("x-no") {
            true => Err((http::StatusCode::UNAUTHORIZED, "who are you?")),
            false => Ok(()),
        })
        .build();
    let mut peer = Peer::connect(serve(&server).await).await;
    let version = ("sec-websocket-version", "13");
    for (method, protocol, headers, status, says, allow) in [
        (Method::GET, None, &[][..], 405, "opened by CONNECT", Some("CONNECT")),
        (Method::CONNECT, None, &[version], 405, "no proxy", Some("GET")),
        (Method::CONNECT, Some("connect-udp"), &[version], 501, "websocket", None),
        (Method::CONNECT, Some("websocket"), &[], 400, "version 13", None),
        (Method::CONNECT, Some("websocket"), &[version, version], 400, "version 13", None),
        (Method::CONNECT, Some("websocket"), &[version, ("x-no", "")], 401, "who are", None),
        (
            Method::CONNECT,
            Some("websocket"),
            &[version, ("origin", "https://e.vil")],
            403,
            "",
            None,
        ),
    ] {
        let (found, head, body) = peer.ask(method.clone(), protocol, headers).await;
        assert_eq!(found, status, "{method} {protocol:?} {headers:?}: {body}");
        assert!(body.contains(says), "{method} {protocol:?} {headers:?}: {body}");
        assert_eq!(head.get("allow").map(|allow| allow.to_str().unwrap()), allow);
        assert_eq!(head["content-length"], body.len().to_string());
    }
    let mut stream = peer.open(&[]).await;
    stream.send(b"\x81\x81\0\0\0\0x");
    assert_eq!(stream.read(3).await, b"\x81\x01x");
}

#[tokio::test]
async fn one_port_has_both_and_the_preface_may_come_in_pieces() {
    let server = Server::new(echo);
    let address = serve(&server).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = b"\0\0\0\x04\0\0\0\0\0";
    for cut in 0..preface.len() + settings.len() {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.set_nodelay(true).expect("a socket");
        let whole = [&preface[..], settings].concat();
        stream.write_all(&whole[..cut]).await.expect("sent");
        tokio::task::yield_now().await;
        stream.write_all(&whole[cut..]).await.expect("sent");
        // The server's settings are what it begins with.
        let mut head = [0; 9];
        within(stream.read_exact(&mut head)).await.expect("a frame");
        assert_eq!(head[3], 4, "{cut}: {head:?}");
    }
    // As far as it goes, the same; and a head of HTTP/1.1 that comes in pieces at the same place.
    for cut in 0..4 {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let request = b"PRIG / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        stream.write_all(&request[..cut]).await.expect("sent");
        tokio::task::yield_now().await;
        stream.write_all(&request[cut..]).await.expect("sent");
        let mut answer = String::new();
        within(stream.read_to_string(&mut answer)).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 405 "), "{cut}: {answer}");
    }
}

#[tokio::test]
async fn a_listener_may_leave_it_at_http_1() {
    let listening = Listening { http2: None, ..Listening::default() };
    let address = serve(&Server::builder(echo).listening(listening).build()).await;
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    within(stream.read_to_end(&mut answer)).await.expect("the end");
    // A server of HTTP/1.1 alone knows no words that such a client would understand.
    assert_eq!(answer, b"");
}

/// Nothing is upgraded to.
pub(crate) struct Never(std::convert::Infallible);

impl Successor for Never {
    type Task = std::future::Ready<()>;

    fn start(self, _: Io, _: &[u8]) -> Self::Task {
        match self.0 {}
    }
}

/// Answers with what it is sent, and how it was called.
#[derive(Clone)]
pub(crate) struct Mirror;

impl Endpoint for Mirror {
    type Successor = Never;

    fn answer(
        &self,
        request: http::Request<Incoming>,
        _: SocketAddr,
    ) -> impl Future<Output = Answer<Self::Successor>> + Send + use<> {
        async move {
            let host = request.headers().get("host").cloned();
            let path = request.uri().path().to_owned();
            let body = request.into_body().collect().await.expect("a body").to_bytes();
            let mut response = Response::new(full(body));
            response.headers_mut().insert("x-host", host.expect("a host"));
            response.headers_mut().insert("x-path", path.parse().expect("a value"));
            response.headers_mut().insert("connection", "close".parse().expect("a value"));
            Answer::Http(response)
        }
    }
}

#[tokio::test]
async fn bodies_go_both_ways_however_large() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let closing = watch::Sender::new(false);
    let accepting =
        tokio::spawn(sockeye_net::accept(listener, Mirror, Arc::default(), closing.subscribe()));
    let mut peer = Peer::connect(address).await;
    for size in [0, 1, 16 * 1024, 300_000] {
        let (answer, mut sender) = peer.request(Method::POST, "/mirror", None, &[]).await;
        let sent = Bytes::from((0..size).map(|n| n as u8).collect::<Vec<_>>());
        sender.send_data(sent.clone(), true).expect("open");
        let (head, mut body) = within(answer).await.expect("an answer").into_parts();
        assert_eq!(head.headers["x-path"], "/mirror");
        assert_eq!(head.headers["x-host"], address.to_string());
        assert_eq!(head.headers["content-length"], size.to_string());
        assert!(!head.headers.contains_key("connection"));
        let mut came = Vec::new();
        while let Some(data) = within(body.data()).await {
            let data = data.expect("a body");
            body.flow_control().release_capacity(data.len()).expect("taken");
            came.extend_from_slice(&data);
        }
        assert!(came == sent, "{size}");
    }
    let (answer, _) = peer.request(Method::HEAD, "/", None, &[]).await;
    let mut answer = within(answer).await.expect("an answer");
    assert!(within(answer.body_mut().data()).await.is_none());
    closing.send_replace(true);
    within(accepting).await.expect("it ends");
    within(peer.connection).await.expect("it ends").expect("a good end");
}

/// Answers with a body of so many bytes.
#[derive(Clone)]
pub(crate) struct Large(pub(crate) usize);

impl Endpoint for Large {
    type Successor = Never;

    fn answer(
        &self,
        request: http::Request<Incoming>,
        _: SocketAddr,
    ) -> impl Future<Output = Answer<Self::Successor>> + Send + use<> {
        let size = if request.method() == Method::GET { self.0 } else { 0 };
        std::future::ready(Answer::Http(Response::new(full(vec![7; size]))))
    }
}
