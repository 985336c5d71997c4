//! One request on a connection of its own, whose answer may hand the connection over: hyper speaks
//! every HTTP byte, and gives the stream back with what came behind the answer.
//!
//! Nothing is spawned: hyper's connection is driven by whoever waits for it here, and dropped with it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Parts};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::budget::Deadline;

/// The longest head of an answer, in bytes; also what Node allows.
pub(super) const MAX_HEAD: usize = 16 * 1024;

/// The most lines of headers in it: as many as hyper reads if it is not told otherwise.
const MAX_LINES: usize = 100;

/// The most bytes of a body that are kept to be shown.
pub(super) const SHOWN: usize = 1024;

/// An answer whose head is there.
pub(super) struct Answer<T> {
    pub(super) response: Response<Incoming>,
    connection: Connection<T>,
}

/// hyper's part of the connection.
enum Connection<T> {
    Running(Pin<Box<dyn Future<Output = Ended<T>> + Send>>),
    Ended(Ended<T>),
}

type Ended<T> = hyper::Result<Parts<TokioIo<T>>>;

impl<T> Connection<T> {
    /// Lets hyper do what there is to do.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Self::Running(running) = self
            && let Poll::Ready(ended) = running.as_mut().poll(cx)
        {
            *self = Self::Ended(ended);
        }
    }

    /// Waits for the end.
    async fn end(self) -> Ended<T> {
        match self {
            Self::Running(running) => running.await,
            Self::Ended(ended) => ended,
        }
    }
}

/// Sends a request and waits for the head of its answer.
pub(super) async fn exchange<T>(
    stream: T,
    request: Request<Empty<Bytes>>,
) -> hyper::Result<Answer<T>>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new();
    builder.max_buf_size(MAX_HEAD).max_headers(MAX_LINES);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let mut connection = Connection::Running(Box::pin(connection.without_shutdown()));
    let mut answer = pin!(sender.send_request(request));
    // An end of the connection, good or bad, has had its answer delivered before it: either the
    // response, or the reason why there is none.
    let response = poll_fn(|cx| {
        connection.drive(cx);
        answer.as_mut().poll(cx)
    });
    let response = response.await?;
    Ok(Answer { response, connection })
}

impl<T> Answer<T> {
    /// The stream behind an answer that ended HTTP, and what of it was read already.
    pub(super) async fn into_stream(self) -> hyper::Result<(T, Bytes)> {
        // A body would be hyper's claim on the connection.
        drop(self.response);
        let parts = self.connection.end().await?;
        // Even an empty rest keeps hyper's whole buffer.
        let rest = Some(parts.read_buf).filter(|rest| !rest.is_empty()).unwrap_or_default();
        Ok((parts.io.into_inner(), rest))
    }

    /// The body's beginning as text, as far as it comes in time.
    pub(super) async fn body_start(&mut self, deadline: Deadline) -> String {
        let mut start = Vec::new();
        let mut whole = false;
        let reading = async {
            while start.len() <= SHOWN {
                let body = self.response.body_mut();
                let mut frame = body.frame();
                let frame = poll_fn(|cx| {
                    self.connection.drive(cx);
                    Pin::new(&mut frame).poll(cx)
                });
                match frame.await {
                    Some(Ok(frame)) => {
                        let data = frame.into_data().unwrap_or_default();
                        let room = SHOWN + 1 - start.len();
                        start.extend_from_slice(&data[..data.len().min(room)]);
                    }
                    Some(Err(_)) => return,
                    None => {
                        whole = true;
                        return;
                    }
                }
            }
        };
        // What has come by then is better than nothing.
        let _ = deadline.run(reading).await;
        shown(start, whole)
    }
}

/// The beginning of a body as text.
pub(super) fn shown(mut start: Vec<u8>, whole: bool) -> String {
    let cut = start.len() > SHOWN || !whole;
    start.truncate(SHOWN);
    let text = String::from_utf8_lossy(&start);
    // A character that was cut is no fault of the server's.
    if cut { text.trim_end_matches('\u{fffd}').to_owned() } else { text.into_owned() }
}

/// hyper's reason in one line, with the causes that its own words leave out.
pub(super) fn reason(error: &hyper::Error) -> String {
    if error.is_parse_too_large() {
        return format!("the answer's head has more than {MAX_HEAD} bytes or {MAX_LINES} lines");
    }
    if error.is_incomplete_message() {
        return "the connection was closed before the answer's head was complete".to_owned();
    }
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        reason.push_str(": ");
        reason.push_str(&cause.to_string());
        source = cause.source();
    }
    reason
}
