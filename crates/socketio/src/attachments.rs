//! Putting a packet together with its attachments.
//!
//! A binary packet announces how many binary messages follow it, and its JSON says where they
//! belong: `{"_placeholder":true,"num":0}`. Node collects them without a limit of time; a client
//! that never sends the rest would hold memory for ever. Here each has a deadline.

use alloc::{borrow::Cow, boxed::Box, string::String, vec::Vec};
use core::fmt;

use bytes::Bytes;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::{
    Body, Error, Event, Limit, Limits, Misbehaviour, args::Arguments, packet::Packet,
    surrogates::mend,
};

/// A packet whose attachments are not all there.
#[derive(Debug)]
pub(crate) struct Assembly {
    namespace: Box<str>,
    ack: Option<u64>,
    body: OwnedBody,
    attachments: Vec<Bytes>,
    announced: u32,
    /// Bytes of the attachments that have come.
    bytes: usize,
    deadline: u64,
}

#[derive(Debug)]
enum OwnedBody {
    Event {
        name: Option<String>,
        args: String,
    },
    Ack {
        args: String,
    },
    /// Only events and acks have attachments.
    Other,
}

impl Assembly {
    /// Begins with a packet that announces attachments.
    pub(crate) fn new(now: u64, limits: &Limits, packet: &Packet<'_>) -> Result<Self, Error> {
        let body = match &packet.body {
            Body::Event { name, args } => OwnedBody::Event {
                name: name.as_deref().map(String::from),
                args: mend(args).into_owned(),
            },
            Body::Ack { args } => OwnedBody::Ack { args: mend(args).into_owned() },
            Body::Connect(_) | Body::Disconnect | Body::ConnectError(_) => OwnedBody::Other,
        };
        if let OwnedBody::Event { args, .. } | OwnedBody::Ack { args } = &body {
            check_placeholders(args, packet.attachments)?;
        }
        Ok(Self {
            namespace: packet.namespace.into(),
            ack: packet.ack,
            body,
            attachments: Vec::new(),
            announced: packet.attachments,
            bytes: 0,
            deadline: now.saturating_add(limits.attachment_timeout),
        })
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// When the next attachment is overdue.
    pub(crate) fn deadline(&self) -> u64 {
        self.deadline
    }

    /// Takes the next attachment; `true`: it was the last.
    pub(crate) fn add(
        &mut self,
        now: u64,
        limits: &Limits,
        attachment: Bytes,
    ) -> Result<bool, Error> {
        self.bytes = self.bytes.saturating_add(attachment.len());
        if self.bytes > limits.max_attachment_bytes {
            return Err(Limit::AttachmentBytes.into());
        }
        self.attachments.push(attachment);
        self.deadline = now.saturating_add(limits.attachment_timeout);
        Ok(u32::try_from(self.attachments.len()).is_ok_and(|count| count >= self.announced))
    }

    /// What the whole packet is for the layer above; `None` if it is nothing that anybody awaits.
    pub(crate) fn into_event(self) -> Option<Event<'static>> {
        let namespace = Cow::Owned(self.namespace.into_string());
        let attachments = self.attachments;
        match self.body {
            OwnedBody::Event { name, args } => Some(Event::Event {
                namespace,
                name: Cow::Owned(name?),
                args: Cow::Owned(args),
                attachments,
                ack: self.ack,
            }),
            OwnedBody::Ack { args } => {
                Some(Event::Ack { namespace, id: self.ack?, args: Cow::Owned(args), attachments })
            }
            OwnedBody::Other => None,
        }
    }
}

/// Refuses a packet with a placeholder for an attachment that it does not announce, before its
/// attachments are awaited. (Node finds out when all have come.)
///
/// It also refuses more placeholders than attachments: no encoder writes them, and a type that
/// takes its bytes by copy would let a small packet grow without limit. For the same reason what
/// nests too deep to be looked through is refused, though Node would take it.
pub(crate) fn check_placeholders(args: &str, announced: u32) -> Result<(), Error> {
    let mut found = Found { illegal: false, placeholders: 0 };
    let mut arguments = Arguments::new(args, &[]);
    while !arguments.is_empty() {
        if arguments.next(Walk { announced, found: &mut found }).is_err() {
            found.illegal = true;
            break;
        }
    }
    if found.illegal || found.placeholders > announced {
        return Err(Misbehaviour::PlaceholderOutOfRange.into());
    }
    Ok(())
}

/// What a [`Walk`] came upon.
struct Found {
    illegal: bool,
    placeholders: u32,
}

/// Visits a value with all that is in it, looking for placeholders.
struct Walk<'a> {
    announced: u32,
    found: &'a mut Found,
}

impl Walk<'_> {
    fn again(&mut self) -> Walk<'_> {
        Walk { announced: self.announced, found: self.found }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Scalar;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<Scalar, D::Error> {
        value.deserialize_any(self)
    }
}

/// As much of a visited value as a placeholder needs to know.
#[derive(Clone, Copy, PartialEq)]
enum Scalar {
    True,
    Number(f64),
    Other,
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        Ok(if value { Scalar::True } else { Scalar::Other })
    }

    fn visit_i64<E>(self, _: i64) -> Result<Scalar, E> {
        Ok(Scalar::Number(-1.0)) // JSON's integers come as `u64` unless they are negative.
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar::Number(u32::try_from(value).map_or(f64::INFINITY, f64::from)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar::Number(value))
    }

    fn visit_str<E>(self, _: &str) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut array: A) -> Result<Scalar, A::Error> {
        while array.next_element_seed(self.again())?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<Scalar, A::Error> {
        let (mut placeholder, mut num) = (Scalar::Other, Scalar::Other);
        while let Some(key) = object.next_key()? {
            let value = object.next_value_seed(self.again())?;
            match key {
                Key::Placeholder => placeholder = value,
                Key::Num => num = value,
                Key::Other => {}
            }
        }
        let legal = |num| (0.0..f64::from(self.announced)).contains(&num);
        if placeholder == Scalar::True {
            self.found.placeholders = self.found.placeholders.saturating_add(1);
            self.found.illegal |= !matches!(num, Scalar::Number(num) if legal(num));
        }
        Ok(Scalar::Other)
    }
}

/// The keys of a placeholder.
pub(crate) enum Key {
    Placeholder,
    Num,
    Other,
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
                    "_placeholder" => Key::Placeholder,
                    "num" => Key::Num,
                    _ => Key::Other,
                })
            }
        }
        key.deserialize_identifier(KeyVisitor)
    }
}

/// Reads a placeholder's object, and says which attachment it stands for.
pub(crate) fn placeholder<'de, A: MapAccess<'de>>(
    mut object: A,
    attachments: &'de [Bytes],
) -> Result<&'de Bytes, A::Error> {
    use serde::de::Error as _;
    let (mut placeholder, mut num) = (false, None);
    while let Some(key) = object.next_key()? {
        match key {
            Key::Placeholder => placeholder = object.next_value()?,
            Key::Num => num = Some(object.next_value::<usize>()?),
            Key::Other => drop(object.next_value::<IgnoredAny>()?),
        }
    }
    if !placeholder {
        return Err(A::Error::custom("expected binary, found an object that is no placeholder"));
    }
    num.and_then(|num| attachments.get(num))
        .ok_or_else(|| A::Error::custom("a placeholder for an attachment that does not exist"))
}
