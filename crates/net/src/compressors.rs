//! What compresses, one set for each thread: a compressor takes some 300 KB, and depends on no connection.

use std::cell::RefCell;

use sockeye_websocket::deflate::Compressors;

thread_local! {
    static COMPRESSORS: RefCell<Compressors> = const { RefCell::new(Compressors::new()) };
}

/// Lends this thread's compressors. What is done with them must not compress by other ways.
pub fn with_compressors<R>(work: impl FnOnce(&mut Compressors) -> R) -> R {
    COMPRESSORS.with_borrow_mut(work)
}
