//! Raw Engine.IO in many configurations: the twin of `interop/engine/node-server.mjs`, where every path
//! and message is described.

mod options;

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use sockeye::engine::{Connection, Engine, EngineBuilder, Message, Sender};
use sockeye_interop::{bind, stdin_closed};
use tokio::net::TcpListener;
use tower_service::Service;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let all = options::all().into_iter();
    let engines: Vec<_> = all.map(|(path, builder)| engine(path, builder)).collect();
    let listener = bind().await?;
    tokio::select! {
        served = serve_all(listener, engines.into()) => served,
        () = stdin_closed() => std::process::exit(0),
    }
}

/// hyper itself, with every engine as a tower service behind it.
async fn serve_all(listener: TcpListener, engines: Arc<[Engine]>) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let engines = engines.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let path = request.uri().path();
            let found = engines.iter().find(|engine| is_below(path, engine.path()));
            // Called at once, and not when the future is first polled: see `Engine::service`.
            let answering = found.map(|engine| engine.service().call(request));
            async {
                match answering {
                    Some(answering) => answering.await,
                    None => {
                        let mut response = Response::new(Default::default());
                        *response.status_mut() = StatusCode::NOT_FOUND;
                        Ok(response)
                    }
                }
            }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection.with_upgrades());
    }
}

fn is_below(path: &str, base: &str) -> bool {
    path.strip_prefix(base).is_some_and(|rest| rest.starts_with('/'))
}

fn engine(path: &'static str, builder: EngineBuilder) -> Engine {
    builder
        .path(path)
        .on_connection_error(move |error| {
            write(&Line::ConnectionError {
                path,
                tag: error.request.query("tag"),
                code: error.refusal.code(),
                message: error.refusal.message(),
                name: error.refusal.context(),
            });
        })
        .build(move |connection| serve(path, connection))
}

/// A line of the journal.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line<'a> {
    Connection {
        path: &'a str,
        tag: Option<String>,
        sid: &'a str,
        transport: &'a str,
    },
    Message {
        path: &'a str,
        tag: Option<String>,
        sid: &'a str,
        data: String,
    },
    Upgrade {
        path: &'a str,
        tag: Option<String>,
        sid: &'a str,
    },
    Told {
        path: &'a str,
        tag: Option<String>,
        sid: &'a str,
        name: &'a str,
        packet: Option<String>,
    },
    Close {
        path: &'a str,
        tag: Option<String>,
        sid: &'a str,
        reason: &'a str,
    },
    ConnectionError {
        path: &'a str,
        tag: Option<String>,
        code: u8,
        message: &'a str,
        name: Option<&'a str>,
    },
}

fn write(line: &Line<'_>) {
    println!("{}", serde_json::to_string(line).expect("a line is made of strings and numbers"));
}

async fn serve(path: &'static str, mut connection: Connection) {
    let sender = connection.sender().clone();
    let (id, transport) = (sender.id(), sender.transport());
    let (sid, tag) = (id.as_str(), || sender.handshake().query("tag"));
    write(&Line::Connection { path, tag: tag(), sid, transport: transport.as_str() });
    let mut upgradable = transport.as_str() == "polling";
    loop {
        let message = tokio::select! {
            biased;
            upgraded = sender.upgraded(), if upgradable => {
                upgradable = false;
                if upgraded {
                    write(&Line::Upgrade { path, tag: tag(), sid });
                }
                continue;
            }
            message = connection.recv() => message,
        };
        let Some(message) = message else { break };
        let data = shown(&message);
        handle(&sender, message);
        write(&Line::Message { path, tag: tag(), sid, data });
    }
    let reason = sender.close_reason().map_or("", |reason| reason.as_str());
    write(&Line::Close { path, tag: tag(), sid, reason });
}

fn shown(message: &Message) -> String {
    match message {
        Message::Text(text) => text.clone(),
        Message::Binary(bytes) => hexadecimal(bytes),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold("binary:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn handle(sender: &Sender, message: Message) {
    let command = match &message {
        Message::Text(text) => text.clone(),
        Message::Binary(_) => String::new(),
    };
    let (command, close) = match command.strip_suffix(" and close") {
        Some(command) => (command, true),
        None => (&*command, false),
    };
    let sent = match command.split_once(' ').map(|(word, n)| (word, n.parse::<usize>())) {
        Some(("send", Ok(n))) => (0..n).try_for_each(|i| sender.send(i.to_string())),
        Some(("big", Ok(n))) => sender.send("x".repeat(n)),
        Some(("plain", Ok(n))) => sender.send_uncompressed("x".repeat(n)),
        Some(("binary", Ok(n))) => sender.send((0..n).map(|i| i as u8).collect::<Vec<_>>()),
        _ if command == "close" => {
            sender.close();
            Ok(())
        }
        _ => sender.send(message),
    };
    if close {
        sender.close();
    }
    // A client that is gone meanwhile needs no answer.
    let _ = sent;
}
