//! The server of the README: a chat in twenty lines, for any Socket.IO client.

use sockeye::{Data, Namespace, Server, Socket};

async fn post(socket: Socket, Data(text): Data<String>) -> &'static str {
    socket.broadcast().emit("chat message", &text).ok();
    "posted" // the ack, if the client asked for one
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let chat = Namespace::new("/")
        .on_connect(|socket: Socket| async move {
            socket.join("lobby");
        })
        .on("chat message", post);
    let io = Server::builder().namespace(chat).build();
    io.listen("127.0.0.1:3000").await
}
