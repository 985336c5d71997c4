//! How long handlers take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::counter::Counter;

/// How many [bounds](HandlerTimes::BOUNDS) there are.
const BOUNDS: usize = 14;

/// Counts by any thread.
#[derive(Debug, Default)]
pub(crate) struct Times {
    counts: [Counter; BOUNDS + 1],
    /// In nanoseconds: it is full after 584 years of handlers.
    sum: AtomicU64,
}

impl Times {
    pub(crate) fn count(&self, time: Duration) {
        self.counts[HandlerTimes::BOUNDS.partition_point(|bound| *bound < time)].count();
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.sum.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> HandlerTimes {
        HandlerTimes {
            counts: std::array::from_fn(|place| self.counts[place].value()),
            sum: Duration::from_nanos(self.sum.load(Ordering::Relaxed)),
        }
    }
}

/// How long the handlers of events took, from their call to the end of what they returned, waits included: how many took at
/// most which time. Only of servers that [measure](crate::ServerBuilder::measure_handlers) it.
///
/// A handler that was aborted does not count; one that panicked does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandlerTimes {
    counts: [u64; BOUNDS + 1],
    sum: Duration,
}

impl HandlerTimes {
    /// The longest time of each count but the last, which is of those that took longer.
    pub const BOUNDS: [Duration; BOUNDS] = [
        Duration::from_micros(100),
        Duration::from_micros(500),
        Duration::from_millis(1),
        Duration::from_micros(2500),
        Duration::from_millis(5),
        Duration::from_millis(10),
        Duration::from_millis(25),
        Duration::from_millis(50),
        Duration::from_millis(100),
        Duration::from_millis(250),
        Duration::from_millis(500),
        Duration::from_secs(1),
        Duration::from_millis(2500),
        Duration::from_secs(10),
    ];

    /// Each bound with how many took at most that long, and longer than the bound before it; `None` stands
    /// for no bound.
    pub fn iter(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        Self::BOUNDS.into_iter().map(Some).chain([None]).zip(self.counts)
    }

    /// How many handlers were measured.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What all of them took together.
    pub fn sum(&self) -> Duration {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_at_the_first_bound_that_it_does_not_pass() {
        let times = Times::default();
        for time in [0, 100, 101, 10_000_000, 10_000_001] {
            times.count(Duration::from_micros(time));
        }
        let read = times.read();
        let counted: Vec<_> = read.iter().filter(|(_, count)| *count > 0).collect();
        let at = |place: usize| Some(HandlerTimes::BOUNDS[place]);
        assert_eq!(counted, [(at(0), 2), (at(1), 1), (at(BOUNDS - 1), 1), (None, 1)]);
        assert_eq!((read.count(), read.sum()), (5, Duration::from_micros(20_000_202)));
        assert!(HandlerTimes::BOUNDS.is_sorted());
    }
}
