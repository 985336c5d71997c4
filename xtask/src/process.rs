//! Starting other programs: where the workspace is, which cargo to call, and two ways to run it,
//! with the output passed through ([`run`]) or passed through and read as well ([`tee`]).
//!
//! Failures are one line for a human: a task's caller can do nothing with them but print them.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The features of the workspace's crates that none of its programs turns on, so that nothing is left out of the
/// lints and the tests.
pub(crate) const EVERY_FEATURE: &str = "--features=sockeye/regex,sockeye-server/tls-ring";

/// The workspace's root directory.
///
/// `cargo run` says where this package is; the path known at compile time serves a binary that was
/// started by hand.
pub(crate) fn root() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map_or_else(|| package.clone(), Path::to_path_buf)
}

/// The cargo that started this task, with the given arguments, in the workspace's root.
pub(crate) fn cargo<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// Runs to the end with output passed through.
///
/// # Errors
///
/// The program cannot be started, or ends with anything but success.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    announce(command);
    let status =
        command.stdin(Stdio::null()).status().map_err(|error| not_started(command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", name(command))) }
}

/// Runs to the end, passes output through, and shows every line of standard output to `line`.
///
/// Returns whether the program ended with success.
///
/// # Errors
///
/// The program cannot be started, or its output cannot be read.
pub(crate) fn tee(command: &mut Command, mut line: impl FnMut(&str)) -> Result<bool, String> {
    announce(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| not_started(command, &error))?;
    let copied =
        child.stdout.take().map_or(Ok(()), |stdout| copy_lines(stdout, io::stdout(), &mut line));
    // Waited for in any case: a child that nobody waits for outlives this task.
    let status = child.wait().map_err(|error| format!("{}: {error}", name(command)))?;
    copied.map_err(|error| format!("{}: its output cannot be read: {error}", name(command)))?;
    Ok(status.success())
}

/// What the program prints to standard output, with nothing passed through but its errors.
///
/// # Errors
///
/// The program cannot be started, or ends with anything but success.
pub(crate) fn capture(command: &mut Command) -> Result<Vec<u8>, String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| not_started(command, &error))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("{} ended with {}", name(command), output.status))
    }
}

/// A time as the tasks print it: `0.4 s`, `83.0 s`.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn copy_lines(
    from: impl io::Read,
    mut to: impl Write,
    line: &mut impl FnMut(&str),
) -> io::Result<()> {
    let mut from = BufReader::new(from);
    let mut bytes = Vec::new();
    while from.read_until(b'\n', &mut bytes)? > 0 {
        to.write_all(&bytes)?;
        to.flush()?;
        line(String::from_utf8_lossy(&bytes).trim_end());
        bytes.clear();
    }
    Ok(())
}

fn announce(command: &Command) {
    let mut shown = String::from("$");
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            shown += &format!(" {}={:?}", key.to_string_lossy(), value.to_string_lossy());
        }
    }
    shown += &format!(" {}", name(command));
    for arg in command.get_args() {
        shown += &format!(" {}", arg.to_string_lossy());
    }
    println!("{shown}");
}

/// The program's name without its directory: `cargo`, whichever toolchain's it is.
fn name(command: &Command) -> String {
    let program = Path::new(command.get_program());
    program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
}

fn not_started(command: &Command, error: &io::Error) -> String {
    format!("{} cannot be started: {error}", command.get_program().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_the_directory_of_the_workspace() {
        let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[workspace]"));
    }

    #[test]
    fn copy_lines_shows_lines_without_their_ends_and_the_last_without_newline() {
        let (mut copy, mut lines) = (Vec::new(), Vec::new());
        let output = b"one\r\n\ntwo";
        copy_lines(&output[..], &mut copy, &mut |line: &str| lines.push(line.to_owned())).unwrap();
        assert_eq!(copy, output);
        assert_eq!(lines, ["one", "", "two"]);
    }
}
