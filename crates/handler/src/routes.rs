//! The handlers of one namespace.

use std::fmt;
use std::marker::PhantomData;

use hashbrown::HashMap;

use crate::call::Called;
use crate::context::Context;
use crate::event::{Event, Rejection};
use crate::guard::{ErasedGuard, Guard};
use crate::handler::Handler;

/// A handler of which only the context's type is known.
pub struct Erased<C>(Box<dyn Route<C>>);

impl<C: Context> Erased<C> {
    /// Forgets the handler's type.
    pub fn new<M: 'static, H: Handler<C, M>>(handler: H) -> Self {
        Self(Box::new(Typed { handler, marker: PhantomData }))
    }

    /// Extracts the parameters and calls the function.
    ///
    /// # Errors
    ///
    /// The rejection of the first extractor that fails.
    pub fn call(&self, context: &C, event: &mut Event<'_>) -> Result<Called, Rejection> {
        self.0.call(context, event)
    }
}

trait Route<C>: Send + Sync {
    fn call(&self, context: &C, event: &mut Event<'_>) -> Result<Called, Rejection>;
}

struct Typed<H, M> {
    handler: H,
    marker: PhantomData<fn() -> M>,
}

impl<C, M, H: Handler<C, M>> Route<C> for Typed<H, M> {
    fn call(&self, context: &C, event: &mut Event<'_>) -> Result<Called, Rejection> {
        self.handler.call(context, event)
    }
}

/// Handlers by the name of their event, in the order of their registration.
pub struct Routes<C> {
    by_event: HashMap<Box<str>, Vec<Erased<C>>>,
    fallback: Vec<Erased<C>>,
    any: Vec<Erased<C>>,
    guards: Vec<ErasedGuard<C>>,
}

impl<C> Default for Routes<C> {
    fn default() -> Self {
        Self { by_event: HashMap::new(), fallback: Vec::new(), any: Vec::new(), guards: Vec::new() }
    }
}

impl<C: Context> Routes<C> {
    /// Adds a handler for the events named `event`.
    pub fn on<M: 'static>(&mut self, event: &str, handler: impl Handler<C, M>) {
        self.by_event.entry(event.into()).or_default().push(Erased::new(handler));
    }

    /// Adds a handler for the events that no other handler is for.
    pub fn fallback<M: 'static>(&mut self, handler: impl Handler<C, M>) {
        self.fallback.push(Erased::new(handler));
    }

    /// Adds a listener to all events, before their handlers.
    pub fn any<M: 'static>(&mut self, handler: impl Handler<C, M>) {
        self.any.push(Erased::new(handler));
    }

    /// Adds a middleware, which decides whether an event reaches its handlers.
    pub fn guard<M: 'static>(&mut self, guard: impl Guard<C, M>) {
        self.guards.push(ErasedGuard::new(guard));
    }

    pub(crate) fn listeners(&self) -> &[Erased<C>] {
        &self.any
    }

    pub(crate) fn guards(&self) -> &[ErasedGuard<C>] {
        &self.guards
    }

    /// The handlers for the events named `event`.
    pub fn matching(&self, event: &str) -> &[Erased<C>] {
        self.by_event.get(event).map_or(&[], Vec::as_slice)
    }

    /// The handlers for events without one.
    pub fn fallbacks(&self) -> &[Erased<C>] {
        &self.fallback
    }
}

impl<C> fmt::Debug for Routes<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.by_event.keys()).finish()
    }
}

impl<C> fmt::Debug for Erased<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Erased(..)")
    }
}
