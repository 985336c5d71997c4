//! A packet's way to one socket: queued, held back until the client has its CONNECT, or the end of a client that
//! does not read.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sockeye_hub::Packet;
use sockeye_net::Wired;
use sockeye_outbox::{Class, Refused};
use sockeye_transport::Entry;

use super::{CONNECTED, HEARD, Socket, Source, State, Undelivered};
use crate::journal::{self, Later};

impl Socket {
    /// Queues a packet for the client.
    pub(crate) fn deliver(
        &self,
        packet: &Arc<Packet>,
        class: Class,
        source: Source,
    ) -> Result<(), Undelivered> {
        let phase = self.inner.phase.load(Ordering::Acquire);
        if phase == CONNECTED {
            return self.push(packet, class);
        }
        let outcome = self.deliver_or_hold(packet, class, source);
        if phase & HEARD != 0 && outcome.is_ok() {
            journal::after_turn(Later::Heard(self, packet));
        }
        outcome
    }

    fn deliver_or_hold(
        &self,
        packet: &Arc<Packet>,
        class: Class,
        source: Source,
    ) -> Result<(), Undelivered> {
        {
            let mut state = self.state();
            match &mut *state {
                State::Connected => {}
                State::Disconnected(_) => return Err(Undelivered::Disconnected),
                // Its time is now, and it cannot be written now.
                State::Connecting { .. } if class == Class::Volatile => {
                    return Err(Undelivered::Full);
                }
                // It is told by the log.
                State::Connecting { .. } if packet.has_offset() && self.is_catching_up() => {
                    return Ok(());
                }
                State::Connecting { held, held_bytes } => {
                    let limit = self.inner.namespace.config().max_buffered_bytes;
                    if *held_bytes > 0 && *held_bytes + packet.bytes() > limit {
                        return Err(Undelivered::Full);
                    }
                    *held_bytes += packet.bytes();
                    held.push((packet.clone(), source));
                    return Ok(());
                }
            }
        }
        self.push(packet, class)
    }

    fn push(&self, packet: &Arc<Packet>, class: Class) -> Result<(), Undelivered> {
        self.inner.session.push(Entry::Packet(packet.clone()), class).map_err(|refused| {
            match refused {
                Refused::Full(_) => Undelivered::Full,
                Refused::Sealed(_) => Undelivered::Disconnected,
            }
        })?;
        if let Some(observer) = self.inner.namespace.server.observer() {
            observer.sent(self, packet);
        }
        Ok(())
    }

    /// Queues a packet; a client for which too much waits is disconnected, so that it learns that
    /// it missed something instead of missing it silently.
    pub(crate) fn deliver_or_disconnect(
        &self,
        packet: &Arc<Packet>,
        class: Class,
        source: Source,
    ) -> Result<(), Undelivered> {
        let mut outcome = self.deliver(packet, class, source);
        if outcome == Err(Undelivered::Full) && class != Class::Volatile {
            // Within a wake-up nothing is written before its end: that is no fault of the client.
            self.inner.session.flush(&mut Box::default());
            outcome = self.deliver(packet, class, source);
        }
        if outcome == Err(Undelivered::Full) && class != Class::Volatile {
            self.inner.namespace.counters().slow_consumers.count();
            self.drop_client();
            journal::after_turn(Later::TooSlow(self));
        } else if outcome == Err(Undelivered::Full) {
            self.inner.namespace.counters().volatile_dropped.count();
        }
        outcome
    }

    pub(crate) fn tell_too_slow(&self) {
        tracing::warn!(
            target: "socket.io:socket",
            socket = self.id(),
            "slow consumer: more than {} bytes wait for it; it is disconnected",
            self.inner.namespace.config().max_buffered_bytes
        );
    }
}
