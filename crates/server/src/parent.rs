//! Everyone in all namespaces of one kind.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use sockeye_hub::adapter::Flags;

use crate::children::{Children, Parent};
use crate::emit::EmitError;
use crate::operators::{Broadcast, Rooms};

/// All dynamic namespaces that one [`Namespace`](crate::Namespace) describes, as far as they exist: what is
/// emitted goes to the sockets of each. Made by [`Server::parent`](crate::Server::parent).
///
/// It has no sockets of its own; [`each`](Self::each) has the namespaces that have.
#[derive(Clone)]
#[must_use = "nothing is sent before `emit`"]
pub struct ParentBroadcast {
    children: Arc<Children>,
    parent: Arc<Parent>,
    rooms: Vec<String>,
    except: Vec<String>,
    flags: Flags,
    local: bool,
}

impl ParentBroadcast {
    pub(crate) fn new(children: Arc<Children>, parent: Arc<Parent>) -> Self {
        let (rooms, except) = (Vec::new(), Vec::new());
        Self { children, parent, rooms, except, flags: Flags::default(), local: false }
    }

    /// Also the sockets in these rooms, of each namespace; without any room, it is everyone.
    #[doc(alias = "in")]
    pub fn to(mut self, rooms: impl Rooms) -> Self {
        rooms.each(|room| self.rooms.push(room.to_owned()));
        self
    }

    /// But not the sockets in these rooms.
    pub fn except(mut self, rooms: impl Rooms) -> Self {
        rooms.each(|room| self.except.push(room.to_owned()));
        self
    }

    /// Drops the event for sockets that cannot be written to right now, instead of queueing it.
    pub fn volatile(mut self) -> Self {
        self.flags.volatile = true;
        self
    }

    /// Whether the event may be compressed, where a socket's transport does that. Default: yes.
    pub fn compress(mut self, compress: bool) -> Self {
        self.flags.compress = compress;
        self
    }

    /// Only the sockets of this server, where there are [others](crate::ServerBuilder::adapter).
    pub fn local(mut self) -> Self {
        self.local = true;
        self
    }

    /// Sends an event to all of them, encoded once for each namespace. On other servers it reaches the
    /// namespaces that exist here, too, as in Node.
    ///
    /// # Errors
    ///
    /// As [`Broadcast::emit`].
    pub fn emit(&self, event: &str, data: impl Serialize) -> Result<(), EmitError> {
        for namespace in self.each() {
            namespace.emit(event, &data)?;
        }
        Ok(())
    }

    /// The same sockets, by namespace, in no order: for whatever else a [`Broadcast`] can do, such as
    /// [asking them](Broadcast::emit_with_acks).
    pub fn each(&self) -> Vec<Broadcast> {
        let children = self.children.list(Some(&self.parent)).into_iter();
        let broadcasts = children.map(|namespace| {
            let broadcast = Broadcast::new(namespace).to(&self.rooms[..]).except(&self.except[..]);
            let broadcast = broadcast.with(self.flags, None);
            if self.local { broadcast.local() } else { broadcast }
        });
        broadcasts.collect()
    }

    /// The names of the namespaces that exist, in no order.
    pub fn namespaces(&self) -> Vec<String> {
        let children = self.children.list(Some(&self.parent));
        children.iter().map(|namespace| namespace.path.to_string()).collect()
    }
}

impl fmt::Debug for ParentBroadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParentBroadcast")
            .field("parent", &self.parent.name)
            .field("rooms", &self.rooms)
            .field("except", &self.except)
            .finish()
    }
}
