//! `sockeye serve`: a server with the chat and its page, from the first line on stdout to the last.

use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use sockeye::Server;
use tokio::net::TcpListener;
use tokio::runtime;

use crate::observe::{self, Later};
use crate::options::{Options, window};
use crate::signals::{Signal, Signals};
use crate::{Failure, chat, page, wants_colours};

/// What a process that was interrupted returns, by the shells' convention: 128 and the signal.
const INTERRUPTED: u8 = 130;

/// How many file descriptors must be free at the start.
///
/// The runtime, its signals and the listener take eight; without a few more for clients there is
/// nothing to serve.
const DESCRIPTORS: usize = 16;

/// The flags of `sockeye serve`.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// The name or address of the interface to listen on; 0.0.0.0 is all of them.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,

    /// The port to listen on; 0 is a free one.
    #[arg(long, default_value_t = 3000)]
    port: u16,

    /// Over how long clients leave, a few at a time, after SIGTERM: `30s`, `2m`; `0s` is all at once. Ctrl-C
    /// does not take that time, and neither does a second signal.
    #[arg(long, value_name = "TIME", value_parser = window, default_value = "10s")]
    drain: Duration,

    /// Serve Prometheus' metrics at this address, under /metrics. Without a value: 127.0.0.1:9464.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:9464")]
    metrics: Option<SocketAddr>,

    #[command(flatten)]
    options: Options,
}

/// Serves until a signal comes.
pub(crate) fn run(flags: &Serve) -> Result<ExitCode, Failure> {
    raise_descriptor_limit();
    require_descriptors().map_err(Failure::Start)?;
    let runtime =
        runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::Start)?;
    let outcome = runtime.block_on(serve(flags));
    // Whatever still runs by now has had its grace, or was not meant to have any.
    runtime.shutdown_background();
    outcome
}

async fn serve(flags: &Serve) -> Result<ExitCode, Failure> {
    let Serve { host, port, drain, metrics, options } = flags;
    let tls = options.tls().map_err(Failure::Tls)?;
    let listen = |error| Failure::Listen { address: address(host, *port), error };
    let listener = TcpListener::bind((host.as_str(), *port)).await.map_err(listen)?;
    let local = listener.local_addr().map_err(listen)?;
    let metrics = match *metrics {
        None => None,
        Some(address) => {
            let listen = |error| Failure::Listen { address: address.to_string(), error };
            let listener = TcpListener::bind(address).await.map_err(listen)?;
            let local = listener.local_addr().map_err(listen)?;
            Some((listener, local))
        }
    };
    // From here on, so that who reads the line may send a signal.
    let mut signals = Signals::new().map_err(Failure::Start)?;

    let (namespace, desk) = chat::open();
    let later = Later::default();
    let pages = page::router(&options.client()).merge(observe::readiness(&later));
    let builder = Server::builder().namespace(namespace).fallback(pages);
    let mut builder = options.apply(builder).measure_handlers(metrics.is_some());
    if let Some(recovery) = options.recovery().map_err(Failure::Recovery)? {
        builder = builder.connection_state_recovery(recovery);
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    if let Some(tls) = tls {
        builder = builder.tls(tls);
    }
    let io = builder.build();
    let _ = later.set(io.clone());
    let desk = tokio::spawn(desk.run(io.clone()));
    greet(scheme, local, &options.path);
    if let Some((listener, local)) = metrics {
        say(&format!("Prometheus finds its metrics at {}", observe::url(local)));
        tokio::spawn(observe::metrics(listener, io.clone()));
    }
    // Dropping it begins the closing: not before the connections are counted.
    let mut serving = pin!(io.serve_listener(listener));
    let signal = tokio::select! {
        served = &mut serving => return served.map_err(listen).map(|()| ExitCode::SUCCESS),
        _ = desk => return Err(Failure::Broken("the chat has ended by an error of its own")),
        signal = signals.recv() => signal,
    };

    let window = if signal == Signal::Terminate { *drain } else { Duration::ZERO };
    // By the time that the line is printed nobody is let in any more.
    let draining = io.drain(window);
    let over = if window.is_zero() { String::new() } else { format!(" over {window:?}") };
    say(&match io.clients() {
        0 => "Closing.".to_owned(),
        1 => format!("Closing 1 connection{over}."),
        clients => format!("Closing {clients} connections{over}."),
    });
    tokio::select! {
        // A signal that is there already counts, however quickly the rest would go.
        biased;
        _ = signals.recv() => Ok(ExitCode::from(INTERRUPTED)),
        // Clients that poll fetch their last words from the listener.
        (served, ()) = async { tokio::join!(serving, draining) } => {
            served.map_err(listen)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Lets the process hold as many connections as the operating system allows: the soft limit of
/// open files, commonly 1024, is there for programs that use `select`.
fn raise_descriptor_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::debug!(limit, "open files"),
        Err(error) => tracing::debug!(%error, "the limit of open files stays as it is"),
    }
}

/// Fails as long as there is somebody to tell: the runtime panics where it gets no descriptors for
/// its signal handling.
fn require_descriptors() -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        let held: io::Result<Vec<_>> =
            (0..DESCRIPTORS).map(|_| io::stderr().as_fd().try_clone_to_owned()).collect();
        drop(held?);
    }
    Ok(())
}

/// The host and port as they stand in a URL.
fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Says where the server is found.
fn greet(scheme: &str, local: SocketAddr, path: &str) {
    let everywhere = local.ip().is_unspecified();
    let url = format!("{scheme}://{}", reachable(local));
    let url = if io::stdout().is_terminal() && wants_colours() {
        format!("\x1b[1;36m{url}\x1b[0m")
    } else {
        url
    };
    let scope = if everywhere { " and all other addresses of this machine" } else { "" };
    say(&format!(
        "Sockeye is listening on {url}{scope} (press Ctrl-C to stop)\n\
         Open it in two tabs to chat. Socket.IO clients find the server there, too (path {path}/)."
    ));
}

/// An address that a browser on this machine can open.
fn reachable(local: SocketAddr) -> SocketAddr {
    let ip = match local.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, local.port())
}

/// Prints at once. That nobody reads is no reason to stop serving.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_host_is_written_in_brackets() {
        assert_eq!(address("::1", 80), "[::1]:80");
        assert_eq!(address("localhost", 80), "localhost:80");
    }

    #[test]
    fn all_interfaces_are_shown_as_an_address_that_opens() {
        let shown = |address: &str| reachable(address.parse().unwrap()).to_string();
        assert_eq!(shown("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(shown("[::]:80"), "[::1]:80");
        assert_eq!(shown("192.0.2.1:80"), "192.0.2.1:80");
    }
}
