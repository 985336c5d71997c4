//! A bound on what context takeover costs all connections together.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that connections with context takeover may hold in total. Shared by all of an endpoint.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { limit, used: AtomicUsize::new(0) }
    }

    /// The bytes that are granted at present.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Grants so many bytes until the grant is dropped, or nothing if they exceed the budget.
    #[must_use]
    pub fn grant(self: &Arc<Self>, bytes: usize) -> Option<Grant> {
        // A counter that orders nothing else: relaxed is enough.
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|&sum| sum <= self.limit)
            })
            .ok()?;
        Some(Grant { budget: Arc::clone(self), bytes })
    }
}

/// A share of a [`Budget`], given back when it is dropped: keep it as long as the connection.
#[derive(Debug)]
#[must_use = "what is dropped is given back"]
pub struct Grant {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_add_up_to_the_budget_and_return() {
        let budget = Arc::new(Budget::new(100));
        let first = budget.grant(60).unwrap();
        assert!(budget.grant(41).is_none());
        assert!(budget.grant(usize::MAX).is_none());
        assert_eq!(budget.used(), 60);
        let second = budget.grant(40).unwrap();
        assert_eq!(budget.used(), 100);
        assert!(budget.grant(1).is_none());
        drop(first);
        assert_eq!(budget.used(), 40);
        drop(second);
        assert_eq!(budget.used(), 0);
    }
}
