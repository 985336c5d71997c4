//! The server from outside: real TCP on the loopback interface, and peers that say exactly what
//! they are told. One concern a module.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod judge;
mod loopback;

mod acks;
mod acks_many;
mod adapters;
mod adopt;
mod backpressure;
mod bad_frames;
mod bad_manners;
mod bad_packets;
mod bundle;
mod chaos;
mod cheatsheet;
mod cluster;
mod compression;
mod connect;
mod connect_races;
mod cors;
mod drain;
mod eio3;
mod endings;
mod engine_middleware;
mod handlers;
mod handshake;
mod heartbeat;
mod lifetime;
mod limits;
mod listening;
mod metrics;
mod namespaces;
mod options;
mod order;
mod own_handlers;
mod panics;
mod parsers;
mod plain;
mod polling;
mod protection;
mod proxies;
mod recovery;
mod rewrites;
mod rooms;
mod session_events;
mod sockets;
mod upgrade;
mod wire;
