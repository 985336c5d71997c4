//! Token buckets: how fast somebody may do something, and how much of it at once.
//!
//! Time is handed in, in the milliseconds of [`clock`](crate::clock). A token is counted in
//! thousandths, so that a rate per second is a whole number of them per millisecond: nothing is
//! rounded, and nothing drifts.

use std::num::NonZeroU64;

/// What one token is counted in: tokens per second are these per millisecond.
const UNIT: u64 = 1000;

/// A limit on how fast something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many tokens are there after a pause: what may happen at once. With 0 nothing may happen.
    pub burst: u32,
    /// Tokens that come back in a second, up to `burst`: what may happen for long. With 0 none do.
    pub per_second: u32,
}

/// The tokens of one payer: 16 bytes. A new one is full.
///
/// The [`Rate`] is handed to each call, since many buckets share one. It may be another one than
/// last time: what is missing stays missing. A `now` before that of an earlier call is that one's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    /// What is missing for it to be full, in [`UNIT`]s, as of `at`. More than the burst is a debt.
    missing: u64,
    /// The latest `now`.
    at: u64,
}

impl Rate {
    /// What a full bucket holds, in [`UNIT`]s.
    fn capacity(self) -> u64 {
        u64::from(self.burst) * UNIT
    }

    /// Milliseconds until so many [`UNIT`]s have come back; `u64::MAX` if they never do.
    fn wait(self, units: u64) -> u64 {
        match NonZeroU64::new(self.per_second.into()) {
            _ if units == 0 => 0,
            Some(per_millisecond) => units.div_ceil(per_millisecond.get()),
            None => u64::MAX,
        }
    }
}

impl Bucket {
    /// Takes `n` tokens, or none.
    ///
    /// # Errors
    ///
    /// The tokens are not there. Says in how many milliseconds they will be, if nobody else takes
    /// some; `u64::MAX` is never: more than a whole burst, or a rate of nothing.
    pub fn take(&mut self, now: u64, rate: Rate, n: u64) -> Result<(), u64> {
        self.refill(now, rate);
        let wanted = n.saturating_mul(UNIT);
        if wanted > rate.capacity() {
            return Err(u64::MAX);
        }
        let missing = self.missing.saturating_add(wanted);
        if missing > rate.capacity() {
            let wait = rate.wait(missing - rate.capacity());
            return Err(wait.saturating_add(self.at.saturating_sub(now)));
        }
        self.missing = missing;
        Ok(())
    }

    /// Takes `n` tokens, whether they are there or not: what has happened already, such as bytes
    /// that were read. The debt is paid from what comes back; see [`ready_at`](Self::ready_at).
    pub fn spend(&mut self, now: u64, rate: Rate, n: u64) {
        self.refill(now, rate);
        self.missing = self.missing.saturating_add(n.saturating_mul(UNIT));
    }

    /// The `now` from which there is no debt, so that more may be spent: in the past if there is
    /// none, `u64::MAX` if it is never paid.
    #[must_use]
    pub fn ready_at(&self, rate: Rate) -> u64 {
        self.at.saturating_add(rate.wait(self.missing.saturating_sub(rate.capacity())))
    }

    /// Whether nothing is missing: a bucket that may be forgotten.
    #[must_use]
    pub fn is_full(&self, now: u64, rate: Rate) -> bool {
        let mut bucket = *self;
        bucket.refill(now, rate);
        bucket.missing == 0
    }

    fn refill(&mut self, now: u64, rate: Rate) {
        let passed = now.saturating_sub(self.at);
        let back = passed.saturating_mul(rate.per_second.into());
        self.missing = self.missing.saturating_sub(back);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, per_second: 2 };

    #[test]
    fn a_bucket_is_small() {
        assert_eq!(size_of::<Bucket>(), 16);
    }

    #[test]
    fn a_burst_is_there_at_once_and_then_the_rate_counts() {
        let mut bucket = Bucket::default();
        for _ in 0..3 {
            assert_eq!(bucket.take(5_000, RATE, 1), Ok(()));
        }
        assert_eq!(bucket.take(5_000, RATE, 1), Err(500));
        assert_eq!(bucket.take(5_499, RATE, 1), Err(1));
        assert_eq!(bucket.take(5_500, RATE, 1), Ok(()));
        assert_eq!(bucket.take(5_500, RATE, 3), Err(1_500));
        assert_eq!(bucket.take(7_000, RATE, 3), Ok(()));
    }

    #[test]
    fn a_pause_fills_up_to_the_burst_and_no_further() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(0, RATE, 3), Ok(()));
        assert!(!bucket.is_full(1_499, RATE));
        assert!(bucket.is_full(1_500, RATE));
        assert_eq!(bucket.take(u64::MAX - 1, RATE, 3), Ok(()));
        assert_eq!(bucket.take(u64::MAX - 1, RATE, 1), Err(500));
    }

    #[test]
    fn no_rate_drifts_however_often_it_is_asked() {
        for per_second in [1, 3, 7, 999, 1_001, 4_321] {
            // The burst holds what comes back between two questions, so that nothing is lost.
            let rate = Rate { burst: 10, per_second };
            let mut bucket = Bucket::default();
            let mut taken = 0;
            for now in 0..=100_000 {
                while bucket.take(now, rate, 1).is_ok() {
                    taken += 1;
                }
            }
            assert_eq!(taken, 10 + 100 * per_second);
        }
    }

    #[test]
    fn what_never_comes_is_said_to() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(0, RATE, 4), Err(u64::MAX));
        assert_eq!(bucket.take(0, Rate { burst: 0, per_second: 9 }, 1), Err(u64::MAX));
        assert_eq!(bucket.take(0, RATE, 0), Ok(()));
        let once = Rate { burst: 1, per_second: 0 };
        assert_eq!(bucket.take(0, once, 1), Ok(()));
        assert_eq!(bucket.take(u64::MAX, once, 1), Err(u64::MAX));
        assert!(!bucket.is_full(u64::MAX, once));
        bucket.spend(0, once, 1);
        assert_eq!(bucket.ready_at(once), u64::MAX);
    }

    #[test]
    fn a_debt_is_paid_before_more_may_be_spent() {
        let rate = Rate { burst: 1_000, per_second: 500 };
        let mut bucket = Bucket::default();
        bucket.spend(100, rate, 1_000);
        assert_eq!(bucket.ready_at(rate), 100);
        bucket.spend(100, rate, 501);
        assert_eq!(bucket.ready_at(rate), 1_102);
        assert_eq!(bucket.take(1_102, rate, 1), Err(2));
        bucket.spend(1_102, rate, 0);
        assert_eq!(bucket.ready_at(rate), 1_102);
        assert_eq!(bucket.take(1_104, rate, 1), Ok(()));
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let rate = Rate { burst: u32::MAX, per_second: u32::MAX };
        let mut bucket = Bucket::default();
        bucket.spend(u64::MAX, rate, u64::MAX);
        bucket.spend(u64::MAX, rate, u64::MAX);
        assert_eq!(bucket.ready_at(rate), u64::MAX);
        assert_eq!(bucket.take(0, rate, u64::MAX), Err(u64::MAX));
        assert_eq!(bucket.take(0, rate, u32::MAX.into()), Err(u64::MAX));
    }

    #[test]
    fn a_clock_that_steps_back_neither_gives_nor_takes() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(1_000, RATE, 3), Ok(()));
        assert_eq!(bucket.take(200, RATE, 1), Err(1_300));
        assert_eq!(bucket.take(1_500, RATE, 1), Ok(()));
        assert_eq!(bucket.take(1_500, RATE, 1), Err(500));
    }
}
