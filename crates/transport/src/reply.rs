//! The answer to a poll: a payload on its way to the client.
//!
//! ```text
//!     Reply      made by the session's task; the GET's future has it
//!     Outgoing   the response's body: hyper takes it piece by piece, as its client reads
//!     Piece      with hyper, until the kernel has all of it
//! ```
//!
//! What has not reached the kernel counts in the session's outbox, wherever it is: a client that reads
//! slowly is sent no more than one that does so on a websocket.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use smallvec::{SmallVec, smallvec};
use sockeye_engineio::payload::Writer;
use sockeye_net::http::BoxError;

use crate::fault::Fault;
use crate::sessions::{Alive, Sessions};
use crate::shared::Shared;

/// The most bytes that hyper is handed at once. It asks for more only when it holds less than a buffer.
const PIECE: usize = 64 * 1024;

/// A payload for the client.
pub(crate) struct Reply {
    payload: Vec<u8>,
    binary: bool,
    compressible: bool,
    transit: Transit,
}

impl Reply {
    /// A payload whose packets count `counted` bytes in the outbox; none if the session has lost nothing
    /// with it.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        sessions: &Arc<Sessions>,
        payload: Writer,
        counted: usize,
        compressible: bool,
    ) -> Self {
        let weight = Weight::new(shared, sessions, counted);
        let transit = Transit { weight, matters: counted > 0, complete: false };
        let binary = payload.is_binary();
        Self { payload: payload.into_bytes(), binary, compressible, transit }
    }

    /// Whether the payload is in the binary form that revision 3 has.
    pub(crate) fn is_binary(&self) -> bool {
        self.binary
    }

    pub(crate) fn len(&self) -> usize {
        self.payload.len()
    }

    /// Whether any of its packets may be compressed, and so all of it: as in Node.
    pub(crate) fn is_compressible(&self) -> bool {
        self.compressible
    }

    /// Takes the payload out, for another form of it to be [put in its place](Self::set_payload).
    pub(crate) fn take_payload(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.payload)
    }

    pub(crate) fn set_payload(&mut self, payload: Vec<u8>) {
        self.payload = payload;
    }

    /// The body that brings it.
    pub(crate) fn outgoing(self) -> Outgoing {
        let Self { payload, transit, .. } = self;
        let left = payload.len();
        // Each with memory of its own, which goes when the piece has gone.
        let pieces = match left {
            0..=PIECE => smallvec![payload.into_boxed_slice()],
            _ => payload.rchunks(PIECE).map(Into::into).collect(),
        };
        Outgoing { pieces, left, transit }
    }
}

/// The body of a response.
pub(crate) struct Outgoing {
    /// What is still to be handed over, from the last piece to the next.
    pieces: SmallVec<[Box<[u8]>; 1]>,
    /// Bytes of them.
    left: usize,
    transit: Transit,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(bytes) = self.pieces.pop() else { return Poll::Ready(None) };
        let (size, left) = (bytes.len(), self.left);
        self.left -= size;
        // Compressed or not, a piece weighs its part of what the whole does.
        let counted = self.transit.weight.counted;
        let weight = match self.left {
            0 => counted,
            _ => (counted as u128 * size as u128 / left as u128) as usize,
        };
        let weight = self.transit.weight.split_off(weight);
        if self.pieces.is_empty() {
            self.transit.complete();
        }
        let piece = Bytes::from_owner(Piece { bytes, _weight: weight });
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

/// The way of an answer to the HTTP server. One that ends before all of it was handed over is lost, and
/// with it the session, unless it had nothing to say: no gap that nobody knows of.
struct Transit {
    weight: Weight,
    /// It brings packets of the outbox.
    matters: bool,
    complete: bool,
}

impl Transit {
    /// The HTTP server is about to get the last piece. The client's next poll may come as soon as it has
    /// that one, and must find the door free.
    fn complete(&mut self) {
        self.complete = true;
        self.weight.shared.poll_answered();
    }
}

impl Drop for Transit {
    fn drop(&mut self) {
        if self.complete {
            return;
        }
        let Weight { shared, sessions, .. } = &self.weight;
        if self.matters {
            sessions.fail(shared, Fault::PollAborted);
        }
        shared.poll_answered();
    }
}

/// A piece that the HTTP server has. It drops it when it is written, or when nobody is there any more to
/// write it to.
struct Piece {
    bytes: Box<[u8]>,
    _weight: Weight,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What bytes on their way count for: in their session's outbox, and with a server that closes and waits
/// until all is written, be the session over by then.
struct Weight {
    shared: Arc<Shared>,
    sessions: Alive,
    counted: usize,
}

impl Weight {
    fn new(shared: &Arc<Shared>, sessions: &Arc<Sessions>, counted: usize) -> Self {
        Self { shared: shared.clone(), sessions: Alive::new(sessions), counted }
    }

