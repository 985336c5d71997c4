//! The form of npm's `socket.io-msgpack-parser`.
//!
//! It is MessagePack in the dialect of `notepack.io` 2.2, which has extensions of its own, all of them
//! of type 0: `undefined`, dates in milliseconds, and `ArrayBuffer`s. Values go from one form of
//! bytes to the other, with no tree of them between.

use alloc::vec::Vec;

use super::{Message, Parsed, Parser};
use crate::{Error, Limits, Malformed};

mod read;
mod write;

/// Each packet is one binary message in MessagePack, as npm's `socket.io-msgpack-parser` 3 has it;
/// the client's bundle `socket.io.msgpack.min.js` speaks it.
///
/// What JSON has no word for arrives as `JSON.stringify` writes it: a `Date` as its ISO string, NaN and
/// the infinities as `null`, `undefined` as `null` in arrays and not at all in objects. Binary stays
/// binary. Numbers without a fraction are written as integers, all others in 64 bits.
///
/// Arguments that nest deeper than 127 levels are not sent.
#[derive(Clone, Copy, Debug, Default)]
#[doc(alias = "socket.io-msgpack-parser")]
pub struct MsgpackParser;

impl Parser for MsgpackParser {
    fn encode(&self, packet: &Parsed) -> Vec<Message> {
        write::packet(packet).map(|bytes| Message::Binary(bytes.into())).into_iter().collect()
    }

    fn decode(&self, message: Message, limits: &Limits) -> Result<Parsed, Error> {
        let Message::Binary(bytes) = message else { return Err(Malformed::Form.into()) };
        read::packet(&bytes, limits)
    }

    /// Whether it is binary, which no client of the default parser begins with.
    fn recognizes(&self, first: &Message) -> bool {
        matches!(first, Message::Binary(_))
    }
}
