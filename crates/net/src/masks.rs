//! Masking keys: fresh and unpredictable for each frame of a client (RFC 6455 §5.3, §10.3), and cheap.
//!
//! They come from the operating system's generator, a page for many frames at a time, kept by the
//! thread. A process that goes on in both halves after a `fork` would draw the rest of a page twice;
//! what masking is for (that nobody who chooses a payload can foresee its bytes on the wire) holds
//! even then.

use std::cell::RefCell;

use sockeye_websocket::Role;
use sockeye_websocket::mask::Key;

/// The bytes drawn at a time: 256 keys. Asking for these costs the system call some microseconds.
const PAGE: usize = 1024;

struct Page {
    bytes: [u8; PAGE],
    /// Where the bytes begin that were not handed out.
    next: usize,
}

thread_local! {
    static RANDOM: RefCell<Page> = const { RefCell::new(Page { bytes: [0; PAGE], next: PAGE }) };
}

/// A key for a frame of this end, if it has to mask (RFC 6455 §5.1).
pub(crate) fn fresh_for(role: Role) -> Option<Key> {
    (role == Role::Client).then(fresh)
}

/// A key that was never handed out before, but by chance.
///
/// # Panics
///
/// If the operating system has no random bytes to give, which happens to processes that may not ask
/// for them, at their first key.
#[must_use]
pub fn fresh() -> Key {
    RANDOM.with_borrow_mut(|page| {
        if page.next == PAGE {
            getrandom::fill(&mut page.bytes).expect("the operating system gives random bytes");
            page.next = 0;
        }
        let key = page.bytes[page.next..].first_chunk().copied();
        page.next += size_of::<Key>();
        key.expect("a page is a whole number of keys")
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;

    const KEYS: usize = 4 * PAGE / size_of::<Key>();

    #[test]
    fn keys_are_fresh_over_pages_and_threads() {
        let draw = || (0..KEYS).map(|_| fresh()).collect::<Vec<_>>();
        let others = thread::spawn(draw).join().unwrap();
        let keys: HashSet<_> = draw().into_iter().chain(others).collect();
        // Of 2048 random keys two are equal once in two thousand runs, and six pairs never.
        assert!(keys.len() > 2 * KEYS - 6, "{} of {} differ", keys.len(), 2 * KEYS);
    }

    #[test]
    fn every_bit_of_a_key_is_random() {
        let keys: Vec<_> = (0..KEYS).map(|_| u32::from_ne_bytes(fresh())).collect();
        assert_eq!(keys.iter().fold(0, |bits, key| bits | key), u32::MAX);
        assert_eq!(keys.iter().fold(u32::MAX, |bits, key| bits & key), 0);
    }
}
