//! JSON that may hold binary, for whoever does not know what the peer sends.
//!
//! `serde_json::Value` cannot do it: it has no place for bytes, so that attachments would stay
//! placeholders, and it sorts the keys of objects, which JavaScript keeps in order.
//!
//! Binary goes out as from any other type, by serialising as bytes. How it comes in, see [`read`].

mod convert;
mod map;
pub(crate) mod read;

use alloc::{string::String, vec::Vec};

use bytes::Bytes;
use serde::ser::{Serialize, Serializer};
use serde_json::Number;

pub use map::Map;

/// Any argument: JSON in which binary may stand anywhere.
///
/// For an echo, a relay, a fallback, a tool; a handler that knows what it expects is better served
/// by a type that says so. Read as [`decode_args`](crate::decode_args) reads other types, it takes
/// the first argument, and is [`Null`](Self::Null) if there is none. For all of them there is
/// [`Args`](crate::Args).
///
/// What was read and is sent again is the same to a JavaScript peer, except that of several equal
/// keys in an object only one is left (see [`Map`]).
///
/// # Reading
///
/// - A placeholder is [`Binary`](Self::Binary) if the packet has attachments, and an object like any
///   other if it has none. Every encoder writes one placeholder for each attachment; a `Value` with
///   more of them than the packet has attachments is an error, lest small packets become large
///   values.
/// - A number too large for an `f64` (`1e400`; to JavaScript infinite) is an error.
/// - More than 127 arrays and objects inside of each other are an error.
/// - Inside of types that serde buffers (`#[serde(flatten)]`, untagged and internally tagged enums)
///   placeholders stay objects, as `decode_args` says of all binary.
///
/// # Sending
///
/// It is always one argument, even if it is `Null` or an array.
///
/// ```
/// use sockeye_socketio::{Value, decode_args};
///
/// let attachments = [bytes::Bytes::from_static(b"png")];
/// let args = r#"{"name":"fish","file":{"_placeholder":true,"num":0}}"#;
/// let upload: Value = decode_args(args, &attachments)?;
/// assert_eq!(upload.get("name").and_then(Value::as_str), Some("fish"));
/// assert_eq!(upload.get("file").and_then(Value::as_binary), Some(&attachments[0]));
/// # Ok::<(), sockeye_socketio::ArgsError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `null`, JavaScript's `undefined`, or an argument that was not sent.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number. As in `serde_json`, `1` and `1.0` differ.
    Number(Number),
    /// Text.
    String(String),
    /// Binary: to JavaScript a `Buffer` or an `ArrayBuffer`, on the wire an attachment.
    Binary(Bytes),
    /// An array.
    Array(Vec<Value>),
    /// An object.
    Object(Map),
}

impl Value {
    /// Whether it is [`Null`](Self::Null).
    #[must_use]
    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }

    /// The boolean, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// The number, if it is an integer that fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        self.as_number()?.as_i64()
    }

    /// The number, if it is an integer that fits.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        self.as_number()?.as_u64()
    }

    /// The number, if it is one. Integers beyond 2⁵³ are rounded, as in JavaScript.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        self.as_number()?.as_f64()
    }

    fn as_number(&self) -> Option<&Number> {
        if let Self::Number(number) = self { Some(number) } else { None }
    }

    /// The text, if it is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The bytes, if it is binary.
    #[must_use]
    pub fn as_binary(&self) -> Option<&Bytes> {
        if let Self::Binary(bytes) = self { Some(bytes) } else { None }
    }

    /// The elements, if it is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Value]> {
        if let Self::Array(array) = self { Some(array) } else { None }
    }

    /// The entries, if it is an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&Map> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// The value of a key, if it is an object and has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_object()?.get(key)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // Not as a unit, which as the data of an event would be no argument at all.
            Self::Null => serializer.serialize_none(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::String(text) => serializer.serialize_str(text),
            Self::Binary(bytes) => serializer.serialize_bytes(bytes),
            Self::Array(array) => array.serialize(serializer),
            Self::Object(object) => {
                serializer.collect_map(object.iter().map(|(key, value)| (key, value)))
            }
        }
    }
}
