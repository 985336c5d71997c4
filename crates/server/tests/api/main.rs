//! The server from outside: real TCP on the loopback interface, and peers that say exactly what
//! they are told. One concern a module.

mod harness;

mod acks;
mod backpressure;
mod bad_input;
mod bundle;
mod connect;
mod handlers;
mod handshake;
mod heartbeat;
mod lifetime;
mod order;
mod own_handlers;
mod rooms;
mod wire;
