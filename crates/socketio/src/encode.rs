//! Encoders of a server's packets. Each appends one Socket.IO packet to `out`.
//!
//! What stands in `out` already, such as room for a frame's head and Engine.IO's `4`, stays as it
//! is. On an error `out` is as before.
//!
//! Namespaces must be [valid](crate::is_valid_namespace): whoever lets one into a server checks it
//! once, and one that a peer named is valid by the way it was read.
//!
//! # Arguments
//!
//! Events and acks have positional arguments. A tuple, a tuple struct with several fields and an
//! array `[T; N]` are as many arguments as they have fields; [`Args`](crate::Args) are as many as
//! there are; `()` is none; anything else is one. serde does not tell arrays from tuples (for a list
//! as *one* argument take a slice or a `Vec`), nor `()` from `serde_json::Value::Null` (which
//! JavaScript thus gets as `undefined`).
//!
//! # Binary
//!
//! Whatever serialises as bytes (`bytes::Bytes`, for one; not `Vec<u8>`, which to serde is a list of
//! numbers), at any depth, becomes an attachment: the packet has a placeholder, and the caller sends
//! the attachments, which the function returns, as binary messages right behind the packet. Each is
//! copied once. JavaScript peers accept 10 of them by default
//! ([`Limits::max_attachments`](crate::Limits::max_attachments)), and close the connection over an
//! eleventh.

use alloc::{boxed::Box, string::ToString as _, vec::Vec};
use core::{cell::RefCell, fmt};

use bytes::Bytes;
use serde::{
    Serialize,
    ser::{SerializeSeq as _, Serializer as _},
};

use crate::{Kind, is_reserved, spread::spread};

/// What the caller cannot send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// The event's name is one of [`RESERVED_EVENTS`](crate::RESERVED_EVENTS). Peers would close
    /// the connection.
    ReservedEvent(Box<str>),
    /// A value cannot be written as JSON, in serde's words.
    Serialize(Box<str>),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedEvent(name) => {
                write!(f, "{name:?} is a reserved name, and cannot be an event")
            }
            Self::Serialize(message) => {
                write!(f, "the arguments cannot be written as JSON: {message}")
            }
        }
    }
}

impl core::error::Error for EncodeError {}

impl From<serde_json::Error> for EncodeError {
    fn from(error: serde_json::Error) -> Self {
        Self::Serialize(error.to_string().into())
    }
}

/// The yes to a CONNECT: `0{"sid":"…"}`, `sid` being the socket's public id; with `"pid":"…"`, the
/// secret by which the client can be recovered, if there is one.
pub fn connect(out: &mut Vec<u8>, namespace: &str, sid: &str, pid: Option<&str>) {
    #[derive(Serialize)]
    struct Yes<'a> {
        sid: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        pid: Option<&'a str>,
    }
    head(out, Kind::Connect, namespace, None);
    let written = serde_json::to_writer(out, &Yes { sid, pid });
    debug_assert!(written.is_ok(), "text can always be written as JSON");
}

/// The no to a CONNECT: `4{"message":"…","data":…}`; without `data`, if there is none.
///
/// Binary in `data` is written as a list of numbers, since this packet has no attachments.
///
/// # Errors
///
/// `data` cannot be written as JSON.
pub fn connect_error<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    namespace: &str,
    message: &str,
    data: Option<&T>,
) -> Result<(), EncodeError> {
    #[derive(Serialize)]
    struct No<'a, T: ?Sized> {
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'a T>,
    }
    whole(out, |out| {
        head(out, Kind::ConnectError, namespace, None);
        Ok(serde_json::to_writer(out, &No { message, data })?)
    })
}

/// Ends the client's membership of a namespace: `1`.
pub fn disconnect(out: &mut Vec<u8>, namespace: &str) {
    head(out, Kind::Disconnect, namespace, None);
}

