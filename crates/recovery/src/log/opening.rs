//! How a log comes to be: what a store holds of former processes, and what of that still counts.

use std::collections::VecDeque;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use hashbrown::HashMap;

use super::{Limits, Log, State};
use crate::event::Meta;
use crate::offset::{Epoch, Position};
use crate::store::{Forgotten, Loaded, Run, Store};

/// The positions between two runs of processes. What the first wrote last may be lost with the power;
/// a client that has heard it must not take what the second writes for it. More than that is not
/// written between two syncs of the kernel, which are 30 s apart.
const BETWEEN_RUNS: u64 = 1 << 24;

/// Former runs that are known. An older offset is below the floor of every session.
const MAX_RUNS: usize = 64;

/// A store that has been read, for a log whose [`Limits`] are not known yet.
pub struct Opening {
    store: Box<dyn Store>,
    epoch: Epoch,
    runs: Vec<Run>,
    loaded: Loaded,
}

impl Opening {
    /// Reads what the store holds, and begins a run. `epoch` is for a store that has none yet, and must be
    /// random.
    ///
    /// # Errors
    ///
    /// The store cannot be read or written.
    pub fn of(store: Box<dyn Store>, epoch: Epoch) -> io::Result<Self> {
        let mut loaded = store.load()?;
        let epoch = loaded.epoch.unwrap_or(epoch);
        let mut runs = std::mem::take(&mut loaded.runs);
        loaded.events.retain(|event| event.position > loaded.forgotten.position);
        let last = loaded.events.last().map_or(loaded.forgotten.position, |event| event.position);
        let mut head = last;
        if let Some(run) = runs.last_mut() {
            run.end = last.max(run.start);
            head = Position(run.end.0 + BETWEEN_RUNS);
        }
        runs.push(Run { start: head, end: head });
        runs.drain(..runs.len().saturating_sub(MAX_RUNS));
        store.begin(epoch, &runs)?;
        Ok(Self { store, epoch, runs, loaded })
    }

    /// The log. What is beyond the limits is forgotten. `now` is on the clock of all later calls, in
    /// milliseconds.
    #[must_use]
    pub fn log(self, limits: Limits, now: u64) -> Log {
        let Self { store, epoch, runs, loaded } = self;
        let Loaded { mut forgotten, events, mut sessions, .. } = loaded;
        // While nobody could come back, no time has passed: the store's goes on where it stood.
        let times = sessions.values().map(|session| session.away_since.unwrap_or(session.came));
        let times = times.chain(events.last().map(|event| event.time));
        let time = times.max().unwrap_or(0).max(forgotten.time);
        let mut awaited = HashMap::new();
        for session in sessions.values_mut() {
            if session.away_since.is_none() {
                session.leave(time, limits.heartbeat);
            }
            session.counted = session.bytes();
            *awaited.entry(session.namespace.clone()).or_default() += 1;
        }
        let mut index = VecDeque::from(events);
        if let Some(at) = last_hole(&index, forgotten.position, &runs) {
            let next = &index[at];
            forgotten = Forgotten { position: Position(next.position.0 - 1), time: next.time };
            store.forget(forgotten);
            index.drain(..at);
        }
        let away = sessions.iter().filter_map(|(pid, session)| Some((session.away_since?, *pid)));
        let state = State {
            time,
            head: runs.last().map_or(forgotten.position, |run| run.end),
            runs,
            bytes: index.iter().map(|event| event.bytes).sum(),
            forgotten,
            away: away.collect(),
            away_bytes: sessions.values().map(|session| session.counted).sum(),
            awaited,
            visits: 0,
            index,
            sessions,
        };
        let (state, failures) = (Mutex::new(state), AtomicU64::new(0));
        let log = Log { store, limits, epoch, opened: (time, now), state, failures };
        log.trim(&mut log.state());
        log
    }
}

/// The last event before which one is missing. A process gives out one position after the other, so that one
/// could not be written.
fn last_hole(events: &VecDeque<Meta>, forgotten: Position, runs: &[Run]) -> Option<usize> {
    let (mut hole, mut before) = (None, forgotten);
    for (at, event) in events.iter().enumerate() {
        let is_first = || runs.iter().any(|run| event.position == run.start.next());
        if event.position != before.next() && !is_first() {
            hole = Some(at);
        }
        before = event.position;
    }
    hole
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opening").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}
