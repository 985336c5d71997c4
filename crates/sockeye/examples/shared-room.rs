//! A room for everybody: browsers that speak Socket.IO, and programs that have only a WebSocket.
//!
//! `cargo run --release --example shared-room`, then open http://127.0.0.1:3000, and beside it run
//! `python3 crates/sockeye/examples/shared_room.py` (it needs `pip install websockets`).

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use sockeye::{Args, Data, Namespace, Server, Socket};
use tokio::net::TcpListener;

/// Whatever it is made of, binary included, it goes to everybody else.
fn post(socket: Socket, Data(message): Data<Args>) -> &'static str {
    socket.broadcast().to("room").emit("chat message", message).ok();
    "posted"
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let room = Namespace::new("/")
        .on_connect(|socket: Socket| async move {
            socket.join("room");
        })
        .on("chat message", post);
    let io = Server::builder().namespace(room).plain("/plain", "/").build();
    let page = get(|| async { Html(include_str!("shared-room.html")) });
    let app = Router::new().route("/", page).merge(io.router());

    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(3000);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("a room at http://{0}, and at ws://{0}/plain", listener.local_addr()?);
    axum::serve(listener, app).await
}
