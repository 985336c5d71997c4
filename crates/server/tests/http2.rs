//! Engine.IO and Socket.IO over HTTP/2: polling, websockets by extended CONNECT, and the upgrade from one to the
//! other, all on one connection.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Method, Request, StatusCode};
use sockeye_server::deflate::{self, Compressor, WindowBits};
use sockeye_server::{Cors, Data, Namespace, Server, ServerBuilder, Socket};
use sockeye_testkit::deadline::within;
use sockeye_websocket::OpCode;
use tokio::net::{TcpListener, TcpStream};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

struct Client {
    requests: SendRequest<Bytes>,
    address: SocketAddr,
}

impl Client {
    /// A client of a server that echoes the events `echo`.
    async fn start(builder: ServerBuilder) -> Self {
        let echo = Namespace::new("/").on("echo", |socket: Socket, Data(text): Data<String>| {
            socket.emit("echo", &text).ok();
        });
        let server = builder.namespace(echo).build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { server.serve_listener(listener).await });
        let stream = TcpStream::connect(address).await.unwrap();
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self { requests, address }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&'static str>,
        headers: &[(&'static str, String)],
    ) -> (StatusCode, HeaderMap, String) {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .body(())
            .unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let mut requests = within(self.requests.clone().ready()).await.unwrap();
        let (answer, mut sender) = requests.send_request(request, body.is_none()).unwrap();
        if let Some(body) = body {
            sender.send_data(body.into(), true).unwrap();
        }
        let (head, mut body) = within(answer).await.unwrap().into_parts();
        let mut text = Vec::new();
        while let Some(data) = within(body.data()).await {
            text.extend_from_slice(&data.unwrap());
        }
        (head.status, head.headers, String::from_utf8(text).unwrap())
    }

    async fn get(&self, path: &str) -> String {
        let (status, _, body) = self.ask(Method::GET, path, None, &[]).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    async fn post(&self, path: &str, body: &'static str) {
        let (status, _, body) = self.ask(Method::POST, path, Some(body), &[]).await;
        assert_eq!((status, &*body), (StatusCode::OK, "ok"));
    }

    async fn websocket(&self, path: &str) -> Websocket {
        let (socket, extensions) = self.extended(path, None).await;
        assert_eq!(extensions, None);
        socket
    }

    /// A websocket that offers these extensions, and the answer to that.
    async fn extended(&self, path: &str, offer: Option<&str>) -> (Websocket, Option<String>) {
        let mut request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://{}{path}", self.address))
            .extension(Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .body(())
            .unwrap();
        if let Some(offer) = offer {
            request.headers_mut().insert("sec-websocket-extensions", offer.parse().unwrap());
        }
        let mut requests = within(self.requests.clone().ready()).await.unwrap();
        let (answer, sender) = requests.send_request(request, false).unwrap();
        let answer = within(answer).await.unwrap();
        assert_eq!(answer.status(), 200);
        let extensions = answer.headers().get("sec-websocket-extensions");
        let extensions = extensions.map(|value| value.to_str().unwrap().to_owned());
        (Websocket { sender, receiver: answer.into_body(), rest: Vec::new() }, extensions)
    }

    /// Opens a session by polling; its id.
    async fn open(&self) -> String {
        let open = self.get(POLLING).await;
        let open = open.strip_prefix("0{\"sid\":\"").unwrap_or_else(|| panic!("{open}"));
        open.split('"').next().unwrap().to_owned()
    }
}

struct Websocket {
    sender: SendStream<Bytes>,
    receiver: RecvStream,
    rest: Vec<u8>,
}

impl Websocket {
    /// Sends a short text.
    fn send(&mut self, text: &str) {
        let head = [0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
        self.sender.send_data([&head[..], text.as_bytes()].concat().into(), false).unwrap();
    }

    /// Sends a text, compressed.
    fn send_compressed(&mut self, text: &str) {
        let frame = compressed(text, Some([1, 2, 3, 4]));
        self.sender.send_data(frame.into(), false).unwrap();
    }

    /// The next bytes must be these.
    async fn expect(&mut self, bytes: &[u8]) {
        while self.rest.len() < bytes.len() {
            let data = within(self.receiver.data()).await.unwrap().unwrap();
            self.rest.extend_from_slice(&data);
        }
        assert_eq!(self.rest.drain(..bytes.len()).collect::<Vec<_>>(), bytes);
    }

    /// Receives a text of less than 126 bytes.
    async fn recv(&mut self) -> String {
        loop {
            if let [0x81, length, rest @ ..] = &*self.rest
                && rest.len() >= usize::from(*length)
            {
                let text = rest[..usize::from(*length)].to_vec();
                self.rest.drain(..2 + text.len());
                return String::from_utf8(text).unwrap();
            }
            let data = within(self.receiver.data()).await.unwrap().unwrap();
            self.rest.extend_from_slice(&data);
        }
    }
}

#[tokio::test]
async fn a_client_polls() {
    let client = Client::start(Server::builder()).await;
    let session = format!("{POLLING}&sid={}", client.open().await);
    client.post(&session, "40").await;
    assert!(client.get(&session).await.starts_with("40{\"sid\":"));
    // A poll waits, and a POST goes past it.
    let (poll, ()) =
        tokio::join!(client.get(&session), client.post(&session, "42[\"echo\",\"hi\"]"));
    assert_eq!(poll, "42[\"echo\",\"hi\"]");
}

#[tokio::test]
async fn a_client_begins_with_a_websocket() {
    let client = Client::start(Server::builder()).await;
    // Whoever has an answer has the settings.
    client.ask(Method::OPTIONS, POLLING, None, &[]).await;
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let mut socket = client.websocket(WEBSOCKET).await;
        assert!(socket.recv().await.starts_with("0{\"sid\":"));
        socket.send("40");
        assert!(socket.recv().await.starts_with("40{\"sid\":"));
        sockets.push(socket);
    }
    for socket in &mut sockets {
        socket.send("42[\"echo\",\"hi\"]");
        assert_eq!(socket.recv().await, "42[\"echo\",\"hi\"]");
    }
}

#[tokio::test]
async fn a_client_upgrades_from_polling() {
    let client = Client::start(Server::builder()).await;
    let sid = client.open().await;
    let session = format!("{POLLING}&sid={sid}");
    client.post(&session, "40").await;
    assert!(client.get(&session).await.starts_with("40{\"sid\":"));
    let mut socket = client.websocket(&format!("{WEBSOCKET}&sid={sid}")).await;
    socket.send("2probe");
    assert_eq!(socket.recv().await, "3probe");
    assert_eq!(client.get(&session).await, "6");
    socket.send("5");
    socket.send("42[\"echo\",\"over\"]");
    assert_eq!(socket.recv().await, "42[\"echo\",\"over\"]");
}

/// The frame of a text, compressed with the largest window.
fn compressed(text: &str, mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut frame = Vec::new();
    let mut compressor = Compressor::new(WindowBits::MAX, &always().compression);
    assert!(compressor.append(&mut frame, OpCode::Text, text.as_bytes(), mask));
    frame
}

/// Every message is compressed that becomes smaller by it.
fn always() -> deflate::Config {
    let mut config = deflate::Config::default();
    config.compression.threshold = 0;
    config
}

#[tokio::test]
async fn messages_are_compressed_as_over_http_1() {
    let client = Client::start(Server::builder().per_message_deflate(always())).await;
    let sid = client.open().await;
    let session = format!("{POLLING}&sid={sid}");
    client.post(&session, "40").await;
    client.get(&session).await;
    let offer = Some("permessage-deflate; client_max_window_bits");
    let (mut socket, answer) = client.extended(&format!("{WEBSOCKET}&sid={sid}"), offer).await;
    let agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(answer.as_deref(), Some(agreed));
    socket.send("2probe");
    assert_eq!(socket.recv().await, "3probe");
    assert_eq!(client.get(&session).await, "6");
    socket.send("5");
    let echo = format!("42[\"echo\",\"{}\"]", "over ".repeat(300));
    for _ in 0..2 {
        socket.send_compressed(&echo);
        socket.expect(&compressed(&echo, None)).await;
    }
    // One that begins with a websocket.
    let (mut socket, answer) = client.extended(WEBSOCKET, offer).await;
    assert_eq!(answer.as_deref(), Some(agreed));
    socket.send("40");
    socket.send_compressed(&echo);
    let echoed = compressed(&echo, None);
    while !socket.rest.ends_with(&echoed) {
        let data = within(socket.receiver.data()).await.unwrap().unwrap();
        socket.rest.extend_from_slice(&data);
    }
    // What was not offered is not agreed on.
    let (_, answer) = client.extended(WEBSOCKET, None).await;
    assert_eq!(answer, None);
}

#[tokio::test]
async fn what_is_no_websocket_and_whose_origin_is_another_are_refused() {
    let cors = Cors::same_origin().build().unwrap();
    let client = Client::start(Server::builder().cors(cors)).await;
    let own = ("origin", format!("http://{}", client.address));
    let (status, _, body) = client.ask(Method::GET, POLLING, None, &[own]).await;
    assert_eq!(status, 200, "the host is what HTTP/2 calls :authority: {body}");
    let other = ("origin", "http://evil.example".to_owned());
    let (status, ..) = client.ask(Method::GET, POLLING, None, &[other]).await;
    assert_eq!(status, 403);

    let connect = async |path: &str, version: Option<&str>| {
        let mut request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://{}{path}", client.address))
            .extension(Protocol::from_static("websocket"));
        if let Some(version) = version {
            request = request.header("sec-websocket-version", version);
        }
        let mut requests = within(client.requests.clone().ready()).await.unwrap();
        let (answer, _sender) = requests.send_request(request.body(()).unwrap(), false).unwrap();
        within(answer).await.unwrap()
    };
    let answer = connect(WEBSOCKET, None).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.headers()["sec-websocket-version"], "13");
    for path in [POLLING, "/socket.io/socket.io.js", "/elsewhere"] {
        let answer = connect(path, Some("13")).await;
        assert!(answer.status().is_client_error(), "{path}: {}", answer.status());
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_and_the_connection_lives_on() {
    let client = Client::start(Server::builder().max_payload(1000)).await;
    let session = format!("{POLLING}&sid={}", client.open().await);
    let large: &str = "4".repeat(200_000).leak();
    let (status, ..) = client.ask(Method::POST, &session, Some(large), &[]).await;
    assert_eq!(status, 413);
    client.open().await;
}
