//! The scenario's server side on Sockeye: the twin of `interop/scenario/node-server.mjs`, where
//! every event is described.
//!
//! With `--deflate` it agrees to permessage-deflate, and compresses every message. `--connect-timeout` has milliseconds.
//! With `--adopt` all its clients are those of a raw engine, without the files of the server's own. With `--digits`
//! numbers that JavaScript would round are strings on the wire, such as `"9007199254740993n"`.
//!
//! It prints `listening on http://127.0.0.1:PORT` and exits when its standard input closes.

mod admin;
mod features;
mod root;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use sockeye::engine::Engine;
use sockeye::{
    Args, Data, JsonParser, MsgpackParser, Namespace, Server, ServerBuilder, Socket, Value, deflate,
};
use sockeye_interop::{bind, stdin_closed};
use tokio::net::TcpListener;

const TUTORIAL: &str = include_str!("../../../tutorial/index.html");

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let running = Running::default();
    let io = builder()
        .also_parser(MsgpackParser)
        .also_parser(JsonParser)
        .allow_eio3(true)
        .namespace(root::namespace())
        .namespace(admin::namespace())
        .namespace(slow())
        .namespace(Namespace::new("/имя").on("echo", echo))
        .namespace(features::lab(running.clone()))
        .namespace(features::crowd(running.clone()))
        .namespace(features::guarded())
        .namespace(features::member())
        .fallback(Router::new().route("/tutorial/", get(|| async { Html(TUTORIAL) })))
        .per_message_deflate(deflate())
        .connect_timeout(connect_timeout())
        .build();
    running.set(io.clone()).ok();
    let listener = bind().await?;
    tokio::select! {
        served = serve(&io, listener) => served,
        () = stdin_closed() => {
            io.close().await;
            // The thread that reads standard input cannot be stopped.
            std::process::exit(0);
        }
    }
}

/// With `--digits`, the twin of the parser in `interop/parsers/digits.test.mjs`.
fn builder() -> ServerBuilder {
    let builder = Server::builder();
    if !std::env::args().any(|argument| argument == "--digits") {
        return builder;
    }
    let replacer = |_: &str, value: Value| match value.as_u64() {
        Some(number) if number > (1 << 53) => Some(format!("{number}n").into()),
        _ => Some(value),
    };
    let reviver = |_: &str, value: Value| {
        let digits = value.as_str().and_then(|text| text.strip_suffix('n'));
        let number = digits.and_then(|digits| digits.parse::<u64>().ok());
        Some(number.map_or(value, Value::from))
    };
    builder.replacer(replacer).reviver(reviver)
}

async fn serve(io: &Server, listener: TcpListener) -> std::io::Result<()> {
    if !std::env::args().any(|argument| argument == "--adopt") {
        return io.serve_listener(listener).await;
    }
    let io = io.clone();
    let engine = Engine::builder().path("/socket.io").allow_eio3(true).build(move |connection| {
        io.adopt(connection);
        std::future::ready(())
    });
    engine.serve_listener(listener).await
}

/// The server, once it is built: for handlers that ask about all of it.
type Running = Arc<OnceLock<Server>>;

/// How long a client may take to enter a namespace.
fn connect_timeout() -> Duration {
    let mut arguments =
        std::env::args().skip_while(|argument| argument != "--connect-timeout").skip(1);
    let milliseconds = arguments.next().and_then(|milliseconds| milliseconds.parse().ok());
    Duration::from_millis(milliseconds.unwrap_or(45_000))
}

/// Compression of every message, if it was asked for.
fn deflate() -> Option<deflate::Config> {
    std::env::args().any(|argument| argument == "--deflate").then(|| {
        let mut config = deflate::Config::default();
        config.compression.threshold = 0;
        config
    })
}

/// Its connect handler takes 50 ms.
fn slow() -> Namespace {
    Namespace::new("/slow")
        .on_connect(|socket: Socket| async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            socket.emit("ready", ()).ok();
        })
        .on("ping", || "pong")
}

/// Acks with the same arguments, or emits them back where no ack is wanted.
fn echo(socket: Socket, ack: sockeye::Ack, Data(args): Data<Args>) {
    if ack.is_wanted() {
        ack.send(args);
    } else {
        socket.emit("echo", args).ok();
    }
}

fn whoami(socket: Socket) -> String {
    socket.id().to_owned()
}

fn drop_me(socket: Socket, Data(close): Data<Option<bool>>) {
    if close.unwrap_or(false) {
        socket.disconnect_client();
    } else {
        socket.disconnect();
    }
}
