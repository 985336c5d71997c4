//! tungstenite, which is not ours, as the server of our client.

#![expect(clippy::result_large_err, reason = "the type of tungstenite's callbacks")]

#[path = "common/bulk.rs"]
mod bulk;

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::StatusCode;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use sockeye_net::websocket::{Client, CloseCode, ConnectError, Ending, Options, WebSocket, Why};
use sockeye_testkit::deadline::within;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

type Server = WebSocketStream<TcpStream>;

/// Both ends, once a client of these options has come through this callback.
async fn meet_by<C>(
    options: Options,
    callback: C,
) -> (Result<WebSocket, ConnectError>, Option<Server>)
where
    C: FnOnce(&Request, Response) -> Result<Response, ErrorResponse> + Send + Unpin + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        accept_hdr_async_with_config(stream, callback, Some(config)).await.ok()
    });
    let connecting = Client::new().options(options);
    let url = format!("ws://{address}/");
    let opened = within(connecting.connect(&url)).await;
    (opened, within(serving).await.expect("it does not panic"))
}

async fn meet(options: Options) -> (WebSocket, Server) {
    let (socket, server) = meet_by(options, |_, response| Ok(response)).await;
    (socket.expect("open"), server.expect("open"))
}

/// Our end, echoing in a task of its own until it is over.
fn echo(mut socket: WebSocket) -> JoinHandle<Ending> {
    tokio::spawn(async move {
        while let Some(message) = socket.recv().await {
            socket.send(message).ok();
        }
        socket.closed().await
    })
}

async fn next(server: &mut Server) -> Message {
    within(server.next()).await.expect("not the end").expect("a message")
}

#[tokio::test]
async fn messages_of_every_length_come_back_with_their_types() {
    let (socket, mut server) = meet(Options::default()).await;
    let echoing = echo(socket);
    for length in [0, 1, 125, 126, 65_535, 65_536, 1_000_000] {
        for message in
            [Message::text("x".repeat(length)), Message::binary(Bytes::from(vec![7; length]))]
        {
            server.send(message.clone()).await.expect("sent");
            assert!(next(&mut server).await == message, "{length} bytes");
        }
    }
    server.close(None).await.expect("sent");
    assert_eq!(next(&mut server).await, Message::Close(None));
    drop(server);
    let ending = within(echoing).await.expect("it does not panic");
    assert!(ending.clean && matches!(ending.why, Why::Peer(None)), "{ending}");
}

#[tokio::test]
async fn a_hundred_megabytes_of_text_and_of_binary_come_back_equal() {
    let (socket, mut server) = meet(Options::default()).await;
    let echoing = echo(socket);
    for message in bulk::megabytes() {
        server.send(message.clone()).await.expect("sent");
        assert!(next(&mut server).await == message, "another {} came", message.len());
    }
    server.close(None).await.expect("sent");
    drop(within(echoing).await.expect("it does not panic"));
}

#[tokio::test]
async fn many_messages_in_flight_keep_their_order() {
    let (mut socket, mut server) = meet(Options::default()).await;
    let sender = socket.sender();
    let sending = tokio::spawn(async move {
        for number in 0..10_000 {
            sender.send_wait(number.to_string()).await.expect("open");
        }
    });
    let echoing = tokio::spawn(async move {
        for _ in 0..10_000 {
            let message = next(&mut server).await;
            server.feed(message).await.expect("sent");
        }
        server.flush().await.expect("sent");
        server
    });
    for number in 0..10_000 {
        let message = within(socket.recv()).await.expect("a message");
        assert_eq!(message.as_text(), Some(&*number.to_string()));
    }
    within(sending).await.expect("sent");
    drop(within(echoing).await.expect("echoed"));
}

#[tokio::test]
async fn fragments_make_one_message_with_a_ping_in_between() {
    let (socket, mut server) = meet(Options::default()).await;
    echo(socket);
    let text = "fragments: 雪 😀".as_bytes();
    for (place, byte) in text.iter().enumerate() {
        let data = if place == 0 { Data::Text } else { Data::Continue };
        let is_last = place + 1 == text.len();
        let frame = Frame::message(vec![*byte], OpCode::Data(data), is_last);
        server.send(Message::Frame(frame)).await.expect("sent");
        if place == 12 {
            server.send(Message::Ping("in between".into())).await.expect("sent");
        }
    }
    assert_eq!(next(&mut server).await, Message::Pong("in between".into()));
    assert_eq!(next(&mut server).await, Message::text("fragments: 雪 😀"));
}

