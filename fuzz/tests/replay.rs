//! Every corpus, and mutations of it from a fixed seed, through the functions that are fuzzed: on any
//! toolchain, without an engine and without instrumentation.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use sockeye_fuzz::{TARGETS, Target};

/// How many mutated inputs each target gets.
const MUTATIONS: usize = 4_000;

/// What the corpora may have together, in bytes: they are in every clone.
const MAX_CORPORA: usize = 300_000;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = fs::read_dir(&directory).expect("every target has a corpus");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", directory.display());
    files.into_iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect()
}

/// Runs an input, and says which it was if it breaks a promise.
fn run(target: &Target, what: &str, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        panic!("{}: {what} breaks a promise: {}", target.name, input.escape_ascii());
    }
}

fn replay(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let corpus = corpus(name);
    for (file, input) in &corpus {
        run(target, &file.display().to_string(), input);
    }
    run(target, "nothing", &[]);
    let mut random = Random(0x5EED_0F50_C4E7_E000 + name.len() as u64);
    for n in 0..MUTATIONS {
        let input = mutate(&corpus, &mut random);
        run(target, &format!("mutation {n}"), &input);
    }
}

/// An input of the corpus with a few mistakes, or two halves of different ones.
fn mutate(corpus: &[(PathBuf, Vec<u8>)], random: &mut Random) -> Vec<u8> {
    let pick = |random: &mut Random| &corpus[random.below(corpus.len())].1;
    let mut input = pick(random).clone();
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        match random.below(7) {
            0 => input.truncate(at),
            1 => input.insert(at, random.byte()),
            2 => {
                let end = (at + random.below(16)).min(input.len());
                input.drain(at..end);
            }
            3 => {
                let other = pick(random);
                input.truncate(at);
                input.extend(&other[random.below(other.len() + 1)..]);
            }
            4 => {
                let end = (at + random.below(32)).min(input.len());
                input.extend_from_within(at..end);
            }
            5 => input.get_mut(at).map(|byte| *byte ^= 1 << random.below(8)).unwrap_or_default(),
            _ => input.get_mut(at).map(|byte| *byte = random.byte()).unwrap_or_default(),
        }
    }
    input
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 33) as usize % end
    }

    fn byte(&mut self) -> u8 {
        (self.next() >> 40) as u8
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        #[test]
        fn every_target_is_replayed_and_has_a_binary() {
            let replayed = [$(stringify!($name)),*];
            assert_eq!(TARGETS.iter().map(|target| target.name).collect::<Vec<_>>(), replayed);
            let binaries = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
            let mut found: Vec<_> = fs::read_dir(binaries)
                .unwrap()
                .map(|entry| entry.unwrap().path().file_stem().unwrap().display().to_string())
                .collect();
            found.sort();
            let mut names = replayed.map(str::to_owned);
            names.sort();
            assert_eq!(found, names);
        }
    };
}

targets! { frames handshake_server handshake_client extensions deflate operations proxies engineio socketio msgpack }

#[test]
fn the_corpora_are_small() {
    let sizes = TARGETS.iter().flat_map(|target| corpus(target.name)).map(|(_, input)| input.len());
    let sum: usize = sizes.sum();
    assert!(sum <= MAX_CORPORA, "{sum} bytes: minimise them with `cargo xtask fuzz --merge`");
}
