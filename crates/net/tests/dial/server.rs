//! A server that says what a test wants it to, and what a client says to it.

use std::error::Error as _;
use std::net::SocketAddr;
use std::time::Duration;

use sockeye_net::dial::{Error, Opened, Options, Target, connect};
use sockeye_websocket::handshake::accept_key;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub(crate) use sockeye_testkit::deadline::within;

/// Short enough for a test to wait for it.
pub(crate) const SHORT: Duration = Duration::from_millis(300);

pub(crate) fn target(url: &str) -> Target {
    url.parse().expect("a good URL")
}

/// A listener on a free port of IPv4's loopback.
pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// Serves one connection by a script; the address is the server's.
pub(crate) async fn serve<F, T>(
    script: impl FnOnce(Conversation) -> F + Send + 'static,
) -> (SocketAddr, JoinHandle<T>)
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let (listener, address) = listen().await;
    let serving = tokio::spawn(async move {
        let (stream, _) = within(listener.accept()).await.expect("a client");
        drop(listener);
        stream.set_nodelay(true).expect("a TCP socket takes TCP_NODELAY");
        script(Conversation { stream }).await
    });
    (address, serving)
}

/// The server's end of a connection.
pub(crate) struct Conversation {
    pub(crate) stream: TcpStream,
}

impl Conversation {
    /// Reads a request's head.
    pub(crate) async fn request(&mut self) -> Request {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within(self.stream.read_u8()).await.expect("a whole head"));
        }
        Request { head: String::from_utf8(head).expect("a head is text") }
    }

    /// Sends bytes. The client may have gone before it took them all.
    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = within(self.stream.write_all(bytes.as_ref())).await;
    }

    /// Reads so many bytes.
    pub(crate) async fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        within(self.stream.read_exact(&mut bytes)).await.expect("so many bytes");
        bytes
    }

    /// Waits until the client has closed the connection, and fails if it says something before.
    pub(crate) async fn assert_ended(&mut self) {
        let mut rest = Vec::new();
        // A reset is an end too: the client left something unread.
        let _ = within(self.stream.read_to_end(&mut rest)).await;
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }
}

pub(crate) struct Request {
    pub(crate) head: String,
}

impl Request {
    /// The values of a header, a line each.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    /// The one value of a header.
    #[track_caller]
    pub(crate) fn value(&self, name: &str) -> &str {
        match *self.values(name) {
            [value] => value,
            ref other => panic!("{name}: {other:?} in\n{}", self.head),
        }
    }

    /// The answer that opens the WebSocket, with these lines besides.
    pub(crate) fn switching(&self, lines: &str) -> String {
        let accept = accept_key(self.value("sec-websocket-key").as_bytes());
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{lines}\r\n"
        )
    }
}

/// What comes of a server that reads the request, says this, and waits for the end. `{accept}` stands
/// for the right answer to the key.
pub(crate) async fn answered_to(
    options: &Options,
    answer: impl Into<String>,
) -> Result<Opened, Error> {
    let answer = answer.into();
    let (address, serving) = serve(async move |mut client| {
        let request = client.request().await;
        let accept = accept_key(request.value("sec-websocket-key").as_bytes());
        client.say(answer.replace("{accept}", accept.as_str())).await;
        client
    })
    .await;
    let opened = within(connect(&target(&format!("ws://{address}/")), options)).await;
    let mut client = within(serving).await.expect("the script ends");
    if opened.is_err() {
        client.assert_ended().await;
    }
    opened
}

/// The error and all its causes, as somebody reads it.
pub(crate) fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Whether each of these is in the error's words.
#[track_caller]
pub(crate) fn tells(error: &Error, words: &[&str]) {
    let text = told(error);
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

/// Sends a byte each way through what was opened.
pub(crate) async fn speak(opened: &mut Opened, server: &mut Conversation) {
    within(opened.io.write_all(b"?")).await.expect("it is open");
    assert_eq!(server.read(1).await, b"?");
    server.say("!").await;
    assert_eq!(within(opened.io.read_u8()).await.expect("it is open"), b'!');
}
