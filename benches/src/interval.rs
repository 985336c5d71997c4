//! The interval whose cost counts: CPU time read before and after, messages counted between.

use std::io;
use std::time::{Duration, Instant};

use crate::proc::{Pid, cpu_seconds};
use crate::workload::Measurement;

/// Runs unmeasured for this long first: caches, branch predictors and buffers settle.
const WARM_UP: Duration = Duration::from_millis(400);

/// What is to be measured.
#[derive(Clone, Copy, Debug)]
pub struct Meter<'a> {
    /// The server's process.
    pub server: Pid<'a>,
    /// The interval's least length. Two seconds keep the error of a 10 ms tick at either end below
    /// one percent.
    pub length: Duration,
}

/// A measurement under way. Begins at the first count after the warm-up and ends at the first
/// count past its length.
#[derive(Debug)]
pub struct Interval<'a> {
    meter: Meter<'a>,
    warm_until: Instant,
    begun: Option<Snapshot>,
    messages: u64,
}

#[derive(Debug)]
struct Snapshot {
    at: Instant,
    server_cpu: f64,
    generator_cpu: f64,
}

impl<'a> Meter<'a> {
    /// Starts the warm-up.
    pub fn start(self) -> Interval<'a> {
        let warm_until = Instant::now() + WARM_UP;
        Interval { meter: self, warm_until, begun: None, messages: 0 }
    }

    fn snapshot(&self, at: Instant) -> io::Result<Snapshot> {
        let server_cpu = cpu_seconds(self.server)?;
        Ok(Snapshot { at, server_cpu, generator_cpu: cpu_seconds("self")? })
    }
}

impl Interval<'_> {
    /// Counts messages that have arrived since the last call; returns the measurement at the end.
    pub fn count(&mut self, messages: u64) -> io::Result<Option<Measurement>> {
        let now = Instant::now();
        let Some(begun) = &self.begun else {
            if now >= self.warm_until {
                self.begun = Some(self.meter.snapshot(now)?);
            }
            return Ok(None);
        };
        self.messages += messages;
        if now - begun.at < self.meter.length {
            return Ok(None);
        }
        let ended = self.meter.snapshot(now)?;
        Ok(Some(Measurement::Rate {
            messages: self.messages,
            wall: (now - begun.at).as_secs_f64(),
            server_cpu: ended.server_cpu - begun.server_cpu,
            generator_cpu: ended.generator_cpu - begun.generator_cpu,
        }))
    }
}
