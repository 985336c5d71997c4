//! What waits to be written to one connection.
//!
//! Any thread [pushes](Outbox::push); one task, the connection's driver,
//! [takes](Outbox::poll_take). Between them stands a queue that is
//!
//! * **bounded in bytes**: an entry counts from its push until the driver says that the kernel has
//!   it, and what is over the limit is handed back to whoever pushed it;
//! * **fair to what must pass**: acks and control packets may use a [reserve](RESERVE) that plain
//!   data cannot touch;
//! * **a mailbox**: [`notify`](Outbox::notify) wakes the driver for work that is no entry;
//! * **final when sealed**: after [`seal`](Outbox::seal) nothing more gets in, and what is in goes
//!   out; after [`close`](Outbox::close) it does not.
//!
//! The crate knows threads and wakers, no runtime, and nothing of what an entry is: the driver
//! chooses an entry's wire form when it takes it.
//!
//! # Invariants
//!
//! * One lock, held for a few instructions; wakers are called and entries are dropped outside it.
//! * Entries leave in the order in which their pushes returned.
//! * A driver that found the outbox empty has its waker in it: no push, seal or notification is
//!   missed (tried in every interleaving by `tests/loom.rs`).

mod sync;
mod waiters;

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::task::{Context, Poll, Waker};

use sync::{Mutex, MutexGuard, lock};

pub use waiters::Waiters;

/// Bytes over the limit that only [`Class::Reserved`] entries may use.
pub const RESERVE: usize = 64 * 1024;

/// A volatile entry goes out only while less than this many bytes are queued: what the driver
/// writes at once.
pub const VOLATILE_BELOW: usize = 16 * 1024;

/// An emptied queue with room for more entries than this gives its memory back at once; a smaller
/// one keeps it until [`Outbox::trim`].
const KEEP_CAPACITY: usize = 1024;

/// The most entries that one [`Outbox::poll_take`] moves, so that a batch fits on the stack.
pub const BATCH: usize = 32;

/// Something that can wait in an [`Outbox`].
pub trait Entry {
    /// The bytes that this entry counts against the limit: about what it will put on the wire.
    fn bytes(&self) -> usize;
}

/// How much an entry is owed a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Plain data: refused over the limit.
    Data,
    /// Acks and control packets: may use the [`RESERVE`] too.
    Reserved,
    /// Data for which [`Outbox::poll_room`] has just said that there is room: admitted whatever its
    /// size.
    Promised,
    /// Dropped rather than delayed: accepted only while the last write did not block and less than
    /// [`VOLATILE_BELOW`] bytes are queued.
    Volatile,
}

/// Why an entry was not queued; it comes back.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused<E> {
    /// The limit is reached (for [`Class::Volatile`]: the connection is not writable right now).
    Full(E),
    /// The outbox is sealed or closed.
    Sealed(E),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Open,
    Sealed,
    Closed,
}

struct Inner<E> {
    /// The first entry: most of the time there is no more than one, and it needs no block of its
    /// own, nor a broadcast another cache line of every receiver.
    first: Option<E>,
    /// Those behind it: none if there is no first. Boxed, because most connections have none.
    #[expect(clippy::box_collection, reason = "a queue is 32 bytes in every connection")]
    queue: Option<Box<VecDeque<E>>>,
    /// Of what is queued, and of what was taken and is not released yet.
    bytes: usize,
    phase: Phase,
    notified: bool,
    blocked: bool,
    driver: Option<Waker>,
    /// Boxed, because hardly any connection ever has somebody waiting.
    waiting: Option<Box<Waiters>>,
}

/// What [`Outbox::poll_take`] found besides entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// [`Outbox::notify`] was called since the last take.
    pub notified: bool,
    /// The outbox is sealed and this take emptied it: nothing will ever follow.
    pub last: bool,
}

/// The queue of one connection. See the [crate](self) for what it promises.
pub struct Outbox<E> {
    limit: usize,
    inner: Mutex<Inner<E>>,
}

