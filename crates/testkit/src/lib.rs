//! What several crates' tests need.

pub mod alloc;
pub mod peer;
pub mod polling;
