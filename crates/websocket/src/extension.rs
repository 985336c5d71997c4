//! The place of extensions (RFC 6455 §9): none is negotiated yet.
//!
//! An extension lives in two places. The opening handshake agrees on it
//! (`Sec-WebSocket-Extensions`); from then on the connection knows it through [`Extensions`], which
//! says what each reserved bit of a frame means. permessage-deflate (RFC 7692) will claim RSV1 of a
//! message's first frame, and inflate what the assembly collects.

use crate::head::OpCode;

/// What was agreed on in the opening handshake: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extensions;

impl Extensions {
    /// The reserved bits that a frame of this kind may have set. RSV1 is `0b100`, RSV2 `0b010`,
    /// RSV3 `0b001`.
    #[inline]
    pub(crate) const fn negotiated_bits(self, _opcode: OpCode) -> u8 {
        0b000
    }
}
