//! A client's connection: its task, and how many streams it has.
//!
//! It lives as long as one of its streams, or somebody who may open another, does.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::Request;
use tokio::sync::watch;

use super::alive::Watch;
use super::{KeepAlive, MAX_FRAME, SEND_BUFFER, connection_window, io_error};
use crate::io::Io;

/// What a server may send on a stream before some of it was taken: as a server of ours grants.
const WINDOW: u32 = 65_535;

/// As many streams as the connection's window lasts for, whatever the server allows.
const MAX_STREAMS: usize = 100;

/// The most bytes of an answer's headers: as over HTTP/1.1.
const MAX_HEADER_BYTES: u32 = 16 * 1024;

/// A connection that streams can be opened on.
pub(crate) struct Connection {
    sender: SendRequest<Bytes>,
    state: watch::Receiver<State>,
    streams: AtomicUsize,
    pub(crate) peer: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The server's settings have not come yet.
    Begun,
    Settled,
    Over,
}

/// A place for a stream, as long as it lives; it keeps the connection.
pub(crate) struct Place {
    pub(crate) connection: Arc<Connection>,
}

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The server did not begin to process it, or it was not even sent: the connection was about to end, or has
    /// no numbers left for streams.
    NotBegun(io::Error),
    Broken(io::Error),
}

impl Connection {
    /// Begins to speak HTTP/2, in a task of its own.
    pub(crate) async fn begin(
        io: Io,
        peer: SocketAddr,
        keep_alive: KeepAlive,
    ) -> io::Result<Arc<Self>> {
        let window = connection_window(WINDOW, MAX_STREAMS as u32);
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            // None before its settings have come, by which they are known to have.
            .initial_max_send_streams(0)
            .initial_window_size(WINDOW)
            .initial_connection_window_size(window)
            .data_frame_budget(window as usize)
            .max_frame_size(MAX_FRAME)
            .max_header_list_size(MAX_HEADER_BYTES)
            .max_send_buffer_size(SEND_BUFFER);
        let (mut watch, io) = Watch::new(io);
        let (sender, mut connection) = builder.handshake(io).await.map_err(io_error)?;
        watch.begin(keep_alive, connection.ping_pong());
        let (tell, state) = watch::channel(State::Begun);
        drop(tokio::spawn(async move {
            let ended = poll_fn(|cx| {
                let polled = Pin::new(&mut connection).poll(cx);
                if *tell.borrow() == State::Begun && connection.max_concurrent_send_streams() > 0 {
                    tell.send_replace(State::Settled);
                }
                if polled.is_pending() && watch.poll(cx).is_ready() {
                    let why = "the server does not answer a ping";
                    let gone = io::Error::new(io::ErrorKind::TimedOut, why);
                    return Poll::Ready(Err(gone));
                }
                polled.map_err(io_error)
            });
            if let Err(error) = ended.await {
                tracing::debug!(%peer, %error, "a connection of HTTP/2 ended with an error");
            }
            tell.send_replace(State::Over);
        }));
        Ok(Arc::new(Self { sender, state, streams: AtomicUsize::new(0), peer }))
    }

    /// Waits for the server's settings; whether it opens WebSockets, or `None` if it has gone instead.
    pub(crate) async fn opens_websockets(&self) -> Option<bool> {
        let mut state = self.state.clone();
        let state = *state.wait_for(|state| *state != State::Begun).await.ok()?;
        (state == State::Settled).then(|| self.sender.is_extended_connect_protocol_enabled())
    }

    pub(crate) fn is_over(&self) -> bool {
        *self.state.borrow() == State::Over
    }

    /// A place for another stream, if the server allows one more.
    pub(crate) fn place(self: &Arc<Self>) -> Option<Place> {
        let most = MAX_STREAMS.min(self.sender.current_max_send_streams());
        let one_more = |streams| (streams < most).then_some(streams + 1);
        if self.is_over() {
            return None;
        }
        self.streams.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Place { connection: self.clone() })
    }
}

impl Place {
    /// Opens a stream with this request, whose body is left open.
    pub(crate) async fn send(
        &self,
        request: Request<()>,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), Failed> {
        let sender = self.connection.sender.clone().ready().await;
        let mut sender = sender.map_err(|error| Failed::NotBegun(io_error(error)))?;
        sender.send_request(request, false).map_err(|error| Failed::NotBegun(io_error(error)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connection.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl From<h2::Error> for Failed {
    /// Only these two promise that a request was not processed (RFC 9113 §8.7).
    fn from(error: h2::Error) -> Self {
        let is_refused = error.reason() == Some(Reason::REFUSED_STREAM) && error.is_remote();
        let not_begun = is_refused || (error.is_go_away() && error.is_remote());
        let error = io_error(error);
        if not_begun { Self::NotBegun(error) } else { Self::Broken(error) }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}
