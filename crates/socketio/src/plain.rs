//! Events without Socket.IO's framing: one JSON text per message, for programs that have a WebSocket and
//! no Socket.IO.
//!
//! A *plain* connection is in one namespace, which its address says, from its opening to its end. All else
//! is as over Socket.IO: the same handlers, rooms, acks and limits, only written in another way.
//!
//! # From the client
//!
//! | message | is |
//! |---|---|
//! | `{"event":"chat message","args":["hi"]}` | an event; without `args` it has none |
//! | `{"event":"chat message","args":["hi"],"id":7}` | an event that wants an answer |
//! | `{"ack":3,"args":["posted"]}` | the answer to the server's event with the id 3 |
//!
//! Ids are unsigned integers of up to 64 bits. A client chooses its own; those of the server are another
//! set. The order of keys is free. A key that is not in the table is refused, and so is one that comes
//! twice: a mistake in it would otherwise be an event that lacks something.
//!
//! # From the server
//!
//! | message | is |
//! |---|---|
//! | `{"connected":{"id":"…"}}` | the first message: the client is let in, as the socket of this id |
//! | `{"event":"chat message","args":["hi"]}` | an event |
//! | `{"event":"sum","args":[1,2],"id":3}` | an event that wants an answer |
//! | `{"ack":7,"args":["posted"]}` | the answer to the client's event with the id 7 |
//! | `{"error":{"message":"…"}}` | the last message: what is wrong. Where the application refuses the client, `data` may stand beside `message` |
//!
//! A client skips messages and keys that it does not know, so that there may be more of them one day. There is
//! no message for the end: that is WebSocket's own close frame, whose code and reason say why.
//!
//! | code | the server closes because |
//! |---|---|
//! | 1000 | it disconnects the client; the reason is Socket.IO's, such as `server namespace disconnect` |
//! | 1001 | it shuts down, or the client answered no ping |
//! | 1003 | of a binary message, see below |
//! | 1007 | a message is not what the tables above say |
//! | 1008 | the client is refused, or has passed a limit, or does not take what it is sent |
//! | 1009 | a message is too large |
//!
//! # Binary
//!
//! Within `args`, `{"$binary":"<base64>"}` stands for binary wherever Socket.IO has it (Node's `Buffer`, a
//! browser's `ArrayBuffer`): base64 of RFC 4648 §4, padded by the server, padded or not by a client. An
//! object that has such a key and is meant as it stands is written with one `$` more, and whoever reads keys
//! of two or more `$` before `binary` takes one away: `{"$$binary":1}` is the object `{"$binary":1}`. Binary
//! messages have no place here.
//!
//! A message with binary in it may have no object with `"_placeholder":true`: Socket.IO itself cannot tell
//! these from binary.
//!
//! # The heartbeat
//!
//! The server sends WebSocket pings, which every WebSocket library answers by itself.

mod read;
mod write;

use alloc::{borrow::Cow, boxed::Box, vec::Vec};
use core::fmt;

use base64::{
    alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;

use crate::Limit;

pub use read::{auth, decode};
pub use write::encode;
pub(crate) use write::{UNLIMITED, behind_placeholder};

/// Encodes with padding, and decodes with or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A message from a plain client. Binary in it has become attachments with placeholders in the arguments,
/// as [`decode_args`](crate::decode_args) reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// An event.
    Event {
        /// Its name, which is none of [`RESERVED_EVENTS`](crate::RESERVED_EVENTS).
        name: Cow<'a, str>,
        /// The JSON of the arguments.
        args: Cow<'a, str>,
        /// The binary in them.
        attachments: Vec<Bytes>,
        /// The id to answer with, if the client wants an answer.
        id: Option<u64>,
    },
    /// The answer to an event of the server.
    Ack {
        /// The id that the server gave.
        id: u64,
        /// The JSON of the arguments.
        args: Cow<'a, str>,
        /// The binary in them.
        attachments: Vec<Bytes>,
    },
}

