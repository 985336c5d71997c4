//! Masking: XOR of a client's payload with a key of four bytes (RFC 6455 §5.3).
//!
//! The transformation is its own inverse. Eight bytes at a time in plain integers, which the
//! compiler turns into vector instructions; at most seven bytes are left for the tail, so a payload
//! of twenty bytes costs a few nanoseconds.

/// A masking key. A client takes a fresh, unpredictable one for each frame (RFC 6455 §5.3, §10.3).
pub type Key = [u8; 4];

/// Masks or unmasks `payload`, the part of a frame's payload that begins `offset` bytes behind the
/// frame's head.
#[inline]
pub fn apply(key: Key, offset: usize, payload: &mut [u8]) {
    // In big-endian order the key's first byte is the highest: rotating left moves on by one byte.
    let key = u32::from_be_bytes(key).rotate_left(8 * (offset % 4) as u32).to_be_bytes();
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);

    let (lanes, tail) = payload.as_chunks_mut::<8>();
    for lane in lanes {
        *lane = (u64::from_ne_bytes(*lane) ^ wide).to_ne_bytes();
    }
    let tail = match tail.split_first_chunk_mut::<4>() {
        Some((word, tail)) => {
            *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(key)).to_ne_bytes();
            tail
        }
        None => tail,
    };
    for (byte, key) in tail.iter_mut().zip(key) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn agrees_with_the_definition_at_every_length_and_offset() {
        let key = [0x37, 0xFA, 0x21, 0x3D];
        for len in 0..100 {
            for offset in [0, 1, 2, 3, 4, 5, usize::MAX - 1, usize::MAX] {
                let plain: Vec<u8> = (0..len).map(|i| i as u8).collect();
                let mut masked = plain.clone();
                apply(key, offset, &mut masked);
                for (i, (&plain, &masked)) in plain.iter().zip(&masked).enumerate() {
                    assert_eq!(masked, plain ^ key[offset.wrapping_add(i) % 4]);
                }
                apply(key, offset, &mut masked);
                assert_eq!(masked, plain);
            }
        }
    }
}
