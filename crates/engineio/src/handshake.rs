//! Which requests are let in, and the answers to those that are not.
//!
//! The order of the checks is observable, since the first that fails decides the answer; it is the
//! official server's. Two checks are the caller's own: its middlewares stand before [`verify`]
//! ([`Refusal::Middleware`]), and leave to open a session ([`Refusal::Forbidden`]) is asked between
//! [`verify`] and [`Query::check_revision`].

use core::fmt;

use crate::{Query, Revision, Transport};

/// What a request is, apart from its query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Whether its method is GET.
    pub get: bool,
    /// Whether it asks for the websocket protocol (`Upgrade: websocket`).
    pub upgrade: bool,
    /// The `Origin` header, if there is one.
    pub origin: Option<&'a [u8]>,
}

/// A session that is open, as far as it matters to a request that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownSession {
    /// The transport that the session uses now.
    pub transport: Transport,
    /// The revision that it was opened with.
    pub revision: Revision,
}

/// What an acceptable request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// A new session on this transport. Next: leave to open it, then [`Query::check_revision`].
    Open(Transport),
    /// The session that its `sid` names, with this transport.
    Join(Transport),
}

/// Checks a request in the official server's order: transport, origin, session, transport and
/// revision of the session; or, without a session, method and upgrade.
///
/// `enabled` are the transports that the server offers; `session` looks up a session by its id.
///
/// # Errors
///
/// The first [`Refusal`] that applies.
pub fn verify(
    query: &Query<'_>,
    request: &Request<'_>,
    enabled: &[Transport],
    session: impl FnOnce(&str) -> Option<KnownSession>,
) -> Result<Intent, Refusal> {
    let transport = query
        .transport
        .as_deref()
        .and_then(Transport::from_name)
        .filter(|transport| *transport != Transport::Webtransport && enabled.contains(transport))
        .ok_or(Refusal::UnknownTransport)?;
    // HTTP's field-content: a tab, or anything but control characters.
    let forbidden = |b: &u8| (*b < 0x20 && *b != b'\t') || *b == 0x7f;
    if request.origin.is_some_and(|origin| origin.iter().any(forbidden)) {
        return Err(Refusal::InvalidOrigin);
    }
    if let Some(sid) = query.sid.as_deref() {
        let known = session(sid).ok_or(Refusal::UnknownSession)?;
        if !request.upgrade && known.transport != transport {
            return Err(Refusal::TransportMismatch);
        }
        if known.revision != query.revision() {
            return Err(Refusal::RevisionMismatch);
        }
        return Ok(Intent::Join(transport));
    }
    if !request.get {
        return Err(Refusal::HandshakeMethod);
    }
    if transport == Transport::Websocket && !request.upgrade {
        return Err(Refusal::UpgradeMissing);
    }
    Ok(Intent::Open(transport))
}

/// Why a request is refused: the official server's codes, messages and contexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The transport is missing, unknown or not enabled. Code 0.
    UnknownTransport,
    /// No open session has this id: it never existed, is over, or lives in another process.
    /// Code 1.
    UnknownSession,
    /// Only GET opens a session. Code 2.
    HandshakeMethod,
    /// The `Origin` header has control characters. Code 3.
    InvalidOrigin,
    /// The session uses another transport, or cannot be upgraded to this one (any more). Code 3.
    TransportMismatch,
    /// Another websocket is upgrading the session already. Code 3. (Node answers 101 and closes.)
    AlreadyUpgrading,
    /// The session was opened with another revision of the protocol. Code 3.
    RevisionMismatch,
    /// `transport=websocket` without an `Upgrade` header; often a proxy that strips it. Code 3.
    UpgradeMissing,
    /// The request for a websocket is none that RFC 6455 knows. Code 3.
    InvalidHandshake,
    /// A middleware of the server refused. Code 3.
    Middleware,
    /// No id could be made for the session. Code 3.
    IdGeneration,
    /// The server does not allow this client to open a session. Code 4.
    Forbidden,
    /// A page of this origin may not open a session. Code 4.
    OriginNotAllowed,
    /// The server, or this client's address, has as many sessions as it may. Code 3, status 503.
    TooManySessions,
    /// This client's address opens sessions faster than it may. Code 3, status 429.
    TooManyHandshakes,
    /// The server is closing and opens no sessions any more. Code 3, status 503.
    ShuttingDown,
    /// A revision of the protocol that the server does not speak. Code 5.
    UnsupportedRevision,
}

