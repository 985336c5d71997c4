//! All arguments, for whoever does not know how many there are.

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use serde::{
    de::{
        Deserialize, DeserializeSeed, Deserializer, EnumAccess, SeqAccess, VariantAccess, Visitor,
    },
    forward_to_deserialize_any,
    ser::{Serialize, SerializeTupleStruct as _, Serializer},
};

use super::{ArgsError, Arguments};
use crate::value::{
    Value,
    read::{Reader, hand_over},
};

/// The name of the tuple struct as which [`Args`] are read and written.
pub(crate) const NAME: &str = "$sockeye::Args";

/// All arguments of an event or an ack.
///
/// [`decode_args`](crate::decode_args) reads as many as were sent, which may be none. As the data of
/// an event, or as an answer, they are as many arguments again, so that a handler that returns the
/// `Args` it got is an echo.
///
/// They are special only as a whole, or inside of the outermost `Result` of an answer; as one
/// argument among others they are an array. What [`Value`] says of reading holds for all of them
/// together.
///
/// ```
/// use sockeye_socketio::{Args, decode_args, encode};
///
/// let Args(mut args) = decode_args(r#""sum",[1,2]"#, &[])?;
/// args.push(3.into());
/// let mut packet = Vec::new();
/// encode::event(&mut packet, "/", None, "relayed", &Args(args))?;
/// assert_eq!(packet, br#"2["relayed","sum",[1,2],3]"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Args(pub Vec<Value>);

impl Serialize for Args {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_tuple_struct(NAME, self.0.len())?;
        for value in &self.0 {
            fields.serialize_field(value)?;
        }
        fields.end()
    }
}

impl<'de> Deserialize<'de> for Args {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Whoever does not know the name reads an array and, as JSON tells, needs no length.
        deserializer.deserialize_tuple_struct(NAME, 0, ArgsReader(Reader::PLAIN))
    }
}

/// Reads `Args` from an array: the seed, and the visitor.
struct ArgsReader<'a, 'de>(Reader<'a, 'de>);

impl<'de> DeserializeSeed<'de> for ArgsReader<'_, 'de> {
    type Value = Args;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Args, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ArgsReader<'_, 'de> {
    type Value = Args;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of arguments")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, array: A) -> Result<Args, A::Error> {
        self.0.elements(array).map(Args)
    }

    /// Takes what was [handed over](hand_over).
    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Args, A::Error> {
        let (attachments, json) = data.variant()?;
        json.newtype_variant_seed(ArgsReader(Reader::with(&attachments)))
    }
}

/// Reads all arguments with the visitor of [`Args`].
pub(super) fn read<'de, V: Visitor<'de>>(
    arguments: Arguments<'de>,
    visitor: V,
) -> Result<V::Value, ArgsError> {
    let attachments: &'de [Bytes] = arguments.attachments;
    if attachments.is_empty() {
        return visitor.visit_seq(All(arguments));
    }
    // They are handed over once for all arguments, rather than with each.
    hand_over(All(Arguments { attachments: &[], ..arguments }), attachments, visitor)
}

/// The arguments as the array that they are in the packet.
struct All<'de>(Arguments<'de>);

impl<'de> Deserializer<'de> for All<'de> {
    type Error = ArgsError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_seq(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> SeqAccess<'de> for All<'de> {
    type Error = ArgsError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ArgsError> {
        if self.0.is_empty() { Ok(None) } else { self.0.next(seed).map(Some) }
    }
}
