//! The driver's promises, over pipes and over loopback.
//!
//! Where a test says that something has come to rest, it runs on one thread over a pipe: then a
//! task that was woken has run once everybody else has yielded to it a few times. Nothing waits
//! for a certain time to pass, and everything has a deadline.

mod blocked;
mod bytes_in;
mod closing;
mod failing;
mod floods;
mod holding;
mod peer;
mod script;
mod stalled;
mod turns;
mod writing;
