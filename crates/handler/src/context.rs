//! What an event belongs to.

use std::time::Duration;

use serde::Serialize;
use tracing::Span;

use crate::Running;
use crate::dispatch::Places;
use crate::failure::Failure;
use crate::own::Own;

/// A socket, as far as handlers and their dispatch need one.
pub trait Context: Clone + Send + Sync + 'static {
    /// Sends the answer to an event that asked for one.
    fn acknowledge<T: Serialize + ?Sized>(&self, ack: u64, reply: &T);

    /// Whether events are still delivered to this socket.
    fn is_connected(&self) -> bool;

    /// Runs a handler that did not finish at once.
    fn spawn(&self, running: Running);

    /// The places for running handlers, shared by all sockets of the session.
    fn places(&self) -> &Places;

    /// The socket's own listeners, beside its namespace's, if it ever had some.
    fn own(&self) -> Option<&Own<Self>>;

    /// Something has gone wrong with an event of this name. Its sender has been answered. After a
    /// [panic](Failure::Panicked), the socket must not stay.
    fn failed(&self, event: &str, failure: Failure);

    /// Wakes the session's task: a place has become free.
    fn wake(&self);

    /// What is logged while a handler of an event of this name runs is within this span.
    fn span(&self, _event: &str) -> Span {
        Span::none()
    }

    /// Whether it is wanted how long handlers [take](Self::took).
    fn is_timed(&self) -> bool {
        false
    }

    /// A handler has returned, or panicked, so long after its call.
    fn took(&self, _: Duration) {}
}
