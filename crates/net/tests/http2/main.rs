//! HTTP/2 over real sockets: WebSockets by extended CONNECT (RFC 8441), with h2 itself as a peer for what no
//! proper one does, and our own client for the rest.

mod alive;
mod client;
mod closing;
mod embedded;
mod floods;
mod flow;
mod goaway;
mod peer;
mod raw;
mod requests;
mod rules;

use std::net::SocketAddr;

use sockeye_net::websocket::{Client, Server, WebSocket, dial::HttpVersion};
use sockeye_testkit::deadline::within;
use tokio::net::TcpListener;

/// Starts a server on a free port.
async fn serve(server: &Server) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let server = server.clone();
    tokio::spawn(async move { server.serve_listener(listener).await });
    address
}

async fn echo(mut socket: WebSocket) {
    while let Some(message) = socket.recv().await {
        socket.send_wait(message).await.ok();
    }
}

/// A client that speaks HTTP/2 without being asked.
fn client() -> Client {
    Client::new().http(HttpVersion::Http2)
}
