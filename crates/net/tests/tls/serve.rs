//! A listener that speaks TLS, and a WebSocket over it.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use sockeye_net::tls::{Connector, Stream};
use sockeye_net::{
    Cause, Close, Cork, Driver, Gate, Intake, Io, Listening, Message, Protocol, TurnedAway,
};
use sockeye_outbox::Outbox;
use sockeye_websocket::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

use crate::common::{Echo, Nothing, Site, UPGRADE_TO_ECHO};
use crate::{pair, within};

struct Host {
    address: SocketAddr,
    connector: Connector,
    gate: Arc<Gate>,
    closing: watch::Sender<bool>,
}

impl Host {
    async fn start(change: impl FnOnce(&mut Listening)) -> Self {
        let (acceptor, connector) = pair();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let mut listening = Listening { tls: Some(acceptor), ..Listening::default() };
        change(&mut listening);
        let (gate, closing) = (Arc::new(Gate::new(listening)), watch::Sender::new(false));
        tokio::spawn(sockeye_net::accept(listener, Site::new(), gate.clone(), closing.subscribe()));
        Self { address, connector, gate, closing }
    }

    async fn connect(&self) -> TcpStream {
        within(TcpStream::connect(self.address)).await.expect("the server listens")
    }

    async fn connect_by_tls(&self) -> Stream<TcpStream> {
        let stream = self.connect().await;
        within(self.connector.connect("localhost", stream)).await.expect("it is trusted")
    }

    async fn until_turned_away(&self, why: TurnedAway) {
        within(async {
            while self.gate.turned_away()[why.index()] == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(self.gate.turned_away().iter().sum::<u64>(), 1, "{why}");
    }
}

async fn head(client: &mut Stream<TcpStream>) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(client.read_u8()).await.expect("the server answers"));
    }
    String::from_utf8(head).expect("a head is text")
}

#[tokio::test]
async fn http_then_a_websocket_through_tls() {
    let host = Host::start(|_| {}).await;
    let mut client = host.connect_by_tls().await;
    assert_eq!(client.alpn(), Some(&b"http/1.1"[..]));
    for _ in 0..2 {
        within(client.write_all(b"GET /hello HTTP/1.1\r\nHost: example.org\r\n\r\n"))
            .await
            .expect("the server reads");
        assert!(head(&mut client).await.starts_with("HTTP/1.1 200 "));
        let mut body = [0; 5];
        within(client.read_exact(&mut body)).await.expect("a body");
        assert_eq!(&body, b"hello");
    }
    // The first frame comes behind the request, in the same record.
    let frame = [&[0x82, 0x80 | 126, 1, 0, 0, 0, 0, 0][..], &[7; 256]].concat();
    within(client.write_all(&[UPGRADE_TO_ECHO.as_bytes(), &frame].concat()))
        .await
        .expect("the server reads");
    assert!(head(&mut client).await.starts_with("HTTP/1.1 101 "));
    for _ in 0..3 {
        let mut echoed = vec![0; 4 + 256];
        within(client.read_exact(&mut echoed)).await.expect("an echo");
        assert_eq!(echoed, [&[0x82, 126, 1, 0][..], &[7; 256]].concat());
        within(client.write_all(&frame)).await.expect("the server reads");
    }
    let mut last = vec![0; 4 + 256];
    within(client.read_exact(&mut last)).await.expect("an echo");
    // A close frame, which is answered; then TLS ends properly.
    within(client.write_all(&[0x88, 0x80, 0, 0, 0, 0])).await.expect("the server reads");
    let mut rest = Vec::new();
    within(client.read_to_end(&mut rest)).await.expect("a proper end");
    assert_eq!(rest, [0x88, 0]);
}

#[tokio::test]
async fn an_answer_that_is_the_last_one_ends_properly() {
    let host = Host::start(|_| {}).await;
    let mut client = host.connect_by_tls().await;
    let request = b"GET /hello HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n";
    within(client.write_all(request)).await.expect("the server reads");
    let mut answer = Vec::new();
    within(client.read_to_end(&mut answer)).await.expect("a proper end");
    assert!(answer.ends_with(b"\r\n\r\nhello"));
}

