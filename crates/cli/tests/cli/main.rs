//! The program `sockeye`, as a user runs it: a child process, with clients on plain sockets.
//!
//! Nothing here waits for time to pass: everything waits for an event, with a [`DEADLINE`].

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod chat;
mod client;
mod descriptors;
mod page;
mod process;
mod serve;

use std::time::Duration;

/// How long an event may take before a test fails.
const DEADLINE: Duration = Duration::from_secs(20);
