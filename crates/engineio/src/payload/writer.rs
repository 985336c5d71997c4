//! Writing the payload of a poll.

use alloc::vec::Vec;
use core::ops::Range;

use super::{append, append_binary};
use crate::{Packet, PacketType};

/// The form of the payloads that a client can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Revision 4.
    V4,
    /// Revision 3: in text, or in binary form if there is a binary message among the packets.
    V3,
    /// Revision 3, of a client that cannot take binary (`b64` in its query): always in text.
    V3Base64,
}

/// A payload that is being written.
#[derive(Debug)]
pub struct Writer {
    form: Form,
    bytes: Vec<u8>,
    /// [`Form::V3`], as long as it is in text: where the packets stand, for one that is binary may yet
    /// come and change the form of all.
    texts: Vec<Range<usize>>,
    binary: bool,
}

impl Writer {
    /// A payload without packets.
    #[must_use]
    pub const fn new(form: Form) -> Self {
        Self { form, bytes: Vec::new(), texts: Vec::new(), binary: false }
    }

    /// Whether there is no packet in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Its size in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it is in binary form: its type is `application/octet-stream`.
    #[must_use]
    pub const fn is_binary(&self) -> bool {
        self.binary
    }

    /// The payload.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Appends a packet that is in its text form already, in UTF-8.
    pub fn text(&mut self, packet: &[u8]) {
        match self.form {
            Form::V4 => append(&mut self.bytes, packet),
            Form::V3 if self.binary => self.binary_form(0, &[packet]),
            Form::V3 | Form::V3Base64 => {
                self.length(utf16_units(packet), |digit| b'0' + digit);
                self.bytes.push(b':');
                let start = self.bytes.len();
                self.bytes.extend_from_slice(packet);
                if self.form == Form::V3 {
                    self.texts.push(start..self.bytes.len());
                }
            }
        }
    }

    /// Appends a binary message.
    pub fn binary(&mut self, data: &[u8]) {
        match self.form {
            Form::V4 => append_binary(&mut self.bytes, data),
            Form::V3 => {
                if !self.binary {
                    self.change_form();
                }
                self.binary_form(1, &[&[PacketType::Message.as_number()], data]);
            }
            Form::V3Base64 => {
                let mut packet = Vec::new();
                Packet::encode_binary_v3(data, &mut packet);
                self.text(&packet);
            }
        }
    }

    /// From text to binary, for the first packet that is binary.
    fn change_form(&mut self) {
        self.binary = true;
        let text = core::mem::take(&mut self.bytes);
        for packet in core::mem::take(&mut self.texts) {
            self.binary_form(0, &[&text[packet]]);
        }
    }

    fn binary_form(&mut self, kind: u8, pieces: &[&[u8]]) {
        self.bytes.push(kind);
        self.length(pieces.iter().map(|piece| piece.len()).sum(), |digit| digit);
        self.bytes.push(u8::MAX);
        pieces.iter().for_each(|piece| self.bytes.extend_from_slice(piece));
    }

    /// Appends a number's decimal digits, each as this byte.
    fn length(&mut self, length: usize, byte: impl Fn(u8) -> u8) {
        let start = self.bytes.len();
        let mut left = length;
        loop {
            self.bytes.push(byte((left % 10) as u8));
            left /= 10;
            if left == 0 {
                break;
            }
        }
        self.bytes[start..].reverse();
    }
}

