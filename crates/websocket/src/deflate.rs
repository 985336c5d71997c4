//! permessage-deflate: messages that are compressed one by one (RFC 7692).
//!
//! - **Negotiating:** pure functions from header values to [`Params`]. A server [`answer`]s offers;
//!   a client makes an [`offer`] and [judges](judge_answer) the answer.
//! - **Receiving:** [`Connection::with_deflate`](crate::Connection::with_deflate) says what was
//!   agreed on. The compressed message is collected and inflated at its end, by an [`Inflater`]
//!   that is lent for the call: one serves all connections of a thread, and an idle connection has
//!   none.
//! - **Sending:** [`Compressors`], also one for a thread, make frames that depend on nothing but
//!   the message, so that many connections can share them. A [`Compressor`] belongs to one
//!   connection and refers to what it has sent before; [`Budget`] bounds what all of them take.
//!
//! # Context takeover
//!
//! An endpoint that *takes its context over* lets a message refer to earlier ones. That saves bytes
//! and costs memory at both ends for as long as the connection lives: some 300 KB for who
//! compresses ([`Compression::compressor_size`]), up to 32 KiB for who inflates. So nobody does it
//! here unless [`Config`] says so.
//!
//! # Dependency
//!
//! zlib-rs does the work. It links `std`, for its allocator and to find out what the processor can
//! do; this crate itself does not.

mod budget;
mod compress;
mod header;
mod inflate;
mod negotiate;

pub(crate) use self::inflate::Window;
pub use self::{
    budget::{Budget, Grant},
    compress::{Compressor, Compressors},
    inflate::Inflater,
    negotiate::{Answer, AnswerError, Parameter, answer, judge_answer, offer},
};
use crate::connection::Role;

/// The reserved bit that marks the first frame of a compressed message (RFC 7692 §6).
pub(crate) const RSV1: u8 = 0b100;

/// What every flushed deflate stream ends with, and what is left out on the wire (RFC 7692
/// §7.2.1).
const FLUSHED: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

/// The size of a sliding window, as the base-2 logarithm of its bytes: 8 to 15 (RFC 7692 §7.1.2).
///
/// A window of 8 bits, 256 bytes, can be promised and is kept to: zlib knows no such compressor,
/// but one of 9 bits reaches back 250 bytes at most, because it keeps the longest match and some
/// lookahead free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowBits(u8);

impl WindowBits {
    /// 256 bytes.
    pub const MIN: Self = Self(8);

    /// 32 KiB, what deflate has if nothing is said.
    pub const MAX: Self = Self(15);

    /// A window of 2 to the power of `bits` bytes; `None` unless `bits` is 8 to 15.
    #[must_use]
    pub const fn new(bits: u8) -> Option<Self> {
        if bits >= Self::MIN.0 && bits <= Self::MAX.0 { Some(Self(bits)) } else { None }
    }

    /// The logarithm, 8 to 15.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The size of the window in bytes, 256 to 32 768.
    #[must_use]
    pub const fn size(self) -> usize {
        1 << self.0
    }

    /// What zlib makes of it.
    const fn compressor(self) -> u8 {
        if self.0 == 8 { 9 } else { self.0 }
    }
}

/// How one of the endpoints compresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Context {
    /// Whether its messages may refer to earlier ones. Default: no.
    pub takeover: bool,
    /// How far back they may refer. Default: [`WindowBits::MAX`].
    pub window: WindowBits,
}

impl Default for Context {
    fn default() -> Self {
        Self { takeover: false, window: WindowBits::MAX }
    }
}

/// What both endpoints have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Params {
    /// How the client compresses.
    pub client: Context,
    /// How the server compresses.
    pub server: Context,
}

impl Params {
    /// How the endpoint of this role compresses.
    #[must_use]
    pub const fn of(&self, role: Role) -> Context {
        match role {
            Role::Client => self.client,
            Role::Server => self.server,
        }
    }

    /// How the peer of the endpoint of this role compresses.
    #[must_use]
    pub const fn of_peer(&self, role: Role) -> Context {
        match role {
            Role::Client => self.server,
            Role::Server => self.client,
        }
    }

    /// The most bytes that an endpoint of this role holds between messages because of context
    /// takeover: its [`Compressor`], and the window of its peer; the structs around them aside.
    /// Without takeover: 0.
    #[must_use]
    pub const fn memory(&self, role: Role, compression: &Compression) -> usize {
        let (own, peer) = (self.of(role), self.of_peer(role));
        let compressor = if own.takeover { compression.compressor_size(own.window) } else { 0 };
        let window = if peer.takeover { peer.window.size() } else { 0 };
        compressor + window
    }

