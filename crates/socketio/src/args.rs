//! From the arguments of an event or an ack to a Rust type.

pub(crate) mod all;

use alloc::{boxed::Box, format, string::ToString as _};
use core::fmt;

use bytes::Bytes;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor};

use crate::restore::Restoring;

/// Reads the arguments of an event or an ack.
///
/// `args` is JSON without brackets, as [`Event`](crate::Event) has it; `attachments` are the
/// packet's. How `T` takes them:
///
/// | `T` | takes |
/// |---|---|
/// | a tuple, a tuple struct with several fields, an array `[T; N]` | as many arguments, by position |
/// | `()` | none, whatever was sent |
/// | [`Args`](crate::Args) | all arguments, however many |
/// | anything else, such as [`Value`](crate::Value) | the first argument |
///
/// Arguments beyond these are ignored, as in JavaScript. One that was not sent is `None` to an
/// [`Option`], `()` to a unit, and `null` to what takes any JSON; to any other type it is an error.
/// `null` is `None` too, since that is what JavaScript sends for `undefined`.
///
/// Attachments are bytes: `bytes::Bytes`, or whatever else asks serde for bytes, wherever it stands
/// inside of `T`; even borrowed ones. Only inside of types that serde buffers before it reads them
/// (`#[serde(flatten)]`, untagged and internally tagged enums) they do not arrive. Strings are
/// borrowed if `T` asks for it, and the JSON has them without escapes.
///
/// # Errors
///
/// The arguments do not fit `T`; the error says which and why.
pub fn decode_args<'de, T: Deserialize<'de>>(
    args: &'de str,
    attachments: &'de [Bytes],
) -> Result<T, ArgsError> {
    T::deserialize(Arguments::new(args, attachments))
}

/// The arguments of an event or an ack do not fit the type that should take them.
///
/// It concerns the handler that wanted them, and not the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgsError {
    /// Counted from 1; 0 if it is not about one argument.
    argument: usize,
    message: Box<str>,
}

impl ArgsError {
    /// Which argument does not fit, counted from 1.
    #[must_use]
    pub fn argument(&self) -> Option<usize> {
        (self.argument > 0).then_some(self.argument)
    }
}

impl fmt::Display for ArgsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.argument {
            0 => f.write_str(&self.message),
            argument => write!(f, "argument {argument}: {}", self.message),
        }
    }
}

impl core::error::Error for ArgsError {}

impl de::Error for ArgsError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { argument: 0, message: message.to_string().into() }
    }
}

/// Arguments that are not read yet.
pub(crate) struct Arguments<'de> {
    rest: &'de str,
    attachments: &'de [Bytes],
    /// How many were read.
    read: usize,
}

impl<'de> Arguments<'de> {
    pub(crate) fn new(args: &'de str, attachments: &'de [Bytes]) -> Self {
        Self { rest: trim(args), attachments, read: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads the next argument, which must be there.
    pub(crate) fn next<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, ArgsError> {
        self.read += 1;
        let mut json = serde_json::Deserializer::from_str(self.rest);
        let value = if self.attachments.is_empty() {
            seed.deserialize(&mut json)
        } else {
            seed.deserialize(Restoring { inner: &mut json, attachments: self.attachments })
        };
        let value = value.map_err(|error| self.error(&error))?;
        let end = json.into_iter::<IgnoredAny>().byte_offset();
        let rest = trim(self.rest.get(end..).unwrap_or_default());
        self.rest = trim(rest.strip_prefix(',').unwrap_or(rest));
        Ok(value)
    }

    fn error(&self, message: &dyn fmt::Display) -> ArgsError {
        ArgsError { argument: self.read, message: message.to_string().into() }
    }

    /// Reads the first argument, or what stands for it if there is none.
    fn first<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<S::Value, ArgsError> {
        if self.is_empty() {
            return seed.deserialize(Missing { argument: 1, sent: 0 });
        }
        self.next(seed)
    }
}

fn trim(json: &str) -> &str {
    json.trim_start_matches([' ', '\t', '\n', '\r'])
}

/// One method of a `Deserializer` that reads the first argument with the same method of whatever
/// deserializer there is for it.
macro_rules! first {
    ($($method:ident($($name:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(
            self,
            $($name: $type,)*
            visitor: V,
        ) -> Result<V::Value, ArgsError> {
            struct Seed<V> {
                visitor: V,
                $($name: $type,)*
            }
            impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Seed<V> {
                type Value = V::Value;

                fn deserialize<D: Deserializer<'de>>(self, first: D) -> Result<V::Value, D::Error> {
                    first.$method($(self.$name,)* self.visitor)
                }
            }
            self.first(Seed { visitor, $($name,)* })
        }
    )*};
}

impl<'de> Deserializer<'de> for Arguments<'de> {
    type Error = ArgsError;

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_unit()
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        visitor.visit_seq(ByPosition(self))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        if name == all::NAME {
            return all::read(self, visitor);
        }
        visitor.visit_seq(ByPosition(self))
    }

    first! {
        deserialize_any()
        deserialize_bool()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64()
        deserialize_char() deserialize_str() deserialize_string()
        deserialize_bytes() deserialize_byte_buf()
        deserialize_option()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_seq()
        deserialize_map()
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
        deserialize_identifier()
        deserialize_ignored_any()
    }
}

/// The arguments, one for each field of a tuple.
struct ByPosition<'de>(Arguments<'de>);

impl<'de> SeqAccess<'de> for ByPosition<'de> {
    type Error = ArgsError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ArgsError> {
        let Self(arguments) = self;
        if arguments.is_empty() {
            // Rather than end the sequence, which would make serde speak of lengths.
            return seed
                .deserialize(Missing { argument: arguments.read + 1, sent: arguments.read })
                .map(Some);
        }
        arguments.next(seed).map(Some)
    }
}

/// An argument that was not sent.
struct Missing {
    argument: usize,
    sent: usize,
}

impl Missing {
    fn error(&self, expected: &dyn de::Expected) -> ArgsError {
        let Self { argument, sent } = *self;
        let message = format!("missing ({sent} sent), expected {expected}");
        ArgsError { argument, message: message.into() }
    }
}

/// Methods of a `Deserializer` for types that need a value.
macro_rules! missing {
    ($($method:ident($($type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(
            self,
            $(_: $type,)*
            visitor: V,
        ) -> Result<V::Value, ArgsError> {
            Err(self.error(&visitor))
        }
    )*};
}

impl<'de> Deserializer<'de> for Missing {
    type Error = ArgsError;

    /// What takes anything takes JavaScript's `undefined`, too.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_none()
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_unit()
    }

    missing! {
        deserialize_bool()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64()
        deserialize_char() deserialize_str() deserialize_string()
        deserialize_bytes() deserialize_byte_buf()
        deserialize_seq()
        deserialize_tuple(usize)
        deserialize_tuple_struct(&'static str, usize)
        deserialize_map()
        deserialize_struct(&'static str, &'static [&'static str])
        deserialize_enum(&'static str, &'static [&'static str])
        deserialize_identifier()
    }
}