/// How many UTF-16 code units this UTF-8 has: one for each character, and another for each that takes
/// four bytes.
fn utf16_units(text: &[u8]) -> usize {
    text.iter().map(|byte| usize::from(byte & 0xc0 != 0x80) + usize::from(*byte >= 0xf0)).sum()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::{Part, Payload};
    use super::*;
    use crate::Error;
    use proptest::prelude::*;
    use std::string::String;
    use std::vec;

    #[derive(Clone, Debug, PartialEq)]
    enum Sent {
        Text(String),
        Binary(Vec<u8>),
    }
    use Sent::{Binary, Text};

    fn written(form: Form, sent: &[Sent]) -> Writer {
        let mut writer = Writer::new(form);
        for packet in sent {
            match packet {
                Text(text) => writer.text(text.as_bytes()),
                Binary(data) => writer.binary(data),
            }
        }
        writer
    }

    /// All packets of a payload, as a client would send it.
    fn read(payload: &mut Payload) -> Result<Vec<Sent>, Error> {
        let mut packets = Vec::new();
        while let Some(part) = payload.next_packet() {
            packets.push(match part? {
                Part::Text(text) => match Packet::decode_text_v3(text) {
                    Ok(Packet::Binary(data)) => Binary(data),
                    _ => Text(text.into()),
                },
                Part::Binary([4, data @ ..]) => Binary(data.to_vec()),
                Part::Binary(other) => panic!("{other:?}"),
            });
        }
        assert!(payload.is_done());
        Ok(packets)
    }

    fn text(text: &str) -> Payload {
        Payload::v3_text(text.into())
    }

    #[test]
    fn golden_both_ways() {
        let texts = [Text("4€".into()), Text("4😀".into()), Text("6".into())];
        for form in [Form::V3, Form::V3Base64] {
            let writer = written(form, &texts);
            assert!(!writer.is_binary());
            assert_eq!(writer.into_bytes(), "2:4€3:4😀1:6".as_bytes());
        }
        assert_eq!(read(&mut text("2:4€3:4😀1:6")).unwrap(), texts);

        let mixed = [Text("4€".into()), Binary(vec![1, 2, 3, 4])];
        let writer = written(Form::V3Base64, &mixed);
        assert_eq!(writer.into_bytes(), "2:4€10:b4AQIDBA==".as_bytes());
        assert_eq!(read(&mut text("2:4€10:b4AQIDBA==")).unwrap(), mixed);

        let golden = b"\x00\x04\xff4\xe2\x82\xac\x01\x05\xff\x04\x01\x02\x03\x04";
        let writer = written(Form::V3, &mixed);
        assert!(writer.is_binary());
        assert_eq!(writer.into_bytes(), golden);
        assert_eq!(read(&mut Payload::v3_binary(golden.to_vec())).unwrap(), mixed);

        let writer = written(Form::V4, &mixed);
        assert_eq!(writer.into_bytes(), "4€\u{1e}bAQIDBA==".as_bytes());
    }

    #[test]
    fn the_length_has_as_many_digits_as_it_needs() {
        for length in [9, 10, 99, 100, 12_345] {
            let sent = [Text("x".repeat(length))];
            let bytes = written(Form::V3, &sent).into_bytes();
            assert!(bytes.starts_with(std::format!("{length}:x").as_bytes()));
            assert_eq!(read(&mut text(str::from_utf8(&bytes).unwrap())).unwrap(), sent);
            let sent = [Binary(vec![7; length - 1])];
            let bytes = written(Form::V3, &sent).into_bytes();
            let digits: Vec<u8> =
                std::format!("{length}").bytes().map(|digit| digit - b'0').collect();
            assert!(bytes[1..].starts_with(&digits));
            assert_eq!(read(&mut Payload::v3_binary(bytes)).unwrap(), sent);
        }
    }

    #[test]
    fn what_holds_no_packet() {
        assert_eq!(read(&mut text("0:")), Ok(vec![]));
        assert_eq!(read(&mut Payload::v3_binary(vec![])), Ok(vec![]));
        assert_eq!(read(&mut Payload::none()), Ok(vec![]));
        assert!(written(Form::V3, &[]).is_empty());
    }

    #[test]
    fn malformed_text() {
        for malformed in [
            "",
            "4",
            ":",
            ":4",
            "1",
            "12",
            "2:4",
            "3:4é",
            "x:4",
            "-1:4",
            "+1:4",
            " 1:4",
            "1 :4",
            "1e0:4",
            "0x1:4",
            "1:4 ",
            "1:44",
            "1:42",
            "2:4😀",
            "4hello",
            "1\u{1e}4",
            "1000000000000000:4",
            "18446744073709551616:4",
            "1:41:",
            "1:",
            "１:4",
        ] {
            let mut payload = text(malformed);
            assert_eq!(read(&mut payload), Err(Error::MalformedPayload), "{malformed}");
            assert!(payload.is_done() && payload.next_packet().is_none());
        }
        let mut payload = text("1:6x");
        assert_eq!(payload.next_packet(), Some(Ok(Part::Text("6"))), "what is right is read");
        assert_eq!(payload.next_packet(), Some(Err(Error::MalformedPayload)));
        assert_eq!(payload.next_packet(), None);
    }

    #[test]
    fn malformed_binary() {
        for malformed in [
            &b"\x00"[..],
            b"\x00\xff",
            b"\x00\x01",
            b"\x00\x01\xff",
            b"\x00\x02\xff4",
            b"\x02\x01\xff4",
            b"\x00\x0a\xff4",
            b"\x001\xff4",
            b"\x00\x01\xff4\x00",
            b"\x00\x02\xff4\xe2",
            b"\x01\x00\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\xff4",
            b"\xff\x01\xff4",
            b"1:4",
        ] {
            let mut payload = Payload::v3_binary(malformed.to_vec());
            assert_eq!(read(&mut payload), Err(Error::MalformedPayload), "{malformed:x?}");
            assert!(payload.is_done() && payload.next_packet().is_none());
        }
    }

    fn packets() -> impl Strategy<Value = Vec<Sent>> {
        let packet = prop_oneof![
            "[0-6].{0,12}".prop_map(Text),
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(Binary),
        ];
        proptest::collection::vec(packet, 1..8)
    }

    proptest! {
        #[test]
        fn packets_come_back_in_text(sent in packets(), cut in any::<proptest::sample::Index>()) {
            let writer = written(Form::V3Base64, &sent);
            prop_assert!(!writer.is_binary());
            let wire = String::from_utf8(writer.into_bytes()).unwrap();
            prop_assert_eq!(&read(&mut text(&wire)).unwrap(), &sent);
            // Cut anywhere, it is what stood before the cut, then an error.
            let mut cut = cut.index(wire.len());
            while !wire.is_char_boundary(cut) {
                cut -= 1;
            }
            let mut payload = text(&wire[..cut]);
            let mut whole = 0;
            while let Some(Ok(part)) = payload.next_packet() {
                prop_assert!(matches!(part, Part::Text(_)));
                whole += 1;
            }
            prop_assert!(whole < sent.len() && payload.is_done());
        }

        #[test]
        fn packets_come_back_in_binary(sent in packets(), cut in any::<proptest::sample::Index>()) {
            let binary = sent.iter().any(|packet| matches!(packet, Binary(_)));
            let writer = written(Form::V3, &sent);
            prop_assert_eq!((writer.is_binary(), writer.is_empty()), (binary, false));
            let wire = writer.into_bytes();
            if !binary {
                let wire = str::from_utf8(&wire).unwrap();
                prop_assert_eq!(&read(&mut text(wire)).unwrap(), &sent);
                return Ok(());
            }
            prop_assert_eq!(&read(&mut Payload::v3_binary(wire.clone())).unwrap(), &sent);
            let cut = &wire[..cut.index(wire.len())];
            if let Ok(whole) = read(&mut Payload::v3_binary(cut.to_vec())) {
                prop_assert!(whole.len() < sent.len() && sent.starts_with(&whole));
            }
        }

        #[test]
        fn any_body_is_packets_or_an_error(body in ".*", bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            for mut payload in [text(&body), Payload::v3_binary(bytes)] {
                while let Some(part) = payload.next_packet() {
                    prop_assert!(part.is_ok() || payload.is_done());
                }
            }
        }
    }
}
