//! Sockets wherever in the cluster they are.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sockeye_hub::adapter::{Arguments, Gathered, SocketRecord};
use sockeye_socketio::{ArgsError, decode_args};

use crate::cluster::{REQUEST_TIMEOUT, gathered};
use crate::emit::EmitError;
use crate::gather::Responses;
use crate::namespace;
use crate::operators::{Broadcast, Rooms};
use crate::socket::Socket;

/// The most sockets that are described before others may have the thread: some milliseconds' work.
const DESCRIBED_AT_ONCE: usize = 256;

/// A socket of this or another server, as it was when it was
/// [fetched](Broadcast::fetch_sockets), and what can be done to it from here.
///
/// It is a description, not a handle: it tells nothing of what happens later, and what is sent to a
/// socket that has gone reaches nobody.
#[derive(Clone, Debug)]
pub struct RemoteSocket {
    namespace: Arc<namespace::Inner>,
    record: SocketRecord,
}

impl RemoteSocket {
    /// The public id.
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// The rooms it was in, that of its id included.
    pub fn rooms(&self) -> &[Box<str>] {
        &self.record.rooms
    }

    /// The request that opened its session, in Node's shape: `headers`, `time`, `address`, `xdomain`,
    /// `secure`, `issued` (milliseconds since 1970), `url`, `query`, `auth`. Take what you need as
    /// fields of a type, or all of it as a [`Value`](crate::Value).
    ///
    /// # Errors
    ///
    /// It does not fit the type.
    pub fn handshake<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        decode(&self.record.handshake)
    }

    /// What its program keeps with it, by [`Socket::set_data`] or Node's `socket.data`. `None` if that
    /// is of another shape.
    pub fn data<T: DeserializeOwned>(&self) -> Option<T> {
        decode(&self.record.data).ok()
    }

    /// Sends it an event, as [`Broadcast::emit`] does.
    ///
    /// # Errors
    ///
    /// As [`Broadcast::emit`].
    pub fn emit(&self, event: &str, data: impl Serialize) -> Result<(), EmitError> {
        self.selected().emit(event, data)
    }

    /// Sends it an event and awaits its answer, of which there is at most one.
    ///
    /// # Errors
    ///
    /// As [`Broadcast::emit_with_acks`].
    #[doc(alias = "emitWithAck")]
    pub async fn emit_with_ack<T: DeserializeOwned>(
        &self,
        event: &str,
        data: impl Serialize,
    ) -> Result<Responses<T>, EmitError> {
        let acks = self.selected().emit_with_acks(event, data)?;
        Ok(acks.all().await)
    }

    /// Adds it to the rooms.
    pub fn join(&self, rooms: impl Rooms) {
        self.selected().join(rooms);
    }

    /// Takes it out of the rooms.
    pub fn leave(&self, rooms: impl Rooms) {
        self.selected().leave(rooms);
    }

    /// Takes it out of the namespace; see [`Socket::disconnect`].
    pub fn disconnect(&self) {
        self.selected().disconnect();
    }

    /// Closes its client's connection; see [`Socket::disconnect_client`].
    pub fn disconnect_client(&self) {
        self.selected().disconnect_clients();
    }

    /// The selection that has only this socket, for modifiers such as [`timeout`](Broadcast::timeout).
    pub fn selected(&self) -> Broadcast {
        Broadcast::new(self.namespace.clone()).to(self.id())
    }
}

fn decode<T: DeserializeOwned>(arguments: &Arguments) -> Result<T, ArgsError> {
    decode_args(&arguments.json, &arguments.attachments)
}

impl Broadcast {
    /// Descriptions of the selected sockets of all servers, those of this one included; with
    /// [`local`](Self::local) only those.
    ///
    /// Other servers have 5 s, or the [`timeout`](Self::timeout), to answer. One that does not is no
    /// error: it is named among the [silent](Gathered::silent), and the others' sockets are there.
    ///
    /// For handles of this server's own sockets there is [`sockets`](Self::sockets), which waits for
    /// nobody.
    ///
    /// ```
    /// # async fn example(io: sockeye_server::Server) {
    /// for socket in io.to("lobby").fetch_sockets().await.found {
    ///     println!("{} is in {:?}", socket.id(), socket.rooms());
    ///     socket.join("hall");
    /// }
    /// # }
    /// ```
    #[doc(alias = "fetchSockets")]
    #[doc(alias = "allSockets")]
    pub async fn fetch_sockets(&self) -> Gathered<RemoteSocket> {
        let timeout = self.own_timeout().unwrap_or(REQUEST_TIMEOUT);
        let others = self.others().map(|others| others.fetch_sockets(&self.by_name(), timeout));
        let mut records = Vec::new();
        for (count, socket) in self.sockets().into_iter().enumerate() {
            if count % DESCRIBED_AT_ONCE == DESCRIBED_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            if socket.is_connected() {
                records.push(socket.record());
            }
        }
        let mut silent = Vec::new();
        if let Some(others) = others {
            let others = gathered(others, timeout).await;
            records.extend(others.found);
            silent = others.silent;
        }
        let namespace = self.namespace();
        let described = |record| RemoteSocket { namespace: namespace.clone(), record };
        Gathered { found: records.into_iter().map(described).collect(), silent }
    }
}

impl Socket {
    /// The socket, as other servers see it.
    pub(crate) fn record(&self) -> SocketRecord {
        let json = |json: String| Arguments { json: json.into(), attachments: Vec::new() };
        let handshake = serde_json::to_string(&self.handshake_record()).unwrap_or_default();
        SocketRecord {
            id: self.id().into(),
            handshake: json(handshake),
            rooms: self.rooms(),
            data: json(self.data_json().unwrap_or_else(|| "{}".to_owned())),
        }
    }
}
