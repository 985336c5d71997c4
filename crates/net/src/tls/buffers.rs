//! The TLS buffers of a thread, which are *taken* for one call as [`Scratch`](crate::scratch) is: an
//! idle connection has none.

use std::cell::Cell;

/// The most ciphertext that one read takes from the stream below: as much as a driver reads at once.
pub(super) const INPUT: usize = 64 * 1024;

/// What one write may hold of plaintext: three whole records, so that what a peer does not take of it
/// stays below 64 KiB with all heads and tags.
pub(super) const BATCH: usize = 48 * 1024;

thread_local! {
    static BUFFERS: Cell<Option<Box<Buffers>>> = const { Cell::new(None) };
}

pub(super) struct Buffers {
    input: Vec<u8>,
    /// Slices of a vectored write, put together.
    pub(super) gathered: Vec<u8>,
    pub(super) sealed: Sealed,
}

impl Buffers {
    /// Takes the thread's buffers, or makes some if they are taken.
    pub(super) fn take() -> Box<Self> {
        BUFFERS.take().unwrap_or_else(|| {
            Box::new(Self {
                input: Vec::new(),
                gathered: Vec::new(),
                sealed: Sealed { bytes: Vec::new(), len: 0 },
            })
        })
    }

    /// Puts them back for the thread's next connection.
    pub(super) fn put_back(mut self: Box<Self>) {
        self.gathered.clear();
        self.sealed.len = 0;
        // A handshake in many pieces had more; nobody else needs it.
        if self.input.len() > 2 * INPUT {
            self.input = Vec::new();
        }
        BUFFERS.set(Some(self));
    }

    /// Room for so much ciphertext. What is in it is of no meaning.
    pub(super) fn input(&mut self, len: usize) -> &mut [u8] {
        if self.input.len() < len {
            self.input.resize(len.max(INPUT), 0);
        }
        &mut self.input[..len]
    }
}

/// Records that are sealed and not written yet. The vector keeps its length, so that it is zeroed once.
pub(super) struct Sealed {
    bytes: Vec<u8>,
    len: usize,
}

impl Sealed {
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Room for so much more.
    pub(super) fn room(&mut self, len: usize) -> &mut [u8] {
        let end = self.len + len;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        &mut self.bytes[self.len..end]
    }

    /// So much of the room has been used.
    pub(super) fn advance(&mut self, len: usize) {
        self.len = (self.len + len).min(self.bytes.len());
    }
}

/// Bytes that wait in a connection; when the last one is taken, the memory goes, too.
#[derive(Debug, Default)]
pub(super) struct Queue {
    bytes: Vec<u8>,
    start: usize,
}

impl Queue {
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Room for exactly so much more, filled by `fill`, which says how much it used.
    pub(super) fn push_with(&mut self, room: usize, fill: impl FnOnce(&mut [u8]) -> usize) {
        let len = self.bytes.len();
        self.bytes.resize(len + room, 0);
        let used = fill(&mut self.bytes[len..]).min(room);
        self.bytes.truncate(len + used);
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        if self.start >= self.bytes.len() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_emptied_holds_no_memory() {
        let mut queue = Queue::default();
        queue.push(b"hello");
        queue.consume(2);
        queue.push(b" world");
        assert_eq!(queue.as_slice(), b"llo world");
        queue.push_with(4, |room| {
            room[..2].copy_from_slice(b"!!");
            2
        });
        assert_eq!(queue.as_slice(), b"llo world!!");
        queue.consume(11);
        assert!(queue.is_empty());
        assert_eq!(queue.bytes.capacity(), 0);
    }

    #[test]
    fn buffers_are_taken_not_borrowed() {
        let mut first = Buffers::take();
        first.sealed.room(8)[..2].copy_from_slice(b"hi");
        first.sealed.advance(2);
        assert_eq!(first.sealed.as_slice(), b"hi");
        let second = Buffers::take();
        assert_eq!(second.sealed.as_slice(), b"");
        first.put_back();
        second.put_back();
        let mut again = Buffers::take();
        assert_eq!(again.sealed.as_slice(), b"");
        assert_eq!(again.input(10 * INPUT).len(), 10 * INPUT);
        again.put_back();
        assert_eq!(Buffers::take().input.len(), 0);
    }
}
