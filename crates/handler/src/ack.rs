//! Answers to events.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use crate::context::Context;
use crate::event::{Event, FromEvent, Rejection};

/// The right to answer one event. Of several handlers' rights to the same event, the first that is
/// used wins.
#[derive(Clone, Debug)]
pub(crate) struct Responder {
    id: u64,
    /// There only if several may answer.
    answered: Option<Arc<AtomicBool>>,
}

impl Responder {
    pub(crate) fn new(id: u64) -> Self {
        Self { id, answered: None }
    }

    /// The same right, which knows of every other use of it.
    pub(crate) fn shared(mut self) -> Self {
        self.answered.get_or_insert_default();
        self
    }

    pub(crate) fn answer<C: Context, T: Serialize + ?Sized>(self, context: &C, reply: &T) {
        let first = self.answered.is_none_or(|answered| !answered.swap(true, Ordering::AcqRel));
        if first {
            context.acknowledge(self.id, reply);
        }
    }
}

/// An event's ack, to be answered by hand: at another time than the handler's return, or not at
/// all.
///
/// A handler that takes it does not answer by returning. Dropping it answers nothing; the sender
/// then waits until its own timeout.
#[derive(Debug)]
pub struct Ack<C> {
    context: C,
    responder: Option<Responder>,
}

impl<C: Context> Ack<C> {
    /// Whether the sender asked for an answer.
    pub fn is_wanted(&self) -> bool {
        self.responder.is_some()
    }

    /// Answers with `reply`: a tuple is several arguments, `()` is none. Nothing happens if no
    /// answer was asked for, or one has been given.
    pub fn send<T: Serialize>(self, reply: T) {
        if let Some(responder) = self.responder {
            responder.answer(&self.context, &reply);
        }
    }
}

impl<C: Context> FromEvent<C> for Ack<C> {
    fn from_event(context: &C, event: &mut Event<'_>) -> Result<Self, Rejection> {
        let responder = event.responder.take().map(Responder::shared);
        // Whoever is called when the handler panics must not answer a second time.
        event.given = responder.clone();
        Ok(Self { context: context.clone(), responder })
    }
}
