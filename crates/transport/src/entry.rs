//! What waits in a session's outbox.

use std::sync::Arc;

use sockeye_hub::{Packet, Piece};
use sockeye_net::Cork;
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
    pub(crate) fn encode_frames(&self, cork: &mut Cork) {
        match self {
            Self::Packet(packet) => packet.frames(|piece| match piece {
                Piece::Head(bytes) => cork.buffer().extend_from_slice(bytes),
                Piece::Shared(bytes, from) => cork.put(bytes, from),
            }),
            Self::Ping => frame::append(cork.buffer(), OpCode::Text, b"2"),
        }
    }
}
