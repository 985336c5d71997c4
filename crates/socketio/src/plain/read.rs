//! From what a plain client sends to an event or an ack.

use alloc::{
    borrow::Cow,
    string::{String, ToString as _},
    vec::Vec,
};
use core::fmt;

use base64::Engine as _;
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{error::Category, value::RawValue};

use super::{BASE64, Error, Message, dollars, end_of_string, may_have_dollars};
use crate::{
    Kind, Limit, Limits, is_reserved,
    packet::{JSON_SPACE, inside, optional},
    surrogates::mend,
};

/// The most bytes of an unknown key that its error repeats.
const QUOTED: usize = 64;

/// Reads a message.
///
/// # Errors
///
/// It is not what [the convention](crate::plain) says, or has more binary in it than the `limits` for
/// attachments allow. The connection is over.
pub fn decode<'a>(text: &'a str, limits: &Limits) -> Result<Message<'a>, Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    let fields = Fields::deserialize(&mut json)
        .and_then(|fields| json.end().map(|()| fields))
        .map_err(|error| match error.classify() {
            Category::Data => Error::NotAnObject,
            Category::Syntax | Category::Eof | Category::Io => Error::Json,
        })?;
    if let Some(wrong) = fields.wrong {
        return Err(wrong);
    }
    let arguments = || {
        let Some(args) = fields.args else { return Ok((Cow::Borrowed(""), Vec::new())) };
        let args = args.get();
        if !args.starts_with('[') {
            return Err(Error::Args);
        }
        match mend(inside(args)) {
            Cow::Borrowed(args) => restore(args, limits),
            Cow::Owned(args) => {
                let (args, attachments) = restore(&args, limits)?;
                Ok((Cow::Owned(args.into_owned()), attachments))
            }
        }
    };
    match (fields.event, fields.ack) {
        (None, None) => Err(Error::Nothing),
        (Some(_), Some(_)) => Err(Error::EventAndAck),
        (Some(event), None) => {
            let name = string(event.get()).ok_or(Error::EventName)?;
            if is_reserved(&name) {
                return Err(Error::ReservedEvent(name.into()));
            }
            let id = fields.id.map(|value| id("id", value)).transpose()?;
            let (args, attachments) = arguments()?;
            Ok(Message::Event { name, args, attachments, id })
        }
        (None, Some(_)) if fields.id.is_some() => Err(Error::IdOfAck),
        (None, Some(ack)) => {
            let id = id("ack", ack)?;
            let (args, attachments) = arguments()?;
            Ok(Message::Ack { id, args, attachments })
        }
    }
}

/// Checks what a plain client is let in by: a JSON object, as over Socket.IO.
///
/// # Errors
///
/// [`Error::Auth`]. The connection is over.
pub fn auth(json: &str) -> Result<&str, Error> {
    let json = json.trim_matches(JSON_SPACE);
    match optional(Kind::Connect, json, &["{"]) {
        Ok(Some(auth)) => Ok(auth),
        Ok(None) | Err(_) => Err(Error::Auth),
    }
}

/// A message's values by their keys, none of them judged.
#[derive(Default)]
struct Fields<'a> {
    event: Option<&'a RawValue>,
    args: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    ack: Option<&'a RawValue>,
    /// What is wrong with the keys.
    wrong: Option<Error>,
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(message: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Fields::default();
                while let Some(key) = object.next_key::<Key>()? {
                    let (name, place) = match key {
                        Key::Event => ("event", &mut fields.event),
                        Key::Args => ("args", &mut fields.args),
                        Key::Id => ("id", &mut fields.id),
                        Key::Ack => ("ack", &mut fields.ack),
                        Key::Unknown(key) => {
                            fields.wrong.get_or_insert(Error::UnknownKey(key.into()));
                            object.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    if place.replace(object.next_value()?).is_some() {
                        fields.wrong.get_or_insert(Error::RepeatedKey(name));
                    }
                }
                Ok(fields)
            }
        }
        message.deserialize_map(FieldsVisitor)
    }
}

