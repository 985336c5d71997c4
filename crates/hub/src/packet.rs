//! The shared packet: one message to many connections, encoded once.
//!
//! What an emitter says is turned into bytes when it says it, and every connection that is to
//! hear it gets a handle to those bytes. The *wire form* is chosen when a connection's outbox is
//! drained, because only then is it known which transport the session has by then: a packet that
//! was queued while polling is right after an upgrade.
//!
//! A text message's buffer begins with headroom for the head of a WebSocket frame, which is
//! written there, right-aligned, when the packet is made. So the same bytes are both forms: the
//! whole frame, and (behind the headroom) the Engine.IO packet for a polling payload. Forms that
//! differ in more than their head are made lazily beside them and shared likewise: the one for plain
//! connections, which know neither Engine.IO nor Socket.IO, and what is compressed.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use sockeye_engineio::PacketType;
use sockeye_websocket::OpCode;
use sockeye_websocket::head::{MAX_SERVER_HEAD, encode_in_headroom};

use crate::compressed::{Compressed, Frames};

/// What an entry costs in an outbox beside its bytes: its place in the queue and its share of the
/// allocations.
const OVERHEAD: usize = 64;

/// An Engine.IO text message with its binary attachments: one unit for queues and limits.
pub struct Packet {
    /// Headroom, then the Engine.IO packet.
    text: Bytes,
    /// Where in `text` the frame begins.
    frame_start: u8,
    attachments: Box<[Bytes]>,
    compress: bool,
    /// No parser has a say in it.
    raw: bool,
    /// How many of the text's bytes, before the last one, are its offset: see
    /// [`with_offset`](Self::with_offset).
    offset: u8,
    /// What few connections get, once one of them has asked for it. Most packets never have any.
    forms: OnceLock<Box<Forms>>,
}

/// The messages that one parser makes of a packet.
type Parsed = OnceLock<Box<[Arc<Packet>]>>;

/// The wire forms that differ from the packet's own bytes in more than a head. Each is made for the
/// first connection that asks, and shared by the others.
#[derive(Default)]
struct Forms {
    /// What plain connections get, as a whole WebSocket frame.
    plain: OnceLock<Bytes>,
    /// What connections get that agreed on compression.
    compressed: Frames,
    /// What clients of other parsers than the default one get, by the parser's number.
    parsed: OnceLock<Box<[Parsed; MAX_PARSERS]>>,
}

/// How many parsers there may be beside the default one; that with a replacer is one of them.
pub const MAX_PARSERS: usize = 9;

impl Packet {
    /// Makes an Engine.IO *message* packet. `encode` appends the message to the buffer it is
    /// handed (which is not empty) and returns the attachments that follow it.
    ///
    /// # Errors
    ///
    /// What `encode` returned.
    pub fn message<E>(
        encode: impl FnOnce(&mut Vec<u8>) -> Result<Vec<Bytes>, E>,
    ) -> Result<Arc<Self>, E> {
        Self::build(|buffer| {
            buffer.push(PacketType::Message.as_byte());
            encode(buffer)
        })
    }

    /// Makes a binary message: no text, one attachment.
    pub fn binary(bytes: Bytes) -> Arc<Self> {
        Arc::new(Self {
            text: Bytes::new(),
            frame_start: 0,
            attachments: Box::new([bytes]),
            compress: true,
            raw: false,
            offset: 0,
            forms: OnceLock::new(),
        })
    }

    /// Makes a text message that is what it is, whatever [parser](Self::parsed) its receivers speak.
    pub fn raw(text: &str) -> Arc<Self> {
        let mut packet = Self::control(|buffer| {
            buffer.push(PacketType::Message.as_byte());
            buffer.extend_from_slice(text.as_bytes());
        });
        if let Some(packet) = Arc::get_mut(&mut packet) {
            packet.raw = true;
        }
        packet
    }

    /// Makes a packet of Engine.IO itself; `encode` appends all of it.
    pub fn control(encode: impl FnOnce(&mut Vec<u8>)) -> Arc<Self> {
        let Ok(packet) = Self::build(|buffer| {
            encode(buffer);
            Ok::<_, Infallible>(Vec::new())
        });
        packet
    }

    fn build<E>(
        encode: impl FnOnce(&mut Vec<u8>) -> Result<Vec<Bytes>, E>,
    ) -> Result<Arc<Self>, E> {
        let mut buffer = Vec::with_capacity(128);
        buffer.extend_from_slice(&[0; MAX_SERVER_HEAD]);
        let attachments = encode(&mut buffer)?.into_boxed_slice();
        let frame_start = write_head(&mut buffer) as u8;
        Ok(Arc::new(Self {
            text: buffer.into(),
            frame_start,
            attachments,
            compress: true,
            raw: false,
            offset: 0,
            forms: OnceLock::new(),
        }))
    }

