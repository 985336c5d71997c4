//! A runtime's threads, one at a time: so that what each thread keeps for itself is there before it is measured.

use std::sync::mpsc;

use tokio::runtime::Runtime;

use crate::deadline::DEADLINE;

/// Calls `visit` once for each of the runtime's two workers, which alone is awake meanwhile.
///
/// # Panics
///
/// If a worker is not free within [`DEADLINE`].
pub fn on_each_of_two(runtime: &Runtime, mut visit: impl FnMut()) {
    let first = sleeping_worker(runtime);
    visit();
    let second = sleeping_worker(runtime);
    drop(first);
    visit();
    drop(second);
}

/// Blocks one of the workers that are not blocked, until what this returns is dropped.
fn sleeping_worker(runtime: &Runtime) -> mpsc::Sender<()> {
    let (wake, woken) = mpsc::channel();
    let (sleeps, asleep) = mpsc::channel();
    runtime.spawn(async move {
        sleeps.send(()).expect("it is waited for");
        // An error: the sender was dropped.
        let _ = woken.recv();
    });
    asleep.recv_timeout(DEADLINE).expect("a worker is free");
    wake
}
