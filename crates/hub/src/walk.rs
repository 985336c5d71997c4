//! From a selection to its members, each of them once, without a lock while they are visited.
//!
//! Slots are walked in ascending order, a window of 64 pages at a time. A window is set algebra on
//! words: the rooms' words are or-ed together, the exceptions' taken away. All rooms of the
//! selection are locked while a window is computed and its pages are fetched, so that each bit is
//! the member that the room means; then the locks are released and the pages are walked. Since a
//! member's slot does not change and no window is visited twice, whatever others do between the
//! windows, a member that stays is visited exactly once.
//!
//! A member that comes while a walk is under way may be visited or not, as one that leaves. A
//! member that takes over the slot of one that left meanwhile came later, so the walk may treat it
//! as either; it is never visited on account of rooms that were its predecessor's.
//!
//! What a walk needs is on its stack, so it allocates nothing for everyone or for one room, and
//! nothing stands in the way of a walk within a walk.

use std::ops::ControlFlow;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::hub::Hub;
use crate::members::{Members, Page, bit_of, page_of};
use crate::room::{SlotSet, Word};
use crate::rooms::Shard;
use crate::selection::Selection;
use crate::shard::Name;
use crate::sync::ReadGuard;

/// Pages in a window: 2 048 slots.
const WINDOW: u32 = u64::BITS;

/// Windows that are looked at under one lock, even if nobody in them is to be visited.
const WINDOWS: usize = 16;

/// Pages that were fetched under one lock, and which of their places to visit: at most all but one
/// of a window, and then another window.
type Batch<M> = SmallVec<[(Page<M>, u32); 2 * WINDOW as usize]>;

impl<M: Clone + Send + Sync + 'static> Hub<M> {
    /// Calls `f` for each member of the selection exactly once, in no order, and says how often
    /// that was.
    ///
    /// No lock is held while `f` runs: it may call any method of the hub. Whoever joins, leaves or
    /// is removed meanwhile is visited or not; everybody else is as the selection says.
    pub fn for_each(&self, selection: &Selection, mut f: impl FnMut(&M)) -> usize {
        let mut walk = Walk::new(self, selection);
        let mut visited = 0;
        for (_, member) in walk.bearers() {
            f(&member);
            visited += 1;
        }
        let mut batch = Batch::new();
        loop {
            let step = walk.fetch(&mut batch);
            for (page, mut bits) in batch.drain(..) {
                while bits != 0 {
                    let place = bits.trailing_zeros() as usize;
                    bits &= bits - 1;
                    if let Some(member) = &page[place] {
                        f(member);
                        visited += 1;
                    }
                }
            }
            if step.is_break() {
                return visited;
            }
        }
    }
}

type Names<'a> = SmallVec<[Name<'a>; 2]>;
type Words<'a> = SmallVec<[&'a [Word]; 2]>;

struct Walk<'a, M> {
    hub: &'a Hub<M>,
    everyone: bool,
    rooms: Names<'a>,
    except: Names<'a>,
    /// Shards of the rooms above, a bit each: locked in ascending order, each once.
    shards: u64,
    /// Slots that are not, or no longer, to be visited.
    hidden: SmallVec<[u32; 4]>,
    /// The first page that was not looked at yet.
    cursor: u32,
}

