//! Sockeye: WebSocket and Socket.IO for Rust. Its Socket.IO server takes every official client
//! unchanged.
//!
//! This crate is a facade: it re-exports what users need and has no logic of its own. For Socket.IO,
//! start at [`Server`] and [`Namespace`]; for WebSocket by itself, at [`websocket`].
#![cfg_attr(
    feature = "socketio",
    doc = r#"
```no_run
use sockeye::{Data, Namespace, Server, Socket};

async fn post(socket: Socket, Data(text): Data<String>) -> &'static str {
    socket.broadcast().emit("chat message", &text).ok();
    "posted" // the ack, if the client asked for one
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let chat = Namespace::new("/")
        .on_connect(|socket: Socket| async move {
            socket.join("lobby");
        })
        .on("chat message", post);
    let io = Server::builder().namespace(chat).build();
    io.listen("127.0.0.1:3000").await // or: axum::Router::new().merge(io.router())
}
```"#
)]
#![cfg_attr(
    not(feature = "socketio"),
    doc = "\n[`Server`]: websocket::Server\n[`Namespace`]: websocket"
)]
//!
//! # Features
//!
//! - `client` (default): the client's side of [`websocket`].
//! - `http2` (default): HTTP/2 in both roles, and many WebSockets over one connection of it (RFC 8441).
//! - `tls` (default): [`tls`] in both roles.
//! - `socketio` (default): the Socket.IO and Engine.IO server. Without it no crate of theirs is
//!   compiled, and [`websocket`] is all there is.
//! - `disk`: sockets that outlive their server's process, by an embedded database; see
//!   `Recovery::disk`.
//! - `axum` (default): the Socket.IO server as an axum router.
//! - `admin`: `ServerBuilder::admin`, for the official Admin UI.
//! - `prometheus`: `Server::prometheus`, the server's counts in Prometheus' format.
//! - `regex`: `Namespace::regex`, dynamic namespaces by regular expression.

pub use bytes::Bytes;
#[cfg(feature = "tls")]
pub use sockeye_net::tls;
pub use sockeye_net::websocket;
#[cfg(feature = "socketio")]
pub use sockeye_server::*;