impl<E: Entry> Outbox<E> {
    /// An empty outbox that holds at most `limit` bytes of data at a time.
    ///
    /// One entry larger than the whole limit is accepted when nothing else is queued, so that a
    /// small limit delays large messages and does not forbid them.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            inner: Mutex::new(Inner {
                first: None,
                queue: None,
                bytes: 0,
                phase: Phase::Open,
                notified: false,
                blocked: false,
                driver: None,
                waiting: None,
            }),
        }
    }

    /// Queues an entry and wakes the driver.
    ///
    /// # Errors
    ///
    /// [`Refused`] hands the entry back: over the limit, or sealed.
    pub fn push(&self, entry: E, class: Class) -> Result<(), Refused<E>> {
        if self.push_quietly(entry, class)? {
            self.wake();
        }
        Ok(())
    }

    /// Queues an entry without waking the driver, and says whether the queue was empty: then the
    /// caller has to [`take`](Self::take) what waits, or to [`wake`](Self::wake) the driver; else
    /// somebody is at it already.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn push_quietly(&self, entry: E, class: Class) -> Result<bool, Refused<E>> {
        let mut inner = lock(&self.inner);
        if inner.phase != Phase::Open {
            return Err(Refused::Sealed(entry));
        }
        let bytes = entry.bytes();
        if !inner.admits(bytes, class, self.limit) {
            return Err(Refused::Full(entry));
        }
        Ok(inner.queue_up(entry, bytes))
    }

    /// Wakes the driver.
    pub fn wake(&self) {
        let waker = lock(&self.inner).driver.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Queues the entry in `slot` as soon as there is room for it as [`Class::Data`].
    ///
    /// Ready with the outcome once the entry left the slot, or with `Err(())` when the outbox is
    /// sealed (the entry stays in its slot). Dropping the caller's future queues nothing.
    ///
    /// # Panics
    ///
    /// If the slot is empty.
    pub fn poll_push(&self, cx: &mut Context<'_>, slot: &mut Option<E>) -> Poll<Result<(), ()>> {
        let bytes = slot.as_ref().expect("poll_push is called with an entry").bytes();
        let mut inner = lock(&self.inner);
        if inner.phase != Phase::Open {
            return Poll::Ready(Err(()));
        }
        if !inner.admits(bytes, Class::Data, self.limit) {
            return wait(inner, cx);
        }
        let first = slot.take().is_some_and(|entry| inner.queue_up(entry, bytes));
        drop(inner);
        if first {
            self.wake();
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when there is room for more: half the limit is free. Then one entry of whatever size may
    /// be pushed as [`Class::Promised`]. `Err(())` when the outbox is sealed.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        let inner = lock(&self.inner);
        if inner.phase != Phase::Open {
            return Poll::Ready(Err(()));
        }
        if inner.bytes <= self.limit / 2 {
            return Poll::Ready(Ok(()));
        }
        wait(inner, cx)
    }

    /// Ready when nothing is queued and all that was taken is [released](Self::release), or when the
    /// outbox is closed.
    pub fn poll_drained(&self, cx: &mut Context<'_>) -> Poll<()> {
        let inner = lock(&self.inner);
        if inner.bytes == 0 {
            return Poll::Ready(());
        }
        // Those who wait are woken by each release below half the limit, and so by the last.
        wait(inner, cx)
    }

    /// Wakes the driver, whose next take reports [`Taken::notified`].
    pub fn notify(&self) {
        let waker = {
            let mut inner = lock(&self.inner);
            inner.notified = true;
            inner.driver.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Lets nothing more in; what is queued still goes out, and then [`Taken::last`] says so.
    pub fn seal(&self) {
        let (waker, waiting) = {
            let mut inner = lock(&self.inner);
            if inner.phase == Phase::Open {
                inner.phase = Phase::Sealed;
            }
            (inner.driver.take(), inner.take_waiting())
        };
        waiting.into_iter().chain(waker).for_each(Waker::wake);
    }

    /// Lets nothing more in and drops what is queued.
    pub fn close(&self) {
        let (waker, waiting, entries) = {
            let mut inner = lock(&self.inner);
            inner.phase = Phase::Closed;
            inner.bytes = 0;
            let entries = (inner.first.take(), inner.queue.take());
            (inner.driver.take(), inner.take_waiting(), entries)
        };
        drop(entries);
        waiting.into_iter().chain(waker).for_each(Waker::wake);
    }

    /// The driver's call: moves up to [`BATCH`] entries of about `max_bytes` to `batch` (at least
    /// one, if there is one), and leaves the waker behind.
    ///
    /// `released` bytes of earlier entries have reached the kernel since the last call. An entry
    /// counts until it is released, so that the limit covers what is being written, too.
    pub fn poll_take(
        &self,
        cx: &mut Context<'_>,
        released: usize,
        max_bytes: usize,
        batch: &mut impl Extend<E>,
    ) -> Taken {
        let mut inner = lock(&self.inner);
        let waiting = inner.release(released, self.limit);
        let last = inner.take(max_bytes, batch);
        let taken = Taken { notified: mem::take(&mut inner.notified), last };
        inner.register(cx);
        drop(inner);
        waiting.into_iter().for_each(Waker::wake);
        taken
    }

    /// The call of whoever writes in the driver's stead: as [`poll_take`](Self::poll_take), but
    /// the driver's waker and its notifications stay. Whether the outbox is sealed and empty now,
    /// which is the driver's to deal with.
    ///
    /// Driver and stand-in must exclude one another from the take to the end of the write, or
    /// entries leave in another order than they came.
    pub fn take(&self, released: usize, max_bytes: usize, batch: &mut impl Extend<E>) -> bool {
        let mut inner = lock(&self.inner);
        let waiting = inner.release(released, self.limit);
        let last = inner.take(max_bytes, batch);
        drop(inner);
        waiting.into_iter().for_each(Waker::wake);
        last
    }

    /// The driver's call when a write blocked: it takes nothing until the kernel has room, but
    /// wants to be woken by [`notify`](Self::notify), [`seal`](Self::seal) and
    /// [`close`](Self::close). Volatile entries are refused from here to the next release.
    ///
    /// `released` is as in [`poll_take`](Self::poll_take). [`Taken::last`] says here that the outbox
    /// is sealed, whatever is left in it.
    pub fn park_blocked(&self, cx: &mut Context<'_>, released: usize) -> Taken {
        let mut inner = lock(&self.inner);
        let waiting = inner.release(released, self.limit);
        inner.blocked = true;
        inner.register(cx);
        let taken =
            Taken { notified: mem::take(&mut inner.notified), last: inner.phase != Phase::Open };
        drop(inner);
        waiting.into_iter().for_each(Waker::wake);
        taken
    }

    /// Counts `bytes` of entries off that were taken, whoever handed them to the kernel. Says nothing
    /// about whether more can be written.
    pub fn release(&self, bytes: usize) {
        let mut inner = lock(&self.inner);
        let waiting = inner.count_off(bytes, self.limit);
        drop(inner);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// The driver's call when it has somewhere to write to again: volatile entries are admitted.
    pub fn unblock(&self) {
        lock(&self.inner).blocked = false;
    }

    /// Whether a volatile entry would be admitted now.
    pub fn is_writable(&self) -> bool {
        let inner = lock(&self.inner);
        inner.phase == Phase::Open && inner.admits(0, Class::Volatile, self.limit)
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        lock(&self.inner).first.is_none()
    }

    /// Whether the outbox takes no more entries.
    pub fn is_sealed(&self) -> bool {
        lock(&self.inner).phase != Phase::Open
    }

    /// Whether the outbox was [closed](Self::close): nothing is in it, and nothing will be.
    pub fn is_closed(&self) -> bool {
        lock(&self.inner).phase == Phase::Closed
    }

    /// Bytes queued, or taken and not yet handed to the kernel.
    pub fn buffered_bytes(&self) -> usize {
        lock(&self.inner).bytes
    }

    /// Gives the memory of past bursts back, if nothing is queued.
    pub fn trim(&self) {
        let mut inner = lock(&self.inner);
        inner.queue.take_if(|queue| queue.is_empty());
    }
}

/// Leaves a waker, to be woken by the next release that leaves room.
fn wait<E, T>(mut inner: MutexGuard<'_, Inner<E>>, cx: &Context<'_>) -> Poll<T> {
    let asked_again = inner.waiting.get_or_insert_default().wait(cx);
    drop(inner);
    asked_again.into_iter().for_each(Waker::wake);
    Poll::Pending
}

impl<E: Entry> Inner<E> {
    fn admits(&self, bytes: usize, class: Class, limit: usize) -> bool {
        match class {
            Class::Promised => true,
            Class::Data => self.bytes == 0 || self.bytes.saturating_add(bytes) <= limit,
            Class::Reserved => {
                self.bytes == 0 || self.bytes.saturating_add(bytes) <= limit.saturating_add(RESERVE)
            }
            Class::Volatile => !self.blocked && self.bytes < VOLATILE_BELOW.min(limit),
        }
    }

    /// Whether it is the first in the queue.
    fn queue_up(&mut self, entry: E, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.first.is_none() {
            self.first = Some(entry);
            return true;
        }
        self.queue.get_or_insert_default().push_back(entry);
        false
    }

    /// Counts bytes off; returns who may go on now.
    fn release(&mut self, released: usize, limit: usize) -> Vec<Waker> {
        if released == 0 {
            return Vec::new();
        }
        self.blocked = false;
        self.count_off(released, limit)
    }

    fn count_off(&mut self, released: usize, limit: usize) -> Vec<Waker> {
        self.bytes = self.bytes.saturating_sub(released);
        // Half the limit is the low-water mark: below it, waiting emitters may go on.
        if self.bytes <= limit / 2 { self.take_waiting() } else { Vec::new() }
    }

    fn take_waiting(&mut self) -> Vec<Waker> {
        self.waiting.take().map_or_else(Vec::new, |waiting| waiting.into_wakers())
    }

    /// Whether nothing will ever follow what was moved.
    fn take(&mut self, max_bytes: usize, batch: &mut impl Extend<E>) -> bool {
        if let Some(first) = &self.first {
            let mut portion = first.bytes();
            batch.extend(self.first.take());
            if let Some(queue) = &mut self.queue {
                let fits = |entry: &&E| {
                    portion += entry.bytes();
                    portion <= max_bytes
                };
                let count = queue.iter().take(BATCH - 1).take_while(fits).count();
                batch.extend(queue.drain(..count));
                self.first = queue.pop_front();
            }
        }
        let empty = self.first.is_none();
        if empty {
            self.queue.take_if(|queue| queue.capacity() > KEEP_CAPACITY);
        }
        empty && self.phase != Phase::Open
    }

    fn register(&mut self, cx: &mut Context<'_>) {
        match &self.driver {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => self.driver = Some(cx.waker().clone()),
        }
    }
}

impl<E> fmt::Debug for Outbox<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = lock(&self.inner);
        f.debug_struct("Outbox")
            .field(
                "queued",
                &(usize::from(inner.first.is_some()) + inner.queue.as_ref().map_or(0, |q| q.len())),
            )
            .field("bytes", &inner.bytes)
            .field("limit", &self.limit)
            .field("phase", &inner.phase)
            .finish_non_exhaustive()
    }
}
