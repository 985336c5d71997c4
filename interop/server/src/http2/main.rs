//! HTTP/2 for other implementations to talk to, in both roles.
//!
//! | arguments | does |
//! |---|---|
//! | `socket.io` | a Socket.IO server whose page `/` has the client; the namespace `/` acks `echo` with its arguments |
//! | `websocket` | a server of plain WebSockets that says `METHOD VERSION COOKIE` of each request, and echoes |
//! | `client URL COUNT` | opens so many WebSockets to `URL` by HTTP/2, one after the other |
//!
//! The servers speak TLS with `--tls`, by a certificate of their own, and close when standard input does. Each
//! session that `socket.io` opens is a line `METHOD VERSION COOKIE` on standard output.
//!
//! The client sends `message N` on its WebSocket number N and prints what comes back, and for each that ends why it
//! did; it closes them when standard input does, and is done when all have ended.

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use http::{HeaderMap, Method, Request, Version};
use sockeye::tls::{Acceptor, Identity, ServerConfig};
use sockeye::websocket::dial::HttpVersion;
use sockeye::websocket::{self, Client, CloseCode, WebSocket, Why};
use sockeye::{Ack, Args, Data, Namespace, Server};
use sockeye_interop::{bind, stdin_closed};

type Failure = Box<dyn std::error::Error>;

const PAGE: &str =
    "<!doctype html><title>page</title><script src=\"/socket.io/socket.io.js\"></script>";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let tls =
        if arguments.iter().any(|argument| argument == "--tls") { Some(acceptor()?) } else { None };
    match arguments.first().map(String::as_str) {
        Some("socket.io") => serve_socket_io(tls).await,
        Some("websocket") => serve_websockets(tls).await,
        Some("client") => connect(&arguments[1], arguments[2].parse()?).await,
        _ => Err("socket.io, websocket or client?".into()),
    }?;
    // The thread that reads standard input cannot be stopped.
    std::process::exit(0);
}

/// With a certificate that nobody vouches for.
fn acceptor() -> Result<Acceptor, Failure> {
    let made =
        rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes())?;
    Ok(Acceptor::new(ServerConfig::new(identity))?)
}

async fn serve_socket_io(tls: Option<Acceptor>) -> Result<(), Failure> {
    let echo = |ack: Ack, Data(args): Data<Args>| ack.send(args);
    let mut builder = Server::builder()
        .namespace(Namespace::new("/").on("echo", echo))
        .fallback(Router::new().route("/", get(|| async { Html(PAGE) })))
        .allow_request(|request| {
            println!("{}", line(&request.method, request.version, &request.headers));
            std::future::ready(Ok::<_, &str>(()))
        });
    if let Some(tls) = tls {
        builder = builder.tls(tls);
    }
    let io = builder.build();
    let listener = bind().await?;
    tokio::select! {
        served = io.serve_listener(listener) => served?,
        () = stdin_closed() => io.close().await,
    }
    Ok(())
}

async fn serve_websockets(tls: Option<Acceptor>) -> Result<(), Failure> {
    let tell = |mut socket: WebSocket, request: Request<()>| async move {
        let line = line(request.method(), request.version(), request.headers());
        // A peer that is gone meanwhile needs no answer.
        let _ = socket.send(line);
        while let Some(message) = socket.recv().await {
            let _ = socket.send_wait(message).await;
        }
    };
    let mut builder = websocket::Server::builder(tell);
    if let Some(tls) = tls {
        builder = builder.tls(tls);
    }
    let server = builder.build();
    let listener = bind().await?;
    let serving = server.serve_listener(listener);
    tokio::pin!(serving);
    tokio::select! {
        served = &mut serving => served?,
        () = stdin_closed() => server.close().await,
    }
    Ok(())
}

fn line(method: &Method, version: Version, headers: &HeaderMap) -> String {
    let cookie = headers.get("cookie").and_then(|cookie| cookie.to_str().ok());
    format!("{method} {version:?} {}", cookie.unwrap_or("-"))
}

async fn connect(url: &str, count: usize) -> Result<(), Failure> {
    let client = Client::new().http(HttpVersion::Http2);
    let mut sockets = Vec::new();
    for number in 0..count {
        let mut socket = client.connect(url).await?;
        socket.send(format!("message {number}"))?;
        let back = socket.recv().await.ok_or("no answer")?;
        println!("{}", back.as_text().unwrap_or("binary"));
        sockets.push(socket);
    }
    let senders: Vec<_> = sockets.iter().map(|socket| socket.sender()).collect();
    tokio::spawn(async move {
        stdin_closed().await;
        for sender in senders {
            sender.close(CloseCode::NORMAL, "");
        }
    });
    for socket in sockets {
        let ending = socket.closed().await;
        match &ending.why {
            Why::Peer(Some((code, _))) => println!("peer {}", code.get()),
            Why::Local(code, _) => println!("local {}", code.get()),
            why => println!("{why:?}"),
        }
    }
    Ok(())
}
