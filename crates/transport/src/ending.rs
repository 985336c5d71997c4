//! How a session ends: for whoever looks after it a reason in Node's words, for its client a status.
//!
//! Node's server closes its websockets without a status code, and its polls with a bare close packet. Official
//! clients take no notice of what is said beyond that, but show it in the details of their `transport close`;
//! Sockeye's own have a field for it. Nothing of it comes from a peer.

use std::fmt;

use sockeye_engineio::CloseReason;
use sockeye_websocket::{self as websocket, CloseCode};

use crate::fault::Fault;

/// An end of a session. They are all known beforehand, so that who ends one hands on no more than a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    reason: CloseReason,
    /// What the close frame says.
    code: Option<CloseCode>,
    /// Empty: there is nothing to say.
    words: &'static str,
}

impl Ending {
    /// The client does not take what it is sent, or more was sent to it than may wait.
    pub const TOO_SLOW: &'static Self =
        &Self::told(CloseReason::TransportError, CloseCode::POLICY, "too slow a consumer");

    /// An end of which the client is told no more than that it is one: as in Node.
    pub const fn untold(reason: CloseReason) -> Self {
        Self { reason, code: None, words: "" }
    }

    /// An end with the code (RFC 6455 §7.4) of the close frame, and with words for it and the close packet, of at
    /// most 123 bytes.
    pub const fn told(reason: CloseReason, code: CloseCode, words: &'static str) -> Self {
        assert!(words.len() <= 123, "a close frame has no more room");
        Self { reason, code: Some(code), words }
    }

    /// What is told of an end for which there is nothing but the reason.
    pub const fn of(reason: CloseReason) -> &'static Self {
        const fn told(reason: CloseReason, code: CloseCode) -> Ending {
            Ending::told(reason, code, reason.as_str())
        }
        match reason {
            CloseReason::TransportClose => const { &Self::untold(CloseReason::TransportClose) },
            CloseReason::TransportError => {
                const { &told(CloseReason::TransportError, CloseCode::PROTOCOL) }
            }
            CloseReason::PingTimeout => {
                const { &told(CloseReason::PingTimeout, CloseCode::GOING_AWAY) }
            }
            CloseReason::ParseError => {
                const { &told(CloseReason::ParseError, CloseCode::PROTOCOL) }
            }
            // The application's own wish: it can tell its client why, if it wants to.
            CloseReason::ForcedClose => const { &Self::untold(CloseReason::ForcedClose) },
            CloseReason::ServerShuttingDown => {
                const { &told(CloseReason::ServerShuttingDown, CloseCode::GOING_AWAY) }
            }
        }
    }

    /// What is told to a client whose request ends its session.
    pub(crate) const fn fault(fault: Fault) -> &'static Self {
        static FAULTS: [Ending; Fault::ALL.len()] = {
            let mut endings = [Ending::untold(CloseReason::TransportError); Fault::ALL.len()];
            let mut number = 0;
            while number < endings.len() {
                let words = Fault::ALL[number].as_str();
                endings[number] =
                    Ending::told(CloseReason::TransportError, CloseCode::PROTOCOL, words);
                number += 1;
            }
            endings
        };
        &FAULTS[fault.index()]
    }

    /// What is known of a client that broke the WebSocket protocol, or sent more than it may. The close frame has
    /// said so already.
    pub(crate) const fn broken(error: &websocket::Error) -> &'static Self {
        const fn known(words: &'static str) -> Ending {
            Ending { reason: CloseReason::TransportError, code: None, words }
        }
        match error {
            websocket::Error::PeerMisbehaved(_) => const { &known("websocket protocol error") },
            websocket::Error::LimitExceeded(websocket::Limit::Fragments { .. }) => {
                const { &known("too many fragments") }
            }
            websocket::Error::LimitExceeded(_) => const { &known("message too large") },
        }
    }

    /// The reason, in Node's words.
    pub const fn reason(&self) -> CloseReason {
        self.reason
    }

    /// What the client is told: the code where it has a websocket, and the words in any case.
    pub const fn status(&self) -> Option<(CloseCode, &'static str)> {
        match self.code {
            Some(code) => Some((code, self.words)),
            None => None,
        }
    }

    /// What there is to say beside the reason.
    pub fn details(&self) -> Option<&'static str> {
        (!self.words.is_empty() && self.words != self.reason.as_str()).then_some(self.words)
    }

    /// The words, or nothing.
    pub(crate) const fn words(&self) -> &'static str {
        self.words
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason.as_str())?;
        match self.details() {
            Some(words) => write!(f, " ({words})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_and_each_fault_has_its_own() {
        for reason in CloseReason::ALL {
            assert_eq!(Ending::of(reason).reason(), reason);
        }
        for fault in Fault::ALL {
            assert_eq!(Ending::fault(fault).words(), fault.as_str());
        }
    }

    #[test]
    fn what_is_told_is_said_only_once() {
        assert_eq!(Ending::of(CloseReason::PingTimeout).to_string(), "ping timeout");
        assert_eq!(Ending::of(CloseReason::ForcedClose).to_string(), "forced close");
        assert_eq!(Ending::TOO_SLOW.to_string(), "transport error (too slow a consumer)");
        let broken = Ending::broken(&websocket::Limit::Fragments { limit: 1 }.into());
        assert_eq!(broken.to_string(), "transport error (too many fragments)");
        assert_eq!(broken.status(), None);
    }
}
