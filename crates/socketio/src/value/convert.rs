//! What becomes a [`Value`] by `into`.

use alloc::{string::String, vec::Vec};

use bytes::Bytes;
use serde_json::Number;

use super::{Map, Value};

/// Conversions that wrap a value into a variant.
macro_rules! variants {
    ($($variant:ident($type:ty))*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}

variants! {
    Bool(bool)
    Number(Number)
    Number(i8) Number(i16) Number(i32) Number(i64) Number(isize)
    Number(u8) Number(u16) Number(u32) Number(u64) Number(usize)
    String(&str) String(String)
    Binary(Bytes)
    Object(Map)
}

impl From<f32> for Value {
    /// As from an `f64`: the digits on the wire are those of the nearest `f64`.
    fn from(value: f32) -> Self {
        f64::from(value).into()
    }
}

impl From<f64> for Value {
    /// JSON has no NaN and no infinity: they are null, as in JavaScript's `JSON.stringify`.
    fn from(value: f64) -> Self {
        Number::from_f64(value).map_or(Self::Null, Self::Number)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    /// `None` is null.
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    /// An array. `Vec<u8>` is one of numbers, as it is to serde; binary is [`Bytes`].
    fn from(values: Vec<T>) -> Self {
        Self::Array(values.into_iter().map(Into::into).collect())
    }
}

impl From<serde_json::Value> for Value {
    /// The same JSON, so that `serde_json::json!` can be used to write values.
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(value),
            serde_json::Value::Number(number) => Self::Number(number),
            serde_json::Value::String(text) => Self::String(text),
            serde_json::Value::Array(array) => array.into(),
            serde_json::Value::Object(object) => Self::Object(object.into_iter().collect()),
        }
    }
}
