//! What handlers and their dispatch need of a socket.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use serde::Serialize;
use sockeye_handler::Failure;
use sockeye_hub::Packet;
use sockeye_outbox::Class;
use sockeye_socketio::{DisconnectReason, encode};
use tracing::Span;

use super::{Socket, Source};
use crate::local::Local;

impl Socket {
    /// Tells the hooks, while the socket is in its rooms.
    pub(super) fn tell_leaving(&self, reason: DisconnectReason) {
        for hook in &self.inner.namespace.leaving {
            if catch_unwind(AssertUnwindSafe(|| hook(self, reason))).is_err() {
                tracing::error!(
                    target: "socket.io:namespace",
                    namespace = self.namespace(), "a hook for sockets that are leaving panicked"
                );
            }
        }
    }
}

impl sockeye_handler::Context for Socket {
    fn acknowledge<T: Serialize + ?Sized>(&self, ack: u64, reply: &T) {
        let path = self.namespace();
        tracing::trace!(target: "socket.io:socket", socket = self.id(), ack, "an event is answered");
        let packet = Packet::message(|buffer| encode::ack(buffer, path, ack, reply));
        let packet = packet.or_else(|error| {
            tracing::error!(
                target: "socket.io:socket", %error, "the answer to an event cannot be encoded"
            );
            // The client knows nothing of it, and would wait.
            let reply = Err::<(), _>("internal error");
            Packet::message(|buffer| encode::ack(buffer, path, ack, &reply))
        });
        if let Ok(packet) = packet {
            let _ = self.deliver_or_disconnect(&packet, Class::Reserved, Source::Own);
        }
    }

    fn is_connected(&self) -> bool {
        Socket::is_connected(self)
    }

    fn spawn(&self, running: sockeye_handler::Running) {
        self.inner.namespace.server.spawn(running);
    }

    fn places(&self) -> &sockeye_handler::Places {
        &self.inner.link.places
    }

    fn wake(&self) {
        self.outbox().notify();
    }

    fn span(&self, event: &str) -> Span {
        tracing::debug_span!(
            target: "socket.io:socket",
            "handler",
            socket = self.id(),
            namespace = self.namespace(),
            event
        )
    }

    fn is_timed(&self) -> bool {
        self.inner.namespace.config().measure_handlers
    }

    fn took(&self, time: Duration) {
        self.inner.namespace.counters().handler_times.count(time);
    }

    fn own(&self) -> Option<&sockeye_handler::Own<Self>> {
        self.local_if_used().and_then(Local::own)
    }

    fn failed(&self, event: &str, failure: Failure) {
        let (namespace, counters) = (&self.inner.namespace, self.inner.namespace.counters());
        match &failure {
            Failure::Panicked => counters.handler_panics.count(),
            Failure::Returned(_) => counters.handler_errors.count(),
            Failure::Unhandled => counters.events_unhandled.count(),
            _ => counters.events_refused.count(),
        };
        if failure == Failure::Panicked {
            tracing::error!(
                target: "socket.io:socket",
                event, socket = self.id(), namespace = self.namespace(), "{failure}"
            );
        } else if event == "connect" && matches!(failure, Failure::Rejected(_)) {
            // It may quote the client's `auth`, which is not for the log.
            tracing::warn!(
                target: "socket.io:socket",
                event, socket = self.id(), namespace = self.namespace(),
                "the handler was not called: its parameters could not be made of the client's auth"
            );
        } else {
            tracing::warn!(
                target: "socket.io:socket",
                event, socket = self.id(), namespace = self.namespace(), "{failure}"
            );
        }
        let told = catch_unwind(AssertUnwindSafe(|| {
            namespace.errors.iter().for_each(|hook| hook(self, event, &failure));
        }));
        if told.is_err() {
            tracing::error!(
                target: "socket.io:namespace", namespace = self.namespace(), "a hook for errors panicked"
            );
        }
        if failure == Failure::Panicked {
            self.disconnect();
        }
    }
}
