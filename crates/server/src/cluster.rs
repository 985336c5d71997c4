//! A namespace's part in a cluster: the way to other servers, and what they want of this one.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use sockeye_hub::adapter::{
    Adapter, Answers, Arguments, Flags, Gathered, Local, Pending, Respond, SocketRecord,
};
use sockeye_hub::{RoomEvent, Selection};
use sockeye_net::wheel::sleep;
use sockeye_socketio::encode;

use crate::namespace::{self, Namespace};
use crate::operators::Broadcast;

/// How long other servers' answers are awaited, unless told otherwise: as long as Node's adapters do.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How much longer an adapter may take that keeps the time itself: it may have begun a moment later.
pub(crate) const ADAPTER_GRACE: Duration = Duration::from_millis(500);

/// What stands for the servers of which an adapter did not even say that they are silent.
pub(crate) const UNKNOWN: &str = "unknown";

/// What an adapter has gathered, or that it did not end in time, as it should.
pub(crate) async fn gathered<T>(pending: Pending<Gathered<T>>, timeout: Duration) -> Gathered<T> {
    tokio::select! {
        biased;
        gathered = pending => gathered,
        () = sleep(timeout.saturating_add(ADAPTER_GRACE)) => {
            too_late();
            Gathered { found: Vec::new(), silent: vec![UNKNOWN.into()] }
        }
    }
}

/// An adapter has not kept its time.
pub(crate) fn too_late() {
    tracing::warn!(target: "socket.io-adapter", "the adapter has not answered in time");
}

