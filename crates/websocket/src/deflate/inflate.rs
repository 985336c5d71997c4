//! Inflating what a peer has compressed (RFC 7692 §7.2.2).
//!
//! A whole message at once, into a buffer that the next one overwrites. Invariants:
//!
//! - The output is bounded while it grows, so a bomb costs no more than the largest message.
//! - Every message begins with a reset: what a broken one leaves behind is never seen.

use alloc::vec::Vec;
use core::{fmt, mem};

use zlib_rs::{Inflate, InflateFlush, Status};

use super::{FLUSHED, WindowBits};
use crate::error::{Error, Limit, PeerMisbehaved};

/// What is fed behind a message: the end that its sender has left out, and an empty final block,
/// which makes zlib say that the message ended where a block ends, and not within one.
const END: [u8; 9] = {
    let [a, b, c, d] = FLUSHED;
    [a, b, c, d, 0x01, 0x00, 0x00, 0xFF, 0xFF]
};

/// The buffer's size at first. Measured: small messages do not fill it, and what touches it stays
/// within the processor's first cache.
const FIRST_CAPACITY: usize = 16 * 1024;

/// The largest buffer that is kept for the next message.
const MAX_KEPT: usize = 64 * 1024;

/// What inflates messages, one after the other, of however many connections: they share nothing
/// but its memory.
///
/// It allocates when it first has something to inflate: some 48 KB for zlib, and a buffer of up to
/// 64 KiB. Larger messages are handed out in a buffer of their own.
#[derive(Default)]
pub struct Inflater {
    zlib: Option<Inflate>,
    /// Initialised bytes, of which the message is the beginning.
    buffer: Vec<u8>,
    /// The bytes of the message.
    len: usize,
    /// Where the last deflate stream in the message begins.
    stream: usize,
}

impl Inflater {
    /// An inflater, which has not allocated anything yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { zlib: None, buffer: Vec::new(), len: 0, stream: 0 }
    }

    /// Inflates a message, which may refer back to what is in `window`, into at most `max` bytes.
    ///
    /// Final blocks end a stream, not the message: the next block begins a new one, and neither it
    /// nor later messages refer to anything before (RFC 7692 §7.2.3.4). An empty message is taken
    /// for what it seems to be, although §7.2.3.6 wants a byte in it: that is how zlib flushes
    /// twice in a row.
    pub(crate) fn inflate(
        &mut self,
        message: &[u8],
        window: &[u8],
        max: usize,
    ) -> Result<(), Error> {
        (self.len, self.stream) = (0, 0);
        if message.is_empty() {
            return Ok(());
        }
        let result = self.inflate_some(message, window, max);
        if result.is_err() {
            self.len = 0;
            if self.buffer.len() > MAX_KEPT {
                self.buffer = Vec::new();
            }
        }
        result
    }

    fn inflate_some(&mut self, message: &[u8], window: &[u8], max: usize) -> Result<(), Error> {
        // Raw deflate; with the largest window, a peer may well refer to all of the message.
        let zlib = self.zlib.get_or_insert_with(|| Inflate::new(false, WindowBits::MAX.get()));
        zlib.reset(false);
        if !window.is_empty() {
            zlib.set_dictionary(window).map_err(|_| PeerMisbehaved::DeflateInvalid)?;
        }

        // One byte more than allowed shows that the limit is exceeded.
        let ceiling = max.saturating_add(1);
        let mut input = message;
        let mut ending = false;
        loop {
            if self.len == self.buffer.len().min(ceiling) {
                grow(&mut self.buffer, ceiling);
            }
            let end = self.buffer.len().min(ceiling);
            let space = &mut self.buffer[self.len..end];
            let (taken, written) = (zlib.total_in(), zlib.total_out());
            let status = zlib
                .decompress(input, space, InflateFlush::NoFlush)
                .map_err(|_| PeerMisbehaved::DeflateInvalid)?;
            let taken = (zlib.total_in() - taken) as usize;
            let written = (zlib.total_out() - written) as usize;
            input = &input[taken..];
            self.len += written;
            if self.len > max {
                Err(Limit::MessageSize { limit: max, declared: self.len as u64 })?;
            }
            match status {
                Status::StreamEnd if input.is_empty() => return Ok(()),
                Status::StreamEnd if ending => Err(PeerMisbehaved::DeflateCut)?,
                Status::StreamEnd => {
                    zlib.reset(false);
                    self.stream = self.len;
                }
                // There is space for more, and nothing comes.
                Status::Ok | Status::BufError if self.len < end => {
                    if ending || !input.is_empty() {
                        Err(PeerMisbehaved::DeflateCut)?;
                    }
                    input = &END;
                    ending = true;
                }
                Status::Ok | Status::BufError => {}
            }
        }
    }

    /// The message that was inflated last.
    pub(crate) fn message(&self) -> &[u8] {
        &self.buffer[..self.len]
    }

    /// What later messages may refer to of it, and whether that is all: then they do not refer to
    /// anything before either.
    pub(crate) fn last_stream(&self) -> (&[u8], bool) {
        (&self.buffer[self.stream..self.len], self.stream > 0)
    }

    /// The message in a buffer of its own, if it is too large to be kept here.
    pub(crate) fn take_large(&mut self) -> Option<Vec<u8>> {
        if self.buffer.len() <= MAX_KEPT {
            return None;
        }
        let mut message = mem::take(&mut self.buffer);
        message.truncate(mem::take(&mut self.len));
        message.shrink_to(MAX_KEPT);
        Some(message)
    }
}

