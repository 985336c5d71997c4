//! A protocol that does what its peer tells it, and keeps a record.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Context;

use bytes::Bytes;
use sockeye_net::{Cause, Close, Cork, Driver, Intake, Io, Message, Protocol, clock};
use sockeye_outbox::{Class, Entry, Outbox, Refused};
use sockeye_websocket::{self as websocket, CloseCode, Limits, OpCode, Role, deflate, frame};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) use sockeye_testkit::deadline::within;

/// Counts the messages of all connections, so that they can be put into order.
static TURN: AtomicU64 = AtomicU64::new(0);

/// Lets every task that is woken run until all of them wait. On one thread, and over pipes.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// The entry that has no form on the wire.
pub(crate) const NOTHING: &str = "nothing";

/// An outbox's entry: a text message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note(pub(crate) Bytes);

impl Entry for Note {
    fn bytes(&self) -> usize {
        self.0.len()
    }
}

/// Why [`Protocol::closed`] was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    ByItself,
    PeerClosed(Option<u16>),
    Lost,
    Broken,
    Refused(u16),
}

/// What the protocol has seen.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) opened: u32,
    /// Short messages in full.
    pub(crate) messages: Vec<String>,
    /// When each message came, compared with those of other connections.
    pub(crate) turns: Vec<u64>,
    pub(crate) received_bytes: usize,
    /// Calls of `work` for which the test had left word.
    pub(crate) word: u32,
    /// Deadlines that were reported as reached: the deadline, the `now` handed in, the clock.
    pub(crate) timeouts: Vec<(u64, u64, u64)>,
    pub(crate) ended: Vec<Ended>,
}

/// What test and protocol share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) outbox: Outbox<Note>,
    pub(crate) stalled: AtomicBool,
    pub(crate) word: AtomicBool,
    pub(crate) record: watch::Sender<Record>,
}

impl Shared {
    pub(crate) fn push(&self, text: &str) -> Result<(), Refused<Note>> {
        self.push_bytes(Bytes::copy_from_slice(text.as_bytes()), Class::Data)
    }

    pub(crate) fn push_bytes(&self, bytes: Bytes, class: Class) -> Result<(), Refused<Note>> {
        self.outbox.push(Note(bytes), class)
    }

    /// Waits until the record is as wanted.
    pub(crate) async fn until(&self, wanted: impl FnMut(&Record) -> bool) {
        let mut record = self.record.subscribe();
        let outcome = within(record.wait_for(wanted)).await;
        drop(outcome.expect("the protocol lives"));
    }

    /// Ends the stall and lets the protocol's task know.
    pub(crate) fn resume(&self) {
        self.stalled.store(false, Ordering::Release);
        self.outbox.notify();
    }

    pub(crate) fn messages(&self) -> Vec<String> {
        self.record.borrow().messages.clone()
    }

    pub(crate) fn ended(&self) -> Vec<Ended> {
        self.record.borrow().ended.clone()
    }
}

/// Does what the first word of a text message says:
///
/// * `echo ..`: replies with the message,
/// * `queue ..`: puts it into the outbox,
/// * `stall`: takes nothing more until [`Shared::resume`],
/// * `timeout N`: wants to be called in N milliseconds,
/// * `close`: ends the connection with 1000 and `bye`.
///
/// Other texts are only recorded. A binary message is sent back; from [`sockeye_net::SHARE_FROM`]
/// bytes on, without a copy.
pub(crate) struct Script {
    shared: Arc<Shared>,
    limits: Limits,
    deflate: Option<deflate::Params>,
    due: Option<u64>,
}

impl Script {
    pub(crate) fn new(outbox_limit: usize, limits: Limits) -> Self {
        let shared = Arc::new(Shared {
            outbox: Outbox::new(outbox_limit),
            stalled: AtomicBool::new(false),
            word: AtomicBool::new(false),
            record: watch::Sender::new(Record::default()),
        });
        Self { shared, limits, deflate: None, due: None }
    }

