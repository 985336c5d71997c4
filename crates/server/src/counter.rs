//! What counts: for outcomes, one number; for what happens at every event, one per thread.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A count that any thread may raise.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Counts one more, and says how many there were before.
    pub(crate) fn count(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    /// Counts so many more.
    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// As many as there are threads that count at the same time, on most machines.
const SHARDS: usize = 16;

/// Events, counted by each thread in a place of its own: threads would otherwise wait for each other at
/// every event.
#[derive(Debug, Default)]
pub(crate) struct Events([Shard; SHARDS]);

/// On a cache line, or two, of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    received: AtomicU64,
    emitted: AtomicU64,
}

impl Events {
    fn shard(&self) -> &Shard {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static INDEX: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
        }
        &self.0[INDEX.with(|index| *index)]
    }

    /// One came from a client.
    pub(crate) fn receive(&self) {
        self.shard().received.fetch_add(1, Ordering::Relaxed);
    }

    /// One was emitted, to whomever.
    pub(crate) fn emit(&self) {
        self.shard().emitted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn received(&self) -> u64 {
        self.sum(|shard| &shard.received)
    }

    pub(crate) fn emitted(&self) -> u64 {
        self.sum(|shard| &shard.emitted)
    }

    fn sum(&self, count: fn(&Shard) -> &AtomicU64) -> u64 {
        self.0.iter().map(|shard| count(shard).load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_count_adds_up() {
        let events = Events::default();
        std::thread::scope(|threads| {
            for _ in 0..SHARDS + 3 {
                threads.spawn(|| {
                    for _ in 0..1000 {
                        events.receive();
                        events.emit();
                        events.emit();
                    }
                });
            }
        });
        let times = 1000 * (SHARDS as u64 + 3);
        assert_eq!((events.received(), events.emitted()), (times, 2 * times));
    }
}
