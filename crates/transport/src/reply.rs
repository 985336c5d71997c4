//! The answer to a poll: a payload on its way to the client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use sockeye_net::http::BoxError;

use crate::fault::Fault;
use crate::sessions::Sessions;
use crate::shared::Shared;

/// A payload for the client. Dropped before the HTTP server has taken it, it is lost, and with it the
/// session: no gap that nobody knows of.
pub(crate) struct Reply {
    shared: Arc<Shared>,
    sessions: Arc<Sessions>,
    payload: Bytes,
    /// What it counts in the outbox until it is written.
    counted: usize,
    compressible: bool,
    taken: bool,
}

impl Reply {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        sessions: &Arc<Sessions>,
        payload: Vec<u8>,
        counted: usize,
        compressible: bool,
    ) -> Self {
        let (shared, sessions) = (shared.clone(), sessions.clone());
        // Something is being written until it is gone, be its session over by then.
        sessions.begin();
        Self { shared, sessions, payload: payload.into(), counted, compressible, taken: false }
    }

    pub(crate) fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Whether any of its packets may be compressed, and so all of it: as in Node.
    pub(crate) fn is_compressible(&self) -> bool {
        self.compressible
    }

    /// Puts another form of the payload in its place: the compressed one.
    pub(crate) fn set_payload(&mut self, payload: Vec<u8>) {
        self.payload = payload.into();
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if std::mem::replace(&mut self.taken, true) {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.payload)))))
    }

    fn is_end_stream(&self) -> bool {
        self.taken
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.payload.len() as u64)
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.taken {
            self.shared.outbox().release(self.counted);
        } else {
            self.sessions.fail(&self.shared, Fault::PollAborted);
        }
        self.sessions.end();
    }
}
