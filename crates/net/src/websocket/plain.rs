//! The plain API as the driver sees it: messages go to the inbox, and the handler, if there is one,
//! is polled in between.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sockeye_outbox::{Class, Outbox};
use sockeye_websocket::deflate::Params;
use sockeye_websocket::{self as core, Limits};

use super::ending::Why;
use super::message::Message;
use super::shared::{Outgoing, Received, Shared};
use crate::cork::Cork;
use crate::driver::Driver;
use crate::io::Io;
use crate::protocol::{self, Cause, Close, Intake, Protocol};
use crate::wire::Wired;

/// What a user's handler makes of a connection.
pub(crate) type Handling = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One plain WebSocket.
pub(crate) struct Plain {
    shared: Arc<Shared>,
    handling: Option<Handling>,
    deflate: Option<Params>,
    received: Received,
    /// When the peer was last heard of.
    heard: u64,
    /// Whether a ping was sent since, at the time when it was due.
    pinged: bool,
}

impl Plain {
    pub(crate) fn new(
        shared: Arc<Shared>,
        deflate: Option<Params>,
        handling: Option<Handling>,
    ) -> Self {
        let received = Received::new(&shared.options);
        Self { shared, deflate, handling, received, heard: 0, pinged: false }
    }

    /// Somebody else may have made room in the inbox: then the peer is read from again, and has been heard of.
    fn look_for_room(&mut self, now: u64) {
        if self.received.intake() == Intake::Stalled {
            self.shared.deliver(&mut self.received);
            if self.received.intake() == Intake::Open {
                self.heard(now);
            }
        }
    }

    fn follow_asked(&self) -> ControlFlow<Close> {
        self.shared.take_asked().map_or(ControlFlow::Continue(()), ControlFlow::Break)
    }

    /// When to ping, or when to give up.
    fn next_beat(&self) -> Option<u64> {
        let options = &self.shared.options;
        let ping = self.heard.saturating_add(millis(options.ping_interval?));
        let grace = if self.pinged { millis(options.pong_timeout) } else { 0 };
        Some(ping.saturating_add(grace))
    }

    fn next_idle(&self) -> Option<u64> {
        let timeout = self.shared.options.idle_timeout?;
        Some(self.shared.busy().saturating_add(millis(timeout)))
    }

    /// Polls the handler. It must not take the connection down with it.
    fn handle(&mut self, cx: &mut Context<'_>) {
        let Some(handling) = &mut self.handling else { return };
        match catch_unwind(AssertUnwindSafe(|| handling.as_mut().poll(cx))) {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(())) => {}
            Err(_) => {
                tracing::error!(peer = ?self.shared.peer(), "a WebSocket's handler panicked");
            }
        }
        let handling = self.handling.take();
        // Nor must what it leaves behind.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(handling)));
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Protocol for Plain {
    type Entry = Outgoing;

    fn outbox(&self) -> &Outbox<Outgoing> {
        self.shared.outbox()
    }

    fn wired(&self) -> Option<Arc<dyn Wired>> {
        Some(self.shared.clone())
    }

    fn websocket(&self) -> core::Connection {
        let websocket = core::Connection::new(self.shared.role);
        match self.deflate {
            Some(params) => websocket.with_deflate(params),
            None => websocket,
        }
    }

    fn limits(&self) -> &Limits {
        &self.shared.options.limits
    }

    fn opened(&mut self, now: u64, _: &mut Context<'_>) -> ControlFlow<Close> {
        self.heard = now;
        self.shared.set_busy(now);
        ControlFlow::Continue(())
    }

    fn heard(&mut self, now: u64) {
        self.heard = now;
        self.pinged = false;
    }

    fn receive(
        &mut self,
        now: u64,
        message: protocol::Message<'_>,
        _: &mut Cork,
        _: &mut Context<'_>,
    ) -> ControlFlow<Close> {
        self.shared.set_busy(now);
        self.received.push(Message::keep(message));
        ControlFlow::Continue(())
    }

    fn work(&mut self, now: u64, _: &mut Context<'_>) -> ControlFlow<Close> {
        self.look_for_room(now);
        self.follow_asked()
    }

    fn dispatch(&mut self, now: u64, cx: &mut Context<'_>) -> ControlFlow<Close> {
        self.shared.deliver_and_wake(&mut self.received, cx);
        self.handle(cx);
        self.look_for_room(now);
        self.follow_asked()
    }

    fn encode(&mut self, entry: Outgoing, cork: &mut Cork) {
        self.shared.encode(entry, cork);
    }

    fn poll_timeout(&self) -> Option<u64> {
        match (self.next_beat(), self.next_idle()) {
            (Some(beat), Some(idle)) => Some(beat.min(idle)),
            (beat, idle) => beat.or(idle),
        }
    }

    fn handle_timeout(&mut self, now: u64) -> ControlFlow<Close> {
        if self.next_idle().is_some_and(|due| due <= now) {
            self.shared.end(Why::IdleTimeout);
        } else if self.next_beat().is_some_and(|due| due <= now) {
            if self.pinged && self.intake() == Intake::Stalled {
                // Nobody takes what came, so nothing is read: its pong may have come. Pings go on: it may wait for them.
                self.heard(now);
            } else if self.pinged {
                self.shared.end(Why::PongTimeout);
            } else {
                self.pinged = true;
                // Full means that the peer takes nothing: then the deadline is all that it needs.
                let _ = self.shared.outbox().push(Outgoing::Ping, Class::Reserved);
            }
        }
        self.follow_asked()
    }

    fn intake(&self) -> Intake {
        self.received.intake()
    }

    fn is_answering(&mut self) -> bool {
        self.shared.is_answering()
    }

    fn closed(&mut self, _: u64, cause: Option<Cause>) {
        self.shared.deliver(&mut self.received);
        self.shared.ended(cause.map_or(Why::Lost(None), Why::caused));
    }

    fn gone(&mut self, clean: bool) {
        self.shared.gone(clean);
    }
}

/// The task of a connection: its driver with the handler in it, and the handler alone once the
/// connection is over.
pub(crate) struct Task(Stage);

#[expect(
    clippy::large_enum_variant,
    reason = "what a connection does nearly all its life is the task itself"
)]
enum Stage {
    Driving(Driver<Plain>),
    Finishing(Handling),
}

impl Task {
    pub(crate) fn new(plain: Plain, io: Io, leftover: &[u8]) -> Self {
        Self(Stage::Driving(Driver::new(io, leftover, plain)))
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.0 {
                Stage::Finishing(handling) => return handling.as_mut().poll(cx),
                Stage::Driving(driver) => {
                    std::task::ready!(Pin::new(&mut *driver).poll(cx));
                    let Some(handling) = driver.protocol_mut().handling.take() else {
                        return Poll::Ready(());
                    };
                    self.0 = Stage::Finishing(handling);
                }
            }
        }
    }
}
