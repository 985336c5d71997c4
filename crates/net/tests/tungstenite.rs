//! tungstenite, which is not ours, as the client of our server. The traits that it needs are in scope for our
//! WebSockets, too, and change nothing for them.

#[path = "common/bulk.rs"]
mod bulk;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderName, HeaderValue, StatusCode};
use sockeye_net::websocket::{CloseCode, Ending, Options, Server, ServerBuilder, WebSocket, Why};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Starts a server on a free port.
async fn serve(builder: ServerBuilder) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let server = builder.build();
    tokio::spawn(async move { server.serve_listener(listener).await });
    address
}

async fn echo(mut socket: WebSocket) {
    while let Some(message) = socket.recv().await {
        socket.send(message).ok();
    }
}

/// An echo, and how its connections ended.
fn telling_echo() -> (ServerBuilder, mpsc::UnboundedReceiver<Ending>) {
    let (tell, told) = mpsc::unbounded_channel();
    let builder = Server::builder(move |mut socket: WebSocket| {
        let tell = tell.clone();
        async move {
            while let Some(message) = socket.recv().await {
                socket.send(message).ok();
            }
            tell.send(socket.closed().await).expect("heard");
        }
    });
    (builder, told)
}

/// Says `last words`, closes, and tells how that ended.
fn telling_closer() -> (ServerBuilder, mpsc::UnboundedReceiver<Ending>) {
    let (tell, told) = mpsc::unbounded_channel();
    let builder = Server::builder(move |socket: WebSocket| {
        let tell = tell.clone();
        async move {
            socket.send("last words").expect("open");
            socket.close(CloseCode::new(4000).expect("may be sent"), "雪");
            tell.send(socket.closed().await).expect("heard");
        }
    });
    (builder, told)
}

/// Says which subprotocol was agreed on.
async fn tell_subprotocol(socket: WebSocket) {
    socket.send(socket.subprotocol().unwrap_or("none")).expect("open");
}

