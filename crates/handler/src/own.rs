//! The listeners of one socket alone, in the style of the JavaScript API.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::context::Context;
use crate::guard::ErasedGuard;
use crate::routes::Erased;

/// Names a listener of one socket, to take it off again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HandlerId(u64);

/// What a listener of one socket listens to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// The events of this name.
    Event(Box<str>),
    /// All events from the client.
    Any,
    /// All events to the client.
    Outgoing,
}

/// The listeners of one socket, in order.
pub struct Own<C> {
    listeners: Mutex<Vec<Listener<C>>>,
    guards: Mutex<Vec<(HandlerId, Arc<ErasedGuard<C>>)>>,
    next: AtomicU64,
}

struct Listener<C> {
    id: HandlerId,
    topic: Topic,
    once: bool,
    handler: Arc<Erased<C>>,
}

impl<C> Default for Own<C> {
    fn default() -> Self {
        Self { listeners: Mutex::default(), guards: Mutex::default(), next: AtomicU64::new(0) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<C: Context> Own<C> {
    /// Adds a listener, behind the others or before them, which is taken off by its first call if `once`.
    /// `alive` is asked under the lock that [`clear`](Self::clear) takes: nothing is added behind it.
    pub fn add(
        &self,
        topic: Topic,
        handler: Erased<C>,
        (once, first): (bool, bool),
        alive: impl FnOnce() -> bool,
    ) -> HandlerId {
        let id = self.next_id();
        let listener = Listener { id, topic, once, handler: Arc::new(handler) };
        let mut listeners = lock(&self.listeners);
        if alive() {
            let place = if first { 0 } else { listeners.len() };
            listeners.insert(place, listener);
        }
        id
    }

    /// Adds a middleware.
    pub fn guard(&self, guard: ErasedGuard<C>, alive: impl FnOnce() -> bool) -> HandlerId {
        let id = self.next_id();
        let mut guards = lock(&self.guards);
        if alive() {
            guards.push((id, Arc::new(guard)));
        }
        id
    }

    /// Takes a listener or a middleware off. `false` if it is gone.
    pub fn remove(&self, id: HandlerId) -> bool {
        let guards: Vec<_> = lock(&self.guards).extract_if(.., |guard| guard.0 == id).collect();
        !guards.is_empty() || self.remove_where(|listener| listener.id == id) > 0
    }

    /// Takes all listeners to this off, and says how many there were.
    pub fn remove_all(&self, topic: &Topic) -> usize {
        self.remove_where(|listener| listener.topic == *topic)
    }

    fn remove_where(&self, mut is: impl FnMut(&Listener<C>) -> bool) -> usize {
        // Dropped outside the lock: they are a user's values.
        let removed: Vec<_> =
            lock(&self.listeners).extract_if(.., |listener| is(listener)).collect();
        removed.len()
    }

    /// How many listen to this.
    pub fn count(&self, topic: &Topic) -> usize {
        lock(&self.listeners).iter().filter(|listener| listener.topic == *topic).count()
    }

    /// The listeners for which this is so; those for one event are taken off.
    fn take(&self, is: impl Fn(&Topic) -> bool) -> Vec<Arc<Erased<C>>> {
        let mut listeners = lock(&self.listeners);
        let found = listeners.iter().filter(|listener| is(&listener.topic));
        let handlers = found.map(|listener| listener.handler.clone()).collect();
        listeners.retain(|listener| !(listener.once && is(&listener.topic)));
        handlers
    }

    pub(crate) fn event(&self, event: &str) -> Vec<Arc<Erased<C>>> {
        self.take(|topic| matches!(topic, Topic::Event(name) if **name == *event))
    }

    pub(crate) fn any(&self) -> Vec<Arc<Erased<C>>> {
        self.take(|topic| *topic == Topic::Any)
    }

    /// Who listens to what goes out.
    pub fn outgoing(&self) -> Vec<Arc<Erased<C>>> {
        self.take(|topic| *topic == Topic::Outgoing)
    }

    pub(crate) fn guards(&self) -> Vec<Arc<ErasedGuard<C>>> {
        lock(&self.guards).iter().map(|(_, guard)| guard.clone()).collect()
    }

    /// Drops them all: a listener that holds its own socket would keep both alive for ever.
    pub fn clear(&self) {
        let listeners = std::mem::take(&mut *lock(&self.listeners));
        let guards = std::mem::take(&mut *lock(&self.guards));
        drop((listeners, guards));
    }

    fn next_id(&self) -> HandlerId {
        HandlerId(self.next.fetch_add(1, Ordering::Relaxed))
    }
}

impl<C> std::fmt::Debug for Own<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Own")
            .field("listeners", &lock(&self.listeners).len())
            .finish_non_exhaustive()
    }
}
