//! Sockeye's Socket.IO as its documentation uses it.

use std::io;

use sockeye::{Data, Namespace, Server, Socket};
use sockeye_benches::serving;

fn main() -> io::Result<()> {
    serving::run_on_tokio(|listener| async move {
        let root = Namespace::new("/").on("echo", echo).on("broadcast", broadcast);
        Server::builder().namespace(root).build().serve_listener(listener).await
    })
}

async fn echo(Data(text): Data<String>) -> String {
    text
}

async fn broadcast(socket: Socket, Data((payload, count)): Data<(String, usize)>) {
    for _ in 0..count {
        if let Err(error) = socket.everyone().emit("news", &payload) {
            eprintln!("sockeye-io: {error}");
        }
    }
}
