//! One message for many connections: framed once, and compressed once for each set of parameters.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use sockeye_websocket::deflate::{Compression, WindowBits};
use sockeye_websocket::frame;

use super::message::Message;
pub(super) use crate::compressors::with_compressors;

/// The windows that can be agreed on: 8 to 15 bits.
const WINDOWS: usize = 8;

/// A message that many connections are going to be sent: see
/// [`Sender::send_prepared`](crate::websocket::Sender::send_prepared).
///
/// Its frame is made once, and shared by all; compressed, once for each window that was agreed on.
/// A clone is the same message. It is worth it from two receivers on.
#[derive(Clone)]
pub struct Prepared(Arc<Forms>);

struct Forms {
    message: Message,
    plain: OnceLock<Bytes>,
    compressed: [OnceLock<Bytes>; WINDOWS],
}

impl Prepared {
    /// Prepares a message.
    pub fn new(message: impl Into<Message>) -> Self {
        Self(Arc::new(Forms {
            message: message.into(),
            plain: OnceLock::new(),
            compressed: [const { OnceLock::new() }; WINDOWS],
        }))
    }

    /// The message itself.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.0.message
    }

    /// The server's frame for connections that agreed on this window, or on no compression.
    pub(super) fn frame(&self, window: Option<WindowBits>, compression: &Compression) -> Bytes {
        let Forms { message, plain, compressed } = &*self.0;
        let (opcode, payload) = (message.opcode(), message.as_bytes());
        let window = window.filter(|_| payload.len() >= compression.threshold);
        let Some(window) = window else {
            let frame = plain.get_or_init(|| {
                let mut frame = Vec::new();
                frame::append(&mut frame, opcode, payload);
                frame.into()
            });
            return frame.clone();
        };
        let form = &compressed[usize::from(window.get() - WindowBits::MIN.get())];
        let frame = form.get_or_init(|| {
            let mut frame = Vec::new();
            with_compressors(|compressors| {
                compressors.append(&mut frame, window, compression, opcode, payload, None);
            });
            // The compressor had space for the worst.
            frame.shrink_to_fit();
            frame.into()
        });
        frame.clone()
    }
}

impl<M: Into<Message>> From<M> for Prepared {
    fn from(message: M) -> Self {
        Self::new(message)
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Prepared").field(self.message()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_made_once_for_each_window() {
        let prepared = Prepared::new("ab".repeat(1000));
        let compression = Compression::default();
        let frame = |bits| prepared.frame(WindowBits::new(bits), &compression);
        let (wide, narrow, plain) = (frame(15), frame(9), frame(0));
        assert_eq!(frame(15).as_ptr(), wide.as_ptr());
        assert_eq!(frame(9).as_ptr(), narrow.as_ptr());
        assert_eq!((plain.len(), wide[0], plain[0]), (4 + 2000, 0xC1, 0x81));
        assert!(wide.len() < 100 && narrow.len() < 100);
    }

    #[test]
    fn what_is_below_the_threshold_has_one_form() {
        let prepared = Prepared::from("short");
        let compression = Compression::default();
        let compressed = prepared.frame(Some(WindowBits::MAX), &compression);
        assert_eq!(&compressed[..], b"\x81\x05short");
        assert_eq!(prepared.frame(None, &compression).as_ptr(), compressed.as_ptr());
    }
}
