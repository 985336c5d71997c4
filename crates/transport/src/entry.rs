//! What waits in a session's outbox.

use std::sync::Arc;

use sockeye_engineio::{self as engineio, payload::Writer};
use sockeye_hub::{Packet, Piece};
use sockeye_net::Cork;
use sockeye_socketio::plain;
use sockeye_websocket::{OpCode, frame};

use crate::shared::Form;

/// One logical packet, without a wire form yet.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A packet that other connections may share.
    Packet(Arc<Packet>),
    /// The heartbeat's ping.
    Ping,
    /// In revision 3, the answer to the client's ping.
    Pong,
}

impl sockeye_outbox::Entry for Entry {
    fn bytes(&self) -> usize {
        match self {
            Self::Packet(packet) => packet.bytes(),
            Self::Ping => 3,
            // Its client decides how many there are: they cost what they take in the queue.
            Self::Pong => 64,
        }
    }
}

impl Entry {
    /// Puts the entry's WebSocket form into the cork.
    pub(crate) fn encode_frames(&self, form: Form, cork: &mut Cork) {
        let packet = match self {
            Self::Packet(packet) => packet,
            Self::Ping => return frame::append(cork.buffer(), OpCode::Text, b"2"),
            Self::Pong => return frame::append(cork.buffer(), OpCode::Text, b"3"),
        };
        let piece = |piece: Piece<'_>| match piece {
            Piece::Head(bytes) => cork.buffer().extend_from_slice(bytes),
            Piece::Shared(bytes, from) => cork.put(bytes, from),
        };
        match form {
            Form::Base64 | Form::V3Base64 if !packet.attachments().is_empty() => {
                // Hardly any client asks for this; those that do get a form of their own.
                if !packet.text().is_empty() {
                    frame::append(cork.buffer(), OpCode::Text, packet.text());
                }
                for attachment in packet.attachments() {
                    let mut text = Vec::new();
                    if form == Form::Base64 {
                        engineio::Packet::encode_binary(attachment, &mut text);
                    } else {
                        engineio::Packet::encode_binary_v3(attachment, &mut text);
                    }
                    frame::append(cork.buffer(), OpCode::Text, &text);
                }
            }
            Form::V3 => packet.frames_v3(piece),
            _ => packet.frames(piece),
        }
    }

    /// Puts the entry's form for plain connections into the cork.
    pub(crate) fn encode_plain(&self, cork: &mut Cork) {
        match self {
            Self::Packet(packet) => cork.put(packet.plain_frame(plain::encode), 0),
            Self::Ping => frame::append(cork.buffer(), OpCode::Ping, b""),
            Self::Pong => frame::append(cork.buffer(), OpCode::Pong, b""),
        }
    }

    /// Whether it may be compressed.
    pub(crate) fn is_compressible(&self) -> bool {
        match self {
            Self::Packet(packet) => packet.is_compressible(),
            Self::Ping | Self::Pong => true,
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
            Self::Ping | Self::Pong => (1, 1),
        }
    }

    /// Appends the entry's form in a poll's answer.
    pub(crate) fn encode_payload(&self, out: &mut Writer) {
        match self {
            Self::Packet(packet) => {
                if !packet.text().is_empty() {
                    out.text(packet.text());
                }
                packet.attachments().iter().for_each(|bytes| out.binary(bytes));
            }
            Self::Ping => out.text(b"2"),
            Self::Pong => out.text(b"3"),
        }
    }
}