    /// The packet, marked as not worth compressing. No effect on one that others hold already.
    pub fn uncompressed(mut packet: Arc<Self>) -> Arc<Self> {
        if let Some(packet) = Arc::get_mut(&mut packet) {
            packet.compress = false;
        }
        packet
    }

    /// The packet of an event, with an offset as one more argument: a short string without anything to
    /// escape. Plain connections do not get it.
    ///
    /// The bytes are not copied if nobody else holds the packet, and there is room behind them.
    pub fn with_offset(packet: Arc<Self>, offset: &str) -> Arc<Self> {
        let packet = Arc::try_unwrap(packet).unwrap_or_else(|shared| Self {
            text: shared.text.clone(),
            attachments: shared.attachments.clone(),
            forms: OnceLock::new(),
            ..*shared
        });
        let mut text = packet.text.try_into_mut().unwrap_or_else(|shared| shared[..].into());
        let Some(b']') = text.last() else { return Arc::new(Self { text: text.into(), ..packet }) };
        text.truncate(text.len() - 1);
        let length = text.len();
        for part in [b",\"", offset.as_bytes(), b"\"]"] {
            text.extend_from_slice(part);
        }
        let added = (text.len() - length - 1) as u8;
        let frame_start = write_head(&mut text) as u8;
        Arc::new(Self { text: text.into(), frame_start, offset: added, ..packet })
    }

    /// Whether it is an event [with an offset](Self::with_offset).
    pub fn has_offset(&self) -> bool {
        self.offset > 0
    }

    /// Whether it may be compressed where its transport does that.
    pub fn is_compressible(&self) -> bool {
        self.compress
    }

    /// The bytes that the packet counts against a connection's limit.
    pub fn bytes(&self) -> usize {
        let attachments: usize = self.attachments.iter().map(|bytes| bytes.len() + OVERHEAD).sum();
        self.text.len() + attachments + OVERHEAD
    }

