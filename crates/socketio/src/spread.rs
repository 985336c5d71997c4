//! From a Rust value to positional arguments.
//!
//! | value | arguments |
//! |---|---|
//! | a tuple, a tuple struct with several fields, an array `[T; N]` | one for each field |
//! | [`Args`](crate::Args) | one for each element, and none if it is empty |
//! | `()` | none |
//! | anything else, a tuple inside of something included | the value, as the only one |
//!
//! serde does not tell arrays from tuples (for a list as one argument take a slice or a `Vec`), nor
//! `()` from `serde_json::Value::Null` (which in JavaScript thus arrives as `undefined`).

use alloc::vec::Vec;
use core::{cell::RefCell, fmt};

use bytes::Bytes;
use serde::ser::{
    Impossible, Serialize, SerializeSeq, SerializeTuple, SerializeTupleStruct, Serializer,
};

use crate::extract::Extracting;

/// Appends a value's arguments to an array that has been begun.
///
/// With `results`, an outermost `Result` is taken apart: `Ok(value)` is as `value`, and `Err(error)`
/// is the one argument `{"error": error}`.
pub(crate) fn spread<A, T>(
    array: &mut A,
    attachments: &RefCell<Vec<Bytes>>,
    results: bool,
    value: &T,
) -> Result<(), serde_json::Error>
where
    A: SerializeSeq<Error = serde_json::Error>,
    T: Serialize + ?Sized,
{
    let outcome = value.serialize(Spread { array: &mut *array, attachments, results });
    match outcome {
        Ok(()) => Ok(()),
        Err(NotSpread::Single) => {
            array.serialize_element(&Extracting { inner: value, attachments })
        }
        Err(NotSpread::Failed(error)) => Err(error),
    }
}

/// A serializer that takes only what spreads, and refuses the rest before anything is written.
struct Spread<'a, A> {
    array: &'a mut A,
    attachments: &'a RefCell<Vec<Bytes>>,
    results: bool,
}

#[derive(Debug)]
enum NotSpread {
    /// The value is one argument as a whole.
    Single,
    Failed(serde_json::Error),
}

impl fmt::Display for NotSpread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single => f.write_str("a single argument"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for NotSpread {}

impl serde::ser::Error for NotSpread {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Failed(serde_json::Error::custom(message))
    }
}

/// Methods of a serializer that refuse.
macro_rules! single {
    ($($method:ident($($type:ty),*) -> $ok:ty)*) => {$(
        fn $method(self, $(_: $type),*) -> Result<$ok, NotSpread> {
            Err(NotSpread::Single)
        }
    )*};
}

impl<'a, A: SerializeSeq<Error = serde_json::Error>> Serializer for Spread<'a, A> {
    type Ok = ();
    type Error = NotSpread;
    type SerializeSeq = Impossible<(), NotSpread>;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Impossible<(), NotSpread>;
    type SerializeMap = Impossible<(), NotSpread>;
    type SerializeStruct = Impossible<(), NotSpread>;
    type SerializeStructVariant = Impossible<(), NotSpread>;

    fn serialize_unit(self) -> Result<(), NotSpread> {
        Ok(())
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, NotSpread> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, NotSpread> {
        Ok(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), NotSpread> {
        /// The shape of a failure.
        #[derive(serde::Serialize)]
        struct Failure<'a, T: ?Sized> {
            error: &'a T,
        }
        let written = match (self.results, name, variant) {
            (true, "Result", "Ok") => spread(self.array, self.attachments, false, value),
            (true, "Result", "Err") => self.array.serialize_element(&Extracting {
                inner: &Failure { error: value },
                attachments: self.attachments,
            }),
            _ => return Err(NotSpread::Single),
        };
        written.map_err(NotSpread::Failed)
    }

    single! {
        serialize_bool(bool) -> ()
        serialize_i8(i8) -> () serialize_i16(i16) -> () serialize_i32(i32) -> ()
        serialize_i64(i64) -> () serialize_i128(i128) -> ()
        serialize_u8(u8) -> () serialize_u16(u16) -> () serialize_u32(u32) -> ()
        serialize_u64(u64) -> () serialize_u128(u128) -> ()
        serialize_f32(f32) -> () serialize_f64(f64) -> ()
        serialize_char(char) -> () serialize_str(&str) -> () serialize_bytes(&[u8]) -> ()
        serialize_none() -> ()
        serialize_unit_struct(&'static str) -> ()
        serialize_unit_variant(&'static str, u32, &'static str) -> ()
        serialize_seq(Option<usize>) -> Self::SerializeSeq
        serialize_tuple_variant(
            &'static str, u32, &'static str, usize
        ) -> Self::SerializeTupleVariant
        serialize_map(Option<usize>) -> Self::SerializeMap
        serialize_struct(&'static str, usize) -> Self::SerializeStruct
        serialize_struct_variant(
            &'static str, u32, &'static str, usize
        ) -> Self::SerializeStructVariant
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), NotSpread> {
        Err(NotSpread::Single)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<(), NotSpread> {
        Err(NotSpread::Single)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, _: &T) -> Result<(), NotSpread> {
        Err(NotSpread::Single)
    }

    fn is_human_readable(&self) -> bool {
        true
    }
}

impl<A: SerializeSeq<Error = serde_json::Error>> SerializeTuple for Spread<'_, A> {
    type Ok = ();
    type Error = NotSpread;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NotSpread> {
        self.array
            .serialize_element(&Extracting { inner: value, attachments: self.attachments })
            .map_err(NotSpread::Failed)
    }

    fn end(self) -> Result<(), NotSpread> {
        Ok(())
    }
}

impl<A: SerializeSeq<Error = serde_json::Error>> SerializeTupleStruct for Spread<'_, A> {
    type Ok = ();
    type Error = NotSpread;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NotSpread> {
        SerializeTuple::serialize_element(self, value)
    }

    fn end(self) -> Result<(), NotSpread> {
        Ok(())
    }
}
