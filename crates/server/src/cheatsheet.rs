//! Node's [emit cheatsheet](https://socket.io/docs/v4/emit-cheatsheet/), line by line, beside this
//! library's.
//!
//! Three things differ throughout. Several arguments are a tuple. What in JavaScript a callback
//! gets, a future has. And every wait for an answer ends: after the server's
//! [ack timeout](crate::ServerBuilder::ack_timeout), 20 s by default, where Node waits for ever for
//! one client and 1 ms for several.
//!
//! # To one client
//!
//! ```
//! # use std::time::Duration;
//! # use bytes::Bytes;
//! # use serde_json::json;
//! # use sockeye_server::{AckError, Socket};
//! # async fn example(socket: Socket) -> Result<(), Box<dyn std::error::Error>> {
//! // socket.emit("hello", 1, "2", { 3: "4" });
//! socket.emit("hello", (1, "2", json!({ "3": "4" })))?;
//! // socket.emit("hello", Buffer.from([6]));
//! socket.emit("hello", Bytes::from_static(&[6]))?;
//! // socket.send("hi");
//! socket.send("hi")?;
//!
//! // socket.emit("hello", "world", (arg1, arg2, arg3) => { .. });
//! // const response = await socket.emitWithAck("hello", "world");
//! let response: String = socket.emit_with_ack("hello", "world").await?;
//! let (arg1, arg2): (u32, String) = socket.emit_with_ack("hello", "world").await?;
//!
//! // socket.timeout(5000).emit("hello", "world", (err, arg1) => { .. });
//! // const response = await socket.timeout(5000).emitWithAck("hello", "world");
//! match socket.timeout(Duration::from_secs(5)).emit_with_ack::<String>("hello", "world").await {
//!     Ok(response) => println!("{response}"),
//!     Err(AckError::Timeout) => println!("the client did not answer in time"),
//!     Err(error) => println!("{error}"),
//! }
//!
//! // socket.volatile.emit("hello");
//! socket.volatile().emit("hello", ())?;
//! // socket.compress(false).emit("uncompressed");
//! socket.compress(false).emit("uncompressed", ())?;
//! # Ok(()) }
//! ```
//!
//! # To several, from a handler
//!
//! ```
//! # use std::time::Duration;
//! # use sockeye_server::{EmitError, Socket};
//! # async fn example(socket: Socket) -> Result<(), EmitError> {
//! // socket.broadcast.emit("hello");
//! socket.broadcast().emit("hello", ())?;
//! // socket.to("room 1").emit("hello");            (or `in`, which Rust keeps for itself)
//! socket.to("room 1").emit("hello", ())?;
//! // socket.to("room 1").to(["room 2", "room 3"]).except("room 4").emit("hello");
//! socket.to("room 1").to(["room 2", "room 3"]).except("room 4").emit("hello", ())?;
//! // socket.except("room 1").emit("hello");
//! socket.except("room 1").emit("hello", ())?;
//! // socket.to(anotherSocketId).emit("hello");
//! # let another_socket_id = "x";
//! socket.to(another_socket_id).emit("hello", ())?;
//! // io.emit("hello");
//! socket.everyone().emit("hello", ())?;
//!
//! // socket.timeout(5000).to("room 1").to(["room 2"]).except("room 3").emit("hello", (err, responses) => { .. });
//! let responses = socket
//!     .timeout(Duration::from_secs(5))
//!     .to("room 1")
//!     .to(["room 2"])
//!     .except("room 3")
//!     .emit_with_acks::<String>("hello", ())?
//!     .all()
//!     .await;
//! println!("{:?}, and not {:?}", responses.answers, responses.missing);
//! # Ok(()) }
//! ```
//!
//! # To several, from the server
//!
//! ```
//! # use std::time::Duration;
//! # use sockeye_server::{EmitError, Server};
//! # async fn example(io: Server) -> Result<(), EmitError> {
//! // io.emit("hello");
//! io.emit("hello", ())?;
//! // io.to("my room").emit("hello");
//! io.to("my room").emit("hello", ())?;
//! // io.except("my room").emit("hello");
//! io.except("my room").emit("hello", ())?;
//! // io.to("room 1").to(["room 2", "room 3"]).except("room 4").emit("hello");
//! io.to("room 1").to(["room 2", "room 3"]).except("room 4").emit("hello", ())?;
//! // io.of("/my-namespace").emit("hello");
//! if let Some(everyone) = io.of("/my-namespace") {
//!     everyone.emit("hello", ())?;
//! }
//! // io.local.emit("hello");
//! io.local().emit("hello", ())?;
//! // io.volatile.emit("hello");
//! io.volatile().emit("hello", ())?;
//! // io.compress(false).emit("uncompressed");
//! io.compress(false).emit("uncompressed", ())?;
//!
//! // io.timeout(5000).emit("hello", "world", (err, responses) => { .. });
//! // const responses = await io.timeout(5000).emitWithAck("hello", "world");
//! let responses =
//!     io.timeout(Duration::from_secs(5)).emit_with_acks::<String>("hello", "world")?.all().await;
//! for answer in responses.values() {
//!     println!("{answer}");
//! }
//! # Ok(()) }
//! ```
//!
//! # Sockets wherever they are
//!
//! ```
//! # use sockeye_server::Server;
//! # async fn example(io: Server) {
//! // for (const socket of await io.in("room 1").fetchSockets()) { socket.join("room 2"); }
//! for socket in io.to("room 1").fetch_sockets().await.found {
//!     socket.join("room 2");
//! }
//! // io.in("room 1").socketsJoin(["room 2", "room 3"]);
//! io.to("room 1").join(["room 2", "room 3"]);
//! // io.in("room 1").socketsLeave("room 2");
//! io.to("room 1").leave("room 2");
//! // io.in("room 1").disconnectSockets();
//! io.to("room 1").disconnect();
//! // io.in("room 1").disconnectSockets(true);
//! io.to("room 1").disconnect_clients();
//! # }
//! ```
//!
//! # To other servers
//!
//! ```
//! # use sockeye_server::{EmitError, Server};
//! use sockeye_server::{Data, Namespace};
//!
//! // io.on("hello", (world, cb) => { .. cb("hi"); });
//! let root = Namespace::new("/").on_server_side("hello", |Data(world): Data<String>| {
//!     format!("{world} says hi")
//! });
//! # async fn example(io: Server) -> Result<(), EmitError> {
//! // io.serverSideEmit("hello", "world");
//! io.everyone().server_side_emit("hello", "world")?;
//! // io.serverSideEmit("hello", "world", (err, responses) => { .. });
//! // const responses = await io.serverSideEmitWithAck("hello", "world");
//! let responses = io.everyone().server_side_emit_with_acks::<String>("hello", "world")?.await;
//! println!("{:?}, and silent are {:?}", responses.found, responses.silent);
//! # Ok(()) }
//! ```
