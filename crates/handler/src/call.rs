//! What calling a handler leads to.

use crate::Handling;

/// Marks the handlers that are plain functions.
#[derive(Debug)]
pub struct Sync;

/// Marks the handlers that return a future.
#[derive(Debug)]
pub struct Async;

/// The outcome of a call.
pub enum Called {
    /// The handler has returned, and answered; if it returned an error, this is it, as JSON.
    Done(Option<Box<str>>),
    /// The handler's future, not polled yet.
    Running(Handling),
}
