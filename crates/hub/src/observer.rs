//! Who is told of rooms that come and go.

use std::fmt;
use std::sync::OnceLock;

use sockeye_engineio::Sid;

/// What has happened to a room.
///
/// The rooms that bear a member's id are among them, as in Node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomEvent<'a> {
    /// The room's first member joins. Node's `create-room`.
    Created {
        /// The room's name.
        room: &'a str,
    },
    /// A member has joined it. Node's `join-room`.
    Joined {
        /// The room's name.
        room: &'a str,
        /// The member's public id.
        id: Sid,
    },
    /// A member has left it, or the namespace. Node's `leave-room`.
    Left {
        /// The room's name.
        room: &'a str,
        /// The member's public id.
        id: Sid,
    },
    /// The room's last member has left it. Node's `delete-room`.
    Deleted {
        /// The room's name.
        room: &'a str,
    },
}

type Each = dyn Fn(RoomEvent<'_>) + Send + Sync;

/// At most one, for as long as the hub is there. `std`'s lock also under loom: no invariant of the
/// hub depends on when an observer is seen.
#[derive(Default)]
pub(crate) struct Observer(OnceLock<Box<Each>>);

impl Observer {
    pub(crate) fn set(&self, each: Box<Each>) -> bool {
        self.0.set(each).is_ok()
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.get().is_some()
    }

    pub(crate) fn tell(&self, events: impl FnOnce(&Each)) {
        if let Some(each) = self.0.get() {
            events(&**each);
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observer").field(&self.is_set()).finish()
    }
}