/// What is wrong with a message from a plain client. Its words are for whoever writes the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// It is no JSON.
    Json,
    /// It is JSON, but no object.
    NotAnObject,
    /// It has a key that means nothing.
    UnknownKey(Box<str>),
    /// It has a key twice.
    RepeatedKey(&'static str),
    /// It has neither `event` nor `ack`.
    Nothing,
    /// It has both.
    EventAndAck,
    /// `event` is no string.
    EventName,
    /// The event has a name of [`RESERVED_EVENTS`](crate::RESERVED_EVENTS).
    ReservedEvent(Box<str>),
    /// `args` is no array.
    Args,
    /// This key, `id` or `ack`, is no unsigned integer of 64 bits.
    Id(&'static str),
    /// An ack has an `id`.
    IdOfAck,
    /// A key `$binary` is not alone in its object, or its value is not base64.
    Binary,
    /// An object with `"_placeholder":true` in a message with binary.
    Placeholder,
    /// The client's `auth` is no JSON object.
    Auth,
    /// It is a binary message.
    BinaryMessage,
    /// The client is not granted so much.
    LimitExceeded(Limit),
}

impl From<Limit> for Error {
    fn from(limit: Limit) -> Self {
        Self::LimitExceeded(limit)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json => f.write_str("the message is not JSON"),
            Self::NotAnObject => f.write_str("the message is not a JSON object"),
            Self::UnknownKey(key) => write!(
                f,
                "the message has the unknown key {key:?}: there are \"event\", \"args\", \"id\" and \"ack\""
            ),
            Self::RepeatedKey(key) => write!(f, "the message has the key \"{key}\" twice"),
            Self::Nothing => f.write_str("the message has neither \"event\" nor \"ack\""),
            Self::EventAndAck => f.write_str("the message has both \"event\" and \"ack\""),
            Self::EventName => f.write_str("\"event\" is not a string"),
            Self::ReservedEvent(name) => write!(f, "no event may have the reserved name {name:?}"),
            Self::Args => f.write_str("\"args\" is not an array"),
            Self::Id(key) => write!(f, "\"{key}\" is not an unsigned integer of at most 64 bits"),
            Self::IdOfAck => f.write_str("an ack has no \"id\": the id of the event is its \"ack\""),
            Self::Binary => f.write_str(
                "\"$binary\" is not base64 text alone in its object; a key that is meant as it stands \
                 is written \"$$binary\"",
            ),
            Self::Placeholder => f.write_str(
                "a message with binary cannot have an object with \"_placeholder\": true in it",
            ),
            Self::Auth => f.write_str("\"auth\" is not a JSON object"),
            Self::BinaryMessage => f.write_str(
                "binary messages are not taken: within \"args\" binary is {\"$binary\": \"<base64>\"}",
            ),
            Self::LimitExceeded(limit) => limit.fmt(f),
        }
    }
}

impl core::error::Error for Error {}

/// How many `$` stand before `binary`, if that is all of the key (as it stands in the JSON, quotes
/// included).
fn dollars(key: &str) -> usize {
    let count = |key: &str| match key.trim_start_matches('$') {
        "binary" => key.len() - "binary".len(),
        _ => 0,
    };
    let inner = key.get(1..key.len() - 1).unwrap_or_default();
    if inner.contains('\\') {
        serde_json::from_str::<alloc::string::String>(key).map_or(0, |key| count(&key))
    } else {
        count(inner)
    }
}

/// Whether there may be a key in this JSON that [`dollars`] counts, by a look that costs little.
fn may_have_dollars(json: &str) -> bool {
    json.contains("$binary") || json.contains("\\u")
}

/// Where the string that begins with this JSON's first byte ends, its quotes included.
pub(crate) fn end_of_string(json: &str) -> usize {
    let bytes = json.as_bytes();
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}
