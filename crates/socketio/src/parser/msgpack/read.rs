//! From MessagePack to JSON.

use alloc::{format, string::String, vec::Vec};
use core::fmt::Write as _;

use bytes::Bytes;

use super::super::Parsed;
use crate::{Error, Kind, Limit, Limits, Malformed};

/// As deep as the JSON of arguments can be read, less the two levels of an extension's pair and its
/// placeholder.
const MAX_DEPTH: u8 = 125;

/// Reads a packet, which is all that the bytes hold.
pub(super) fn packet(bytes: &Bytes, limits: &Limits) -> Result<Parsed, Error> {
    let mut reader =
        Reader { all: bytes, at: 0, attachments: Vec::new(), attachment_bytes: 0, limits };
    let first = reader.byte()?;
    let fields = match first {
        0x80..0x90 => u32::from(first & 0x0f),
        0xde => u32::from(u16::from_be_bytes(reader.array()?)),
        0xdf => u32::from_be_bytes(reader.array()?),
        _ => return Err(Malformed::Type.into()),
    };
    let (mut kind, mut namespace, mut data, mut ack) = (None, None, None, None);
    for _ in 0..fields {
        let mut key = String::new();
        reader.key(&mut key)?;
        // Of fields that are there twice the last counts, as in JavaScript. Others are ignored.
        match key.as_str() {
            "type" => kind = Some(reader.value()?.0),
            "nsp" => namespace = Some(reader.value()?.0),
            "id" => ack = Some(reader.value()?).filter(|(_, what)| *what != What::Undefined),
            "data" => {
                reader.attachments.clear();
                reader.attachment_bytes = 0;
                data = Some(reader.value()?).filter(|(_, what)| *what != What::Undefined);
            }
            _ => {
                let mark = (reader.attachments.len(), reader.attachment_bytes);
                reader.value()?;
                reader.attachments.truncate(mark.0);
                reader.attachment_bytes = mark.1;
            }
        }
    }
    if reader.at != bytes.len() {
        return Err(Malformed::TrailingBytes.into());
    }
    let kind = match kind.as_deref() {
        Some("0") => Kind::Connect,
        Some("1") => Kind::Disconnect,
        Some("2") => Kind::Event,
        Some("3") => Kind::Ack,
        Some("4") => Kind::ConnectError,
        _ => return Err(Malformed::Type.into()),
    };
    let namespace = namespace.and_then(|json| serde_json::from_str(&json).ok());
    let namespace = namespace.ok_or(Malformed::Namespace)?;
    let ack = ack.map(|(json, _)| json.parse().map_err(|_| Malformed::AckId)).transpose()?;
    let data = data.map(|(json, _)| json).unwrap_or_default();
    let fits = match kind {
        Kind::Event | Kind::Ack => data.starts_with('['),
        Kind::Connect => data.is_empty() || data.starts_with('{'),
        Kind::ConnectError => data.starts_with(['{', '"']),
        _ => data.is_empty(),
    };
    // Only events and acks have binary to be put into their arguments.
    let binary = !reader.attachments.is_empty() && !matches!(kind, Kind::Event | Kind::Ack);
    if !fits || binary {
        return Err(Malformed::Payload.into());
    }
    Ok(Parsed { kind, namespace, ack, data, attachments: reader.attachments })
}

/// What a value was that has been read.
#[derive(Clone, Copy, PartialEq)]
enum What {
    Undefined,
    Value,
}

struct Reader<'a> {
    all: &'a Bytes,
    at: usize,
    attachments: Vec<Bytes>,
    attachment_bytes: usize,
    limits: &'a Limits,
}

