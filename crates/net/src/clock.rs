//! The process's clock: the plain number of milliseconds that the cores are handed as `now`.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Whole milliseconds since the process first asked: monotonic, rounded down.
pub fn now() -> u64 {
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The number that [`now`] reaches when at least `duration` has passed.
pub fn after(duration: Duration) -> u64 {
    // `now` is rounded down by up to a millisecond, and so is the conversion: one more for each.
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let partial = u64::from(!duration.subsec_nanos().is_multiple_of(1_000_000));
    now().saturating_add(millis).saturating_add(1 + partial)
}
