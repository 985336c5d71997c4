//! The program as a child process.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use crate::DEADLINE;

/// A command that runs the program.
pub(crate) fn sockeye(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
    command.args(args).env_remove("RUST_LOG");
    command
}

/// As [`sockeye`], with at most so many file descriptors.
pub(crate) fn sockeye_with_descriptors(descriptors: u32, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"")])
        .arg(env!("CARGO_BIN_EXE_sockeye"))
        .args(args)
        .env_remove("RUST_LOG");
    command
}

/// The running program, which is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = lines(child.stdout.take().unwrap());
        let stderr = lines(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    /// Starts `sockeye serve` on a free port.
    pub(crate) fn serve() -> (Self, SocketAddr) {
        let process = Self::start(sockeye(&["serve", "--port", "0"]));
        let address = process.address();
        (process, address)
    }

    /// The address on the first line.
    pub(crate) fn address(&self) -> SocketAddr {
        let line = self.stdout();
        let (_, rest) = line.split_once("://").unwrap();
        rest.split(' ').next().unwrap().parse().unwrap()
    }

    /// The next line on stdout.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.recv_timeout(DEADLINE).unwrap()
    }

    /// The next line on stderr.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.recv_timeout(DEADLINE).unwrap()
    }

    /// Sends a signal: `INT`, `TERM`.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end.
    pub(crate) fn end(&mut self) -> End {
        // The end of its output is the end of the process, as nobody else holds the pipes.
        let stdout = until_closed(&self.stdout);
        let stderr = until_closed(&self.stderr);
        End { code: self.child.wait().unwrap().code(), stdout, stderr }
    }
}

/// How a process ended: its exit code, and the lines that had not been read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: Vec<String>,
}

fn until_closed(lines: &Receiver<String>) -> Vec<String> {
    let deadline = Instant::now() + DEADLINE;
    let mut read = Vec::new();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => read.push(line),
            Err(RecvTimeoutError::Disconnected) => return read,
            Err(RecvTimeoutError::Timeout) => panic!("the process does not end; it said {read:?}"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a stream, read by a thread that ends with it.
fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
