//! The program that Autobahn's cases are run against: an echo, as plain as the API allows.
//!
//! `sockeye-autobahn server` listens on a free port and says which, until standard input ends.

use sockeye::websocket::{Limits, Options, Server, WebSocket};
use sockeye_interop::{bind, stdin_closed};

/// The cases' largest message: 9.1.6 and 9.2.6.
const LARGEST_MESSAGE: usize = 16 * 1024 * 1024;

/// The cases' most fragments, by far above the default limit: 9.3.1 and 9.4.1.
const MOST_FRAGMENTS: u32 = 65_536;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("server") => serve().await,
        _ => {
            eprintln!("usage: sockeye-autobahn server [--port PORT]");
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

/// Sends every message back with its type, until the connection is over.
async fn echo(mut socket: WebSocket) {
    while let Some(message) = socket.recv().await {
        // A peer that is gone meanwhile needs no answer.
        let _ = socket.send(message);
    }
}
