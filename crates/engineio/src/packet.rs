//! Engine.IO packets as text: one type character, then data.
//!
//! On a websocket each packet is one message: text as decoded here, while a binary message is the
//! data of a `message` packet as it stands, with no type. The base64 form of binary (`b…`) belongs
//! to polling, but is accepted everywhere, as in Node.
//!
//! In revision 3 a binary message has a type as well: the number 4 before its bytes, or the character
//! `4` before its base64.

use alloc::vec::Vec;
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use core::fmt;

use crate::CloseReason;

/// Encodes with padding, as the protocol has it, and decodes with or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The seven types of packets, by their character on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// From the server, first of all: the handshake's answer ([`Open`](crate::Open)).
    Open = b'0',
    /// Ends the session.
    Close = b'1',
    /// From the server: are you alive? From a client only as `2probe`, on a new transport.
    Ping = b'2',
    /// From the client: yes. From the server only as `3probe`.
    Pong = b'3',
    /// What the layer above sends.
    Message = b'4',
    /// From the client: the new transport takes over.
    Upgrade = b'5',
    /// From the server: ends a poll that has nothing to bring.
    Noop = b'6',
}

impl PacketType {
    /// The byte on the wire.
    #[must_use]
    pub const fn as_byte(self) -> u8 {
        self as u8
    }

    /// The number that the byte on the wire is the digit of: the type of binary messages in revision 3.
    #[must_use]
    pub const fn as_number(self) -> u8 {
        self as u8 - b'0'
    }

    /// The type that the byte on the wire means.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            b'0' => Self::Open,
            b'1' => Self::Close,
            b'2' => Self::Ping,
            b'3' => Self::Pong,
            b'4' => Self::Message,
            b'5' => Self::Upgrade,
            b'6' => Self::Noop,
            _ => return None,
        })
    }
}

