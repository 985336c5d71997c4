//! The time for each step, and for all of them.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::error::{Error, Phase};

/// When something must be done, and which limit that is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    /// `None` is never.
    at: Option<Instant>,
    pub(super) limit: Duration,
    /// Whether it is the limit for all steps.
    pub(super) is_total: bool,
}

impl Deadline {
    /// From now on.
    pub(super) fn after(limit: Duration) -> Self {
        Self { at: Instant::now().checked_add(limit), limit, is_total: false }
    }

    fn earlier(self, other: Self) -> Self {
        match (self.at, other.at) {
            (Some(at), Some(others)) if others < at => other,
            (None, Some(_)) => other,
            _ => self,
        }
    }

    /// The error of a step that was not done by then.
    pub(super) fn missed(self, phase: Phase) -> Error {
        let Self { limit, is_total, .. } = self;
        Error::Timeout { phase, limit, is_total, attempts: Vec::new() }
    }

    /// Drops a future that is not done in time.
    pub(super) async fn run<F: Future>(self, future: F) -> Result<F::Output, Self> {
        match self.at {
            Some(at) => timeout_at(at, future).await.map_err(|_| self),
            None => Ok(future.await),
        }
    }
}

/// The time for all steps together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    total: Deadline,
}

impl Budget {
    pub(super) fn new(total: Duration) -> Self {
        Self { total: Deadline { is_total: true, ..Deadline::after(total) } }
    }

    pub(super) fn total(&self) -> Deadline {
        self.total
    }

    /// The deadline of a step that begins now.
    pub(super) fn deadline(&self, limit: Duration) -> Deadline {
        Deadline::after(limit).earlier(self.total)
    }

    /// Runs one step within its own limit and that of all.
    pub(super) async fn spend<T>(
        &self,
        phase: Phase,
        limit: Duration,
        step: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let done = self.deadline(limit).run(step).await;
        done.unwrap_or_else(|deadline| Err(deadline.missed(phase)))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// Spends this long on a step.
    async fn spend(budget: Budget, limit: Duration, time: Duration) -> Result<(), Error> {
        let step = async {
            sleep(time).await;
            Ok(())
        };
        budget.spend(Phase::Dns, limit, step).await
    }

    fn missed(done: Result<(), Error>) -> Option<(Duration, bool)> {
        match done {
            Ok(()) => None,
            Err(Error::Timeout { phase: Phase::Dns, limit, is_total, .. }) => {
                Some((limit, is_total))
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_ends_at_its_own_limit_or_at_that_of_all() {
        let budget = Budget::new(secs(10));
        assert_eq!(missed(spend(budget, secs(4), secs(3)).await), None);
        assert_eq!(missed(spend(budget, secs(4), secs(5)).await), Some((secs(4), false)));
        // 7 of 10 are over.
        assert_eq!(missed(spend(budget, secs(4), secs(5)).await), Some((secs(10), true)));
        assert_eq!(missed(spend(budget, Duration::MAX, secs(1)).await), Some((secs(10), true)));
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_is_none() {
        let boundless = Budget::new(Duration::MAX);
        let year = secs(365 * 24 * 60 * 60);
        assert_eq!(missed(spend(boundless, Duration::MAX, year).await), None);
        assert_eq!(missed(spend(boundless, secs(1), year).await), Some((secs(1), false)));
    }
}