    /// The packet as WebSocket frames, in pieces that follow one another: the text frame, then a
    /// head and a payload for each attachment.
    pub fn frames(&self, piece: impl FnMut(Piece<'_>)) {
        self.pieces(&[], piece);
    }

    /// The packet as [`frames`](Self::frames) of Engine.IO's revision 3, where the type of a binary
    /// message stands before its bytes. They share the same bytes.
    pub fn frames_v3(&self, piece: impl FnMut(Piece<'_>)) {
        self.pieces(&[PacketType::Message.as_number()], piece);
    }

    /// The frames, with this before each attachment.
    fn pieces(&self, kind: &[u8], mut piece: impl FnMut(Piece<'_>)) {
        if !self.text.is_empty() {
            piece(Piece::Shared(&self.text, usize::from(self.frame_start)));
        }
        for attachment in &self.attachments {
            let mut head = [0; MAX_SERVER_HEAD];
            let length = kind.len() + attachment.len();
            let size = encode_in_headroom(OpCode::Binary, length, &mut head);
            piece(Piece::Head(&head[MAX_SERVER_HEAD - size..]));
            if !kind.is_empty() {
                piece(Piece::Head(kind));
            }
            piece(Piece::Shared(attachment, 0));
        }
    }

    /// The Engine.IO text packet, type character first; nothing in a packet that is binary alone.
    pub fn text(&self) -> &[u8] {
        self.text.get(MAX_SERVER_HEAD..).unwrap_or_default()
    }

    /// The text of a message, without Engine.IO's type.
    pub fn message_text(&self) -> &[u8] {
        self.text().strip_prefix(&[PacketType::Message.as_byte()]).unwrap_or_default()
    }

    /// The message as plain connections get it, as a whole WebSocket frame; nothing if it has no such
    /// form, or is no message.
    ///
    /// `encode` is called for the first connection that asks, and appends the text to the buffer it is
    /// handed (which is not empty), or nothing; it gets the message without Engine.IO's type, and the
    /// attachments. The others share what it made.
    pub fn plain_frame(&self, encode: impl FnOnce(&mut Vec<u8>, &str, &[Bytes])) -> &Bytes {
        self.forms.get_or_init(Box::default).plain.get_or_init(|| {
            let message = std::str::from_utf8(self.message_text()).unwrap_or_default();
            if message.is_empty() {
                return Bytes::new();
            }
            let message = self.without_offset(message);
            let mut buffer = Vec::with_capacity(message.len() + 64);
            buffer.extend_from_slice(&[0; MAX_SERVER_HEAD]);
            encode(&mut buffer, &message, &self.attachments);
            if buffer.len() == MAX_SERVER_HEAD {
                return Bytes::new();
            }
            let start = write_head(&mut buffer);
            Bytes::from(buffer).slice(start..)
        })
    }

    /// The packet as whole WebSocket frames for connections that agreed on compression, without context
    /// takeover. `make` is called for the first connection that asks for this form; the others share what
    /// it made, and wait for it where they ask meanwhile.
    pub fn compressed(&self, form: Compressed, make: impl FnOnce() -> Bytes) -> &Bytes {
        self.forms.get_or_init(Box::default).compressed.get(form, make)
    }

    /// Whether one of its messages has so many bytes.
    pub fn has_message_from(&self, bytes: usize) -> bool {
        self.text().len() >= bytes || self.attachments.iter().any(|binary| binary.len() >= bytes)
    }

    /// The messages that stand for this one in the form of the parser with this number; `None` if it is
    /// no message or a [raw](Self::raw) one, or there is no such number.
    ///
    /// `encode` is called for the first connection that asks, with the message without Engine.IO's type
    /// and the attachments. The others share what it made.
    pub fn parsed(
        &self,
        parser: u8,
        encode: impl FnOnce(&str, &[Bytes]) -> Vec<Arc<Self>>,
    ) -> Option<&[Arc<Self>]> {
        if self.raw {
            return None;
        }
        let message = self.text().strip_prefix(&[PacketType::Message.as_byte()])?;
        let parsed = self.forms.get_or_init(Box::default).parsed.get_or_init(Box::default);
        let made = parsed.get(usize::from(parser))?.get_or_init(|| {
            let message = std::str::from_utf8(message).unwrap_or_default();
            let made = encode(message, &self.attachments).into_iter();
            made.map(|made| if self.compress { made } else { Self::uncompressed(made) }).collect()
        });
        Some(made)
    }

    fn without_offset<'a>(&self, message: &'a str) -> Cow<'a, str> {
        if self.offset == 0 {
            return Cow::Borrowed(message);
        }
        // Behind it is the array's end.
        let end = message.len() - 1;
        let mut message = message.to_owned();
        message.replace_range(end - usize::from(self.offset)..end, "");
        Cow::Owned(message)
    }

    /// The binary attachments that follow it.
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }
}

/// Writes the head of a text frame into the headroom at the buffer's beginning, and says where the frame
/// begins.
fn write_head(buffer: &mut [u8]) -> usize {
    let length = buffer.len() - MAX_SERVER_HEAD;
    let mut head = [0; MAX_SERVER_HEAD];
    let size = encode_in_headroom(OpCode::Text, length, &mut head);
    buffer[..MAX_SERVER_HEAD].copy_from_slice(&head);
    MAX_SERVER_HEAD - size
}