enum Key {
    Event,
    Args,
    Id,
    Ack,
    /// As much of it as is repeated to the client.
    Unknown(String),
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(key: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E>(self, key: &str) -> Result<Key, E> {
                Ok(match key {
                    "event" => Key::Event,
                    "args" => Key::Args,
                    "id" => Key::Id,
                    "ack" => Key::Ack,
                    _ => Key::Unknown(key[..key.floor_char_boundary(QUOTED)].to_string()),
                })
            }
        }
        key.deserialize_identifier(KeyVisitor)
    }
}

/// A well-formed value, if it is a string.
fn string(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(&mend(json)).ok().map(Cow::Owned)
}

fn id(key: &'static str, value: &RawValue) -> Result<u64, Error> {
    value.get().parse().map_err(|_| Error::Id(key))
}

/// Takes binary out of well-formed JSON, leaves placeholders where it was, and takes one `$` from the keys
/// that have too many.
fn restore<'a>(json: &'a str, limits: &Limits) -> Result<(Cow<'a, str>, Vec<Bytes>), Error> {
    if !may_have_dollars(json) {
        return Ok((Cow::Borrowed(json), Vec::new()));
    }
    let mut restored = String::with_capacity(json.len());
    let mut attachments = Attachments { all: Vec::new(), bytes: 0 };
    let mut placeholder = false;
    let mut rest = json;
    while let Some(at) = rest.find('"') {
        restored.push_str(&rest[..at]);
        let (text, behind) = rest[at..].split_at(end_of_string(&rest[at..]));
        rest = behind;
        let Some(value) = behind.trim_start_matches(JSON_SPACE).strip_prefix(':') else {
            restored.push_str(text);
            continue;
        };
        let value = value.trim_start_matches(JSON_SPACE);
        match dollars(text) {
            0 => {
                placeholder |= value.starts_with("true") && is_placeholder(text);
                restored.push_str(text);
            }
            1 => {
                // Structure, since strings are copied as a whole.
                let before = restored.trim_end_matches(JSON_SPACE).strip_suffix('{');
                let before = before.ok_or(Error::Binary)?.len();
                restored.truncate(before);
                rest = attachments.take(value, limits)?;
                restored.push_str("{\"_placeholder\":true,\"num\":");
                restored.push_str(&(attachments.all.len() - 1).to_string());
                restored.push('}');
            }
            _ => {
                // The first `$` is one character, or its escape.
                let dollar = if text.starts_with("\"$") { "\"$".len() } else { "\"\\u0024".len() };
                restored.push('"');
                restored.push_str(&text[dollar..]);
            }
        }
    }
    restored.push_str(rest);
    if placeholder && !attachments.all.is_empty() {
        return Err(Error::Placeholder);
    }
    Ok((Cow::Owned(restored), attachments.all))
}

fn is_placeholder(key: &str) -> bool {
    string(key).is_some_and(|key| key == "_placeholder")
}

/// The binary of one message.
struct Attachments {
    all: Vec<Bytes>,
    /// The bytes of all.
    bytes: usize,
}

impl Attachments {
    /// Takes the one whose base64 the JSON begins with, and returns what is behind its object.
    fn take<'a>(&mut self, json: &'a str, limits: &Limits) -> Result<&'a str, Error> {
        let text = json.starts_with('"').then(|| end_of_string(json)).ok_or(Error::Binary)?;
        let (text, behind) = json.split_at(text);
        let behind =
            behind.trim_start_matches(JSON_SPACE).strip_prefix('}').ok_or(Error::Binary)?;
        let count = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        if count >= limits.max_attachments {
            return Err(Limit::Attachments.into());
        }
        // Some languages write `/` as `\/`.
        let base64 = string(text).ok_or(Error::Binary)?;
        let binary = BASE64.decode(base64.as_bytes()).map_err(|_| Error::Binary)?;
        self.bytes = self.bytes.saturating_add(binary.len());
        if self.bytes > limits.max_attachment_bytes {
            return Err(Limit::AttachmentBytes.into());
        }
        self.all.push(binary.into());
        Ok(behind)
    }
}
