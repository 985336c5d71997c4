//! The plain WebSocket API over TLS, from one end to the other.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sockeye_net::tls::{Acceptor, ClientConfig, Connector, ServerConfig};
use sockeye_net::websocket::{Client, ConnectError, Message, Server, WebSocket};
use tokio::net::TcpListener;

use crate::authority::{Authority, Issued};
use crate::{acceptor, connector, trusting, within};

async fn serve(acceptor: Acceptor) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let echo = Server::builder(|mut socket: WebSocket| async move {
        while let Some(message) = socket.recv().await {
            socket.send(message).ok();
        }
    });
    let server = echo.tls(acceptor).build();
    tokio::spawn(async move { server.serve_listener(listener).await });
    address
}

fn client(connector: Connector) -> Client {
    Client::new().tls(Arc::new(connector))
}

#[tokio::test]
async fn messages_of_every_size_come_back() {
    let authority = Authority::new();
    let address = serve(acceptor(&authority)).await;
    let url = format!("wss://localhost:{}/", address.port());
    let mut socket = within(client(connector(&authority)).connect(&url)).await.expect("open");
    for size in [0, 1, 125, 126, 65_535, 65_536, 900_000] {
        let message = Message::from(vec![7; size]);
        socket.send_wait(message.clone()).await.expect("open");
        assert_eq!(within(socket.recv()).await, Some(message));
    }
}

#[tokio::test]
async fn whoever_is_not_trusted_is_not_spoken_to() {
    let address = serve(acceptor(&Authority::new())).await;
    let url = format!("wss://localhost:{}/", address.port());
    let error = within(client(connector(&Authority::new())).connect(&url)).await;
    let error = error.expect_err("another authority");
    assert!(matches!(error, ConnectError::Tls { .. }), "{error}");
    // Nor does a client without TLS get anywhere.
    let plain = format!("ws://{address}/");
    let error = within(sockeye_net::websocket::connect(&plain)).await.expect_err("no TLS");
    assert!(matches!(error, ConnectError::Http(_)), "{error}");
}

#[tokio::test]
async fn a_certificate_is_replaced_under_open_connections() {
    let (old, new) = (Authority::new(), Authority::new());
    let directory = std::env::temp_dir().join(format!("sockeye-plain-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    let files = [directory.join("certificate.pem"), directory.join("key.pem")];
    let put = |issued: Issued| {
        fs::write(&files[0], issued.certificate).expect("written");
        fs::write(&files[1], issued.key).expect("written");
    };
    put(old.issue(&["localhost"]));
    let config = ServerConfig::from_pem_files(&files[0], &files[1]).expect("a pair");
    let config = config.check_every(Duration::from_millis(10));
    let address = serve(Acceptor::new(config).expect("a provider")).await;
    let url = format!("wss://localhost:{}/", address.port());
    let connect = async |authority: &Authority| {
        let config: ClientConfig = trusting(authority);
        within(client(Connector::new(config).expect("a provider")).connect(&url)).await
    };

    let mut before = connect(&old).await.expect("open");
    put(new.issue(&["localhost"]));
    // The listener watches by itself.
    let mut after = loop {
        match connect(&new).await {
            Ok(socket) => break socket,
            Err(ConnectError::Tls { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    for socket in [&mut before, &mut after] {
        socket.send("still here").expect("open");
        assert_eq!(within(socket.recv()).await, Some("still here".into()));
    }
    fs::remove_dir_all(&directory).expect("removed");
}
