//! What all sessions say and hear: in counts, and word by word for an application that listens.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::events::Listener;

/// As many as there are threads that count at the same time, on most machines.
const SHARDS: usize = 16;

/// Engine.IO packets, and their bytes before framing, compression and base64; of plain connections, their
/// messages. Counted by each thread in a place of its own: threads would otherwise wait for each other at
/// every packet.
#[derive(Default)]
pub(crate) struct Traffic {
    shards: [Shard; SHARDS],
    /// Here, where every session finds it without a pointer of its own.
    pub(crate) listener: Option<Listener>,
}

/// On a cache line, or two, of its own.
#[derive(Default)]
#[repr(align(128))]
struct Shard {
    packets_in: AtomicU64,
    bytes_in: AtomicU64,
    packets_out: AtomicU64,
    bytes_out: AtomicU64,
}

/// Engine.IO packets and their bytes, both ways, since the server was built.
///
/// Bytes are those of the packets: before base64, compression, framing and what is below. Of plain
/// connections, messages count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Volume {
    /// Packets from clients.
    pub packets_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Packets to clients.
    pub packets_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
}

impl Traffic {
    pub(crate) fn new(listener: Option<Listener>) -> Self {
        Self { listener, ..Self::default() }
    }

    fn shard(&self) -> &Shard {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static INDEX: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
        }
        &self.shards[INDEX.with(|index| *index)]
    }

    /// A packet came.
    pub(crate) fn received(&self, bytes: usize) {
        let shard = self.shard();
        shard.packets_in.fetch_add(1, Ordering::Relaxed);
        shard.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Packets were given to a transport.
    pub(crate) fn sent(&self, packets: usize, bytes: usize) {
        let shard = self.shard();
        shard.packets_out.fetch_add(packets as u64, Ordering::Relaxed);
        shard.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn volume(&self) -> Volume {
        let sum = |count: fn(&Shard) -> &AtomicU64| {
            self.shards.iter().map(|shard| count(shard).load(Ordering::Relaxed)).sum()
        };
        Volume {
            packets_in: sum(|shard| &shard.packets_in),
            bytes_in: sum(|shard| &shard.bytes_in),
            packets_out: sum(|shard| &shard.packets_out),
            bytes_out: sum(|shard| &shard.bytes_out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_count_adds_up() {
        let traffic = Traffic::default();
        std::thread::scope(|threads| {
            for _ in 0..SHARDS + 3 {
                threads.spawn(|| {
                    for _ in 0..1000 {
                        traffic.received(3);
                        traffic.sent(2, 5);
                    }
                });
            }
        });
        let times = 1000 * (SHARDS as u64 + 3);
        assert_eq!(
            traffic.volume(),
            Volume {
                packets_in: times,
                bytes_in: 3 * times,
                packets_out: 2 * times,
                bytes_out: 5 * times
            }
        );
    }
}