/// A piece of a packet's wire form.
#[derive(Debug)]
pub enum Piece<'a> {
    /// A few bytes that exist only for this call.
    Head(&'a [u8]),
    /// Bytes that all receivers share, from an offset on.
    Shared(&'a Bytes, usize),
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packet")
            .field("text", &String::from_utf8_lossy(self.text()))
            .field("attachments", &self.attachments.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(packet: &Packet) -> Vec<u8> {
        let mut wire = Vec::new();
        packet.frames(|piece| match piece {
            Piece::Head(bytes) => wire.extend_from_slice(bytes),
            Piece::Shared(bytes, from) => wire.extend_from_slice(&bytes[from..]),
        });
        wire
    }

    fn packet(text: &str, attachments: Vec<Bytes>) -> Arc<Packet> {
        let Ok(packet) = Packet::message(|buffer| {
            buffer.extend_from_slice(text.as_bytes());
            Ok::<_, Infallible>(attachments)
        });
        packet
    }

    #[test]
    fn one_buffer_is_both_the_frame_and_the_packet() {
        let packet = packet("2[\"a\"]", vec![]);
        assert_eq!(packet.text(), b"42[\"a\"]");
        assert_eq!(wire(&packet), b"\x81\x0742[\"a\"]");
    }

    #[test]
    fn each_length_has_its_head() {
        for (length, head) in [(124, 2), (125, 4), (65_534, 4), (65_535, 10)] {
            let text = "x".repeat(length);
            let wire = wire(&packet(&text, vec![]));
            assert_eq!(wire.len(), head + 1 + length);
            assert_eq!(wire[0], 0x81);
            assert!(wire.ends_with(text.as_bytes()));
        }
    }

    #[test]
    fn an_offset_is_one_more_argument() {
        for length in [0, 100, 110, 65_530] {
            let text = format!("2[\"{}\"]", "x".repeat(length));
            let other = packet(&text, vec![Bytes::from_static(&[7])]);
            let held = (length == 100).then(|| other.clone());
            let packet = Packet::with_offset(other, "0000.1");
            let whole = format!("42[\"{}\",\"0000.1\"]", "x".repeat(length));
            assert_eq!(packet.text(), whole.as_bytes());
            assert!(wire(&packet).ends_with(&[whole.as_bytes(), b"\x82\x01\x07"].concat()));
            assert_eq!(wire(&packet)[0], 0x81);
            assert!(held.is_none_or(|held| held.message_text() == text.as_bytes()));
            let mut plain = String::new();
            packet.plain_frame(|_, message, _| plain = message.to_owned());
            assert_eq!(plain, text);
        }
    }

    #[test]
    fn a_binary_message_is_one_frame() {
        let packet = Packet::binary(Bytes::from_static(&[1, 2]));
        assert_eq!(wire(&packet), b"\x82\x02\x01\x02");
        assert_eq!((packet.text(), packet.attachments().len()), (&b""[..], 1));
    }

    #[test]
    fn attachments_follow_their_text_as_binary_frames() {
        let packet = packet("51-[..]", vec![Bytes::from_static(&[1, 2]), Bytes::new()]);
        assert_eq!(wire(&packet), b"\x81\x08451-[..]\x82\x02\x01\x02\x82\x00");
    }

    #[test]
    fn in_revision_3_binary_has_a_type() {
        let long = Bytes::from(vec![7; 125]);
        let packet = packet("52-[..]", vec![Bytes::new(), long.clone()]);
        let mut wire = Vec::new();
        packet.frames_v3(|piece| match piece {
            Piece::Head(bytes) => wire.extend_from_slice(bytes),
            Piece::Shared(bytes, from) => wire.extend_from_slice(&bytes[from..]),
        });
        let mut expected = b"\x81\x08452-[..]\x82\x01\x04\x82\x7e\x00\x7e\x04".to_vec();
        expected.extend_from_slice(&long);
        assert_eq!(wire, expected);
    }

    #[test]
    fn the_plain_form_is_made_once() {
        let packet = packet("51-[..]", vec![Bytes::from_static(b"a")]);
        let frame = packet.plain_frame(|buffer, message, attachments| {
            assert_eq!((message, attachments), ("51-[..]", &[Bytes::from_static(b"a")][..]));
            buffer.extend_from_slice(b"plain");
        });
        assert_eq!(frame[..], b"\x81\x05plain"[..]);
        let again = packet.plain_frame(|_, _, _| panic!("it is there"));
        assert_eq!(again.as_ptr(), frame.as_ptr());
    }

    #[test]
    fn each_parsers_form_is_made_once() {
        let packet = packet("51-[..]", vec![Bytes::from_static(b"a")]);
        for number in 0..MAX_PARSERS as u8 {
            let made = packet.parsed(number, |message, attachments| {
                assert_eq!((message, attachments.len()), ("51-[..]", 1));
                vec![Packet::binary(Bytes::from(vec![number]))]
            });
            assert_eq!(made.unwrap()[0].attachments(), [Bytes::from(vec![number])]);
            let again = packet.parsed(number, |_, _| panic!("it is there"));
            assert!(Arc::ptr_eq(&again.unwrap()[0], &made.unwrap()[0]));
        }
        assert!(packet.parsed(MAX_PARSERS as u8, |_, _| panic!("there is none")).is_none());
        let open = Packet::control(|buffer| buffer.extend_from_slice(b"0{}"));
        assert!(open.parsed(0, |_, _| panic!("it is no message")).is_none());
    }

    #[test]
    fn what_has_no_plain_form_is_nothing() {
        assert!(packet("1", vec![]).plain_frame(|_, _, _| {}).is_empty());
        let open = Packet::control(|buffer| buffer.extend_from_slice(b"0{}"));
        for packet in [open, Packet::binary(Bytes::from_static(b"x"))] {
            assert!(packet.plain_frame(|_, _, _| panic!("it is no message")).is_empty());
        }
    }
}
