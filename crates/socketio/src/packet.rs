//! Socket.IO packets as text:
//!
//! ```text
//! <type>[<attachments>-][<namespace>,][<ack id>][<JSON>]
//! ```
//!
//! The namespace is left out if it is `/`; it ends at a comma or with the packet. A packet of type
//! 5 or 6 is followed by its attachments, each a binary message.
//!
//! Decoding is one pass that finds the parts, proves the JSON to be well-formed and copies nothing.
//! What JavaScript's coercions let pass besides the grammar (`50x1-[]`, a blank as an ack id) is
//! refused: no client sends it.

use alloc::{borrow::Cow, string::String};
use core::fmt;

use serde::{
    Deserializer as _,
    de::{Error as _, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::{error::Category, value::RawValue};

use crate::{Error, Limit, Limits, Misbehaviour, surrogates::mend};

/// Names that no event may have: on one side or the other they mean something else.
pub const RESERVED_EVENTS: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// Whether no event may have this name.
#[must_use]
pub fn is_reserved(event: &str) -> bool {
    RESERVED_EVENTS.contains(&event)
}

/// Whether a namespace of this name can be written into a packet: it begins with `/` and has no
/// comma.
#[must_use]
pub fn is_valid_namespace(namespace: &str) -> bool {
    namespace.starts_with('/') && !namespace.contains(',')
}

/// The types of packets, by their digit on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Asks for a namespace; and the server's yes.
    Connect = b'0',
    /// Leaves a namespace.
    Disconnect = b'1',
    /// An event.
    Event = b'2',
    /// The answer to an event.
    Ack = b'3',
    /// The server's no to a CONNECT.
    ConnectError = b'4',
    /// An event with attachments.
    BinaryEvent = b'5',
    /// The answer to an event, with attachments.
    BinaryAck = b'6',
}

impl Kind {
    /// The byte on the wire.
    #[must_use]
    pub const fn as_byte(self) -> u8 {
        self as u8
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            b'0' => Self::Connect,
            b'1' => Self::Disconnect,
            b'2' => Self::Event,
            b'3' => Self::Ack,
            b'4' => Self::ConnectError,
            b'5' => Self::BinaryEvent,
            b'6' => Self::BinaryAck,
            _ => return None,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "CONNECT",
            Self::Disconnect => "DISCONNECT",
            Self::Event => "EVENT",
            Self::Ack => "ACK",
            Self::ConnectError => "CONNECT_ERROR",
            Self::BinaryEvent => "BINARY_EVENT",
            Self::BinaryAck => "BINARY_ACK",
        })
    }
}

/// One packet, without the attachments that may follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its type.
    pub kind: Kind,
    /// How many binary messages belong to it. 0 except for the two binary kinds, which have at
    /// least one.
    pub attachments: u32,
    /// The namespace, `/` if the packet names none.
    pub namespace: &'a str,
    /// The ack id. Any packet may carry one; it means something in events and acks.
    ///
    /// JavaScript has only 53 bits for it and would answer a larger id rounded. Here it is kept as
    /// it is, up to 64 bits.
    pub ack: Option<u64>,
    /// What the packet says.
    pub body: Body<'a>,
}

/// What a packet says, by its kind. All JSON is well-formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// The data of a CONNECT, a JSON object: a client's `auth`, a server's `sid`.
    Connect(Option<&'a str>),
    /// A DISCONNECT has no data.
    Disconnect,
    /// An event.
    Event {
        /// The event's name. A number instead of a string is allowed, and is taken as it is written:
        /// `12` is "12", as in JavaScript, but `1e3` is not "1000". `None` if there is no JSON at all:
        /// Node lets such a packet pass, and no handler can ever match it.
        name: Option<Cow<'a, str>>,
        /// The JSON of the arguments, separated by commas, without brackets; empty if none.
        args: &'a str,
    },
    /// The answer to an event.
    Ack {
        /// As the arguments of an event.
        args: &'a str,
    },
    /// The data of a CONNECT_ERROR: a JSON object, or a string.
    ConnectError(Option<&'a str>),
}

/// Reads one packet.
///
/// # Errors
///
/// The text is not what the grammar and the packet's kind ask for, or announces more attachments,
/// or has a longer namespace, than `limits` allow.
pub fn decode<'a>(text: &'a str, limits: &Limits) -> Result<Packet<'a>, Error> {
    let packet = decode_unnamed(text, limits)?;
    if packet.namespace.len() > limits.max_namespace_bytes {
        return Err(Limit::NamespaceBytes.into());
    }
    Ok(packet)
}

/// The same, but for the length of the namespace's name.
pub(crate) fn decode_unnamed<'a>(text: &'a str, limits: &Limits) -> Result<Packet<'a>, Error> {
    let Parts { kind, attachments, namespace, ack, data } = split(text, limits)?;
    Ok(Packet { kind, attachments, namespace, ack, body: body(kind, data)? })
}

/// A packet whose data has not been looked at.
pub(crate) struct Parts<'a> {
    pub(crate) kind: Kind,
    attachments: u32,
    namespace: &'a str,
    pub(crate) ack: Option<u64>,
    /// The end of the text.
    pub(crate) data: &'a str,
}

