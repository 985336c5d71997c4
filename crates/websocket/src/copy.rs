//! Copying payloads, which is most of what a large message costs here.
//!
//! In pieces: from 8 KiB on, and with older processors earlier, glibc copies with one `rep movsb`, which AMD's Zen 3
//! and Zen 4 run at a tenth of their speed where both addresses have nearly the same place in their pages (glibc's
//! bug 30994). A receive buffer and a new allocation often have. Pieces stay below that and cost nothing elsewhere.

use alloc::{string::String, vec::Vec};

/// Below what any glibc takes `rep movsb` for.
const PIECE: usize = 2 * 1024;

/// Appends `bytes` to `out`, as [`Vec::extend_from_slice`] does.
#[inline]
pub fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() <= PIECE {
        return out.extend_from_slice(bytes);
    }
    out.reserve(bytes.len());
    for piece in bytes.chunks(PIECE) {
        out.extend_from_slice(piece);
    }
}

/// A copy of a text, as `str::to_owned` makes it.
#[must_use]
pub fn text(text: &str) -> String {
    let mut copy = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(rest.floor_char_boundary(PIECE));
        copy.push_str(piece);
        rest = behind;
    }
    copy
}

#[cfg(test)]
mod tests {
    use alloc::{borrow::ToOwned, vec::Vec};

    use super::*;

    #[test]
    fn nothing_is_lost_between_the_pieces() {
        for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 5 * PIECE + 7] {
            let bytes: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
            let mut out = Vec::from(*b"before");
            append(&mut out, &bytes);
            assert_eq!(out, [b"before", &*bytes].concat());
        }
    }

    #[test]
    fn a_text_is_cut_between_its_characters() {
        for text in ["", "a", "\u{1F426}", "€"] {
            for times in [1, PIECE / 3, PIECE, 3 * PIECE + 1] {
                let whole = "x".to_owned() + &text.repeat(times);
                assert!(super::text(&whole) == whole);
            }
        }
    }
}
