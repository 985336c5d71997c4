//! A peer that says exactly what it is told: the client's end of a TCP connection to a server under
//! test.
//!
//! It does nothing by itself. A ping stays unanswered until the test answers it, a close frame is
//! not replied to, a heartbeat is missed unless the test sends its pong. What is sent may be as
//! wrong as a test needs; what is received is judged strictly, by the WebSocket core in the client's
//! role, so that a server that breaks the protocol fails the test.
//!
//! Every wait ends after [`DEADLINE`], and whatever goes wrong is a panic that says what came
//! instead and what came before: a test reads as a script.

mod http;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use sockeye_websocket::deflate::{Config, Context, Inflater, judge_answer};
use sockeye_websocket::handshake::{accept_key, client};
use sockeye_websocket::{Connection, Event, Head, Limits, OpCode, Role, mask};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub use http::{Response, http};

use crate::deadline::DEADLINE;

/// The path and query that open an Engine.IO session on a websocket.
pub const TARGET: &str = "/socket.io/?EIO=4&transport=websocket";

/// The key that frames are masked with. A real client draws one for each frame (RFC 6455 §5.3); a
/// script that fails should fail again.
const KEY: mask::Key = [0x37, 0xFA, 0x21, 0x3D];

/// The nonce of the opening handshake.
const NONCE: [u8; 16] = *b"the sample nonce";

/// The most text of a past or unexpected message that a panic quotes.
const QUOTED: usize = 200;

/// The most past messages that a panic quotes.
const REMEMBERED: usize = 8;

/// What the server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A WebSocket ping.
    Ping(Vec<u8>),
    /// A WebSocket pong.
    Pong(Vec<u8>),
    /// A close frame. Without a status code it is 1005, as browsers report it (RFC 6455 §7.1.5).
    Close(u16),
    /// The end of the stream.
    Eof,
    /// The connection was reset.
    Reset,
}

/// The client's end of a connection.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    websocket: Connection,
    limits: Limits,
    /// Bytes that came and were not judged: what follows an HTTP response.
    unread: Vec<u8>,
    received: VecDeque<Message>,
    past: VecDeque<String>,
    farewell: String,
}

