//! A session on a plain connection: one that speaks neither Engine.IO nor Socket.IO, but
//! [JSON in WebSocket messages](sockeye_socketio::plain).
//!
//! It is a [`Session`] as any other, but for what Engine.IO would do: nothing is said at its opening,
//! messages go to the handler as they are, and the heartbeat is WebSocket's own.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::Context;

use sockeye_net::{Cause, Close, Cork, Intake, Message, Protocol, Wired};
use sockeye_outbox::Outbox;
use sockeye_websocket as websocket;

use super::Session;
use crate::entry::Entry;
use crate::handler::Handler;

/// A session in the plain form.
pub(crate) struct Plain<H: Handler>(Session<H>);

impl<H: Handler> Plain<H> {
    pub(crate) fn new(session: Session<H>) -> Self {
        Self(session)
    }
}

impl<H: Handler> Protocol for Plain<H> {
    type Entry = Entry;

    fn outbox(&self) -> &Outbox<Entry> {
        self.0.outbox()
    }

    fn wired(&self) -> Option<Arc<dyn Wired>> {
        self.0.wired()
    }

    fn websocket(&self) -> websocket::Connection {
        self.0.websocket()
    }

    fn limits(&self) -> &websocket::Limits {
        self.0.limits()
    }

    fn opened(&mut self, now: u64, cx: &mut Context<'_>) -> ControlFlow<Close> {
        self.0.announce();
        self.0.begin(now, cx)
    }

    /// Whatever it is, the peer lives.
    fn heard(&mut self, now: u64) {
        self.0.engine.pong(now, &self.0.sessions.config.engine);
    }

    fn receive(
        &mut self,
        now: u64,
        message: Message<'_>,
        _: &mut Cork,
        cx: &mut Context<'_>,
    ) -> ControlFlow<Close> {
        let _entered = self.0.entered();
        self.0.spend(now, &message);
        let flow = match message {
            Message::Text(text) => self.0.handler.receive_text(now, &text, cx),
            Message::Binary(bytes) => self.0.handler.receive_binary(now, bytes, cx),
        };
        self.0.note_intake(now);
        self.0.follow(flow)
    }

    fn work(&mut self, now: u64, cx: &mut Context<'_>) -> ControlFlow<Close> {
        self.0.work(now, cx)
    }

    fn encode(&mut self, entry: Entry, cork: &mut Cork) {
        self.0.encode(entry, cork);
    }

    fn poll_timeout(&self) -> Option<u64> {
        self.0.poll_timeout()
    }

    fn handle_timeout(&mut self, now: u64) -> ControlFlow<Close> {
        self.0.handle_timeout(now)
    }

    fn intake(&self) -> Intake {
        self.0.intake()
    }

    fn closed(&mut self, now: u64, cause: Option<Cause>) {
        self.0.closed(now, cause);
    }
}
