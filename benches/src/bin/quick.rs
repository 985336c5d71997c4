//! The orchestrator: servers and generators in turn, and the table at the end.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::{env, fs};

use clap::Parser;
use sockeye_benches::catalog::{SCENARIOS, SERVERS, Scenario, Server};
use sockeye_benches::proc;
use sockeye_benches::report::{self, Cell};
use sockeye_benches::workload::Measurement;

/// Measures servers side by side, in messages per CPU-second of the server, and prints a table.
///
/// Each measurement starts one server and one generator, each pinned to a core of its own. All
/// measurements of a round follow each other, then comes the next round, so that what disturbs
/// the machine disturbs all; the table shows medians. Takes about four minutes. It builds nothing:
/// run `cargo build --release --bins` here first. How to read the table: README.md beside Cargo.toml.
#[derive(Debug, Parser)]
#[command(name = "quick")]
struct Args {
    /// Only these servers, by the names in the table, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "SERVERS")]
    only: Vec<String>,
    /// Only these scenarios, by name (echo-1, echo-16, echo-16k, event-1, event-16, broadcast-1000,
    /// broadcast-1000x8, broadcast-10000, idle-websocket, idle-socketio) or by its first word.
    #[arg(long, value_delimiter = ',', value_name = "SCENARIOS")]
    scenarios: Vec<String>,
    /// Measurements of each scenario with each server.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The least length of a measured interval.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// The server's core and the generator's.
    #[arg(long, num_args = 2, value_names = ["SERVER", "GENERATOR"], default_values_t = [0, 1])]
    cores: Vec<usize>,
    /// Where the table is written too.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results/latest.md"))]
    output: PathBuf,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("quick: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether every cell has a result.
fn run(args: &Args) -> io::Result<bool> {
    let mut cells = chosen(args)?;
    let bench = Bench::new(args, &cells)?;
    for round in 1..=args.rounds {
        for (scenario, server, cell) in &mut cells {
            eprint!("round {round} of {}, {}, {}: ", args.rounds, scenario.name, server.name);
            match bench.measure(scenario, server) {
                Ok(measurement) => {
                    eprintln!("{:.0}", measurement.value());
                    cell.rounds.push(measurement);
                }
                Err(error) => {
                    eprintln!("failed: {error}");
                    cell.failed = true;
                }
            }
        }
    }
    let cells: Vec<Cell> = cells.into_iter().map(|(_, _, cell)| cell).collect();
    let report = format!("{}\n{}", bench.setting(args), report::table(&cells));
    println!("{report}");
    if let Some(directory) = args.output.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(&args.output, report)?;
    Ok(cells.iter().all(|cell| !cell.failed))
}

/// What is to be measured, in the order of a round.
fn chosen(args: &Args) -> io::Result<Vec<(&'static Scenario, &'static Server, Cell)>> {
    let is_chosen = |scenario: &Scenario, word: &str| {
        let rest = scenario.name.strip_prefix(word);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    if let Some(unknown) =
        args.only.iter().find(|name| SERVERS.iter().all(|server| server.name != **name))
    {
        return Err(io::Error::other(format!("no server is called {unknown}")));
    }
    if let Some(unknown) = args
        .scenarios
        .iter()
        .find(|word| !SCENARIOS.iter().any(|scenario| is_chosen(scenario, word)))
    {
        return Err(io::Error::other(format!("no scenario is called {unknown}")));
    }
    let scenarios = SCENARIOS.iter().filter(|scenario| {
        args.scenarios.is_empty() || args.scenarios.iter().any(|word| is_chosen(scenario, word))
    });
    let is_wanted =
        |server: &&Server| args.only.is_empty() || args.only.iter().any(|name| name == server.name);
    Ok(scenarios
        .flat_map(|scenario| {
            let able = |server: &&Server| server.serves.contains(&scenario.workload.kind);
            SERVERS.iter().filter(is_wanted).filter(able).map(move |server| {
                let (name, rounds) = (scenario.name, Vec::new());
                let cell = Cell { scenario: name, server: server.name, rounds, failed: false };
                (scenario, server, cell)
            })
        })
        .collect())
}

struct Bench {
    programs: PathBuf,
    server_core: usize,
    generator_core: usize,
    seconds: f64,
}

impl Bench {
    /// Checks all that can be known beforehand.
    fn new(args: &Args, cells: &[(&Scenario, &Server, Cell)]) -> io::Result<Self> {
        let (server_core, generator_core) = (args.cores[0], args.cores[1]);
        let allowed = proc::allowed_cores()?;
        if server_core == generator_core
            || !allowed.contains(&server_core)
            || !allowed.contains(&generator_core)
        {
            return Err(io::Error::other(format!(
                "server and generator need a core each; this process may use {allowed:?}"
            )));
        }
        let most = cells.iter().map(|(scenario, ..)| scenario.workload.clients).max().unwrap_or(0);
        let (limit, needed) = (proc::raise_open_files()?, most as u64 + 100);
        if limit < needed {
            return Err(io::Error::other(format!(
                "{needed} open files are needed and {limit} allowed: raise the hard limit, or \
                 leave scenarios out"
            )));
        }
        let programs = env::current_exe()?.parent().map(Path::to_owned).unwrap_or_default();
        let binaries = cells.iter().map(|(_, server, _)| server.binary);
        if let Some(missing) =
            binaries.chain(["load"]).find(|binary| !programs.join(binary).exists())
        {
            return Err(io::Error::other(format!(
                "{missing} is not in {}: build it with \
                 `cargo build --release --manifest-path benches/Cargo.toml --bins`",
                programs.display()
            )));
        }
        Ok(Self { programs, server_core, generator_core, seconds: args.seconds })
    }

    fn measure(&self, scenario: &Scenario, server: &Server) -> io::Result<Measurement> {
        proc::pin_to(self.server_core)?;
        let server = Running::start(&self.programs.join(server.binary))?;
        // Also this process, which only waits, and whatever the server does not share.
        proc::pin_to(self.generator_core)?;
        let output = Command::new(self.programs.join("load"))
            .arg(format!("--address={}", server.address))
            .arg(format!("--server={}", server.child.id()))
            .arg(format!("--seconds={}", self.seconds))
            .args(scenario.workload.to_args())
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(io::Error::other(format!("load: {}", output.status)));
        }
        Measurement::from_line(String::from_utf8_lossy(&output.stdout).trim())
    }

    /// What the table's numbers depend on besides the programs.
    fn setting(&self, args: &Args) -> String {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let model = processors
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or("unknown processor", |(_, model)| model);
        format!(
            "{model}, Linux {}, server on core {}, generator on core {}; median of {} rounds of \
             {} s; load average at the end {}\n",
            read("/proc/sys/kernel/osrelease").trim(),
            self.server_core,
            self.generator_core,
            args.rounds,
            args.seconds,
            read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "),
        )
    }
}

/// A server that listens; ended when dropped.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    fn start(program: &Path) -> io::Result<Self> {
        let mut child = Command::new(program)
            .args(["--port", "0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take();
        let mut running = Self { child, address: String::new() };
        let mut line = String::new();
        if let Some(stdout) = stdout {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        match line.trim().strip_prefix("listening ") {
            Some(address) => address.clone_into(&mut running.address),
            None => return Err(io::Error::other(format!("{} said {line:?}", program.display()))),
        }
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It would exit by itself when its standard input closes; a server that hangs would not.
        // An error means that it has exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
