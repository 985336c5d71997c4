//! The other end of a connection, which says exactly what it is told.

use std::sync::Arc;

use sockeye_net::Io;
use sockeye_websocket::{CloseCode, Limits, OpCode, frame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::script::{Script, Shared, within};

/// More than any test that does not test the limit puts in.
pub(crate) const ROOMY: usize = 64 * 1024 * 1024;

/// A connection to a [`Script`].
pub(crate) struct Connection<S> {
    pub(crate) peer: Peer<S>,
    pub(crate) script: Arc<Shared>,
    pub(crate) driver: JoinHandle<()>,
}

/// Connects through a pipe that holds `capacity` bytes in each direction.
pub(crate) fn pipe(capacity: usize, script: Script, leftover: &[u8]) -> Connection<DuplexStream> {
    let (here, there) = tokio::io::duplex(capacity);
    let shared = script.shared();
    let driver = script.spawn(Io::boxed(there), leftover);
    Connection { peer: Peer(here), script: shared, driver }
}

/// The usual pipe.
pub(crate) fn connect() -> Connection<DuplexStream> {
    pipe(64 * 1024, Script::new(ROOMY, Limits::default()), b"")
}

/// Connects over loopback.
pub(crate) async fn tcp(limits: Limits) -> Connection<TcpStream> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (here, there) = tokio::join!(TcpStream::connect(address), listener.accept());
    let here = here.expect("it listens");
    here.set_nodelay(true).expect("a TCP socket");
    let script = Script::new(ROOMY, limits);
    let shared = script.shared();
    let driver = script.spawn(Io::from(there.expect("a connection").0), b"");
    Connection { peer: Peer(here), script: shared, driver }
}

impl<S> Connection<S> {
    /// The driver's task has come to its end by itself.
    pub(crate) async fn done(&mut self) {
        within(&mut self.driver).await.expect("the driver does not panic");
    }
}

/// What a peer sent in one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Text(String),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    /// The stream has ended, between two frames.
    End,
}

pub(crate) struct Peer<S>(pub(crate) S);

impl<S: AsyncWrite + Unpin> Peer<S> {
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        within(self.0.write_all(bytes)).await.expect("the driver reads");
    }

    pub(crate) async fn say(&mut self, said: &str) {
        self.send(&text(said)).await;
    }
}

impl<S: AsyncRead + Unpin> Peer<S> {
    /// The next frame, which a server never masks or cuts.
    pub(crate) async fn receive(&mut self) -> Received {
        let mut head = [0; 2];
        match within(self.0.read(&mut head[..1])).await.expect("no reset") {
            0 => return Received::End,
            _ => within(self.0.read_exact(&mut head[1..])).await.expect("a whole head"),
        };
        let len = match head[1] {
            126 => u64::from(within(self.0.read_u16()).await.expect("a length")),
            127 => within(self.0.read_u64()).await.expect("a length"),
            len => u64::from(len),
        };
        let mut payload = vec![0; usize::try_from(len).expect("it fits into memory")];
        within(self.0.read_exact(&mut payload)).await.expect("a whole payload");
        match head[0] {
            0x81 => Received::Text(String::from_utf8(payload).expect("UTF-8")),
            0x82 => Received::Binary(payload),
            0x8A => Received::Pong(payload),
            0x88 => match payload.split_first_chunk() {
                None => Received::Close(None, String::new()),
                Some((code, reason)) => Received::Close(
                    Some(u16::from_be_bytes(*code)),
                    String::from_utf8(reason.to_vec()).expect("UTF-8"),
                ),
            },
            first => panic!("a frame that begins with {first:#x}"),
        }
    }

    pub(crate) async fn hears(&mut self, text: &str) {
        assert_eq!(self.receive().await, Received::Text(text.to_owned()));
    }

    pub(crate) async fn hears_close(&mut self, code: Option<u16>, reason: &str) {
        assert_eq!(self.receive().await, Received::Close(code, reason.to_owned()));
    }

    pub(crate) async fn hears_end(&mut self) {
        assert_eq!(self.receive().await, Received::End);
    }
}

/// A client's frame.
pub(crate) fn masked(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::append_masked(&mut out, opcode, payload, [0xA5, 0x3C, 0x96, 0x0F]);
    out
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    masked(OpCode::Text, text.as_bytes())
}

/// A frame that more follow.
pub(crate) fn fragment(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let mut fragment = masked(opcode, payload);
    fragment[0] &= 0x7F;
    fragment
}

pub(crate) fn close(code: Option<u16>) -> Vec<u8> {
    let code = code.map(|code| (CloseCode::new(code).expect("a code that may be sent"), ""));
    let mut out = Vec::new();
    frame::append_close(&mut out, code, Some([1, 2, 3, 4]));
    out
}
