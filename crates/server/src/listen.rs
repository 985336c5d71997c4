//! Listening in the style of the JavaScript API: one socket's own handlers, listeners and middleware, and what
//! goes out to it.

use std::sync::Arc;

use sockeye_handler::{Erased, ErasedGuard, Event, Guard, Handler, HandlerId, Own, Topic};
use sockeye_hub::Packet;
use sockeye_socketio::{Body, Limits, decode};

use crate::local::Local;
use crate::socket::Socket;

/// At the end of the list, and for every event.
const LAST: (bool, bool) = (false, false);
const ONCE: (bool, bool) = (true, false);
const FIRST: (bool, bool) = (false, true);

impl Socket {
    /// Adds a handler for this socket alone. It runs behind those of the
    /// [namespace](crate::Namespace::on) and is dropped when the socket disconnects.
    ///
    /// Prefer the namespace's: they cost a socket nothing.
    pub fn on<M: 'static>(&self, event: &str, handler: impl Handler<Self, M>) -> HandlerId {
        self.listen(Topic::Event(event.into()), Erased::new(handler), LAST)
    }

    /// Like [`on`](Self::on), for the next event of this name only.
    pub fn once<M: 'static>(&self, event: &str, handler: impl Handler<Self, M>) -> HandlerId {
        self.listen(Topic::Event(event.into()), Erased::new(handler), ONCE)
    }

    /// Takes a handler, listener or middleware of this socket's own off again. `false` if it is gone.
    #[doc(alias = "offAny")]
    #[doc(alias = "removeListener")]
    pub fn off(&self, handler: HandlerId) -> bool {
        self.own_if_used().is_some_and(|own| own.remove(handler))
    }

    /// Takes all of this socket's own handlers of an event off, and says how many there were.
    #[doc(alias = "removeAllListeners")]
    pub fn off_event(&self, event: &str) -> usize {
        self.own_if_used().map_or(0, |own| own.remove_all(&Topic::Event(event.into())))
    }

    /// Adds a listener to all events from this client. It is told first, before middleware and handlers, and
    /// what it returns answers nothing. [`EventName`](crate::EventName) has the event's name.
    #[doc(alias = "onAny")]
    pub fn on_any<M: 'static>(&self, listener: impl Handler<Self, M>) -> HandlerId {
        self.listen(Topic::Any, Erased::new(listener), LAST)
    }

    /// Like [`on_any`](Self::on_any), before the listeners that are there.
    #[doc(alias = "prependAny")]
    pub fn prepend_any<M: 'static>(&self, listener: impl Handler<Self, M>) -> HandlerId {
        self.listen(Topic::Any, Erased::new(listener), FIRST)
    }

    /// Takes all listeners to all events off, and says how many there were.
    #[doc(alias = "offAny")]
    pub fn off_any(&self) -> usize {
        self.own_if_used().map_or(0, |own| own.remove_all(&Topic::Any))
    }

    /// How many listen to all events of this socket alone.
    #[doc(alias = "listenersAny")]
    pub fn any_listeners(&self) -> usize {
        self.own_if_used().map_or(0, |own| own.count(&Topic::Any))
    }

    /// Adds a listener to all events that are queued for this client, emitted to it alone or to many; acks
    /// are none. It takes the extractors of an [event handler](crate::Namespace::on), and runs when the
    /// event was queued, in the task that emits. It must not itself emit to this socket without end.
    #[doc(alias = "onAnyOutgoing")]
    pub fn on_any_outgoing<M: 'static>(&self, listener: impl Handler<Self, M>) -> HandlerId {
        let id = self.listen(Topic::Outgoing, Erased::new(listener), LAST);
        self.hear();
        id
    }

    /// Like [`on_any_outgoing`](Self::on_any_outgoing), before the listeners that are there.
    #[doc(alias = "prependAnyOutgoing")]
    pub fn prepend_any_outgoing<M: 'static>(&self, listener: impl Handler<Self, M>) -> HandlerId {
        let id = self.listen(Topic::Outgoing, Erased::new(listener), FIRST);
        self.hear();
        id
    }

    /// Takes all listeners to outgoing events off, and says how many there were.
    #[doc(alias = "offAnyOutgoing")]
    pub fn off_any_outgoing(&self) -> usize {
        self.own_if_used().map_or(0, |own| own.remove_all(&Topic::Outgoing))
    }

    /// Adds a middleware for this socket's events: it decides whether an event reaches its handlers. See
    /// [`Namespace::packet_middleware`](crate::Namespace::packet_middleware), which is asked first.
    #[doc(alias = "use")]
    pub fn packet_middleware<M: 'static>(&self, middleware: impl Guard<Self, M>) -> HandlerId {
        let alive = || self.disconnect_reason().is_none();
        self.local().own_or_new().guard(ErasedGuard::new(middleware), alive)
    }

    fn own_if_used(&self) -> Option<&Own<Self>> {
        self.local_if_used().and_then(Local::own)
    }

    fn listen(&self, topic: Topic, handler: Erased<Self>, how: (bool, bool)) -> HandlerId {
        self.local().own_or_new().add(topic, handler, how, || self.disconnect_reason().is_none())
    }

    /// Tells whoever listens of an event that was queued for the client.
    pub(crate) fn heard(&self, packet: &Arc<Packet>) {
        let limits = Limits {
            max_attachments: u32::MAX,
            max_namespace_bytes: usize::MAX,
            ..self.inner.namespace.config().socketio
        };
        // Engine.IO's type stands before.
        let text = packet.text().get(1..).and_then(|text| std::str::from_utf8(text).ok());
        let Some(Ok(decoded)) = text.map(|text| decode(text, &limits)) else { return };
        let Body::Event { name: Some(name), args } = decoded.body else { return };
        let mut event = Event::new(&name, args, packet.attachments());
        sockeye_handler::run(self, &mut event, &self.inner.namespace.outgoing);
        for listener in self.own_if_used().map(Own::outgoing).into_iter().flatten() {
            sockeye_handler::run_one(self, &mut event, &listener);
        }
    }
}
