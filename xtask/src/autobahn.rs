//! `cargo xtask autobahn`: the cases of Autobahn|Testsuite against our WebSocket, in both roles.
//!
//! The cases are run by `kosoku` from PyPI; the program under test is `sockeye-autobahn`
//! (`interop/server/src/autobahn/`). What the runner reports is judged in [`verdict`], and how many
//! cases there must be is known from [`cases`].

mod cases;
mod verdict;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Instant;

use clap::{Args, ValueEnum};

pub(crate) use cases::Selection;

use crate::metadata::Metadata;
use crate::process::{self, seconds};
use crate::programs::{Profile, Programs};
use crate::python::Environment;
use crate::tally::Tally;
use crate::tools::{self, Tool};
use verdict::Verdict;

/// The program under test, and the package that it is in.
const SUBJECT: &str = "sockeye-autobahn";
const PACKAGE: &str = "sockeye-interop";

/// What starts the runner.
const RUNNER: &str = "interop/autobahn/run-cases.py";

/// Cases that the runner may have under way at a time. More would only wait for a core.
const PARALLEL: &str = "4";

/// Which end of the connection is under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Our server
    Server,
    /// Our client
    Client,
}

/// The roles that are tested if none is asked for.
pub(crate) const ROLES: &[Role] = &[Role::Server, Role::Client];

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Test one role alone
    #[arg(long)]
    role: Option<Role>,
    /// The cases to run
    #[arg(long, default_value = "full")]
    selection: Selection,
    /// Run the cases of this name or pattern instead: 9.3.1, '12.*' (repeatable)
    #[arg(long, value_name = "CASE", conflicts_with = "selection")]
    cases: Vec<String>,
}

