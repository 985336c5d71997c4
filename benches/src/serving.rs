//! What every server program does alike: `--port`, the first line, the end.
//!
//! A server binds 127.0.0.1, prints `listening 127.0.0.1:PORT` as its first line and exits when its
//! standard input closes, so none is left behind when the orchestrator is stopped. It need not pin
//! itself: it inherits its core.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener};

use clap::Parser;

/// A server of the quick benchmark. Exits when its standard input closes.
#[derive(Debug, Parser)]
struct Args {
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

/// Reads the command line, binds and announces the address. The listener blocks.
pub fn listen() -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, Args::parse().port))?;
    println!("listening {}", listener.local_addr()?);
    io::stdout().flush()?;
    std::thread::spawn(|| {
        // Whatever comes is of no interest, only that nothing can come any more.
        let _ = io::stdin().lock().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    Ok(listener)
}

/// Runs `serve` on a current-thread tokio runtime with the announced listener.
pub fn run_on_tokio<F>(serve: impl FnOnce(tokio::net::TcpListener) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>>,
{
    let listener = listen()?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { serve(tokio::net::TcpListener::from_std(listener)?).await })
}
