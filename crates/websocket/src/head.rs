//! The head of a frame: everything in front of its payload (RFC 6455 §5.2).
//!
//! Parsing is stateless: the bytes are handed in from their beginning, and an incomplete head is no
//! error. What depends on the connection (who masks, which reserved bits are negotiated, in which
//! order fragments come) is judged elsewhere.

use alloc::vec::Vec;

use crate::{error::PeerMisbehaved, mask};

/// The longest head: two bytes, eight of extended length, four of masking key.
pub const MAX_HEAD: usize = 14;

/// The longest head that a server sends: as [`MAX_HEAD`], without a masking key.
pub const MAX_SERVER_HEAD: usize = 10;

/// The longest payload of a control frame, in bytes (RFC 6455 §5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;

pub(crate) const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
pub(crate) const LEN_U16: u8 = 126;
const LEN_U64: u8 = 127;

/// What a frame is for (RFC 6455 §5.2, §11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum OpCode {
    /// A further fragment of the message that is under way.
    Continuation = 0x0,
    /// The first or only fragment of a text message.
    Text = 0x1,
    /// The first or only fragment of a binary message.
    Binary = 0x2,
    /// The sender will send nothing more (RFC 6455 §5.5.1).
    Close = 0x8,
    /// The receiver has to answer with a pong of the same payload (RFC 6455 §5.5.2).
    Ping = 0x9,
    /// The answer to a ping, or an unsolicited sign of life (RFC 6455 §5.5.3).
    Pong = 0xA,
}

impl OpCode {
    /// The opcode of these four bits; `None` for the reserved ones, 3–7 and 11–15.
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    /// Whether this is a control frame: close, ping or pong.
    #[inline]
    #[must_use]
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// The head of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whether this frame is the last, or only, one of its message.
    pub fin: bool,
    /// The three reserved bits, RSV1 being the highest: `0b100`.
    pub rsv: u8,
    /// What the frame is for.
    pub opcode: OpCode,
    /// The key that the payload is masked with, if it is.
    pub mask: Option<mask::Key>,
    /// The length of the payload in bytes.
    pub len: u64,
}

impl Head {
    /// The head of a message in a single frame, with no reserved bit and no mask.
    #[inline]
    #[must_use]
    pub const fn new(opcode: OpCode, len: u64) -> Self {
        Self { fin: true, rsv: 0, opcode, mask: None, len }
    }

