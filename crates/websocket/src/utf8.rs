//! UTF-8, whole and in pieces (RFC 6455 §8.1, RFC 3629).
//!
//! What is long is judged by simdutf8, which keeps up with memory for any script: ten times what the standard
//! library does for text that is not ASCII (`benches/src/bin/bytes.rs`).
//!
//! A piece may end within a character. Its bytes are kept until the rest comes, and judged at once
//! as far as they go: what no further byte can save is refused by its first impossible byte.

use alloc::string::String;
use core::str;

/// The bytes so far cannot begin any UTF-8 text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Invalid;

/// Judges a whole text, or whole characters of one.
#[inline]
pub(crate) fn check(bytes: &[u8]) -> Result<&str, Invalid> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| Invalid)
}

/// The incomplete character at the end of what was pushed.
///
/// Invariant: `bytes[..len]` is the proper beginning of at least one character.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    bytes: [u8; 4],
    len: u8,
}

impl Pending {
    /// Whether the text so far ends with a whole character.
    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes of the incomplete character.
    pub(crate) const fn len(&self) -> usize {
        self.len as usize
    }

    /// Appends to `text` what is complete together with `chunk`, and keeps the rest.
    pub(crate) fn push(&mut self, mut chunk: &[u8], text: &mut String) -> Result<(), Invalid> {
        while !self.is_empty() {
            let Some((&byte, rest)) = chunk.split_first() else { return Ok(()) };
            chunk = rest;
            if let Some(character) = self.complete(byte)? {
                text.push(character);
            }
        }
        let (whole, tail) = chunk.split_at(chunk.len() - incomplete_tail(chunk));
        text.push_str(check(whole)?);
        for &byte in tail {
            self.complete(byte)?;
        }
        Ok(())
    }

    /// Takes the next byte of a character, and gives the character when this was its last.
    fn complete(&mut self, byte: u8) -> Result<Option<char>, Invalid> {
        // At most three bytes are pending: the standard library says of four that they are a
        // character or no beginning of one.
        let len = usize::from(self.len) + 1;
        self.bytes[len - 1] = byte;
        self.len += 1;
        match str::from_utf8(&self.bytes[..len]) {
            Ok(character) => {
                self.len = 0;
                Ok(character.chars().next())
            }
            Err(error) if error.error_len().is_none() => Ok(None),
            Err(_) => Err(Invalid),
        }
    }
}

/// How many bytes at the end look like a character that goes on: its first byte announces more than
/// there are.
fn incomplete_tail(chunk: &[u8]) -> usize {
    for (i, &byte) in chunk.iter().rev().take(3).enumerate() {
        let announced = match byte {
            0x80..=0xBF => continue,
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => 1,
        };
        let there = i + 1;
        return if announced > there { there } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::str;

    use super::*;

    /// Each with what RFC 3629 forbids: a lone continuation, overlong forms, a surrogate, more than U+10FFFF,
    /// bytes that never occur, and characters that are cut.
    const FORBIDDEN: [&[u8]; 12] = [
        b"\x80",
        b"\xC0\x80",
        b"\xC1\xBF",
        b"\xE0\x9F\xBF",
        b"\xF0\x8F\xBF\xBF",
        b"\xED\xA0\x80",
        b"\xF4\x90\x80\x80",
        b"\xF5",
        b"\xFF",
        b"\xC3",
        b"\xE9\xB1",
        b"\xF0\x9F\x98",
    ];

    #[test]
    fn a_text_of_any_length_is_judged_by_each_of_its_bytes() {
        for word in ["a", "ü", "鱼", "😀", "aü鱼😀"] {
            let text = word.repeat(200);
            for (end, _) in text.char_indices().take_while(|(end, _)| *end < 300) {
                let good = &text[..end];
                assert_eq!(check(good.as_bytes()), Ok(good));
                for bad in FORBIDDEN {
                    for at in [0, end / 2, end] {
                        let at = (0..=at).rev().find(|&at| good.is_char_boundary(at)).unwrap();
                        let bytes: Vec<u8> =
                            [&good.as_bytes()[..at], bad, &good.as_bytes()[at..]].concat();
                        assert!(str::from_utf8(&bytes).is_err());
                        assert_eq!(check(&bytes), Err(Invalid), "{bad:?} at {at} of {end}");
                    }
                }
            }
        }
    }
}