/// Makes the buffer longer, up to `ceiling`, which it has not reached.
fn grow(buffer: &mut Vec<u8>, ceiling: usize) {
    let len = buffer.len().saturating_mul(2).max(FIRST_CAPACITY).min(ceiling);
    buffer.reserve_exact(len - buffer.len());
    buffer.resize(len, 0);
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("allocated", &self.zlib.is_some())
            .field("buffer", &self.buffer.capacity())
            .finish()
    }
}

/// The end of what a peer with context takeover has sent, as far as it may refer back to it.
///
/// It grows with what has come, up to the window's size. Handing it to a shared zlib for each
/// message costs 0.9 µs at most; a zlib of its own would cost the connection 48 KB.
#[derive(Debug, Default)]
pub(crate) struct Window(Vec<u8>);

impl Window {
    /// The bytes that it has allocated.
    pub(crate) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    pub(crate) const fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Takes in what was sent last.
    pub(crate) fn slide(&mut self, bits: WindowBits, (sent, alone): (&[u8], bool)) {
        let size = bits.size();
        let sent = &sent[sent.len().saturating_sub(size)..];
        if alone {
            self.0.clear();
        }
        let excess = (self.0.len() + sent.len()).saturating_sub(size);
        self.0.drain(..excess);
        let needed = self.0.len() + sent.len();
        if needed > self.0.capacity() {
            let capacity = self.0.capacity().saturating_mul(2).min(size).max(needed);
            self.0.reserve_exact(capacity - self.0.len());
        }
        self.0.extend_from_slice(sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block with fixed codes: a zero, and then 258 bytes from one byte ago, again and again.
    fn bomb(times: usize) -> Vec<u8> {
        let (mut bytes, mut bits, mut len) = (Vec::new(), 0_u32, 0);
        let mut put = |value: u32, count: u32| {
            // Codes are sent from their highest bit on.
            for i in (0..count).rev() {
                bits |= (value >> i & 1) << len;
                len += 1;
                if len == 8 {
                    bytes.push(bits as u8);
                    (bits, len) = (0, 0);
                }
            }
        };
        put(0b010, 3);
        put(0b0011_0000, 8);
        for _ in 0..times {
            put(0b1100_0101, 8);
            put(0, 5);
        }
        put(0, 7);
        // The header of the empty block that a flush adds.
        put(0, 3 + 7);
        bytes
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let message = bomb(40_000);
        let size = 1 + 40_000 * 258;
        assert!(size / message.len() > 100, "it is a bomb");
        for max in [0, 1, 1000, FIRST_CAPACITY - 1, FIRST_CAPACITY, 60_000, 1_000_000, size - 1] {
            let mut inflater = Inflater::new();
            let limit = Limit::MessageSize { limit: max, declared: max as u64 + 1 };
            assert_eq!(inflater.inflate(&message, &[], max), Err(limit.into()));
            let zlib = inflater.zlib.as_ref().unwrap();
            assert_eq!(zlib.total_out(), max as u64 + 1, "no byte more is inflated");
            assert!(inflater.buffer.capacity() <= (max + 1).min(MAX_KEPT));
        }
        let mut inflater = Inflater::new();
        assert_eq!(inflater.inflate(&message, &[], size), Ok(()));
        assert!(inflater.message().len() == size && inflater.message().iter().all(|&b| b == 0));
    }

    #[test]
    fn the_buffer_grows_to_the_ceiling_and_no_further() {
        for ceiling in [1, 100, FIRST_CAPACITY, FIRST_CAPACITY + 1, 50_000, 1_000_001] {
            let mut buffer = Vec::new();
            let mut steps = 0;
            while buffer.len() < ceiling {
                grow(&mut buffer, ceiling);
                assert!(buffer.capacity() <= ceiling);
                steps += 1;
            }
            assert_eq!(buffer.len(), ceiling);
            assert!(steps < 10);
        }
    }
}