/// Finds where a packet's data begins.
pub(crate) fn split<'a>(text: &'a str, limits: &Limits) -> Result<Parts<'a>, Error> {
    let mut chars = text.chars();
    let first = chars.next().ok_or(Misbehaviour::EmptyPacket)?;
    let kind = u8::try_from(first)
        .ok()
        .and_then(Kind::from_byte)
        .ok_or(Misbehaviour::UnknownKind(first))?;
    let mut rest = chars.as_str();

    let mut attachments = 0;
    if matches!(kind, Kind::BinaryEvent | Kind::BinaryAck) {
        let (digits, tail) = split_digits(rest);
        rest = tail.strip_prefix('-').ok_or(Misbehaviour::IllegalAttachments)?;
        if digits.bytes().all(|digit| digit == b'0') {
            return Err(Misbehaviour::IllegalAttachments.into()); // None, or no number at all.
        }
        // A number that does not fit is above every limit.
        attachments = digits.parse().unwrap_or(u32::MAX);
        if attachments > limits.max_attachments {
            return Err(Limit::Attachments.into());
        }
    }

    let mut namespace = "/";
    if rest.starts_with('/') {
        (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
    }

    let (digits, data) = split_digits(rest);
    let ack = match digits {
        "" => None,
        digits => Some(digits.parse().map_err(|_| Misbehaviour::AckId)?),
    };

    Ok(Parts { kind, attachments, namespace, ack, data })
}

/// What a packet of this kind says in this data, which is JSON, or nothing.
pub(crate) fn body(kind: Kind, data: &str) -> Result<Body<'_>, Error> {
    Ok(match kind {
        Kind::Connect => Body::Connect(optional(kind, data, &["{"])?),
        Kind::Disconnect if data.is_empty() => Body::Disconnect,
        Kind::Disconnect => return Err(Misbehaviour::Payload(kind).into()),
        Kind::ConnectError => Body::ConnectError(optional(kind, data, &["{", "\""])?),
        Kind::Event | Kind::BinaryEvent => event(kind, data)?,
        Kind::Ack | Kind::BinaryAck => {
            Body::Ack { args: optional(kind, data, &["["])?.map_or("", inside) }
        }
    })
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// Data that may be missing, and else is JSON that begins in one of these ways.
pub(crate) fn optional<'a>(
    kind: Kind,
    data: &'a str,
    starts: &[&str],
) -> Result<Option<&'a str>, Error> {
    if data.is_empty() {
        return Ok(None);
    }
    if !starts.iter().any(|start| data.starts_with(start)) {
        return Err(Misbehaviour::Payload(kind).into());
    }
    // Skipping keeps its nesting on the heap, so that no depth overflows the stack.
    serde_json::from_str::<IgnoredAny>(data).map_err(|_| Misbehaviour::Json(kind))?;
    Ok(Some(data))
}

/// What stands between the brackets of a well-formed array.
pub(crate) fn inside(array: &str) -> &str {
    let array = array.trim_end_matches(JSON_SPACE);
    array
        .strip_prefix('[')
        .and_then(|array| array.strip_suffix(']'))
        .unwrap_or_default()
        .trim_matches(JSON_SPACE)
}

pub(crate) const JSON_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

fn event(kind: Kind, data: &str) -> Result<Body<'_>, Error> {
    if data.is_empty() {
        return Ok(Body::Event { name: None, args: "" });
    }
    if !data.starts_with('[') {
        return Err(Misbehaviour::Payload(kind).into());
    }
    let mut json = serde_json::Deserializer::from_str(data);
    let first = json
        .deserialize_seq(FirstOfArray)
        .and_then(|first| json.end().map(|()| first))
        .map_err(|error| match error.classify() {
            Category::Data => Misbehaviour::Payload(kind),
            Category::Syntax | Category::Eof | Category::Io => Misbehaviour::Json(kind),
        })?
        .get();
    let name = match first.as_bytes() {
        [b'"', name @ .., b'"'] if !name.contains(&b'\\') => {
            Cow::Borrowed(&first[1..first.len() - 1])
        }
        [b'"', ..] => {
            let name: String =
                serde_json::from_str(&mend(first)).map_err(|_| Misbehaviour::Payload(kind))?;
            Cow::Owned(name)
        }
        [b'-' | b'0'..=b'9', ..] => Cow::Borrowed(first),
        _ => return Err(Misbehaviour::Payload(kind).into()),
    };
    if is_reserved(&name) {
        return Err(Misbehaviour::ReservedEvent.into());
    }
    // The array is well-formed: behind its first element there is a comma, or nothing.
    let args = inside(data)
        .strip_prefix(first)
        .and_then(|args| args.trim_start_matches(JSON_SPACE).strip_prefix(','))
        .map_or("", |args| args.trim_start_matches(JSON_SPACE));
    Ok(Body::Event { name: Some(name), args })
}

/// Visits a whole array and keeps its first element.
struct FirstOfArray;

impl<'de> Visitor<'de> for FirstOfArray {
    type Value = &'de RawValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array that begins with the event's name")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let first = array.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(first)
    }
}
