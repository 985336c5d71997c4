//! What stands in a dynamic namespace's name.

use std::fmt::{self, Display};

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use sockeye_handler::{Event, FromEvent, Rejection};

use crate::pattern::Captures;
use crate::socket::Socket;

/// The name of the socket's namespace, such as `/workspace-7`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceName(pub Box<str>);

impl FromEvent<Socket> for NamespaceName {
    fn from_event(socket: &Socket, _: &mut Event<'_>) -> Result<Self, Rejection> {
        Ok(Self(socket.namespace().into()))
    }
}

/// What stands in the places of a [dynamic namespace's](crate::Namespace::matching) name: a struct or a map by
/// the places' names, a tuple in their order, or the one value of a single place. The groups of a regular
/// expression are named by their names, or numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned> FromEvent<Socket> for Path<T> {
    fn from_event(socket: &Socket, _: &mut Event<'_>) -> Result<Self, Rejection> {
        let captures = &socket.inner.namespace.captures;
        T::deserialize(Places(captures)).map(Self).map_err(|error| Rejection::new(error.0))
    }
}

impl<T> std::ops::Deref for Path<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[derive(Debug)]
struct Unfit(String);

impl Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfit {}

impl de::Error for Unfit {
    fn custom<T: Display>(message: T) -> Self {
        Self(format!("the namespace's name does not fit: {message}"))
    }
}

struct Places<'a>(&'a Captures);

impl<'de> Places<'de> {
    fn only(&self) -> Result<Text<'de>, Unfit> {
        match &**self.0 {
            [(_, text)] => Ok(Text(text)),
            places => {
                Err(de::Error::custom(format_args!("it has {} places, not one", places.len())))
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = Text<'de>> {
        self.0.iter().map(|(_, text)| Text(text))
    }
}

macro_rules! only {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
            self.only()?.$method(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Places<'de> {
    type Error = Unfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        let places = self.0.iter().map(|(name, text)| (Text(name), Text(text)));
        visitor.visit_map(MapDeserializer::new(places))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_seq(SeqDeserializer::new(self.all()))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Unfit> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_unit()
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        self.only()?.deserialize_enum(name, variants, visitor)
    }

    only! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string
        deserialize_identifier deserialize_option
    }

    serde::forward_to_deserialize_any! {
        i128 u128 bytes byte_buf unit_struct map struct ignored_any
    }
}

/// One text, as whatever it can be read.
#[derive(Clone, Copy)]
struct Text<'a>(&'a str);

impl<'de> IntoDeserializer<'de, Unfit> for Text<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parsed {
    ($($method:ident => $visit:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
            match self.0.parse() {
                Ok(value) => visitor.$visit(value),
                Err(error) => Err(de::Error::custom(format_args!("{:?}: {error}", self.0))),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Text<'de> {
    type Error = Unfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    parsed! {
        deserialize_bool => visit_bool
        deserialize_i8 => visit_i8 deserialize_i16 => visit_i16
        deserialize_i32 => visit_i32 deserialize_i64 => visit_i64
        deserialize_u8 => visit_u8 deserialize_u16 => visit_u16
        deserialize_u32 => visit_u32 deserialize_u64 => visit_u64
        deserialize_f32 => visit_f32 deserialize_f64 => visit_f64 deserialize_char => visit_char
    }

    serde::forward_to_deserialize_any! {
        i128 u128 str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}
