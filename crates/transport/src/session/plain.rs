//! A session on a plain connection: one that speaks neither Engine.IO nor Socket.IO, but
//! [JSON in WebSocket messages](sockeye_socketio::plain).
//!
//! It is a [`Session`] as any other, but for what Engine.IO would do: nothing is said at its opening,
//! messages go to the handler as they are, the heartbeat is WebSocket's own, and its end has a status code,
//! since the client has no other way to learn why.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::Context;

use sockeye_engineio::CloseReason;
use sockeye_net::{Cause, Close, Cork, Intake, Message, Protocol, Wired};
use sockeye_outbox::Outbox;
use sockeye_websocket::{self as websocket, CloseCode};

use super::Session;
use crate::entry::Entry;
use crate::handler::Handler;

/// A session in the plain form.
pub(crate) struct Plain<H: Handler>(Session<H>);

impl<H: Handler> Plain<H> {
    pub(crate) fn new(session: Session<H>) -> Self {
        Self(session)
    }

    /// Adds to an end its status.
    fn follow(&self, flow: ControlFlow<Close>) -> ControlFlow<Close> {
        flow.map_break(|_| {
            let farewell = self.0.handler.farewell();
            Close { status: farewell.or_else(|| self.0.shared.close_reason().map(status)) }
        })
    }
}

/// What a client is told of an end that the handler has no words for.
fn status(reason: CloseReason) -> (CloseCode, Cow<'static, str>) {
    let code = match reason {
        CloseReason::ServerShuttingDown | CloseReason::PingTimeout => CloseCode::GOING_AWAY,
        // It did not take what it was sent: other failures of a transport are not told to anybody.
        CloseReason::TransportError => {
            return (CloseCode::POLICY, "too slow a consumer".into());
        }
        CloseReason::ForcedClose | CloseReason::TransportClose | CloseReason::ParseError => {
            CloseCode::NORMAL
        }
    };
    (code, reason.as_str().into())
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
        let flow = self.0.begin(now, cx);
        self.follow(flow)
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
        let flow = self.0.follow(flow);
        self.follow(flow)
    }

    fn work(&mut self, now: u64, cx: &mut Context<'_>) -> ControlFlow<Close> {
        let flow = self.0.work(now, cx);
        self.follow(flow)
    }

    fn encode(&mut self, entry: Entry, cork: &mut Cork) {
        self.0.encode(entry, cork);
    }

    fn poll_timeout(&self) -> Option<u64> {
        self.0.poll_timeout()
    }

    fn handle_timeout(&mut self, now: u64) -> ControlFlow<Close> {
        let flow = self.0.handle_timeout(now);
        self.follow(flow)
    }

    fn intake(&self) -> Intake {
        self.0.intake()
    }

    fn closed(&mut self, now: u64, cause: Option<Cause>) {
        self.0.closed(now, cause);
    }
}
