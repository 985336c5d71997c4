//! Offsets: the positions of a log, as clients hold them.

use std::fmt;

/// Where an event stands in the log. Every later event has a greater one; there are gaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl Position {
    /// The position behind this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Which log a position belongs to: 24 random bits, drawn when the log was made.
///
/// A client keeps its last offset when it loses its session. Without the epoch, the offset of a log
/// that is gone would look like one of the next log, and events would be passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u32);

impl Epoch {
    /// An epoch of random bits.
    #[must_use]
    pub fn new(random: [u8; 3]) -> Self {
        Self(u32::from_be_bytes([0, random[0], random[1], random[2]]))
    }

    /// The bits that it was made from.
    #[must_use]
    pub fn bits(self) -> [u8; 3] {
        let [_, rest @ ..] = self.0.to_be_bytes();
        rest
    }
}

/// What a client is told of a position, and sends back: four digits for the epoch, a dot, and as many as
/// it takes for the position, in base 64: `0_Xb.1a`.
///
/// It goes out with every event, as its last argument, so it is short; and nothing else is accepted
/// for one, so that a user's string is hardly ever taken for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Offset {
    /// The log.
    pub epoch: Epoch,
    /// The position in it.
    pub position: Position,
}

/// The digits of Node's offsets, so that these look alike in a log of the wire.
const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

const EPOCH_DIGITS: usize = 4;

impl Offset {
    /// The offset that is written so, and in no other way.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, position) = text.as_bytes().split_at_checked(EPOCH_DIGITS)?;
        let position = position.strip_prefix(b".")?;
        if position.is_empty() || position.len() > 1 && position[0] == DIGITS[0] {
            return None;
        }
        let epoch = Epoch(u32::try_from(number(epoch)?).ok()?);
        Some(Self { epoch, position: Position(number(position)?) })
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        let value = DIGITS.iter().position(|known| known == digit)?;
        number.checked_mul(64)?.checked_add(value as u64)
    })
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Eleven digits hold 66 bits.
        let mut text = [b'.'; EPOCH_DIGITS + 1 + 11];
        let mut epoch = self.epoch.0;
        for digit in text[..EPOCH_DIGITS].iter_mut().rev() {
            *digit = DIGITS[(epoch % 64) as usize];
            epoch /= 64;
        }
        let position = self.position.0;
        let digits = (1..11).take_while(|digits| position >> (6 * digits) > 0).count() + 1;
        let end = EPOCH_DIGITS + 1 + digits;
        for (at, digit) in text[EPOCH_DIGITS + 1..end].iter_mut().rev().enumerate() {
            *digit = DIGITS[(position >> (6 * at)) as usize % 64];
        }
        f.pad(std::str::from_utf8(&text[..end]).unwrap_or_default())
    }
}

impl fmt::Debug for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Offset({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn offset(random: [u8; 3], position: u64) -> Offset {
        Offset { epoch: Epoch::new(random), position: Position(position) }
    }

    #[test]
    fn is_short() {
        assert_eq!(offset([0; 3], 0).to_string(), "0000.0");
        assert_eq!(offset([255; 3], 63).to_string(), "____._");
        assert_eq!(offset([0, 0, 1], 64).to_string(), "0001.10");
        assert_eq!(offset([1, 2, 3], u64::MAX).to_string().len(), 16);
    }

    #[test]
    fn nothing_else_is_one() {
        for bad in [
            "",
            "0000",
            "0000.",
            "0000.1!",
            "0000.1é",
            "0000.01",
            "00000",
            "hello",
            "hello world",
            "Q87RNsZ.0",
            "0000.-_-_-_-_-_-_",
        ] {
            assert_eq!(Offset::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parses_what_it_prints(random: [u8; 3], position: u64) {
            let offset = offset(random, position);
            prop_assert_eq!(Offset::parse(&offset.to_string()), Some(offset));
        }

        #[test]
        fn prints_what_it_parses(text in "[0-9A-Za-z_-]{4}[.][0-9A-Za-z_-]{0,12}") {
            if let Some(offset) = Offset::parse(&text) {
                prop_assert_eq!(offset.to_string(), text);
            }
        }
    }
}
