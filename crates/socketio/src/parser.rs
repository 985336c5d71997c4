//! Parsers: what a Socket.IO packet looks like in Engine.IO messages.
//!
//! The protocol's own is built in: a text message, and a binary one for each attachment. Here are the
//! two others that Node's users know, and the trait for one's own. Client and server must use the same.
//!
//! A parser has no state. What it reads is judged by [`Connection`](crate::Connection) as if it had come
//! by the default parser: the same limits, reserved names and order of packets hold.

use alloc::{string::String, vec::Vec};

use bytes::Bytes;

use crate::{Body, Error, Kind, Limits, Packet, decode, plain::UNLIMITED};

mod json;
mod msgpack;

pub use json::JsonParser;
pub use msgpack::MsgpackParser;

/// One form of Socket.IO packets on the wire.
///
/// ```
/// use bytes::Bytes;
/// use sockeye_socketio::parser::{Message, Parsed, Parser};
/// use sockeye_socketio::{Error, Kind, Limits, Malformed};
///
/// /// Events of the main namespace as lines: what is behind the first character is JSON.
/// #[derive(Debug)]
/// struct Lines;
///
/// impl Parser for Lines {
///     fn encode(&self, packet: &Parsed) -> Vec<Message> {
///         let kind = char::from(packet.kind.as_byte());
///         vec![Message::Text(format!("{kind}{}", packet.data))]
///     }
///
///     fn decode(&self, message: Message, _: &Limits) -> Result<Parsed, Error> {
///         let Message::Text(line) = message else { return Err(Malformed::Form.into()) };
///         let kind = match line.as_bytes().first() {
///             Some(b'0') => Kind::Connect,
///             Some(b'2') => Kind::Event,
///             _ => return Err(Malformed::Type.into()),
///         };
///         Ok(Parsed {
///             kind,
///             namespace: "/".into(),
///             ack: None,
///             data: line[1..].into(),
///             attachments: Vec::new(),
///         })
///     }
/// }
///
/// let text = Message::Text("2[\"hello\",1]".into());
/// let event = Lines.decode(text.clone(), &Limits::default())?;
/// assert_eq!(event.data, "[\"hello\",1]");
/// assert_eq!(Lines.encode(&event), [text]);
/// # Ok::<_, Error>(())
/// ```
pub trait Parser: Send + Sync {
    /// The messages that a packet of the server's becomes. No message at all, or a panic: it has no form
    /// here, and is not sent.
    ///
    /// Text should not hold U+001E, which separates the packets of a poll: a client that polls is not sent
    /// such a message, while one with a websocket is. JSON escapes it.
    fn encode(&self, packet: &Parsed) -> Vec<Message>;

    /// Reads a packet from one message.
    ///
    /// # Errors
    ///
    /// The session is over: [`Malformed`](crate::Malformed) has the reasons. So it is after a panic.
    fn decode(&self, message: Message, limits: &Limits) -> Result<Parsed, Error>;

    /// Whether this is the first message of a client that speaks this form. A server with several
    /// parsers asks that. Default: `false`, so that the parser is used only where it is the one for all.
    fn recognizes(&self, first: &Message) -> bool {
        let _ = first;
        false
    }
}

/// One Engine.IO message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
}

/// A packet, whatever its form on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// Its type: never one of the two binary kinds.
    pub kind: Kind,
    /// The namespace.
    pub namespace: String,
    /// The ack id.
    pub ack: Option<u64>,
    /// The JSON of its data; empty if it has none. An event's is an array that begins with the name.
    /// Binary stands in it as `{"_placeholder":true,"num":n}`, written exactly so, `n` counting from 0.
    pub data: String,
    /// The binary that belongs into the placeholders.
    pub attachments: Vec<Bytes>,
}

impl Parsed {
    /// The packet that the default parser has written as text with these attachments; `None` if the text
    /// is no packet.
    #[must_use]
    pub fn from_text(text: &str, attachments: &[Bytes]) -> Option<Self> {
        let packet: Packet<'_> = decode(text, &UNLIMITED).ok()?;
        let kind = match packet.kind {
            Kind::BinaryEvent => Kind::Event,
            Kind::BinaryAck => Kind::Ack,
            kind => kind,
        };
        // The encoders end every packet with its data, and write no `{`, `[` or `"` before it but in
        // the namespace.
        let data = match packet.body {
            Body::Disconnect | Body::Connect(None) | Body::ConnectError(None) => "",
            Body::Connect(Some(data)) | Body::ConnectError(Some(data)) => data,
            Body::Event { .. } | Body::Ack { .. } => {
                let from = if packet.namespace == "/" {
                    0
                } else {
                    text.find(',').map_or(0, |comma| comma + 1)
                };
                let array = text[from..].find('[')?;
                &text[from + array..]
            }
        };
        Some(Self {
            kind,
            namespace: packet.namespace.into(),
            ack: packet.ack,
            data: data.into(),
            attachments: attachments.to_vec(),
        })
    }
}
