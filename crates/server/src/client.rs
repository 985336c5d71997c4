//! Socket.IO on one session: what stands between the session's messages and the handlers.
//!
//! It belongs to the session's task. Other tasks leave word in the [`Link`].

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::Context;

use bytes::Bytes;
use smallvec::SmallVec;
use sockeye_engineio::{CloseReason, Revision};
use sockeye_handler::Dispatch;
use sockeye_hub::Packet;
use sockeye_net::{Intake, clock};
use sockeye_outbox::Class;
use sockeye_socketio::parser::Message;
use sockeye_socketio::{self as socketio, DisconnectReason, Event, Limit, encode, revision4};
use sockeye_transport::{Ending, Entry, Flow, Handler, Shared};

use crate::connect::Refusal;
use crate::journal::Request;
use crate::link::{Command, Finding, Found, Link};
use crate::local::Answer;
use crate::namespace;
use crate::server::Inner;
use crate::socket::Socket;

mod ending;
mod entrance;
mod parsed;
mod plain;

pub(crate) use plain::PlainClient;

/// Node's word for a namespace that is not there.
const NO_NAMESPACE: &str = "Invalid namespace";

/// What is logged of a refusal that may quote the client.
const UNQUOTED: &str =
    "the middleware was not called: its parameters could not be made of the client's auth";

/// One client's Socket.IO.
pub(crate) struct Client {
    server: Arc<Inner>,
    link: Arc<Link>,
    protocol: socketio::Connection,
    sockets: SmallVec<[Member; 1]>,
    /// Sockets whose middleware or connect handlers are running, those that have left meanwhile
    /// included.
    asked: u32,
    /// Namespaces of which it is being decided whether they are there.
    finding: Option<Box<SmallVec<[Finding; 1]>>>,
    dispatch: Dispatch<Socket>,
    /// Why the sockets end, where Engine.IO has no word for it.
    reason: Option<DisconnectReason>,
    /// A namespace has refused the client.
    refused: bool,
    /// The client has begun with the default parser.
    native: bool,
    /// The client speaks [revision 4](revision4) of Socket.IO.
    revision4: bool,
}

/// A socket of this client.
struct Member {
    socket: Socket,
    stage: Stage,
}

/// How far a socket has come into its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The middleware decides; nobody has heard of the socket.
    Asking,
    /// It is connected, and the connect handlers run: its events wait.
    Greeting,
    Ready,
}

impl Client {
    pub(crate) fn new(server: Arc<Inner>, session: &Arc<Shared>) -> Self {
        let protocol = socketio::Connection::new(clock::now(), &server.core.config.socketio);
        server.core.begin();
        let revision4 = session.revision() == Revision::V3;
        let mut client = Self {
            server,
            link: Arc::new(Link::new(session.clone())),
            protocol,
            sockets: SmallVec::new(),
            asked: 0,
            finding: None,
            dispatch: Dispatch::default(),
            reason: None,
            refused: false,
            native: false,
            revision4,
        };
        if revision4 {
            client.speak_default();
        }
        client
    }

