//! What one wake-up of a connection has to say, gathered into as few writes as possible.
//!
//! Small frames are copied one behind the other and leave in one `write`; a large one is kept as
//! it is and leaves by `writev` between its neighbours. Measured here and by the peers: ten small
//! frames in one flat buffer cost less than ten slices of a `writev`, and copying a large payload
//! costs more than a slice.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::io::Sink;

/// Payloads from this size on are not copied.
pub const SHARE_FROM: usize = 8 * 1024;

/// A cork with this much in it is written before it is filled on.
pub(crate) const FULL: usize = 64 * 1024;

/// Slices in one `writev`.
const SLICES: usize = 32;

/// The bytes of one connection that wait for the kernel, in order.
#[derive(Debug, Default)]
pub struct Cork {
    /// Heads and small payloads, flat.
    flat: Vec<u8>,
    /// Large payloads, each with the position in `flat` before which it belongs.
    shared: Vec<(usize, Bytes)>,
    /// What of the whole has been written.
    written: usize,
    shared_bytes: usize,
    /// What was written and is forgotten.
    settled: u64,
    /// The stream may hold back what it was given.
    unflushed: bool,
    /// The bytes of outbox entries in it that still count against their outbox's limit, while it
    /// waits for a blocked socket.
    pub(crate) counted: usize,
}

