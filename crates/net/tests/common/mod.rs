//! A small site: HTTP here, an echo over WebSocket there.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Context;

use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use sockeye_net::http::{Answer, Endpoint, Incoming, connect_protocol, full};
use sockeye_net::{Cause, Close, Cork, Intake, Message, Protocol};
use sockeye_outbox::{Entry, Outbox};
use sockeye_websocket::handshake::server as handshake;
use sockeye_websocket::{Limits, OpCode, frame};
use tokio::sync::Semaphore;

/// The head of a request that opens a WebSocket at `/echo`.
pub(crate) const UPGRADE_TO_ECHO: &str = "GET /echo HTTP/1.1\r\nHost: example.org\r\n\
    Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Answers `/hello` at once, `/slow` once it gets a permit, and upgrades at `/echo`.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) permits: Arc<Semaphore>,
    slow: Arc<AtomicUsize>,
    limits: Arc<Limits>,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(0)), slow: Arc::default(), limits: Arc::default() }
    }

    /// How many requests for `/slow` have come.
    #[allow(dead_code, reason = "not every test binary asks for it")]
    pub(crate) fn slow_requests(&self) -> usize {
        self.slow.load(Ordering::Acquire)
    }

    /// What is spoken at `/echo`.
    pub(crate) fn echo(&self) -> Echo {
        Echo { outbox: Outbox::new(1024), limits: self.limits.clone() }
    }
}

impl Endpoint for Site {
    type Successor = Echo;

    fn answer(
        &self,
        request: Request<Incoming>,
        _: SocketAddr,
    ) -> impl Future<Output = Answer<Echo>> + Send + use<> {
        let site = self.clone();
        async move { site.answer_one(&request).await }
    }
}

impl Site {
    async fn answer_one(&self, request: &Request<Incoming>) -> Answer<Echo> {
        match request.uri().path() {
            "/hello" => Answer::Http(Response::new(full("hello"))),
            "/slow" => {
                self.slow.fetch_add(1, Ordering::AcqRel);
                self.permits.acquire().await.expect("it is never closed").forget();
                Answer::Http(Response::new(full("at last")))
            }
            "/echo" if connect_protocol(request.extensions()).is_some() => {
                Answer::Upgrade(Response::new(()), self.echo())
            }
            "/echo" => Answer::Upgrade(switching_protocols(request), self.echo()),
            _ => {
                let mut response = Response::new(full("not found"));
                *response.status_mut() = StatusCode::NOT_FOUND;
                Answer::Http(response)
            }
        }
    }
}

/// The answer to a handshake.
pub(crate) fn switching_protocols<B>(request: &Request<B>) -> Response<()> {
    let headers = request.headers().iter();
    let accept = handshake::judge(handshake::Request {
        method: request.method().as_str(),
        version: (1, 1),
        headers: headers.map(|(name, value)| (name.as_str(), value.as_bytes())),
    });
    let accept = accept.expect("a valid handshake").accept_key;
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    let accept = HeaderValue::from_bytes(accept.as_bytes()).expect("base64 is a header's value");
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// Nothing is ever queued for an echo: it replies.
#[derive(Debug)]
pub(crate) struct Nothing(Infallible);

impl Entry for Nothing {
    fn bytes(&self) -> usize {
        match self.0 {}
    }
}

/// Sends every message back.
#[derive(Debug)]
pub(crate) struct Echo {
    outbox: Outbox<Nothing>,
    limits: Arc<Limits>,
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
        match entry.0 {}
    }

    fn poll_timeout(&self) -> Option<u64> {
        None
    }

    fn handle_timeout(&mut self, _: u64) -> ControlFlow<Close> {
        ControlFlow::Continue(())
    }

    fn intake(&self) -> Intake {
        Intake::Open
    }

    fn closed(&mut self, _: u64, _: Option<Cause>) {}
}
