//! How a [`Value`] gets at the attachments.
//!
//! A type that knows what it wants asks serde for bytes, and then [`Restoring`] reads a placeholder.
//! A `Value` takes what comes, and whether an object is a placeholder shows only at its end, since
//! its keys have no fixed order. Thus it needs the attachments itself, for which serde has no way;
//! two conventions make one:
//!
//! 1. A `Value` asks for a newtype of a [name](NAME) that nobody else uses. To any other deserializer
//!    that is a newtype around whatever there is.
//! 2. [`Restoring`] knows the name, and [answers with an enum](hand_over): its variant is the list of
//!    attachments, its content the JSON. JSON has no enums of its own accord, so no peer can forge one.
//!
//! From there on the JSON is read without `Restoring`.
//!
//! [`Restoring`]: crate::restore::Restoring

use alloc::{string::String, vec::Vec};
use core::{cell::Cell, fmt};

use bytes::Bytes;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess,
    VariantAccess, Visitor,
    value::{BorrowedBytesDeserializer, MapAccessDeserializer, SeqDeserializer},
};

use super::{Map, Value};

/// The name of the newtype as which a [`Value`] is read.
pub(crate) const NAME: &str = "$sockeye::Value";

/// Hands JSON and the attachments for it to the visitor of a [`Value`], or of
/// [`Args`](crate::Args).
pub(crate) fn hand_over<'de, D: Deserializer<'de>, V: Visitor<'de>>(
    json: D,
    attachments: &'de [Bytes],
    visitor: V,
) -> Result<V::Value, D::Error> {
    let handover = HandOver { json: Some(json), attachments };
    visitor.visit_enum(MapAccessDeserializer::new(handover))
}

/// One entry: the attachments as its key. serde makes an enum of it.
struct HandOver<'de, D> {
    json: Option<D>,
    attachments: &'de [Bytes],
}

impl<'de, D: Deserializer<'de>> MapAccess<'de> for HandOver<'de, D> {
    type Error = D::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, D::Error> {
        let attachments = self.attachments.iter().map(|data| BorrowedBytesDeserializer::new(data));
        seed.deserialize(SeqDeserializer::new(attachments)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, D::Error> {
        let json = self.json.take().ok_or_else(|| D::Error::custom("there is one value only"))?;
        seed.deserialize(json)
    }
}

/// What is handed over besides the JSON.
pub(crate) struct Attachments<'de> {
    all: Vec<&'de [u8]>,
    /// How many more placeholders there may be.
    left: Cell<usize>,
}

impl<'de> Attachments<'de> {
    /// What a placeholder with this `num` stands for.
    fn take<E: Error>(&self, num: Option<&Value>) -> Result<Bytes, E> {
        let data = num
            .and_then(Value::as_u64)
            .and_then(|num| self.all.get(usize::try_from(num).ok()?))
            .ok_or_else(|| E::custom("a placeholder for an attachment that does not exist"))?;
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| E::custom("more placeholders than attachments"))?);
        Ok(Bytes::copy_from_slice(data))
    }
}

impl<'de> Deserialize<'de> for Attachments<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = Vec::deserialize(deserializer)?;
        Ok(Self { left: Cell::new(all.len()), all })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(NAME, Reader::PLAIN)
    }
}

/// Reads a value: the seed, and the visitor.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a, 'de> {
    attachments: Option<&'a Attachments<'de>>,
}

impl<'a, 'de> Reader<'a, 'de> {
    /// For JSON without attachments.
    pub(crate) const PLAIN: Self = Self { attachments: None };

    /// For JSON that was [handed over](hand_over) with these.
    pub(crate) fn with(attachments: &'a Attachments<'de>) -> Self {
        Self { attachments: Some(attachments) }
    }

    /// Reads the elements of an array.
    pub(crate) fn elements<A: SeqAccess<'de>>(self, mut array: A) -> Result<Vec<Value>, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = array.next_element_seed(self)? {
            elements.push(element);
        }
        Ok(elements)
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_, 'de> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Methods of a visitor for values without content.
macro_rules! visit {
    ($($method:ident($type:ty))*) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<Value, E> {
            Ok(value.into())
        }
    )*};
}

impl<'de> Visitor<'de> for Reader<'_, 'de> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    visit! {
        visit_bool(bool) visit_i64(i64) visit_u64(u64) visit_f64(f64)
        visit_str(&str) visit_string(String)
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Bytes::copy_from_slice(bytes).into())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Value, E> {
        Ok(Bytes::from(bytes).into())
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, some: D) -> Result<Value, D::Error> {
        some.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, newtype: D) -> Result<Value, D::Error> {
        newtype.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, array: A) -> Result<Value, A::Error> {
        self.elements(array).map(Value::Array)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = object.next_key::<String>()? {
            entries.push((key, object.next_value_seed(self)?));
        }
        let object = Map::from_entries(entries);
        match self.attachments {
            Some(attachments) if object.get("_placeholder") == Some(&Value::Bool(true)) => {
                attachments.take(object.get("num")).map(Value::Binary)
            }
            _ => Ok(Value::Object(object)),
        }
    }

    /// Takes what was [handed over](hand_over).
    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Value, A::Error> {
        let (attachments, json) = data.variant()?;
        json.newtype_variant_seed(Reader::with(&attachments))
    }
}