#[tokio::test]
async fn a_client_pings_and_a_server_that_answers_is_kept() {
    let ping_interval = Some(Duration::from_millis(20));
    let (socket, mut server) = meet(Options { ping_interval, ..Options::default() }).await;
    for _ in 0..3 {
        // tungstenite answers them by itself, with the next thing that it does.
        assert_eq!(next(&mut server).await, Message::Ping(Bytes::new()));
    }
    socket.send("still here").expect("open");
    loop {
        match next(&mut server).await {
            Message::Ping(_) => {}
            message => break assert_eq!(message, Message::text("still here")),
        }
    }
}

#[tokio::test]
async fn what_a_server_says_before_it_closes_is_answered() {
    for (code, reason) in [(1000, ""), (1001, "bye"), (3000, "雪"), (4999, "y")] {
        let (socket, mut server) = meet(Options::default()).await;
        let echoing = echo(socket);
        let close = CloseFrame { code: code.into(), reason: Utf8Bytes::from_static(reason) };
        // All in one write.
        server.feed(Message::text("last words")).await.expect("there is room");
        server.feed(Message::text("and more")).await.expect("there is room");
        server.close(Some(close)).await.expect("sent");
        assert_eq!(next(&mut server).await, Message::text("last words"));
        assert_eq!(next(&mut server).await, Message::text("and more"));
        let Message::Close(Some(answer)) = next(&mut server).await else { panic!("no close") };
        assert_eq!((u16::from(answer.code), answer.reason.as_str()), (code, ""));
        drop(server);
        let ending = within(echoing).await.expect("it does not panic");
        assert!(ending.clean, "{ending}");
        let Why::Peer(Some((told_code, told_reason))) = ending.why else { panic!("{ending}") };
        assert_eq!((told_code.get(), &*told_reason), (code, reason));
    }
}

#[tokio::test]
async fn a_client_closes_with_its_code_and_reason() {
    let (socket, mut server) = meet(Options::default()).await;
    socket.send("last words").expect("open");
    socket.close(CloseCode::new(4000).expect("may be sent"), "雪");
    assert_eq!(next(&mut server).await, Message::text("last words"));
    let Message::Close(Some(close)) = next(&mut server).await else { panic!("no close") };
    assert_eq!((u16::from(close.code), close.reason.as_str()), (4000, "雪"));
    // The answer leaves with the next thing that tungstenite does, and a server then ends the stream.
    assert!(matches!(within(server.next()).await, None | Some(Err(Error::ConnectionClosed))));
    drop(server);
    let ending = within(socket.closed()).await;
    assert!(ending.clean && matches!(ending.why, Why::Local(..)), "{ending}");
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_with_the_code_for_it() {
    let (socket, mut server) = meet(Options::default()).await;
    server.send(Message::binary(vec![0; 1_000_001])).await.expect("sent");
    let Message::Close(Some(close)) = next(&mut server).await else { panic!("no close") };
    assert_eq!(u16::from(close.code), 1009);
    drop(server);
    assert!(matches!(within(socket.closed()).await.why, Why::Refused(_)));
}

#[tokio::test]
async fn the_handshake_agrees_on_a_subprotocol_and_can_be_refused() {
    let options = || Options { subprotocols: vec!["v2".into(), "v1".into()], ..Options::default() };
    let (socket, _server) = meet_by(options(), |request, mut response| {
        assert_eq!(request.headers()[SEC_WEBSOCKET_PROTOCOL], "v2, v1");
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, "v1".parse().expect("a value"));
        Ok(response)
    })
    .await;
    assert_eq!(socket.expect("open").subprotocol(), Some("v1"));

    let (refused, _) = meet_by(options(), |_, _| {
        let mut response = ErrorResponse::new(Some("who are you?".to_owned()));
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        Err(response)
    })
    .await;
    let Err(ConnectError::Rejected(rejection)) = refused else { panic!("{refused:?}") };
    assert_eq!(rejection.status, StatusCode::UNAUTHORIZED);
    assert_eq!(rejection.body, "who are you?");
}
