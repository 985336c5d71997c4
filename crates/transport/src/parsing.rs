//! Messages in the form of another parser than Socket.IO's default one, or of that with a replacer.

use std::convert::Infallible;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use sockeye_hub::{MAX_PARSERS, Packet};
use sockeye_socketio::parser::{Message, Parsed};
use sockeye_socketio::rewrite::{Rewrite, replace};
use sockeye_socketio::{Error, Limits, Malformed, Parser};

/// A parser of a server's, which its sessions share.
pub struct Parsing {
    /// Which of the server's parsers it is: packets keep what it has made under this number.
    pub(crate) number: u8,
    form: Form,
}

enum Form {
    Parser(Arc<dyn Parser>),
    /// The default one's, with what a replacer makes of it.
    Replaced(Box<Rewrite>),
}

impl Parsing {
    /// How many others there may be beside the default one, which has the last number.
    pub const MAX: usize = MAX_PARSERS - 1;

    /// The server's parser of this number, which is below [`MAX`](Self::MAX).
    pub fn new(number: u8, parser: Arc<dyn Parser>) -> Self {
        Self { number, form: Form::Parser(parser) }
    }

    /// The default parser with a replacer.
    pub fn replaced(replacer: Box<Rewrite>) -> Self {
        Self { number: Self::MAX as u8, form: Form::Replaced(replacer) }
    }

    /// Whether this is the first message of one of its clients. A parser that panics does not know it.
    pub fn recognizes(&self, first: &Message) -> bool {
        let Form::Parser(parser) = &self.form else { return false };
        catch_unwind(AssertUnwindSafe(|| parser.recognizes(first))).unwrap_or_else(|_| {
            tracing::error!(target: "socket.io-parser", "a parser panicked at a first message");
            false
        })
    }

    /// Reads a packet, as [`Parser::decode`] does; `None`: the default parser does. A parser that panics could
    /// not read it.
    pub fn decode(&self, message: Message, limits: &Limits) -> Option<Result<Parsed, Error>> {
        let Form::Parser(parser) = &self.form else { return None };
        let decode = AssertUnwindSafe(|| parser.decode(message, limits));
        Some(catch_unwind(decode).unwrap_or_else(|_| {
            tracing::error!(target: "socket.io-parser", "a parser panicked at what it read");
            Err(Malformed::Other.into())
        }))
    }

    /// The messages of a packet, which the default parser has written.
    ///
    /// It is called wherever the packet is written to somebody for the first time, which may be in the
    /// task of another session or in the middle of a broadcast: no panic of a parser may go there.
    pub(crate) fn encode(&self, text: &str, attachments: &[Bytes]) -> Vec<Arc<Packet>> {
        let encode = || match &self.form {
            Form::Parser(parser) => {
                let packet = Parsed::from_text(text, attachments);
                let messages = packet.map(|packet| parser.encode(&packet)).unwrap_or_default();
                messages.into_iter().map(packet_of).collect()
            }
            Form::Replaced(replacer) => match replace(text, &**replacer) {
                Ok(text) => vec![packet(&text, attachments.to_vec())],
                Err(error) => {
                    tracing::error!(target: "socket.io-parser", %error, "a replacer spoiled a packet");
                    Vec::new()
                }
            },
        };
        let packets = catch_unwind(AssertUnwindSafe(encode)).unwrap_or_else(|_| {
            tracing::error!(target: "socket.io-parser", "a parser panicked at what it wrote");
            Vec::new()
        });
        if packets.is_empty() {
            tracing::warn!(target: "socket.io-parser", "a packet has no form in the client's parser");
        }
        packets
    }
}

fn packet_of(message: Message) -> Arc<Packet> {
    match message {
        Message::Binary(bytes) => Packet::binary(bytes),
        Message::Text(text) => packet(&text, Vec::new()),
    }
}

fn packet(text: &str, attachments: Vec<Bytes>) -> Arc<Packet> {
    let Ok(packet) = Packet::message(|buffer| {
        buffer.extend_from_slice(text.as_bytes());
        Ok::<_, Infallible>(attachments)
    });
    packet
}

impl fmt::Debug for Parsing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parsing").field("number", &self.number).finish_non_exhaustive()
    }
}
