//! A peer that says frames byte by byte: for what h2 itself would not say, in either role.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::within;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) struct Raw {
    stream: TcpStream,
}

/// A frame that came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A frame to be sent.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short one");
    let head = [&length.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes()];
    [&head.concat(), payload].concat()
}

/// HPACK (RFC 7541 §6.2.2): every line a literal that is not remembered.
pub(crate) fn block(lines: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in lines {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127, "one byte has its length");
            block.push(text.len() as u8);
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// The lines of a request that opens a WebSocket.
pub(crate) const CONNECT: &[(&str, &str)] = &[
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "a"),
    ("sec-websocket-version", "13"),
];

pub(crate) const GET: &[(&str, &str)] =
    &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")];

impl Raw {
    /// A client that has said as much as it must.
    pub(crate) async fn client(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("connected");
        let mut raw = Self { stream };
        raw.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await;
        raw
    }

    /// A server's end of a connection, which has said that it opens WebSockets.
    pub(crate) async fn server(stream: TcpStream) -> Self {
        let mut raw = Self::silent_server(stream).await;
        raw.send(&frame(SETTINGS, 0, 0, &[0, 8, 0, 0, 0, 1])).await;
        raw
    }

    /// The same, which says nothing.
    pub(crate) async fn silent_server(mut stream: TcpStream) -> Self {
        let mut preface = [0; PREFACE.len()];
        within(stream.read_exact(&mut preface)).await.expect("a preface");
        assert_eq!(preface, PREFACE);
        Self { stream }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        within(self.stream.write_all(bytes)).await.expect("sent");
    }

    /// The same, to a peer that may have closed the connection.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        within(self.stream.write_all(bytes)).await
    }

    pub(crate) async fn headers(&mut self, stream: u32, flags: u8, lines: &[(&str, &str)]) {
        self.send(&frame(HEADERS, END_HEADERS | flags, stream, &block(lines))).await;
    }

    /// The next frame; none at the connection's end, however it comes.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        within(self.stream.read_exact(&mut head)).await.ok()?;
        let [_, a, b, kind, flags, ..] = head;
        let mut payload = vec![0; usize::from(a) << 8 | usize::from(b)];
        within(self.stream.read_exact(&mut payload)).await.ok()?;
        let stream = u32::from_be_bytes(head[5..].try_into().expect("four bytes"));
        Some(Frame { kind, flags, stream, payload })
    }

    /// The next frame of this kind; others are passed over.
    pub(crate) async fn next_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// The head of the answer on a stream, and its body's text, if there is one; else the code that the
    /// stream was reset with.
    pub(crate) async fn answer(&mut self, stream: u32) -> Result<(Frame, String), u32> {
        let mut head = None;
        let mut body = Vec::new();
        loop {
            let frame = self.next().await.expect("an answer");
            if frame.stream != stream {
                assert_ne!(frame.kind, GOAWAY, "{frame:?}");
                continue;
            }
            let is_end = frame.flags & END_STREAM > 0;
            match frame.kind {
                DATA => body.extend_from_slice(&frame.payload),
                HEADERS => head = Some(frame),
                RST_STREAM => return Err(code(&frame.payload)),
                WINDOW_UPDATE => continue,
                other => panic!("a frame of type {other}"),
            }
            if is_end {
                let body = String::from_utf8(body).expect("text");
                return Ok((head.expect("a head comes first"), body));
            }
        }
    }

    /// Opens a WebSocket.
    pub(crate) async fn open(&mut self, stream: u32) {
        self.headers(stream, 0, CONNECT).await;
        let head = self.next_of(HEADERS).await.expect("an answer");
        assert_eq!((head.stream, head.status()), (stream, 200));
    }

    /// Whether the connection ended with a GOAWAY for this reason.
    pub(crate) async fn ends_with(&mut self, reason: u32) -> bool {
        let frame = self.next_of(GOAWAY).await;
        frame.is_some_and(|frame| code(&frame.payload[4..]) == reason)
    }
}

impl Frame {
    /// The status that an answer's head begins with, if h2 has it in HPACK's static table or as a literal.
    pub(crate) fn status(&self) -> u16 {
        match *self.payload {
            [0x88, ..] => 200,
            [0x8C, ..] => 400,
            [0x8D, ..] => 404,
            // A literal of three digits, by Huffman's code, in a table's place that is remembered.
            [0x48 | 0x08, length, ref rest @ ..] if length & 0x80 > 0 => {
                huffman_digits(&rest[..usize::from(length & 0x7F)])
            }
            [0x48 | 0x08, 3, a, b, c, ..] => {
                String::from_utf8_lossy(&[a, b, c]).parse().expect("digits")
            }
            _ => panic!("a head that begins with {:02X?}", &self.payload),
        }
    }
}

/// Digits of HPACK's Huffman code (RFC 7541, appendix B): 0 to 2 have five bits, the others six.
fn huffman_digits(bytes: &[u8]) -> u16 {
    let bits: Vec<u8> =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1)).collect();
    let number = |bits: &[u8]| bits.iter().fold(0_u16, |number, bit| number << 1 | u16::from(*bit));
    let (mut at, mut digits) = (0, 0);
    for _ in 0..3 {
        let five = number(&bits[at..at + 5]);
        let (digit, length) = match five {
            0..=2 => (five, 5),
            _ => (number(&bits[at..at + 6]) - 0x19 + 3, 6),
        };
        digits = digits * 10 + digit;
        at += length;
    }
    digits
}

/// An error code.
pub(crate) fn code(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[..4].try_into().expect("four bytes"))
}
