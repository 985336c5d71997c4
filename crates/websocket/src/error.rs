//! What ends a connection, whose fault it is, and what the peer is told.

use core::{error, fmt};

use crate::close::CloseCode;

/// Why a connection failed (RFC 6455 §7.1.7). It is final: the connection reports it from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The peer broke a rule of the protocol.
    PeerMisbehaved(PeerMisbehaved),
    /// The peer kept to the protocol, but wanted more than [`Limits`](crate::Limits) grant.
    LimitExceeded(Limit),
}

/// The rule of RFC 6455 that the peer broke; of RFC 7692 where that is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerMisbehaved {
    /// An opcode that has no meaning (§5.2).
    ReservedOpCode(u8),
    /// A reserved bit is set that no extension gives a meaning (§5.2). Holds the three bits, RSV1
    /// being `0b100`.
    ReservedBits(u8),
    /// A client's frame without a mask (§5.1).
    NotMasked,
    /// A server's frame with a mask (§5.1).
    Masked,
    /// A length in a longer form than it needs (§5.2).
    LengthNotMinimal,
    /// A length with its highest bit set (§5.2).
    LengthBeyond63Bits,
    /// A control frame that is not final (§5.5).
    FragmentedControlFrame,
    /// A control frame with more than 125 bytes (§5.5).
    ControlFrameTooLong,
    /// A continuation, though no message is under way (§5.4).
    UnexpectedContinuation,
    /// A new message, though the one under way has not ended (§5.4).
    ExpectedContinuation,
    /// A close frame with a payload of one byte (§5.5.1).
    CloseCodeCut,
    /// A close frame with a code that must not be sent (§7.4).
    CloseCodeNotAllowed(u16),
    /// A close frame with a reason that is not UTF-8 (§5.5.1, §8.1).
    CloseReasonNotUtf8,
    /// A text message that is not UTF-8 (§8.1).
    TextNotUtf8,
    /// A compressed message that is no deflate stream (RFC 7692 §7.2.2).
    DeflateInvalid,
    /// A compressed message that ends within a deflate block (RFC 7692 §7.2.1).
    DeflateCut,
}

/// The limit that the peer exceeded, with its configured value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// [`Limits::max_message_size`](crate::Limits::max_message_size).
    MessageSize {
        /// The configured limit in bytes.
        limit: usize,
        /// The bytes of the message as far as its frames have declared them, or as far as it was
        /// inflated.
        declared: u64,
    },
    /// [`Limits::max_frame_size`](crate::Limits::max_frame_size).
    FrameSize {
        /// The configured limit in bytes.
        limit: usize,
        /// The bytes that the frame declared.
        declared: u64,
    },
    /// [`Limits::max_fragments`](crate::Limits::max_fragments).
    Fragments {
        /// The configured limit.
        limit: u32,
    },
}

impl Error {
    /// The code that the peer is told in our close frame (RFC 6455 §7.4.1).
    #[must_use]
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::PeerMisbehaved(rule) => match rule {
                PeerMisbehaved::ReservedOpCode(_)
                | PeerMisbehaved::ReservedBits(_)
                | PeerMisbehaved::NotMasked
                | PeerMisbehaved::Masked
                | PeerMisbehaved::LengthNotMinimal
                | PeerMisbehaved::LengthBeyond63Bits
                | PeerMisbehaved::FragmentedControlFrame
                | PeerMisbehaved::ControlFrameTooLong
                | PeerMisbehaved::UnexpectedContinuation
                | PeerMisbehaved::ExpectedContinuation
                | PeerMisbehaved::CloseCodeCut
                | PeerMisbehaved::CloseCodeNotAllowed(_) => CloseCode::PROTOCOL,
                PeerMisbehaved::CloseReasonNotUtf8
                | PeerMisbehaved::TextNotUtf8
                | PeerMisbehaved::DeflateInvalid
                | PeerMisbehaved::DeflateCut => CloseCode::INVALID_PAYLOAD,
            },
            Self::LimitExceeded(limit) => match limit {
                Limit::MessageSize { .. } | Limit::FrameSize { .. } => CloseCode::TOO_BIG,
                Limit::Fragments { .. } => CloseCode::POLICY,
            },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerMisbehaved(rule) => rule.fmt(f),
            Self::LimitExceeded(limit) => limit.fmt(f),
        }
    }
}

impl fmt::Display for PeerMisbehaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedOpCode(bits) => write!(f, "a frame has the reserved opcode {bits:#x}"),
            Self::ReservedBits(bits) => {
                write!(f, "a frame has reserved bits set without an extension: {bits:03b}")
            }
            Self::NotMasked => f.write_str("a client's frame is not masked"),
            Self::Masked => f.write_str("a server's frame is masked"),
            Self::LengthNotMinimal => f.write_str("a frame's length is not in its shortest form"),
            Self::LengthBeyond63Bits => f.write_str("a frame's length needs more than 63 bits"),
            Self::FragmentedControlFrame => f.write_str("a control frame is fragmented"),
            Self::ControlFrameTooLong => f.write_str("a control frame is longer than 125 bytes"),
            Self::UnexpectedContinuation => {
                f.write_str("a continuation frame came, but no message was under way")
            }
            Self::ExpectedContinuation => {
                f.write_str("a new message began before the fragmented one had ended")
            }
            Self::CloseCodeCut => f.write_str("a close frame has half a status code"),
            Self::CloseCodeNotAllowed(code) => {
                write!(f, "a close frame has the status code {code}, which must not be sent")
            }
            Self::CloseReasonNotUtf8 => f.write_str("the reason in a close frame is not UTF-8"),
            Self::TextNotUtf8 => f.write_str("a text message is not UTF-8"),
            Self::DeflateInvalid => f.write_str("a compressed message is not valid deflate"),
            Self::DeflateCut => f.write_str("a compressed message ends within a deflate block"),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MessageSize { limit, declared } => {
                write!(f, "a message of {declared} bytes exceeds max_message_size, {limit} bytes")
            }
            Self::FrameSize { limit, declared } => {
                write!(f, "a frame of {declared} bytes exceeds max_frame_size, {limit} bytes")
            }
            Self::Fragments { limit } => {
                write!(f, "a message has more fragments than max_fragments, {limit}")
            }
        }
    }
}

impl error::Error for Error {}
impl error::Error for PeerMisbehaved {}
impl error::Error for Limit {}

impl From<PeerMisbehaved> for Error {
    fn from(rule: PeerMisbehaved) -> Self {
        Self::PeerMisbehaved(rule)
    }
}

impl From<Limit> for Error {
    fn from(limit: Limit) -> Self {
        Self::LimitExceeded(limit)
    }
}