    const fn without_takeover(mut self) -> Self {
        self.client.takeover = false;
        self.server.takeover = false;
        self
    }
}

/// How hard to compress, and what. Nothing of it is negotiated.
///
/// The defaults are measured with JSON, in messages of 1 KiB and of 16 KiB (the example `deflate` of
/// this crate). *Alone* is without context takeover.
///
/// | level | 1 KiB alone | | takeover | | 16 KiB alone | | takeover | |
/// |---|---|---|---|---|---|---|---|---|
/// | 1 | 3.4 µs | 41 % | 1.7 µs | 30 % | 35 µs | 32 % | 35 µs | 30 % |
/// | 2 | 9.5 µs | 33 % | 5.5 µs | 24 % | 61 µs | 22 % | 61 µs | 21 % |
/// | 3 | 11.1 µs | 31 % | 8.1 µs | 22 % | 85 µs | 21 % | 84 µs | 19 % |
/// | 6 | 11.7 µs | 30 % | 17.2 µs | 20 % | 158 µs | 19 % | 223 µs | 17 % |
///
/// Alone, 1.3 µs of each go into forgetting the message before. Memory level 8 needs 0.3 µs more for
/// that than 6 and compresses none of them better; 4 saves 0.1 µs and loses it again with larger
/// messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compression {
    /// Messages with fewer bytes are sent as they are. Default: 1024, as in `ws` for Node.
    pub threshold: usize,
    /// zlib's level, 1 (fastest) to 9 (smallest); what is beyond is taken for the nearest. Default:
    /// 1, which leaves a third of the bytes for a third of the time.
    pub level: u8,
    /// zlib's memory level, 1 to 9; what is beyond is taken for the nearest. Default: 6.
    pub mem_level: u8,
}

impl Default for Compression {
    fn default() -> Self {
        Self { threshold: 1024, level: 1, mem_level: 6 }
    }
}

impl Compression {
    /// The bytes of heap that a compressor with this window takes: 137 216 with the smallest window
    /// and memory level, 294 016 with the largest window and the default level. Its hash table
    /// alone has 128 KiB.
    #[must_use]
    pub const fn compressor_size(&self, window: WindowBits) -> usize {
        // The window twice and a chain of the same size, the hash table, and for each symbol that
        // may wait four bytes of output and three of its own.
        const HASHES: usize = 128 * 1024;
        const STATE: usize = 3_200;
        let symbols = 64 << self.zlib_mem_level();
        (4 << window.compressor()) + HASHES + 7 * symbols + STATE
    }

    const fn zlib_level(&self) -> u8 {
        clamp(self.level)
    }

    const fn zlib_mem_level(&self) -> u8 {
        clamp(self.mem_level)
    }
}

const fn clamp(level: u8) -> u8 {
    match level {
        0 => 1,
        1..=9 => level,
        _ => 9,
    }
}

/// What an endpoint agrees to, and how it compresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The most that the client may do. A window below [`WindowBits::MAX`] can be imposed only on
    /// clients that offer `client_max_window_bits`, as browsers do; others keep theirs.
    pub client: Context,
    /// The most that the server may do.
    pub server: Context,
    /// How this endpoint compresses.
    pub compression: Compression,
}

impl Config {
    /// The same without context takeover in either direction: for a client whose [`Budget`] is used
    /// up.
    #[must_use]
    pub const fn without_takeover(mut self) -> Self {
        self.client.takeover = false;
        self.server.takeover = false;
        self
    }
}

/// The most bytes that the frames of a compressed message may have for the message itself to be
/// within `max_message_size`: deflate makes what it cannot compress a little larger.
///
/// It is what zlib's `deflateBound` allows for the worst of its own settings.
pub(crate) const fn max_compressed(max_message_size: usize) -> usize {
    max_message_size
        .saturating_add(max_message_size >> 3)
        .saturating_add(max_message_size >> 6)
        .saturating_add(64)
}

// What writes to a connection goes from thread to thread, and so does what is lent.
const _: () = {
    const fn goes_anywhere<T: Send + Sync>() {}
    goes_anywhere::<Inflater>();
    goes_anywhere::<Compressors>();
    goes_anywhere::<Compressor>();
    goes_anywhere::<Grant>();
};
