//! What a WebSocket carries, as the plain API hands it over: owned, and cheap to clone.

use std::cell::RefCell;
use std::fmt;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use sockeye_websocket::OpCode;

use crate::protocol;

/// Messages up to this size share a block; larger ones get memory of their own.
const SMALL: usize = 1024;

/// What small messages are cut from.
const BLOCK: usize = 8 * 1024;

/// Blocks of one thread, used in turn: when one is used up, what was cut from the oldest is gone, most
/// likely.
const BLOCKS: usize = 4;

#[derive(Default)]
struct Blocks {
    blocks: [BytesMut; BLOCKS],
    current: usize,
}

thread_local! {
    static OWN_BLOCKS: RefCell<Blocks> = RefCell::default();
}

impl Blocks {
    /// A copy of a payload that is no longer than a block.
    fn copy(&mut self, payload: &[u8]) -> Bytes {
        let mut block = &mut self.blocks[self.current];
        if block.capacity() < payload.len() && !block.try_reclaim(BLOCK) {
            self.current = (self.current + 1) % BLOCKS;
            block = &mut self.blocks[self.current];
            if !block.try_reclaim(BLOCK) {
                *block = BytesMut::with_capacity(BLOCK);
            }
        }
        block.extend_from_slice(payload);
        block.split().freeze()
    }
}

/// A whole message, text or binary (RFC 6455 §5.6).
///
/// A clone shares the payload. A small message that was received shares a block of 8 KiB with its
/// neighbours, which saves an allocation for each: who keeps few of many small messages for long
/// should keep copies.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Message {
    /// Text, proven UTF-8.
    Text(ByteString),
    /// Bytes.
    Binary(Bytes),
}

impl Message {
    /// The text, if it is a text message.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// The payload, whatever the type.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The payload's bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The payload, whatever the type; the type is forgotten.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    pub(super) fn opcode(&self) -> OpCode {
        match self {
            Self::Text(_) => OpCode::Text,
            Self::Binary(_) => OpCode::Binary,
        }
    }

    /// Keeps what the driver lends.
    pub(crate) fn keep(lent: protocol::Message<'_>) -> Self {
        use std::borrow::Cow::{Borrowed, Owned};
        match lent {
            protocol::Message::Text(Owned(text)) => Self::Text(text.into()),
            protocol::Message::Binary(Owned(bytes)) => Self::Binary(bytes.into()),
            protocol::Message::Binary(Borrowed(bytes)) => Self::Binary(copy(bytes)),
            protocol::Message::Text(Borrowed(text)) if text.len() > SMALL => {
                // What is text already need not be judged again.
                Self::Text(sockeye_websocket::copy::text(text).into())
            }
            protocol::Message::Text(Borrowed(text)) => {
                let bytes = copy(text.as_bytes());
                Self::Text(ByteString::try_from(bytes).expect("a copy of text is text"))
            }
        }
    }
}

/// Copies a received payload, without an allocation in the long run if it is small: blocks are used
/// again once all that was cut from them is gone.
fn copy(payload: &[u8]) -> Bytes {
    if payload.len() > SMALL {
        let mut bytes = Vec::with_capacity(payload.len());
        sockeye_websocket::copy::append(&mut bytes, payload);
        return bytes.into();
    }
    OWN_BLOCKS.with_borrow_mut(|blocks| blocks.copy(payload))
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.debug_tuple("Text").field(text).finish(),
            Self::Binary(bytes) => f.debug_tuple("Binary").field(bytes).finish(),
        }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<ByteString> for Message {
    fn from(text: ByteString) -> Self {
        Self::Text(text)
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Self {
        Self::Binary(Bytes::copy_from_slice(bytes))
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashSet, VecDeque};

    use super::*;

    #[test]
    fn small_messages_share_a_block_and_large_ones_do_not() {
        let keep = |bytes: &[u8]| Message::keep(protocol::Message::Binary(bytes.into()));
        let (one, two) = (keep(b"one"), keep(b"two"));
        let address = |message: &Message| message.as_bytes().as_ptr() as usize;
        assert_eq!(address(&one) + 3, address(&two));
        assert_eq!((one.as_bytes(), two.as_bytes()), (&b"one"[..], &b"two"[..]));

        let large = vec![7; SMALL + 1];
        assert_eq!(keep(&large).as_bytes(), large);
        let long = "\u{1F426}".repeat(SMALL);
        let text = Message::keep(protocol::Message::Text(long.as_str().into()));
        assert_eq!(text.as_text(), Some(&*long));
        let whole = keep(b"");
        assert!(whole.is_empty());
    }

    #[test]
    fn a_block_is_used_again_when_nothing_of_it_is_left() {
        let keep = || Message::keep(protocol::Message::Binary((&[0; 100][..]).into()));
        let block = |message: &Message| message.as_bytes().as_ptr() as usize / BLOCK;
        // As many as fit into a block are alive at a time.
        let mut alive = VecDeque::new();
        let mut blocks = HashSet::new();
        for _ in 0..10_000 {
            alive.push_back(keep());
            blocks.extend(alive.back().map(block));
            if alive.len() > BLOCK / 100 {
                alive.pop_front();
            }
        }
        // Each block may lie across a border.
        assert!(blocks.len() <= 2 * BLOCKS, "{}", blocks.len());
    }
}
