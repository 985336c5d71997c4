//! One shard of the wheel: hierarchical slots of intrusive lists, as in Varghese and Lauck's
//! "Hashed and Hierarchical Timing Wheels" (scheme 7).
//!
//! Four levels of 64 slots. A timer stands in the lowest level whose turn it shares with the
//! present tick; when its slot comes up it moves down, or expires.

use std::task::Waker;

const LEVELS: usize = 4;
const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const NONE: u32 = u32::MAX;

/// Nodes that are kept when no timer is armed.
const KEEP: usize = 64;

/// Names one armed timer. The generation keeps an old key from removing the node's next user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    index: u32,
    generation: u32,
}

struct Node {
    tick: u64,
    waker: Option<Waker>,
    previous: u32,
    next: u32,
    generation: u32,
    level: u8,
    slot: u8,
}

struct Level {
    occupied: u64,
    heads: [u32; SLOTS],
}

pub(super) struct Shard {
    now: u64,
    levels: [Level; LEVELS],
    nodes: Vec<Node>,
    free: u32,
    armed: usize,
    /// The generation of the last timer: one count for all nodes, so that they can be freed.
    generation: u32,
}

impl Shard {
    pub(super) fn new() -> Self {
        Self {
            now: 0,
            levels: std::array::from_fn(|_| Level { occupied: 0, heads: [NONE; SLOTS] }),
            nodes: Vec::new(),
            free: NONE,
            armed: 0,
            generation: 0,
        }
    }

    pub(super) fn insert(&mut self, tick: u64, waker: Waker) -> Key {
        let index = match self.free {
            NONE => {
                let index = self.nodes.len() as u32;
                self.nodes.push(Node {
                    tick,
                    waker: None,
                    previous: NONE,
                    next: NONE,
                    generation: 0,
                    level: 0,
                    slot: 0,
                });
                index
            }
            index => {
                self.free = self.nodes[index as usize].next;
                index
            }
        };
        self.armed += 1;
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let node = &mut self.nodes[index as usize];
        node.tick = tick;
        node.waker = Some(waker);
        node.generation = generation;
        self.link(index);
        Key { index, generation }
    }

    /// Takes the timer out, if it has not expired; its waker is dropped by the caller, outside the
    /// lock.
    pub(super) fn remove(&mut self, key: Key) -> Option<Waker> {
        let node = self.nodes.get(key.index as usize)?;
        if node.generation != key.generation || node.waker.is_none() {
            return None;
        }
        self.unlink(key.index);
        let waker = self.release(key.index);
        self.trim();
        waker
    }

    /// Moves time on to `tick` and collects the wakers of all timers due by then.
    pub(super) fn advance(&mut self, tick: u64, expired: &mut Vec<Waker>) {
        while let Some((level, slot, turn)) = self.next_slot()
            && turn <= tick
        {
            self.now = self.now.max(turn);
            let mut index = std::mem::replace(&mut self.levels[level].heads[slot], NONE);
            self.levels[level].occupied &= !(1 << slot);
            while index != NONE {
                let next = self.nodes[index as usize].next;
                if self.nodes[index as usize].tick <= self.now {
                    expired.extend(self.release(index));
                } else {
                    self.link(index);
                }
                index = next;
            }
        }
        self.now = self.now.max(tick);
        self.trim();
    }

    /// Gives the memory of a burst back once no timer is armed.
    fn trim(&mut self) {
        if self.armed == 0 && self.nodes.len() > KEEP {
            self.nodes = Vec::new();
            self.free = NONE;
        }
    }

    /// The tick at which something has to be done next.
    pub(super) fn next_tick(&self) -> Option<u64> {
        self.next_slot().map(|(_, _, turn)| turn)
    }

