//! The session's side: puts what comes into the inbox.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::Context;

use bytes::Bytes;
use sockeye_engineio::{CloseReason, Transport};
use sockeye_net::Intake;
use sockeye_transport::{Flow, Handler, Shared};
use tokio::sync::watch;

use super::Inner;
use super::connection::{Connection, Message};
use super::inbox::Inbox;
use super::sender::Sender;

pub(crate) struct Session {
    engine: Arc<Inner>,
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
    upgraded: watch::Sender<bool>,
}

impl Session {
    pub(super) fn new(engine: Arc<Inner>, shared: Arc<Shared>) -> Self {
        let upgraded = watch::Sender::new(shared.transport() == Transport::Websocket);
        Self { engine, shared, inbox: Arc::default(), upgraded }
    }
}

impl Handler for Session {
    fn opened(&mut self, _: u64, _: &mut Context<'_>) -> Flow {
        let sender = Sender::new(self.shared.clone(), self.upgraded.subscribe());
        let max = self.engine.kind.max_waiting_bytes;
        self.engine.spawn(Connection::new(self.inbox.clone(), max, sender));
        ControlFlow::Continue(())
    }

    fn receive_text(&mut self, _: u64, text: &str, _: &mut Context<'_>) -> Flow {
        self.inbox.put(Message::Text(text.to_owned()));
        ControlFlow::Continue(())
    }

    fn receive_binary(&mut self, _: u64, bytes: Cow<'_, [u8]>, _: &mut Context<'_>) -> Flow {
        self.inbox.put(Message::Binary(Bytes::from(bytes.into_owned())));
        ControlFlow::Continue(())
    }

    fn work(&mut self, _: u64, _: &mut Context<'_>) -> Flow {
        ControlFlow::Continue(())
    }

    fn poll_timeout(&self) -> Option<u64> {
        None
    }

    fn handle_timeout(&mut self, _: u64) -> Flow {
        ControlFlow::Continue(())
    }

    fn intake(&self) -> Intake {
        if self.inbox.is_full(self.engine.kind.max_waiting_bytes) {
            Intake::Stalled
        } else {
            Intake::Open
        }
    }

    fn upgraded(&mut self) {
        self.upgraded.send_replace(true);
    }

    fn closed(&mut self, _: u64, _: CloseReason) {
        self.inbox.end();
    }
}
