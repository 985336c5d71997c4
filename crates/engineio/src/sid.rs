//! Ids of twenty characters.

use core::{fmt, str::FromStr};

/// An id of 20 characters of `[A-Za-z0-9_-]`, made from 15 random bytes.
///
/// The session id is a secret: whoever knows it can send in the session's name. Therefore `Debug`
/// shows only its first four characters. Upper layers also wrap the type for ids that are public,
/// which must be made from other random bytes.
///
/// The length and the alphabet are kept because others rely on them: `@socket.io/sticky`, the
/// cluster engine and the sharded Redis adapter tell ids from other names by their shape.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid([u8; Sid::LEN]);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Sid {
    /// The length of every id, in bytes and in characters.
    pub const LEN: usize = 20;

    /// Makes an id from 15 bytes, which must come from a cryptographically secure source: 120 bits
    /// are what keeps a session from being guessed.
    #[must_use]
    pub fn new(random: [u8; 15]) -> Self {
        let mut id = [0; Self::LEN];
        for (four, three) in id.chunks_exact_mut(4).zip(random.chunks_exact(3)) {
            let bits =
                (u32::from(three[0]) << 16) | (u32::from(three[1]) << 8) | u32::from(three[2]);
            for (i, byte) in four.iter_mut().enumerate() {
                *byte = ALPHABET[(bits >> (18 - 6 * i)) as usize & 63];
            }
        }
        Self(id)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).expect("an id holds nothing but ASCII: `new` and `from_str`")
    }
}

impl FromStr for Sid {
    type Err = ParseSidError;

    fn from_str(text: &str) -> Result<Self, ParseSidError> {
        let id: [u8; Self::LEN] = text.as_bytes().try_into().map_err(|_| ParseSidError(()))?;
        let legal = id.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if legal { Ok(Self(id)) } else { Err(ParseSidError(())) }
    }
}

impl AsRef<str> for Sid {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sid({}..)", &self.as_str()[..4])
    }
}

/// The text is not an id: it has not 20 characters, or one that is not of `[A-Za-z0-9_-]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseSidError(());

impl fmt::Display for ParseSidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id has 20 characters, each a letter, a digit, `-` or `_`")
    }
}

impl core::error::Error for ParseSidError {}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{format, string::ToString};

    #[test]
    fn is_base64url_of_its_bytes() {
        assert_eq!(Sid::new([0; 15]).as_str(), "AAAAAAAAAAAAAAAAAAAA");
        assert_eq!(Sid::new([255; 15]).as_str(), "____________________");
        let bytes = [0xfb, 0xf0, 0x3e, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        assert_eq!(Sid::new(bytes).as_str(), "-_A-AQIDBAUGBwgJCgsM");
    }

    #[test]
    fn parses_what_it_prints_and_nothing_else() {
        let sid = Sid::new([7; 15]);
        assert_eq!(sid.to_string().parse(), Ok(sid));
        for bad in
            ["", "short", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAA+", "AAAAAAAAAAAAAAAAAAé"]
        {
            assert!(bad.parse::<Sid>().is_err(), "{bad}");
        }
    }

    #[test]
    fn debug_does_not_tell_the_secret() {
        assert_eq!(format!("{:?}", Sid::new([0; 15])), "Sid(AAAA..)");
    }
}
