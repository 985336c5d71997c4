//! What admins are told of everybody else.

use std::hash::RandomState;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use sockeye_hub::Packet;
use sockeye_net::wheel::sleep;
use sockeye_socketio::{self as socketio, Args, Body, Kind, Value, decode_args};

use super::stats::{Identity, Sample};
use super::{LateServer, MAX_SOCKETS, Mode, describe};
use crate::observe::Observer;
use crate::operators::Broadcast;
use crate::server::Server;
use crate::socket::Socket;

/// How often the counts are looked at: the charts have a bar for each second.
const SECOND: Duration = Duration::from_secs(1);

/// Every so many seconds the page is told.
const STATS: u32 = 2;

/// Watches all namespaces for the admins, as long as there are some.
pub(crate) struct Watch {
    path: Box<str>,
    mode: Mode,
    identity: Identity,
    pub(super) server: LateServer,
    admins: AtomicUsize,
    /// Somebody [gathers](Self::gather) the statistics. It may be for admins who have left within this second.
    gathering: AtomicBool,
    /// The key of [`describe`]'s client ids.
    clients: RandomState,
}

impl Watch {
    pub(super) fn new(path: &str, mode: Mode, server_id: Option<String>) -> Self {
        Self {
            path: path.into(),
            mode,
            identity: Identity::new(server_id),
            server: LateServer::default(),
            admins: AtomicUsize::new(0),
            gathering: AtomicBool::new(false),
            clients: RandomState::new(),
        }
    }

    fn server(&self) -> Option<Server> {
        let inner = self.server.get().and_then(Weak::upgrade)?;
        Some(Server { inner })
    }

    /// An admin has connected.
    pub(super) fn enter(self: &Arc<Self>, admin: &Socket, features: &[&str]) {
        tracing::debug!(
            target: "socket.io-admin",
            socket = admin.id(), address = %admin.handshake().address(), "an admin connects"
        );
        // Before the sockets are looked for: who connects behind that is told as news.
        self.admins.fetch_add(1, Ordering::SeqCst);
        let _ = admin.emit("config", json!({ "supportedFeatures": features }));
        let Some(server) = self.server() else { return };
        if self.mode == Mode::Development {
            let namespaces = server.inner.all_namespaces();
            let sockets = namespaces.flat_map(|namespace| Broadcast::new(namespace).sockets());
            let all: Vec<_> = sockets
                .take(MAX_SOCKETS)
                .map(|socket| describe::socket(&socket, &self.clients))
                .collect();
            let _ = admin.emit("all_sockets", [all]);
        }
        let sockets: Vec<_> = server.sockets_by_namespace().collect();
        let _ = admin.emit("server_stats", self.identity.stats(&server, Vec::new(), &sockets));
        if !self.gathering.swap(true, Ordering::SeqCst) {
            tokio::spawn(self.clone().gather(Sample::of(&server)));
        }
    }

    /// An admin has left.
    pub(super) fn leave(&self) {
        self.admins.fetch_sub(1, Ordering::SeqCst);
    }

    /// Tells all admins the statistics, as long as there are some.
    async fn gather(self: Arc<Self>, mut before: Sample) {
        let mut events = Vec::new();
        for second in 1.. {
            sleep(SECOND).await;
            let Some(server) = self.server() else { return };
            if !self.goes_on() {
                return;
            }
            let sample = Sample::of(&server);
            sample.since(&before, SystemTime::now(), &mut events);
            before = sample;
            if second % STATS == 0 {
                let sockets: Vec<_> = server.sockets_by_namespace().collect();
                let stats = self.identity.stats(&server, std::mem::take(&mut events), &sockets);
                self.tell("server_stats", stats);
            }
        }
    }

    /// Whether there are admins to gather the statistics for; if not, the next one to come sees to it.
    fn goes_on(&self) -> bool {
        if self.admins.load(Ordering::SeqCst) > 0 {
            return true;
        }
        self.gathering.store(false, Ordering::SeqCst);
        // One who came before that left it to us.
        self.admins.load(Ordering::SeqCst) > 0 && !self.gathering.swap(true, Ordering::SeqCst)
    }

    fn tell(&self, event: &str, data: impl Serialize) {
        if let Some(admins) = self.server().and_then(|server| server.of(&self.path)) {
            let _ = admins.emit(event, data);
        }
    }

    fn event(&self, told: &str, socket: &Socket, name: &str, args: &str, attachments: &[Bytes]) {
        let Some(admins) = self.server().and_then(|server| server.of(&self.path)) else { return };
        // An admin that cannot follow misses some, instead of being disconnected. What all would miss is not
        // even read: a broadcast comes by here once for each who gets it.
        if admins.others().is_none() && !admins.sockets().iter().any(Socket::is_writable) {
            return;
        }
        let Ok(Args(mut args)) = decode_args::<Args>(args, attachments) else { return };
        args.insert(0, Value::from(name));
        let event = (socket.namespace(), socket.id(), args, now());
        let _ = admins.volatile().emit(told, event);
    }
}

impl Observer for Watch {
    fn begin(&self, server: &Server) {
        let _ = self.server.set(Arc::downgrade(&server.inner));
    }

    fn is_watching(&self) -> bool {
        self.mode == Mode::Development && self.admins.load(Ordering::Relaxed) > 0
    }

    fn connected(&self, socket: &Socket) {
        self.tell("socket_connected", (describe::socket(socket, &self.clients), now()));
    }

    fn disconnected(&self, socket: &Socket, reason: &str) {
        self.tell("socket_disconnected", (socket.namespace(), socket.id(), reason, now()));
    }

    fn upgraded(&self, socket: &Socket) {
        let transport = socket.transport().as_str();
        let update =
            json!({ "id": socket.id(), "nsp": socket.namespace(), "transport": transport });
        self.tell("socket_updated", update);
    }

    fn data_set(&self, socket: &Socket) {
        let data = describe::data(socket);
        let update = json!({ "id": socket.id(), "nsp": socket.namespace(), "data": data });
        self.tell("socket_updated", update);
    }

    fn joined(&self, socket: &Socket, room: &str) {
        self.tell("room_joined", (socket.namespace(), room, socket.id(), now()));
    }

    fn left(&self, socket: &Socket, room: &str) {
        self.tell("room_left", (socket.namespace(), room, socket.id(), now()));
    }

    fn received(&self, socket: &Socket, name: &str, args: &str, attachments: &[Bytes]) {
        if socket.namespace() != &*self.path {
            self.event("event_received", socket, name, args, attachments);
        }
    }

    fn sent(&self, socket: &Socket, packet: &Packet) {
        if socket.namespace() == &*self.path {
            return;
        }
        let message = packet.text().get(1..).and_then(|text| std::str::from_utf8(text).ok());
        let limits = socketio::Limits { max_attachments: u32::MAX, ..socketio::Limits::default() };
        let Some(Ok(decoded)) = message.map(|message| socketio::decode(message, &limits)) else {
            return;
        };
        if matches!(decoded.kind, Kind::Event | Kind::BinaryEvent)
            && let Body::Event { name: Some(name), args, .. } = decoded.body
        {
            self.event("event_sent", socket, &name, args, packet.attachments());
        }
    }
}

/// As `JSON.stringify` writes a `Date`.
fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}
