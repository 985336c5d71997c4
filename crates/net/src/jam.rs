//! What a peer has caused and does not take: it must not pile up behind a blocked write.

use sockeye_websocket::{OpCode, Role, frame};

use crate::cork::{Cork, FULL};
use crate::masks;

/// How many bytes of pongs may wait behind a blocked write; then only the latest ping is answered.
const PONGS: usize = 4 * 1024;

/// What the peer has caused and does not take.
#[derive(Debug, Default)]
pub(crate) struct Jam {
    /// The protocol's replies.
    pub(crate) replies: Behind,
    pub(crate) pongs: Behind,
    /// The latest ping that is to be answered when there is room for it.
    pub(crate) ping: Option<Box<[u8]>>,
}

/// Answers a ping, or remembers it where answers pile up: of several pings, the latest has to be
/// answered (RFC 6455 §5.5.3).
pub(crate) fn pong(
    jam: &mut Option<Box<Jam>>,
    payload: &[u8],
    role: Role,
    blocked: bool,
    cork: &mut Cork,
) {
    let waiting = jam.as_ref().map_or(0, |jam| jam.pongs.bytes);
    if waiting >= PONGS || cork.len() >= FULL {
        jam.get_or_insert_default().ping = Some(payload.into());
        return;
    }
    append_pong(role, cork, payload);
    if blocked {
        jam.get_or_insert_default().pongs.bytes += payload.len() + 2;
    }
}

fn append_pong(role: Role, cork: &mut Cork, payload: &[u8]) {
    match masks::fresh_for(role) {
        None => frame::append(cork.buffer(), OpCode::Pong, payload),
        Some(key) => frame::append_masked(cork.buffer(), OpCode::Pong, payload, key),
    }
}

impl Jam {
    /// Joins the bytes that are about to be written: what it has caused so far stands in the cork.
    pub(crate) fn join(&mut self, role: Role, cork: &mut Cork) {
        if self.pongs.bytes < PONGS
            && let Some(ping) = self.ping.take()
        {
            append_pong(role, cork, &ping);
            self.pongs.bytes += ping.len() + 2;
        }
        self.replies.end = cork.end();
        self.pongs.end = cork.end();
    }
}

/// Bytes that stand behind a blocked write, and up to where they stand in its cork.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Behind {
    pub(crate) bytes: usize,
    pub(crate) end: u64,
}

impl Behind {
    /// Forgets them once the kernel has them all.
    pub(crate) fn settle(&mut self, cork: &Cork) {
        if cork.reached() >= self.end {
            self.bytes = 0;
        }
    }
}
