//! A counting allocator: what lives on the heap, in blocks of which sizes, and how often it was
//! asked for a block.
//!
//! A test binary installs it, takes a [`Snapshot`] before and one after, and looks at the
//! [`Difference`]:
//!
//! ```
//! use sockeye_testkit::alloc::Counting;
//!
//! #[global_allocator]
//! static HEAP: Counting = Counting::new();
//!
//! let before = HEAP.snapshot();
//! let kept = vec![0_u8; 1000];
//! let grown = HEAP.snapshot().since(&before);
//! assert_eq!((grown.bytes(), grown.blocks()), (1000, 1));
//! drop(kept);
//! assert_eq!(HEAP.snapshot().since(&before).bytes(), 0);
//! ```
//!
//! Bytes are what was asked for. What the system's allocator adds to a block (with glibc 8 bytes,
//! and what rounds the sum up to 16) is not in them.
//!
//! The counters belong to the process, so that a test must not share it with another one while it
//! measures: [`alone`] gives it a process of its own.

#![allow(unsafe_code, reason = "there is no other way to implement `GlobalAlloc`")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt;
use std::process::Command;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long the heap may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(20);

/// Blocks up to this size have a class for each multiple of [`STEP`]; larger ones one for each
/// power of two.
const EXACT: usize = 8 * 1024;
const STEP: usize = 8;
const STEPS: usize = EXACT / STEP;
const CLASSES: usize = STEPS + (usize::BITS - EXACT.ilog2()) as usize;

/// The class of blocks of `size` bytes.
fn class(size: usize) -> usize {
    if size <= EXACT {
        size.div_ceil(STEP).saturating_sub(1)
    } else {
        STEPS + ((size - 1).ilog2() - EXACT.ilog2()) as usize
    }
}

/// The largest size in a class.
fn largest(class: usize) -> usize {
    if class < STEPS {
        (class + 1) * STEP
    } else {
        // The last class has no end.
        EXACT.checked_shl((class - STEPS) as u32 + 1).filter(|size| *size > 0).unwrap_or(usize::MAX)
    }
}

/// The system's allocator, with counters.
#[derive(Debug)]
pub struct Counting {
    bytes: [AtomicI64; CLASSES],
    blocks: [AtomicI64; CLASSES],
    allocations: AtomicU64,
    live: AtomicI64,
    peak: AtomicI64,
}

impl Counting {
    /// An allocator for a `#[global_allocator]` static.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: [const { AtomicI64::new(0) }; CLASSES],
            blocks: [const { AtomicI64::new(0) }; CLASSES],
            allocations: AtomicU64::new(0),
            live: AtomicI64::new(0),
            peak: AtomicI64::new(0),
        }
    }

    /// What is there now. Allocates nothing.
    ///
    /// While other threads allocate, the numbers are of slightly different moments.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let classes = std::array::from_fn(|class| Class {
            bytes: self.bytes[class].load(Ordering::Relaxed),
            blocks: self.blocks[class].load(Ordering::Relaxed),
        });
        Snapshot { classes, allocations: self.allocations() }
    }

    /// How often a block was asked for, one that was made larger or smaller included.
    #[must_use]
    pub fn allocations(&self) -> u64 {
        self.allocations.load(Ordering::Relaxed)
    }

    /// The bytes that are allocated now.
    #[must_use]
    pub fn live_bytes(&self) -> i64 {
        self.live.load(Ordering::Relaxed)
    }

    /// The most bytes that were allocated at a time while `body` ran, beyond those before it.
    pub fn peak_within(&self, body: impl FnOnce()) -> i64 {
        let before = self.live_bytes();
        self.peak.store(before, Ordering::Relaxed);
        body();
        self.peak.load(Ordering::Relaxed) - before
    }

    /// The heap once nothing happens to it any more: for so long that a thread under test which had to
    /// wait for its core has had it.
    ///
    /// # Panics
    ///
    /// If it does not come to rest.
    #[must_use]
    pub fn quiet(&self) -> Snapshot {
        const REST: Duration = Duration::from_millis(100);
        let begun = Instant::now();
        let (mut last, mut since) = ((self.allocations(), self.live_bytes()), begun);
        while since.elapsed() < REST {
            assert!(begun.elapsed() < PATIENCE, "the heap is not at rest within {PATIENCE:?}");
            thread::yield_now();
            let now = (self.allocations(), self.live_bytes());
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
        self.snapshot()
    }

    /// Waits until the heap has no more than `remainder` bytes more than at `start`.
    ///
    /// # Panics
    ///
    /// If it keeps more: `when` says after what.
    #[track_caller]
    pub fn await_level(&self, start: &Snapshot, remainder: i64, when: &str) {
        let begun = Instant::now();
        loop {
            let grown = self.snapshot().since(start);
            if grown.bytes() <= remainder {
                println!("{when}: {} bytes more than before", grown.bytes());
                return;
            }
            let (bytes, split) = (grown.bytes(), grown.split(1));
            assert!(begun.elapsed() < PATIENCE, "{when}, {bytes} bytes are left\n{split}");
            thread::yield_now();
        }
    }

    fn allocated(&self, size: usize) {
        self.allocations.fetch_add(1, Ordering::Relaxed);
        self.bytes[class(size)].fetch_add(size as i64, Ordering::Relaxed);
        self.blocks[class(size)].fetch_add(1, Ordering::Relaxed);
        let live = self.live.fetch_add(size as i64, Ordering::Relaxed) + size as i64;
        self.peak.fetch_max(live, Ordering::Relaxed);
    }

    fn freed(&self, size: usize) {
        self.bytes[class(size)].fetch_sub(size as i64, Ordering::Relaxed);
        self.blocks[class(size)].fetch_sub(1, Ordering::Relaxed);
        self.live.fetch_sub(size as i64, Ordering::Relaxed);
    }
}

