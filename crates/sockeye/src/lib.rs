//! Sockeye: a Socket.IO server that every official client connects to unchanged.
//!
//! This crate is a facade: it re-exports what users need and has no logic of its own. Start at
//! [`Server`] and [`Namespace`].
//!
//! ```no_run
//! use sockeye::{Data, Namespace, Server, Socket};
//!
//! async fn post(socket: Socket, Data(text): Data<String>) -> &'static str {
//!     socket.broadcast().emit("chat message", &text).ok();
//!     "posted" // the ack, if the client asked for one
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> std::io::Result<()> {
//!     let chat = Namespace::new("/")
//!         .on_connect(|socket: Socket| async move {
//!             socket.join("lobby");
//!         })
//!         .on("chat message", post);
//!     let io = Server::builder().namespace(chat).build();
//!     io.listen("127.0.0.1:3000").await // or: axum::Router::new().merge(io.router())
//! }
//! ```

pub use bytes::Bytes;
pub use sockeye_server::*;
