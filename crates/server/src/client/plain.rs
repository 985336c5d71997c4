//! A client on a plain connection: [JSON](sockeye_socketio::plain) instead of Socket.IO's packets, and one
//! namespace, which it joins by connecting and leaves by closing.
//!
//! It is a [`Client`] that is spoken to in another language: what a message says is the same event to it.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::Context;

use sockeye_engineio::CloseReason;
use sockeye_net::Intake;
use sockeye_socketio::plain;
use sockeye_transport::{Flow, Handler, Shared};

use super::{Client, Refusal, ending};
use crate::server::Inner;

/// One plain client.
pub(crate) struct PlainClient {
    client: Client,
    namespace: Arc<str>,
}

impl PlainClient {
    pub(crate) fn new(server: Arc<Inner>, namespace: Arc<str>, session: &Arc<Shared>) -> Self {
        let client = Client::new(server, session);
        Self { client, namespace }
    }

    fn connect(&mut self) -> Flow {
        let Self { client, namespace, .. } = self;
        let auth = client.link.session.handshake().query("auth");
        let auth = match auth.as_deref().map(plain::auth).transpose() {
            Ok(auth) => auth,
            Err(error) => return self.refuse(&error),
        };
        match client.protocol.join(&client.server.core.config.socketio, namespace) {
            Ok(()) => client.connect(namespace, auth),
            Err(error) => client.fail(&error),
        }
    }

    /// Tells the client what is wrong with its message, and ends it.
    fn refuse(&mut self, error: &plain::Error) -> Flow {
        self.client.say_no(&self.namespace, &Refusal::new(error.to_string()));
        self.client.violated(error, ending::of_plain(error))
    }

    /// Ends the connection with its one socket, and finds the words for its end.
    fn settle(&self, flow: Flow) -> Flow {
        let gone = self.client.sockets.is_empty()
            && self.client.finding.as_ref().is_none_or(|waiting| waiting.is_empty());
        match flow {
            ControlFlow::Continue(()) if !gone => flow,
            ControlFlow::Break(ending) if ending.status().is_some() => flow,
            _ if gone && self.client.refused => ControlFlow::Break(ending::REFUSED),
            _ => ControlFlow::Break(ending::DISCONNECTED),
        }
    }
}

impl Handler for PlainClient {
    type Plain = Self;

    fn opened(&mut self, now: u64, cx: &mut Context<'_>) -> Flow {
        self.client.opened(now, cx)?;
        let flow = self.connect();
        self.settle(flow)
    }

    fn receive_text(&mut self, _: u64, text: &str, cx: &mut Context<'_>) -> Flow {
        let limits = &self.client.server.core.config.socketio;
        let flow = match self.client.protocol.receive_plain(limits, &self.namespace, text) {
            Ok(Some(event)) => self.client.handle(event, cx),
            Ok(None) => ControlFlow::Continue(()),
            Err(error) => self.refuse(&error),
        };
        self.settle(flow)
    }

    fn receive_binary(&mut self, _: u64, _: Cow<'_, [u8]>, _: &mut Context<'_>) -> Flow {
        self.refuse(&plain::Error::BinaryMessage)
    }

    fn work(&mut self, now: u64, cx: &mut Context<'_>) -> Flow {
        let flow = self.client.work(now, cx);
        self.settle(flow)
    }

    fn poll_timeout(&self) -> Option<u64> {
        self.client.poll_timeout()
    }

    fn handle_timeout(&mut self, now: u64) -> Flow {
        let flow = self.client.handle_timeout(now);
        self.settle(flow)
    }

    fn intake(&self) -> Intake {
        self.client.intake()
    }

    fn closed(&mut self, now: u64, reason: CloseReason) {
        self.client.closed(now, reason);
    }
}
