//! What a peer has caused and does not take: it must not pile up behind a blocked write.

use crate::cork::Cork;

/// What the peer has caused and does not take.
#[derive(Debug, Default)]
pub(crate) struct Jam {
    /// The protocol's replies.
    pub(crate) replies: Behind,
    pub(crate) pongs: Behind,
    /// The latest ping that is to be answered when there is room for it.
    pub(crate) ping: Option<Box<[u8]>>,
}

/// Bytes that stand behind a blocked write, and up to where they stand in its cork.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Behind {
    pub(crate) bytes: usize,
    pub(crate) end: u64,
}

impl Behind {
    /// Forgets them once the kernel has them all.
    pub(crate) fn settle(&mut self, cork: &Cork) {
        if cork.reached() >= self.end {
            self.bytes = 0;
        }
    }
}