/// Runs the cases asked for, against the program as users build it.
///
/// # Errors
///
/// Something is missing, or a run could not be brought to its end.
pub(crate) fn run(options: &Options) -> Result<ExitCode, String> {
    let tools = tools::ready(&[Tool::Python])?;
    let metadata = Metadata::load()?;
    let environment = Environment::ready(tools.path(Tool::Python), &metadata)?;
    let reports = reports(&metadata);
    let patterns = match &*options.cases {
        [] => options.selection.patterns(),
        cases => cases.to_vec(),
    };
    let roles = options.role.map_or(ROLES.to_vec(), |role| vec![role]);
    let tally = run_roles(&environment, &reports, &roles, &patterns, Profile::Release)?;
    let Tally { passed, failed, .. } = tally;
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the quick selection in every role, as a part of the tests.
///
/// # Errors
///
/// A run could not be brought to its end.
pub(crate) fn quick(environment: &Environment, metadata: &Metadata) -> Result<Tally, String> {
    let patterns = Selection::Quick.patterns();
    run_roles(environment, &reports(metadata), ROLES, &patterns, Profile::Dev)
}

/// Where the reports go, a directory for each role.
fn reports(metadata: &Metadata) -> PathBuf {
    metadata.target_directory().join("autobahn")
}

fn run_roles(
    environment: &Environment,
    reports: &Path,
    roles: &[Role],
    patterns: &[String],
    profile: Profile,
) -> Result<Tally, String> {
    let wanted = cases::selected(patterns);
    if wanted.is_empty() {
        return Err(format!("there is no case {}", patterns.join(", ")));
    }
    let subject = Programs::build(&[PACKAGE], profile)?.path(SUBJECT)?;
    let mut sum = Tally::default();
    for role in roles {
        let report = reports.join(role.name());
        // What an earlier run has left must not be taken for this one's.
        if report.exists() {
            fs::remove_dir_all(&report)
                .map_err(|error| format!("{}: {error}", report.display()))?;
        }
        let runner = Runner { environment, report: &report, cases: &wanted };
        let start = Instant::now();
        match role {
            Role::Server => runner.test_server(&subject)?,
            Role::Client => runner.test_client(&subject)?,
        }
        let verdict = Verdict::read(&report, wanted.clone())?;
        print!("Autobahn, {}, {}: {}", role.name(), seconds(start.elapsed()), verdict.table());
        println!("    the whole report: {}", report.join("index.html").display());
        sum.add(verdict.tally(role.name()));
    }
    Ok(sum)
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

/// One run of the cases.
struct Runner<'a> {
    environment: &'a Environment,
    report: &'a Path,
    cases: &'a [String],
}

impl Runner<'_> {
    fn kosoku(&self, mode: &str) -> Command {
        let mut command = Command::new(self.environment.python());
        command.arg(process::root().join(RUNNER)).args(["-m", mode, "-o"]).arg(self.report);
        // By name, each of them: its own patterns match otherwise than ours.
        for case in self.cases {
            command.args(["-i", case]);
        }
        command
    }

    /// Our server, and the runner as its clients.
    fn test_server(&self, subject: &Path) -> Result<(), String> {
        let mut server = Command::new(subject);
        let server = server.arg("server").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = Running::start(server)?;
        let address = server.child.stdout.take().and_then(|lines| address(lines, "http://"));
        let address = address.ok_or_else(|| format!("{SUBJECT} did not say where it listens"))?;
        let mut runner = self.kosoku("fuzzingclient");
        let output = runner
            .args(["-p", PARALLEL, &address])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("kosoku cannot be started: {error}"))?;
        self.expect_report(&String::from_utf8_lossy(&output.stderr))
    }

    /// The runner as the server, and our client.
    fn test_client(&self, subject: &Path) -> Result<(), String> {
        let mut runner = self.kosoku("fuzzingserver");
        let runner = runner.arg("127.0.0.1:0").stdin(Stdio::null()).stderr(Stdio::piped());
        let mut runner = Running::start(runner.stdout(Stdio::null()))?;
        let mut lines = BufReader::new(runner.child.stderr.take().expect("it is piped"));
        let address = address(&mut lines, "ws://").ok_or("kosoku did not say where it listens")?;
        // Read to its end, so that the runner is never kept waiting.
        let rest = std::thread::spawn(move || {
            let mut rest = String::new();
            lines.read_to_string(&mut rest).map(|_| rest).unwrap_or_default()
        });
        process::run(Command::new(subject).args(["client", &format!("ws://{address}")]))?;
        // Our client has asked it to report, and then it ends.
        let ended = runner.child.wait();
        ended.map_err(|error| format!("kosoku cannot be waited for: {error}"))?;
        self.expect_report(&rest.join().unwrap_or_default())
    }

    /// Its exit code says nothing that the report does not say better; what it has complained about
    /// is of use only if there is none.
    fn expect_report(&self, complaints: &str) -> Result<(), String> {
        if self.report.join("index.json").exists() {
            return Ok(());
        }
        Err(format!("kosoku left no report: {}", complaints.trim_end()))
    }
}

/// A child that does not outlive this task.
struct Running {
    child: Child,
}

impl Running {
    fn start(command: &mut Command) -> Result<Self, String> {
        let child = command.spawn().map_err(|error| {
            format!("{} cannot be started: {error}", command.get_program().to_string_lossy())
        })?;
        Ok(Self { child })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address behind `scheme` in the first line that has one.
fn address(lines: impl Read, scheme: &str) -> Option<String> {
    let mut lines = BufReader::new(lines);
    let mut line = String::new();
    while lines.read_line(&mut line).is_ok_and(|count| count > 0) {
        if let Some((_, address)) = line.split_once(scheme) {
            return Some(address.trim_end().to_owned());
        }
        line.clear();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_the_first_line_that_has_one() {
        let lines = "a warning\nlistening on http://127.0.0.1:80\nhttp://127.0.0.1:81\n";
        assert_eq!(address(lines.as_bytes(), "http://").as_deref(), Some("127.0.0.1:80"));
        assert_eq!(address("listening\n".as_bytes(), "ws://"), None);
    }
}
