//! One WebSocket connection after its opening handshake: what it must remember, and how it ends
//! (RFC 6455 §7).
//!
//! Bytes come in through [`Connection::receive`], whose work is in [`Events`]; this
//! file holds the state between two calls. An idle connection is this struct and nothing else: no
//! buffer belongs to it.

use alloc::{boxed::Box, vec::Vec};

use crate::{
    assembly::Assembly,
    close::CloseCode,
    deflate::{self, Inflater},
    error::{Error, PeerMisbehaved},
    extension::Extensions,
    frame,
    head::{Head, MAX_HEAD},
    limits::Limits,
    mask,
    receive::Events,
};

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Accepts connections: its frames are not masked, those of its peer are.
    Server,
    /// Opens connections: its frames are masked, those of its peer are not.
    Client,
}

/// How far the closing handshake has come (RFC 6455 §7.1).
///
/// ```text
///                    ┌────────┐  bad frame or limit exceeded  ┌────────────────────┐
///         ┌──────────│  Open  │──────────────────────────────▶│ Failed, close owed │
///         │          └────────┘                               └────────────────────┘
///         │ close()       │ peer's close                                 │ reply_close()
///         ▼               ▼                                              ▼
///   ┌───────────┐   ┌───────────┐                             ┌────────────────────┐
///   │  Closing  │   │ Answering │            ┌───────────────▶│       Failed       │
///   └───────────┘   └───────────┘            │                └────────────────────┘
///     │ │ │ │ peer's      │ reply_close()    │
///     │ │ │ │ close       ▼ or close()       │
///     │ │ │ │       ┌───────────┐            │
///     │ │ │ └──────▶│  Closed   │            │
///     │ │ │         └───────────┘            │
///     │ │ └──────────────────────────────────┘
///     │ │   bad frame                   ┌──────────┐
///     │ └──────────────────────────────▶│ TimedOut │
///     │     handle_timeout(deadline)    └──────────┘
///     │                                 ┌──────────┐  receive_eof()  ┌────────┐
///     └────────────────────────────────▶│   Lost   │◀────────────────│  Open  │
///           receive_eof()               └──────────┘                 └────────┘
/// ```
///
/// Frames are read in `Open` and in `Closing` only. In `Closing` all but the peer's close frame is
/// discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Messages go both ways.
    Open,
    /// Our close frame is sent; the peer's has to come before the deadline, in milliseconds of the
    /// caller's clock.
    Closing {
        /// When [`Connection::handle_timeout`] gives up.
        deadline: u64,
    },
    /// The peer's close frame has come, with this code; [`Connection::reply_close`] has to answer
    /// it.
    Answering {
        /// What the answer echoes.
        code: Option<CloseCode>,
    },
    /// Both close frames have been exchanged: the connection was closed cleanly.
    Closed,
    /// The peer did what ends the connection at once.
    Failed {
        /// What it did.
        error: Error,
        /// Whether [`Connection::reply_close`] still has to say so to the peer.
        close_owed: bool,
    },
    /// The deadline of the closing handshake passed without the peer's close frame.
    TimedOut,
    /// The transport ended without the peer's close frame (close code 1006 in browsers).
    Lost,
}

/// What the end of the transport's incoming bytes means (RFC 6455 §7.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Eof {
    /// The peer had sent its close frame.
    Clean,
    /// The peer went without a close frame.
    Unclean,
}

impl State {
    /// Whether frames are still read.
    #[inline]
    pub(crate) const fn reads(self) -> bool {
        matches!(self, Self::Open | Self::Closing { .. })
    }

    /// The peer's close frame has come.
    pub(crate) fn peer_closed(&mut self, code: Option<CloseCode>) {
        *self = if matches!(self, Self::Open) { Self::Answering { code } } else { Self::Closed };
    }

    /// The connection fails; a peer that has our close frame already is told nothing more.
    #[cold]
    pub(crate) fn fail(&mut self, error: Error) {
        *self = Self::Failed { error, close_owed: matches!(self, Self::Open) };
    }
}

