//! A vector with holes, which are filled from the front, so that a burst's memory can be given
//! back.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Places stay below this, so that 64 shards number theirs in one `u32`.
const LIMIT: usize = 1 << 26;

/// Below this many entries memory is not worth giving back.
const KEEP: usize = 16;

/// Values at places that do not change. The lowest free place is used first: the tail empties and
/// is cut off.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    /// The last one, if any, is occupied.
    entries: Vec<Option<T>>,
    /// Every hole, and perhaps places that were cut off since, or cut off and occupied again.
    free: BinaryHeap<Reverse<u32>>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: BinaryHeap::new() }
    }
}

impl<T> Slab<T> {
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        while let Some(Reverse(place)) = self.free.pop() {
            if let Some(entry @ None) = self.entries.get_mut(place as usize) {
                *entry = Some(value);
                return place;
            }
        }
        let place = self.entries.len();
        if place == self.entries.capacity() {
            // An eighth more instead of twice as much: the spare room is part of what a member
            // costs.
            self.entries.reserve_exact((place / 8).max(4));
        }
        assert!(place < LIMIT, "a shard has no place for {LIMIT} entries");
        self.entries.push(Some(value));
        place as u32
    }

    pub(crate) fn get(&self, place: u32) -> Option<&T> {
        self.entries.get(place as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        self.entries.get_mut(place as usize)?.as_mut()
    }

    pub(crate) fn remove(&mut self, place: u32) -> Option<T> {
        let value = self.entries.get_mut(place as usize)?.take()?;
        if place as usize + 1 == self.entries.len() {
            self.cut();
        } else {
            self.free.push(Reverse(place));
        }
        Some(value)
    }

    /// Drops the holes at the end, and gives memory back when three quarters of it are unused.
    fn cut(&mut self) {
        while let Some(None) = self.entries.last() {
            self.entries.pop();
        }
        let len = self.entries.len();
        if self.entries.capacity() > KEEP && len < self.entries.capacity() / 4 {
            self.entries.shrink_to((2 * len).max(KEEP));
            self.free.retain(|place| (place.0 as usize) < len);
            self.free.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_hole_is_filled_first() {
        let mut slab = Slab::default();
        for value in 0..10 {
            assert_eq!(slab.insert(value), value);
        }
        for place in [7, 2, 5] {
            assert_eq!(slab.remove(place), Some(place));
            assert_eq!(slab.remove(place), None);
        }
        let places: Vec<u32> = (0..4).map(|_| slab.insert(0)).collect();
        assert_eq!(places, [2, 5, 7, 10]);
    }

    #[test]
    fn places_that_were_cut_off_are_not_given_out_twice() {
        let mut slab = Slab::default();
        (0..8).for_each(|value| assert_eq!(slab.insert(value), value));
        // 5 and 6 are holes, then cut off together with 7.
        for place in [5, 6, 7] {
            slab.remove(place);
        }
        let mut places: Vec<u32> = (0..5).map(|_| slab.insert(9)).collect();
        places.sort_unstable();
        assert_eq!(places, [5, 6, 7, 8, 9]);
    }

    #[test]
    fn a_burst_gives_its_memory_back() {
        let mut slab = Slab::default();
        (0..10_000u32).for_each(|value| assert_eq!(slab.insert(value), value));
        assert!(slab.entries.capacity() <= 11_250);
        // In an order that leaves holes first.
        (1..10_000)
            .step_by(2)
            .chain((2..10_000).step_by(2))
            .for_each(|place| assert!(slab.remove(place).is_some()));
        assert_eq!(slab.get(0), Some(&0));
        assert!(slab.entries.capacity() <= KEEP && slab.free.capacity() <= KEEP);
    }
}
