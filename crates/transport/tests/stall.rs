//! A client that is faster than it may be, and the heartbeat meanwhile.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::Context;

use http::Request;
use sockeye_engineio::{self as engineio, CloseReason};
use sockeye_net::Intake;
use sockeye_net::http::{Answer, Endpoint, Incoming};
use sockeye_net::rate::Rate;
use sockeye_testkit::deadline::within;
use sockeye_testkit::peer::{Message, Peer, text_frame};
use sockeye_transport::{Config, Engine, Flow, Handler, Upgraded};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

/// What a session's handler was told.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Message(String),
    Closed(CloseReason),
}

struct Listener(mpsc::UnboundedSender<Told>);

impl Handler for Listener {
    type Plain = Self;

    fn opened(&mut self, _: u64, _: &mut Context<'_>) -> Flow {
        ControlFlow::Continue(())
    }

    fn receive_text(&mut self, _: u64, text: &str, _: &mut Context<'_>) -> Flow {
        let _ = self.0.send(Told::Message(text.to_owned()));
        ControlFlow::Continue(())
    }

    fn receive_binary(&mut self, _: u64, _: Cow<'_, [u8]>, _: &mut Context<'_>) -> Flow {
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
        Intake::Open
    }

    fn closed(&mut self, _: u64, reason: CloseReason) {
        let _ = self.0.send(Told::Closed(reason));
    }
}

#[derive(Clone)]
struct Site(Engine, mpsc::UnboundedSender<Told>);

impl Endpoint for Site {
    type Successor = Upgraded<Listener>;

    fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Answer<Upgraded<Listener>>> + Send + use<> {
        let Self(engine, told) = self.clone();
        let (parts, body) = request.into_parts();
        engine.answer(engine.request(parts, peer), body, move |_| Listener(told))
    }
}

/// A server whose clients may send 100 bytes at once, and so many in a second from then on.
async fn serve(per_second: u32) -> (SocketAddr, mpsc::UnboundedReceiver<Told>) {
    let engine = Engine::new(Config {
        engine: engineio::Config {
            ping_interval: 50,
            ping_timeout: 50,
            ..engineio::Config::default()
        },
        max_stall: 50,
        byte_rate: Some(Rate { burst: 100, per_second }),
        ..Config::default()
    });
    let (note, told) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let closing = watch::Sender::new(false);
    tokio::spawn(async move {
        let (site, closing) = (Site(engine, note), closing.subscribe());
        sockeye_net::accept(listener, site, Arc::default(), closing).await;
    });
    (address, told)
}

/// Answers every ping until the server ends the connection.
async fn answer_pings(mut peer: Peer) {
    while let Message::Text(text) = peer.recv().await {
        assert_eq!(text, "2");
        peer.try_send_bytes(&text_frame("3")).await;
    }
}

/// Many times as long as the server's own handlers may be behind.
#[tokio::test]
async fn a_debt_that_takes_longer_than_a_stall_may_ends_no_honest_client() {
    let (address, mut told) = serve(1000).await;
    let mut peer = Peer::engineio(address).await;
    let large = "x".repeat(800);
    peer.send_text(&format!("4{large}")).await;
    peer.send_text("4end").await;
    let answering = tokio::spawn(answer_pings(peer));
    for expected in [large, "end".to_owned()] {
        let told = within(told.recv()).await;
        assert_eq!(told, Some(Told::Message(expected)));
    }
    answering.abort();
}

/// Nobody waits for ever.
#[tokio::test]
async fn a_debt_that_is_never_paid_ends_its_session() {
    let (address, mut told) = serve(0).await;
    let mut peer = Peer::engineio(address).await;
    peer.send_text(&format!("4{}", "x".repeat(800))).await;
    tokio::spawn(answer_pings(peer));
    told.recv().await.unwrap();
    let told = within(told.recv()).await;
    assert_eq!(told, Some(Told::Closed(CloseReason::PingTimeout)));
}
