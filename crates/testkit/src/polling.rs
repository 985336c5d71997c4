//! A session that polls: the client's end, which says exactly what it is told.
//!
//! Every request has a connection of its own, so that a test may begin one and go on with another. As
//! with [`Peer`], nothing happens by itself: no poll follows another one, a ping stays unanswered.

use std::net::SocketAddr;

use crate::peer::{Peer, Response};

/// One Engine.IO session, as its client holds it.
#[derive(Clone, Debug)]
pub struct Polling {
    address: SocketAddr,
    path: String,
    sid: String,
    open: String,
}

impl Polling {
    /// Opens a session at `/socket.io/`.
    ///
    /// # Panics
    ///
    /// If it is not opened.
    pub async fn open(address: SocketAddr) -> Self {
        Self::open_at(address, "/socket.io/").await
    }

    /// Opens a session at this path.
    ///
    /// # Panics
    ///
    /// If it is not opened.
    pub async fn open_at(address: SocketAddr, path: &str) -> Self {
        let target = format!("{path}?EIO=4&transport=polling");
        let response = request(address, "GET", &target, "", b"").await.recv_http().await;
        assert_eq!(response.status, 200, "{}\n{}", response.head, response.text());
        let open = response.text().to_owned();
        let sid = open.strip_prefix("0{\"sid\":\"").and_then(|rest| rest.get(..20));
        let sid = sid.unwrap_or_else(|| panic!("not an open packet: {open}")).to_owned();
        Self { address, path: path.to_owned(), sid, open }
    }

    /// A Socket.IO client in the namespace `/`, and its id there.
    ///
    /// # Panics
    ///
    /// If it is not let in.
    pub async fn socketio(address: SocketAddr) -> (Self, String) {
        let polling = Self::open(address).await;
        polling.post("40").await;
        let reply = polling.poll().await;
        // Where the heartbeat is short and the machine busy, a ping comes first.
        let packet = reply.strip_prefix("2\u{1e}").unwrap_or(&reply);
        let id = packet.strip_prefix("40{\"sid\":\"").and_then(|rest| rest.get(..20));
        let id = id.unwrap_or_else(|| panic!("not let in: {reply}")).to_owned();
        (polling, id)
    }

    /// The session's id.
    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// The open packet.
    pub fn open_packet(&self) -> &str {
        &self.open
    }

    /// Path and query of the session's requests.
    pub fn target(&self) -> String {
        format!("{}?EIO=4&transport=polling&sid={}", self.path, self.sid)
    }

    /// Begins a poll; [`Peer::recv_http`] awaits its answer.
    pub async fn begin_poll(&self) -> Peer {
        request(self.address, "GET", &self.target(), "", b"").await
    }

    /// What a poll brings.
    ///
    /// # Panics
    ///
    /// If the answer has another status than 200.
    pub async fn poll(&self) -> String {
        let response = self.begin_poll().await.recv_http().await;
        assert_eq!(response.status, 200, "{}\n{}", response.head, response.text());
        response.text().to_owned()
    }

    /// Begins a POST with this payload.
    pub async fn begin_post(&self, payload: &str) -> Peer {
        let headers = format!("Content-Length: {}\r\n", payload.len());
        request(self.address, "POST", &self.target(), &headers, payload.as_bytes()).await
    }

    /// Posts a payload, and has it judged.
    ///
    /// # Panics
    ///
    /// If the answer is not `ok`.
    pub async fn post(&self, payload: &str) {
        let response = self.begin_post(payload).await.recv_http().await;
        assert_eq!((response.status, response.text()), (200, "ok"), "{}", response.head);
    }

    /// Any request of the session.
    pub async fn request(&self, method: &str, headers: &str, body: &[u8]) -> Response {
        request(self.address, method, &self.target(), headers, body).await.recv_http().await
    }

    /// A websocket that wants to become the session's transport; it has said nothing yet.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub async fn websocket(&self) -> Peer {
        Peer::websocket(self.address, &self.target().replace("=polling", "=websocket")).await
    }

    /// Upgrades to a websocket.
    ///
    /// # Panics
    ///
    /// If the probe is not answered.
    pub async fn upgrade(&self) -> Peer {
        let mut peer = self.websocket().await;
        peer.send_text("2probe").await;
        peer.expect_text("3probe").await;
        peer.send_text("5").await;
        peer
    }
}

/// Sends an HTTP request; the answer has not been read.
pub async fn request(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &str,
    body: &[u8],
) -> Peer {
    let mut peer = Peer::connect(address).await;
    let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    peer.send_bytes(&[head.as_bytes(), body].concat()).await;
    peer
}