impl Default for Counting {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: every method hands its arguments to `System` as they are and returns what `System`
// returned, so `System`'s guarantees are this allocator's, and the caller's obligations are those
// that `System` asks for. The counters are atomics in `self`: touching them allocates nothing,
// unwinds never, and changes no layout.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`, which is `System`'s.
        let block = unsafe { System.alloc(layout) };
        if !block.is_null() {
            self.allocated(layout.size());
        }
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        let block = unsafe { System.alloc_zeroed(layout) };
        if !block.is_null() {
            self.allocated(layout.size());
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller got `block` from this allocator with this layout, so from `System`.
        unsafe { System.dealloc(block, layout) };
        self.freed(layout.size());
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as in `dealloc`; the caller answers for `new_size`.
        let moved = unsafe { System.realloc(block, layout, new_size) };
        if !moved.is_null() {
            self.freed(layout.size());
            self.allocated(new_size);
        }
        moved
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Class {
    bytes: i64,
    blocks: i64,
}

/// The heap at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    classes: [Class; CLASSES],
    allocations: u64,
}

impl Snapshot {
    /// What changed from `earlier` to this one.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Difference {
        Difference {
            classes: std::array::from_fn(|class| Class {
                bytes: self.classes[class].bytes - earlier.classes[class].bytes,
                blocks: self.classes[class].blocks - earlier.classes[class].blocks,
            }),
            allocations: self.allocations - earlier.allocations,
        }
    }
}

/// What changed between two [`Snapshot`]s.
#[derive(Clone, Debug)]
pub struct Difference {
    classes: [Class; CLASSES],
    allocations: u64,
}

impl Difference {
    /// Bytes that live now and did not before, less those that do no more.
    #[must_use]
    pub fn bytes(&self) -> i64 {
        self.classes.iter().map(|class| class.bytes).sum()
    }

    /// The same for blocks.
    #[must_use]
    pub fn blocks(&self) -> i64 {
        self.classes.iter().map(|class| class.blocks).sum()
    }

    /// How often a block was asked for in between.
    #[must_use]
    pub fn allocations(&self) -> u64 {
        self.allocations
    }

    /// The difference as a table, shared out among `items`: how many blocks of which size each of
    /// them has, the dearest first.
    #[must_use]
    pub fn split(&self, items: usize) -> Split<'_> {
        Split { difference: self, items: items.max(1) }
    }
}

/// See [`Difference::split`].
#[derive(Debug)]
pub struct Split<'a> {
    difference: &'a Difference,
    items: usize,
}

