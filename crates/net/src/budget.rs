//! What a connection may have judged in one wake-up, before others on its thread get their turn.
//!
//! Bytes alone do not tell: a megabyte of input is ten messages, or 170 000 empty fragments, or a
//! gigabyte once it is inflated.

use crate::protocol::Message;

/// The frames of one wake-up. A message counts as one more for each KiB that it has.
const FRAMES: u32 = 1024;

/// What is left for this wake-up.
#[derive(Debug)]
pub(crate) struct Budget {
    left: u32,
    /// How many frames of the present input have been counted.
    counted: u32,
}

impl Budget {
    pub(crate) const fn new() -> Self {
        Self { left: FRAMES, counted: 0 }
    }

    /// Another piece of input is judged, whose frames are counted from 0.
    pub(crate) const fn begin(&mut self) {
        self.counted = 0;
    }

    /// So many frames of the input have been read.
    pub(crate) const fn frames(&mut self, read: u32) {
        self.left = self.left.saturating_sub(read - self.counted);
        self.counted = read;
    }

    /// The protocol gets this message.
    pub(crate) fn message(&mut self, message: &Message<'_>) {
        self.left =
            self.left.saturating_sub(u32::try_from(message.len() / 1024).unwrap_or(u32::MAX));
    }

    pub(crate) const fn is_spent(&self) -> bool {
        self.left == 0
    }
}