/// An event, with an id if an answer is wanted: `2["name",…]`, or `5…` with attachments. Returns
/// these.
///
/// # Errors
///
/// The name is reserved, or the arguments cannot be written as JSON.
pub fn event<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    namespace: &str,
    ack: Option<u64>,
    name: &str,
    args: &T,
) -> Result<Vec<Bytes>, EncodeError> {
    if is_reserved(name) {
        return Err(EncodeError::ReservedEvent(name.into()));
    }
    with_attachments(out, [Kind::Event, Kind::BinaryEvent], namespace, ack, |out, attachments| {
        let mut json = serde_json::Serializer::new(out);
        let mut array = json.serialize_seq(None)?;
        array.serialize_element(name)?;
        spread(&mut array, attachments, false, args)?;
        Ok(array.end()?)
    })
}

/// An event whose arguments are JSON already, as [`decode`](crate::decode) hands them out but with the
/// event's name as the first: what another server has encoded. Returns the attachments.
///
/// The JSON is not looked at: placeholders must be as many as the attachments.
pub fn event_of_json(
    out: &mut Vec<u8>,
    namespace: &str,
    ack: Option<u64>,
    args: &str,
    attachments: Vec<Bytes>,
) -> Vec<Bytes> {
    let kinds = [Kind::Event, Kind::BinaryEvent];
    let written = with_attachments(out, kinds, namespace, ack, |out, found| {
        out.push(b'[');
        out.extend_from_slice(args.as_bytes());
        out.push(b']');
        found.replace(attachments);
        Ok(())
    });
    written.unwrap_or_default() // Nothing in it can fail.
}

/// The answer to the client's event with that id: `3id[…]`, or `6…` with attachments. Returns
/// these.
///
/// An outermost `Result` is taken apart, so that a handler can answer with one: `Ok(args)` is as
/// `args`, and `Err(error)` is the one argument `{"error": error}`. In JavaScript that is
/// `if (answer.error) ..`.
///
/// # Errors
///
/// The arguments cannot be written as JSON.
pub fn ack<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    namespace: &str,
    id: u64,
    args: &T,
) -> Result<Vec<Bytes>, EncodeError> {
    with_attachments(out, [Kind::Ack, Kind::BinaryAck], namespace, Some(id), |out, attachments| {
        let mut json = serde_json::Serializer::new(out);
        let mut array = json.serialize_seq(None)?;
        spread(&mut array, attachments, true, args)?;
        Ok(array.end()?)
    })
}

/// Writes a packet as text, and makes it the binary kind if the payload turns out to hold binary:
/// `5n-…`. That is rare, so the number is put in afterwards rather than looked for before.
fn with_attachments(
    out: &mut Vec<u8>,
    [text, binary]: [Kind; 2],
    namespace: &str,
    id: Option<u64>,
    payload: impl FnOnce(&mut Vec<u8>, &RefCell<Vec<Bytes>>) -> Result<(), EncodeError>,
) -> Result<Vec<Bytes>, EncodeError> {
    let attachments = RefCell::new(Vec::new());
    let start = out.len();
    whole(out, |out| {
        head(out, text, namespace, id);
        payload(out, &attachments)
    })?;
    let attachments = attachments.into_inner();
    if !attachments.is_empty() {
        let mut binary = Vec::from([binary.as_byte()]);
        decimal(&mut binary, attachments.len() as u64);
        binary.push(b'-');
        out.splice(start..=start, binary);
    }
    Ok(attachments)
}

/// Appends all that `write` does, or nothing.
pub(crate) fn whole(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.len();
    write(out).inspect_err(|_| out.truncate(start))
}

/// `<type>[<namespace>,][<id>]`
pub(crate) fn head(out: &mut Vec<u8>, kind: Kind, namespace: &str, id: Option<u64>) {
    out.push(kind.as_byte());
    if namespace != "/" {
        out.extend_from_slice(namespace.as_bytes());
        out.push(b',');
    }
    if let Some(id) = id {
        decimal(out, id);
    }
}

fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20]; // As many as u64::MAX has.
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
