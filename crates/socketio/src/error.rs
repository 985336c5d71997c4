//! What a peer can do wrong, and what becomes of its session.

use core::fmt;

use crate::{DisconnectReason, Kind};

/// Why a session cannot go on, and whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Error {
    /// The peer broke the protocol.
    PeerMisbehaved(Misbehaviour),
    /// The peer asked for more than it is granted.
    LimitExceeded(Limit),
}

// It travels through every result of the inbound path.
const _: () = assert!(size_of::<Error>() <= 16);

/// What a peer did that Socket.IO does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Misbehaviour {
    /// A packet without a single character, hence without a type.
    EmptyPacket,
    /// The first character is not `0` to `6`.
    UnknownKind(char),
    /// The number of attachments is missing, not a number in plain digits, or 0.
    IllegalAttachments,
    /// The ack id does not fit into 64 bits.
    AckId,
    /// What should be JSON is not.
    Json(Kind),
    /// The JSON is not of the kind that belongs to the packet: an object for CONNECT, an array that
    /// begins with a string or number for EVENT, an array for ACK, none for DISCONNECT.
    Payload(Kind),
    /// An event with a name of [`RESERVED_EVENTS`](crate::RESERVED_EVENTS).
    ReservedEvent,
    /// A placeholder names an attachment that the packet does not have.
    PlaceholderOutOfRange,
    /// Text came while attachments were due.
    TextInsteadOfAttachment,
    /// A binary message came while no attachment was due.
    UnexpectedAttachment,
    /// A packet for a namespace that the client has not joined.
    NotJoined(Kind),
    /// A second CONNECT to a namespace that the client has joined, or is joining.
    SecondConnect,
    /// CONNECT_ERROR, which only servers send.
    ConnectErrorFromClient,
    /// A message that the connection's [`Parser`](crate::Parser) cannot read.
    Message(Malformed),
}

/// Why a [`Parser`](crate::Parser) cannot read a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Malformed {
    /// Text where the parser reads binary, or the other way round.
    Form,
    /// It ends within a value.
    Truncated,
    /// Something follows the packet.
    TrailingBytes,
    /// It holds what the format does not know, or breaks its grammar.
    Syntax,
    /// It nests deeper than 125 levels.
    Depth,
    /// The key of a map is neither a string, nor a whole number, nor true, false or nil.
    Key,
    /// The packet's type is missing, or none of the parser's.
    Type,
    /// The packet's namespace is missing, no string, or one that no packet can name.
    Namespace,
    /// The packet's ack id is no whole number from 0 on.
    AckId,
    /// The packet's data is missing, or not what belongs into a packet of its type.
    Payload,
    /// For a reason that is the parser's own.
    Other,
}

/// What a peer had too much of. See [`Limits`](crate::Limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Attachments of one packet.
    Attachments,
    /// Bytes of one packet's attachments.
    AttachmentBytes,
    /// Time until the next attachment.
    AttachmentTimeout,
    /// Namespaces of one connection.
    Namespaces,
    /// Bytes of a namespace's name.
    NamespaceBytes,
    /// Time until a namespace is joined.
    ConnectTimeout,
}

impl Error {
    /// What the session's sockets are told. What the peer is told is for the server to decide: Node's says
    /// nothing to it.
    #[must_use]
    pub const fn reason(self) -> DisconnectReason {
        match self {
            // Node's words for an invalid packet are not "parse error": that is Engine.IO's.
            Self::PeerMisbehaved(
                Misbehaviour::EmptyPacket
                | Misbehaviour::UnknownKind(_)
                | Misbehaviour::IllegalAttachments
                | Misbehaviour::AckId
                | Misbehaviour::Json(_)
                | Misbehaviour::Payload(_)
                | Misbehaviour::ReservedEvent
                | Misbehaviour::PlaceholderOutOfRange
                | Misbehaviour::TextInsteadOfAttachment
                | Misbehaviour::UnexpectedAttachment
                | Misbehaviour::NotJoined(_)
                | Misbehaviour::SecondConnect
                | Misbehaviour::ConnectErrorFromClient
                | Misbehaviour::Message(_),
            )
            | Self::LimitExceeded(
                Limit::Attachments
                | Limit::AttachmentBytes
                | Limit::AttachmentTimeout
                | Limit::Namespaces
                | Limit::NamespaceBytes,
            ) => DisconnectReason::ForcedClose,
            Self::LimitExceeded(Limit::ConnectTimeout) => DisconnectReason::ForcedServerClose,
        }
    }
}

impl From<Misbehaviour> for Error {
    fn from(misbehaviour: Misbehaviour) -> Self {
        Self::PeerMisbehaved(misbehaviour)
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Misbehaviour::Message(malformed).into()
    }
}

impl From<Limit> for Error {
    fn from(limit: Limit) -> Self {
        Self::LimitExceeded(limit)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerMisbehaved(misbehaviour) => misbehaviour.fmt(f),
            Self::LimitExceeded(limit) => limit.fmt(f),
        }
    }
}

impl fmt::Display for Misbehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyPacket => f.write_str("the peer sent a Socket.IO packet without a type"),
            Self::UnknownKind(unknown) => {
                write!(f, "the peer sent a Socket.IO packet of the unknown type {unknown:?}")
            }
            Self::IllegalAttachments => {
                f.write_str("the peer sent a binary packet with an illegal number of attachments")
            }
            Self::AckId => f.write_str("the peer sent an ack id that does not fit into 64 bits"),
            Self::Json(kind) => write!(f, "the JSON of the peer's {kind} packet is broken"),
            Self::Payload(kind) => {
                write!(f, "the payload of the peer's {kind} packet is not what belongs there")
            }
            Self::ReservedEvent => f.write_str("the peer sent an event with a reserved name"),
            Self::PlaceholderOutOfRange => {
                f.write_str("the peer sent a placeholder for an attachment that does not exist")
            }
            Self::TextInsteadOfAttachment => {
                f.write_str("the peer sent text while an attachment was due")
            }
            Self::UnexpectedAttachment => {
                f.write_str("the peer sent a binary message while no attachment was due")
            }
            Self::NotJoined(kind) => {
                write!(f, "the peer sent {kind} to a namespace that it has not joined")
            }
            Self::SecondConnect => f.write_str("the peer sent a second CONNECT to a namespace"),
            Self::ConnectErrorFromClient => {
                f.write_str("the peer sent CONNECT_ERROR, which is the server's part")
            }
            Self::Message(malformed) => {
                write!(f, "the parser cannot read the peer's message: {malformed}")
            }
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "text instead of binary, or the other way round",
            Self::Truncated => "it ends within a value",
            Self::TrailingBytes => "something follows the packet",
            Self::Syntax => "it breaks the format's grammar",
            Self::Depth => "it nests too deep",
            Self::Key => "a map's key is no string",
            Self::Type => "the packet's type is invalid",
            Self::Namespace => "the packet's namespace is invalid",
            Self::AckId => "the packet's ack id is invalid",
            Self::Payload => "the packet's data is invalid",
            Self::Other => "it is malformed",
        })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attachments => "a packet announces more attachments than allowed",
            Self::AttachmentBytes => "the attachments of a packet are larger than allowed",
            Self::AttachmentTimeout => "an attachment did not come in time",
            Self::Namespaces => "the peer joins more namespaces than allowed",
            Self::NamespaceBytes => "the name of a namespace is longer than allowed",
            Self::ConnectTimeout => "the peer joined no namespace in time",
        })
    }
}

impl core::error::Error for Error {}