    /// With permessage-deflate, as whoever offers it without wishes gets it.
    pub(crate) fn deflated(mut self) -> Self {
        let context = deflate::Context::default();
        self.deflate = Some(deflate::Params { client: context, server: context });
        self
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Drives the protocol in a task of its own.
    pub(crate) fn spawn(self, io: Io, leftover: &[u8]) -> JoinHandle<()> {
        tokio::spawn(Driver::new(io, leftover, self))
    }

    fn record(&self, change: impl FnOnce(&mut Record)) {
        self.shared.record.send_modify(change);
    }
}

impl Protocol for Script {
    type Entry = Note;

    fn outbox(&self) -> &Outbox<Note> {
        &self.shared.outbox
    }

    fn websocket(&self) -> websocket::Connection {
        let connection = websocket::Connection::new(Role::Server);
        match self.deflate {
            Some(params) => connection.with_deflate(params),
            None => connection,
        }
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn opened(&mut self, _: u64, _: &mut Context<'_>) -> ControlFlow<Close> {
        self.record(|record| record.opened += 1);
        ControlFlow::Continue(())
    }

    fn receive(
        &mut self,
        now: u64,
        message: Message<'_>,
        reply: &mut Cork,
        _: &mut Context<'_>,
    ) -> ControlFlow<Close> {
        assert_eq!(self.shared.ended(), [], "nothing is received after the end");
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(bytes) => {
                self.record(|record| record.received_bytes += bytes.len());
                let head = frame_head(OpCode::Binary, bytes.len());
                reply.buffer().extend_from_slice(&head);
                reply.put(&bytes.into_owned().into(), 0);
                return ControlFlow::Continue(());
            }
        };
        self.record(|record| {
            record.received_bytes += text.len();
            record.messages.push(text.chars().take(40).collect());
            record.turns.push(TURN.fetch_add(1, Ordering::AcqRel));
        });
        match text.split_once(' ').unwrap_or((&text, "")) {
            ("echo", _) => frame::append(reply.buffer(), OpCode::Text, text.as_bytes()),
            ("queue", _) => self.shared.push(&text).expect("there is room"),
            ("stall", _) => self.shared.stalled.store(true, Ordering::Release),
            ("timeout", millis) => {
                self.due = Some(now + millis.parse::<u64>().expect("a number"));
            }
            ("close", _) => {
                return ControlFlow::Break(Close {
                    status: Some((CloseCode::NORMAL, "bye".into())),
                });
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn work(&mut self, _: u64, _: &mut Context<'_>) -> ControlFlow<Close> {
        assert_eq!(self.shared.ended(), [], "no work after the end");
        if self.shared.word.swap(false, Ordering::AcqRel) {
            self.record(|record| record.word += 1);
        }
        ControlFlow::Continue(())
    }

    fn encode(&mut self, entry: Note, cork: &mut Cork) {
        if entry.0 == NOTHING {
            return;
        }
        let head = frame_head(OpCode::Text, entry.0.len());
        cork.buffer().extend_from_slice(&head);
        cork.put(&entry.0, 0);
    }

    fn poll_timeout(&self) -> Option<u64> {
        self.due
    }

    fn handle_timeout(&mut self, now: u64) -> ControlFlow<Close> {
        let due = self.due.take().expect("only called when one is wanted");
        self.record(|record| record.timeouts.push((due, now, clock::now())));
        ControlFlow::Continue(())
    }

    fn intake(&self) -> Intake {
        if self.shared.stalled.load(Ordering::Acquire) { Intake::Stalled } else { Intake::Open }
    }

    fn closed(&mut self, _: u64, cause: Option<Cause>) {
        let ended = match cause {
            None => Ended::ByItself,
            Some(Cause::PeerClosed(status)) => {
                Ended::PeerClosed(status.map(|(code, _)| code.get()))
            }
            Some(Cause::Lost(None)) => Ended::Lost,
            Some(Cause::Lost(Some(_))) => Ended::Broken,
            Some(Cause::Refused(error)) => Ended::Refused(error.close_code().get()),
        };
        self.record(|record| record.ended.push(ended));
    }
}

/// The head of a server's frame with a payload of `len` bytes.
fn frame_head(opcode: OpCode, len: usize) -> Vec<u8> {
    let mut head = Vec::new();
    sockeye_websocket::Head::new(opcode, len as u64).encode(&mut head);
    head
}
