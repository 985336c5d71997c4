//! A client that is h2 and nothing else.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::within;

pub(crate) struct Peer {
    pub(crate) requests: SendRequest<Bytes>,
    /// The connection's end.
    pub(crate) connection: JoinHandle<Result<(), h2::Error>>,
    address: SocketAddr,
}

/// One WebSocket.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) head: Response<()>,
    pub(crate) sender: SendStream<Bytes>,
    pub(crate) receiver: RecvStream,
}

impl Peer {
    /// Connects, and waits for the server's settings.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("connected");
        // So that it is the streams' windows that matter.
        let mut builder = h2::client::Builder::new();
        builder.initial_connection_window_size(1 << 20);
        let (requests, connection) = builder.handshake(stream).await.expect("a preface");
        let connection = tokio::spawn(connection);
        let mut peer = Self { requests, connection, address };
        // Whoever has an answer has the settings.
        let (answer, _) = peer.request(Method::OPTIONS, "/", None, &[]).await;
        within(answer).await.expect("an answer");
        assert!(peer.requests.is_extended_connect_protocol_enabled());
        peer
    }

    /// Sends a request's head.
    pub(crate) async fn request(
        &mut self,
        method: Method,
        path: &str,
        protocol: Option<&'static str>,
        headers: &[(&'static str, &'static str)],
    ) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
        let is_end = method != Method::CONNECT && method != Method::POST;
        let url = match (&method, protocol) {
            (&Method::CONNECT, None) => self.address.to_string(),
            _ => format!("http://{}{path}", self.address),
        };
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = url.parse().expect("a URL");
        if let Some(protocol) = protocol {
            request.extensions_mut().insert(Protocol::from_static(protocol));
        }
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().expect("a value"));
        }
        let requests = self.requests.clone();
        let mut requests = within(requests.ready()).await.expect("another stream");
        requests.send_request(request, is_end).expect("a valid request")
    }

    /// The head and the body of an answer.
    pub(crate) async fn ask(
        &mut self,
        method: Method,
        protocol: Option<&'static str>,
        headers: &[(&'static str, &'static str)],
    ) -> (StatusCode, HeaderMap, String) {
        let (answer, _sender) = self.request(method, "/", protocol, headers).await;
        let (head, mut body) = within(answer).await.expect("an answer").into_parts();
        let mut text = Vec::new();
        while let Some(data) = within(body.data()).await {
            text.extend_from_slice(&data.expect("a body"));
        }
        (head.status, head.headers, String::from_utf8(text).expect("text"))
    }

    /// Opens a WebSocket.
    pub(crate) async fn open(&mut self, headers: &[(&'static str, &'static str)]) -> Stream {
        let headers = [&[("sec-websocket-version", "13")], headers].concat();
        let (answer, sender) =
            self.request(Method::CONNECT, "/", Some("websocket"), &headers).await;
        let (head, receiver) = within(answer).await.expect("an answer").into_parts();
        Stream { head: Response::from_parts(head, ()), sender, receiver }
    }

    /// Opens a WebSocket as soon as the server has noticed that there is a place for it.
    pub(crate) async fn open_at_last(&mut self) -> Stream {
        loop {
            let stream = self.open(&[]).await;
            if stream.head.status() == StatusCode::OK {
                return stream;
            }
            assert_eq!(stream.head.status(), StatusCode::TOO_MANY_REQUESTS);
            tokio::task::yield_now().await;
        }
    }
}

impl Stream {
    pub(crate) fn send(&mut self, bytes: &'static [u8]) {
        self.sender.send_data(Bytes::from_static(bytes), false).expect("open");
    }

    /// Reads so many bytes, and takes them.
    pub(crate) async fn read(&mut self, count: usize) -> Vec<u8> {
        let mut read = Vec::new();
        while read.len() < count {
            let data = within(self.receiver.data()).await.expect("more").expect("no error");
            self.receiver.flow_control().release_capacity(data.len()).expect("taken");
            read.extend_from_slice(&data);
        }
        assert_eq!(read.len(), count, "{read:?}");
        read
    }

    /// Reads what comes at once, and takes it.
    pub(crate) async fn read_some(&mut self) -> Bytes {
        let data = within(self.receiver.data()).await.expect("more").expect("no error");
        self.receiver.flow_control().release_capacity(data.len()).expect("taken");
        data
    }

    /// Reads until the end.
    pub(crate) async fn rest(&mut self) -> Result<Vec<u8>, h2::Error> {
        let mut rest = Vec::new();
        while let Some(data) = within(self.receiver.data()).await {
            rest.extend_from_slice(&data?);
        }
        Ok(rest)
    }
}
