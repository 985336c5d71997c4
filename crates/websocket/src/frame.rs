//! Stateless encoders: complete frames, appended to the caller's buffer (RFC 6455 §5).
//!
//! They know no connection, so that any thread can make a frame and many connections can share it.

use alloc::vec::Vec;

use crate::{
    close::{CloseCode, MAX_REASON},
    copy,
    head::{FIN, Head, LEN_U16, MAX_CONTROL_PAYLOAD, MAX_HEAD, OpCode},
    mask,
};

/// Appends a server's frame: final and not masked.
///
/// The payload is taken as it is: text has to be UTF-8, and that of a control frame at most
/// [`MAX_CONTROL_PAYLOAD`] bytes.
#[inline]
pub fn append(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) {
    // Most frames are short, and half of a short one's cost would be its head.
    if let Ok(len @ ..LEN_U16) = u8::try_from(payload.len()) {
        out.reserve(2 + payload.len());
        out.extend_from_slice(&[FIN | opcode as u8, len]);
        return out.extend_from_slice(payload);
    }
    append_with(out, Head::new(opcode, payload.len() as u64), payload);
}

/// Appends a client's frame: as [`append`], masked with `key`, which has to be fresh and
/// unpredictable for each frame (RFC 6455 §5.3).
#[inline]
pub fn append_masked(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8], key: mask::Key) {
    let head = Head { mask: Some(key), ..Head::new(opcode, payload.len() as u64) };
    append_with(out, head, payload);
}

/// Appends a close frame with a code and a reason, or with neither.
///
/// A reason longer than [`MAX_REASON`] is cut there, at a character's boundary. `mask` is `None`
/// for a server and a fresh key for a client.
pub fn append_close(out: &mut Vec<u8>, reason: Option<(CloseCode, &str)>, mask: Option<mask::Key>) {
    let mut payload = [0; MAX_CONTROL_PAYLOAD];
    let len = match reason {
        None => 0,
        Some((code, text)) => {
            let text = &text.as_bytes()[..text.floor_char_boundary(MAX_REASON)];
            payload[..2].copy_from_slice(&code.get().to_be_bytes());
            payload[2..2 + text.len()].copy_from_slice(text);
            2 + text.len()
        }
    };
    let head = Head { mask, ..Head::new(OpCode::Close, len as u64) };
    append_with(out, head, &payload[..len]);
}

#[inline]
fn append_with(out: &mut Vec<u8>, head: Head, payload: &[u8]) {
    debug_assert!(
        !head.opcode.is_control() || payload.len() <= MAX_CONTROL_PAYLOAD,
        "a control frame's payload has at most 125 bytes"
    );
    out.reserve(MAX_HEAD + payload.len());
    head.encode(out);
    let start = out.len();
    copy::append(out, payload);
    if let Some(key) = head.mask {
        mask::apply(key, 0, &mut out[start..]);
    }
}

#[cfg(test)]
mod tests {
    use alloc::{string::String, vec};

    use super::*;

    #[test]
    fn the_examples_of_rfc_6455_section_5_7() {
        let mut out = vec![];
        append(&mut out, OpCode::Text, b"Hello");
        assert_eq!(out, [0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F]);

        out.clear();
        append_masked(&mut out, OpCode::Text, b"Hello", [0x37, 0xFA, 0x21, 0x3D]);
        assert_eq!(out, [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]);

        out.clear();
        append(&mut out, OpCode::Binary, &[7; 256]);
        assert_eq!(out[..5], [0x82, 0x7E, 0x01, 0x00, 7]);

        out.clear();
        append(&mut out, OpCode::Binary, &vec![7; 65_536]);
        assert_eq!(out[..11], [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0, 7]);
    }

    #[test]
    fn close_frames() {
        let mut out = vec![];
        append_close(&mut out, None, None);
        assert_eq!(out, [0x88, 0]);

        out.clear();
        append_close(&mut out, Some((CloseCode::NORMAL, "bye")), None);
        assert_eq!(out, [0x88, 5, 0x03, 0xE8, b'b', b'y', b'e']);

        out.clear();
        append_close(&mut out, Some((CloseCode::NORMAL, "")), Some([0xFF; 4]));
        assert_eq!(out, [0x88, 0x82, 0xFF, 0xFF, 0xFF, 0xFF, 0xFC, 0x17]);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        // 122 bytes and then characters of three: the 123rd byte is not a boundary.
        let mut reason = String::from("ab");
        for _ in 0..60 {
            reason.push('€');
        }
        let mut out = vec![];
        append_close(&mut out, Some((CloseCode::POLICY, &reason)), None);
        assert_eq!(usize::from(out[1]), 2 + 122);
        assert_eq!(&out[4..], &reason.as_bytes()[..122]);

        out.clear();
        append_close(&mut out, Some((CloseCode::POLICY, &"x".repeat(500))), None);
        assert_eq!(usize::from(out[1]), MAX_CONTROL_PAYLOAD);
    }
}
