//! Sockeye's plain WebSocket API: the README's echo server.

use std::io;

use sockeye_benches::serving;
use sockeye_net::websocket::{Server, WebSocket};

fn main() -> io::Result<()> {
    serving::run_on_tokio(|listener| async move {
        let echo = Server::new(|mut socket: WebSocket| async move {
            while let Some(message) = socket.recv().await {
                socket.send(message).ok();
            }
        });
        echo.serve_listener(listener).await
    })
}
