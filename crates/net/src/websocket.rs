//! WebSocket by itself, without anything above it: a [`Server`] and its handler on one side, and
//! the same [`WebSocket`] on both.
//!
//! ```no_run
//! use sockeye_net::websocket::{Server, WebSocket};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> std::io::Result<()> {
//!     let echo = Server::new(|mut socket: WebSocket| async move {
//!         while let Some(message) = socket.recv().await {
//!             socket.send(message).ok();
//!         }
//!     });
//!     echo.listen("127.0.0.1:9001").await
//! }
//! ```
//!
//! One task serves one connection: it reads and writes, keeps the connection alive, and polls the
//! handler in between. A handler that waits for something else stops none of that, and a handler
//! that blocks its thread stops it all.

#[cfg(feature = "dial")]
mod client;
mod ending;
mod handler;
mod message;
mod options;
mod plain;
mod prepared;
mod sender;
mod server;
mod shared;
mod socket;
mod upgrade;

pub use bytes::Bytes;
pub use bytestring::ByteString;
pub use sockeye_websocket::{CloseCode, Error, Limit, Limits, PeerMisbehaved, deflate};

/// How a client comes to its server: proxies, timeouts, and what the errors say.
#[cfg(feature = "dial")]
pub use crate::dial;
#[cfg(feature = "http2")]
pub use crate::http2::{Http2, KeepAlive};
#[cfg(feature = "dial")]
pub use client::{Client, ConnectError, connect};
pub use ending::{Ending, Why};
pub use handler::Handler;
pub use message::Message;
pub use options::Options;
pub use prepared::Prepared;
pub use sender::{SendError, Sender, TrySendError};
pub use server::{Server, ServerBuilder, WebSocketService};
pub use socket::{Receiver, WebSocket};
pub use upgrade::{Refused, Upgrade};
