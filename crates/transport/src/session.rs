//! One Engine.IO session: what stands between its driver (that of a websocket, or of polling) and
//! the [`Handler`] of its messages.

mod plain;

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::Context;

use sockeye_engineio::{self as engineio, Action, CloseReason, Event, Open, PacketType, Transport};
use sockeye_hub::Packet;
use sockeye_net::addresses::Admission;
use sockeye_net::{Cause, Close, Cork, Intake, Message, Protocol, Wired, clock};
use sockeye_outbox::{Class, Outbox};
use sockeye_websocket as websocket;
use tracing::span::{EnteredSpan, Span};

use crate::deflate::Deflating;
use crate::ending::Ending;
use crate::entry::Entry;
use crate::events::{SessionEvent, SessionPacket};
use crate::handler::{Flow, Handler};
use crate::sessions::{Alive, Sessions};
use crate::shared::Shared;
use crate::throttle::Throttle;

pub(crate) use plain::Plain;

/// The state of one session, owned by its task.
pub struct Session<H: Handler> {
    engine: engineio::Session,
    sessions: Alive,
    shared: Arc<Shared>,
    stalled: bool,
    /// Others can find it, or could.
    announced: bool,
    /// The handler knows that it is over.
    ended: bool,
    throttle: Option<Box<Throttle>>,
    /// What few sessions have.
    rare: Option<Box<Rare>>,
    handler: H,
}

/// What a session has where sessions are limited or somebody looks at the log.
struct Rare {
    /// What it counts for.
    _admission: Option<Admission>,
    /// All that is logged in its name is within.
    span: Span,
}

impl Rare {
    fn new(admission: Option<Admission>, span: Span) -> Option<Box<Self>> {
        (admission.is_some() || !span.is_disabled())
            .then(|| Box::new(Self { _admission: admission, span }))
    }
}

impl<H: Handler> Session<H> {
    pub(crate) fn new(
        sessions: Arc<Sessions>,
        shared: Arc<Shared>,
        admission: Option<Admission>,
        handler: H,
    ) -> Self {
        let engine =
            engineio::Session::open(clock::now(), shared.revision(), &sessions.config.engine);
        let throttle = Throttle::new(&sessions.config);
        let span = tracing::debug_span!(
            target: "engine:socket",
            parent: None,
            "session",
            sid = ?shared.sid(),
            address = %shared.handshake().address(),
        );
        Self {
            engine,
            sessions: Alive::new(&sessions),
            shared,
            stalled: false,
            announced: false,
            ended: false,
            throttle,
            rare: Rare::new(admission, span),
            handler,
        }
    }

    /// Until it is dropped, what is logged is within the session's span, if that is wanted at all.
    fn entered(&self) -> Option<EnteredSpan> {
        self.rare.as_ref().map(|rare| rare.span.clone().entered())
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// The first packet of every session.
    pub(crate) fn open_packet(&self, upgrades: &[Transport]) -> Arc<Packet> {
        let open = Open::new(self.shared.sid(), upgrades, &self.sessions.config.engine);
        Packet::control(|buffer| open.encode(buffer))
    }

    /// Lets requests and broadcasts find the session.
    pub(crate) fn announce(&mut self) {
        self.announced = true;
        tracing::debug!(
            target: "engine",
            sid = ?self.shared.sid(),
            address = %self.shared.handshake().address(),
            transport = self.shared.transport().as_str(),
            revision = self.shared.revision().number(),
            "a session opens"
        );
        self.shared.tell(SessionEvent::Opened);
        self.sessions.count_opened();
        self.sessions.insert(&self.shared);
        self.sessions.give_back(self.shared.sid());
    }

    /// The open packet is said: the heartbeat and the handler begin.
    pub(crate) fn begin(&mut self, now: u64, cx: &mut Context<'_>) -> ControlFlow<Close> {
        let _entered = self.entered();
        let config = &self.sessions.config.engine;
        self.engine = engineio::Session::open(now, self.engine.revision(), config);
        let flow = self.handler.opened(now, cx);
        self.follow(flow)
    }

    /// A message has come.
    fn spend(&mut self, now: u64, message: &Message<'_>) {
        let bytes = match message {
            Message::Text(text) => text.len(),
            Message::Binary(bytes) => bytes.len(),
        };
        tracing::trace!(target: "engine:socket", bytes, "a packet comes");
        self.sessions.traffic.received(bytes);
        if let Some(throttle) = &mut self.throttle {
            throttle.spend(now, &self.sessions.config, bytes);
        }
    }

    /// The session goes on over another transport.
    pub(crate) fn upgraded(&mut self) {
        let _entered = self.entered();
        tracing::debug!(target: "engine:socket", sid = ?self.shared.sid(), "upgraded");
        self.shared.tell(SessionEvent::Upgraded);
        self.sessions.count_upgrade();
        self.handler.upgraded();
    }

    /// The session is over, by its own wish. Says how.
    pub(crate) fn end(&mut self, now: u64) -> &'static Ending {
        self.end_by(now, Ending::of(CloseReason::ForcedClose))
    }

