//! Fuzz targets: for everything that reads a peer's bytes without doing I/O, a function that takes
//! any bytes and panics where a promise is broken.
//!
//! The functions know no fuzzing engine. `fuzz_targets/` hands them to libFuzzer, and
//! `tests/replay.rs` runs them over the committed corpora and over mutations of those, without
//! instrumentation.
//!
//! ```text
//! cargo xtask fuzz                          all targets, for 30 seconds together
//! cargo xtask fuzz frames --seconds 600     one of them
//! cargo +nightly fuzz run frames            the same with cargo-fuzz, and with AddressSanitizer
//! ```
//!
//! An input begins with bytes that decide about limits, roles and cuts (see [`Choices`]); what the
//! peer sends comes behind them, as it is on the wire, so that an engine mutates it directly.

mod choices;
pub mod deflate;
pub mod engineio;
pub mod extensions;
pub mod frames;
mod handshake;
pub mod handshake_client;
pub mod handshake_server;
pub mod msgpack;
pub mod operations;
pub mod proxies;
pub mod socketio;
mod wire;

pub use choices::Choices;

/// A target by its name, which is also that of its binary and of its directory in `corpus/`.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name.
    pub name: &'static str,
    /// Panics if these bytes break a promise.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "frames", run: frames::run },
    Target { name: "handshake_server", run: handshake_server::run },
    Target { name: "handshake_client", run: handshake_client::run },
    Target { name: "extensions", run: extensions::run },
    Target { name: "deflate", run: deflate::run },
    Target { name: "operations", run: operations::run },
    Target { name: "proxies", run: proxies::run },
    Target { name: "engineio", run: engineio::run },
    Target { name: "socketio", run: socketio::run },
    Target { name: "msgpack", run: msgpack::run },
];