    fn handle(&mut self, event: Event<'_>, cx: &mut Context<'_>) -> Flow {
        match event {
            Event::Connect { namespace, auth } => {
                return self.connect(&namespace, auth.as_deref());
            }
            Event::Event { namespace, name, args, attachments, ack } => {
                let Some(member) = self.member(&namespace) else {
                    return ControlFlow::Continue(());
                };
                let (socket, ready) = (member.socket.clone(), member.stage == Stage::Ready);
                tracing::trace!(
                    target: "socket.io:socket",
                    socket = socket.id(), namespace = &*namespace, event = &*name, ack, "an event comes"
                );
                self.server.core.counters.events.receive();
                if let Some(observer) = self.server.core.observer() {
                    observer.received(&socket, &name, &args, &attachments);
                }
                let event = sockeye_handler::Event::new(&name, &args, &attachments);
                let routes = &socket.inner.namespace.routes;
                let limits = &self.server.core.config.handlers;
                self.dispatch.event(limits, &socket, event, ack, ready, routes);
                if self.dispatch.is_waiting() {
                    self.server.core.counters.events_queued.count();
                    cx.waker().wake_by_ref();
                }
            }
            Event::Ack { namespace, id, args, attachments } => {
                if let Some(member) = self.member(&namespace) {
                    let socket = member.socket.id();
                    tracing::trace!(target: "socket.io:socket", socket, ack = id, "an ack comes");
                    let answer = Answer { args: args.into(), attachments };
                    member.socket.answered(id, answer);
                }
            }
            Event::Disconnect { namespace } => {
                if let Some(finding) = &mut self.finding {
                    finding.retain(|finding| *finding.path != *namespace);
                }
                if let Some(position) = self.position(&namespace) {
                    self.end(position, DisconnectReason::ClientNamespaceDisconnect);
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn connect(&mut self, path: &str, auth: Option<&str>) -> Flow {
        if self.asked as usize >= self.server.core.config.socketio.max_namespaces {
            tracing::debug!(target: "socket.io:client", "too many namespaces are being joined");
            return ControlFlow::Break(ending::of(Limit::Namespaces.into()));
        }
        let most = self.server.core.config.max_auth_bytes;
        if auth.is_some_and(|auth| auth.len() + self.auth_bytes() > most) {
            self.refuse(path, &Refusal::new("too many bytes of auth"));
        } else if let Some(entered) = self.server.enter(path) {
            self.entered(path, auth, entered);
        } else if self.server.children.parents.is_empty() {
            self.refuse(path, &Refusal::new(NO_NAMESPACE));
        } else {
            let finding = Finding { path: path.into(), auth: auth.map(Into::into) };
            match entrance::find(&self.server, &self.link, &finding) {
                Some(found) => self.found(path, auth, found),
                None => {
                    self.asked += 1;
                    self.finding.get_or_insert_default().push(finding);
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// What is kept of the client's `auth`, of all its namespaces.
    fn auth_bytes(&self) -> usize {
        let sockets = self.sockets.iter().filter_map(|member| member.socket.auth());
        let finding = self.finding.iter().flat_map(|waiting| waiting.iter());
        let finding = finding.filter_map(|finding| finding.auth.as_deref());
        sockets.chain(finding).map(str::len).sum()
    }

    /// The dynamic namespaces were asked for this name.
    fn found(&mut self, path: &str, auth: Option<&str>, found: Found) {
        let create = |(parent, captures)| self.server.children.create(path, &parent, captures);
        self.entered(path, auth, found.and_then(create));
    }

    fn entered(
        &mut self,
        path: &str,
        auth: Option<&str>,
        entered: Result<Arc<namespace::Inner>, Refusal>,
    ) {
        match entered {
            Ok(namespace) => self.join(namespace, auth),
            Err(refusal) => self.refuse(path, &refusal),
        }
    }

    /// A socket for a namespace that has a place for it.
    fn join(&mut self, namespace: Arc<namespace::Inner>, auth: Option<&str>) {
        let socket = match self.enter(&namespace, auth) {
            Ok(socket) => socket,
            Err(refusal) => {
                self.refuse(&namespace.path, &refusal);
                namespace.left();
                return;
            }
        };
        tracing::debug!(
            target: "socket.io:namespace",
            socket = socket.id(), namespace = socket.namespace(), "a socket wants to be let in"
        );
        self.sockets.push(Member { socket: socket.clone(), stage: Stage::Asking });
        match entrance::ask(&socket) {
            Some(answer) => self.answered(&socket, answer),
            None => self.asked += 1,
        }
    }

    /// The client's socket, in its namespace's hub: a new one, or the one that it had.
    fn enter(
        &self,
        namespace: &Arc<namespace::Inner>,
        auth: Option<&str>,
    ) -> Result<Socket, Refusal> {
        let make = |id, auth: Option<&str>| {
            Socket::new(id, namespace.clone(), self.link.clone(), auth.map(Into::into))
        };
        // Others have no way to come back for what they missed.
        let recoverable = !self.revision4 && !self.link.session.is_plain();
        let journal = namespace.journal.as_ref().filter(|_| recoverable);
        let (request, auth) = match (journal, auth) {
            (Some(_), Some(auth)) => Request::take(auth),
            (_, auth) => (None, auth.map(Cow::Borrowed)),
        };
        let auth = auth.as_deref();
        if let Some((journal, request)) = journal.zip(request)
            && let Some(socket) = journal.restore(namespace, &request, |id| make(id, auth))
        {
            return Ok(socket);
        }
        let no_randomness = |_| Refusal::new("no randomness for an id");
        let socket = make(Shared::public_id().map_err(no_randomness)?, auth);
        let entered = match journal {
            Some(journal) => journal.enter(&socket, Shared::public_id().map_err(no_randomness)?),
            None => socket.enter(),
        };
        if entered { Ok(socket) } else { Err(Refusal::new("no id for the socket")) }
    }

    /// The middleware has answered, or a client that came back has been told what it missed.
    fn answered(&mut self, socket: &Socket, answer: Result<(), Refusal>) {
        let Some(position) = self.place(socket) else {
            // It left meanwhile, before anybody heard of it.
            return;
        };
        if socket.disconnect_reason().is_some() {
            // The middleware itself has disconnected it: the word of that is in the link.
            return;
        }
        let path = socket.namespace();
        match answer {
            Ok(()) => {
                self.protocol.connected(path);
                if entrance::catch_up(socket) {
                    socket.open();
                    tracing::debug!(
                        target: "socket.io:socket",
                        socket = socket.id(), namespace = socket.namespace(), "connected"
                    );
                    if let Some(observer) = self.server.core.observer() {
                        observer.connected(socket);
                    }
                    self.greet(position);
                } else {
                    self.asked += 1;
                }
            }
            Err(refusal) => {
                socket.set_aside();
                socket.end(DisconnectReason::ServerNamespaceDisconnect);
                self.sockets.remove(position);
                self.refuse(path, &refusal);
            }
        }
    }

    /// The socket is connected: its namespace hears of it, and its events have to wait until that is done.
    fn greet(&mut self, position: usize) {
        let member = &mut self.sockets[position];
        if entrance::greet(&member.socket) {
            member.stage = Stage::Ready;
        } else {
            member.stage = Stage::Greeting;
            self.asked += 1;
        }
    }

    fn refuse(&mut self, path: &str, refusal: &Refusal) {
        if !self.protocol.refused(path) {
            return;
        }
        self.refused = true;
        let why = if refusal.quotes { UNQUOTED } else { &refusal.message };
        tracing::debug!(
            target: "socket.io:client", namespace = path, why, "not let in"
        );
        self.server.core.counters.connects_refused.count();
        self.say_no(path, refusal);
    }

    fn say_no(&self, path: &str, refusal: &Refusal) {
        let data = refusal.data.as_deref();
        // Of a namespace that is not there, Node says so to all clients alike.
        let bare = self.revision4 && refusal.message != NO_NAMESPACE;
        let packet = Packet::message(|buffer| {
            let message = &refusal.message;
            let encoded = match bare {
                true => revision4::connect_error(buffer, path, message, data),
                false => encode::connect_error(buffer, path, message, data),
            };
            encoded.map(|()| Vec::new())
        });
        match packet {
            Ok(packet) => self.push(packet),
            Err(error) => {
                tracing::error!(target: "socket.io:client", %error, "a refusal cannot be encoded");
            }
        }
    }

    /// Forgets a socket that leaves, and lets its namespace know, if that has heard of it. While the connect
    /// handlers are running, their end does.
    fn end(&mut self, position: usize, reason: DisconnectReason) {
        let member = self.sockets.remove(position);
        member.socket.end(reason);
        if member.stage == Stage::Ready {
            entrance::left(&member.socket);
        }
    }

    fn command(&mut self, command: Command) -> Flow {
        match command {
            Command::Answered(socket, answer) => {
                self.asked -= 1;
                self.answered(&socket, answer);
            }
            Command::Found(finding, found) => {
                self.asked -= 1;
                let same = |other: &Finding| Arc::ptr_eq(&other.path, &finding.path);
                // If it is not waited for any more, the client has left meanwhile.
                let waiting = self.finding.get_or_insert_default();
                let position = waiting.iter().position(same);
                position.map(|position| waiting.swap_remove(position));
                if waiting.is_empty() {
                    self.finding = None;
                }
                if position.is_some() {
                    self.found(&finding.path, finding.auth.as_deref(), found);
                }
            }
            Command::Greeted(socket) => {
                self.asked -= 1;
                match self.place(&socket) {
                    Some(position) => self.sockets[position].stage = Stage::Ready,
                    None => entrance::left(&socket),
                }
            }
            Command::Ended(socket) => {
                if let Some(position) = self.place(&socket) {
                    let path = socket.namespace();
                    // It may have been connecting, for which `disconnect` has connected it.
                    self.protocol.connected(path);
                    self.protocol.left(path);
                    self.end(position, DisconnectReason::ServerNamespaceDisconnect);
                }
            }
            Command::Evicted(socket) => {
                self.command(Command::Ended(socket))?;
                if self.sockets.is_empty() {
                    return ControlFlow::Break(ending::TAKEN_OVER);
                }
            }
            Command::EndAll => {
                for member in &self.sockets {
                    member.socket.disconnect();
                }
                self.reason = Some(DisconnectReason::ServerNamespaceDisconnect);
                return ControlFlow::Break(Ending::of(CloseReason::ForcedClose));
            }
        }
        ControlFlow::Continue(())
    }

    fn fail(&mut self, error: &socketio::Error) -> Flow {
        self.reason = Some(error.reason());
        self.violated(error, ending::of(*error))
    }

    fn violated(&self, error: &dyn Display, ending: &'static Ending) -> Flow {
        tracing::debug!(target: "socket.io:client", %error, "the session ends");
        self.server.core.counters.violations.count();
        ControlFlow::Break(ending)
    }

    fn push(&self, packet: Arc<Packet>) {
        let _ = self.link.session.push(Entry::Packet(packet), Class::Reserved);
    }

    fn position(&self, path: &str) -> Option<usize> {
        self.sockets.iter().position(|member| member.socket.namespace() == path)
    }

    fn place(&self, socket: &Socket) -> Option<usize> {
        self.sockets.iter().position(|member| member.socket == *socket)
    }

    fn member(&self, path: &str) -> Option<&Member> {
        self.position(path).map(|position| &self.sockets[position])
    }
}

impl Handler for Client {
    type Plain = PlainClient;

    fn opened(&mut self, now: u64, _: &mut Context<'_>) -> Flow {
        let limits = &self.server.core.config.socketio;
        self.protocol = socketio::Connection::new(now, limits);
        if !self.revision4 {
            return ControlFlow::Continue(());
        }
        match self.protocol.join(limits, "/") {
            Ok(()) => self.connect("/", None),
            Err(error) => self.fail(&error),
        }
    }

    fn receive_text(&mut self, now: u64, text: &str, cx: &mut Context<'_>) -> Flow {
        if let Some(flow) = self.receive_parsed(|| Message::Text(text.to_owned()), cx) {
            return flow;
        }
        let config = &self.server.core.config;
        let revived = match config.parsers.as_deref() {
            Some(parsers) => parsers.revive(text, &config.socketio),
            None => Ok(Cow::Borrowed(text)),
        };
        let event =
            revived.as_deref().map_err(|error| *error).and_then(|text| match self.revision4 {
                true => self.protocol.receive_text_v4(now, &config.socketio, text),
                false => self.protocol.receive_text(now, &config.socketio, text),
            });
        match event {
            Ok(Some(event)) => self.handle(event, cx),
            Ok(None) => ControlFlow::Continue(()),
            Err(error) => self.fail(&error),
        }
    }

    fn receive_binary(&mut self, now: u64, bytes: Cow<'_, [u8]>, cx: &mut Context<'_>) -> Flow {
        let bytes = Bytes::from(bytes.into_owned());
        if let Some(flow) = self.receive_parsed(|| Message::Binary(bytes.clone()), cx) {
            return flow;
        }
        match self.protocol.receive_binary(now, &self.server.core.config.socketio, bytes) {
            Ok(Some(event)) => self.handle(event, cx),
            Ok(None) => ControlFlow::Continue(()),
            Err(error) => self.fail(&error),
        }
    }

    fn work(&mut self, _: u64, cx: &mut Context<'_>) -> Flow {
        let mut flow = ControlFlow::Continue(());
        for command in self.link.take() {
            // What stands behind an end still counts: an answer is given only once.
            let next = self.command(command);
            flow = if flow.is_break() { flow } else { next };
        }
        flow?;
        if self.dispatch.is_waiting() {
            let sockets = &self.sockets;
            let ready = |socket: &Socket| {
                let held =
                    |member: &Member| member.stage != Stage::Ready && member.socket == *socket;
                !sockets.iter().any(held)
            };
            if self.dispatch.resume(&self.server.core.config.handlers, ready, route) {
                cx.waker().wake_by_ref();
            }
        }
        ControlFlow::Continue(())
    }

    fn poll_timeout(&self) -> Option<u64> {
        self.protocol.poll_timeout()
    }

    fn handle_timeout(&mut self, now: u64) -> Flow {
        match self.protocol.handle_timeout(now) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => self.fail(&error),
        }
    }

    fn upgraded(&mut self) {
        if let Some(observer) = self.server.core.observer() {
            self.sockets.iter().for_each(|member| observer.upgraded(&member.socket));
        }
    }

    fn intake(&self) -> Intake {
        if self.dispatch.is_full(&self.server.core.config.handlers) {
            Intake::Stalled
        } else {
            Intake::Open
        }
    }

    fn closed(&mut self, _: u64, reason: CloseReason) {
        // What others had left for us first: an answer that came in time is one.
        for command in self.link.close() {
            let _ = self.command(command);
        }
        let reason = self.reason.unwrap_or_else(|| reason.into());
        while !self.sockets.is_empty() {
            self.end(0, reason);
        }
    }
}

/// The handlers of a socket's events.
fn route(socket: &Socket) -> &sockeye_handler::Routes<Socket> {
    let namespace: &namespace::Inner = &socket.inner.namespace;
    &namespace.routes
}
