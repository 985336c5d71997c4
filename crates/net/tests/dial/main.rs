//! The client's way to an open WebSocket, against servers and proxies that say exactly what they are told.

mod addresses;
mod answers;
mod dropping;
mod limits;
mod proxies;
mod secure;
mod server;
mod wishes;
