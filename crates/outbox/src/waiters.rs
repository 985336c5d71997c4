//! Who waits for something that comes to all of them at once.

use std::mem;
use std::task::{Context, Waker};

/// With so many waiting, all are asked again for the first time.
const MANY: usize = 1024;

/// The wakers of tasks that wait for the same thing.
///
/// A future that is dropped leaves its waker behind. So when there are many, all are asked again: who still
/// waits comes back, and who has given up does not.
#[derive(Debug)]
pub struct Waiters {
    wakers: Vec<Waker>,
    /// How many there may be before all are asked again. It grows each time, or more than it that do wait
    /// would keep each other awake; so `n` that gave up leave some 45 √n behind.
    most: usize,
}

impl Waiters {
    /// Leaves a waker. Those returned are to be woken now, outside of every lock.
    #[must_use]
    pub fn wait(&mut self, cx: &Context<'_>) -> Vec<Waker> {
        let mut asked_again = Vec::new();
        if self.wakers.len() >= self.most {
            self.most += MANY;
            asked_again = mem::take(&mut self.wakers);
        }
        if !self.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.wakers.push(cx.waker().clone());
        }
        asked_again
    }

    /// All who wait, to be woken because it has come.
    #[must_use]
    pub fn into_wakers(self) -> Vec<Waker> {
        self.wakers
    }
}

impl Default for Waiters {
    fn default() -> Self {
        Self { wakers: Vec::new(), most: MANY }
    }
}