/// The state of one connection. Everything that is received in part is in here, so no call is ever
/// half done.
#[derive(Debug)]
pub struct Connection {
    pub(crate) state: State,
    /// What is incomplete; `None` between whole messages, unless the peer may refer to earlier ones.
    pub(crate) assembly: Option<Box<Assembly>>,
    /// The beginning of a frame's head that was cut by the end of the input.
    pub(crate) spill: Spill,
    pub(crate) role: Role,
    pub(crate) extensions: Extensions,
}

/// The beginning of a head.
#[derive(Debug, Default)]
pub(crate) struct Spill {
    bytes: [u8; MAX_HEAD],
    len: u8,
}

impl Spill {
    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes bytes off the beginning of `input` until the head is whole, and says how many it took.
    /// When the head is whole, nothing is kept of it.
    pub(crate) fn parse(&mut self, input: &[u8]) -> Result<(Option<Head>, usize), PeerMisbehaved> {
        if self.is_empty()
            && let Some((head, size)) = Head::parse(input)?
        {
            return Ok((Some(head), size));
        }
        // The rare way, for a head that is cut: byte by byte, because only the head itself says how
        // long it is.
        let mut taken = 0;
        loop {
            let len = usize::from(self.len);
            if let Some((head, _)) = Head::parse(&self.bytes[..len])? {
                self.len = 0;
                return Ok((Some(head), taken));
            }
            // A head that is not whole has less than MAX_HEAD bytes: there is room for one more.
            let Some(&byte) = input.get(taken) else { return Ok((None, taken)) };
            self.bytes[len] = byte;
            self.len += 1;
            taken += 1;
        }
    }
}

// A million idle connections hold a million of these.
const _: () = assert!(size_of::<Connection>() <= 64);

impl Connection {
    /// A connection whose opening handshake has just succeeded.
    #[must_use]
    pub const fn new(role: Role) -> Self {
        Self {
            state: State::Open,
            assembly: None,
            spill: Spill { bytes: [0; MAX_HEAD], len: 0 },
            role,
            extensions: Extensions { deflate: None },
        }
    }

    /// The same with permessage-deflate, as agreed on in the opening handshake (RFC 7692).
    #[must_use]
    pub const fn with_deflate(mut self, params: deflate::Params) -> Self {
        self.extensions.deflate = Some(params);
        self
    }

    /// What was agreed on for permessage-deflate: whoever makes frames for this connection may
    /// compress them accordingly.
    #[inline]
    #[must_use]
    pub const fn deflate(&self) -> Option<deflate::Params> {
        self.extensions.deflate
    }