    /// So much of it goes on by itself.
    fn split_off(&mut self, counted: usize) -> Self {
        self.counted -= counted;
        Self::new(&self.shared, &self.sessions, counted)
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.shared.outbox().release(self.counted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::Shut;
    use crate::fixture::Fixture;
    use std::task::Waker;

    /// A session with an answer on its way, what that counts, and its text.
    fn answered(size: usize) -> (Fixture, Outgoing, usize, Vec<u8>) {
        let mut fixture = Fixture::new();
        let mut poll = fixture.shared.enter_poll().unwrap();
        let text: String = ('a'..='z').cycle().take(size).collect();
        fixture.push(&text);
        let counted = fixture.shared.outbox().buffered_bytes();
        assert!(fixture.wake_up().is_none());
        let reply = poll.try_recv().unwrap();
        (fixture, reply.outgoing(), counted, format!("4{text}").into_bytes())
    }

    fn next(body: &mut Outgoing) -> Option<Bytes> {
        match Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(frame) => frame.map(|frame| frame.unwrap().into_data().unwrap()),
            Poll::Pending => panic!("all of it is there"),
        }
    }

    #[test]
    fn an_answer_counts_until_each_piece_is_written() {
        for size in [1, PIECE - 1, PIECE, 10 * PIECE + 1] {
            let (fixture, mut body, counted, text) = answered(size);
            let outbox = fixture.shared.outbox();
            let mut sent = Vec::new();
            let mut before = counted;
            while !body.is_end_stream() {
                assert_eq!(body.size_hint().exact(), Some((text.len() - sent.len()) as u64));
                let piece = next(&mut body).unwrap();
                assert!(piece.len() <= PIECE);
                assert_eq!(outbox.buffered_bytes(), before, "it may lie with the HTTP server");
                sent.extend_from_slice(&piece);
                drop(piece);
                assert!(outbox.buffered_bytes() < before);
                before = outbox.buffered_bytes();
            }
            assert_eq!((sent, before), (text, 0));
            assert_eq!(next(&mut body), None);
            drop(body);
            assert!(fixture.shared.is_open());
        }
    }

    /// A closing server waits for it.
    #[test]
    fn an_answer_on_its_way_is_alive() {
        let (mut fixture, mut body, ..) = answered(2 * PIECE);
        fixture.polling = None;
        assert_eq!(fixture.sessions.alive(), 1);
        let mut pieces = Vec::new();
        while let Some(piece) = next(&mut body) {
            pieces.push(piece);
        }
        drop(body);
        while let Some(piece) = pieces.pop() {
            assert_ne!(fixture.sessions.alive(), 0);
            drop(piece);
        }
        assert_eq!(fixture.sessions.alive(), 0);
    }

    /// The next poll may come as soon as the last byte of the answer has, and no sooner.
    #[test]
    fn the_door_is_free_before_the_last_piece_can_be_sent() {
        let (fixture, mut body, ..) = answered(2 * PIECE);
        while body.pieces.len() > 1 {
            next(&mut body).unwrap();
            assert_eq!(fixture.shared.enter_poll().err(), Some(Shut::Overlap));
        }
        let _last = next(&mut body).unwrap();
        assert!(fixture.shared.enter_poll().is_ok());
        // That it has ended must not let yet another poll in.
        drop(body);
        assert_eq!(fixture.shared.enter_poll().err(), Some(Shut::Overlap));
        assert!(fixture.shared.is_open());
    }

    #[test]
    fn an_answer_that_is_lost_half_way_ends_the_session() {
        for taken in 0..3 {
            let (fixture, mut body, ..) = answered(2 * PIECE);
            for _ in 0..taken {
                next(&mut body).unwrap();
            }
            drop(body);
            assert!(!fixture.shared.is_open());
            assert_eq!(fixture.sessions.faults()[Fault::PollAborted.index()], 1);
            assert_eq!(fixture.shared.outbox().buffered_bytes(), 0);
        }
    }
}
