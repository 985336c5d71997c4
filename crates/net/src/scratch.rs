//! The buffers of a thread: every connection that runs on it reads and writes through the same
//! ones, so an idle connection has none.
//!
//! They are *taken*, not borrowed: a handler that runs while a connection is driven may drive
//! another connection on the same thread (by blocking on it, say), which then finds none and makes
//! its own.

use std::cell::Cell;

use sockeye_websocket::deflate::Inflater;

use crate::cork::Cork;

/// The most that one read takes from the kernel.
const RECEIVE_BYTES: usize = 64 * 1024;

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

pub(crate) struct Scratch {
    pub(crate) receive: Vec<u8>,
    pub(crate) cork: Box<Cork>,
    /// What inflates compressed messages; allocates only when there is one.
    pub(crate) inflater: Inflater,
}

impl Scratch {
    /// Takes the thread's buffers, or makes some if they are taken.
    pub(crate) fn take() -> Box<Self> {
        SCRATCH.take().unwrap_or_else(|| {
            Box::new(Self {
                receive: vec![0; RECEIVE_BYTES],
                cork: Box::default(),
                inflater: Inflater::new(),
            })
        })
    }

    /// Puts them back for the thread's next connection.
    pub(crate) fn put_back(self: Box<Self>) {
        SCRATCH.set(Some(self));
    }
}
