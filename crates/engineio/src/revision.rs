//! The revisions of the protocol.

use core::fmt;

/// A revision of Engine.IO, the value of `EIO` in a request's query.
///
/// What carries over from one to the other is the packet: a type character and its data. The two differ
/// in who pings (the client in 3, the server in 4), in how packets stand in a
/// [payload](crate::payload), and in binary messages, which in 3 have a type as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Revision {
    /// Revision 3, of the JavaScript clients 1.x and 2.x.
    V3,
    /// Revision 4, of the JavaScript clients from 3.0 on.
    V4,
}

impl Revision {
    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}
