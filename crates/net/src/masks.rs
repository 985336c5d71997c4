//! Masking keys: fresh and unpredictable for each frame of a client (RFC 6455 §5.3, §10.3).
//!
//! The operating system's generator makes them, a block at a time and a block per thread: a system
//! call for each key would cost more than its frame.

use std::cell::RefCell;

use sockeye_websocket::Role;
use sockeye_websocket::mask::Key;

/// Keys that one call of the generator makes.
const KEYS: usize = 256;

struct Block {
    keys: [Key; KEYS],
    used: usize,
}

thread_local! {
    static BLOCK: RefCell<Block> = const { RefCell::new(Block { keys: [[0; 4]; KEYS], used: KEYS }) };
}

/// A key for a frame of this end, if it has to mask (RFC 6455 §5.1).
pub(crate) fn key_for(role: Role) -> Option<Key> {
    (role == Role::Client).then(key)
}

/// A key that was never used.
///
/// # Panics
///
/// If the operating system has no random numbers: an empty or guessed key would break the protocol's
/// promise to the proxies in between.
pub(crate) fn key() -> Key {
    BLOCK.with_borrow_mut(|block| {
        if block.used == KEYS {
            getrandom::fill(block.keys.as_flattened_mut()).expect("the system has random numbers");
            block.used = 0;
        }
        block.used += 1;
        // Taken out, so that no key stays in memory longer than it has to.
        std::mem::take(&mut block.keys[block.used - 1])
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_key_comes_back() {
        let keys: HashSet<Key> = (0..3 * KEYS).map(|_| key()).collect();
        // Of 768 random keys, two are the same once in 14 000 runs; a block used twice, or keys of
        // zeros, would show at once.
        assert!(keys.len() >= 3 * KEYS - 2, "{} of {}", keys.len(), 3 * KEYS);
    }
}