    /// Says how the session is over: so, unless it was ended before.
    fn end_by(&mut self, now: u64, ending: &'static Ending) -> &'static Ending {
        let ending = self.shared.set_closed(ending);
        // It may end while it polls, and still say its last words over a websocket.
        if !std::mem::replace(&mut self.ended, true) {
            let _entered = self.entered();
            if self.announced {
                tracing::debug!(
                    target: "engine:socket", sid = ?self.shared.sid(), reason = %ending, "the session ends"
                );
                self.sessions.count_ended(ending.reason());
            }
            self.handler.closed(now, ending.reason());
        }
        ending
    }

    /// The session's end becomes the connection's.
    fn follow(&mut self, flow: Flow) -> ControlFlow<Close> {
        flow.map_break(|ending| {
            self.shared.close(ending);
            self.farewell()
        })
    }

    /// What the close frame says.
    fn farewell(&self) -> Close {
        let status = self.shared.ending().and_then(Ending::status);
        Close { status: status.map(|(code, words)| (code, words.into())) }
    }

    /// While the server itself does not read, a missing pong is not the client's fault.
    fn note_intake(&mut self, now: u64) {
        let stalled = self.intake() == Intake::Stalled;
        if stalled != self.stalled {
            self.stalled = stalled;
            if stalled {
                let cap = self.sessions.config.max_stall;
                let throttle = self.throttle.as_ref();
                self.engine.pause(now, throttle.map_or(cap, |throttle| throttle.stall(now, cap)));
            } else {
                self.engine.resume(now);
            }
        }
    }

    fn receive_text(&mut self, now: u64, text: &str, cx: &mut Context<'_>) -> Flow {
        let event = self.engine.receive_text(now, &self.sessions.config.engine, text);
        if self.shared.is_heard() {
            self.tell_received(&event, text);
        }
        self.handle(now, event, cx)
    }

    fn receive_binary(&mut self, now: u64, bytes: Cow<'_, [u8]>, cx: &mut Context<'_>) -> Flow {
        let event = self.engine.receive_binary(now, &self.sessions.config.engine, bytes).map(Some);
        if self.shared.is_heard() {
            self.tell_received(&event, "");
        }
        self.handle(now, event, cx)
    }

    /// Tells of the packet that has come: what the session makes of it, and, but for binary, its text.
    #[cold]
    fn tell_received(&self, event: &Result<Option<Event<'_>>, engineio::Error>, text: &str) {
        let packet = if let Ok(Some(Event::Binary(bytes))) = event {
            SessionPacket::binary(bytes)
        } else {
            let kind = text.bytes().next().and_then(PacketType::from_byte);
            // What is no packet ends the session, and is told by that.
            let Some(kind) = kind else { return };
            SessionPacket::text(kind, &text[1..])
        };
        self.shared.tell(SessionEvent::Received(packet));
        if event.is_ok() && matches!(packet.kind, PacketType::Ping | PacketType::Pong) {
            self.shared.tell(SessionEvent::Heartbeat);
        }
    }

    fn handle(
        &mut self,
        now: u64,
        event: Result<Option<Event<'_>>, engineio::Error>,
        cx: &mut Context<'_>,
    ) -> Flow {
        match event {
            Ok(Some(Event::Message(data))) => self.handler.receive_text(now, data, cx),
            Ok(Some(Event::Binary(data))) => self.handler.receive_binary(now, data, cx),
            Ok(Some(Event::Ping)) => {
                tracing::trace!(target: "engine:socket", "a ping comes");
                // Refused only where the outbox is far over its limit or sealed: a client that pings
                // faster than it reads gets fewer pongs.
                let _ = self.shared.push(Entry::Pong, Class::Reserved);
                ControlFlow::Continue(())
            }
            // The JavaScript server ignores this packet over a websocket; ending at once is what
            // the client asks for.
            Ok(Some(Event::Close)) => ControlFlow::Break(Ending::of(CloseReason::TransportClose)),
            Ok(None) => ControlFlow::Continue(()),
            Err(error) => bad_packet(error),
        }
    }

    /// What came is no packet at all.
    pub(crate) fn refuse(&mut self, error: engineio::Error) -> ControlFlow<Close> {
        self.follow(bad_packet(error))
    }
}

fn bad_packet(error: engineio::Error) -> Flow {
    tracing::debug!(target: "engine:transport", %error, "a bad packet");
    ControlFlow::Break(Ending::of(error.reason()))
}

impl<H: Handler> Protocol for Session<H> {
    type Entry = Entry;

