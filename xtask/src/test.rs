//! `cargo xtask test`: everything that can fail, in one command.
//!
//! Five parts: the Rust tests with the documentation's examples, and those of TLS once more by AWS-LC; the loom models, built with
//! `--cfg loom` in a target directory of their own; the corpora of the fuzz targets and half a minute
//! of fuzzing (`fuzz/`); a selection of Autobahn's cases; and the tests with the official JavaScript
//! clients, other WebSocket implementations and a browser
//! (`interop/`). Every step runs, also behind one that failed, and nothing is
//! left out without a word. The last line is `N passed, N failed`, summed over all test programs.

mod interop;

use std::collections::BTreeSet;
use std::env;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::autobahn;
use crate::fuzz::{self, Fuzzer};
use crate::metadata::Metadata;
use crate::process::EVERY_FEATURE;
use crate::process::{self, cargo, seconds};
use crate::python::Environment;
use crate::tally::{Reporter, Tally};
use crate::tools::{self, Tool};

/// Crates whose concurrency is checked by loom, in `tests/loom.rs`.
const LOOM_MODELS: &[&str] = &["sockeye-outbox", "sockeye-hub"];

/// TLS with the other cryptography that can be chosen, which the workspace's tests do not build.
const AWS_LC: [&str; 7] = [
    "test",
    "--locked",
    "--no-fail-fast",
    "--package=sockeye-net",
    "--no-default-features",
    "--features=dial,http2,tls-aws-lc-rs",
    "--test=tls",
];

/// The tests over sockets wait more than they compute: 62 seconds on two cores with one each, 22 with four.
const THREADS_PER_CORE: usize = 4;

/// How long all fuzz targets together look for something new.
const FUZZING: Duration = Duration::from_secs(30);

/// A part of the tests that can be asked for alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// `cargo test` over the workspace, documentation included
    Rust,
    /// The loom models of what is shared between threads
    Loom,
    /// The corpora of the fuzz targets, and half a minute of fuzzing
    Fuzz,
    /// A selection of Autobahn's WebSocket cases
    Autobahn,
    /// The official clients, other WebSocket implementations, and a browser
    Interop,
}

impl Part {
    /// What it needs besides Rust.
    fn tools(self) -> &'static [Tool] {
        match self {
            Self::Rust | Self::Loom => &[],
            Self::Fuzz => &[Tool::Cxx],
            Self::Autobahn => &[Tool::Python],
            Self::Interop => &[Tool::Node, Tool::Npm, Tool::Chromium, Tool::Nginx, Tool::Python],
        }
    }
}

/// One step with its outcome.
struct Step {
    name: String,
    tally: Tally,
    time: Duration,
}

