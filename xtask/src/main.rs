//! Project tasks, run as `cargo xtask <task>`.
//!
//! Continuous integration, `README.md` and `CONTRIBUTING.md` name these tasks and nothing else, so
//! what a contributor runs is what the gate runs:
//!
//! - `test` ([`mod@test`]): everything that can fail, with the real clients and a real browser;
//! - `lint` ([`mod@lint`]): format, lints, documentation, layers, file rules;
//! - `support` ([`mod@support`]): README's table of what Node's users find here;
//! - `autobahn` ([`mod@autobahn`]): the WebSocket conformance cases, of which `test` runs a
//!   selection;
//! - `fuzz` ([`mod@fuzz`]): the fuzz targets, for as long as you like;
//! - `bench` ([`mod@bench`]): the benchmark beside its peers.
//!
//! A task ends with exit code 0 when all is well and 1 when not; a wrong command line is 2.

mod autobahn;
mod bench;
mod fuzz;
mod lint;
mod metadata;
mod process;
mod programs;
mod python;
mod support;
mod tally;
mod test;
mod tools;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Sockeye's project tasks", disable_version_flag = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run every test: Rust, documentation, loom models, fuzz targets, WebSocket cases, the official
    /// clients, a browser
    Test {
        /// Run one part alone
        #[arg(long, value_name = "PART")]
        only: Option<test::Part>,
    },
    /// Check format, lints, documentation, layers and file rules
    Lint,
    /// Write README's support matrix from interop/support.json
    Support,
    /// Run Autobahn's cases against the WebSocket server and client
    Autobahn(autobahn::Options),
    /// Look for bytes from a peer that break a promise
    Fuzz {
        /// One target alone
        target: Option<String>,
        /// How long, all targets together
        #[arg(long, value_name = "N", default_value_t = 30)]
        seconds: u64,
        /// Instead, put what was found and reaches more into the committed corpora
        #[arg(long)]
        merge: bool,
    },
    /// Measure Sockeye beside its peers and two floors
    Bench {
        /// The benchmark that takes minutes: the only one so far
        #[arg(long, required = true)]
        quick: bool,
        /// Handed on to the benchmark
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Test { only } => test::run(only),
        Task::Lint => lint::run(),
        Task::Support => support::run(),
        Task::Autobahn(options) => autobahn::run(&options),
        Task::Fuzz { target, seconds, merge } => {
            fuzz::run(target.as_deref(), Duration::from_secs(seconds), merge)
        }
        Task::Bench { quick: _, args } => bench::quick(&args),
    };
    match outcome {
        Ok(code) => code,
        Err(line) => {
            eprintln!("xtask: {line}");
            ExitCode::FAILURE
        }
    }
}
