//! The program that Autobahn's cases are run against: an echo, as plain as the API allows.
//!
//! `sockeye-autobahn server` listens on a free port and says which, until standard input ends.
//! `sockeye-autobahn client URL` goes through the cases of the server at `URL`, one after the other, and
//! has it write its report.

use std::error::Error;

use sockeye::websocket::{Client, Limits, Options, Server, WebSocket};
use sockeye_interop::{bind, stdin_closed};

/// The cases' largest message: 9.1.6 and 9.2.6.
const LARGEST_MESSAGE: usize = 16 * 1024 * 1024;

/// The cases' most fragments, by far above the default limit: 9.3.1 and 9.4.1.
const MOST_FRAGMENTS: u32 = 65_536;

/// The name by which the report calls our client.
const AGENT: &str = "Sockeye";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        ["server", ..] => Ok(serve().await?),
        ["client", url] => go_through_cases(url).await,
        _ => {
            eprintln!(
                "usage: sockeye-autobahn server [--port PORT]\n       sockeye-autobahn client URL"
            );
            std::process::exit(2);
        }
    }
}

/// Room for what the cases send, where the defaults would rightly refuse it.
fn options() -> Options {
    let limits = Limits {
        max_message_size: LARGEST_MESSAGE,
        max_fragments: MOST_FRAGMENTS,
        ..Limits::default()
    };
    Options { limits, max_buffered_bytes: 2 * LARGEST_MESSAGE, ..Options::default() }
}

async fn serve() -> std::io::Result<()> {
    let server = Server::builder(echo).options(options()).build();
    let listener = bind().await?;
    tokio::select! {
        served = server.serve_listener(listener) => served,
        () = stdin_closed() => std::process::exit(0),
    }
}

async fn go_through_cases(url: &str) -> Result<(), Box<dyn Error>> {
    let client = Client::new().options(options());
    let mut socket = client.connect(&format!("{url}/getCaseCount")).await?;
    let count = socket.recv().await.ok_or("the server does not say how many cases it has")?;
    let count: u32 = count.as_text().ok_or("the number of cases is no text")?.parse()?;
    drop(socket);
    for case in 1..=count {
        let socket = client.connect(&format!("{url}/runCase?case={case}&agent={AGENT}")).await?;
        let sender = socket.sender();
        // In this task, which is not the connection's.
        echo(socket).await;
        sender.closed().await;
    }
    let socket = client.connect(&format!("{url}/updateReports?agent={AGENT}")).await?;
    socket.closed().await;
    Ok(())
}

/// Sends every message back with its type, until the connection is over.
async fn echo(mut socket: WebSocket) {
    while let Some(message) = socket.recv().await {
        // A peer that is gone meanwhile needs no answer.
        let _ = socket.send(message);
    }
}
