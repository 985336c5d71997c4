//! From JSON to MessagePack.

use alloc::{borrow::Cow, string::String, vec::Vec};
use core::fmt;

use bytes::Bytes;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};

use super::super::Parsed;
use crate::Kind;

/// What `notepack.io` writes for `undefined`.
const UNDEFINED: [u8; 3] = [0xd4, 0, 0];

/// The packet's bytes; none if its data nests too deep.
pub(super) fn packet(packet: &Parsed) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(packet.data.len() + packet.namespace.len() + 32);
    let fields = 2 + usize::from(!packet.data.is_empty()) + usize::from(packet.ack.is_some());
    out.push(0x80 | fields as u8);
    // In the order in which Node's server makes its packets.
    if let (Kind::Ack, Some(id)) = (packet.kind, packet.ack) {
        text(&mut out, "id");
        unsigned(&mut out, id);
    }
    text(&mut out, "type");
    out.push(packet.kind.as_byte() - b'0');
    if !packet.data.is_empty() {
        text(&mut out, "data");
        let start = out.len();
        data(&mut out, packet)?;
        let missing = match packet.kind {
            Kind::Connect => Some("pid"),
            Kind::ConnectError => Some("data"),
            _ => None,
        };
        // Node's server has both always, if only as `undefined`.
        if let (Some(key), Some(fields @ 0x81)) = (missing, out.get_mut(start)) {
            *fields += 1;
            text(&mut out, key);
            out.extend_from_slice(&UNDEFINED);
        }
    }
    if let (false, Some(id)) = (packet.kind == Kind::Ack, packet.ack) {
        text(&mut out, "id");
        unsigned(&mut out, id);
    }
    text(&mut out, "nsp");
    text(&mut out, &packet.namespace);
    Some(out)
}

fn data(out: &mut Vec<u8>, packet: &Parsed) -> Option<()> {
    let mut next = 0;
    let mut json = serde_json::Deserializer::from_str(&packet.data);
    Write { out, attachments: &packet.attachments, next: &mut next }
        .deserialize(&mut json)
        .and_then(|()| json.end())
        .ok()
}

/// Writes what it visits.
struct Write<'a> {
    out: &'a mut Vec<u8>,
    attachments: &'a [Bytes],
    /// The attachment whose placeholder is next: encoders number them as they stand.
    next: &'a mut usize,
}

impl Write<'_> {
    fn again(&mut self) -> Write<'_> {
        Write { out: self.out, attachments: self.attachments, next: self.next }
    }
}

impl<'de> DeserializeSeed<'de> for Write<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Write<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.out.push(0xc0);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.out.push(if value { 0xc3 } else { 0xc2 });
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        unsigned(self.out, value);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        signed(self.out, value);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        float(self.out, value);
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        text(self.out, value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut array: A) -> Result<(), A::Error> {
        let start = self.out.len();
        self.out.push(0);
        let mut count = 0;
        while array.next_element_seed(self.again())?.is_some() {
            count += 1;
        }
        head(self.out, start, count, [0x90, 0xdc]).ok_or_else(|| A::Error::custom("too long"))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        let start = self.out.len();
        self.out.push(0);
        let mut count = 0;
        while let Some(Key(key)) = object.next_key()? {
            text(self.out, &key);
            object.next_value_seed(self.again())?;
            count += 1;
        }
        if let Some(attachment) = self.attachments.get(*self.next)
            && count == 2
            && is_placeholder(&self.out[start + 1..], *self.next)
        {
            self.out.truncate(start);
            *self.next += 1;
            binary(self.out, attachment);
            return Ok(());
        }
        head(self.out, start, count, [0x80, 0xde]).ok_or_else(|| A::Error::custom("too long"))
    }
}

/// A key, which may borrow.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(key: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(String::from(key))))
            }
        }
        key.deserialize_str(KeyVisitor)
    }
}

/// Whether these are the fields of the placeholder with this number, as they have just been written.
fn is_placeholder(fields: &[u8], num: usize) -> bool {
    let mut expected = Vec::with_capacity(32);
    text(&mut expected, "_placeholder");
    expected.push(0xc3);
    text(&mut expected, "num");
    unsigned(&mut expected, num as u64);
    fields == expected
}

/// Puts the head of an array or a map where one byte was left for it.
fn head(out: &mut Vec<u8>, start: usize, count: u64, [fix, long]: [u8; 2]) -> Option<()> {
    if count < 0x10 {
        out[start] = fix | count as u8;
    } else if let Ok(count) = u16::try_from(count) {
        out[start] = long;
        out.splice(start + 1..start + 1, count.to_be_bytes());
    } else {
        let count = u32::try_from(count).ok()?;
        out[start] = long + 1;
        out.splice(start + 1..start + 1, count.to_be_bytes());
    }
    Some(())
}

fn unsigned(out: &mut Vec<u8>, value: u64) {
    if value < 0x80 {
        out.push(value as u8);
    } else {
        sized(out, 0xcc, value);
    }
}

/// A number in as few of 1, 2, 4 and 8 bytes as hold it, behind the byte for that size.
fn sized(out: &mut Vec<u8>, first: u8, value: u64) {
    let bytes = value.to_be_bytes();
    let (step, size) = match value {
        0..0x100 => (0, 1),
        0x100..0x1_0000 => (1, 2),
        0x1_0000..0x1_0000_0000 => (2, 4),
        _ => (3, 8),
    };
    out.push(first + step);
    out.extend_from_slice(&bytes[8 - size..]);
}

fn signed(out: &mut Vec<u8>, value: i64) {
    if let Ok(value) = u64::try_from(value) {
        return unsigned(out, value);
    }
    let bytes = value.to_be_bytes();
    let (marker, size) = match value {
        -0x20.. => return out.push(value as u8),
        -0x80.. => (0xd0, 1),
        -0x8000.. => (0xd1, 2),
        -0x8000_0000.. => (0xd2, 4),
        _ => (0xd3, 8),
    };
    out.push(marker);
    out.extend_from_slice(&bytes[8 - size..]);
}

/// Whole numbers are integers, as JavaScript sees them. (`notepack.io` writes those beyond 64 bits as
/// other numbers; here they are floats.)
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn float(out: &mut Vec<u8>, value: f64) {
    const TWO_63: f64 = 9_223_372_036_854_775_808.0;
    if (-TWO_63..TWO_63).contains(&value) && (value as i64) as f64 == value {
        return signed(out, value as i64);
    }
    if (0.0..2.0 * TWO_63).contains(&value) && (value as u64) as f64 == value {
        return unsigned(out, value as u64);
    }
    out.push(0xcb);
    out.extend_from_slice(&value.to_be_bytes());
}

fn text(out: &mut Vec<u8>, text: &str) {
    if text.len() < 0x20 {
        out.push(0xa0 | text.len() as u8);
    } else {
        sized(out, 0xd9, text.len() as u64);
    }
    out.extend_from_slice(text.as_bytes());
}

fn binary(out: &mut Vec<u8>, bytes: &[u8]) {
    sized(out, 0xc4, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
