//! The members themselves, by slot, in pages that a walk can keep without keeping a lock.
//!
//! A page is shared: a walk takes pages, not members, so that reaching a thousand members costs 32
//! counters and not a thousand, and then reads at leisure. Whoever inserts or removes meanwhile
//! gets a copy of its page.

use std::sync::Arc;

/// Members in a page, and bits in a word of [`SlotSet`](crate::room::SlotSet): one bit is one
/// place.
pub(crate) const PAGE: u32 = u32::BITS;

/// Not loom's `Arc`, even in its tests: the pages' count decides whether to copy, never what is
/// seen.
pub(crate) type Page<M> = Arc<[Option<M>; PAGE as usize]>;

pub(crate) fn page_of(index: u32) -> u32 {
    index / PAGE
}

pub(crate) fn bit_of(index: u32) -> u32 {
    1 << (index % PAGE)
}

/// The table of pages. Stands in the innermost lock.
#[derive(Debug)]
pub(crate) struct Members<M> {
    len: usize,
    /// The last page, if any, has a member.
    pages: Vec<Option<Occupied<M>>>,
}

#[derive(Debug)]
struct Occupied<M> {
    /// Which places hold a member. Here and not in the page, so that a walk does not touch pages
    /// for nothing.
    bits: u32,
    page: Page<M>,
}

impl<M> Default for Members<M> {
    fn default() -> Self {
        Self { len: 0, pages: Vec::new() }
    }
}

impl<M: Clone> Members<M> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// One more than the last page that has a member.
    pub(crate) fn end(&self) -> u32 {
        self.pages.len() as u32
    }

    /// Which places of the page hold a member.
    pub(crate) fn bits(&self, page: u32) -> u32 {
        self.pages.get(page as usize).and_then(Option::as_ref).map_or(0, |page| page.bits)
    }

    pub(crate) fn page(&self, page: u32) -> Option<&Page<M>> {
        self.pages.get(page as usize)?.as_ref().map(|page| &page.page)
    }

    pub(crate) fn get(&self, index: u32) -> Option<M> {
        self.page(page_of(index))?[(index % PAGE) as usize].clone()
    }

    /// Puts a member into a place that is free.
    pub(crate) fn insert(&mut self, index: u32, member: M) {
        let page = page_of(index) as usize;
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        let page = self.pages[page].get_or_insert_with(|| Occupied {
            bits: 0,
            page: Arc::new([const { None }; PAGE as usize]),
        });
        debug_assert_eq!(page.bits & bit_of(index), 0, "a slot has one member");
        page.bits |= bit_of(index);
        Arc::make_mut(&mut page.page)[(index % PAGE) as usize] = Some(member);
        self.len += 1;
    }

    /// Empties the place. What it held is handed back, so that it is dropped when the lock is no
    /// longer held.
    pub(crate) fn remove(&mut self, index: u32) -> Option<M> {
        let entry = self.pages.get_mut(page_of(index) as usize)?;
        let page = entry.as_mut()?;
        let member = Arc::make_mut(&mut page.page)[(index % PAGE) as usize].take()?;
        page.bits &= !bit_of(index);
        self.len -= 1;
        if page.bits == 0 {
            *entry = None;
            while let Some(None) = self.pages.last() {
                self.pages.pop();
            }
        }
        Some(member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_being_walked_does_not_change() {
        let mut members = Members::default();
        members.insert(1, 'a');
        let walked = Arc::clone(members.page(0).unwrap());
        members.insert(2, 'b');
        assert_eq!(members.remove(1), Some('a'));
        assert_eq!((walked[1], walked[2]), (Some('a'), None));
        assert_eq!((members.get(1), members.get(2)), (None, Some('b')));
        assert_eq!((members.bits(0), members.len()), (1 << 2, 1));
    }

    #[test]
    fn empty_pages_go() {
        let mut members = Members::default();
        members.insert(5 * PAGE, 'a');
        members.insert(9 * PAGE, 'b');
        assert_eq!(members.end(), 10);
        members.remove(9 * PAGE);
        assert_eq!(members.end(), 6);
        members.remove(5 * PAGE);
        assert_eq!((members.end(), members.len()), (0, 0));
        assert_eq!(members.remove(5 * PAGE), None);
    }
}
