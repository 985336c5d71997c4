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
