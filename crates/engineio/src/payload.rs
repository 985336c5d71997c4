//! The payload of a poll: packets in their text form, joined by the record separator.
//!
//! Binary messages are base64 here (`b…`), whatever the client can take. A text that holds the
//! separator itself cannot be told from two packets: whoever sends raw text must refuse it (JSON
//! escapes it, so Socket.IO's packets never hold it).

use alloc::{string::String, vec::Vec};

use crate::Packet;

/// Stands between two packets: U+001E, INFORMATION SEPARATOR TWO.
pub const SEPARATOR: char = '\u{1e}';

/// A payload that arrived, read packet by packet. It keeps its place, so that a reader who has
/// enough may go on later.
#[derive(Debug)]
pub struct Payload {
    text: String,
    /// Where the next packet begins; `None` behind the last one.
    next: Option<usize>,
}

impl Payload {
    /// The body of a POST. Every text is a payload of at least one packet, the empty one too; whether
    /// they are packets is seen one by one.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self { text, next: Some(0) }
    }

    /// The next packet, to be [decoded](Packet::decode_text).
    pub fn next_packet(&mut self) -> Option<&str> {
        let rest = &self.text[self.next?..];
        let packet = rest.split(SEPARATOR).next().unwrap_or(rest);
        let end = self.text.len() - rest.len() + packet.len();
        self.next = (end < self.text.len()).then_some(end + SEPARATOR.len_utf8());
        Some(packet)
    }

    /// Whether every packet has been read.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.next.is_none()
    }
}

/// Appends a packet that is in its text form already.
pub fn append(payload: &mut Vec<u8>, packet: &[u8]) {
    separate(payload);
    payload.extend_from_slice(packet);
}

/// Appends a binary message.
pub fn append_binary(payload: &mut Vec<u8>, bytes: &[u8]) {
    separate(payload);
    Packet::encode_binary(bytes, payload);
}

fn separate(payload: &mut Vec<u8>) {
    if !payload.is_empty() {
        payload.push(SEPARATOR as u8);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::borrow::ToOwned;

    fn packets(text: &str) -> Vec<String> {
        let mut payload = Payload::new(text.to_owned());
        let mut packets = Vec::new();
        while !payload.is_done() {
            packets.push(payload.next_packet().unwrap().to_owned());
        }
        assert_eq!(payload.next_packet(), None);
        packets
    }

    #[test]
    fn golden_both_ways() {
        let mut payload = Vec::new();
        append(&mut payload, b"4hello");
        append_binary(&mut payload, &[1, 2, 3, 4]);
        append(&mut payload, "4€".as_bytes());
        assert_eq!(payload, "4hello\u{1e}bAQIDBA==\u{1e}4€".as_bytes());
        assert_eq!(packets(std::str::from_utf8(&payload).unwrap()), ["4hello", "bAQIDBA==", "4€"]);
    }

    #[test]
    fn what_stands_between_two_separators_is_a_packet_even_if_it_is_empty() {
        assert_eq!(packets(""), [""]);
        assert_eq!(packets("\u{1e}"), ["", ""]);
        assert_eq!(packets("4a\u{1e}"), ["4a", ""]);
        assert_eq!(packets("\u{1e}\u{1e}4"), ["", "", "4"]);
    }

    proptest! {
        #[test]
        fn packets_come_back(sent in proptest::collection::vec("[^\u{1e}]{1,8}", 1..8)) {
            let mut payload = Vec::new();
            sent.iter().for_each(|packet| append(&mut payload, packet.as_bytes()));
            prop_assert_eq!(packets(&String::from_utf8(payload).unwrap()), sent);
        }
    }
}
