//! The payload of a poll: packets in their text form, joined by the record separator.
//!
//! Binary messages are base64 here (`b…`), whatever the client can take. A text that holds the
//! separator itself cannot be told from two packets: whoever sends raw text must refuse it (JSON
//! escapes it, so Socket.IO's packets never hold it).
//!
//! In revision 3 each packet stands behind its length, and there are two forms:
//!
//! ```text
//!     text     length ':' packet, repeated: 6:4hello10:b4AQIDBA==
//!              the length in decimal counts UTF-16 code units; binary is base64
//!     binary   0 or 1, the length's digits as the numbers 0 to 9, 255, and the packet, repeated
//!              0: a text in UTF-8; 1: a binary message, behind the number 4 for its type;
//!              the length counts bytes
//! ```

use alloc::{string::String, vec::Vec};

use crate::{Error, Packet};

mod v3;
mod writer;

pub use writer::{Form, Writer};

/// Stands between two packets: U+001E, INFORMATION SEPARATOR TWO.
pub const SEPARATOR: char = '\u{1e}';

/// A payload that arrived, read packet by packet. It keeps its place, so that a reader who has
/// enough may go on later.
#[derive(Debug)]
pub struct Payload {
    body: Body,
    /// Where the next packet begins; `None` behind the last one.
    next: Option<usize>,
}

#[derive(Debug)]
enum Body {
    Separated(String),
    V3Text(String),
    V3Binary(Vec<u8>),
}

/// A packet of a payload, as a websocket's message would bring it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// For [`Session::receive_text`](crate::Session::receive_text).
    Text(&'a str),
    /// For [`Session::receive_binary`](crate::Session::receive_binary); only in revision 3.
    Binary(&'a [u8]),
}

impl Payload {
    /// The body of a POST. Every text is a payload of at least one packet, the empty one too; whether
    /// they are packets is seen one by one.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self { body: Body::Separated(text), next: Some(0) }
    }

    /// The body of a POST of revision 3, in its text form. An empty one is malformed; `0:` holds no
    /// packet.
    #[must_use]
    pub fn v3_text(text: String) -> Self {
        let next = (text != v3::NOTHING).then_some(0);
        Self { body: Body::V3Text(text), next }
    }

    /// The body of a POST of revision 3, in its binary form (`application/octet-stream`). An empty one
    /// holds no packet.
    #[must_use]
    pub fn v3_binary(bytes: Vec<u8>) -> Self {
        let next = (!bytes.is_empty()).then_some(0);
        Self { body: Body::V3Binary(bytes), next }
    }

    /// A payload without packets.
    #[must_use]
    pub const fn none() -> Self {
        Self { body: Body::Separated(String::new()), next: None }
    }

    /// The next packet, to be judged by the session. What is no packet at all is an error only there.
    ///
    /// # Errors
    ///
    /// [`Error::MalformedPayload`]: the session is over. Only in revision 3; nothing follows it.
    pub fn next_packet(&mut self) -> Option<Result<Part<'_>, Error>> {
        let start = self.next?;
        let (part, end, len) = match &self.body {
            Body::Separated(text) => {
                let rest = &text[start..];
                let packet = rest.split(SEPARATOR).next().unwrap_or(rest);
                let end = start + packet.len();
                // A separator at the very end has an empty packet behind it.
                self.next = (end < text.len()).then_some(end + SEPARATOR.len_utf8());
                return Some(Ok(Part::Text(packet)));
            }
            Body::V3Text(text) => match v3::take_text(&text[start..]) {
                Some((packet, size)) => (Ok(Part::Text(packet)), start + size, text.len()),
                None => (Err(Error::MalformedPayload), text.len(), text.len()),
            },
            Body::V3Binary(bytes) => match v3::take_binary(&bytes[start..]) {
                Some((part, size)) => (Ok(part), start + size, bytes.len()),
                None => (Err(Error::MalformedPayload), bytes.len(), bytes.len()),
            },
        };
        self.next = (end < len).then_some(end);
        Some(part)
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
            let Some(Ok(Part::Text(packet))) = payload.next_packet() else { panic!("{payload:?}") };
            packets.push(packet.to_owned());
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
