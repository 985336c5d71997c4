//! What a socket has only if somebody uses it: data, extensions, handlers of its own, acks that it
//! awaits.

use std::any::{Any, TypeId};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use hashbrown::HashMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sockeye_handler::Own;
use tokio::sync::{Notify, oneshot};

use crate::emit::EmitError;
use crate::journal::Membership;
use crate::socket::Socket;

/// The client's answer to an event.
pub(crate) struct Answer {
    pub(crate) args: Box<str>,
    pub(crate) attachments: Vec<Bytes>,
}

#[derive(Default)]
pub(crate) struct Local {
    /// JSON.
    data: Mutex<Option<Box<str>>>,
    extensions: Mutex<HashMap<TypeId, Extension>>,
    /// Handlers, listeners and middleware.
    own: OnceLock<Box<Own<Socket>>>,
    acks: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    pub(crate) closed: Notify,
    /// Set once, if clients can be recovered.
    pub(crate) membership: OnceLock<Box<Membership>>,
}

type Extension = Arc<dyn Any + Send + Sync>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The value itself. (If somebody is cloning it at this moment, it is theirs.)
fn unwrap<T: Send + Sync + 'static>(extension: Extension) -> Option<T> {
    extension.downcast().ok().and_then(Arc::into_inner)
}

impl Local {
    pub(crate) fn own(&self) -> Option<&Own<Socket>> {
        self.own.get().map(|own| &**own)
    }

    pub(crate) fn own_or_new(&self) -> &Own<Socket> {
        self.own.get_or_init(Box::default)
    }

    /// The answer with this id will go to `answer`.
    pub(crate) fn await_ack(
        &self,
        socket: &Socket,
        id: u64,
        answer: oneshot::Sender<Answer>,
    ) -> Result<(), EmitError> {
        // Under the lock, so that `disconnected`, which comes after the change of state, sees it.
        let mut acks = lock(&self.acks);
        if socket.disconnect_reason().is_some() {
            return Err(EmitError::Disconnected);
        }
        if acks.len() >= socket.inner.namespace.config().max_pending_acks {
            return Err(EmitError::TooManyAcks);
        }
        acks.insert(id, answer);
        socket.inner.namespace.counters().acks.asked.count();
        Ok(())
    }

    pub(crate) fn put_data(&self, json: Box<str>) {
        *lock(&self.data) = Some(json);
    }

    pub(crate) fn take_ack(&self, id: u64) -> Option<oneshot::Sender<Answer>> {
        lock(&self.acks).remove(&id)
    }

    /// Drops what must not outlive the connection: a handler that holds its own socket would keep
    /// both alive for ever, and who awaits an ack must learn that none will come. How many acks that are.
    pub(crate) fn disconnected(&self) -> usize {
        if let Some(own) = self.own() {
            own.clear();
        }
        let acks = std::mem::take(&mut *lock(&self.acks));
        let unanswered = acks.len();
        drop(acks);
        self.closed.notify_waiters();
        unanswered
    }
}

impl Socket {
    /// Keeps `data` with the socket: something that can be serialised, since it is what other
    /// servers of a cluster can see of the socket.
    ///
    /// # Errors
    ///
    /// What cannot be made JSON.
    pub fn set_data<T: Serialize + ?Sized>(&self, data: &T) -> Result<(), serde_json::Error> {
        let json = serde_json::to_string(data)?.into_boxed_str();
        let mut data = lock(&self.local().data);
        // Under the lock, so that of two calls the same one comes last in the log.
        if let Some((journal, membership)) = self.journal() {
            journal.log.set_data(membership.visit, &json);
        }
        *data = Some(json);
        drop(data);
        if let Some(observer) = self.inner.namespace.server.observer() {
            observer.data_set(self);
        }
        Ok(())
    }

    /// What was kept with [`set_data`](Self::set_data). `None` if nothing was, or something of
    /// another shape.
    pub fn data<T: DeserializeOwned>(&self) -> Option<T> {
        // Decoded outside the lock: it is a user's code.
        let data = lock(&self.local_if_used()?.data).clone();
        serde_json::from_str(data.as_deref()?).ok()
    }

    /// What is kept, as JSON.
    pub(crate) fn data_json(&self) -> Option<String> {
        lock(&self.local_if_used()?.data).as_deref().map(str::to_owned)
    }

    /// Keeps a value of any type with the socket, in this process only; returns the former one of
    /// that type. It is kept as long as somebody holds the socket: a value must not hold it.
    pub fn insert_extension<T: Send + Sync + 'static>(&self, value: T) -> Option<T> {
        let former = lock(&self.local().extensions).insert(TypeId::of::<T>(), Arc::new(value));
        former.and_then(unwrap)
    }

    /// The value of that type that is kept with the socket. Keep an `Arc` where cloning is dear.
    pub fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        // Cloned outside the lock: it is a user's code.
        let found = lock(&self.local_if_used()?.extensions).get(&TypeId::of::<T>()).cloned();
        found?.downcast_ref().cloned()
    }

    /// Takes the value of that type away.
    pub fn remove_extension<T: Send + Sync + 'static>(&self) -> Option<T> {
        let removed = lock(&self.local_if_used()?.extensions).remove(&TypeId::of::<T>());
        removed.and_then(unwrap)
    }
}
