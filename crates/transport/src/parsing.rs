//! Messages in the form of another parser than Socket.IO's default one.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use sockeye_hub::Packet;
use sockeye_socketio::Parser;
use sockeye_socketio::parser::{Message, Parsed};

/// A parser of a server's, which its sessions share.
pub struct Parsing {
    /// Which of the server's parsers it is: packets keep what it has made under this number.
    pub(crate) number: u8,
    parser: Arc<dyn Parser>,
}

impl Parsing {
    /// The server's parser of this number, which is below [`MAX_PARSERS`](sockeye_hub::MAX_PARSERS).
    pub fn new(number: u8, parser: Arc<dyn Parser>) -> Self {
        Self { number, parser }
    }

    /// The parser.
    pub fn parser(&self) -> &dyn Parser {
        &*self.parser
    }

    /// The messages of a packet, which the default parser has written.
    pub(crate) fn encode(&self, text: &str, attachments: &[Bytes]) -> Vec<Arc<Packet>> {
        let messages = Parsed::from_text(text, attachments)
            .map(|packet| self.parser.encode(&packet))
            .unwrap_or_default();
        if messages.is_empty() {
            tracing::warn!(target: "socket.io-parser", "a packet has no form in the client's parser");
        }
        messages
            .into_iter()
            .map(|message| match message {
                Message::Binary(bytes) => Packet::binary(bytes),
                Message::Text(text) => {
                    let Ok(packet) = Packet::message(|buffer| {
                        buffer.extend_from_slice(text.as_bytes());
                        Ok::<_, Infallible>(Vec::new())
                    });
                    packet
                }
            })
            .collect()
    }
}

impl fmt::Debug for Parsing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parsing").field("number", &self.number).finish_non_exhaustive()
    }
}
