//! What a layer above Engine.IO puts on a session.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::task::Context;

use sockeye_engineio::CloseReason;
use sockeye_net::Intake;

use crate::ending::Ending;

/// Whether the session goes on, or how it ends.
pub type Flow = ControlFlow<&'static Ending>;

/// The user of one session's messages: Socket.IO, or a program of its own.
///
/// All calls come from the session's task, in turn.
pub trait Handler: Unpin + Send + 'static {
    /// That of the sessions on plain connections, beside sessions with this one.
    type Plain: Handler;

    /// The session is open; its open packet is queued. The first call.
    fn opened(&mut self, now: u64, cx: &mut Context<'_>) -> Flow;

    /// A text message arrived.
    fn receive_text(&mut self, now: u64, text: &str, cx: &mut Context<'_>) -> Flow;

    /// A binary message arrived.
    fn receive_binary(&mut self, now: u64, bytes: Cow<'_, [u8]>, cx: &mut Context<'_>) -> Flow;

    /// The session's task woke up: the place for what others left behind before they called
    /// [`Outbox::notify`](sockeye_outbox::Outbox::notify).
    fn work(&mut self, now: u64, cx: &mut Context<'_>) -> Flow;

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    fn poll_timeout(&self) -> Option<u64>;

    /// The time has come.
    fn handle_timeout(&mut self, now: u64) -> Flow;

    /// Whether to go on reading.
    fn intake(&self) -> Intake;

    /// The session goes on over a websocket.
    fn upgraded(&mut self) {}

    /// The session is over. The last call, made exactly once; of a session that never opened, the only one.
    fn closed(&mut self, now: u64, reason: CloseReason);
}
