//! `sockeye`: the command-line tool, on top of the whole stack. It is written against the facade
//! crate alone, as any user's program is.
//!
//! - here: flags, and the one line on stderr that a failure is;
//! - [`log`]: what is logged;
//! - [`serve`]: listening, the lines on stdout, and the end;
//! - [`options`]: the flags that are options of the server;
//! - [`observe`]: what operators look at;
//! - [`page`]: the chat page's files;
//! - [`chat`]: the chat itself, by `page/PROTOCOL.md`.

mod chat;
mod log;
mod observe;
mod options;
mod page;
mod serve;
mod signals;

use std::fmt;
use std::io;
use std::process::ExitCode;

use clap::{ArgAction, Parser, Subcommand};
use sockeye::tls::IdentityError;

use crate::serve::Serve;

/// A Socket.IO server that every official client connects to unchanged.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Log more: -v what happens, -vv details. The variable RUST_LOG, if set, decides instead; DEBUG adds
    /// scopes of the official server: DEBUG=socket.io*,engine.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a Socket.IO server with a chat page, ready to try.
    Serve(Serve),
}

/// Why the tool gives up. It is told in one line.
#[derive(Debug)]
enum Failure {
    /// `RUST_LOG` is no filter.
    LogFilter(String),
    /// The operating system does not let the process begin: no file descriptors, no threads.
    Start(io::Error),
    /// The certificate and its key are not to be used.
    Tls(IdentityError),
    /// What is kept for recovery cannot be read or written.
    Recovery(io::Error),
    /// The address cannot be listened on.
    Listen { address: String, error: io::Error },
    /// Something that runs as long as the server is over before it.
    Broken(&'static str),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = log::start(cli.verbose).and_then(|()| match cli.command {
        Command::Serve(serve) => serve::run(&serve),
    });
    outcome.unwrap_or_else(|failure| {
        eprintln!("error: {failure}");
        ExitCode::FAILURE
    })
}

/// <https://no-color.org>: any value but the empty one means no.
fn wants_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LogFilter(error) => write!(f, "RUST_LOG is not a filter: {error}"),
            Self::Tls(error) => write!(f, "no TLS: {error}"),
            Self::Recovery(error) => write!(f, "no recovery: {error}"),
            Self::Start(error) => write!(f, "cannot start: {error}"),
            Self::Listen { address, error } => {
                write!(f, "cannot listen on {address}: ")?;
                match error.kind() {
                    io::ErrorKind::AddrInUse => {
                        f.write_str("the port is in use (--port chooses another, 0 a free one)")
                    }
                    io::ErrorKind::AddrNotAvailable => {
                        f.write_str("this machine does not have that address")
                    }
                    io::ErrorKind::PermissionDenied => {
                        f.write_str("permission denied (ports below 1024 usually need privileges)")
                    }
                    _ => error.fmt(f),
                }
            }
            Self::Broken(what) => f.write_str(what),
        }
    }
}
