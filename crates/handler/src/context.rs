//! What an event belongs to.

use std::sync::Arc;

use serde::Serialize;

use crate::Running;
use crate::dispatch::Places;
use crate::routes::Erased;

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

    /// The socket's own handlers of an event, beside its namespace's.
    fn own_handlers(&self, event: &str) -> Vec<Arc<Erased<Self>>>;

    /// Wakes the session's task: a place has become free.
    fn wake(&self);
}
