//! What waits in a session's outbox.

use std::sync::Arc;

use sockeye_engineio::{self as engineio, payload};
use sockeye_hub::{Packet, Piece};
use sockeye_net::Cork;
use sockeye_socketio::plain;
use sockeye_websocket::{OpCode, frame};

/// One logical packet, without a wire form yet.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A packet that other connections may share.
    Packet(Arc<Packet>),
    /// The heartbeat's ping.
    Ping,
}

impl sockeye_outbox::Entry for Entry {
    fn bytes(&self) -> usize {
        match self {
            Self::Packet(packet) => packet.bytes(),
            Self::Ping => 3,
        }
    }
}

impl Entry {
    /// Puts the entry's WebSocket form into the cork.
    pub(crate) fn encode_frames(&self, base64: bool, cork: &mut Cork) {
        match self {
            Self::Packet(packet) if base64 && !packet.attachments().is_empty() => {
                // Hardly any client asks for this; those that do get a form of their own.
                if !packet.text().is_empty() {
                    frame::append(cork.buffer(), OpCode::Text, packet.text());
                }
                for attachment in packet.attachments() {
                    let mut text = Vec::new();
                    engineio::Packet::encode_binary(attachment, &mut text);
                    frame::append(cork.buffer(), OpCode::Text, &text);
                }
            }
            Self::Packet(packet) => packet.frames(|piece| match piece {
                Piece::Head(bytes) => cork.buffer().extend_from_slice(bytes),
                Piece::Shared(bytes, from) => cork.put(bytes, from),
            }),
            Self::Ping => frame::append(cork.buffer(), OpCode::Text, b"2"),
        }
    }

    /// Puts the entry's form for plain connections into the cork.
    pub(crate) fn encode_plain(&self, cork: &mut Cork) {
        match self {
            Self::Packet(packet) => cork.put(packet.plain_frame(plain::encode), 0),
            Self::Ping => frame::append(cork.buffer(), OpCode::Ping, b""),
        }
    }

    /// Whether it may be compressed.
    pub(crate) fn is_compressible(&self) -> bool {
        match self {
            Self::Packet(packet) => packet.is_compressible(),
            Self::Ping => true,
        }
    }

    /// How many Engine.IO packets it is, and their bytes.
    pub(crate) fn volume(&self) -> (usize, usize) {
        match self {
            Self::Packet(packet) => {
                let text = packet.text().len();
                let attachments = packet.attachments();
                let bytes: usize = attachments.iter().map(|bytes| bytes.len()).sum();
                (usize::from(text > 0) + attachments.len(), text + bytes)
            }
            Self::Ping => (1, 1),
        }
    }

    /// Appends the entry's form in a poll's answer.
    pub(crate) fn encode_payload(&self, out: &mut Vec<u8>) {
        match self {
            Self::Packet(packet) => {
                if !packet.text().is_empty() {
                    payload::append(out, packet.text());
                }
                packet.attachments().iter().for_each(|bytes| payload::append_binary(out, bytes));
            }
            Self::Ping => payload::append(out, b"2"),
        }
    }
}
