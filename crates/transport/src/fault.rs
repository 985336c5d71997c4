//! What requests in the name of a session can do wrong, for whoever counts it.

use std::fmt;

/// Why a request of an open session was not served. All but the first three end the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A POST with more bytes than a payload may have: status 413.
    PostTooLarge,
    /// A method that is neither GET nor POST: status 500, as in Node.
    UnknownMethod,
    /// A websocket did not become the session's transport: it said something else, or nothing, in
    /// time.
    UpgradeFailed,
    /// A GET while another one waited, or had not been sent all of its answer.
    PollOverlap,
    /// A GET whose client went away before its answer, or within it.
    PollAborted,
    /// A POST while another one was on its way.
    PostOverlap,
    /// A POST whose client went away before its end.
    PostAborted,
    /// A POST that took too long: status 408.
    PostTooSlow,
    /// A POST with the binary payload of revision 3: status 400.
    BinaryPost,
}

impl Fault {
    /// Every fault, in the order of their [numbers](Self::index).
    pub const ALL: [Self; 9] = [
        Self::PostTooLarge,
        Self::UnknownMethod,
        Self::UpgradeFailed,
        Self::PollOverlap,
        Self::PollAborted,
        Self::PostOverlap,
        Self::PostAborted,
        Self::PostTooSlow,
        Self::BinaryPost,
    ];

    /// Its place in [`Fault::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// A name for logs and metrics, in Node's words where it has some.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PostTooLarge => "payload too large",
            Self::UnknownMethod => "unknown method",
            Self::UpgradeFailed => "upgrade failed",
            Self::PollOverlap => "overlap from client",
            Self::PollAborted => "poll connection closed prematurely",
            Self::PostOverlap => "data request overlap from client",
            Self::PostAborted => "data request connection closed prematurely",
            Self::PostTooSlow => "data request timeout",
            Self::BinaryPost => "invalid content",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_number() {
        for (number, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault.index(), number, "{fault}");
        }
    }
}
