//! Takes binary out of what is sent, while it is written as JSON.
//!
//! A serializer around another: it hands everything through, except that bytes become an
//! attachment, and a placeholder stands where they were. (A `Formatter` of `serde_json` would be
//! shorter, but has to name `std::io`.)

use alloc::vec::Vec;
use core::{cell::RefCell, fmt::Display};

use bytes::Bytes;
use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// Something of serde's, and where the attachments in it go, depth first and in order. One type
/// plays all the parts: value, serializer, and what writes containers.
pub(crate) struct Extracting<'a, T> {
    pub(crate) inner: T,
    pub(crate) attachments: &'a RefCell<Vec<Bytes>>,
}

impl<'a, T> Extracting<'a, T> {
    /// The same attachments around something else.
    fn around<U>(&self, inner: U) -> Extracting<'a, U> {
        Extracting { inner, attachments: self.attachments }
    }
}

impl<T: Serialize + ?Sized> Serialize for Extracting<'_, &T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.inner.serialize(self.around(serializer))
    }
}

/// Hands methods of a serializer through that write a value without content.
macro_rules! forward {
    ($($method:ident($($name:ident: $type:ty),*))*) => {$(
        fn $method(self, $($name: $type),*) -> Result<S::Ok, S::Error> {
            self.inner.$method($($name),*)
        }
    )*};
}

/// Hands methods of a serializer through that begin a container.
macro_rules! begin {
    ($($method:ident($($name:ident: $type:ty),*) -> $compound:ident)*) => {$(
        fn $method(self, $($name: $type),*) -> Result<Self::$compound, S::Error> {
            let attachments = self.attachments;
            self.inner.$method($($name),*).map(|inner| Extracting { inner, attachments })
        }
    )*};
}

impl<'a, S: Serializer> Serializer for Extracting<'a, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Extracting<'a, S::SerializeSeq>;
    type SerializeTuple = Extracting<'a, S::SerializeTuple>;
    type SerializeTupleStruct = Extracting<'a, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Extracting<'a, S::SerializeTupleVariant>;
    type SerializeMap = Extracting<'a, S::SerializeMap>;
    type SerializeStruct = Extracting<'a, S::SerializeStruct>;
    type SerializeStructVariant = Extracting<'a, S::SerializeStructVariant>;

    fn serialize_bytes(self, bytes: &[u8]) -> Result<S::Ok, S::Error> {
        let num = {
            let mut attachments = self.attachments.borrow_mut();
            attachments.push(Bytes::copy_from_slice(bytes));
            attachments.len() - 1
        };
        let mut placeholder = self.inner.serialize_map(Some(2))?;
        placeholder.serialize_entry("_placeholder", &true)?;
        placeholder.serialize_entry("num", &num)?;
        placeholder.end()
    }

    forward! {
        serialize_bool(v: bool)
        serialize_i8(v: i8) serialize_i16(v: i16) serialize_i32(v: i32) serialize_i64(v: i64)
        serialize_i128(v: i128)
        serialize_u8(v: u8) serialize_u16(v: u16) serialize_u32(v: u32) serialize_u64(v: u64)
        serialize_u128(v: u128)
        serialize_f32(v: f32) serialize_f64(v: f64)
        serialize_char(v: char) serialize_str(v: &str)
        serialize_none() serialize_unit()
        serialize_unit_struct(name: &'static str)
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let value = self.around(value);
        self.inner.serialize_some(&value)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let value = self.around(value);
        self.inner.serialize_newtype_struct(name, &value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let value = self.around(value);
        self.inner.serialize_newtype_variant(name, index, variant, &value)
    }

    begin! {
        serialize_seq(len: Option<usize>) -> SerializeSeq
        serialize_tuple(len: usize) -> SerializeTuple
        serialize_tuple_struct(name: &'static str, len: usize) -> SerializeTupleStruct
        serialize_tuple_variant(
            name: &'static str, index: u32, variant: &'static str, len: usize
        ) -> SerializeTupleVariant
        serialize_map(len: Option<usize>) -> SerializeMap
        serialize_struct(name: &'static str, len: usize) -> SerializeStruct
        serialize_struct_variant(
            name: &'static str, index: u32, variant: &'static str, len: usize
        ) -> SerializeStructVariant
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// Hands a container through: each of its values may hold bytes.
macro_rules! container {
    ($($trait:ident { $method:ident($($name:ident: $type:ty),*) })*) => {$(
        impl<S: $trait> $trait for Extracting<'_, S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($name: $type,)*
                value: &T,
            ) -> Result<(), S::Error> {
                let value = self.around(value);
                self.inner.$method($($name,)* &value)
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        }
    )*};
}

container! {
    SerializeSeq { serialize_element() }
    SerializeTuple { serialize_element() }
    SerializeTupleStruct { serialize_field() }
    SerializeTupleVariant { serialize_field() }
    SerializeStruct { serialize_field(key: &'static str) }
    SerializeStructVariant { serialize_field(key: &'static str) }
}

impl<S: SerializeMap> SerializeMap for Extracting<'_, S> {
    type Ok = S::Ok;
    type Error = S::Error;

    /// A key is never binary: JSON has none but strings.
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        self.inner.serialize_key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        let value = self.around(value);
        self.inner.serialize_value(&value)
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}
