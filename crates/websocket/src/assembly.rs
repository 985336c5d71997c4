//! What has arrived of a frame or a message that is not whole yet (RFC 6455 §5.4).
//!
//! Made only when needed: a message in one frame that lies wholly in the caller's buffer never
//! comes here. Invariants:
//!
//! - Nothing is kept beyond [`Limits`], and lengths are judged before a byte of the payload has
//!   arrived.
//! - Memory follows what has arrived, not what was declared: a buffer begins with at most
//!   [`FIRST_CAPACITY`] bytes or what is at hand, then doubles.
//! - Text is judged as it arrives, so what lies here is always UTF-8.

use alloc::{string::String, vec::Vec};

use crate::{
    copy,
    deflate::{RSV1, Window, max_compressed},
    error::{Error, Limit, PeerMisbehaved},
    head::{Head, MAX_CONTROL_PAYLOAD, OpCode},
    limits::Limits,
    mask, utf8,
};

/// The most that is allocated for bytes that have only been declared.
const FIRST_CAPACITY: usize = 4096;

/// The parts of whatever is incomplete.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    /// The frame whose head has arrived and whose payload has not, or not wholly.
    frame: Option<Frame>,
    /// The message whose last fragment has not wholly arrived.
    message: Option<Message>,
    /// The payload of a control frame, kept apart because it may come between fragments.
    control: Vec<u8>,
    /// What a compressed message may refer back to. Stays empty unless the peer may do so.
    pub(crate) window: Window,
}

#[derive(Debug)]
struct Frame {
    head: Head,
    received: u64,
    /// Whether the payload is passed over instead of kept.
    discarded: bool,
}

#[derive(Debug)]
struct Message {
    body: Body,
    /// The bytes that the heads of its frames have declared so far.
    declared: usize,
    fragments: u32,
}

#[derive(Debug)]
enum Body {
    Text {
        text: String,
        pending: utf8::Pending,
    },
    Binary(Vec<u8>),
    /// To be inflated when it is whole.
    Compressed(OpCode, Vec<u8>),
}

/// What a frame has completed by its last byte.
#[derive(Debug)]
pub(crate) enum Completed {
    Text(String),
    Binary(Vec<u8>),
    /// A compressed message of this kind.
    Compressed(OpCode, Vec<u8>),
    /// A control frame. Its payload is [`Assembly::control`] until the next frame.
    Control(OpCode),
    /// A fragment with more to follow, or something discarded.
    Nothing,
}

impl Assembly {
    /// Whether a frame has begun and not ended.
    pub(crate) const fn is_within_frame(&self) -> bool {
        self.frame.is_some()
    }

    /// Whether nothing is under way.
    pub(crate) const fn is_at_rest(&self) -> bool {
        self.frame.is_none() && self.message.is_none()
    }

    /// Whether nothing has to be kept until a next message.
    pub(crate) const fn is_idle(&self) -> bool {
        self.is_at_rest() && self.window.as_slice().is_empty()
    }

    /// The payload of the control frame that was completed last.
    pub(crate) fn control(&self) -> &[u8] {
        &self.control
    }

    /// The bytes that its buffers have allocated.
    pub(crate) fn capacity(&self) -> usize {
        let message = self.message.as_ref().map_or(0, |message| match &message.body {
            Body::Text { text, .. } => text.capacity(),
            Body::Binary(bytes) | Body::Compressed(_, bytes) => bytes.capacity(),
        });
        message + self.control.capacity() + self.window.capacity()
    }

    /// Begins a frame that is to be kept: judges its place in its message, and its size.
    pub(crate) fn begin(&mut self, head: Head, limits: &Limits) -> Result<(), Error> {
        if head.opcode.is_control() {
            self.control.clear();
            self.control.reserve_exact(MAX_CONTROL_PAYLOAD);
        } else {
            self.begin_fragment(&head, limits)?;
        }
        self.frame = Some(Frame { head, received: 0, discarded: false });
        Ok(())
    }

    /// Begins a frame whose payload is to be passed over.
    pub(crate) fn begin_discarded(&mut self, head: Head) {
        self.frame = Some(Frame { head, received: 0, discarded: true });
    }

    /// Lets go of the message under way, and of the rest of the current frame unless it is a close
    /// frame.
    pub(crate) fn discard(&mut self) {
        self.message = None;
        self.window = Window::default();
        if let Some(frame) = &mut self.frame {
            frame.discarded = frame.head.opcode != OpCode::Close;
        }
    }

    fn begin_fragment(&mut self, head: &Head, limits: &Limits) -> Result<(), Error> {
        match (head.opcode, &mut self.message) {
            (OpCode::Continuation, None) => Err(PeerMisbehaved::UnexpectedContinuation)?,
            (OpCode::Continuation, Some(message)) => {
                if message.fragments >= limits.max_fragments {
                    Err(Limit::Fragments { limit: limits.max_fragments })?;
                }
                message.fragments += 1;
                let compressed = matches!(message.body, Body::Compressed(..));
                message.declared = judge_size(message.declared, head.len, compressed, limits)?;
            }
            (_, Some(_)) => Err(PeerMisbehaved::ExpectedContinuation)?,
            (opcode, message @ None) => {
                let compressed = head.rsv & RSV1 != 0;
                let declared = judge_size(0, head.len, compressed, limits)?;
                let body = if compressed {
                    Body::Compressed(opcode, Vec::new())
                } else if opcode == OpCode::Text {
                    Body::Text { text: String::new(), pending: utf8::Pending::default() }
                } else {
                    Body::Binary(Vec::new())
                };
                *message = Some(Message { body, declared, fragments: 1 });
            }
        }
        Ok(())
    }

