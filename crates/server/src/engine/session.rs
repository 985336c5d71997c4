//! The session's side: puts what comes into the inbox, or speaks Socket.IO once a server has
//! [adopted](crate::Server::adopt) it.

use std::borrow::Cow;
use std::collections::VecDeque;
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
use crate::client::Client;

/// The most messages that are taken of those that had come before in one wake-up, so that other sessions get
/// their turn.
const TAKEN_AT_ONCE: u32 = 256;

pub(crate) struct Session {
    engine: Arc<Inner>,
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
    upgraded: watch::Sender<bool>,
    adopted: Option<Box<Adopted>>,
}

/// Socket.IO on the session.
struct Adopted {
    client: Client,
    /// What had come before, as far as the client could not take it yet: it comes first.
    waiting: VecDeque<Message>,
}

impl Adopted {
    /// What waits is taken as it would be read: not while the client is stalled. Then it works again when it
    /// is not.
    fn work(&mut self, now: u64, cx: &mut Context<'_>) -> Flow {
        self.client.work(now, cx)?;
        let mut budget = TAKEN_AT_ONCE;
        while self.client.intake() == Intake::Open
            && let Some(message) = self.waiting.pop_front()
        {
            match message {
                Message::Text(text) => self.client.receive_text(now, &text, cx)?,
                Message::Binary(bytes) => {
                    self.client.receive_binary(now, Cow::Owned(bytes.into()), cx)?;
                }
            }
            budget -= 1;
            if budget == 0 {
                cx.waker().wake_by_ref();
                break;
            }
        }
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        ControlFlow::Continue(())
    }
}

impl Session {
    pub(super) fn new(engine: Arc<Inner>, shared: Arc<Shared>) -> Self {
        let upgraded = watch::Sender::new(shared.transport() == Transport::Websocket);
        Self { engine, shared, inbox: Arc::default(), upgraded, adopted: None }
    }

    /// The client, if it is its turn.
    fn client(&mut self) -> Option<&mut Client> {
        let adopted = self.adopted.as_mut().filter(|adopted| adopted.waiting.is_empty());
        adopted.map(|adopted| &mut adopted.client)
    }

    fn put(&mut self, message: Message) -> Flow {
        match &mut self.adopted {
            Some(adopted) => adopted.waiting.push_back(message),
            None => self.inbox.put(message),
        }
        ControlFlow::Continue(())
    }
}

impl Handler for Session {
    /// There are none.
    type Plain = Self;

    fn opened(&mut self, _: u64, _: &mut Context<'_>) -> Flow {
        let sender = Sender::new(self.shared.clone(), self.upgraded.subscribe());
        let max = self.engine.kind.max_waiting_bytes;
        self.engine.spawn(Connection::new(self.inbox.clone(), max, sender));
        ControlFlow::Continue(())
    }

    fn receive_text(&mut self, now: u64, text: &str, cx: &mut Context<'_>) -> Flow {
        match self.client() {
            Some(client) => client.receive_text(now, text, cx),
            None => self.put(Message::Text(text.to_owned())),
        }
    }

    fn receive_binary(&mut self, now: u64, bytes: Cow<'_, [u8]>, cx: &mut Context<'_>) -> Flow {
        match self.client() {
            Some(client) => client.receive_binary(now, bytes, cx),
            None => self.put(Message::Binary(Bytes::from(bytes.into_owned()))),
        }
    }

    fn work(&mut self, now: u64, cx: &mut Context<'_>) -> Flow {
        if self.adopted.is_none()
            && let Some(adoption) = self.inbox.adoption()
        {
            let client = Client::new(adoption.server.clone(), &self.shared);
            let waiting = self.inbox.take_all();
            let adopted = self.adopted.insert(Box::new(Adopted { client, waiting }));
            adopted.client.opened(now, cx)?;
        }
        match &mut self.adopted {
            Some(adopted) => adopted.work(now, cx),
            None => ControlFlow::Continue(()),
        }
    }

    fn poll_timeout(&self) -> Option<u64> {
        self.adopted.as_ref()?.client.poll_timeout()
    }

    fn handle_timeout(&mut self, now: u64) -> Flow {
        match &mut self.adopted {
            Some(adopted) => adopted.client.handle_timeout(now),
            None => ControlFlow::Continue(()),
        }
    }

    fn intake(&self) -> Intake {
        match &self.adopted {
            // Nothing is read that would only wait behind them.
            Some(adopted) if !adopted.waiting.is_empty() => Intake::Stalled,
            Some(adopted) => adopted.client.intake(),
            None if self.inbox.is_full(self.engine.kind.max_waiting_bytes) => Intake::Stalled,
            None => Intake::Open,
        }
    }

    fn upgraded(&mut self) {
        self.upgraded.send_replace(true);
        if let Some(adopted) = &mut self.adopted {
            adopted.client.upgraded();
        }
    }

    fn closed(&mut self, now: u64, reason: CloseReason) {
        self.inbox.end();
        if let Some(adopted) = &mut self.adopted {
            adopted.client.closed(now, reason);
        }
    }
}
