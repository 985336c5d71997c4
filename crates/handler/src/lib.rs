//! Event handlers, for the server as for a client: routes, extractors, arguments, dispatch.
//!
//! A [`Handler`] is a function, async or not, whose parameters are [extractors](FromEvent) and
//! whose return value answers the event's ack. [`Routes`] holds the handlers of one namespace,
//! registered once: they cost a socket nothing. [`Dispatch`] runs them for the events of one
//! session, in order of arrival and within limits.
//!
//! Everything is generic over a [`Context`], the thing that an event belongs to: the server's
//! socket or the client's.

mod ack;
mod call;
mod context;
mod data;
mod dispatch;
mod event;
mod failure;
mod guard;
mod handler;
mod own;
mod routes;

pub use ack::Ack;
pub use call::Called;
pub use context::Context;
pub use data::Data;
pub use dispatch::{Dispatch, Limits, Places, run, run_one, yield_place, yield_place_if};
pub use event::{Event, FromEvent, Rejection};
pub use failure::Failure;
pub use guard::{ErasedGuard, Guard, Passing};
pub use handler::Handler;
pub use own::{HandlerId, Own, Topic};
pub use routes::{Erased, Routes};

/// A handler's future, boxed: it answers the ack itself. Its output is the error that the handler returned, if
/// it did, as JSON.
pub type Handling = std::pin::Pin<Box<dyn Future<Output = Option<Box<str>>> + Send>>;

/// A handler that goes on as a task.
pub type Running = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
