//! What the benchmark's programs share.
//!
//! `quick` (the orchestrator) starts one server and one `load` (the generator) per measurement,
//! each pinned to a core of its own, and makes a table of what `load` measured. The method and how
//! to read its numbers are in this directory's README.
//!
//! | module | for |
//! |---|---|
//! | [`frames`] | everyone who writes or reads WebSocket frames by hand: the floors and `load` |
//! | [`serving`] | the server programs: command line, listening, the end |
//! | [`client`] | `load`: connections up to the moment they are ready to be measured |
//! | [`drive`] | `load`: the measured loops |
//! | [`interval`] | `load`: the interval whose cost counts |
//! | [`proc`] | pinning, CPU time, resident memory, limits: what the kernel knows of a process |
//! | [`workload`] | `quick` and `load`: what is measured, and the answer |
//! | [`catalog`] | `quick`: the servers and the scenarios |
//! | [`report`] | `quick`: medians, ratios and the table |

pub mod catalog;
pub mod client;
pub mod drive;
pub mod frames;
pub mod interval;
pub mod proc;
pub mod report;
pub mod serving;
pub mod workload;
