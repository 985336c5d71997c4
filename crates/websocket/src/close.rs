//! Close codes and the payload of a close frame (RFC 6455 §5.5.1, §7.4).

use core::{fmt, num::NonZeroU16};

use crate::error::PeerMisbehaved;

/// The longest reason of a close frame in bytes: the payload of a control frame less the code.
pub const MAX_REASON: usize = crate::head::MAX_CONTROL_PAYLOAD - 2;

/// A status code that may stand in a close frame.
///
/// These are 1000–1003, 1007–1014 (RFC 6455 §7.4.1 and the IANA registry), 3000–3999 (registered by
/// libraries and frameworks) and 4000–4999 (private). Not among them are the codes that only local
/// APIs use: 1005 (no status received), 1006 (closed abnormally) and 1015 (TLS failed).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(NonZeroU16);

impl CloseCode {
    /// 1000: the purpose of the connection has been fulfilled.
    pub const NORMAL: Self = Self::registered(1000);
    /// 1001: the server goes down, or the browser leaves the page.
    pub const GOING_AWAY: Self = Self::registered(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL: Self = Self::registered(1002);
    /// 1003: a type of data that the receiver cannot accept, such as binary where only text is
    /// understood.
    pub const UNSUPPORTED: Self = Self::registered(1003);
    /// 1007: data that does not fit its type, such as a text message that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self::registered(1007);
    /// 1008: a policy was violated and no other code fits.
    pub const POLICY: Self = Self::registered(1008);
    /// 1009: the message is too big to be processed.
    pub const TOO_BIG: Self = Self::registered(1009);
    /// 1010: the server did not negotiate an extension that the client needs.
    pub const MANDATORY_EXTENSION: Self = Self::registered(1010);
    /// 1011: an unexpected condition kept the server from fulfilling the request.
    pub const INTERNAL_ERROR: Self = Self::registered(1011);
    /// 1012: the service restarts; the client may reconnect.
    pub const SERVICE_RESTART: Self = Self::registered(1012);
    /// 1013: the service is overloaded; the client should try again later.
    pub const TRY_AGAIN_LATER: Self = Self::registered(1013);
    /// 1014: a gateway got an invalid answer from the server behind it.
    pub const BAD_GATEWAY: Self = Self::registered(1014);

    /// The code with this number; `None` if a close frame must not carry it.
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        match (code, NonZeroU16::new(code)) {
            (1000..=1003 | 1007..=1014 | 3000..=4999, Some(code)) => Some(Self(code)),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    const fn registered(code: u16) -> Self {
        Self::new(code).expect("evaluated by the compiler, for the constants above only")
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.get()
    }
}

/// Reads the payload of a close frame: nothing, or a code and a reason.
pub(crate) fn parse(payload: &[u8]) -> Result<Option<(CloseCode, &str)>, PeerMisbehaved> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(PeerMisbehaved::CloseCodeCut) };
    };
    let code = u16::from_be_bytes(*code);
    let code = CloseCode::new(code).ok_or(PeerMisbehaved::CloseCodeNotAllowed(code))?;
    let reason = core::str::from_utf8(reason).map_err(|_| PeerMisbehaved::CloseReasonNotUtf8)?;
    Ok(Some((code, reason)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_codes_of_the_registry_are_allowed() {
        for code in 0..=u16::MAX {
            let allowed = (1000..=1014).contains(&code) && !(1004..=1006).contains(&code)
                || (3000..5000).contains(&code);
            assert_eq!(CloseCode::new(code).map(CloseCode::get), allowed.then_some(code));
        }
    }
}
