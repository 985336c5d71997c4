//! A WebSocket echo server: `cargo run --release --example echo`.

use sockeye::websocket::{Server, WebSocket};

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let echo = Server::new(|mut socket: WebSocket| async move {
        while let Some(message) = socket.recv().await {
            socket.send(message).ok();
        }
    });
    echo.listen("127.0.0.1:9001").await
}