/// Runs the tests, or the one part asked for.
///
/// # Errors
///
/// A tool is missing, or the workspace's metadata cannot be read: nothing has run then.
pub(crate) fn run(only: Option<Part>) -> Result<ExitCode, String> {
    let wanted = |part| only.is_none_or(|only| only == part);
    // First of all, so that nobody waits for a build to learn that a browser is missing.
    let tools: BTreeSet<Tool> = Part::value_variants()
        .iter()
        .filter(|part| wanted(**part))
        .flat_map(|part| part.tools())
        .copied()
        .collect();
    let tools = tools::ready(&tools.into_iter().collect::<Vec<_>>())?;
    let metadata = Metadata::load()?;
    let environment = if wanted(Part::Autobahn) || wanted(Part::Interop) {
        Some(Environment::ready(tools.path(Tool::Python), &metadata)?)
    } else {
        None
    };

    let mut steps = Vec::new();
    if wanted(Part::Rust) {
        let args = ["test", "--workspace", EVERY_FEATURE, "--locked", "--no-fail-fast"];
        let mut tests = cargo(args);
        if env::var_os("RUST_TEST_THREADS").is_none() {
            tests.env("RUST_TEST_THREADS", (THREADS_PER_CORE * cores()).to_string());
        }
        steps.push(step("Rust tests", || counted(&mut tests, Reporter::Cargo)));
        steps.push(step("TLS by AWS-LC", || counted(&mut cargo(AWS_LC), Reporter::Cargo)));
    }
    if wanted(Part::Loom) {
        for package in LOOM_MODELS {
            steps.push(step(&format!("loom models of {package}"), || {
                counted(&mut loom(&metadata, package), Reporter::Cargo)
            }));
        }
    }
    if wanted(Part::Fuzz) {
        let target_directory = metadata.target_directory();
        steps.push(step("corpora of the fuzz targets", || {
            counted(&mut fuzz::replay(target_directory), Reporter::Cargo)
        }));
        steps.push(step("fuzz targets", || smoke(target_directory)));
    }
    if let Some(environment) = &environment {
        if wanted(Part::Autobahn) {
            steps.push(step("Autobahn's cases", || autobahn::quick(environment, &metadata)));
        }
        if wanted(Part::Interop) {
            let run = || interop::run(&tools, environment);
            steps.push(step("other implementations and browser", run));
        }
    }

    Ok(sum_up(&steps))
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Runs the crate's models. A crate at a time, so that one that lost its models is an error. In
/// release: a model is run some ten thousand times over.
fn loom(metadata: &Metadata, package: &str) -> Command {
    let mut command = cargo(["test", "--locked", "--release", "--no-fail-fast", "--package"]);
    command
        .args([package, "--test", "loom", "--target-dir"])
        // Other flags would make cargo rebuild all of the usual target directory, twice.
        .arg(metadata.target_directory().join("loom"))
        .env("RUSTFLAGS", "--cfg loom")
        // Where both are set cargo takes the encoded one.
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}

/// Lets every fuzz target look for something new. Each counts as a test.
fn smoke(target_directory: &Path) -> Result<Tally, String> {
    let targets = fuzz::targets()?;
    let findings = Fuzzer::build(target_directory)?.fuzz(&targets, FUZZING);
    let (passed, failed) = (targets.len() - findings.len(), findings.len());
    Ok(Tally { passed: passed as u64, failed: failed as u64, failures: findings, skipped: 0 })
}

/// Runs a test program and counts what it reports.
fn counted(command: &mut Command, reporter: Reporter) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let success = process::tee(command, |line| tally.read(reporter, line))?;
    tally.close(success);
    Ok(tally)
}

fn step(name: &str, run: impl FnOnce() -> Result<Tally, String>) -> Step {
    println!("== {name}");
    let start = Instant::now();
    let tally = run().unwrap_or_else(Tally::of_failure);
    let step = Step { name: name.to_owned(), tally, time: start.elapsed() };
    println!("== {}\n", step.line());
    step
}

impl Step {
    fn line(&self) -> String {
        let Tally { passed, failed, skipped, .. } = self.tally;
        let verdict = if failed == 0 { "ok" } else { "FAILED" };
        let skipped = if skipped == 0 { String::new() } else { format!(", {skipped} skipped") };
        format!(
            "{}: {verdict}: {passed} passed, {failed} failed{skipped}, {}",
            self.name,
            seconds(self.time)
        )
    }
}

fn sum_up(steps: &[Step]) -> ExitCode {
    println!("== summary");
    for step in steps {
        println!("{}", step.line());
        for failure in &step.tally.failures {
            println!("    {failure}");
        }
    }
    let passed: u64 = steps.iter().map(|step| step.tally.passed).sum();
    let failed: u64 = steps.iter().map(|step| step.tally.failed).sum();
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_cannot_run_is_a_failed_one() {
        let step = step("nothing", || Err("npm cannot be started".into()));
        assert_eq!((step.tally.passed, step.tally.failed), (0, 1));
        assert_eq!(step.tally.failures, ["npm cannot be started"]);
        assert!(step.line().starts_with("nothing: FAILED: 0 passed, 1 failed, "));
    }

    #[test]
    fn skipped_tests_are_named_in_the_steps_line() {
        let tally = Tally { passed: 3, skipped: 2, ..Tally::default() };
        let step = Step { name: "Rust tests".into(), tally, time: Duration::from_millis(1_540) };
        assert_eq!(step.line(), "Rust tests: ok: 3 passed, 0 failed, 2 skipped, 1.5 s");
    }

    #[test]
    fn a_failed_test_makes_the_exit_code() {
        let step = |failed| Step {
            name: String::new(),
            tally: Tally { passed: 1, failed, ..Tally::default() },
            time: Duration::ZERO,
        };
        assert_eq!(sum_up(&[step(0), step(0)]), ExitCode::SUCCESS);
        assert_eq!(sum_up(&[step(1), step(0)]), ExitCode::FAILURE);
    }
}