    /// Reads the head at the beginning of `bytes` and says how many bytes it took, 2 to
    /// [`MAX_HEAD`].
    ///
    /// `Ok(None)` means that the head goes on behind the end of `bytes`.
    ///
    /// # Errors
    ///
    /// As soon as the bytes at hand show it: a reserved opcode, a control frame that is fragmented
    /// or longer than 125 bytes, a length not in its shortest form, or one with its highest bit set
    /// (RFC 6455 §5.2, §5.5).
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, PeerMisbehaved> {
        let [first, after_first @ ..] = bytes else { return Ok(None) };
        let fin = first & FIN != 0;
        let Some(opcode) = OpCode::from_bits(first & 0x0F) else {
            return Err(PeerMisbehaved::ReservedOpCode(first & 0x0F));
        };
        if opcode.is_control() && !fin {
            return Err(PeerMisbehaved::FragmentedControlFrame);
        }

        let [second, rest @ ..] = after_first else { return Ok(None) };
        let short = second & !MASKED;
        if opcode.is_control() && usize::from(short) > MAX_CONTROL_PAYLOAD {
            return Err(PeerMisbehaved::ControlFrameTooLong);
        }
        let (len, rest) = match short {
            LEN_U16 => {
                let Some((len, rest)) = rest.split_first_chunk() else { return Ok(None) };
                let len = u16::from_be_bytes(*len);
                if len < u16::from(LEN_U16) {
                    return Err(PeerMisbehaved::LengthNotMinimal);
                }
                (u64::from(len), rest)
            }
            LEN_U64 => {
                let Some((len, rest)) = rest.split_first_chunk() else { return Ok(None) };
                let len = u64::from_be_bytes(*len);
                if len >> 63 != 0 {
                    return Err(PeerMisbehaved::LengthBeyond63Bits);
                }
                if len <= u64::from(u16::MAX) {
                    return Err(PeerMisbehaved::LengthNotMinimal);
                }
                (len, rest)
            }
            short => (u64::from(short), rest),
        };
        let (mask, rest) = if second & MASKED != 0 {
            let Some((key, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (Some(*key), rest)
        } else {
            (None, rest)
        };

        let head = Self { fin, rsv: (first >> 4) & 0b111, opcode, mask, len };
        Ok(Some((head, bytes.len() - rest.len())))
    }

    /// Appends the head, its length in the shortest form.
    ///
    /// Nothing is judged: what is put in comes out, so that tests can speak like a bad peer.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        let first = u8::from(self.fin) << 7 | (self.rsv & 0b111) << 4 | self.opcode as u8;
        let masked = if self.mask.is_some() { MASKED } else { 0 };
        match Length::of(self.len) {
            Length::Short(len) => out.extend_from_slice(&[first, masked | len]),
            Length::U16([a, b]) => out.extend_from_slice(&[first, masked | LEN_U16, a, b]),
            Length::U64([a, b, c, d, e, f, g, h]) => {
                out.extend_from_slice(&[first, masked | LEN_U64, a, b, c, d, e, f, g, h]);
            }
        }
        if let Some(key) = &self.mask {
            out.extend_from_slice(key);
        }
    }
}

/// A length in its shortest form, in network byte order.
enum Length {
    Short(u8),
    U16([u8; 2]),
    U64([u8; 8]),
}

impl Length {
    #[inline]
    const fn of(len: u64) -> Self {
        if len < LEN_U16 as u64 {
            Self::Short(len as u8)
        } else if len <= u16::MAX as u64 {
            Self::U16((len as u16).to_be_bytes())
        } else {
            Self::U64(len.to_be_bytes())
        }
    }
}

/// Writes the head of a server's frame (final, unmasked, no reserved bits) to the *end* of
/// `headroom` and returns its size, 2, 4 or 10: the head is `headroom[MAX_SERVER_HEAD - size..]`,
/// and what lies before it stays as it is.
///
/// So a buffer that keeps [`MAX_SERVER_HEAD`] bytes free in front of its payload becomes a complete
/// frame without moving the payload.
#[inline]
pub fn encode_in_headroom(
    opcode: OpCode,
    len: usize,
    headroom: &mut [u8; MAX_SERVER_HEAD],
) -> usize {
    let first = FIN | opcode as u8;
    match Length::of(len as u64) {
        Length::Short(len) => {
            headroom[8..].copy_from_slice(&[first, len]);
            2
        }
        Length::U16([a, b]) => {
            headroom[6..].copy_from_slice(&[first, LEN_U16, a, b]);
            4
        }
        Length::U64([a, b, c, d, e, f, g, h]) => {
            *headroom = [first, LEN_U64, a, b, c, d, e, f, g, h];
            10
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn parsed(bytes: &[u8]) -> Head {
        let (head, size) = Head::parse(bytes).unwrap().unwrap();
        assert_eq!(size, bytes.len());
        head
    }

    #[test]
    fn each_length_form_round_trips_at_its_boundaries() {
        for (len, size) in [
            (0, 2),
            (125, 2),
            (126, 4),
            (65_535, 4),
            (65_536, 10),
            (u64::from(u32::MAX) + 1, 10),
            (u64::MAX >> 1, 10),
        ] {
            for mask in [None, Some([1, 2, 3, 4])] {
                for rsv in [0, 0b100, 0b011] {
                    let head = Head { fin: false, rsv, opcode: OpCode::Binary, mask, len };
                    let mut bytes = Vec::new();
                    head.encode(&mut bytes);
                    assert_eq!(bytes.len(), size + mask.map_or(0, |key| key.len()));
                    assert_eq!(parsed(&bytes), head);
                    for cut in 0..bytes.len() {
                        assert_eq!(Head::parse(&bytes[..cut]), Ok(None), "{head:?} cut at {cut}");
                    }
                }
            }
        }
    }

    #[test]
    fn headroom_holds_the_same_bytes_as_encode() {
        for len in [0, 125, 126, 65_535, 65_536] {
            let mut headroom = [0xEE; MAX_SERVER_HEAD];
            let size = encode_in_headroom(OpCode::Text, len, &mut headroom);
            let mut bytes = Vec::new();
            Head::new(OpCode::Text, len as u64).encode(&mut bytes);
            let (before, head) = headroom.split_at(MAX_SERVER_HEAD - size);
            assert_eq!(head, bytes);
            assert!(before.iter().all(|&byte| byte == 0xEE), "untouched");
        }
    }

    #[test]
    fn every_opcode_is_known_or_refused_by_its_first_byte() {
        for bits in 0..16 {
            match OpCode::from_bits(bits) {
                Some(opcode) => {
                    assert_eq!(opcode as u8, bits);
                    assert_eq!(opcode.is_control(), bits >= 8);
                    assert_eq!(Head::parse(&[0x80 | bits]), Ok(None));
                }
                None => {
                    let refused = Err(PeerMisbehaved::ReservedOpCode(bits));
                    assert_eq!(Head::parse(&[0x80 | bits]), refused);
                }
            }
        }
    }

    #[test]
    fn lengths_must_be_minimal_and_fit_in_63_bits() {
        for (bytes, error) in [
            (vec![0x82, 126, 0, 125], PeerMisbehaved::LengthNotMinimal),
            (vec![0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], PeerMisbehaved::LengthNotMinimal),
            (vec![0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], PeerMisbehaved::LengthBeyond63Bits),
        ] {
            assert_eq!(Head::parse(&bytes), Err(error));
        }
    }

    #[test]
    fn control_frames_are_short_and_whole() {
        for opcode in [OpCode::Close, OpCode::Ping, OpCode::Pong] {
            let bits = opcode as u8;
            assert_eq!(Head::parse(&[bits]), Err(PeerMisbehaved::FragmentedControlFrame));
            assert_eq!(parsed(&[0x80 | bits, 125]).len, 125);
            for long in [126, 127] {
                let refused = Err(PeerMisbehaved::ControlFrameTooLong);
                assert_eq!(Head::parse(&[0x80 | bits, long]), refused);
            }
        }
    }
}
