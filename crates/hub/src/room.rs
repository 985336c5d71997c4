//! The set of slots that a room is: ascending words of 32 slots, those without a bit left out.
//!
//! # Why not something else
//!
//! Measured on one core, in nanoseconds a member and bytes a membership (without the member's own
//! list of rooms). *Scattered* is at random: 10 or 10 000 of a million slots, a million of four.
//! *Less* is a walk over the set less another that holds half of it.
//!
//! | set | members | join | leave | walk | less | bytes | scattered: join | leave | walk | less | bytes |
//! |---|---|---|---|---|---|---|---|---|---|---|---|
//! | words (this) | 10 | 2 | 2 | 0.7 | 0.5 | 2.4 | 21 | 18 | 1.0 | 1.7 | 15 |
//! | | 10 000 | 8 | 10 | 0.7 | 0.3 | 0.4 | 189 | 195 | 1.5 | 4.5 | 13 |
//! | | 1 000 000 | 15 | 44 | 0.7 | 0.3 | 0.3 | 425 | 426 | 1.4 | 1.3 | 1.0 |
//! | unordered `Vec<u32>` with back-pointers | 10 | 9 | 5 | 0.4 | 1.0 | 13 | 139 | 72 | 0.4 | 1.4 | 13 |
//! | | 10 000 | 3 | 3 | 0.1 | 0.8 | 11 | 15 | 15 | 0.1 | 2.4 | 11 |
//! | | 1 000 000 | 4 | 6 | 0.1 | 0.8 | 8.2 | 12 | 13 | 0.1 | 7.6 | 8.2 |
//! | roaring bitmap | 10 | 16 | 17 | 2.5 | 7.0 | 22 | 47 | 26 | 5.7 | 29 | 46 |
//! | | 10 000 | 9 | 26 | 2.5 | 1.3 | 0.8 | 45 | 44 | 2.4 | 6.2 | 3.2 |
//! | | 1 000 000 | 9 | 15 | 2.5 | 1.2 | 0.1 | 35 | 35 | 3.0 | 1.6 | 0.5 |
//! | hashbrown `HashSet<u32>` | 10 | 25 | 12 | 0.8 | 2.4 | 14 | 25 | 12 | 0.8 | 2.4 | 14 |
//! | | 10 000 | 15 | 6 | 1.4 | 9.6 | 8.2 | 16 | 7 | 1.4 | 9.3 | 8.2 |
//! | | 1 000 000 | 34 | 24 | 1.7 | 13 | 11 | 25 | 23 | 1.7 | 17 | 11 |
//! | `BTreeSet<u32>` | 10 | 6 | 16 | 1.4 | 4.3 | 8.0 | 15 | 16 | 1.2 | 4.0 | 8.0 |
//! | | 10 000 | 41 | 77 | 1.4 | 3.4 | 12 | 61 | 70 | 2.8 | 9.7 | 9.0 |
//! | | 1 000 000 | 56 | 243 | 2.1 | 5.3 | 12 | 146 | 224 | 17 | 28 | 9.0 |
//!
//! Order decides, before speed does. A walk that lets go of its lock between windows must know
//! where to go on: in an ordered set that is a number, while a swap-remove or a rehash moves
//! members across any mark, so that an unordered set has to be copied as a whole under the lock (4
//! MB for a million members), with a generation for each slot (4 bytes more), and a union needs a
//! table of marks as long as the hub. A swap-remove also writes to the list of another member,
//! whose shard of the registry is not the one that is locked.
//!
//! Words are ordered, make union and exception one instruction for 32 members, have the bits in the
//! shape in which [`Members`](crate::members::Members) has its pages, and are small: a room of two
//! needs no memory of its own for them. Their weakness is a large room of scattered members, where
//! a join or leave moves on average half of the words: 0.2 µs for 10 000 in a hub of a million, and
//! never more than a hub of a million has words, 250 KB or some 5 µs. That is little beside the 25
//! µs that it costs to accept a connection, so it is not worth the second level that a roaring
//! bitmap has for it.

use smallvec::SmallVec;

use crate::members::{bit_of, page_of};

/// A page's number and the bits of those of its slots that are in the set. Never without a bit.
pub(crate) type Word = (u32, u32);

/// A set of slots: the words that are not empty, ascending.
#[derive(Debug, Default)]
pub(crate) struct SlotSet {
    words: SmallVec<[Word; 2]>,
}

impl SlotSet {
    /// `false` if it was there already.
    pub(crate) fn insert(&mut self, index: u32) -> bool {
        let (page, bit) = (page_of(index), bit_of(index));
        match self.find(page) {
            Ok(at) => {
                let bits = &mut self.words[at].1;
                let new = *bits & bit == 0;
                *bits |= bit;
                new
            }
            Err(at) => {
                self.words.insert(at, (page, bit));
                true
            }
        }
    }

    /// `false` if it was not there.
    pub(crate) fn remove(&mut self, index: u32) -> bool {
        let Ok(at) = self.find(page_of(index)) else { return false };
        let bits = &mut self.words[at].1;
        if *bits & bit_of(index) == 0 {
            return false;
        }
        *bits &= !bit_of(index);
        if *bits == 0 {
            self.words.remove(at);
            if self.words.len() < self.words.capacity() / 4 {
                self.words.shrink_to_fit();
            }
        }
        true
    }

    pub(crate) fn contains(&self, index: u32) -> bool {
        self.find(page_of(index)).is_ok_and(|at| self.words[at].1 & bit_of(index) != 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Counts: a word takes about a nanosecond, a million neighbours are 31 250 words.
    pub(crate) fn len(&self) -> usize {
        self.words.iter().map(|word| word.1.count_ones() as usize).sum()
    }

    /// The words from this page on.
    pub(crate) fn from(&self, page: u32) -> &[Word] {
        &self.words[self.words.partition_point(|word| word.0 < page)..]
    }

    fn find(&self, page: u32) -> Result<usize, usize> {
        // Slots are given out from the front, so most joins are at the end.
        match self.words.last() {
            Some(last) if last.0 < page => Err(self.words.len()),
            _ => self.words.binary_search_by_key(&page, |word| word.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_keeps_only_words_with_bits_ascending() {
        let mut set = SlotSet::default();
        for index in [70, 3, 64, 1_000_000, 40, 3] {
            assert_eq!(set.insert(index), !(index == 3 && set.len() > 4));
        }
        assert_eq!(set.from(0), [(0, 1 << 3), (1, 1 << 8), (2, 1 << 6 | 1), (31_250, 1)]);
        assert_eq!(set.from(2).len(), 2);
        assert_eq!(set.from(31_251), []);
        assert_eq!(set.len(), 5);
        assert!(set.contains(64) && !set.contains(65) && !set.contains(96));
        assert!(set.remove(40) && !set.remove(40) && !set.remove(41) && !set.remove(65));
        assert_eq!(set.from(1)[0].0, 2);
        for index in [64, 70, 3, 1_000_000] {
            assert!(!set.is_empty() && set.remove(index));
        }
        assert!(set.is_empty());
    }

    #[test]
    fn a_set_gives_its_memory_back() {
        let mut set = SlotSet::default();
        (0..10_000).for_each(|word| assert!(set.insert(word * 32)));
        (1..10_000).rev().for_each(|word| assert!(set.remove(word * 32)));
        assert!(set.contains(0) && !set.words.spilled());
    }
}
