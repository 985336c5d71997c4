//! The timer wheel: one for the process, in shards, turned by one sleeping thread.
//!
//! A heartbeat per connection must not cost a runtime timer per connection. A [`Timer`] here is 24
//! bytes in its owner plus a 48-byte node in the wheel while armed, and moving a deadline *later*
//! costs nothing: the timer fires at the old time and its owner arms it again.
//!
//! Ticks last [`TICK`] milliseconds. The thread sleeps until the next occupied slot, so an idle
//! process is not woken. Deadlines are rounded to ticks: up for what a user asked for, which never
//! fires early; down for liveness, which is never late by more than the scheduler's latency.

mod shard;

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll};
use std::thread::{self, Thread};
use std::time::Duration;

use crate::clock;
use shard::{Key, Shard};

/// The length of a tick, in milliseconds.
pub const TICK: u64 = 8;

const SHARDS: usize = 4;

struct Wheel {
    shards: [Mutex<Shard>; SHARDS],
    next_shard: AtomicUsize,
    /// The tick until which the thread means to sleep.
    sleeps_until: AtomicU64,
    thread: OnceLock<Thread>,
}

static WHEEL: OnceLock<&'static Wheel> = OnceLock::new();

fn wheel() -> &'static Wheel {
    WHEEL.get_or_init(|| {
        let wheel: &'static Wheel = Box::leak(Box::new(Wheel {
            shards: std::array::from_fn(|_| Mutex::new(Shard::new())),
            next_shard: AtomicUsize::new(0),
            sleeps_until: AtomicU64::new(0),
            thread: OnceLock::new(),
        }));
        let turner = thread::Builder::new()
            .name("sockeye-timer".to_owned())
            .spawn(move || wheel.turn())
            .expect("the operating system gives the process its timer thread");
        let _ = wheel.thread.set(turner.thread().clone());
        wheel
    })
}

impl Wheel {
    fn shard(&self, index: usize) -> MutexGuard<'_, Shard> {
        self.shards[index % SHARDS].lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn arm(&self, tick: u64, cx: &Context<'_>) -> Armed {
        let index = self.next_shard.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let key = self.shard(index).insert(tick, cx.waker().clone());
        if tick < self.sleeps_until.fetch_min(tick, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
        Armed { tick, key, shard: index as u8 }
    }

    fn disarm(&self, armed: Armed) {
        let waker = self.shard(usize::from(armed.shard)).remove(armed.key);
        drop(waker);
    }

    fn turn(&self) {
        let mut expired = Vec::new();
        loop {
            // Whoever arms a timer from here on, behind our reading of its shard, sees `MAX`
            // and unparks us.
            self.sleeps_until.store(u64::MAX, Ordering::SeqCst);
            let tick = clock::now() / TICK;
            let mut next = u64::MAX;
            for index in 0..SHARDS {
                let mut shard = self.shard(index);
                shard.advance(tick, &mut expired);
                next = next.min(shard.next_tick().unwrap_or(u64::MAX));
            }
            expired.drain(..).for_each(std::task::Waker::wake);
            let until = next.min(self.sleeps_until.fetch_min(next, Ordering::SeqCst));
            if until == u64::MAX {
                thread::park();
            } else {
                let millis = until.saturating_mul(TICK).saturating_sub(clock::now());
                if millis > 0 {
                    thread::park_timeout(Duration::from_millis(millis));
                }
            }
        }
    }
}

/// Whether a deadline of liveness is reached: such are rounded down to the tick, so that they are never
/// late.
pub fn reached(now: u64, due: u64) -> bool {
    now / TICK >= due / TICK
}

/// Which way a deadline moves to a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Never late: for liveness.
    Down,
    /// Never early: for what a user asked for.
    Up,
}

impl Rounding {
    /// The tick for a deadline in milliseconds.
    fn tick(self, deadline: u64) -> u64 {
        match self {
            Self::Down => deadline / TICK,
            Self::Up => deadline.div_ceil(TICK),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Armed {
    tick: u64,
    key: Key,
    shard: u8,
}

/// One timer of one task.
///
/// It must always be polled by the same task: the waker is not looked at again while it is armed.
#[derive(Debug, Default)]
pub struct Timer {
    armed: Option<Armed>,
}

impl Timer {
    /// A timer that is not armed.
    pub const fn new() -> Self {
        Self { armed: None }
    }

    /// Ready once `deadline` (in [`clock::now`]'s milliseconds) is reached; until then the task is
    /// woken at the deadline at the latest, and perhaps before.
    pub fn poll(&mut self, cx: &Context<'_>, deadline: u64, rounding: Rounding) -> Poll<()> {
        let tick = rounding.tick(deadline);
        let now = clock::now() / TICK;
        if now >= tick {
            self.cancel();
            return Poll::Ready(());
        }
        match self.armed {
            Some(armed) if armed.tick <= tick && armed.tick > now => return Poll::Pending,
            Some(armed) => wheel().disarm(armed),
            None => {}
        }
        self.armed = Some(wheel().arm(tick, cx));
        Poll::Pending
    }

    /// Disarms the timer.
    pub fn cancel(&mut self) {
        if let Some(armed) = self.armed.take() {
            wheel().disarm(armed);
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// A future that is ready after a duration, never early. Dropping it disarms it.
#[derive(Debug)]
pub struct Sleep {
    deadline: u64,
    timer: Timer,
}

/// Ready after `duration`.
pub fn sleep(duration: Duration) -> Sleep {
    Sleep { deadline: clock::after(duration), timer: Timer::new() }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // A future may move between tasks, so the waker of the last poll is the one that counts.
        self.timer.cancel();
        let deadline = self.deadline;
        self.timer.poll(cx, deadline, Rounding::Up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleeps_end_in_the_order_of_their_deadlines_and_never_early() {
        let start = std::time::Instant::now();
        let mut tasks = Vec::new();
        for millis in [40_u64, 1, 17, 9, 0] {
            tasks.push(tokio::spawn(async move {
                sleep(Duration::from_millis(millis)).await;
                (start.elapsed(), Duration::from_millis(millis))
            }));
        }
        for task in tasks {
            let (elapsed, asked) = task.await.expect("the task ran");
            assert!(elapsed >= asked, "{elapsed:?} is before {asked:?}");
        }
    }

    #[test]
    fn rounding_goes_the_way_it_says() {
        assert_eq!(Rounding::Down.tick(15), 1);
        assert_eq!(Rounding::Up.tick(15), 2);
        assert_eq!(Rounding::Up.tick(16), 2);
    }

    #[tokio::test]
    async fn a_dropped_sleep_leaves_no_node_behind() {
        let waker = std::task::Waker::noop();
        let mut cx = Context::from_waker(waker);
        let mut sleeps: Vec<_> = (0..100).map(|_| sleep(Duration::from_secs(3600))).collect();
        for sleep in &mut sleeps {
            assert!(Pin::new(sleep).poll(&mut cx).is_pending());
        }
        let armed = sleeps.iter().filter(|sleep| sleep.timer.armed.is_some()).count();
        assert_eq!(armed, 100);
        for sleep in &mut sleeps {
            sleep.timer.cancel();
            assert!(sleep.timer.armed.is_none());
        }
    }
}
