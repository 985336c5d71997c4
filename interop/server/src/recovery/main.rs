//! A server whose clients can be recovered: the twin of `interop/recovery/node-server.mjs`.
//!
//! `sockeye-recovery-server [--port PORT] [--disk DIRECTORY] [--run NUMBER]`. With a run, it emits the events
//! `["n", run, 0]`, `["n", run, 1]` and so on to everyone, as long as it lives, and prints each of them when it
//! has been emitted: what a killed server has printed, its clients must come to hear.

use std::error::Error;
use std::io::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sockeye::{
    Args, Data, MsgpackParser, Namespace, Recovery, Refusal, Server, Socket, State, Value,
};
use sockeye_interop::{bind, stdin_closed};

/// Whom an event is for.
#[derive(Deserialize)]
struct Target {
    r#in: String,
    #[serde(default)]
    to: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
    #[serde(default)]
    volatile: bool,
}

/// What a socket knows of itself.
#[derive(Serialize)]
struct Known {
    id: String,
    recovered: bool,
    rooms: Vec<Box<str>>,
    kept: Option<Value>,
}

/// The driver emits to the namespace `/` of the server, which is there once it is built.
#[derive(Clone, Default)]
struct Io(std::sync::Arc<std::sync::OnceLock<Server>>);

fn root() -> Namespace {
    let root = Namespace::new("/").middleware(|Data(auth): Data<Option<Json>>| {
        let refuse = auth.is_some_and(|auth| auth["refuse"] == true);
        if refuse { Err(Refusal::new("refused")) } else { Ok(()) }
    });
    with_handlers(root)
}

fn with_handlers(namespace: Namespace) -> Namespace {
    namespace
        .on("join", |socket: Socket, Data(room): Data<String>| {
            socket.join(&room);
        })
        .on("leave", |socket: Socket, Data(room): Data<String>| {
            socket.leave(&room);
        })
        .on("keep", |socket: Socket, Data(data): Data<Value>| {
            socket.set_data(&data).map_err(|error| error.to_string())
        })
        .on("state", |socket: Socket| {
            let mut rooms = socket.rooms();
            rooms.sort();
            let kept = socket.data::<Value>();
            let (id, recovered) = (socket.id().to_owned(), socket.recovered());
            Known { id, recovered, rooms, kept }
        })
}

fn driver(io: Io) -> Namespace {
    Namespace::new("/driver")
        .state(io)
        .on("emit", |State(io): State<Io>, Data((target, args)): Data<(Target, Vec<Value>)>| {
            let (name, args) = split(args)?;
            let io = io.0.get().and_then(|io| io.of(&target.r#in)).ok_or("no such namespace")?;
            let io = io.to(target.to).except(target.except);
            let io = if target.volatile { io.volatile() } else { io };
            io.emit(&name, args).map_err(|error| error.to_string())
        })
        .on("is there", |State(io): State<Io>, Data((path, id)): Data<(String, String)>| {
            let io = io.0.get().and_then(|io| io.of(&path));
            io.is_some_and(|io| !io.to(id).sockets().is_empty())
        })
        .on("ask", |State(io): State<Io>, Data((id, args)): Data<(String, Vec<Value>)>| {
            let (name, args) = split(args)?;
            let io = io.0.get().and_then(|io| io.of("/")).ok_or("no server")?;
            let socket = io.to(id).sockets().pop().ok_or("no such socket")?;
            drop(socket.emit_with_ack::<()>(&name, args));
            Ok::<_, String>(())
        })
}

fn split(mut args: Vec<Value>) -> Result<(String, Args), String> {
    let rest = args.split_off(1.min(args.len()));
    match args.pop() {
        Some(Value::String(name)) => Ok((name, Args(rest))),
        other => Err(format!("no name, but {other:?}")),
    }
}

/// Emits the numbers of a run, some thousand a second.
fn count(io: &Server, run: u64) {
    let mut out = std::io::stdout().lock();
    for n in 0_u64.. {
        if io.emit("n", (run, n)).is_err() || writeln!(out, "{run} {n}").is_err() {
            return;
        }
        if n % 8 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let recovery = match argument("--disk") {
        Some(directory) => Recovery::disk(directory)?,
        None => Recovery::memory(),
    };
    let cell = Io::default();
    let io = Server::builder()
        .namespace(root())
        .namespace(with_handlers(Namespace::matching("/room-{number}")))
        .namespace(driver(cell.clone()))
        .also_parser(MsgpackParser)
        .connection_state_recovery(recovery)
        .build();
    let _ = cell.0.set(io.clone());
    let listener = bind().await?;
    if let Some(run) = argument("--run") {
        let (io, run) = (io.clone(), run.parse()?);
        std::thread::spawn(move || count(&io, run));
    }
    tokio::select! {
        served = io.serve_listener(listener) => served?,
        () = stdin_closed() => {
            io.close().await;
            // The thread that reads standard input cannot be stopped.
            std::process::exit(0);
        }
    }
    Ok(())
}
