//! A stream that holds back what it is given until it is flushed, as TLS does.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use sockeye_net::Io;
use sockeye_websocket::Limits;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use crate::peer::{Peer, ROOMY};
use crate::script::{Script, settle};

struct Holding {
    stream: DuplexStream,
    held: Vec<u8>,
}

impl AsyncRead for Holding {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Holding {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.held.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, held } = &mut *self;
        while !held.is_empty() {
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, held))?;
            held.drain(..written);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn it_is_flushed_to_the_end() {
    let (here, there) = tokio::io::duplex(1000);
    let script = Script::new(ROOMY, Limits::default());
    let shared = script.shared();
    let _driver = script.spawn(Io::boxed(Holding { stream: here, held: Vec::new() }), b"");
    let large = "x".repeat(5000);
    shared.push(&large).expect("there is room");
    settle().await;
    let mut peer = Peer(there);
    peer.hears(&large).await;
}
