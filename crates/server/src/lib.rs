//! What users write a Socket.IO server against.
//!
//! A [`Namespace`] holds handlers, a [`Server`] holds namespaces, a [`Socket`] is one client in one
//! namespace. Handlers are functions whose parameters are extractors and whose return value answers
//! the ack:
//!
//! ```
//! use sockeye_server::{Data, Namespace, Server, Socket};
//!
//! async fn post(socket: Socket, Data(text): Data<String>) -> &'static str {
//!     socket.broadcast().emit("chat message", &text).ok();
//!     "posted"
//! }
//!
//! let chat = Namespace::new("/")
//!     .on_connect(|socket: Socket| async move {
//!         socket.join("lobby");
//!     })
//!     .on("chat message", post);
//! let io = Server::builder().namespace(chat).build();
//! io.to("lobby").emit("news", ("tuples", "are", "positional arguments"))?;
//! # Ok::<(), sockeye_server::EmitError>(())
//! ```
//!
//! # Seeing it
//!
//! Events of [`tracing`] have the scopes of Node's server as their targets: `engine`, `engine:socket`,
//! `engine:transport`, `engine:polling`, `engine:ws`, `socket.io:server`, `socket.io:namespace`,
//! `socket.io:parent-namespace`, `socket.io:client`, `socket.io:socket`, `socket.io-parser`, `socket.io-adapter`,
//! `socket.io-admin`. Who comes, goes, is refused or upgrades is told at the level `debug`; packets, events, acks
//! and rooms at `trace`; what an operator should look at at `warn` and above.
//!
//! At `debug` there are two spans, so that what an application logs can be told apart: `session` (target
//! `engine:socket`; fields `sid`, of which only the beginning is shown, and `address`), and within it, for each
//! run of a handler or a middleware, `handler` (target `socket.io:socket`; fields `socket`, `namespace`,
//! `event`). With `tracing_subscriber::EnvFilter`,
//! `info,engine:socket=debug,socket.io:socket=debug` has both of them. Neither is made where it is not wanted.
//!
//! Session ids, `auth` and cookies are never logged by this crate, nor what events carry, but for what the error of
//! an event that cannot be decoded quotes, and what a handler's own error or refusal says.
//!
//! [`Server::metrics`] counts, and with the feature `prometheus`, `Server::prometheus` has the counts in
//! Prometheus' format.

mod ack;
#[cfg(feature = "admin")]
pub mod admin;
mod adopt;
mod builder;
mod bundle;
pub mod cheatsheet;
mod children;
mod client;
mod cluster;
mod config;
mod connect;
mod counter;
mod drain;
mod emit;
mod emitter;
pub mod engine;
mod extract;
mod gather;
mod journal;
mod link;
mod listen;
mod local;
mod metrics;
mod namespace;
mod observe;
mod operators;
mod options;
mod parent;
mod parsers;
mod path;
mod pattern;
#[cfg(feature = "prometheus")]
mod prometheus;
mod publish;
mod record;
mod recovery;
mod remote;
mod server;
mod server_side;
mod service;
mod site;
mod socket;
mod tasks;
mod times;

pub use ack::{AckError, AckFuture};
pub use builder::{ServerBuilder, SocketIo};
pub use connect::{Middleware, Refusal, Verdict};
pub use emit::{EmitError, TryEmitError};
pub use emitter::Emitter;
pub use extract::{EventName, State};
pub use gather::{Acks, Missing, Response, Responses};
pub use metrics::{AckCounts, Counts, Ends, Faults, Metrics, Reason, Refusals, TurnedAways};
pub use namespace::Namespace;
pub use operators::{Broadcast, Rooms};
pub use options::{Builder, Transport};
pub use parent::ParentBroadcast;
pub use path::{NamespaceName, Path};
pub use record::HandshakeRecord;
pub use recovery::Recovery;
pub use remote::RemoteSocket;
pub use server::Server;
pub use server_side::ServerSide;
pub use service::SocketIoService;
pub use site::HttpService;
pub use socket::Socket;
pub use times::HandlerTimes;

pub use sockeye_engineio::{PacketType, Refusal as HandshakeRefusal, Revision, Sid};
pub use sockeye_handler::{
    Data, Event, Failure, FromEvent, Guard, Handler, HandlerId, Passing, Rejection,
};
pub use sockeye_hub::RoomEvent;
pub use sockeye_hub::adapter::{self, Gathered};
pub use sockeye_net::http::{Incoming, OverTls};
pub use sockeye_net::rate::Rate;
pub use sockeye_net::{ForwardedBy, NetworkError, TrustedProxies, TurnedAway};
#[cfg(feature = "http2")]
pub use sockeye_net::{Http2, KeepAlive};
pub use sockeye_socketio::{
    Args, ArgsError, DisconnectReason, EncodeError, JsonParser, Map, MsgpackParser, Number, Parser,
    Value, parser,
};
pub use sockeye_transport::{
    Census, ConnectionError, Cookie, Cors, CorsBuilder, CorsError, Fault, Forbidden, Halt,
    Handshake, Hooks, KeepHeaders, Request, SameSite, SessionData, SessionEvent, SessionPacket,
    SessionRef, Volume,
};
pub use sockeye_websocket::deflate;

/// An event's ack, to be answered by hand; see [`sockeye_handler::Ack`].
///
/// `Ack<ServerSide>` is that of an event from another server.
pub type Ack<C = Socket> = sockeye_handler::Ack<C>;
