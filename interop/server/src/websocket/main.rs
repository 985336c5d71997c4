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
//! Each connection that has ended is a line on standard output, as JSON (`plain.rs`).

use std::time::Duration;

use axum::Router;
use http::Request;
use http::header::ORIGIN;
use sockeye::websocket::{Options, Server, ServerBuilder, WebSocket};
use sockeye_interop::{bind, plain, stdin_closed};

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
    plain::echo(&mut socket).await;
    plain::report(&socket, request.uri().path()).await;
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
    plain::obey(&mut socket).await;
    plain::report(&socket, request.uri().path()).await;
}
