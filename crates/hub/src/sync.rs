//! The one lock of this crate: `std`'s, or loom's when its tests run with `--cfg loom`.
//!
//! A poisoned lock is entered all the same. No user code runs under a lock but `M::clone`, which is
//! the clone of an `Arc`, so a panic can only have come from a broken allocator or a broken
//! invariant; refusing every later broadcast of the namespace would not mend that.

#[cfg(loom)]
use loom::sync as imp;
#[cfg(not(loom))]
use std::sync as imp;

use std::sync::PoisonError;

pub(crate) type ReadGuard<'a, T> = imp::RwLockReadGuard<'a, T>;
pub(crate) type WriteGuard<'a, T> = imp::RwLockWriteGuard<'a, T>;

/// A reader-writer lock on a cache line of its own, so that neighbouring shards do not slow each
/// other down.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct RwLock<T>(imp::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(imp::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> ReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> WriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