impl Reader<'_> {
    /// The JSON of the next value; `null` for `undefined`.
    fn value(&mut self) -> Result<(String, What), Error> {
        let mut json = String::new();
        let what = self.json(&mut json, 0)?;
        Ok((json, what))
    }

    fn json(&mut self, out: &mut String, depth: u8) -> Result<What, Error> {
        let first = self.byte()?;
        match first {
            0x00..0x80 => number(out, i64::from(first)),
            0xe0..=0xff => number(out, i64::from(first as i8)),
            0x80..0x90 => self.map(out, u32::from(first & 0x0f), depth)?,
            0x90..0xa0 => self.list(out, u32::from(first & 0x0f), depth)?,
            0xa0..0xc0 | 0xd9..=0xdb => {
                let text = self.text(first)?;
                let text = String::from_utf8_lossy(text);
                string(out, &text);
            }
            0xc0 => out.push_str("null"),
            0xc2 => out.push_str("false"),
            0xc3 => out.push_str("true"),
            0xc4..=0xc6 => {
                let length = self.length(first - 0xc4)?;
                self.attachment(out, length)?;
            }
            0xc7..=0xc9 => {
                let length = self.length(first - 0xc7)?;
                let kind = self.byte()?;
                if kind == 0 {
                    self.attachment(out, length)?;
                } else {
                    self.extension(out, kind, length)?;
                }
            }
            0xca => float(out, f64::from(f32::from_be_bytes(self.array()?))),
            0xcb => float(out, f64::from_be_bytes(self.array()?)),
            0xcc => number(out, i64::from(self.byte()?)),
            0xcd => number(out, i64::from(u16::from_be_bytes(self.array()?))),
            0xce => number(out, i64::from(u32::from_be_bytes(self.array()?))),
            0xcf => {
                let _ = write!(out, "{}", u64::from_be_bytes(self.array()?));
            }
            0xd0 => number(out, i64::from(self.byte()? as i8)),
            0xd1 => number(out, i64::from(i16::from_be_bytes(self.array()?))),
            0xd2 => number(out, i64::from(i32::from_be_bytes(self.array()?))),
            0xd3 => number(out, i64::from_be_bytes(self.array()?)),
            0xd4..=0xd8 => {
                let kind = self.byte()?;
                match (first, kind) {
                    (0xd4, 0) => {
                        self.byte()?;
                        out.push_str("null");
                        return Ok(What::Undefined);
                    }
                    (0xd7, 0) => date(out, i64::from_be_bytes(self.array()?)),
                    _ => self.extension(out, kind, 1 << (first - 0xd4))?,
                }
            }
            0xdc => {
                let count = u32::from(u16::from_be_bytes(self.array()?));
                self.list(out, count, depth)?;
            }
            0xdd => {
                let count = u32::from_be_bytes(self.array()?);
                self.list(out, count, depth)?;
            }
            0xde => {
                let count = u32::from(u16::from_be_bytes(self.array()?));
                self.map(out, count, depth)?;
            }
            0xdf => {
                let count = u32::from_be_bytes(self.array()?);
                self.map(out, count, depth)?;
            }
            0xc1 => return Err(Malformed::Syntax.into()),
        }
        Ok(What::Value)
    }

    // Nothing is reserved for the count: it may lie.
    fn list(&mut self, out: &mut String, count: u32, depth: u8) -> Result<(), Error> {
        let depth = deeper(depth)?;
        out.push('[');
        for at in 0..count {
            if at > 0 {
                out.push(',');
            }
            self.json(out, depth)?;
        }
        out.push(']');
        Ok(())
    }

    fn map(&mut self, out: &mut String, count: u32, depth: u8) -> Result<(), Error> {
        let depth = deeper(depth)?;
        out.push('{');
        let start = out.len();
        for _ in 0..count {
            let before = out.len();
            if before > start {
                out.push(',');
            }
            let mut key = String::new();
            self.key(&mut key)?;
            string(out, &key);
            out.push(':');
            if self.json(out, depth)? == What::Undefined {
                out.truncate(before);
            }
        }
        out.push('}');
        Ok(())
    }

    /// A key, as JavaScript makes a string of it.
    fn key(&mut self, key: &mut String) -> Result<(), Error> {
        let first = *self.all.get(self.at).ok_or(Malformed::Truncated)?;
        match first {
            0xa0..0xc0 | 0xd9..=0xdb => {
                self.at += 1;
                let text = self.text(first)?;
                key.push_str(&String::from_utf8_lossy(text));
            }
            0x00..0x80 | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 | 0xcc..=0xd3 => {
                self.json(key, MAX_DEPTH)?;
            }
            _ => return Err(Malformed::Key.into()),
        }
        Ok(())
    }

    /// An extension that JavaScript does not know: its type and its bytes, as a pair.
    fn extension(&mut self, out: &mut String, kind: u8, length: usize) -> Result<(), Error> {
        let _ = write!(out, "[{},", kind as i8);
        self.attachment(out, length)?;
        out.push(']');
        Ok(())
    }

    fn attachment(&mut self, out: &mut String, length: usize) -> Result<(), Error> {
        let start = self.at;
        self.take(length)?;
        let num = self.attachments.len();
        if num >= self.limits.max_attachments as usize {
            return Err(Limit::Attachments.into());
        }
        self.attachment_bytes = self.attachment_bytes.saturating_add(length);
        if self.attachment_bytes > self.limits.max_attachment_bytes {
            return Err(Limit::AttachmentBytes.into());
        }
        self.attachments.push(self.all.slice(start..self.at));
        let _ = write!(out, "{{\"_placeholder\":true,\"num\":{num}}}");
        Ok(())
    }

    /// The bytes of the string that begins with this byte.
    fn text(&mut self, first: u8) -> Result<&[u8], Error> {
        let length = match first {
            0xd9.. => self.length(first - 0xd9)?,
            _ => usize::from(first & 0x1f),
        };
        self.take(length)
    }

    /// A length in one byte, two, or four.
    fn length(&mut self, step: u8) -> Result<usize, Error> {
        Ok(match step {
            0 => usize::from(self.byte()?),
            1 => usize::from(u16::from_be_bytes(self.array()?)),
            // What does not fit is longer than any message.
            _ => usize::try_from(u32::from_be_bytes(self.array()?)).unwrap_or(usize::MAX),
        })
    }

    fn byte(&mut self) -> Result<u8, Error> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (bytes, _) = self.all[self.at..].split_first_chunk().ok_or(Malformed::Truncated)?;
        self.at += N;
        Ok(*bytes)
    }

    fn take(&mut self, length: usize) -> Result<&[u8], Error> {
        let bytes = self.all[self.at..].get(..length).ok_or(Malformed::Truncated)?;
        self.at += length;
        Ok(bytes)
    }
}