/// One packet, borrowing its data from the message that brought it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// `0`: the data is JSON, see [`Open`](crate::Open).
    Open(&'a str),
    /// `1`.
    Close,
    /// `2`, with `probe` as data on a transport that is being tried.
    Ping(&'a str),
    /// `3`, with `probe` as data on a transport that is being tried.
    Pong(&'a str),
    /// `4` and text, which may be empty.
    Message(&'a str),
    /// `b` and base64: a binary message where only text can go.
    Binary(Vec<u8>),
    /// `5`.
    Upgrade,
    /// `6`.
    Noop,
}

impl<'a> Packet<'a> {
    /// Reads one packet. Data behind a packet that has none is ignored, as in Node.
    ///
    /// # Errors
    ///
    /// The text is empty, begins with no known type, or its base64 is broken. (Node decodes
    /// whatever it can of broken base64; here a message that was damaged is not delivered.)
    pub fn decode_text(text: &'a str) -> Result<Self, Error> {
        let first = *text.as_bytes().first().ok_or(Error::EmptyPacket)?;
        if first == b'b' {
            return match BASE64.decode(&text[1..]) {
                Ok(bytes) => Ok(Self::Binary(bytes)),
                Err(_) => Err(Error::InvalidBase64),
            };
        }
        let Some(kind) = PacketType::from_byte(first) else {
            let unknown = text.chars().next().unwrap_or_default();
            return Err(Error::UnknownType(unknown));
        };
        let data = &text[1..];
        Ok(match kind {
            PacketType::Open => Self::Open(data),
            PacketType::Close => Self::Close,
            PacketType::Ping => Self::Ping(data),
            PacketType::Pong => Self::Pong(data),
            PacketType::Message => Self::Message(data),
            PacketType::Upgrade => Self::Upgrade,
            PacketType::Noop => Self::Noop,
        })
    }

    /// Reads one packet of revision 3. Only a message may be binary: Node takes any type there, which no
    /// client sends.
    ///
    /// # Errors
    ///
    /// As [`decode_text`](Self::decode_text).
    pub fn decode_text_v3(text: &'a str) -> Result<Self, Error> {
        let Some(binary) = text.strip_prefix('b') else { return Self::decode_text(text) };
        let data = binary.strip_prefix('4').ok_or_else(|| match binary.chars().next() {
            Some(unknown) => Error::UnknownType(unknown),
            None => Error::EmptyPacket,
        })?;
        BASE64.decode(data).map(Self::Binary).map_err(|_| Error::InvalidBase64)
    }

    /// Appends a binary message in its text form: `b` and base64.
    pub fn encode_binary(bytes: &[u8], out: &mut Vec<u8>) {
        out.push(b'b');
        Self::encode_base64(bytes, out);
    }

    /// The same for revision 3: `b4` and base64.
    pub fn encode_binary_v3(bytes: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"b4");
        Self::encode_base64(bytes, out);
    }

    fn encode_base64(bytes: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        // Four characters for each three bytes that are begun, padded.
        out.resize(start + bytes.len().div_ceil(3) * 4, 0);
        let written = BASE64.encode_slice(bytes, &mut out[start..]);
        debug_assert_eq!(written.ok(), Some(out.len() - start));
    }

    /// Appends the packet in its text form.
    pub fn encode_text(&self, out: &mut Vec<u8>) {
        let (kind, data) = match self {
            Self::Open(data) => (PacketType::Open, *data),
            Self::Close => (PacketType::Close, ""),
            Self::Ping(data) => (PacketType::Ping, *data),
            Self::Pong(data) => (PacketType::Pong, *data),
            Self::Message(data) => (PacketType::Message, *data),
            Self::Upgrade => (PacketType::Upgrade, ""),
            Self::Noop => (PacketType::Noop, ""),
            Self::Binary(bytes) => return Self::encode_binary(bytes, out),
        };
        out.push(kind.as_byte());
        out.extend_from_slice(data.as_bytes());
    }
}

/// What a peer did that Engine.IO does not allow. Every one of them ends the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Error {
    /// A text message without a single character, hence without a packet type.
    EmptyPacket,
    /// The first character is not `0` to `6`, nor `b`.
    UnknownType(char),
    /// What follows `b` is not base64.
    InvalidBase64,
    /// A client of revision 4 sent a ping, which there is the server's part; or one of revision 3 a
    /// pong.
    HeartbeatDirection,
    /// The first byte of a binary message of revision 3 is not the type of a message.
    UnknownBinaryType(u8),
    /// A payload of revision 3 is not packets, each behind its length.
    MalformedPayload,
}

impl Error {
    /// How the session ends, as in Node.
    #[must_use]
    pub const fn reason(self) -> CloseReason {
        match self {
            Self::EmptyPacket
            | Self::UnknownType(_)
            | Self::InvalidBase64
            | Self::UnknownBinaryType(_)
            | Self::MalformedPayload => CloseReason::ParseError,
            Self::HeartbeatDirection => CloseReason::TransportError,
        }
    }
}

impl From<Error> for CloseReason {
    fn from(error: Error) -> Self {
        error.reason()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyPacket => f.write_str("the peer sent an Engine.IO packet without a type"),
            Self::UnknownType(unknown) => {
                write!(f, "the peer sent an Engine.IO packet of the unknown type {unknown:?}")
            }
            Self::InvalidBase64 => {
                f.write_str("the peer sent a binary Engine.IO packet that is not base64")
            }
            Self::HeartbeatDirection => f.write_str(
                "the peer did the other side's part of Engine.IO's heartbeat (invalid heartbeat direction)",
            ),
            Self::UnknownBinaryType(unknown) => {
                write!(f, "the peer sent a binary Engine.IO packet of the unknown type {unknown}")
            }
            Self::MalformedPayload => f.write_str(
                "the peer sent an Engine.IO payload that is not packets, each behind its length",
            ),
        }
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::{string::String, vec};

    fn encoded(packet: &Packet<'_>) -> String {
        let mut out = Vec::new();
        packet.encode_text(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn golden_both_ways() {
        let golden = [
            ("0{}", Packet::Open("{}")),
            ("1", Packet::Close),
            ("2", Packet::Ping("")),
            ("2probe", Packet::Ping("probe")),
            ("3", Packet::Pong("")),
            ("3probe", Packet::Pong("probe")),
            ("4", Packet::Message("")),
            ("4hello €😀", Packet::Message("hello €😀")),
            ("5", Packet::Upgrade),
            ("6", Packet::Noop),
            ("bAQIDBA==", Packet::Binary(vec![1, 2, 3, 4])),
            ("b", Packet::Binary(vec![])),
        ];
        for (text, packet) in golden {
            assert_eq!(Packet::decode_text(text).as_ref(), Ok(&packet));
            assert_eq!(encoded(&packet), text);
        }
    }

    #[test]
    fn base64_needs_no_padding() {
        assert_eq!(Packet::decode_text("bAQIDBA"), Ok(Packet::Binary(vec![1, 2, 3, 4])));
    }

    #[test]
    fn data_behind_a_packet_without_data_is_ignored() {
        assert_eq!(Packet::decode_text("1bye"), Ok(Packet::Close));
        assert_eq!(Packet::decode_text("6 "), Ok(Packet::Noop));
    }

    #[test]
    fn malformed() {
        assert_eq!(Packet::decode_text(""), Err(Error::EmptyPacket));
        assert_eq!(Packet::decode_text("7"), Err(Error::UnknownType('7')));
        assert_eq!(Packet::decode_text("€4"), Err(Error::UnknownType('€')));
        assert_eq!(Packet::decode_text(" 4"), Err(Error::UnknownType(' ')));
        assert_eq!(Packet::decode_text("b%%"), Err(Error::InvalidBase64));
        assert_eq!(Packet::decode_text("bA"), Err(Error::InvalidBase64));
        assert_eq!(Packet::decode_text("bé"), Err(Error::InvalidBase64));
        assert_eq!(CloseReason::from(Error::UnknownType('7')), CloseReason::ParseError);
    }

    #[test]
    fn binary_of_revision_3_has_a_type() {
        let mut out = Vec::new();
        Packet::encode_binary_v3(&[1, 2, 3, 4], &mut out);
        assert_eq!(out, b"b4AQIDBA==");
        for (text, packet) in [
            ("b4AQIDBA==", Ok(Packet::Binary(vec![1, 2, 3, 4]))),
            ("b4AQIDBA", Ok(Packet::Binary(vec![1, 2, 3, 4]))),
            ("b4", Ok(Packet::Binary(vec![]))),
            ("4hello €😀", Ok(Packet::Message("hello €😀"))),
            ("2probe", Ok(Packet::Ping("probe"))),
            ("b", Err(Error::EmptyPacket)),
            ("b2", Err(Error::UnknownType('2'))),
            ("bAQIDBA==", Err(Error::UnknownType('A'))),
            ("b4%", Err(Error::InvalidBase64)),
            ("7", Err(Error::UnknownType('7'))),
            ("", Err(Error::EmptyPacket)),
        ] {
            assert_eq!(Packet::decode_text_v3(text), packet, "{text}");
        }
    }

    proptest! {
        #[test]
        fn binary_of_revision_3_comes_back(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
            cut in any::<proptest::sample::Index>(),
        ) {
            let mut wire = Vec::new();
            Packet::encode_binary_v3(&bytes, &mut wire);
            let wire = str::from_utf8(&wire).unwrap();
            prop_assert_eq!(Packet::decode_text_v3(wire), Ok(Packet::Binary(bytes.clone())));
            // Cut anywhere, it is an error or what stood before the cut.
            if let Ok(packet) = Packet::decode_text_v3(&wire[..cut.index(wire.len())]) {
                let Packet::Binary(read) = packet else { panic!("{packet:?}") };
                prop_assert!(bytes.starts_with(&read));
            }
        }

        #[test]
        fn any_text_is_a_packet_or_an_error(text in ".*") {
            let _ = Packet::decode_text(&text);
        }

        #[test]
        fn messages_come_back(text in ".*", bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let message = Packet::Message(&text);
            let wire = encoded(&message);
            prop_assert_eq!(Packet::decode_text(&wire), Ok(message));
            let binary = Packet::Binary(bytes);
            let wire = encoded(&binary);
            prop_assert_eq!(Packet::decode_text(&wire), Ok(binary));
        }
    }
}
