//! For the tests of this crate: a session that polls, without HTTP and without a runtime.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use http::{Extensions, HeaderMap};
use sockeye_engineio::{CloseReason, Sid};
use sockeye_hub::Packet;
use sockeye_net::{Intake, Io, clock};
use sockeye_outbox::Class;
use sockeye_websocket::{self as websocket, Role};

use crate::config::Config;
use crate::door::{Door, NextTransport};
use crate::entry::Entry;
use crate::handler::{Flow, Handler};
use crate::handshake::Handshake;
use crate::polling::{End, Polling};
use crate::session::Session;
use crate::sessions::Sessions;
use crate::shared::{Form, Shared};

/// What a [`Scribe`] was told.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn write(&self, note: impl Into<String>) {
        self.0.lock().unwrap().push(note.into());
    }

    /// What is new.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A handler that writes down what it is told, and panics at the word `panic`.
#[derive(Default)]
pub(crate) struct Scribe(Notes);

impl Handler for Scribe {
    type Plain = Self;

    fn opened(&mut self, _: u64, _: &mut Context<'_>) -> Flow {
        self.0.write("opened");
        ControlFlow::Continue(())
    }

    fn receive_text(&mut self, _: u64, text: &str, _: &mut Context<'_>) -> Flow {
        assert_ne!(text, "panic", "as the test wants it");
        self.0.write(text);
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

    fn upgraded(&mut self) {
        self.0.write("upgraded");
    }

    fn closed(&mut self, _: u64, reason: CloseReason) {
        self.0.write(reason.as_str());
    }
}

/// A websocket that may take over.
pub(crate) fn next_transport() -> NextTransport {
    NextTransport {
        io: Io::boxed(tokio::io::duplex(64).0),
        websocket: websocket::Connection::new(Role::Server),
        deflating: None,
        leftover: Vec::new(),
        base64: false,
    }
}

/// A session that polls, and its driver.
pub(crate) struct Fixture {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) polling: Option<Polling<Scribe>>,
    pub(crate) notes: Notes,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        let sessions = Arc::new(Sessions::new(config.settled()));
        let address = SocketAddr::from(([127, 0, 0, 1], 4000));
        let keep = &sessions.config.keep_headers;
        let (headers, extensions) = (HeaderMap::new(), Extensions::new());
        let handshake = Handshake::new(address, false, "/", &headers, keep, &extensions);
        let limit = sessions.config.max_buffered_bytes;
        let door = Some(Box::<Door>::default());
        let shared = Arc::new(Shared::new(
            Sid::new([7; 15]),
            limit,
            handshake,
            Form::Native,
            door,
            sessions.traffic.clone(),
        ));
        let notes = Notes::default();
        let handler = Scribe(notes.clone());
        let mut session = Session::new(sessions.clone(), shared.clone(), None, handler);
        session.announce();
        let mut fixture =
            Self { sessions, shared, polling: Some(Polling::new(session)), notes: notes.clone() };
        assert!(fixture.wake_up().is_none());
        assert_eq!(notes.take(), ["opened"]);
        fixture
    }

    /// One wake-up of the session's task.
    pub(crate) fn wake_up(&mut self) -> Option<End> {
        self.wake_up_at(clock::now())
    }

    /// The same, as if it were that time.
    pub(crate) fn wake_up_at(&mut self, now: u64) -> Option<End> {
        let polling = self.polling.as_mut().expect("the session has a driver");
        match polling.poll_end_at(now, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(end) => Some(end),
            Poll::Pending => None,
        }
    }

    /// Queues a message for the client.
    pub(crate) fn push(&self, text: &str) {
        let Ok(packet) = Packet::message(|buffer| {
            buffer.extend_from_slice(text.as_bytes());
            Ok::<_, std::convert::Infallible>(Vec::new())
        });
        self.shared.push(Entry::Packet(packet), Class::Data).unwrap();
    }
}
