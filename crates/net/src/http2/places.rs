//! What the WebSockets on one connection count for at the gate: as much as if each had its own.
//!
//! The connection has been counted when it came, and one WebSocket at a time is what it has been counted for.
//! Else a client with a hundred streams would have a hundred WebSockets where it may have one connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::addresses::Admission;
use crate::gate::{Gate, TurnedAway};

/// The places of one connection.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Whether a WebSocket has the connection's own place.
    is_taken: Arc<AtomicBool>,
    /// Whether one ever had it. The first one came as fast as its connection did.
    was_taken: bool,
}

/// What one WebSocket counts for, while it lives.
#[derive(Debug)]
pub(crate) enum Counted {
    /// What its connection does.
    AsConnection(Arc<AtomicBool>),
    ByItself {
        _admission: Box<Admission>,
    },
    /// Nothing: there are no limits.
    Not,
}

impl Places {
    /// Counts one more WebSocket of this client.
    pub(super) fn take(&mut self, gate: &Gate, client: SocketAddr) -> Result<Counted, TurnedAway> {
        if self.is_taken.load(Ordering::Relaxed) {
            return Ok(match gate.admit(client)? {
                Some(admission) => Counted::ByItself { _admission: Box::new(admission) },
                None => Counted::Not,
            });
        }
        if self.was_taken {
            gate.pace(client)?;
        }
        self.was_taken = true;
        self.is_taken.store(true, Ordering::Relaxed);
        Ok(Counted::AsConnection(self.is_taken.clone()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Self::AsConnection(is_taken) = self {
            is_taken.store(false, Ordering::Relaxed);
        }
    }
}
