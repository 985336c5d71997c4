//! Plain WebSocket for other implementations to talk to, and a journal of what became of it.
//!
//! | path | does |
//! |---|---|
//! | `/echo` | sends every message back with its type |
//! | `/subprotocols` | speaks `chat.v2` and `chat.v1`; sends the one agreed on, then echoes |
//! | `/origin` | lets in pages of the origin that is given by `--origin`, and of no other; sends the request's, then echoes |
//! | `/pings` | pings every 20 ms, and echoes |
//! | `/impatient` | the same, but a peer that answers none for 50 ms is given up |
//! | `/commands` | does what text messages say: `text N` and `binary N` send a message of so many bytes, `count N` so many messages, `close CODE REASON` closes, `panic` panics |
//!
//! Each connection that has ended is a [`Line`] on standard output, as JSON.

use std::time::Duration;

use axum::Router;
use http::Request;
use http::header::ORIGIN;
use serde::Serialize;
use sockeye::websocket::{CloseCode, Options, Server, ServerBuilder, WebSocket, Why};
use sockeye_interop::{bind, stdin_closed};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let origin = std::env::args().skip_while(|argument| argument != "--origin").nth(1);
    let subprotocols = vec!["chat.v2".to_owned(), "chat.v1".to_owned()];
    let subprotocols = Options { subprotocols, ..Options::default() };
    let pings = Options { ping_interval: Some(Duration::from_millis(20)), ..Options::default() };
    let impatient = Options { pong_timeout: Duration::from_millis(50), ..pings.clone() };
    let router = Router::new()
        .merge(route("/echo", Server::builder(echo)))
        .merge(route("/subprotocols", Server::builder(tell_subprotocol).options(subprotocols)))
        .merge(route("/origin", Server::builder(tell_origin).origins(origin)))
        .merge(route("/pings", Server::builder(echo).options(pings)))
        .merge(route("/impatient", Server::builder(echo).options(impatient)))
        .merge(route("/commands", Server::builder(obey)));
    let listener = bind().await?;
    tokio::select! {
        served = axum::serve(listener, router) => served,
        () = stdin_closed() => std::process::exit(0),
    }
}

fn route(path: &str, builder: ServerBuilder) -> Router {
    Router::new().route_service(path, builder.build().service())
}

async fn echo(mut socket: WebSocket, request: Request<()>) {
    while let Some(message) = socket.recv().await {
        // A peer that is gone meanwhile needs no answer; so everywhere below.
        let _ = socket.send(message);
    }
    report(&socket, &request).await;
}

async fn tell_subprotocol(socket: WebSocket, request: Request<()>) {
    let _ = socket.send(socket.subprotocol().unwrap_or("none"));
    echo(socket, request).await;
}

async fn tell_origin(socket: WebSocket, request: Request<()>) {
    let origin = request.headers().get(ORIGIN).and_then(|origin| origin.to_str().ok());
    let _ = socket.send(origin.unwrap_or("none"));
    echo(socket, request).await;
}

async fn obey(mut socket: WebSocket, request: Request<()>) {
    while let Some(message) = socket.recv().await {
        let command = message.as_text().unwrap_or_default();
        let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
        let (number, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let number = number.parse().unwrap_or_default();
        match word {
            "text" => drop(socket.send("x".repeat(number))),
            "binary" => drop(socket.send((0..number).map(|i| i as u8).collect::<Vec<_>>())),
            "count" => {
                for i in 0..number {
                    let _ = socket.send_wait(i.to_string()).await;
                }
            }
            "close" => {
                let code = u16::try_from(number).ok().and_then(CloseCode::new);
                socket.close(code.unwrap_or(CloseCode::UNSUPPORTED), reason);
            }
            "panic" => panic!("as the peer wished"),
            _ => socket.close(CloseCode::UNSUPPORTED, "no such command"),
        }
    }
    report(&socket, &request).await;
}

/// A line of the journal: how a connection ended.
#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    /// Who or what ended it.
    why: &'static str,
    code: Option<u16>,
    reason: Option<&'a str>,
    /// Whether both sides had sent their close frames.
    clean: bool,
}

async fn report(socket: &WebSocket, request: &Request<()>) {
    let ending = socket.closed().await;
    let (why, status) = match &ending.why {
        Why::Peer(status) => {
            ("peer", status.as_ref().map(|(code, reason)| (code.get(), Some(&**reason))))
        }
        Why::Local(code, reason) => ("local", Some((code.get(), Some(&**reason)))),
        Why::Refused(error) => ("refused", Some((error.close_code().get(), None))),
        Why::Lost(_) => ("lost", None),
        Why::PongTimeout => ("pong timeout", None),
        Why::IdleTimeout => ("idle timeout", None),
        Why::SlowConsumer => ("slow consumer", None),
        _ => ("other", None),
    };
    let (code, reason) = status.map_or((None, None), |(code, reason)| (Some(code), reason));
    let path = request.uri().path();
    let line = Line { path, why, code, reason, clean: ending.clean };
    println!("{}", serde_json::to_string(&line).expect("a line is made of strings and numbers"));
}
