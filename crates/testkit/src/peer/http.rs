//! What a peer hears before there is a WebSocket, or instead of it: HTTP responses.

use std::net::SocketAddr;

use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::Peer;
use crate::deadline::DEADLINE;

/// An HTTP response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Status line and headers, as they came.
    pub head: String,
    /// The body, by its `Content-Length`.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header; names are compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body as text.
    ///
    /// # Panics
    ///
    /// If it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }
}

impl Peer {
    /// The next bytes must be an HTTP response. What follows it is kept for
    /// [`recv`](Self::recv).
    ///
    /// # Panics
    ///
    /// If they are not.
    pub async fn recv_http(&mut self) -> Response {
        let end = loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                break end;
            }
            self.read_raw("the head of a response").await;
        };
        let body = end + 4;
        let head = String::from_utf8_lossy(&self.unread[..end]).into_owned();
        let mut response = Response { status: 0, head, body: Vec::new() };
        let status = response.head.split(' ').nth(1).and_then(|status| status.parse().ok());
        response.status = status.unwrap_or_else(|| self.fail(&response.head));
        let length = response.header("content-length").and_then(|length| length.parse().ok());
        let length = match (response.status, length) {
            (100 | 101 | 204 | 304, _) => 0,
            (_, Some(length)) => length,
            (_, None) => self.fail(&format!("no Content-Length:\n{}", response.head)),
        };
        while self.unread.len() < body + length {
            self.read_raw("the body of a response").await;
        }
        response.body = self.unread[body..body + length].to_vec();
        self.unread.drain(..body + length);
        response
    }

    /// As [`recv_http`](Self::recv_http); `None` if the connection ends, or is reset, before the head of a
    /// response has come.
    ///
    /// # Panics
    ///
    /// If neither comes in time.
    pub async fn recv_http_or_end(&mut self) -> Option<Response> {
        while find(&self.unread, b"\r\n\r\n").is_none() {
            match timeout(DEADLINE, self.stream.read_buf(&mut self.unread)).await {
                Ok(Ok(0) | Err(_)) => return None,
                Ok(Ok(_)) => {}
                Err(_) => self.fail("neither a response nor the end came"),
            }
        }
        Some(self.recv_http().await)
    }
}

/// Sends one request on a connection of its own and returns the response.
///
/// # Panics
///
/// If there is none.
pub async fn http(address: SocketAddr, request: &str) -> Response {
    let mut peer = Peer::connect(address).await;
    peer.send_bytes(request.as_bytes()).await;
    peer.recv_http().await
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