    /// Which end of the connection this is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// How far the closing handshake has come.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Reads what has arrived. The events are lent out one by one, see [`Events`].
    ///
    /// `input` follows directly on what earlier calls consumed; cut anywhere. It is unmasked in
    /// place and needs to live only as long as the events do. So does `inflater`: one serves any
    /// number of connections, and it is touched only where a message is compressed.
    #[inline]
    pub fn receive<'a>(
        &'a mut self,
        limits: &'a Limits,
        inflater: &'a mut Inflater,
        input: &'a mut [u8],
    ) -> Events<'a> {
        Events::new(self, limits, inflater, input)
    }

    /// The transport has ended: the peer will send nothing more.
    ///
    /// Call it once, when a read returns nothing. A close frame that is owed may still be written.
    pub fn receive_eof(&mut self) -> Eof {
        self.assembly = None;
        match self.state {
            State::Answering { .. } | State::Closed => Eof::Clean,
            State::Open | State::Closing { .. } => {
                self.state = State::Lost;
                Eof::Unclean
            }
            State::Failed { .. } | State::TimedOut | State::Lost => Eof::Unclean,
        }
    }

    /// Starts the closing handshake, or ends it if the peer has started: appends our close frame to
    /// `out`.
    ///
    /// From then on no data may be sent, and what the peer still sends is discarded until its own
    /// close frame; for that it has [`Limits::close_timeout`]. `mask` is `None` for a server and a
    /// fresh key for a client.
    ///
    /// Says whether a frame was appended: there is only one close frame in a connection's life.
    /// Where one is owed for an error, that error is told instead of `reason`.
    pub fn close(
        &mut self,
        now: u64,
        limits: &Limits,
        reason: Option<(CloseCode, &str)>,
        mask: Option<mask::Key>,
        out: &mut Vec<u8>,
    ) -> bool {
        match self.state {
            State::Open => {
                let deadline = now.saturating_add(limits.close_timeout);
                self.state = State::Closing { deadline };
                if let Some(assembly) = &mut self.assembly {
                    assembly.discard();
                }
            }
            State::Answering { .. } => self.state = State::Closed,
            State::Failed { close_owed: true, .. } => return self.reply_close(mask, out),
            State::Closing { .. }
            | State::Closed
            | State::Failed { close_owed: false, .. }
            | State::TimedOut
            | State::Lost => return false,
        }
        self.append_close(reason, mask, out);
        true
    }

    /// Appends the close frame that is owed, if one is: the answer to the peer's, with the same
    /// code (RFC 6455 §5.5.1), or after an error the one that names it (RFC 6455 §7.1.7).
    ///
    /// Says whether a frame was appended. Then [`is_closed`](Self::is_closed) holds: write it and
    /// end the transport. `mask` is `None` for a server and a fresh key for a client.
    pub fn reply_close(&mut self, mask: Option<mask::Key>, out: &mut Vec<u8>) -> bool {
        let code = match self.state {
            State::Answering { code } => {
                self.state = State::Closed;
                code
            }
            State::Failed { error, close_owed: true } => {
                self.state = State::Failed { error, close_owed: false };
                Some(error.close_code())
            }
            _ => return false,
        };
        self.append_close(code.map(|code| (code, "")), mask, out);
        true
    }

    fn append_close(
        &self,
        reason: Option<(CloseCode, &str)>,
        mask: Option<mask::Key>,
        out: &mut Vec<u8>,
    ) {
        debug_assert_eq!(mask.is_some(), self.role == Role::Client, "exactly clients mask");
        frame::append_close(out, reason, mask);
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called: the deadline for the peer's
    /// close frame.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<u64> {
        match self.state {
            State::Closing { deadline } => Some(deadline),
            _ => None,
        }
    }

    /// Gives up waiting for the peer's close frame if its deadline has passed, and says whether it
    /// did: then end the transport. Calling it early, or for nothing, is harmless.
    pub fn handle_timeout(&mut self, now: u64) -> bool {
        let passed = self.poll_timeout().is_some_and(|deadline| deadline <= now);
        if passed {
            self.state = State::TimedOut;
            self.assembly = None;
        }
        passed
    }

    /// How many bytes of heap are held for what has arrived in part: 0 between messages, and never
    /// much more than what has arrived of the current one, or than [`Limits::max_message_size`].
    ///
    /// A peer that takes its compression's context over costs up to the window that was agreed on,
    /// at all times.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.assembly.as_deref().map_or(0, |assembly| size_of::<Assembly>() + assembly.capacity())
    }

    /// Whether messages go both ways: no close frame was sent or received, and nothing failed.
    #[inline]
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Whether [`reply_close`](Self::reply_close) has a frame to append.
    #[must_use]
    pub const fn owes_close(&self) -> bool {
        matches!(self.state, State::Answering { .. } | State::Failed { close_owed: true, .. })
    }

    /// Whether there is nothing more to receive or to say: write what is queued and end the
    /// transport.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(
            self.state,
            State::Closed | State::Failed { close_owed: false, .. } | State::TimedOut | State::Lost
        )
    }

    /// Whether the closing handshake has been completed by both sides (RFC 6455 §7.1.4).
    #[must_use]
    pub const fn is_closed_cleanly(&self) -> bool {
        matches!(self.state, State::Closed)
    }
}
