//! What extensions (RFC 6455 §9) mean to a connection.
//!
//! An extension lives in two places. The opening handshake agrees on it
//! (`Sec-WebSocket-Extensions`); from then on the connection knows it through [`Extensions`], which
//! says what each reserved bit of a frame means. There is one so far, [permessage-deflate](deflate).

use crate::{
    deflate::{self, RSV1},
    head::OpCode,
};

/// What was agreed on in the opening handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extensions {
    pub(crate) deflate: Option<deflate::Params>,
}

impl Extensions {
    /// The reserved bits that a frame of this kind may have set. RSV1 is `0b100`, RSV2 `0b010`,
    /// RSV3 `0b001`.
    #[inline]
    pub(crate) const fn negotiated_bits(self, opcode: OpCode) -> u8 {
        match opcode {
            // The first frame says it for the whole message (RFC 7692 §6).
            OpCode::Text | OpCode::Binary if self.deflate.is_some() => RSV1,
            _ => 0b000,
        }
    }
}
