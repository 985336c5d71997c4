//! Whether a handler's answer is an error.

use alloc::string::String;
use core::fmt;

use serde::ser::{Impossible, Serialize, Serializer};

/// The error as JSON if `answer` is an `Err`, which the sender of the event gets as `{"error": …}`; `None` for
/// every other value. It costs nothing for a type that is no `Result`.
pub fn failure<T: Serialize + ?Sized>(answer: &T) -> Option<String> {
    match answer.serialize(Probe) {
        Err(Found(Some(error))) => Some(error),
        Ok(()) | Err(Found(None)) => None,
    }
}

/// A serializer that looks for the variant `Err` of a `Result` and writes nothing.
struct Probe;

#[derive(Debug)]
struct Found(Option<String>);

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an error")
    }
}

impl core::error::Error for Found {}

impl serde::ser::Error for Found {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(None)
    }
}

macro_rules! other {
    ($($name:ident($($argument:ty),*) -> $output:ty;)*) => {$(
        fn $name(self, $(_: $argument),*) -> Result<$output, Found> {
            Err(Found(None))
        }
    )*};
}

type No = Impossible<(), Found>;

impl Serializer for Probe {
    type Ok = ();
    type Error = Found;
    type SerializeSeq = No;
    type SerializeTuple = No;
    type SerializeTupleStruct = No;
    type SerializeTupleVariant = No;
    type SerializeMap = No;
    type SerializeStruct = No;
    type SerializeStructVariant = No;

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Found> {
        if (name, variant) != ("Result", "Err") {
            return Err(Found(None));
        }
        let error = serde_json::to_string(value);
        Err(Found(Some(error.unwrap_or_else(|_| String::from("an error that is no JSON")))))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), Found> {
        Err(Found(None))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<(), Found> {
        Err(Found(None))
    }

    other! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_str(&str) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_seq(Option<usize>) -> No;
        serialize_tuple(usize) -> No;
        serialize_tuple_struct(&'static str, usize) -> No;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> No;
        serialize_map(Option<usize>) -> No;
        serialize_struct(&'static str, usize) -> No;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> No;
    }
}

#[cfg(test)]
mod tests {
    use super::failure;

    #[test]
    fn only_an_error_is_one() {
        assert_eq!(failure(&Err::<(), _>("no")).as_deref(), Some("\"no\""));
        assert_eq!(failure(&Err::<u8, _>((1, "x"))).as_deref(), Some("[1,\"x\"]"));
        assert_eq!(failure(&Ok::<_, ()>(Err::<(), _>("inner"))), None);
        assert_eq!(failure(&Some(Err::<(), _>("inner"))), None);
        assert_eq!(failure("Err"), None);
        assert_eq!(failure(&(1, Err::<(), _>("inner"))), None);
    }
}
