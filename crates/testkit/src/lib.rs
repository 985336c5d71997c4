//! What several crates' tests need.

pub mod alloc;
pub mod chaos;
pub mod peer;
pub mod polling;