impl Refusal {
    /// The number in the answer's JSON, `{"code":N,"message":"…"}`.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::UnknownTransport => 0,
            Self::UnknownSession => 1,
            Self::HandshakeMethod => 2,
            Self::InvalidOrigin
            | Self::TransportMismatch
            | Self::AlreadyUpgrading
            | Self::RevisionMismatch
            | Self::UpgradeMissing
            | Self::InvalidHandshake
            | Self::Middleware
            | Self::IdGeneration
            | Self::TooManySessions
            | Self::TooManyHandshakes
            | Self::ShuttingDown => 3,
            Self::Forbidden | Self::OriginNotAllowed => 4,
            Self::UnsupportedRevision => 5,
        }
    }

    /// The message in the answer: in the JSON of a plain request, alone as the body of a refused
    /// upgrade.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::UnknownTransport => "Transport unknown",
            Self::UnknownSession => "Session ID unknown",
            Self::HandshakeMethod => "Bad handshake method",
            Self::Forbidden | Self::OriginNotAllowed => "Forbidden",
            Self::TooManySessions => "Too many sessions",
            Self::TooManyHandshakes => "Too many handshakes",
            Self::ShuttingDown => "Server shutting down",
            Self::UnsupportedRevision => "Unsupported protocol version",
            Self::InvalidOrigin
            | Self::TransportMismatch
            | Self::AlreadyUpgrading
            | Self::RevisionMismatch
            | Self::UpgradeMissing
            | Self::InvalidHandshake
            | Self::Middleware
            | Self::IdGeneration => "Bad request",
        }
    }

    /// The name that tells the refusals of code 3 apart (`context.name` in Node). It is for the
    /// server's log; the client does not get it.
    #[must_use]
    pub const fn context(self) -> Option<&'static str> {
        match self {
            Self::InvalidOrigin => Some("INVALID_ORIGIN"),
            Self::TransportMismatch => Some("TRANSPORT_MISMATCH"),
            Self::AlreadyUpgrading => Some("ALREADY_UPGRADING"),
            Self::RevisionMismatch => Some("PROTOCOL_MISMATCH"),
            Self::UpgradeMissing => Some("TRANSPORT_HANDSHAKE_ERROR"),
            Self::InvalidHandshake => Some("WEBSOCKET_HANDSHAKE_ERROR"),
            Self::Middleware => Some("MIDDLEWARE_FAILURE"),
            Self::IdGeneration => Some("ID_GENERATION_ERROR"),
            Self::OriginNotAllowed => Some("ORIGIN_NOT_ALLOWED"),
            Self::TooManySessions => Some("TOO_MANY_SESSIONS"),
            Self::TooManyHandshakes => Some("TOO_MANY_HANDSHAKES"),
            Self::ShuttingDown => Some("SHUTTING_DOWN"),
            Self::UnknownTransport
            | Self::UnknownSession
            | Self::HandshakeMethod
            | Self::Forbidden
            | Self::UnsupportedRevision => None,
        }
    }

    /// The HTTP status of the answer to a plain request. A refused *upgrade* is answered with 400
    /// and `Content-Type: text/html` wherever Node refuses it.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Forbidden | Self::OriginNotAllowed => 403,
            Self::TooManySessions | Self::ShuttingDown => 503,
            Self::TooManyHandshakes => 429,
            _ => 400,
        }
    }

    /// Whether the official server knows this refusal.
    #[must_use]
    pub const fn is_nodes(self) -> bool {
        !matches!(
            self,
            Self::AlreadyUpgrading
                | Self::InvalidHandshake
                | Self::OriginNotAllowed
                | Self::TooManySessions
                | Self::TooManyHandshakes
                | Self::ShuttingDown
        )
    }

    /// Every refusal, in the order of their numbers as [`Refusal::index`] gives them.
    pub const ALL: [Self; 17] = [
        Self::UnknownTransport,
        Self::UnknownSession,
        Self::HandshakeMethod,
        Self::InvalidOrigin,
        Self::TransportMismatch,
        Self::AlreadyUpgrading,
        Self::RevisionMismatch,
        Self::UpgradeMissing,
        Self::InvalidHandshake,
        Self::Middleware,
        Self::IdGeneration,
        Self::Forbidden,
        Self::OriginNotAllowed,
        Self::TooManySessions,
        Self::TooManyHandshakes,
        Self::ShuttingDown,
        Self::UnsupportedRevision,
    ];

    /// Its place in [`Refusal::ALL`], for whoever counts them.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())?;
        self.context().map_or(Ok(()), |context| write!(f, " ({context})"))
    }
}

