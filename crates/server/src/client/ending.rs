//! What a client is told of its session's end where that is Socket.IO's doing: one mapping for all that a client
//! can do wrong. Its sockets end for Node's reason, and none of these words come from the client.

use sockeye_engineio::CloseReason;
use sockeye_socketio::{Error, Limit, Misbehaviour, plain};
use sockeye_transport::Ending;
use sockeye_websocket::CloseCode;

macro_rules! told {
    ($code:ident, $words:literal) => {
        const { &Ending::told(CloseReason::ForcedClose, CloseCode::$code, $words) }
    };
}

/// The client has come back on another connection.
pub(super) const TAKEN_OVER: &Ending = told!(POLICY, "recovered by another connection");
/// A plain client was not let into its namespace.
pub(super) const REFUSED: &Ending = told!(POLICY, "refused");
/// A plain client's socket was disconnected by this server. Others get a packet that says so.
pub(super) const DISCONNECTED: &Ending = told!(NORMAL, "server namespace disconnect");

/// What is told of what a client did wrong.
pub(super) const fn of(error: Error) -> &'static Ending {
    match error {
        Error::PeerMisbehaved(
            Misbehaviour::EmptyPacket
            | Misbehaviour::UnknownKind(_)
            | Misbehaviour::IllegalAttachments
            | Misbehaviour::AckId
            | Misbehaviour::Json(_)
            | Misbehaviour::Payload(_)
            | Misbehaviour::PlaceholderOutOfRange
            | Misbehaviour::Message(_),
        ) => told!(PROTOCOL, "invalid packet"),
        Error::PeerMisbehaved(Misbehaviour::ReservedEvent) => {
            told!(PROTOCOL, "reserved event name")
        }
        Error::PeerMisbehaved(Misbehaviour::TextInsteadOfAttachment) => {
            told!(PROTOCOL, "text instead of an attachment")
        }
        Error::PeerMisbehaved(Misbehaviour::UnexpectedAttachment) => {
            told!(PROTOCOL, "unexpected attachment")
        }
        Error::PeerMisbehaved(Misbehaviour::NotJoined(_)) => {
            told!(PROTOCOL, "packet for a namespace that is not joined")
        }
        Error::PeerMisbehaved(Misbehaviour::SecondConnect) => {
            told!(PROTOCOL, "namespace joined twice")
        }
        Error::PeerMisbehaved(Misbehaviour::ConnectErrorFromClient) => {
            told!(PROTOCOL, "packet that only servers send")
        }
        Error::LimitExceeded(Limit::Attachments) => told!(POLICY, "too many attachments"),
        Error::LimitExceeded(Limit::AttachmentBytes) => told!(POLICY, "attachments too large"),
        Error::LimitExceeded(Limit::AttachmentTimeout) => told!(POLICY, "attachment timeout"),
        Error::LimitExceeded(Limit::Namespaces) => told!(POLICY, "too many namespaces"),
        Error::LimitExceeded(Limit::NamespaceBytes) => told!(POLICY, "namespace name too long"),
        Error::LimitExceeded(Limit::ConnectTimeout) => told!(POLICY, "no namespace joined in time"),
    }
}

/// The same for what is wrong with a plain client's message, of which the client has been told in full.
pub(super) const fn of_plain(error: &plain::Error) -> &'static Ending {
    match error {
        plain::Error::BinaryMessage => told!(UNSUPPORTED, "binary message"),
        plain::Error::Json
        | plain::Error::NotAnObject
        | plain::Error::UnknownKey(_)
        | plain::Error::RepeatedKey(_)
        | plain::Error::Nothing
        | plain::Error::EventAndAck
        | plain::Error::EventName
        | plain::Error::ReservedEvent(_)
        | plain::Error::Args
        | plain::Error::Id(_)
        | plain::Error::IdOfAck
        | plain::Error::Binary
        | plain::Error::Placeholder
        | plain::Error::Auth => told!(INVALID_PAYLOAD, "invalid message"),
        plain::Error::LimitExceeded(_) => told!(POLICY, "limit exceeded"),
    }
}