impl fmt::Display for Split<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = |sum: i64| sum as f64 / self.items as f64;
        let mut classes: Vec<(usize, Class)> =
            self.difference.classes.iter().copied().enumerate().collect();
        // What comes to less than a byte each is noise.
        classes.retain(|(_, class)| each(class.bytes.abs()) >= 1.0);
        classes.sort_by_key(|(_, class)| std::cmp::Reverse(class.bytes.abs()));
        writeln!(f, "   bytes each    blocks each    of size")?;
        let mut rest = each(self.difference.bytes());
        for (index, class) in classes {
            rest -= each(class.bytes);
            let (bytes, blocks) = (each(class.bytes), each(class.blocks));
            // Where blocks of several sizes went into one class, or came and went, the average
            // says more than the class.
            let mean = class.bytes.checked_div(class.blocks).filter(|mean| *mean > 0);
            match mean {
                Some(mean) if mean <= EXACT as i64 || blocks >= 0.01 => {
                    writeln!(f, "{bytes:13.1} {blocks:14.3} {mean:10}")?;
                }
                _ => writeln!(f, "{bytes:13.1} {blocks:14.3} up to {}", largest(index))?,
            }
        }
        writeln!(f, "{rest:13.1} {:>14} {:>10}", "", "others")?;
        let (bytes, blocks) = (self.difference.bytes(), self.difference.blocks());
        write!(f, "{:13.1} {:14.3} {:>10}", each(bytes), each(blocks), "sum")
    }
}

/// Says to the process of [`alone`] which test it is for.
const ALONE: &str = "SOCKEYE_TEST_ALONE";

/// How long a test may take in a process of its own.
const DEADLINE: Duration = Duration::from_secs(120);

/// Runs `body` in a process of its own, where nothing else allocates: the same binary once more,
/// with only the test called `name`, which must be the one that calls this.
///
/// What it prints is printed here, and where the soft limit of open files is below 8 192, it is
/// raised as far as the hard one permits.
///
/// # Panics
///
/// If `body` panicked, did not end within two minutes, or never ran because `name` is another.
pub fn alone(name: &str, body: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some_and(|alone| alone == *name) {
        thread::spawn(|| {
            thread::sleep(DEADLINE);
            eprintln!("not done after {DEADLINE:?}");
            std::process::abort();
        });
        return body();
    }
    let binary = std::env::current_exe().expect("a test knows its binary");
    let mut command = if cfg!(unix) {
        let mut shell = Command::new("sh");
        let raise = "[ \"$(ulimit -Sn)\" = unlimited ] || [ \"$(ulimit -Sn)\" -ge 8192 ] || \
                     ulimit -Sn 8192 2>/dev/null || ulimit -Sn \"$(ulimit -Hn)\"; exec \"$0\" \"$@\"";
        shell.arg("-c").arg(raise).arg(binary);
        shell
    } else {
        Command::new(binary)
    };
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(ALONE, name);
    let output = command.output().expect("a test can start itself");
    let printed = String::from_utf8_lossy(&output.stdout);
    print!("{printed}");
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "alone, the test failed: {}\n{failed}", output.status);
    assert!(printed.contains("1 passed"), "there is no test called {name}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_in_the_class_that_ends_at_or_above_it() {
        for size in (0..3 * EXACT).chain([1 << 20, (1 << 20) + 1, 1 << 40, usize::MAX]) {
            let class = class(size);
            assert!(class < CLASSES);
            assert!(size <= largest(class), "{size}");
            assert!(class == 0 || size > largest(class - 1), "{size}");
        }
    }

    #[test]
    fn counts_what_lives() {
        let heap = Counting::new();
        let layout = Layout::from_size_align(100, 8).expect("a valid layout");
        let before = heap.snapshot();
        // SAFETY: the layout's size is not zero; each block is freed once, with the layout that it
        // has by then.
        unsafe {
            let block = heap.alloc(layout);
            let other = heap.alloc_zeroed(layout);
            let both = heap.snapshot().since(&before);
            assert_eq!((both.bytes(), both.blocks(), both.allocations()), (200, 2, 2));
            let block = heap.realloc(block, layout, 300);
            let grown = heap.snapshot().since(&before);
            assert_eq!((grown.bytes(), grown.blocks(), grown.allocations()), (400, 2, 3));
            let table = grown.split(1).to_string();
            assert!(table.lines().any(|line| line.trim().ends_with("1.000        300")), "{table}");
            let larger = Layout::from_size_align(300, 8).expect("a valid layout");
            heap.dealloc(block, larger);
            heap.dealloc(other, layout);
        }
        let nothing = heap.snapshot().since(&before);
        assert_eq!((nothing.bytes(), nothing.blocks(), nothing.allocations()), (0, 0, 3));
        assert_eq!(heap.live_bytes(), 0);
    }
}
