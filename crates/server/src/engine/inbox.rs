//! What a client has sent and nobody has taken: between the session's task, which puts in, and
//! [`Connection::recv`](super::Connection::recv), which takes out.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use super::connection::Message;
use crate::adopt::Adoption;

/// What a message costs beside its bytes, so that empty ones are bounded, too.
const OVERHEAD: usize = 64;

#[derive(Default)]
pub(super) struct Inbox {
    inner: Mutex<Inner>,
    /// Whose the session is now, instead of its connection's.
    adoption: OnceLock<Box<Adoption>>,
}

#[derive(Default)]
struct Inner {
    messages: VecDeque<Message>,
    bytes: usize,
    /// Nothing will follow.
    over: bool,
    waker: Option<Waker>,
}

fn cost(message: &Message) -> usize {
    OVERHEAD
        + match message {
            Message::Text(text) => text.len(),
            Message::Binary(bytes) => bytes.len(),
        }
}

impl Inbox {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, message: Message) {
        let waker = {
            let mut inner = self.inner();
            inner.bytes += cost(&message);
            inner.messages.push_back(message);
            inner.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// The session is over. What is in can still be taken.
    pub(super) fn end(&self) {
        let waker = {
            let mut inner = self.inner();
            inner.over = true;
            inner.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// The session's task takes what is in, and what follows.
    pub(super) fn hand_over(&self, adoption: Adoption) {
        let _ = self.adoption.set(Box::new(adoption));
    }

    pub(super) fn adoption(&self) -> Option<&Adoption> {
        self.adoption.get().map(|adoption| &**adoption)
    }

    pub(super) fn take_all(&self) -> VecDeque<Message> {
        // With the waker of a receiver that gave up.
        let inner = std::mem::take(&mut *self.inner());
        inner.messages
    }

    /// Whether nothing more is to be put in for now.
    pub(super) fn is_full(&self, max_bytes: usize) -> bool {
        self.inner().bytes >= max_bytes
    }

    /// The next message, and whether the inbox was [full](Self::is_full) and is no more; `None` when
    /// there will be none.
    ///
    /// Judged under the lock, at the moment of taking: who waits at an empty inbox may find it full.
    pub(super) fn poll_take(
        &self,
        max_bytes: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Option<(Message, bool)>> {
        let mut inner = self.inner();
        match inner.messages.pop_front() {
            Some(message) => {
                let was_full = inner.bytes >= max_bytes;
                inner.bytes -= cost(&message);
                let has_room_again = was_full && inner.bytes < max_bytes;
                if inner.messages.is_empty() {
                    inner.messages = VecDeque::new();
                }
                Poll::Ready(Some((message, has_room_again)))
            }
            None if inner.over => Poll::Ready(None),
            None => {
                inner.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
