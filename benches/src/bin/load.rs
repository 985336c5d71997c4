//! The load generator: one thread, one workload, one line of result. Started by `quick`.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use sockeye_benches::{drive, workload::Workload};

/// Loads one server and prints what it cost it.
#[derive(Debug, Parser)]
struct Args {
    /// Where the server listens.
    #[arg(long)]
    address: SocketAddr,
    /// The server's process id, whose CPU time and memory are measured.
    #[arg(long)]
    server: u32,
    /// The least length of the measured interval.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    #[command(flatten)]
    workload: Workload,
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let length = Duration::from_secs_f64(args.seconds);
    let server = args.server.to_string();
    println!("{}", drive::run(args.workload, args.address, &server, length)?.to_line());
    Ok(())
}
