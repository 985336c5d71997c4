//! What may go wrong with an event.

use std::borrow::Cow;
use std::fmt;

/// Why an event was not handled as its sender may have hoped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// An extractor found something else than it takes: the handler was not called.
    Rejected(Cow<'static, str>),
    /// A middleware let the event not pass: its error as JSON.
    Refused(Box<str>),
    /// A handler returned an error: as JSON.
    Returned(Box<str>),
    /// A handler panicked: the socket is disconnected.
    Panicked,
    /// No handler is for this event.
    Unhandled,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(message) => write!(f, "the handler was not called: {message}"),
            Self::Refused(error) => write!(f, "a middleware refused the event: {error}"),
            Self::Returned(error) => write!(f, "the handler returned an error: {error}"),
            Self::Panicked => f.write_str("the handler panicked"),
            Self::Unhandled => f.write_str("no handler for this event: it is dropped"),
        }
    }
}

impl std::error::Error for Failure {}