impl Peer {
    /// A TCP connection, nothing said yet.
    ///
    /// # Panics
    ///
    /// If the server does not accept.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = match timeout(DEADLINE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => panic!("no connection to {address}: {error}"),
            Err(_) => panic!("no connection to {address} within {DEADLINE:?}"),
        };
        // What is sent in pieces shall arrive in pieces.
        stream.set_nodelay(true).expect("a TCP socket takes TCP_NODELAY");
        Self {
            stream,
            websocket: Connection::new(Role::Client),
            // What a server may send is the server's business.
            limits: Limits { max_message_size: usize::MAX, ..Limits::default() },
            unread: Vec::new(),
            received: VecDeque::new(),
            past: VecDeque::new(),
            farewell: String::new(),
        }
    }

    /// A WebSocket at this path and query.
    ///
    /// # Panics
    ///
    /// If the answer is not a correct `101 Switching Protocols`.
    pub async fn websocket(address: SocketAddr, target: &str) -> Self {
        let (peer, response) = Self::switch(address, target, "").await;
        assert_eq!(response.header("sec-websocket-extensions"), None, "{}", response.head);
        peer
    }

    /// A WebSocket that offers compression by this value of `Sec-WebSocket-Extensions`, and the value that
    /// answers it, if one does.
    ///
    /// # Panics
    ///
    /// If the answer is not a correct `101 Switching Protocols`.
    pub async fn deflating(
        address: SocketAddr,
        target: &str,
        offer: &str,
    ) -> (Self, Option<String>) {
        let header = format!("Sec-WebSocket-Extensions: {offer}\r\n");
        let (mut peer, response) = Self::switch(address, target, &header).await;
        let answer = response.header("sec-websocket-extensions").map(str::to_owned);
        // Whatever it agrees to was offered, as far as the peer itself is concerned.
        let context = Context { takeover: true, ..Context::default() };
        let config = Config { client: context, server: context, ..Config::default() };
        let values = answer.iter().map(|answer| answer.as_bytes());
        match judge_answer(values, Some(&config)) {
            Ok(Some(params)) => peer.websocket = peer.websocket.with_deflate(params),
            Ok(None) => {}
            Err(error) => peer.fail(&error.to_string()),
        }
        (peer, answer)
    }

    /// The opening handshake, with these headers besides its own.
    async fn switch(address: SocketAddr, target: &str, headers: &str) -> (Self, Response) {
        let mut peer = Self::connect(address).await;
        let key = client::key(NONCE);
        let request = client::request(target, &address.to_string(), &key);
        let request = request.replacen("\r\n", &format!("\r\n{headers}"), 1);
        peer.send_bytes(request.as_bytes()).await;
        let response = peer.recv_http().await;
        assert_eq!(response.status, 101, "{}\n{}", response.head, quoted(&response.body));
        assert_eq!(
            response.header("sec-websocket-accept"),
            Some(accept_key(key.as_bytes()).as_str()),
            "{}",
            response.head
        );
        let upgrade = response.header("upgrade").unwrap_or_default();
        assert!(upgrade.eq_ignore_ascii_case("websocket"), "{}", response.head);
        let connection = response.header("connection").unwrap_or_default();
        assert!(connection.eq_ignore_ascii_case("upgrade"), "{}", response.head);
        (peer, response)
    }

    /// An Engine.IO session whose open packet was read.
    ///
    /// # Panics
    ///
    /// If the session is not opened.
    pub async fn engineio(address: SocketAddr) -> Self {
        let mut peer = Self::websocket(address, TARGET).await;
        let open = peer.recv_text().await;
        assert!(open.starts_with("0{\"sid\":\""), "not an open packet: {open}");
        peer
    }

    /// A Socket.IO client in the namespace `/`, and its id there.
    ///
    /// # Panics
    ///
    /// If it is not let in.
    pub async fn socketio(address: SocketAddr) -> (Self, String) {
        let mut peer = Self::engineio(address).await;
        let id = peer.join("/").await;
        (peer, id)
    }

    /// Joins a namespace and returns the id in it. The reply must be the next message.
    ///
    /// # Panics
    ///
    /// If it is not let in.
    pub async fn join(&mut self, namespace: &str) -> String {
        let prefix = prefix(namespace);
        self.send_text(&format!("40{prefix}")).await;
        self.expect_joined(namespace).await
    }

    /// Reads the reply to a CONNECT and returns the socket's id.
    ///
    /// # Panics
    ///
    /// If something else comes.
    pub async fn expect_joined(&mut self, namespace: &str) -> String {
        let reply = self.recv_text().await;
        let id = reply
            .strip_prefix(&format!("40{}{{\"sid\":\"", prefix(namespace)))
            .and_then(|rest| rest.strip_suffix("\"}"));
        match id {
            Some(id) => id.to_owned(),
            None => self.fail(&format!("no CONNECT for {namespace}, but {reply}")),
        }
    }

    /// Sends a text message.
    pub async fn send_text(&mut self, text: &str) {
        self.send_bytes(&text_frame(text)).await;
    }

    /// Sends a binary message.
    pub async fn send_binary(&mut self, bytes: &[u8]) {
        self.send_bytes(&frame(0x82, bytes)).await;
    }

    /// Sends a masked frame with this first byte (FIN, reserved bits and opcode), right or wrong,
    /// and a payload of the length that the head tells.
    pub async fn send_frame(&mut self, first: u8, payload: &[u8]) {
        self.send_bytes(&frame(first, payload)).await;
    }

    /// Sends a close frame with this payload.
    pub async fn send_close(&mut self, payload: &[u8]) {
        self.send_frame(0x88, payload).await;
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    ///
    /// If the server does not take them.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        match timeout(DEADLINE, self.stream.write_all(bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.fail(&format!("cannot send {}: {error}", quoted(bytes))),
            Err(_) => self.fail(&format!("{} bytes not taken in {DEADLINE:?}", bytes.len())),
        }
    }

    /// Like [`send_bytes`](Self::send_bytes), whatever becomes of them: for what is sent to a server
    /// that may have closed the connection already.
    pub async fn try_send_bytes(&mut self, bytes: &[u8]) {
        let _ = timeout(DEADLINE, self.stream.write_all(bytes)).await;
    }

    /// Sends the same bytes over and over, until none were taken for `patience`, or `most` were, or
    /// the connection broke, and returns how many were. The last piece may be cut: send the rest of it with
    /// `&bytes[sent % bytes.len()..]`.
    pub async fn send_until_blocked(
        &mut self,
        bytes: &[u8],
        most: usize,
        patience: Duration,
    ) -> usize {
        let mut sent = 0;
        while sent < most {
            let piece = &bytes[sent % bytes.len()..];
            match timeout(patience, self.stream.write(piece)).await {
                Ok(Ok(written)) => sent += written,
                Ok(Err(_)) | Err(_) => break,
            }
        }
        sent
    }

    /// Ends the stream in this direction: the server sees its end.
    pub async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Closes the connection at once, with a reset: what is on the way is lost.
    pub fn reset(self) {
        self.stream.set_zero_linger().expect("a TCP socket takes SO_LINGER");
    }

    /// The next message, whatever it is.
    ///
    /// # Panics
    ///
    /// If nothing comes in time, or what comes is not WebSocket.
    pub async fn recv(&mut self) -> Message {
        self.recv_within(DEADLINE).await.unwrap_or_else(|| self.fail("nothing came"))
    }

    /// The next message, or `None` if there is none within `patience`. Prefer a message that must
    /// come *next* to the absence of one: it is faster and proves more.
    ///
    /// # Panics
    ///
    /// If what comes is not WebSocket.
    pub async fn recv_within(&mut self, patience: Duration) -> Option<Message> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            if let Some(message) = self.received.pop_front() {
                if self.past.len() == REMEMBERED {
                    self.past.pop_front();
                }
                self.past.push_back(cut(format!("{message:?}")));
                return Some(message);
            }
            let mut unread = std::mem::take(&mut self.unread);
            if unread.is_empty() {
                let mut buffer = vec![0; 64 * 1024];
                let read = self.stream.read(&mut buffer);
                match tokio::time::timeout_at(deadline, read).await {
                    Err(_) => return None,
                    Ok(Ok(0)) => self.received.push_back(Message::Eof),
                    Ok(Ok(count)) => {
                        buffer.truncate(count);
                        unread = buffer;
                    }
                    Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => {
                        self.received.push_back(Message::Reset);
                    }
                    Ok(Err(error)) => self.fail(&format!("cannot read: {error}")),
                }
            }
            self.judge(&mut unread);
        }
    }

    /// Takes input through the WebSocket.
    fn judge(&mut self, input: &mut [u8]) {
        let mut inflater = Inflater::new();
        let mut events = self.websocket.receive(&self.limits, &mut inflater, input);
        let failed = loop {
            let message = match events.next() {
                None => break None,
                Some(Ok(Event::Text(text))) => Message::Text(text.into_owned()),
                Some(Ok(Event::Binary(bytes))) => Message::Binary(bytes.into_owned()),
                Some(Ok(Event::Ping(payload))) => Message::Ping(payload.to_vec()),
                Some(Ok(Event::Pong(payload))) => Message::Pong(payload.to_vec()),
                Some(Ok(Event::Close(status))) => {
                    let (code, words) =
                        status.map_or((1005, ""), |(code, words)| (code.get(), words));
                    words.clone_into(&mut self.farewell);
                    Message::Close(code)
                }
                Some(Err(error)) => break Some(error),
            };
            self.received.push_back(message);
        };
        if let Some(error) = failed {
            self.fail(&format!("the server broke the WebSocket protocol: {error}"));
        }
    }

    /// The next frame as it stands on the wire: its first byte (FIN, reserved bits and opcode), and its
    /// payload.
    ///
    /// # Panics
    ///
    /// If none comes in time, or a message was read before and not taken.
    pub async fn recv_frame(&mut self) -> (u8, Vec<u8>) {
        assert!(self.received.is_empty(), "messages wait: {:?}", self.received);
        loop {
            match Head::parse(&self.unread) {
                Ok(Some((head, size))) if self.unread.len() - size >= head.len as usize => {
                    let first = self.unread[0];
                    let rest = self.unread.split_off(size + head.len as usize);
                    let frame = std::mem::replace(&mut self.unread, rest);
                    return (first, frame[size..].to_vec());
                }
                Ok(_) => self.read_raw("a frame").await,
                Err(error) => self.fail(&format!("no frame: {error}")),
            }
        }
    }

    /// The next message, which must be text.
    ///
    /// # Panics
    ///
    /// If it is not.
    pub async fn recv_text(&mut self) -> String {
        match self.recv().await {
            Message::Text(text) => text,
            other => self.fail(&format!("not text, but {}", cut(format!("{other:?}")))),
        }
    }

    /// The next message must be this text.
    ///
    /// # Panics
    ///
    /// If it is not.
    #[track_caller]
    pub fn expect_text(&mut self, expected: &str) -> impl Future<Output = ()> {
        self.expect(Message::Text(expected.to_owned()))
    }

    /// The next message must be this binary one.
    ///
    /// # Panics
    ///
    /// If it is not.
    #[track_caller]
    pub fn expect_binary(&mut self, expected: &[u8]) -> impl Future<Output = ()> {
        self.expect(Message::Binary(expected.to_vec()))
    }

    /// The next message must be this one.
    ///
    /// # Panics
    ///
    /// If it is not.
    #[track_caller]
    pub fn expect(&mut self, expected: Message) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            match self.recv_within(DEADLINE).await {
                Some(message) if message == expected => {}
                None => self.fail(&format!("{caller}: nothing came instead of {expected:?}")),
                Some(message) => self.fail(&format!(
                    "{caller}: expected {}, and got {}",
                    cut(format!("{expected:?}")),
                    cut(format!("{message:?}"))
                )),
            }
        }
    }

    /// The reason in the server's close frame, once that has come.
    pub fn farewell(&self) -> &str {
        &self.farewell
    }

    /// The next message must be a close frame with this code (1005: without one). It is answered
    /// with the same code; then the stream must end, and ends in this direction, too.
    ///
    /// # Panics
    ///
    /// If something else comes.
    #[track_caller]
    pub fn expect_close(&mut self, code: u16) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            match self.recv_within(DEADLINE).await {
                Some(Message::Close(found)) if found == code => {}
                found => self.fail(&format!("{caller}: expected Close({code}), got {found:?}")),
            }
            let payload = code.to_be_bytes();
            let payload = if code == 1005 { &[][..] } else { &payload };
            self.try_send_bytes(&frame(0x88, payload)).await;
            match self.recv_within(DEADLINE).await {
                Some(Message::Eof) => self.finish().await,
                found => self.fail(&format!("{caller}: expected the end, got {found:?}")),
            }
        }
    }

    /// The stream must end here.
    ///
    /// # Panics
    ///
    /// If something else comes.
    #[track_caller]
    pub fn expect_eof(&mut self) -> impl Future<Output = ()> {
        self.expect(Message::Eof)
    }

    async fn read_raw(&mut self, wanted: &str) {
        match timeout(DEADLINE, self.stream.read_buf(&mut self.unread)).await {
            Ok(Ok(0)) => {
                let unread = quoted(&self.unread);
                self.fail(&format!("the stream ended within {wanted}: {unread}"))
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => self.fail(&format!("cannot read {wanted}: {error}")),
            Err(_) => self.fail(&format!("{wanted} did not come")),
        }
    }

    fn fail(&self, what: &str) -> ! {
        let mut past = String::new();
        for message in &self.past {
            let _ = write!(past, "\n  {message}");
        }
        panic!("{what}\nbefore that came:{}", if past.is_empty() { " nothing" } else { &past })
    }
}

/// A masked frame with this first byte: FIN, reserved bits and opcode.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let head = Head {
        mask: Some(KEY),
        // Another opcode is put in below, so that reserved ones can be had.
        ..Head::new(OpCode::Text, payload.len() as u64)
    };
    let mut frame = Vec::new();
    head.encode(&mut frame);
    frame[0] = first;
    let start = frame.len();
    frame.extend_from_slice(payload);
    mask::apply(KEY, 0, &mut frame[start..]);
    frame
}

/// A masked text frame.
pub fn text_frame(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}

/// How a namespace stands in a packet: not at all if it is `/`.
fn prefix(namespace: &str) -> String {
    if namespace == "/" { String::new() } else { format!("{namespace},") }
}

fn quoted(bytes: &[u8]) -> String {
    cut(String::from_utf8_lossy(bytes).into_owned())
}

fn cut(mut text: String) -> String {
    let length = text.len();
    if length > QUOTED {
        text.truncate(text.floor_char_boundary(QUOTED));
        let _ = write!(text, ".. ({length} bytes)");
    }
    text
}
