//! One client, as the engine's user holds it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use sockeye_engineio::CloseReason;
use sockeye_transport::Shared;

use super::inbox::Inbox;
use super::sender::{SendError, Sender};
use crate::adopt::Adoption;

/// A message, in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

/// A client. Dropping it disconnects the client once what was sent to it has been written; a server of Socket.IO
/// can have it by [`Server::adopt`](crate::Server::adopt).
pub struct Connection {
    inbox: Arc<Inbox>,
    max_waiting_bytes: usize,
    sender: Sender,
}

impl Connection {
    pub(super) fn new(inbox: Arc<Inbox>, max_waiting_bytes: usize, sender: Sender) -> Self {
        Self { inbox, max_waiting_bytes, sender }
    }

    /// The next message from the client; `None` once it is gone and everything it sent was taken:
    /// [`Sender::close_reason`] then says why.
    ///
    /// Cancel safe: a future that is dropped has taken no message.
    pub async fn recv(&mut self) -> Option<Message> {
        let max = self.max_waiting_bytes;
        let taken = std::future::poll_fn(|cx| self.inbox.poll_take(max, cx)).await;
        let (message, has_room_again) = taken?;
        if has_room_again {
            self.sender.read_on();
        }
        Some(message)
    }

    /// Sends a message; see [`Sender::send`].
    ///
    /// # Errors
    ///
    /// As [`Sender::send`].
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.sender.send(message)
    }

    /// What others may send to the client by.
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    pub(crate) fn session(&self) -> &Arc<Shared> {
        self.sender.session()
    }

    /// Leaves the client to a server: whatever comes from it is that one's.
    pub(crate) fn hand_over(self, adoption: Adoption) {
        self.inbox.hand_over(adoption);
        self.session().outbox().notify();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.inbox.adoption().is_none() {
            self.sender.end(CloseReason::ForcedClose);
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("sender", &self.sender).finish_non_exhaustive()
    }
}
