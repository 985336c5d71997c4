//! `cargo xtask fuzz`: the fuzz targets (`fuzz/`), driven by libFuzzer.
//!
//! cargo-fuzz asks for a nightly compiler because of the sanitizers. What libFuzzer itself needs is
//! that the code counts its branches and shows what it compares, and LLVM's pass for that is in the
//! stable compiler, too: so the toolchain that builds the project builds its fuzz targets, and there
//! is nothing to install. AddressSanitizer would look for what `unsafe` does, which is denied here.
//! With a nightly, `cargo +nightly fuzz run <target>` works on the same directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::metadata::Metadata;
use crate::process::{self, cargo};
use crate::tools::{self, Tool};

const MANIFEST: &str = "fuzz/Cargo.toml";

/// What cargo-fuzz passes to the compiler with `--sanitizer none`.
const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

/// An input that takes longer is a finding, in seconds: no target needs a tenth of one.
const TIMEOUT: u32 = 10;

/// A target that holds more is a finding, in megabytes.
const MEMORY: u32 = 1024;

/// What a target may take beyond its time, before it is ended.
const GRACE: Duration = Duration::from_secs(60);

/// The names of the targets.
///
/// # Errors
///
/// The directory cannot be read.
pub(crate) fn targets() -> Result<Vec<String>, String> {
    let directory = process::root().join("fuzz/fuzz_targets");
    let unreadable = |error| format!("{}: {error}", directory.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(&directory).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        names.extend(file.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// The command that replays the corpora without instrumentation.
pub(crate) fn replay(target_directory: &Path) -> Command {
    let mut command = cargo(["test", "--locked", "--manifest-path", MANIFEST]);
    command.args(["--no-default-features", "--test", "replay", "--target-dir"]);
    command.arg(target_directory);
    command
}

/// `cargo xtask fuzz`: one target, or all of them, for so many seconds together. What is found
/// meanwhile is added to the corpus in the target directory, and with `merge` to the committed one.
///
/// # Errors
///
/// There is no such target, the build fails, or a directory cannot be made.
pub(crate) fn run(wanted: Option<&str>, time: Duration, merge: bool) -> Result<ExitCode, String> {
    let mut names = targets()?;
    if let Some(wanted) = wanted {
        if !names.iter().any(|name| name == wanted) {
            return Err(format!("there is no fuzz target {wanted}, but {}", names.join(", ")));
        }
        names.retain(|name| name == wanted);
    }
    tools::ready(&[Tool::Cxx])?;
    let fuzzer = Fuzzer::build(Metadata::load()?.target_directory())?;
    if merge {
        for name in &names {
            fuzzer.merge(name)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let findings = fuzzer.fuzz(&names, time);
    for finding in &findings {
        println!("{finding}");
    }
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Instrumented targets.
pub(crate) struct Fuzzer {
    binaries: PathBuf,
    /// What is found goes here: corpora that grow, and inputs that break a promise.
    finds: PathBuf,
}

/// A target that runs.
struct Running {
    name: String,
    process: Child,
    log: PathBuf,
    artifacts: PathBuf,
    ends: Instant,
}

impl Fuzzer {
    /// Builds all targets, in a directory of their own: other flags would make cargo rebuild all of
    /// the usual one, twice.
    pub(crate) fn build(target_directory: &Path) -> Result<Self, String> {
        let directory = target_directory.join("fuzz");
        // With a target named, the flags are not for build scripts and macros.
        let host = host()?;
        let mut command = cargo(["build", "--release", "--locked", "--bins", "--manifest-path"]);
        command.args([MANIFEST, "--target", &host, "--target-dir"]).arg(&directory);
        command.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
        process::run(&mut command)?;
        let binaries = directory.join(host).join("release");
        Ok(Self { binaries, finds: directory.join("finds") })
    }

    /// Runs the targets for `time` in all, on every core, and says what they have found.
    ///
    /// Each begins with all that is known of it. Of one that found nothing only a summary is shown.
    pub(crate) fn fuzz(&self, names: &[String], time: Duration) -> Vec<String> {
        let cores = thread::available_parallelism().map_or(1, usize::from).min(names.len());
        let rounds = names.len().div_ceil(cores.max(1)).max(1);
        let each = (time / u32::try_from(rounds).unwrap_or(u32::MAX)).as_secs().max(1);
        let mut findings = Vec::new();
        for round in names.chunks(cores.max(1)) {
            let running: Vec<Result<Running, String>> =
                round.iter().map(|name| self.start(name, each)).collect();
            for running in running {
                findings.extend(running.and_then(Running::finish).err());
            }
        }
        findings
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.binaries.join(name));
        command.current_dir(process::root()).stdin(Stdio::null());
        command.args([format!("-timeout={TIMEOUT}"), format!("-rss_limit_mb={MEMORY}")]);
        command
    }

    fn start(&self, name: &str, time: u64) -> Result<Running, String> {
        let (found, artifacts) = (self.finds.join(name), self.finds.join("artifacts"));
        make(&found)?;
        make(&artifacts)?;
        let log = self.finds.join(format!("{name}.log"));
        let output = fs::File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let errors = output.try_clone().map_err(|e| format!("{}: {e}", log.display()))?;
        let mut command = self.command(name);
        command
            .arg(format!("-max_total_time={time}"))
            .arg(format!("-artifact_prefix={}/{name}-", artifacts.display()))
            .arg("-print_final_stats=1")
            .args(dictionary(name).map(|file| format!("-dict={}", file.display())))
            .arg(found)
            .arg(corpus(name))
            .stdout(output)
            .stderr(errors);
        let process = command.spawn().map_err(|error| format!("{name}: {error}"))?;
        let ends = Instant::now() + Duration::from_secs(time) + GRACE;
        Ok(Running { name: name.to_owned(), process, log, artifacts, ends })
    }

    /// Puts into the committed corpus what reaches more than it does: the smallest inputs that do.
    fn merge(&self, name: &str) -> Result<(), String> {
        let found = self.finds.join(name);
        make(&found)?;
        // Not how often a branch is taken, which would keep ten times as many.
        let flags = ["-set_cover_merge=1", "-use_counters=0"];
        process::run(self.command(name).args(flags).arg(corpus(name)).arg(found))
    }
}

impl Running {
    /// Waits for the end, and says where to look if it was not a good one.
    fn finish(mut self) -> Result<(), String> {
        let status = loop {
            match self.process.try_wait().map_err(|error| format!("{}: {error}", self.name))? {
                Some(status) => break status,
                None if Instant::now() >= self.ends => {
                    // What is wrong is told below; an error here would hide it.
                    let _ = self.process.kill();
                    let _ = self.process.wait();
                    return Err(format!("{} did not end in time", self.name));
                }
                None => thread::sleep(Duration::from_millis(50)),
            }
        };
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        if status.success() {
            println!("{}: {}", self.name, last_words(&log));
            return Ok(());
        }
        println!("{log}");
        let name = &self.name;
        let artifacts = self.artifacts.display();
        Err(format!("{name} breaks a promise ({status}); the input is in {artifacts}"))
    }
}

/// libFuzzer's summary in one line: how many inputs, how many a second, how much it has covered.
fn last_words(log: &str) -> String {
    let number = |key: &str| {
        let mut lines = log.lines().rev();
        let value = lines.find_map(|line| line.strip_prefix(key))?;
        value.trim_start_matches(':').trim().parse::<u64>().ok()
    };
    let covered = log.lines().rev().find_map(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "cov:");
        words.nth(1)?.parse::<u64>().ok()
    });
    let shown = |number: Option<u64>| number.map_or("?".to_owned(), |number| number.to_string());
    format!(
        "{} inputs, {} a second, {} edges covered",
        shown(number("stat::number_of_executed_units")),
        shown(number("stat::average_exec_per_sec")),
        shown(covered)
    )
}

fn corpus(name: &str) -> PathBuf {
    process::root().join("fuzz/corpus").join(name)
}

/// Words that the target's input is made of, if there is a list.
fn dictionary(name: &str) -> Option<PathBuf> {
    let file = process::root().join("fuzz/dictionaries").join(name);
    file.is_file().then_some(file)
}

fn make(directory: &Path) -> Result<(), String> {
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))
}

/// The target that the compiler builds for by itself.
fn host() -> Result<String, String> {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let answer = process::capture(rustc.arg("-vV").current_dir(process::root()))?;
    let answer = String::from_utf8_lossy(&answer);
    let host = answer.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc -vV names no host".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_corpus() {
        let names = targets().unwrap();
        assert!(names.iter().any(|name| name == "frames"));
        for name in names {
            assert!(corpus(&name).is_dir(), "{name} has none");
        }
    }

    #[test]
    fn the_summary_is_read_from_the_log() {
        let log = "#2\tINITED cov: 3 ft: 3\n#99\tDONE   cov: 310 ft: 9 corp: 3/9b\n\
                   stat::number_of_executed_units: 4811\nstat::average_exec_per_sec:     1603\n";
        assert_eq!(last_words(log), "4811 inputs, 1603 a second, 310 edges covered");
        assert_eq!(last_words(""), "? inputs, ? a second, ? edges covered");
    }
}
