//! The client's way to an open WebSocket, against servers and proxies that say exactly what they are told.

mod addresses;
mod answers;
#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "other test binaries use the rest")]
mod common;
mod dropping;
mod limits;
mod ours;
mod proxies;
mod secure;
mod server;
mod wishes;
