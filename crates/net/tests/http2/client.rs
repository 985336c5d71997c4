//! Our own client: which connection its WebSockets are on, and what it says when there is none.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use sockeye_net::dial::{Error, Http2Error};
use sockeye_net::websocket::{CloseCode, ConnectError, Options, Server, WebSocket, Why};
use sockeye_net::{Http2, Listening};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};

use crate::{client, echo, serve, within};

/// A server that says its client's address.
fn greeting_server(listening: Listening) -> Server {
    let greet = |socket: WebSocket| async move {
        let peer = socket.peer().expect("an address");
        socket.send(peer.to_string()).expect("open");
        echo(socket).await;
    };
    Server::builder(greet).listening(listening).build()
}

async fn greeting(socket: &mut WebSocket) -> String {
    let message = within(socket.recv()).await.expect("a greeting");
    message.as_text().expect("text").to_owned()
}

#[tokio::test]
async fn websockets_to_one_server_share_a_connection() {
    let address = serve(&greeting_server(Listening::default())).await;
    let client = client();
    let mut connections = HashSet::new();
    let mut sockets = Vec::new();
    for n in 0..10 {
        let mut socket = client.connect(&format!("ws://{address}/{n}")).await.expect("open");
        connections.insert(greeting(&mut socket).await);
        sockets.push(socket);
    }
    assert_eq!(connections.len(), 1);
    for (n, socket) in sockets.iter_mut().enumerate() {
        socket.send(format!("to {n}")).expect("open");
    }
    for (n, socket) in sockets.iter_mut().enumerate() {
        let back = within(socket.recv()).await.expect("an echo");
        assert_eq!(back.as_text(), Some(&*format!("to {n}")));
    }
    // One that closes is one that closes.
    sockets[3].close(CloseCode::NORMAL, "enough");
    let ending = within(sockets[3].closed()).await;
    assert!(ending.clean, "{ending}");
    sockets[4].send("still").expect("open");
    assert_eq!(within(sockets[4].recv()).await.expect("an echo").as_text(), Some("still"));
}

#[tokio::test]
async fn many_that_connect_at_once_share_a_connection() {
    let address = serve(&greeting_server(Listening::default())).await;
    let client = client();
    let opening: Vec<_> = (0..10)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut socket = client.connect(&format!("ws://{address}/")).await.expect("open");
                (greeting(&mut socket).await, socket)
            })
        })
        .collect();
    let mut connections = HashSet::new();
    let mut sockets = Vec::new();
    for opening in opening {
        let (connection, socket) = within(opening).await.expect("it opens");
        connections.insert(connection);
        sockets.push(socket);
    }
    assert_eq!(connections.len(), 1);
}

#[tokio::test]
async fn more_than_a_server_allows_on_one_connection_get_another() {
    let http2 = Some(Http2 { max_streams: 3, ..Http2::default() });
    let address = serve(&greeting_server(Listening { http2, ..Listening::default() })).await;
    let client = client();
    let mut connections = HashSet::new();
    let mut sockets = Vec::new();
    for n in 1..=7_usize {
        let mut socket = client.connect(&format!("ws://{address}/")).await.expect("open");
        connections.insert(greeting(&mut socket).await);
        sockets.push(socket);
        assert_eq!(connections.len(), n.div_ceil(3), "{n}");
    }
}

#[tokio::test]
async fn a_connection_ends_with_its_last_websocket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let client = client();
    let url = format!("ws://{address}/");
    let opening = tokio::spawn(async move { client.connect(&url).await.map(|s| (client, s)) });
    let (stream, _) = within(listener.accept()).await.expect("a connection");
    let mut connection =
        within(h2::server::Builder::new().enable_connect_protocol().handshake::<_, Bytes>(stream))
            .await
            .expect("a preface");
    let (request, mut respond) =
        within(connection.accept()).await.expect("a request").expect("a good one");
    assert_eq!(request.method(), "CONNECT");
    assert_eq!(request.extensions().get::<h2::ext::Protocol>().unwrap().as_str(), "websocket");
    assert_eq!(request.uri().scheme_str(), Some("http"));
    assert_eq!(request.uri().authority().unwrap().as_str(), address.to_string());
    assert_eq!(request.headers()["sec-websocket-version"], "13");
    assert!(!request.headers().contains_key("sec-websocket-key"));
    let sender = respond.send_response(Response::new(()), false).expect("open");
    let ended = tokio::spawn(async move { connection.accept().await.is_none() });
    let (_client, socket) = within(opening).await.expect("it opens").expect("open");
    drop(socket);
    // It is closed, and this server does not answer: the stream is given up.
    drop((request, respond, sender));
    assert!(within(ended).await.expect("it ends"), "the client's connection lives on");
}

/// Answers every connection as `answer` says, until the test ends.
async fn raw<F>(builder: h2::server::Builder, answer: F) -> SocketAddr
where
    F: Fn(u32, h2::server::SendResponse<Bytes>) + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        let mut number = 0;
        while let Ok((stream, _)) = listener.accept().await {
            number += 1;
            let (builder, answer) = (builder.clone(), answer.clone());
            tokio::spawn(async move {
                let Ok(mut connection) = builder.handshake(stream).await else { return };
                let mut inputs = Vec::new();
                while let Some(Ok((request, respond))) = connection.accept().await {
                    inputs.push(request);
                    answer(number, respond);
                }
            });
        }
    });
    address
}