#[tokio::test]
async fn a_large_message_passes_through_tls() {
    let host = Host::start(|_| {}).await;
    let client = host.connect_by_tls().await;
    let (mut reader, mut writer) = tokio::io::split(client);
    within(writer.write_all(UPGRADE_TO_ECHO.as_bytes())).await.expect("the server reads");
    let payload: Vec<u8> = (0..900_000_u32).map(|n| (n / 3) as u8).collect();
    let length = (payload.len() as u64).to_be_bytes();
    let frame = [&[0x82, 0x80 | 127][..], &length, &[0; 4], &payload].concat();
    let sending = async { writer.write_all(&frame).await.expect("the server reads") };
    let receiving = async {
        let mut received = Vec::new();
        while !received.ends_with(b"\r\n\r\n") {
            received.push(reader.read_u8().await.expect("the server answers"));
        }
        let mut echoed = vec![0; 10 + payload.len()];
        reader.read_exact(&mut echoed).await.expect("an echo");
        echoed
    };
    let ((), echoed) = within(async { tokio::join!(sending, receiving) }).await;
    assert_eq!(echoed[..10], [&[0x82, 127][..], &length].concat());
    assert!(echoed[10..] == payload);
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_counted() {
    let soon = Duration::from_millis(20);
    let host = Host::start(|listening| listening.head_timeout = soon).await;
    let mut client = host.connect().await;
    host.until_turned_away(TurnedAway::TlsTimeout).await;
    // The connection is closed, or reset.
    assert!(matches!(within(client.read(&mut [0; 8])).await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn a_handshake_that_fails_is_counted() {
    let host = Host::start(|_| {}).await;
    let mut client = host.connect().await;
    let request = b"GET /hello HTTP/1.1\r\nHost: example.org\r\n\r\n";
    within(client.write_all(request)).await.expect("the server reads");
    host.until_turned_away(TurnedAway::TlsHandshake).await;
}

#[tokio::test]
async fn a_slow_reader_is_cut_off() {
    let soon = Duration::from_millis(20);
    let host = Host::start(|listening| listening.write_timeout = soon).await;
    let mut client = host.connect_by_tls().await;
    let requests = b"GET /other HTTP/1.1\r\nHost: example.org\r\n\r\n".repeat(1000);
    let asking = async {
        // It reads no answer, until it is cut off.
        while client.write_all(&requests).await.is_ok() {}
    };
    within(asking).await;
    host.until_turned_away(TurnedAway::WriteTimeout).await;
}

#[tokio::test]
async fn a_closing_server_waits_for_no_handshake() {
    let host = Host::start(|_| {}).await;
    let mut client = host.connect().await;
    host.closing.send_replace(true);
    assert!(matches!(within(client.read(&mut [0; 8])).await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn a_websocket_whose_tls_is_cut_is_lost() {
    let (mut client, cause) = driven().await;
    within(client.shutdown()).await.expect("the server reads");
    // Both ended their stream without a close frame; the one that TLS knows of is no error.
    assert!(matches!(within(cause).await, Ok(Some(Cause::Lost(None)))));

    let (client, cause) = driven().await;
    drop(client);
    match within(cause).await {
        Ok(Some(Cause::Lost(Some(error)))) => assert_eq!(error.kind(), ErrorKind::UnexpectedEof),
        cause => panic!("{cause:?}"),
    }
}

/// A client of a driver on its own, and where that says why it ended.
async fn driven() -> (Stream<TcpStream>, oneshot::Receiver<Option<Cause>>) {
    let (acceptor, connector) = pair();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (told, cause) = oneshot::channel();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("the client connects");
        let stream = acceptor.accept(stream).await.expect("the client shakes hands");
        let protocol = Telling { echo: Site::new().echo(), told: Some(told) };
        Driver::new(Io::from(stream), &[], protocol).await;
    });
    let stream = within(TcpStream::connect(address)).await.expect("the server listens");
    let client = within(connector.connect("localhost", stream)).await;
    let mut client = client.expect("the server is trusted");
    within(client.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i'])).await.expect("it reads");
    let mut echoed = [0; 4];
    within(client.read_exact(&mut echoed)).await.expect("an echo");
    assert_eq!(echoed, [0x81, 2, b'h', b'i']);
    (client, cause)
}

/// An echo that tells how it ended.
struct Telling {
    echo: Echo,
    told: Option<oneshot::Sender<Option<Cause>>>,
}

impl Protocol for Telling {
    type Entry = Nothing;

    fn outbox(&self) -> &Outbox<Nothing> {
        self.echo.outbox()
    }

    fn limits(&self) -> &Limits {
        self.echo.limits()
    }

    fn opened(&mut self, now: u64, cx: &mut Context<'_>) -> ControlFlow<Close> {
        self.echo.opened(now, cx)
    }

    fn receive(
        &mut self,
        now: u64,
        message: Message<'_>,
        reply: &mut Cork,
        cx: &mut Context<'_>,
    ) -> ControlFlow<Close> {
        self.echo.receive(now, message, reply, cx)
    }

    fn work(&mut self, now: u64, cx: &mut Context<'_>) -> ControlFlow<Close> {
        self.echo.work(now, cx)
    }

    fn encode(&mut self, entry: Nothing, cork: &mut Cork) {
        self.echo.encode(entry, cork);
    }

    fn poll_timeout(&self) -> Option<u64> {
        self.echo.poll_timeout()
    }

    fn handle_timeout(&mut self, now: u64) -> ControlFlow<Close> {
        self.echo.handle_timeout(now)
    }

    fn intake(&self) -> Intake {
        self.echo.intake()
    }

    fn closed(&mut self, _: u64, cause: Option<Cause>) {
        if let Some(told) = self.told.take() {
            // Nobody asks at the end of a test that is done.
            let _ = told.send(cause);
        }
    }
}
