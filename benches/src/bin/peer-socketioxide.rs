//! socketioxide as its documentation uses it: a layer of an axum router, handlers with extractors,
//! all settings as they come.

use std::io;

use axum::serve::ListenerExt;
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};
use sockeye_benches::serving;

fn main() -> io::Result<()> {
    serving::run_on_tokio(|listener| async move {
        let (layer, io) = SocketIo::new_layer();
        io.ns("/", async |socket: SocketRef| {
            socket.on("echo", echo);
            socket.on("broadcast", broadcast);
        });
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                eprintln!("peer-socketioxide: {error}");
            }
        });
        axum::serve(listener, axum::Router::new().layer(layer)).await
    })
}

async fn echo(Data(text): Data<String>, ack: AckSender) {
    // An error here is a client that has gone.
    ack.send(&text).ok();
}

async fn broadcast(io: SocketIo, Data((payload, count)): Data<(String, usize)>) {
    for _ in 0..count {
        if let Err(error) = io.emit("news", &payload).await {
            eprintln!("peer-socketioxide: {error}");
        }
    }
}