    /// The first occupied slot in time: a lower level's slots all come before a higher level's.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        for (level, slots) in self.levels.iter().enumerate() {
            if slots.occupied == 0 {
                continue;
            }
            let shift = BITS * level as u32;
            let present = (self.now >> shift) as u32 % SLOTS as u32;
            let ahead = slots.occupied.rotate_right(present).trailing_zeros();
            let slot = (present + ahead) as usize % SLOTS;
            let turn = ((self.now >> shift) + u64::from(ahead)) << shift;
            return Some((level, slot, turn.max(self.now)));
        }
        None
    }

    fn link(&mut self, index: u32) {
        let tick = self.nodes[index as usize].tick.max(self.now);
        // The highest bit in which the tick differs from now decides the level.
        let distance = (tick ^ self.now) | (SLOTS as u64 - 1);
        let mut level = ((63 - distance.leading_zeros()) / BITS) as usize;
        let mut turn = tick;
        if level >= LEVELS {
            // Further than the wheel reaches: wait in its last slot and be placed again.
            level = LEVELS - 1;
            let reach = 1 << (BITS * LEVELS as u32);
            let slot = 1_u64 << (BITS * level as u32);
            turn = tick.min(self.now + reach - slot);
        }
        let slot = (turn >> (BITS * level as u32)) as usize % SLOTS;
        let head = std::mem::replace(&mut self.levels[level].heads[slot], index);
        self.levels[level].occupied |= 1 << slot;
        if head != NONE {
            self.nodes[head as usize].previous = index;
        }
        let node = &mut self.nodes[index as usize];
        node.previous = NONE;
        node.next = head;
        node.level = level as u8;
        node.slot = slot as u8;
    }

    fn unlink(&mut self, index: u32) {
        let Node { previous, next, level, slot, .. } = self.nodes[index as usize];
        if next != NONE {
            self.nodes[next as usize].previous = previous;
        }
        if previous != NONE {
            self.nodes[previous as usize].next = next;
            return;
        }
        let level = &mut self.levels[usize::from(level)];
        level.heads[usize::from(slot)] = next;
        if next == NONE {
            level.occupied &= !(1 << slot);
        }
    }

    fn release(&mut self, index: u32) -> Option<Waker> {
        self.armed -= 1;
        let node = &mut self.nodes[index as usize];
        node.next = self.free;
        self.free = index;
        node.waker.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::Mutex;
    use std::task::Wake;

    struct Note(u64, Arc<Mutex<Vec<u64>>>);

    impl Wake for Note {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    /// A small generator, so that the test needs no dependency and repeats itself exactly.
    fn numbers(mut state: u64) -> impl Iterator<Item = u64> {
        std::iter::repeat_with(move || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state >> 33
        })
    }

    #[test]
    fn every_timer_fires_at_its_tick_and_removed_ones_never() {
        for scale in [1_u64, 60, 5_000, 300_000, 40_000_000] {
            let fired = Arc::new(Mutex::new(Vec::new()));
            let mut shard = Shard::new();
            let mut numbers = numbers(scale);
            let mut due = Vec::new();
            for n in 0..500 {
                let tick = numbers.next().unwrap() % (50 * scale);
                let key = shard.insert(tick, Arc::new(Note(tick, fired.clone())).into());
                if n % 7 == 0 {
                    assert!(shard.remove(key).is_some());
                    assert!(shard.remove(key).is_none(), "a key works once");
                } else {
                    due.push(tick);
                }
            }
            due.sort_unstable();
            let mut expired = Vec::new();
            let mut now = 0;
            while let Some(next) = shard.next_tick() {
                assert!(next >= now, "time does not go back");
                now = next;
                shard.advance(now, &mut expired);
                for waker in expired.drain(..) {
                    let before = fired.lock().unwrap().len();
                    waker.wake();
                    assert_eq!(fired.lock().unwrap()[before], now, "fired at its own tick");
                }
            }
            assert_eq!(*fired.lock().unwrap(), due);
        }
    }

    #[test]
    fn a_long_pause_fires_all_that_became_due_in_it() {
        let fired = Arc::new(Mutex::new(Vec::new()));
        let mut shard = Shard::new();
        for tick in [3, 70, 5_000, 300_000] {
            shard.insert(tick, Arc::new(Note(tick, fired.clone())).into());
        }
        let mut expired = Vec::new();
        shard.advance(5_000, &mut expired);
        assert_eq!(expired.len(), 3);
        assert_eq!(shard.nodes.iter().filter(|node| node.waker.is_some()).count(), 1);
    }
}
