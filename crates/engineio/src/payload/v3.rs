//! Reading payloads of revision 3.

use super::Part;

/// A payload without packets, in text.
pub(super) const NOTHING: &str = "0:";

/// No length has more digits: it would be above every limit.
const MAX_DIGITS: usize = 15;

/// The first packet, and how many bytes of the payload it takes with its length; `None` if the text does
/// not begin with a packet behind its length.
///
/// (Node takes what JavaScript's `Number` takes for a length, and passes over packets of length 0. No
/// client sends either.)
pub(super) fn take_text(text: &str) -> Option<(&str, usize)> {
    let digits = text.bytes().take(MAX_DIGITS + 1).position(|byte| !byte.is_ascii_digit())?;
    let rest = text[digits..].strip_prefix(':')?;
    // Nothing but digits, and few enough; none at all is no number.
    let length = text[..digits].parse().ok()?;
    let packet = &rest[..end_of_units(rest, length)?];
    Some((packet, digits + 1 + packet.len()))
}

/// Where so many UTF-16 code units of the text end; `None` if it has fewer, or if that is within a
/// character.
fn end_of_units(text: &str, units: usize) -> Option<usize> {
    // As many bytes are as many units in ASCII, which nearly all packets are.
    if text.as_bytes().get(..units)?.is_ascii() {
        return Some(units);
    }
    let mut left = units;
    for (at, character) in text.char_indices() {
        if left == 0 {
            return Some(at);
        }
        left = left.checked_sub(character.len_utf16())?;
    }
    (left == 0).then_some(text.len())
}

/// The same for a payload in binary form.
pub(super) fn take_binary(bytes: &[u8]) -> Option<(Part<'_>, usize)> {
    let (kind, rest) = bytes.split_first()?;
    let digits = rest.iter().take(MAX_DIGITS + 1).position(|byte| *byte == u8::MAX)?;
    if digits == 0 {
        return None;
    }
    let length = rest[..digits]
        .iter()
        .try_fold(0, |length: u64, digit| (*digit <= 9).then(|| length * 10 + u64::from(*digit)))?;
    let packet = rest[digits + 1..].get(..usize::try_from(length).ok()?)?;
    let part = match kind {
        0 => Part::Text(str::from_utf8(packet).ok()?),
        1 => Part::Binary(packet),
        _ => return None,
    };
    Some((part, 1 + digits + 1 + packet.len()))
}
