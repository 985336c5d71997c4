//! `cargo xtask lint`: what must hold of the sources, whatever the tests say.
//!
//! All checks run, the cheap ones first, and every finding is one line that names the file and the
//! rule; the compiler's own findings keep the compiler's form.

mod alone;
mod files;
mod layers;

use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::metadata::Metadata;
use crate::process::{self, EVERY_FEATURE, cargo, seconds};
use crate::support;

/// Runs every check, then sums up.
pub(crate) fn run() -> Result<ExitCode, String> {
    let root = process::root();
    let mut failed = Vec::new();
    let mut check = |name: &'static str, findings: &mut dyn FnMut() -> Vec<String>| {
        println!("== {name}");
        let start = Instant::now();
        let findings = findings();
        for finding in &findings {
            println!("error: {finding}");
        }
        let verdict = if findings.is_empty() { "ok" } else { "FAILED" };
        println!("== {name}: {verdict}, {}\n", seconds(start.elapsed()));
        if !findings.is_empty() {
            failed.push(name);
        }
    };

    check("layers", &mut || Metadata::load().map_or_else(|e| vec![e], |m| layers::check(&m)));
    check("WebSocket alone", &mut alone::check);
    check("files", &mut || files::check(&root).unwrap_or_else(|error| vec![error]));
    check("support matrix", &mut || support::check(&root).unwrap_or_else(|error| vec![error]));
    check("format", &mut || passes(&mut cargo(["fmt", "--all", "--check"])));
    let args = ["fmt", "--manifest-path", "fuzz/Cargo.toml", "--all", "--check"];
    check("format of fuzz", &mut || passes(&mut cargo(args)));
    if root.join("benches/Cargo.toml").is_file() {
        // A workspace of its own, too large to compile here: its format is what can be checked.
        let args = ["fmt", "--manifest-path", "benches/Cargo.toml", "--all", "--check"];
        check("format of benches", &mut || passes(&mut cargo(args)));
    }
    check("clippy", &mut || {
        let args = ["clippy", "--workspace", EVERY_FEATURE, "--all-targets", "--locked"];
        passes(cargo(args).args(["--", "-D", "warnings"]))
    });
    check("clippy of WebSocket alone", &mut || {
        let args = ["clippy", "--package", "sockeye", "--no-default-features", "--locked"];
        passes(cargo(args).args(["--", "-D", "warnings"]))
    });
    check("clippy of fuzz", &mut || {
        // Without the engine, which is C++: a target is one line that hands bytes over.
        let args = ["clippy", "--manifest-path", "fuzz/Cargo.toml", "--no-default-features"];
        passes(cargo(args).args(["--all-targets", "--locked", "--", "-D", "warnings"]))
    });
    check("documentation", &mut || {
        let mut doc = cargo(["doc", "--workspace", EVERY_FEATURE, "--no-deps", "--locked"]);
        // Where both are set cargo takes the encoded one.
        passes(doc.env("RUSTDOCFLAGS", "-D warnings").env_remove("CARGO_ENCODED_RUSTDOCFLAGS"))
    });

    if failed.is_empty() {
        println!("lint: ok");
        Ok(ExitCode::SUCCESS)
    } else {
        println!("lint: failed: {}", failed.join(", "));
        Ok(ExitCode::FAILURE)
    }
}

fn passes(command: &mut Command) -> Vec<String> {
    process::run(command).err().into_iter().collect()
}