impl<'a, M: Clone + Send + Sync + 'static> Walk<'a, M> {
    fn new(hub: &'a Hub<M>, selection: &'a Selection) -> Self {
        let names =
            |rooms: &'a [Box<str>]| rooms.iter().map(|room| Name::new(&hub.hasher, room)).collect();
        let (rooms, except): (Names<'_>, Names<'_>) =
            (names(&selection.rooms), names(&selection.except));
        let shards = rooms.iter().chain(&except).fold(0, |shards, name| shards | 1 << name.shard());
        let mut hidden: SmallVec<[u32; 4]> = SmallVec::new();
        if let Some(slot) = selection.skip
            && hub.registry.read(slot).get(slot).is_some()
        {
            hidden.push(slot.index());
        }
        for name in &except {
            if let Some(slot) = hub.registry.read_by_id(*name).and_then(|shard| shard.find(*name)) {
                hidden.push(slot.index());
            }
        }
        Self { hub, everyone: rooms.is_empty(), rooms, except, shards, hidden, cursor: 0 }
    }

    /// The members whose ids stand among the rooms. They are visited first, and hidden from the
    /// windows.
    ///
    /// They are held here and not as slots, which might belong to somebody else when their window
    /// comes.
    fn bearers(&mut self) -> SmallVec<[(u32, M); 1]> {
        let mut bearers: SmallVec<[(u32, M); 1]> =
            self.rooms.iter().filter_map(|name| self.hub.find_name(*name)).collect();
        bearers.sort_unstable_by_key(|bearer| bearer.0);
        bearers.dedup_by_key(|bearer| bearer.0);
        bearers.retain(|bearer| {
            !self.hidden.contains(&bearer.0)
                && !self.except.iter().any(|name| self.hub.rooms.contains(*name, bearer.0))
        });
        self.hidden.extend(bearers.iter().map(|bearer| bearer.0));
        bearers
    }

    /// Fills the batch from the next windows. `Break` when no window is left.
    fn fetch(&mut self, batch: &mut Batch<M>) -> ControlFlow<()> {
        // The order of locks: rooms' shards ascending, then the members.
        let guards: SmallVec<[ReadGuard<'_, Shard>; 4]> =
            bits(self.shards).map(|at| self.hub.rooms.read(at)).collect();
        let words = |names: &[Name<'_>]| -> Words<'_> {
            let guard = |name: Name<'_>| {
                &guards[(self.shards & ((1 << name.shard()) - 1)).count_ones() as usize]
            };
            let slots = names.iter().filter_map(|name| guard(*name).find(*name));
            slots.map(|slots: &SlotSet| slots.from(self.cursor)).collect()
        };
        let (mut rooms, mut except) = (words(&self.rooms), words(&self.except));
        let members = self.hub.members.read();
        for _ in 0..WINDOWS {
            if batch.len() >= WINDOW as usize {
                break;
            }
            let first = if self.everyone {
                Some(self.cursor).filter(|cursor| *cursor < members.end())
            } else {
                rooms.iter().filter_map(|words| words.first()).map(|word| word.0).min()
            };
            let Some(first) = first else { return ControlFlow::Break(()) };
            let mut window = Window::new(first);
            if self.everyone {
                window.add_all(&members);
            }
            rooms.iter_mut().for_each(|words| window.add(words));
            except.iter_mut().for_each(|words| window.subtract(words));
            self.hidden.iter().for_each(|index| window.hide(*index));
            window.fetch(&members, batch);
            self.cursor = window.end();
        }
        ControlFlow::Continue(())
    }
}

/// The words of [`WINDOW`] pages.
struct Window {
    first: u32,
    words: [u32; WINDOW as usize],
    /// Which words were ever written.
    touched: u64,
}

impl Window {
    fn new(first: u32) -> Self {
        Self { first, words: [0; WINDOW as usize], touched: 0 }
    }

    /// Below 2²⁷ + 64, as a page's number is a slot's index divided by 32.
    fn end(&self) -> u32 {
        self.first + WINDOW
    }

    fn add_all<M: Clone>(&mut self, members: &Members<M>) {
        for page in self.first..self.end().min(members.end()) {
            let at = page - self.first;
            self.words[at as usize] = members.bits(page);
            self.touched |= 1 << at;
        }
    }

    /// Adds those of the ascending words that are in the window and steps over them.
    fn add(&mut self, words: &mut &[Word]) {
        while let Some(((page, bits), rest)) =
            words.split_first().filter(|(word, _)| word.0 < self.end())
        {
            let at = page - self.first;
            self.words[at as usize] |= bits;
            self.touched |= 1 << at;
            *words = rest;
        }
    }

    /// Takes those of the ascending words that are in the window away, and steps over them and all
    /// before.
    fn subtract(&mut self, words: &mut &[Word]) {
        *words = &words[words.partition_point(|word| word.0 < self.first)..];
        while let Some(((page, bits), rest)) =
            words.split_first().filter(|(word, _)| word.0 < self.end())
        {
            self.words[(page - self.first) as usize] &= !bits;
            *words = rest;
        }
    }

    fn hide(&mut self, index: u32) {
        let page = page_of(index);
        if (self.first..self.end()).contains(&page) {
            self.words[(page - self.first) as usize] &= !bit_of(index);
        }
    }

    fn fetch<M: Clone>(&self, members: &Members<M>, batch: &mut Batch<M>) {
        for at in bits(self.touched) {
            let bits = self.words[at];
            if bits != 0
                && let Some(page) = members.page(self.first + at as u32)
            {
                batch.push((Arc::clone(page), bits));
            }
        }
    }
}

/// The places of the bits that are set, ascending.
fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = word.trailing_zeros() as usize;
        (word != 0).then(|| {
            word &= word - 1;
            place
        })
    })
}