    fn outbox(&self) -> &Outbox<Entry> {
        self.shared.outbox()
    }

    fn wired(&self) -> Option<Arc<dyn Wired>> {
        Some(self.shared.clone())
    }

    fn websocket(&self) -> websocket::Connection {
        Deflating::websocket(self.shared.deflating())
    }

    fn limits(&self) -> &websocket::Limits {
        &self.sessions.config.websocket
    }

    fn opened(&mut self, now: u64, cx: &mut Context<'_>) -> ControlFlow<Close> {
        // An outbox that is sealed already ends the session in `work`.
        let _ = self.shared.push(Entry::Packet(self.open_packet(&[])), Class::Reserved);
        if let Some(packet) = &self.sessions.config.initial_packet {
            let _ = self.shared.push(Entry::Packet(packet.clone()), Class::Reserved);
        }
        self.announce();
        self.begin(now, cx)
    }

    fn receive(
        &mut self,
        now: u64,
        message: Message<'_>,
        _reply: &mut Cork,
        cx: &mut Context<'_>,
    ) -> ControlFlow<Close> {
        let _entered = self.entered();
        self.spend(now, &message);
        let flow = match message {
            Message::Text(text) => self.receive_text(now, &text, cx),
            Message::Binary(bytes) => self.receive_binary(now, bytes, cx),
        };
        self.note_intake(now);
        self.follow(flow)
    }

    fn work(&mut self, now: u64, cx: &mut Context<'_>) -> ControlFlow<Close> {
        if self.shared.ending().is_some() {
            return ControlFlow::Break(self.farewell());
        }
        let _entered = self.entered();
        let flow = self.handler.work(now, cx);
        self.note_intake(now);
        self.follow(flow)
    }

    fn encode(&mut self, entry: Entry, cork: &mut Cork) {
        self.shared.encode_frames(&entry, cork);
    }

    fn poll_timeout(&self) -> Option<u64> {
        let throttle = self.throttle.as_ref().and_then(|throttle| throttle.until());
        let others = [self.handler.poll_timeout(), throttle];
        Some(others.into_iter().flatten().fold(self.engine.poll_timeout(), u64::min))
    }

    fn handle_timeout(&mut self, now: u64) -> ControlFlow<Close> {
        let _entered = self.entered();
        if let Some(throttle) = &mut self.throttle {
            throttle.handle_timeout(now);
            self.note_intake(now);
        }
        match self.engine.handle_timeout(now, &self.sessions.config.engine) {
            Some(Action::SendPing) => {
                tracing::trace!(target: "engine:socket", "a ping goes");
                // Refused only where the outbox is far over its limit or sealed: then the
                // missing pong, or the seal, ends the session.
                let _ = self.shared.push(Entry::Ping, Class::Reserved);
            }
            Some(Action::Close(reason)) => {
                tracing::debug!(target: "engine:socket", sid = ?self.shared.sid(), %reason, "no sign of life");
                return self.follow(ControlFlow::Break(Ending::of(reason)));
            }
            None => {}
        }
        if self.handler.poll_timeout().is_some_and(|due| due <= now) {
            let flow = self.handler.handle_timeout(now);
            return self.follow(flow);
        }
        ControlFlow::Continue(())
    }

    fn intake(&self) -> Intake {
        match &self.throttle {
            Some(throttle) if throttle.until().is_some() => Intake::Stalled,
            _ => self.handler.intake(),
        }
    }

    fn closed(&mut self, now: u64, cause: Option<Cause>) {
        let ending = match &cause {
            // Ours: `ending` has it.
            None => Ending::of(CloseReason::ForcedClose),
            Some(Cause::PeerClosed(_) | Cause::Lost(_)) => Ending::of(CloseReason::TransportClose),
            Some(Cause::Refused(error)) => {
                tracing::debug!(
                    target: "engine:ws",
                    sid = ?self.shared.sid(),
                    %error,
                    "the client broke the WebSocket protocol"
                );
                Ending::broken(error)
            }
        };
        self.end_by(now, ending);
        self.sessions.remove(&self.shared);
    }
}

impl<H: Handler> Drop for Session<H> {
    /// Also where its task was dropped before its end, by a runtime that ends or after a panic.
    fn drop(&mut self) {
        // A session that polled could be found until now, for its last poll.
        self.sessions.remove(&self.shared);
        if !self.announced {
            self.sessions.give_back(self.shared.sid());
        }
        self.shared.shut_door();
        self.shared.outbox().close();
        let ending = self.end_by(clock::now(), Ending::of(CloseReason::TransportClose));
        if self.announced {
            // Only here: what was queued before its end may have gone meanwhile.
            self.shared.tell(SessionEvent::Closed(ending.reason()));
        }
    }
}