fn deeper(depth: u8) -> Result<u8, Error> {
    if depth < MAX_DEPTH { Ok(depth + 1) } else { Err(Malformed::Depth.into()) }
}

fn number(out: &mut String, number: i64) {
    let _ = write!(out, "{number}");
}

/// As `JSON.stringify` writes numbers, as far as what they are: NaN and the infinities are null, and
/// whole ones have no fraction.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn float(out: &mut String, value: f64) {
    const SAFE: f64 = 9_007_199_254_740_992.0;
    if (-SAFE..=SAFE).contains(&value) && (value as i64) as f64 == value {
        number(out, value as i64);
    } else {
        out.push_str(&serde_json::to_string(&value).unwrap_or_default());
    }
}

fn string(out: &mut String, text: &str) {
    // Nearly all are JSON as they stand, and a message may be as many strings as it has bytes.
    if text.bytes().all(|byte| byte >= 0x20 && !matches!(byte, b'"' | b'\\')) {
        out.push('"');
        out.push_str(text);
        return out.push('"');
    }
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// Milliseconds since 1970 as `Date.prototype.toJSON` writes them: null beyond 100 million days.
fn date(out: &mut String, millis: i64) {
    const DAY: i64 = 86_400_000;
    if millis.unsigned_abs() > 8_640_000_000_000_000 {
        return out.push_str("null");
    }
    // In years that begin in March, counted from the year 0, so that the leap day is the last.
    let days = millis.div_euclid(DAY) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let year = match year {
        0..=9999 => format!("{year:04}"),
        _ => format!("{}{:06}", if year < 0 { '-' } else { '+' }, year.abs()),
    };
    let time = millis.rem_euclid(DAY);
    let (hour, minute) = (time / 3_600_000, time / 60_000 % 60);
    let (second, milli) = (time / 1000 % 60, time % 1000);
    let _ =
        write!(out, "\"{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z\"");
}