impl Cork {
    /// The flat buffer, to append a whole frame to.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.flat
    }

    /// Appends `bytes[from..]`, which others share: copied if they are few.
    pub fn put(&mut self, bytes: &Bytes, from: usize) {
        if bytes.len() - from < SHARE_FROM {
            self.flat.extend_from_slice(&bytes[from..]);
        } else {
            self.share(bytes.slice(from..));
        }
    }

    /// Appends bytes without copying them.
    pub(crate) fn share(&mut self, bytes: Bytes) {
        self.shared_bytes += bytes.len();
        self.shared.push((self.flat.len(), bytes));
    }

    /// All that was put in, in one piece: copied only if there is something that was not.
    pub fn into_bytes(self) -> Vec<u8> {
        let Self { flat, shared, .. } = self;
        if shared.is_empty() {
            return flat;
        }
        let mut bytes = Vec::with_capacity(flat.len() + self.shared_bytes);
        let mut from = 0;
        for (position, piece) in &shared {
            bytes.extend_from_slice(&flat[from..*position]);
            bytes.extend_from_slice(piece);
            from = *position;
        }
        bytes.extend_from_slice(&flat[from..]);
        bytes
    }

    /// Appends all that waits in another cork, and empties it.
    pub(crate) fn append(&mut self, other: &mut Self) {
        other.settle();
        let offset = self.flat.len();
        self.flat.append(&mut other.flat);
        let moved = other.shared.drain(..);
        self.shared.extend(moved.map(|(position, bytes)| (position + offset, bytes)));
        self.shared_bytes += std::mem::take(&mut other.shared_bytes);
    }

    /// Bytes that still wait.
    pub fn len(&self) -> usize {
        self.flat.len() + self.shared_bytes - self.written
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether nothing waits here nor, as far as is known, in the stream.
    pub(crate) fn is_done(&self) -> bool {
        self.is_empty() && !self.unflushed
    }

    /// Writes until nothing is left or the kernel takes no more.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut impl Sink,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let written = if self.shared.is_empty() {
                ready!(io.poll_write(cx, &[IoSlice::new(&self.flat[self.written..])]))?
            } else {
                let slices = self.slices();
                ready!(io.poll_write(cx, &slices))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
            self.unflushed = true;
        }
        self.reset();
        if self.unflushed {
            ready!(io.poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Forgets what has been written, in a cork that stays behind at a blocked connection, and
    /// gives back memory that it does not need.
    pub(crate) fn settle(&mut self) {
        let mut written = std::mem::take(&mut self.written);
        self.settled += written as u64;
        let mut flat = 0;
        let mut whole = 0;
        for (position, bytes) in &mut self.shared {
            let before = *position - flat;
            if written < before {
                break;
            }
            written -= before;
            flat = *position;
            if written < bytes.len() {
                self.shared_bytes -= written;
                *bytes = bytes.slice(written..);
                written = 0;
                break;
            }
            written -= bytes.len();
            self.shared_bytes -= bytes.len();
            whole += 1;
        }
        self.shared.drain(..whole);
        flat += written;
        self.flat.drain(..flat);
        for (position, _) in &mut self.shared {
            *position -= flat;
        }
        self.flat.shrink_to(self.flat.len() * 2);
    }

    /// Where the bytes put in from here on begin, counted from some beginning.
    pub(crate) fn end(&self) -> u64 {
        self.settled + (self.flat.len() + self.shared_bytes) as u64
    }

    /// Up to where the kernel has taken them, counted from the same beginning.
    pub(crate) fn reached(&self) -> u64 {
        self.settled + self.written as u64
    }

    fn reset(&mut self) {
        self.settled = self.end();
        self.flat.clear();
        self.shared.clear();
        self.written = 0;
        self.shared_bytes = 0;
        // One burst must not cost the thread its size for ever.
        if self.flat.capacity() > 4 * FULL {
            self.flat = Vec::new();
        }
    }

    fn slices(&self) -> SmallVec<[IoSlice<'_>; SLICES]> {
        let mut slices = SmallVec::new();
        let mut skip = self.written;
        let mut flat = 0;
        let add = |piece: &'_ [u8], skip: &mut usize| -> Option<(usize, usize)> {
            let skipped = piece.len().min(*skip);
            *skip -= skipped;
            (skipped < piece.len()).then_some((skipped, piece.len()))
        };
        for (position, bytes) in &self.shared {
            let before = &self.flat[flat..*position];
            flat = *position;
            for piece in [before, &bytes[..]] {
                if let Some((from, to)) = add(piece, &mut skip) {
                    slices.push(IoSlice::new(&piece[from..to]));
                }
            }
            if slices.len() >= SLICES - 2 {
                return slices;
            }
        }
        let rest = &self.flat[flat..];
        if let Some((from, to)) = add(rest, &mut skip) {
            slices.push(IoSlice::new(&rest[from..to]));
        }
        slices
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Io;
    use tokio::io::AsyncReadExt;

    #[test]
    fn settling_forgets_exactly_what_was_written() {
        let large = Bytes::from((0..SHARE_FROM).map(|n| (n % 251) as u8).collect::<Vec<_>>());
        let fill = || {
            let mut cork = Cork::default();
            cork.buffer().extend_from_slice(b"one");
            cork.put(&large, 0);
            cork.put(&large, 5);
            cork.buffer().extend_from_slice(b"two");
            cork.put(&large, 0);
            cork
        };
        let bytes = |cork: &Cork| -> Vec<u8> {
            cork.slices().iter().flat_map(|slice| slice.iter().copied()).collect()
        };
        let whole = bytes(&fill());
        assert_eq!(whole.len(), fill().len());
        assert!(fill().into_bytes() == whole, "all in one piece");
        let edges = (0..20).chain(SHARE_FROM - 3..SHARE_FROM + 20);
        for written in edges.chain((0..whole.len()).step_by(997)) {
            let mut cork = fill();
            cork.written = written;
            cork.settle();
            assert_eq!(cork.len(), whole.len() - written);
            assert!(bytes(&cork) == whole[written..], "{written} written");
            assert_eq!((cork.reached(), cork.end()), (written as u64, whole.len() as u64));
        }
    }

    #[tokio::test]
    async fn whatever_the_kernel_takes_at_a_time_the_bytes_are_in_order() {
        let large = Bytes::from((0..SHARE_FROM * 2).map(|n| n as u8).collect::<Vec<_>>());
        let mut expected = Vec::new();
        let mut cork = Cork::default();
        for n in 0..100_u8 {
            cork.buffer().extend_from_slice(&[n, n]);
            cork.put(&large, 0);
            expected.extend_from_slice(&[n, n]);
            expected.extend_from_slice(&large);
        }
        cork.put(&Bytes::from_static(b"xend"), 1);
        expected.extend_from_slice(b"end");
        assert_eq!(cork.len(), expected.len());

        // 700 divides neither a slice nor the whole.
        let (here, mut there) = tokio::io::duplex(700);
        let (mut io, _) = Io::boxed(here).split();
        let reader = tokio::spawn(async move {
            let mut all = Vec::new();
            there.read_to_end(&mut all).await.map(|_| all)
        });
        std::future::poll_fn(|cx| cork.poll_write(cx, &mut io)).await.expect("written");
        assert!(cork.is_empty());
        drop(io);
        assert!(reader.await.expect("joined").expect("read") == expected);
    }
}