/// Opens a WebSocket with these further headers.
async fn open(
    address: SocketAddr,
    headers: &[(HeaderName, &'static str)],
) -> Result<(Client, Response), Error> {
    let mut request = format!("ws://{address}/").into_client_request().expect("a request");
    for (name, value) in headers {
        request.headers_mut().append(name, HeaderValue::from_static(value));
    }
    connect_async(request).await
}

async fn next(client: &mut Client) -> Message {
    client.next().await.expect("not the end").expect("a message")
}

#[tokio::test]
async fn messages_of_every_length_come_back_with_their_types() {
    let address = serve(Server::builder(echo)).await;
    let (mut client, _) = open(address, &[]).await.expect("open");
    for length in [0, 1, 125, 126, 65_535, 65_536, 1_000_000] {
        for message in
            [Message::text("x".repeat(length)), Message::binary(Bytes::from(vec![7; length]))]
        {
            client.send(message.clone()).await.expect("sent");
            assert!(next(&mut client).await == message, "{length} bytes");
        }
    }
}

#[tokio::test]
async fn a_hundred_megabytes_of_text_and_of_binary_come_back_equal() {
    let address = serve(Server::builder(echo)).await;
    let (mut client, _) = open(address, &[]).await.expect("open");
    for message in bulk::megabytes() {
        client.send(message.clone()).await.expect("sent");
        assert!(next(&mut client).await == message, "another {} came", message.len());
    }
}

#[tokio::test]
async fn many_messages_in_flight_keep_their_order() {
    let address = serve(Server::builder(echo)).await;
    let (client, _) = open(address, &[]).await.expect("open");
    let (mut sink, mut stream) = client.split();
    let sending = tokio::spawn(async move {
        for number in 0..10_000 {
            sink.feed(Message::text(number.to_string())).await.expect("sent");
        }
        sink.flush().await.expect("sent");
        sink
    });
    for number in 0..10_000 {
        let message = stream.next().await.expect("not the end").expect("a message");
        assert_eq!(message, Message::text(number.to_string()));
    }
    drop(sending.await.expect("it does not panic"));
}

#[tokio::test]
async fn fragments_make_one_message_with_a_ping_in_between() {
    let address = serve(Server::builder(echo)).await;
    let (mut client, _) = open(address, &[]).await.expect("open");
    let text = "fragments: 雪 😀".as_bytes();
    for (place, byte) in text.iter().enumerate() {
        let data = if place == 0 { Data::Text } else { Data::Continue };
        let is_last = place + 1 == text.len();
        let frame = Frame::message(vec![*byte], OpCode::Data(data), is_last);
        client.send(Message::Frame(frame)).await.expect("sent");
        if place == 12 {
            client.send(Message::Ping("in between".into())).await.expect("sent");
        }
    }
    assert_eq!(next(&mut client).await, Message::Pong("in between".into()));
    assert_eq!(next(&mut client).await, Message::text("fragments: 雪 😀"));
}

#[tokio::test]
async fn pings_go_on_between_messages() {
    let ping_interval = Some(Duration::from_millis(20));
    let options = Options { ping_interval, ..Options::default() };
    let (builder, mut told) = telling_echo();
    let address = serve(builder.options(options)).await;
    let (mut client, _) = open(address, &[]).await.expect("open");
    for _ in 0..3 {
        // tungstenite answers them by itself, with the next thing that it does.
        assert_eq!(next(&mut client).await, Message::Ping(Bytes::new()));
    }
    client.send(Message::text("still here")).await.expect("sent");
    loop {
        match next(&mut client).await {
            Message::Ping(_) => {}
            message => break assert_eq!(message, Message::text("still here")),
        }
    }
    client.close(None).await.expect("sent");
    while let Some(message) = client.next().await {
        assert!(matches!(message, Ok(Message::Ping(_) | Message::Close(None))), "{message:?}");
    }
    drop(client);
    let ending = told.recv().await.expect("an ending");
    assert!(ending.clean && matches!(ending.why, Why::Peer(None)), "{ending}");
}

#[tokio::test]
async fn a_client_closes_with_its_code_and_reason() {
    let (builder, mut told) = telling_echo();
    let address = serve(builder).await;
    for (code, reason) in [(1000, ""), (1001, "bye"), (3000, "雪"), (4999, "y")] {
        let (mut client, _) = open(address, &[]).await.expect("open");
        client.send(Message::text("last words")).await.expect("sent");
        let close = CloseFrame { code: code.into(), reason: Utf8Bytes::from_static(reason) };
        client.close(Some(close)).await.expect("sent");
        assert_eq!(next(&mut client).await, Message::text("last words"));
        let Message::Close(Some(answer)) = next(&mut client).await else { panic!("no close") };
        assert_eq!((u16::from(answer.code), answer.reason.as_str()), (code, ""));
        assert!(client.next().await.is_none());
        drop(client);
        let ending = told.recv().await.expect("an ending");
        assert!(ending.clean, "{ending}");
        let Why::Peer(Some((told_code, told_reason))) = ending.why else { panic!("{ending}") };
        assert_eq!((told_code.get(), &*told_reason), (code, reason));
    }
}

#[tokio::test]
async fn a_server_closes_with_its_code_and_reason() {
    let (builder, mut told) = telling_closer();
    let (mut client, _) = open(serve(builder).await, &[]).await.expect("open");
    assert_eq!(next(&mut client).await, Message::text("last words"));
    let Message::Close(Some(close)) = next(&mut client).await else { panic!("no close") };
    assert_eq!((u16::from(close.code), close.reason.as_str()), (4000, "雪"));
    assert!(client.next().await.is_none());
    drop(client);
    let ending = told.recv().await.expect("an ending");
    assert!(ending.clean && matches!(ending.why, Why::Local(..)), "{ending}");
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_with_the_code_for_it() {
    let (builder, mut told) = telling_echo();
    let (mut client, _) = open(serve(builder).await, &[]).await.expect("open");
    client.send(Message::binary(vec![0; 1_000_001])).await.expect("sent");
    let Message::Close(Some(close)) = next(&mut client).await else { panic!("no close") };
    assert_eq!(u16::from(close.code), 1009);
    drop(client);
    let ending = told.recv().await.expect("an ending");
    assert!(matches!(ending.why, Why::Refused(_)), "{ending}");
}

#[tokio::test]
async fn the_handshake_agrees_on_a_subprotocol_and_judges_the_origin() {
    let options = Options { subprotocols: vec!["v2".into(), "v1".into()], ..Options::default() };
    let server = Server::builder(tell_subprotocol).options(options);
    let address = serve(server.origins(["https://allowed.example"])).await;

    let offer = (SEC_WEBSOCKET_PROTOCOL, "v1, v2");
    let headers = [offer, (ORIGIN, "https://allowed.example")];
    let (mut client, response) = open(address, &headers).await.expect("open");
    assert_eq!(response.headers()[SEC_WEBSOCKET_PROTOCOL], "v2");
    assert_eq!(next(&mut client).await, Message::text("v2"));

    match open(address, &[(ORIGIN, "https://other.example")]).await {
        Err(Error::Http(response)) => assert_eq!(response.status(), StatusCode::FORBIDDEN),
        other => panic!("{other:?}"),
    }
}
