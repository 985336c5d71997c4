//! The default parser's `replacer` and `reviver`: the arguments of JavaScript's `JSON.stringify` and
//! `JSON.parse`, as npm's `socket.io-parser` hands them on.
//!
//! Both see the data of a packet, value by value, and neither its namespace and its ack id. Attachments
//! they see as their placeholders, since these are taken out before, and put back behind. What they make is
//! text again, that is written, or judged, as any other.

use alloc::{borrow::Cow, format, string::String};

use serde::de::IgnoredAny;

use crate::{
    Error, Kind, Limits, Malformed, Misbehaviour, Value,
    packet::{Parts, body, split},
    plain::UNLIMITED,
    surrogates::mend,
};

/// Makes another value of one that has this key: in an array its index, and outermost the empty string.
/// `None` is JavaScript's `undefined`: an object's entry is left out, and in an array `null` stands there.
pub type Rewrite = dyn Fn(&str, Value) -> Option<Value> + Send + Sync;

/// How deep values may nest: as deep as they are read.
const MAX_DEPTH: usize = 127;

/// The text of a packet, as the encoders write it, with what `JSON.stringify(data, replacer)` makes of its
/// data: first a value, then what is in that which the replacer has made of it. A text that is no packet
/// stays as it is.
///
/// # Errors
///
/// What the replacer makes is no data of such a packet, over which its client would end the connection; or it
/// nests too deep.
pub fn replace<'a>(text: &'a str, replacer: &Rewrite) -> Result<Cow<'a, str>, Error> {
    let Ok(Parts { kind, ack, mut data, .. }) = split(text, &UNLIMITED) else {
        return Ok(Cow::Borrowed(text));
    };
    if kind == Kind::ConnectError && ack.is_some() {
        // A refusal has no ack id, but of revision 4 it may be a number.
        let before = &text[1..text.len() - data.len()];
        data = &text[1 + before.trim_end_matches(|digit: char| digit.is_ascii_digit()).len()..];
    }
    if serde_json::from_str::<IgnoredAny>(data).is_err() {
        return Ok(Cow::Borrowed(text)); // Without data, or no packet.
    }
    let replaced = rewrite(text, kind, data, |value| replaced("", value, replacer, MAX_DEPTH))?;
    // A refusal is an object, but to a client of revision 4 any JSON.
    if kind != Kind::ConnectError || data.starts_with('{') {
        body(kind, &replaced[text.len() - data.len()..])?;
    }
    Ok(Cow::Owned(replaced))
}

/// The text of a packet with what `JSON.parse(data, reviver)` makes of its data: first what is in a value, then
/// the value. It is not judged; [`Connection`](crate::Connection) does that.
///
/// # Errors
///
/// It is no packet, or its data cannot be looked through: it is no JSON, nests deeper than 127 levels, or holds a
/// number beyond every `f64`. Or nothing is left of its data, or a number.
pub fn revive<'a>(
    text: &'a str,
    limits: &Limits,
    reviver: &Rewrite,
) -> Result<Cow<'a, str>, Error> {
    let Parts { kind, data, .. } = split(text, limits)?;
    if data.is_empty() {
        return Ok(Cow::Borrowed(text));
    }
    let with = |value| {
        // A number is no packet's data, and would be read as an ack id, or as the end of one.
        Ok(revived("", value, reviver).filter(|data| !matches!(data, Value::Number(_))))
    };
    rewrite(text, kind, data, with).map(Cow::Owned)
}

/// Writes other JSON into a packet.
fn rewrite(
    text: &str,
    kind: Kind,
    data: &str,
    with: impl FnOnce(Value) -> Result<Option<Value>, Error>,
) -> Result<String, Error> {
    let value = serde_json::from_str(&mend(data)).map_err(|_| Misbehaviour::Json(kind))?;
    let value = with(value)?.ok_or(Misbehaviour::Payload(kind))?;
    let written = serde_json::to_string(&value).map_err(|_| Misbehaviour::Json(kind))?;
    Ok(format!("{}{written}", &text[..text.len() - data.len()]))
}

fn replaced(
    key: &str,
    value: Value,
    replacer: &Rewrite,
    depth: usize,
) -> Result<Option<Value>, Error> {
    let within = |key: &str, value| match depth.checked_sub(1) {
        Some(depth) => replaced(key, value, replacer, depth),
        None => Err(Malformed::Depth.into()),
    };
    Ok(match replacer(key, value) {
        Some(Value::Array(values)) => {
            let values = values.into_iter().enumerate();
            let values = values.map(|(at, value)| within(&format!("{at}"), value));
            let values: Result<_, Error> =
                values.map(|value| value.map(Option::unwrap_or_default)).collect();
            Some(Value::Array(values?))
        }
        Some(Value::Object(entries)) => {
            let entries = entries.into_iter().filter_map(|(key, value)| {
                let value = within(&key, value).transpose()?;
                Some(value.map(|value| (key, value)))
            });
            Some(Value::Object(entries.collect::<Result<_, Error>>()?))
        }
        other => other,
    })
}

/// The depth was bounded when the value was read.
fn revived(key: &str, value: Value, reviver: &Rewrite) -> Option<Value> {
    let within = match value {
        Value::Array(values) => {
            let values = values.into_iter().enumerate();
            let values = values.map(|(at, value)| revived(&format!("{at}"), value, reviver));
            Value::Array(values.map(Option::unwrap_or_default).collect())
        }
        Value::Object(entries) => {
            let entries = entries.into_iter().filter_map(|(key, value)| {
                let value = revived(&key, value, reviver)?;
                Some((key, value))
            });
            Value::Object(entries.collect())
        }
        scalar => scalar,
    };
    reviver(key, within)
}
