//! A packet's compressed wire forms: one for each window in which a connection that shares it has asked.
//!
//! They are a list that only grows, of what is made once: to find one takes no lock, and whoever asks for
//! one that is being made waits for that alone, instead of making it again.

use std::sync::OnceLock;

use bytes::Bytes;
use sockeye_websocket::deflate::WindowBits;

/// Which of a packet's compressed forms is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compressed {
    /// Tells the forms that are compressed from one another: a number of the caller's.
    pub form: u8,
    /// The window that was agreed on.
    pub window: WindowBits,
}

/// The list.
#[derive(Default)]
pub(crate) struct Frames(OnceLock<Box<Node>>);

struct Node {
    key: Compressed,
    frames: OnceLock<Bytes>,
    next: Frames,
}

impl Frames {
    /// The frames of this form, made by the first who asks.
    pub(crate) fn get(&self, key: Compressed, make: impl FnOnce() -> Bytes) -> &Bytes {
        let mut node = self.node(key);
        while node.key != key {
            node = node.next.node(key);
        }
        node.frames.get_or_init(make)
    }

    /// The first of the list, which may be another's.
    fn node(&self, key: Compressed) -> &Node {
        self.0
            .get_or_init(|| Box::new(Node { key, frames: OnceLock::new(), next: Self::default() }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    fn keys() -> Vec<Compressed> {
        let windows = (8..=15).map(|bits| WindowBits::new(bits).unwrap());
        windows.flat_map(|window| [0, 7].map(|form| Compressed { form, window })).collect()
    }

    fn named(key: Compressed) -> Bytes {
        format!("{} in {}", key.form, key.window.get()).into()
    }

    #[test]
    fn each_is_made_once_whoever_asks_first() {
        const THREADS: usize = 4;
        let (frames, made, start) = (Frames::default(), AtomicUsize::new(0), Barrier::new(THREADS));
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (frames, made, start) = (&frames, &made, &start);
                scope.spawn(move || {
                    start.wait();
                    // Each begins elsewhere.
                    let mut keys = keys();
                    keys.rotate_left(thread * 3);
                    for key in keys {
                        let found = frames.get(key, || {
                            made.fetch_add(1, Ordering::Relaxed);
                            named(key)
                        });
                        assert_eq!(*found, named(key));
                    }
                });
            }
        });
        assert_eq!(made.into_inner(), keys().len());
        for key in keys() {
            let found = frames.get(key, || unreachable!("it is there"));
            assert_eq!(*found, named(key));
        }
    }
}
