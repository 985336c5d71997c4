//! Messages in the form of another parser than Socket.IO's default one.

use std::convert::Infallible;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use sockeye_hub::Packet;
use sockeye_socketio::parser::{Message, Parsed};
use sockeye_socketio::{Error, Limits, Malformed, Parser};

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

    /// Whether this is the first message of one of its clients. A parser that panics does not know it.
    pub fn recognizes(&self, first: &Message) -> bool {
        catch_unwind(AssertUnwindSafe(|| self.parser.recognizes(first))).unwrap_or_else(|_| {
            tracing::error!(target: "socket.io-parser", "a parser panicked at a first message");
            false
        })
    }

    /// Reads a packet. A parser that panics could not read it.
    ///
    /// # Errors
    ///
    /// As [`Parser::decode`].
    pub fn decode(&self, message: Message, limits: &Limits) -> Result<Parsed, Error> {
        let decode = AssertUnwindSafe(|| self.parser.decode(message, limits));
        catch_unwind(decode).unwrap_or_else(|_| {
            tracing::error!(target: "socket.io-parser", "a parser panicked at what it read");
            Err(Malformed::Other.into())
        })
    }

    /// The messages of a packet, which the default parser has written.
    ///
    /// It is called wherever the packet is written to somebody for the first time, which may be in the
    /// task of another session or in the middle of a broadcast: no panic of a parser may go there.
    pub(crate) fn encode(&self, text: &str, attachments: &[Bytes]) -> Vec<Arc<Packet>> {
        let encode = |packet| {
            catch_unwind(AssertUnwindSafe(|| self.parser.encode(&packet))).unwrap_or_else(|_| {
                tracing::error!(target: "socket.io-parser", "a parser panicked at what it wrote");
                Vec::new()
            })
        };
        let messages = Parsed::from_text(text, attachments).map(encode).unwrap_or_default();
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
