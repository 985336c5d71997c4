//! `cargo xtask bench`: the benchmarks are a workspace of their own (`benches/`), because the peers
//! they are measured against pull in hundreds of crates that no user and no test needs.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::process;

const MANIFEST: &str = "benches/Cargo.toml";

/// Builds every server under measurement, then runs the quick benchmark with `args`.
///
/// Built first and apart: the benchmark starts the servers as programs of their own, so they must
/// be there and nothing may compile beside them.
pub(crate) fn quick(args: &[OsString]) -> Result<ExitCode, String> {
    let built = ["build", "--release", "--locked", "--manifest-path", MANIFEST, "--bins"];
    process::run(&mut process::cargo(built))?;
    let quick = ["run", "--release", "--locked", "--manifest-path", MANIFEST, "--bin", "quick"];
    process::run(process::cargo(quick).arg("--").args(args))?;
    Ok(ExitCode::SUCCESS)
}
