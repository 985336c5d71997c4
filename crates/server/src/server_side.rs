//! Events from server to server, within a cluster.

use std::any::TypeId;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sockeye_handler::{
    Dispatch, Event, Failure, FromEvent, Handler, Own, Places, Rejection, Running,
};
use sockeye_hub::adapter::{Arguments, Gathered, Pending, Respond};
use sockeye_socketio::{ArgsError, Body, decode, decode_args, encode};

use crate::cluster::{REQUEST_TIMEOUT, gathered};
use crate::emit::EmitError;
use crate::extract::{EventName, State};
use crate::namespace::{self, Namespace};
use crate::operators::Broadcast;
use crate::publish::arguments_in;

/// What an event from another server belongs to: this server's namespace.
///
/// Handlers of [`on_server_side`](Namespace::on_server_side) take it in place of a
/// [`Socket`](crate::Socket).
#[derive(Clone)]
pub struct ServerSide {
    inner: Arc<Inner>,
}

struct Inner {
    namespace: Arc<namespace::Inner>,
    places: Places,
    respond: Mutex<Option<Respond>>,
}

impl ServerSide {
    /// The path of the namespace.
    pub fn namespace(&self) -> &str {
        &self.inner.namespace.path
    }

    /// All sockets of the namespace, those of other servers included: what `io` is to such a handler
    /// in Node. [`Broadcast::local`] leaves the other servers out.
    pub fn everyone(&self) -> Broadcast {
        Broadcast::new(self.inner.namespace.clone())
    }
}

impl Namespace {
    /// Handles the events named `event` that [other servers](Broadcast::server_side_emit) of the
    /// cluster send. What the handler returns is this server's answer, if one is wanted.
    ///
    /// Handlers take [`ServerSide`], [`Data`](crate::Data), [`State`], [`EventName`] and
    /// `Ack<ServerSide>`.
    ///
    /// ```
    /// use sockeye_server::{Data, Namespace, ServerSide};
    ///
    /// let chat = Namespace::new("/").on_server_side("reload", |Data(part): Data<String>| async move {
    ///     format!("reloaded {part}")
    /// });
    /// ```
    #[doc(alias = "serverSideEmit")]
    pub fn on_server_side<M: 'static>(
        mut self,
        event: &str,
        handler: impl Handler<ServerSide, M>,
    ) -> Self {
        self.handlers.server_side.on(event, handler);
        self
    }
}

impl Broadcast {
    /// Sends an event to the other servers of the cluster, whose namespaces have
    /// [handlers](Namespace::on_server_side) for it; not to this one, and to no socket, so that rooms
    /// mean nothing here. Without an [adapter](crate::ServerBuilder::adapter) there are no others.
    ///
    /// # Errors
    ///
    /// [`EmitError::Encode`].
    #[doc(alias = "serverSideEmit")]
    pub fn server_side_emit(&self, event: &str, data: impl Serialize) -> Result<(), EmitError> {
        let event = arguments(event, &data)?;
        if let Some(others) = self.others() {
            others.server_side_emit(event);
        }
        Ok(())
    }

    /// As [`server_side_emit`](Self::server_side_emit), and a future of the other servers' answers, each
    /// decoded as [`Data`](crate::Data) is, and of the servers that were
    /// [silent](Gathered::silent) for 5 s or the [`timeout`](Self::timeout).
    ///
    /// The event is sent by this call. With no other servers the future is ready at once, with no
    /// answers. Dropping it forgets about the answers.
    ///
    /// # Errors
    ///
    /// [`EmitError::Encode`].
    #[doc(alias = "serverSideEmitWithAck")]
    pub fn server_side_emit_with_acks<T: DeserializeOwned + 'static>(
        &self,
        event: &str,
        data: impl Serialize,
    ) -> Result<Pending<Gathered<Result<T, ArgsError>>>, EmitError> {
        let event = arguments(event, &data)?;
        let timeout = self.own_timeout().unwrap_or(REQUEST_TIMEOUT);
        let answers = self.others().map(|others| others.server_side_emit_with_acks(event, timeout));
        Ok(Box::pin(async move {
            let Some(answers) = answers else { return Gathered::default() };
            let Gathered { found, silent } = gathered(answers, timeout).await;
            let decode = |answer: Arguments| decode_args(&answer.json, &answer.attachments);
            Gathered { found: found.into_iter().map(decode).collect(), silent }
        }))
    }
}

fn arguments<T: Serialize>(event: &str, data: &T) -> Result<Arguments, EmitError> {
    let mut text = Vec::new();
    let attachments = encode::event(&mut text, "/", None, event, data)?;
    Ok(arguments_in(&text, "/", attachments))
}

impl namespace::Inner {
    /// Starts the handlers of another server's event.
    pub(crate) fn hear(self: Arc<Self>, event: &Arguments, respond: Option<Respond>) {
        let text = format!("2[{}]", event.json);
        let packet = decode(&text, &self.config().socketio);
        let Ok(Body::Event { name: Some(name), args }) = packet.map(|packet| packet.body) else {
            tracing::warn!(target: "socket.io-adapter", "another server's event is malformed");
            return;
        };
        let ack = respond.is_some().then_some(0);
        let (namespace, respond) = (self.clone(), Mutex::new(respond));
        let context =
            ServerSide { inner: Arc::new(Inner { namespace, places: Places::default(), respond }) };
        let event = Event::new(&name, args, &event.attachments);
        let limits = &self.config().handlers;
        // Its places are its own, so it never queues.
        Dispatch::default().event(limits, &context, event, ack, true, &self.server_side);
    }
}

impl sockeye_handler::Context for ServerSide {
    fn acknowledge<T: Serialize + ?Sized>(&self, ack: u64, reply: &T) {
        let respond = self.inner.respond.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(respond) = respond else { return };
        let mut text = Vec::new();
        match encode::ack(&mut text, "/", ack, reply) {
            Ok(attachments) => respond(arguments_in(&text, "/", attachments)),
            Err(error) => {
                tracing::error!(
                    target: "socket.io-adapter", %error, "the answer to a server cannot be encoded"
                );
            }
        }
    }

    fn is_connected(&self) -> bool {
        true
    }

    fn spawn(&self, running: Running) {
        self.inner.namespace.server.spawn(running);
    }

    fn places(&self) -> &Places {
        &self.inner.places
    }

    fn own(&self) -> Option<&Own<Self>> {
        None
    }

    fn failed(&self, event: &str, failure: Failure) {
        let namespace = &*self.inner.namespace.path;
        tracing::warn!(target: "socket.io-adapter", event, namespace, "another server's: {failure}");
    }

    fn wake(&self) {}
}

impl FromEvent<Self> for ServerSide {
    fn from_event(context: &Self, _: &mut Event<'_>) -> Result<Self, Rejection> {
        Ok(context.clone())
    }
}

impl FromEvent<ServerSide> for EventName {
    fn from_event(_: &ServerSide, event: &mut Event<'_>) -> Result<Self, Rejection> {
        Ok(Self(event.name.into()))
    }
}

impl<T: Clone + 'static> FromEvent<ServerSide> for State<T> {
    fn from_event(context: &ServerSide, _: &mut Event<'_>) -> Result<Self, Rejection> {
        let value = context.inner.namespace.state.get(&TypeId::of::<T>());
        let value = value.and_then(|value| value.downcast_ref::<T>()).cloned();
        value.map(Self).ok_or_else(|| Rejection::new("internal error"))
    }
}

impl fmt::Debug for ServerSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSide").field("namespace", &self.namespace()).finish()
    }
}