async fn refused(address: SocketAddr) -> (ConnectError, String) {
    let error = within(client().connect(&format!("ws://{address}/"))).await.expect_err("refused");
    let text = error.to_string();
    (error, text)
}

#[tokio::test]
async fn a_server_that_opens_no_websockets_by_http2_is_named() {
    let address = raw(h2::server::Builder::new(), |_, _| panic!("nothing is asked")).await;
    let (error, text) = refused(address).await;
    assert!(matches!(error, Error::Http2(Http2Error::NoWebSockets)), "{error:?}");
    assert!(text.contains("SETTINGS_ENABLE_CONNECT_PROTOCOL"), "{text}");
}

fn enabled() -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder.enable_connect_protocol();
    builder
}

#[tokio::test]
async fn answers_that_open_no_websocket_say_why() {
    let address = raw(enabled(), |_, mut respond| {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::FORBIDDEN;
        let mut body = respond.send_response(response, false).expect("open");
        body.send_data("not you".into(), true).expect("open");
    })
    .await;
    let (error, text) = refused(address).await;
    assert!(matches!(error, Error::Rejected(_)), "{error:?}");
    assert!(text.contains("403") && text.contains("not you"), "{text}");

    let address = raw(enabled(), |_, mut respond| {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::FOUND;
        response.headers_mut().insert("location", "/other".parse().expect("a value"));
        respond.send_response(response, true).expect("open");
    })
    .await;
    let (error, text) = refused(address).await;
    assert!(matches!(error, Error::Redirected { .. }), "{error:?}");
    assert!(text.contains(&format!("ws://{address}/other")), "{text}");

    let address = raw(enabled(), |_, mut respond| {
        let mut response = Response::new(());
        response.headers_mut().insert("sec-websocket-protocol", "x".parse().expect("a value"));
        respond.send_response(response, false).expect("open");
    })
    .await;
    let (error, _) = refused(address).await;
    assert!(matches!(error, Error::Handshake(_)), "{error:?}");

    let address = raw(enabled(), |_, mut respond| {
        respond.send_reset(h2::Reason::INTERNAL_ERROR);
    })
    .await;
    let (error, text) = refused(address).await;
    assert!(matches!(error, Error::Http2(Http2Error::Broken(_))), "{error:?}");
    assert!(text.contains("HTTP/2"), "{text}");
}

#[tokio::test]
async fn a_request_that_was_not_begun_with_is_sent_again_on_another_connection() {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let (note, mut noted) = mpsc::unbounded_channel();
    let address = raw(enabled(), {
        let kept = kept.clone();
        move |connection, mut respond| {
            let mut kept = kept.try_lock().expect("one at a time");
            note.send(connection).expect("heard");
            if connection == 1 && !kept.is_empty() {
                respond.send_reset(h2::Reason::REFUSED_STREAM);
            } else {
                kept.push(respond.send_response(Response::new(()), false).expect("open"));
            }
        }
    })
    .await;
    let client = client();
    let url = format!("ws://{address}/");
    let _first = within(client.connect(&url)).await.expect("open");
    let _second = within(client.connect(&url)).await.expect("open");
    for connection in [1, 1, 2] {
        assert_eq!(noted.recv().await, Some(connection));
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_is_lost_with_its_reason() {
    let address = raw(enabled(), |_, mut respond| {
        let mut sender = respond.send_response(Response::new(()), false).expect("open");
        sender.send_data(Bytes::from_static(b"\x81\x02hi"), false).expect("open");
        tokio::spawn(async move {
            // Behind what was sent.
            tokio::task::yield_now().await;
            std::future::poll_fn(|cx| {
                sender.reserve_capacity(1);
                sender.poll_capacity(cx)
            })
            .await;
            sender.send_reset(h2::Reason::ENHANCE_YOUR_CALM);
        });
    })
    .await;
    let options = Options { ping_interval: None, ..Options::default() };
    let socket = client().options(options).connect(&format!("ws://{address}/")).await;
    let ending = within(socket.expect("open").closed()).await;
    assert!(!ending.clean);
    let Why::Lost(Some(error)) = ending.why else { panic!("{ending}") };
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    let why = error.to_string();
    assert!(why.contains("excessive load") || why.contains("ENHANCE_YOUR_CALM"), "{why}");
}

#[tokio::test]
async fn nobody_there_is_an_error_of_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let (error, _) = refused(address).await;
    assert!(matches!(error, Error::Tcp { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_speaks_http_1_only_is_an_error() {
    let server =
        Server::builder(echo).listening(Listening { http2: None, ..Listening::default() }).build();
    let (error, text) = refused(serve(&server).await).await;
    assert!(matches!(error, Error::Http2(Http2Error::Broken(_))), "{error:?}");
    assert!(text.contains("HTTP/2"), "{text}");
}
