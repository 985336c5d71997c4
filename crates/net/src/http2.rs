//! HTTP/2 (RFC 9113), and WebSockets in it by extended CONNECT (RFC 8441): many over one TCP connection,
//! each a stream with a window of its own.
//!
//! h2 speaks every byte of the frames below. Here is what stands on top: one task for each connection, which
//! reads and writes all its streams' frames, and one task for each stream, which over HTTP/1.1 would be the
//! connection's. A WebSocket's [driver](crate::Driver) reads its stream only when it has use for that, and
//! only then does the stream's window open again; one that does not read stops its own peer and nobody else.
//!
//! # Why not hyper's own
//!
//! hyper would do most of it: its streams' windows open by what is read, too. What it lacks:
//!
//! * A deadline for a client that does not take its answer: its window says so to h2, and h2 to nobody above hyper.
//! * An end for a connection without streams, and word of a stream's reset for who does not read it.
//!
//! And it has a task, a channel and a copy of its own between each WebSocket and h2: measured by
//! `tests/http2_memory.rs`, an idle one of a hundred on a connection costs 3 012 bytes in 4 blocks here, and 3 482
//! in 13 with `hyper::upgrade`. One alone costs 39.6 KB here and 37.3 there: 28 KiB of that are h2's buffers, for which
//! it has no options, and the rest is its tables and the two tasks.
//!
//! # What a peer can make us hold
//!
//! * Input that nobody has taken yet: [`Http2::window`] for each stream, and so as much times
//!   [`Http2::max_streams`] for a connection. The connection's own window has just that size: smaller, a few
//!   streams that are not read could stop the others. Small frames cost more than their bytes until their stream
//!   has its turn; beyond another such window of that, the connection ends.
//! * Output that the connection has not taken yet: 64 KiB for each stream, on top of what its outbox counts.
//! * Answers to PING and SETTINGS: none. Who does not read them is not read from, and is given up.
//! * A request's headers: [`Http2::max_header_bytes`]. Beyond it the answer is 431, beyond four times as much the
//!   connection ends; h2 bounds the number of CONTINUATION frames by that.
//! * Streams that the peer resets as soon as they are open ("rapid reset", CVE-2023-44487): when 20 of them wait
//!   for us to see them, the connection ends with `ENHANCE_YOUR_CALM`. The same after 1024 streams that we had to
//!   reset because the peer broke a rule ("MadeYouReset", CVE-2025-8671), and after 100 empty frames of data.
//! * WebSockets: each but one counts at the gate as a connection does (`places.rs`).
//!
//! # Who is gone without a word
//!
//! Each WebSocket pings for itself, unless that is turned off, and would find out for itself. Beyond that, a
//! connection of which nothing was heard is asked by PING ([`KeepAlive`]), and all its streams end at once: requests
//! that wait for an answer or for their body, and WebSockets that do not ping.

mod alive;
#[cfg(feature = "dial")]
pub(crate) mod client;
mod head;
mod incoming;
mod places;
mod preface;
mod respond;
mod serve;
mod stream;

use std::io;

pub use alive::KeepAlive;
pub(crate) use incoming::Incoming;
pub(crate) use preface::{Preface, begins_with_preface};
pub(crate) use serve::{Caller, report, serve};
#[cfg(feature = "dial")]
pub(crate) use stream::Held;
pub(crate) use stream::Stream;

/// HTTP/2 among the protocols of TLS (RFC 9113 §3.2).
pub(crate) const ALPN: &[u8] = b"h2";

/// What is buffered of a stream's output, beyond which its writer waits.
const SEND_BUFFER: usize = 64 * 1024;

/// The largest frame that is taken: the least that may be (RFC 9113 §6.5.2).
const MAX_FRAME: u32 = 16 * 1024;

/// The largest window that there is (RFC 9113 §6.9.1).
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// The smallest window a connection may have: it begins with that (RFC 9113 §6.9.2).
const MIN_CONNECTION_WINDOW: u32 = 65_535;

/// How a server speaks HTTP/2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http2 {
    /// How many streams, and so WebSockets, there may be at a time on one connection; a client learns that
    /// and waits, or opens another connection. Default: 100, the least that RFC 9113 §6.5.2 recommends.
    pub max_streams: u32,
    /// How many bytes a client may send on a stream before the server has taken some of them. More is faster
    /// over long ways, by one such window for each round trip, and costs as much memory if nobody takes
    /// it. Default: 65 535, where HTTP/2 begins.
    pub window: u32,
    /// The most bytes of a request's headers, counted as RFC 9113 §6.5.2 does. Default: 16 KiB, as Node's.
    pub max_header_bytes: u32,
    /// How a client that is gone without a word is noticed while it has streams. (One that has none ends by
    /// [`Listening::head_timeout`](crate::Listening::head_timeout).)
    pub keep_alive: KeepAlive,
}

impl Default for Http2 {
    fn default() -> Self {
        Self {
            max_streams: 100,
            window: 65_535,
            max_header_bytes: 16 * 1024,
            keep_alive: KeepAlive::default(),
        }
    }
}

impl Http2 {
    /// The window of a connection, such that no stream needs another one's part of it. h2 may need as much again to
    /// keep small frames by.
    fn connection_window(&self) -> u32 {
        connection_window(self.window, self.max_streams)
    }
}

fn connection_window(stream: u32, streams: u32) -> u32 {
    stream.saturating_mul(streams).clamp(MIN_CONNECTION_WINDOW, MAX_WINDOW)
}

/// What h2 says, as an error of a stream of bytes.
fn io_error(error: h2::Error) -> io::Error {
    if error.is_io() {
        return error.into_io().unwrap_or_else(|| io::ErrorKind::Other.into());
    }
    let kind = match (error.is_reset(), error.is_go_away()) {
        (true, _) => io::ErrorKind::ConnectionReset,
        (_, true) => io::ErrorKind::ConnectionAborted,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connections_window_is_enough_for_all_its_streams() {
        assert_eq!(Http2::default().connection_window(), 6_553_500);
        assert_eq!(connection_window(1000, 2), 65_535);
        assert_eq!(connection_window(u32::MAX, u32::MAX), MAX_WINDOW);
    }
}
