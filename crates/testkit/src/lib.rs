//! What several crates' tests need.

pub mod alloc;
pub mod chaos;
pub mod deadline;
pub mod peer;
pub mod polling;
pub mod workers;