/// Is told of rooms.
pub(crate) type RoomHandler = Box<dyn Fn(RoomEvent<'_>) + Send + Sync>;

impl Namespace {
    /// Calls `handler` when a room of this server comes to be or is gone, and when a socket joins or
    /// leaves one: the events `create-room`, `join-room`, `leave-room` and `delete-room` of Node's
    /// adapters.
    ///
    /// It is called after the fact, on the thread that made it happen, and must not block. What two
    /// threads do to one room at a time may be told in either order. A panic is logged. Without such a handler, and
    /// without an [adapter](crate::ServerBuilder::adapter), this costs nothing.
    #[doc(alias("create-room", "join-room", "leave-room", "delete-room"))]
    pub fn on_room(mut self, handler: impl Fn(RoomEvent<'_>) + Send + Sync + 'static) -> Self {
        self.handlers.rooms.push(Box::new(handler));
        self
    }
}

impl namespace::Inner {
    /// Takes the namespace into the cluster, if it is not there yet: whoever enters it waits for that.
    pub(crate) fn enroll(self: &Arc<Self>) {
        self.adapter.get_or_init(|| {
            let adapter = self.server.adapter.as_ref().map(|factory| {
                factory.0.adapter(&self.path, Arc::new(Inbound(Arc::downgrade(self))))
            });
            if adapter.is_some() || !self.rooms.is_empty() {
                let (adapter, handlers) = (adapter.clone(), self.handlers.clone());
                self.hub.observe(move |event| {
                    // A socket that ends must not stop half-way.
                    let told = catch_unwind(AssertUnwindSafe(|| {
                        if let Some(adapter) = &adapter {
                            adapter.room(event);
                        }
                        handlers.rooms.iter().for_each(|handler| handler(event));
                    }));
                    if told.is_err() {
                        tracing::error!(?event, "what hears of rooms panicked");
                    }
                });
            }
            adapter
        });
    }

    pub(crate) fn adapter(&self) -> Option<&Arc<dyn Adapter>> {
        self.adapter.get()?.as_ref()
    }
}

/// What other servers have of a namespace.
struct Inbound(Weak<namespace::Inner>);

impl Inbound {
    fn sockets(&self, sockets: &Selection) -> Option<Broadcast> {
        Some(Broadcast::inbound(self.0.upgrade()?, sockets))
    }
}

impl Local for Inbound {
    fn broadcast(&self, event: Arguments, to: &Selection, flags: Flags) {
        let Some(broadcast) = self.sockets(to) else { return };
        let broadcast = broadcast.with(flags, None);
        let Arguments { json, attachments } = event;
        let path = &broadcast.namespace().path;
        let sent = broadcast.publish(name(&json), |buffer| {
            Ok(encode::event_of_json(buffer, path, None, &json, attachments))
        });
        if let Err(error) = sent {
            tracing::error!(target: "socket.io-adapter", %error, "another server's event is lost");
        }
    }

    fn broadcast_with_acks(
        &self,
        event: Arguments,
        to: &Selection,
        flags: Flags,
        timeout: Duration,
        answers: Arc<dyn Answers>,
    ) -> Pending<()> {
        /// Forgets about the answers when it is dropped.
        struct Guard(Arc<namespace::Inner>, u64);

        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.gathers.end(self.1);
            }
        }

        let Some(broadcast) = self.sockets(to) else {
            answers.expect(0);
            return Box::pin(std::future::ready(()));
        };
        let broadcast = broadcast.with(flags, None);
        let namespace = broadcast.namespace().clone();
        let (id, gather) = namespace.gathers.begin(&namespace);
        let guard = Guard(namespace.clone(), id);
        let Arguments { json, attachments } = event;
        let asked = broadcast.ask(name(&json), id, &gather, |buffer| {
            Ok(encode::event_of_json(buffer, &namespace.path, Some(id), &json, attachments))
        });
        if let Err(error) = asked {
            tracing::error!(target: "socket.io-adapter", %error, "another server's event is lost");
            gather.asked();
        }
        answers.expect(gather.len());
        let mut time = sleep(timeout);
        Box::pin(async move {
            let _guard = guard;
            poll_fn(|cx| {
                if Pin::new(&mut time).poll(cx).is_ready() {
                    gather.give_up();
                }
                while let Poll::Ready(answer) = gather.poll(cx) {
                    let Some((id, answer)) = answer else { return Poll::Ready(()) };
                    let arguments =
                        Arguments { json: answer.args, attachments: answer.attachments };
                    answers.answer(id.as_deref(), arguments);
                }
                Poll::Pending
            })
            .await;
        })
    }

    fn join(&self, sockets: &Selection, rooms: &[Box<str>]) {
        if let Some(sockets) = self.sockets(sockets) {
            sockets.join(rooms);
        }
    }

    fn leave(&self, sockets: &Selection, rooms: &[Box<str>]) {
        if let Some(sockets) = self.sockets(sockets) {
            sockets.leave(rooms);
        }
    }

    fn disconnect(&self, sockets: &Selection, close: bool) {
        match self.sockets(sockets) {
            Some(sockets) if close => sockets.disconnect_clients(),
            Some(sockets) => sockets.disconnect(),
            None => {}
        }
    }

    fn fetch_sockets(&self, sockets: &Selection) -> Vec<SocketRecord> {
        let sockets = self.sockets(sockets).map(|sockets| sockets.sockets());
        let connected = sockets.into_iter().flatten().filter(|socket| socket.is_connected());
        connected.map(|socket| socket.record()).collect()
    }

    fn server_side_emit(&self, event: Arguments, respond: Option<Respond>) {
        if let Some(namespace) = self.0.upgrade() {
            namespace.hear(&event, respond);
        }
    }

    fn room_len(&self, room: &str) -> usize {
        self.0.upgrade().map_or(0, |namespace| namespace.hub.room_len(room))
    }

    fn rooms(&self) -> Vec<Box<str>> {
        self.0.upgrade().map(|namespace| namespace.hub.all_rooms()).unwrap_or_default()
    }
}

/// An event's name as it stands in its JSON: for the log alone.
fn name(json: &str) -> &str {
    let name = json.strip_prefix('"').and_then(|rest| rest.split_once('"'));
    name.map_or("", |(name, _)| name)
}
