//! Sockeye's WebSocket: the connection driver with an echo on it.

use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::task::Context;

use hyper::{Request, Response, StatusCode};
use sockeye_benches::serving;
use sockeye_net::http::{Answer, Endpoint, Incoming, full};
use sockeye_net::{Cause, Close, Cork, Message, Protocol};
use sockeye_outbox::Outbox;
use sockeye_websocket::handshake::server as handshake;
use sockeye_websocket::{Limits, OpCode, frame};

fn main() -> io::Result<()> {
    serving::run_on_tokio(|listener| async move {
        let (_close, closing) = tokio::sync::watch::channel(false);
        sockeye_net::accept(listener, Echoes, Default::default(), closing).await;
        Ok(())
    })
}

#[derive(Clone)]
struct Echoes;

impl Endpoint for Echoes {
    type Successor = Echo;

    fn answer(
        &self,
        request: Request<Incoming>,
        _: SocketAddr,
    ) -> impl Future<Output = Answer<Echo>> + Send + use<> {
        std::future::ready(answer(&request))
    }
}

fn answer(request: &Request<Incoming>) -> Answer<Echo> {
    let judged = handshake::judge(handshake::Request {
        method: request.method().as_str(),
        version: (1, 1),
        headers: request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())),
    });
    match judged {
        Ok(accept) => {
            let response = Response::builder()
                .status(StatusCode::SWITCHING_PROTOCOLS)
                .header("upgrade", "websocket")
                .header("connection", "Upgrade")
                .header("sec-websocket-accept", accept.accept_key.as_str())
                .body(())
                .expect("these headers are valid");
            Answer::Upgrade(
                response,
                Echo { outbox: Outbox::new(1 << 20), limits: Limits::default() },
            )
        }
        Err(refusal) => {
            let mut response = Response::new(full(refusal.to_string()));
            *response.status_mut() = StatusCode::BAD_REQUEST;
            Answer::Http(response)
        }
    }
}

/// What is answered leaves with the wake-up's one write, so nothing ever waits in the outbox.
struct Echo {
    outbox: Outbox<Nothing>,
    limits: Limits,
}

enum Nothing {}

impl sockeye_outbox::Entry for Nothing {
    fn bytes(&self) -> usize {
        match *self {}
    }
}

impl Protocol for Echo {
    type Entry = Nothing;

    fn outbox(&self) -> &Outbox<Nothing> {
        &self.outbox
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn opened(&mut self, _: u64, _: &mut Context<'_>) -> ControlFlow<Close> {
        ControlFlow::Continue(())
    }

    fn receive(
        &mut self,
        _: u64,
        message: Message<'_>,
        reply: &mut Cork,
        _: &mut Context<'_>,
    ) -> ControlFlow<Close> {
        match message {
            Message::Text(text) => frame::append(reply.buffer(), OpCode::Text, text.as_bytes()),
            Message::Binary(bytes) => frame::append(reply.buffer(), OpCode::Binary, &bytes),
        }
        ControlFlow::Continue(())
    }

    fn work(&mut self, _: u64, _: &mut Context<'_>) -> ControlFlow<Close> {
        ControlFlow::Continue(())
    }

    fn encode(&mut self, entry: Nothing, _: &mut Cork) {
        match entry {}
    }

    fn poll_timeout(&self) -> Option<u64> {
        None
    }

    fn handle_timeout(&mut self, _: u64) -> ControlFlow<Close> {
        ControlFlow::Continue(())
    }

    fn closed(&mut self, _: u64, _: Option<Cause>) {}
}
