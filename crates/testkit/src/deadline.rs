//! How long anything may take before a test fails: long for whoever waits for a failure, and never reached by what
//! works, on a machine that has much else to do either.

use std::panic::Location;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::timeout;

/// How long anything may take before the test fails.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The output of a future that must be ready within [`DEADLINE`].
///
/// # Panics
///
/// If it is not.
#[track_caller]
pub fn within<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = Location::caller();
    async move {
        match timeout(DEADLINE, future).await {
            Ok(output) => output,
            Err(_) => panic!("{caller}: not ready within {DEADLINE:?}"),
        }
    }
}

/// Waits until this is so.
///
/// # Panics
///
/// If it is not within [`DEADLINE`].
#[track_caller]
pub fn until(mut is: impl FnMut() -> bool) -> impl Future<Output = ()> {
    within(async move {
        while !is() {
            yield_now().await;
        }
    })
}