    /// Takes the next bytes of the current frame off the beginning of `input`, unmasking them in
    /// place. Says how many it took, and what the frame has completed if it ended.
    pub(crate) fn feed(
        &mut self,
        input: &mut [u8],
        limits: &Limits,
    ) -> Result<(usize, Option<Completed>), Error> {
        let Some(frame) = &mut self.frame else { return Ok((0, Some(Completed::Nothing))) };
        let missing = frame.head.len - frame.received;
        // What is at hand fits in memory, so its length fits in both types.
        let taken = usize::try_from(missing).map_or(input.len(), |n| n.min(input.len()));
        let chunk = &mut input[..taken];
        let offset = (frame.received % 4) as usize;
        frame.received += taken as u64;

        let Frame { head, discarded, .. } = *frame;
        if !discarded {
            if let Some(key) = head.mask {
                mask::apply(key, offset, chunk);
            }
            if head.opcode.is_control() {
                self.control.extend_from_slice(chunk);
            } else if let Some(message) = &mut self.message {
                message.push(chunk, head.fin, limits)?;
            }
        }
        if taken as u64 != missing {
            return Ok((taken, None));
        }
        self.frame = None;
        let completed = if discarded {
            Completed::Nothing
        } else if head.opcode.is_control() {
            Completed::Control(head.opcode)
        } else if head.fin {
            self.message.take().map_or(Ok(Completed::Nothing), Message::finish)?
        } else {
            Completed::Nothing
        };
        Ok((taken, Some(completed)))
    }
}

/// The declared size of a message with one more frame of `len` bytes, if both are within the
/// limits. What a compressed message inflates to is judged when it is inflated.
pub(crate) fn judge_size(
    before: usize,
    len: u64,
    compressed: bool,
    limits: &Limits,
) -> Result<usize, Limit> {
    if len > limits.max_frame_size as u64 {
        return Err(Limit::FrameSize { limit: limits.max_frame_size, declared: len });
    }
    // Both are below 2^63 on every platform that can have received `before` bytes, but that is no
    // reason to rely on it.
    let declared = (before as u64).saturating_add(len);
    match usize::try_from(declared) {
        Ok(size) if size <= max_declared(compressed, limits) => Ok(size),
        _ => Err(Limit::MessageSize { limit: limits.max_message_size, declared }),
    }
}

/// The most bytes that the frames of one message may declare.
fn max_declared(compressed: bool, limits: &Limits) -> usize {
    let max = limits.max_message_size;
    if compressed { max_compressed(max) } else { max }
}

impl Message {
    fn push(&mut self, chunk: &[u8], last: bool, limits: &Limits) -> Result<(), Error> {
        // The size of the whole is known only from the head of its last frame.
        let compressed = matches!(self.body, Body::Compressed(..));
        let ceiling = if last { self.declared } else { max_declared(compressed, limits) };
        match &mut self.body {
            Body::Text { text, pending } => {
                let needed = text.len() + pending.len() + chunk.len();
                text.reserve_exact(room(text.len(), text.capacity(), needed, ceiling));
                pending.push(chunk, text).map_err(|_| PeerMisbehaved::TextNotUtf8)?;
            }
            Body::Binary(bytes) | Body::Compressed(_, bytes) => {
                let needed = bytes.len() + chunk.len();
                bytes.reserve_exact(room(bytes.len(), bytes.capacity(), needed, ceiling));
                copy::append(bytes, chunk);
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Completed, Error> {
        match self.body {
            Body::Text { text, pending } if pending.is_empty() => Ok(Completed::Text(text)),
            Body::Text { .. } => Err(PeerMisbehaved::TextNotUtf8)?,
            Body::Binary(bytes) => Ok(Completed::Binary(bytes)),
            Body::Compressed(opcode, bytes) => Ok(Completed::Compressed(opcode, bytes)),
        }
    }
}

/// How much a buffer should reserve behind its `len` bytes in order to hold `needed`, when it will
/// hold `ceiling` at most: at least double its capacity, so that what arrives in drops is not
/// copied each time.
fn room(len: usize, capacity: usize, needed: usize, ceiling: usize) -> usize {
    if needed <= capacity {
        return 0;
    }
    let generous = capacity.saturating_mul(2).max(FIRST_CAPACITY).min(ceiling);
    generous.max(needed) - len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_follows_what_has_arrived() {
        // Nothing at all: nothing is allocated, whatever was declared.
        assert_eq!(room(0, 0, 0, 1_000_000), 0);
        // The first byte of a large or a small message.
        assert_eq!(room(0, 0, 1, 1_000_000), FIRST_CAPACITY);
        assert_eq!(room(0, 0, 1, 20), 20);
        // What is at hand is more than the first step.
        assert_eq!(room(0, 0, 60_000, 1_000_000), 60_000);
        // Doubling, up to the ceiling.
        assert_eq!(room(4096, 4096, 4097, 1_000_000), 4096);
        assert_eq!(room(600_000, 600_000, 600_001, 1_000_000), 400_000);
    }

    #[test]
    fn sizes_that_would_overflow_are_refused() {
        let limits = Limits { max_message_size: usize::MAX, ..Limits::default() };
        assert!(
            judge_size(usize::MAX, u64::MAX >> 1, false, &limits).is_ok_and(|n| n == usize::MAX)
        );
        assert_eq!(
            judge_size(0, u64::MAX >> 1, true, &limits).map(|n| n as u64),
            Ok(u64::MAX >> 1)
        );
    }
}
