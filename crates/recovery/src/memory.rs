//! A store that ends with the process.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sockeye_engineio::Sid;

use crate::event::{Event, Meta};
use crate::offset::{Epoch, Position};
use crate::session::Session;
use crate::store::{Forgotten, Loaded, Run, Store};

/// Keeps events in memory. They are those that the sockets were sent, and not copied.
#[derive(Debug, Default)]
pub struct MemoryStore {
    events: Mutex<VecDeque<(Position, Option<Event>)>>,
}

impl MemoryStore {
    fn events(&self) -> MutexGuard<'_, VecDeque<(Position, Option<Event>)>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn load(&self) -> io::Result<Loaded> {
        Ok(Loaded::default())
    }

    fn begin(&self, _: Epoch, _: &[Run]) -> io::Result<()> {
        Ok(())
    }

    fn append(&self, meta: &Meta, event: Event) -> io::Result<()> {
        self.events().push_back((meta.position, Some(event)));
        Ok(())
    }

    fn mark(&self, meta: &Meta) -> io::Result<()> {
        let mut events = self.events();
        let found = events.binary_search_by_key(&meta.position, |(position, _)| *position);
        let former = found.ok().and_then(|at| events[at].1.take());
        drop(events);
        drop(former);
        Ok(())
    }

    fn read(&self, position: Position) -> io::Result<Option<Event>> {
        let events = self.events();
        let found = events.binary_search_by_key(&position, |(position, _)| *position);
        Ok(found.ok().and_then(|at| events[at].1.clone()))
    }

    fn forget(&self, last: Forgotten) {
        let mut events = self.events();
        while events.front().is_some_and(|(first, _)| *first <= last.position) {
            events.pop_front();
        }
        // After a burst, most of the room is given back.
        if events.capacity() > 1024 && events.len() < events.capacity() / 4 {
            let room = events.len() * 2;
            events.shrink_to(room);
        }
    }

    fn tidy(&self) -> io::Result<()> {
        Ok(())
    }

    fn put_session(&self, _: Sid, _: &Session) -> io::Result<()> {
        Ok(())
    }

    fn put_room(&self, _: Sid, _: &str, _: Option<Position>) -> io::Result<()> {
        Ok(())
    }

    fn put_stays(&self, _: Sid, _: &Session) -> io::Result<()> {
        Ok(())
    }

    fn remove_session(&self, _: Sid, _: &Session) -> io::Result<()> {
        Ok(())
    }
}