impl core::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString as _;

    const BOTH: &[Transport] = &[Transport::Polling, Transport::Websocket];
    const GET: Request<'_> = Request { get: true, upgrade: false, origin: None };
    const UPGRADE: Request<'_> = Request { get: true, upgrade: true, origin: Some(b"http://a.b") };
    const POST: Request<'_> = Request { get: false, upgrade: false, origin: None };

    fn check(raw: &str, request: Request<'_>) -> Result<Intent, Refusal> {
        verify(&Query::parse(raw), &request, BOTH, |sid| {
            let transport = match sid {
                "polls" => Transport::Polling,
                "ws" => Transport::Websocket,
                _ => return None,
            };
            Some(KnownSession { transport, revision: Revision::V4 })
        })
    }

    #[test]
    fn accepts() {
        let cases = [
            ("EIO=4&transport=polling", GET, Intent::Open(Transport::Polling)),
            ("EIO=4&transport=websocket", UPGRADE, Intent::Open(Transport::Websocket)),
            ("EIO=4&transport=polling&sid=polls", POST, Intent::Join(Transport::Polling)),
            ("EIO=4&transport=websocket&sid=polls", UPGRADE, Intent::Join(Transport::Websocket)),
        ];
        for (raw, request, intent) in cases {
            assert_eq!(check(raw, request), Ok(intent), "{raw}");
        }
    }

    #[test]
    fn refuses_in_the_official_order() {
        let bad_origin = Request { origin: Some(b"a\x01"), ..POST };
        let cases = [
            // Everything is wrong at once: the earliest check speaks.
            ("sid=nobody", bad_origin, Refusal::UnknownTransport),
            ("transport=webtransport", GET, Refusal::UnknownTransport),
            ("transport=polling&sid=nobody", bad_origin, Refusal::InvalidOrigin),
            ("transport=polling&sid=nobody", POST, Refusal::UnknownSession),
            ("EIO=3&transport=websocket&sid=polls", GET, Refusal::TransportMismatch),
            ("EIO=3&transport=polling&sid=polls", GET, Refusal::RevisionMismatch),
            ("transport=websocket", POST, Refusal::HandshakeMethod),
            ("transport=websocket", GET, Refusal::UpgradeMissing),
        ];
        for (raw, request, refusal) in cases {
            assert_eq!(check(raw, request), Err(refusal), "{raw}");
        }
    }

    #[test]
    fn a_transport_that_is_not_enabled_is_unknown() {
        let query = Query::parse("EIO=4&transport=polling");
        let result = verify(&query, &GET, &[Transport::Websocket], |_| None);
        assert_eq!(result, Err(Refusal::UnknownTransport));
    }

    #[test]
    fn origins_may_hold_what_http_allows() {
        for (origin, legal) in [
            (&b"http://a.b\t"[..], true),
            (b"\xff\x80 ~", true),
            (b"", true),
            (b"a\x7f", false),
            (b"a\nb", false),
        ] {
            let request = Request { origin: Some(origin), ..GET };
            assert_eq!(check("transport=polling", request).is_ok(), legal, "{origin:?}");
        }
    }

    #[test]
    fn answers() {
        let all = [
            (Refusal::UnknownTransport, 0, "Transport unknown", None, 400),
            (Refusal::UnknownSession, 1, "Session ID unknown", None, 400),
            (Refusal::HandshakeMethod, 2, "Bad handshake method", None, 400),
            (Refusal::InvalidOrigin, 3, "Bad request", Some("INVALID_ORIGIN"), 400),
            (Refusal::TransportMismatch, 3, "Bad request", Some("TRANSPORT_MISMATCH"), 400),
            (Refusal::AlreadyUpgrading, 3, "Bad request", Some("ALREADY_UPGRADING"), 400),
            (Refusal::RevisionMismatch, 3, "Bad request", Some("PROTOCOL_MISMATCH"), 400),
            (Refusal::UpgradeMissing, 3, "Bad request", Some("TRANSPORT_HANDSHAKE_ERROR"), 400),
            (Refusal::InvalidHandshake, 3, "Bad request", Some("WEBSOCKET_HANDSHAKE_ERROR"), 400),
            (Refusal::Middleware, 3, "Bad request", Some("MIDDLEWARE_FAILURE"), 400),
            (Refusal::IdGeneration, 3, "Bad request", Some("ID_GENERATION_ERROR"), 400),
            (Refusal::Forbidden, 4, "Forbidden", None, 403),
            (Refusal::OriginNotAllowed, 4, "Forbidden", Some("ORIGIN_NOT_ALLOWED"), 403),
            (Refusal::TooManySessions, 3, "Too many sessions", Some("TOO_MANY_SESSIONS"), 503),
            (
                Refusal::TooManyHandshakes,
                3,
                "Too many handshakes",
                Some("TOO_MANY_HANDSHAKES"),
                429,
            ),
            (Refusal::ShuttingDown, 3, "Server shutting down", Some("SHUTTING_DOWN"), 503),
            (Refusal::UnsupportedRevision, 5, "Unsupported protocol version", None, 400),
        ];
        assert_eq!(all.map(|(refusal, ..)| refusal), Refusal::ALL);
        for (place, (refusal, code, message, context, status)) in all.into_iter().enumerate() {
            assert_eq!(refusal.index(), place);
            assert_eq!(
                (refusal.code(), refusal.message(), refusal.context(), refusal.status()),
                (code, message, context, status)
            );
        }
        assert_eq!(Refusal::Middleware.to_string(), "Bad request (MIDDLEWARE_FAILURE)");
    }
}
