//! Bytes in, events out: the inbound half of a connection (RFC 6455 §5, §6.2).
//!
//! Two ways lead through here. A message in one frame that lies wholly in the input, when nothing
//! else is under way, is unmasked where it lies and lent out: that is the short way of
//! [`Events::next`], and nearly all traffic takes it. Everything else goes through
//! `Events::advance`: cut heads, cut payloads, fragments, control frames, closing, errors.

use alloc::{borrow::Cow, string::String, vec::Vec};
use core::{mem, ops::Range};

use crate::{
    assembly::{Assembly, Completed, judge_size},
    close::{self, CloseCode},
    connection::{Connection, Role, State},
    deflate::{Inflater, RSV1},
    error::{Error, PeerMisbehaved},
    head::{Head, OpCode},
    limits::Limits,
    mask, utf8,
};

/// What the peer has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A text message: borrowed from the input or the inflater, or owned if it came in pieces.
    Text(Cow<'a, str>),
    /// A binary message: borrowed from the input or the inflater, or owned if it came in pieces.
    Binary(Cow<'a, [u8]>),
    /// A ping, to be answered by a pong with the same payload (RFC 6455 §5.5.2).
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// The peer's close frame, the last event: answer by [`Connection::reply_close`] if
    /// [`Connection::owes_close`] says so.
    Close(Option<(CloseCode, &'a str)>),
}

/// The events in a piece of input, lent out one by one: each has to be let go before the next.
///
/// Nothing is read ahead. To stop in the middle, drop this and keep the input behind
/// [`consumed`](Self::consumed) for a later call: it is untouched. When [`next`](Self::next) has
/// returned `None`, all input is consumed.
#[derive(Debug)]
#[must_use = "nothing is received unless the events are taken"]
pub struct Events<'a> {
    connection: &'a mut Connection,
    limits: &'a Limits,
    inflater: &'a mut Inflater,
    input: &'a mut [u8],
    /// How much of `input` is consumed: never more than its length.
    position: usize,
    /// How many heads were read.
    frames: u32,
    /// Whether the error that the connection failed with has been returned.
    reported: bool,
}

/// An event whose payload is not borrowed yet.
enum Found {
    /// A frame that lies wholly in the input, unmasked.
    InPlace(OpCode, Range<usize>),
    /// A control frame that came in pieces and lies in the assembly.
    Control(OpCode),
    Text(String),
    Binary(Vec<u8>),
    /// A compressed message of this kind.
    Compressed(OpCode, Compressed),
}

/// Where the payload of a compressed message lies.
enum Compressed {
    /// In the input.
    InPlace(Range<usize>),
    Collected(Vec<u8>),
}

/// What one step of the long way came to.
enum Step {
    /// The input is used up.
    Starved,
    /// Go on: a frame's head was read, or a frame passed that is no event by itself.
    Again,
    Found(Found),
}

impl<'a> Events<'a> {
    #[inline]
    pub(crate) const fn new(
        connection: &'a mut Connection,
        limits: &'a Limits,
        inflater: &'a mut Inflater,
        input: &'a mut [u8],
    ) -> Self {
        Self { connection, limits, inflater, input, position: 0, frames: 0, reported: false }
    }

    /// How many bytes of the input have been read, up to the end of the last event's frame.
    #[inline]
    #[must_use]
    pub const fn consumed(&self) -> usize {
        self.position
    }

    /// How many bytes of the input have not been read.
    #[inline]
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.input.len() - self.position
    }

    /// How many frames have begun in this input so far: what was to be done for it, also where no
    /// event came of it, as of the fragments of a message that is not whole.
    #[inline]
    #[must_use]
    pub const fn frames(&self) -> u32 {
        self.frames
    }

    /// The next event, or `None` when it has not wholly arrived.
    ///
    /// # Errors
    ///
    /// The [`Error`] that the connection failed with, once per call of [`Connection::receive`]: it
    /// stays failed, all further input is discarded, and [`Connection::reply_close`] tells the
    /// peer.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "an Iterator cannot lend its items")]
    pub fn next(&mut self) -> Option<Result<Event<'_>, Error>> {
        match self.whole_message() {
            Some((opcode, payload)) => Some(self.lend_message(opcode, payload)),
            None => self.next_in_pieces(),
        }
    }

    /// The short way: consumes and unmasks a message that is wholly at hand in one frame. Whatever
    /// else lies there, good or bad, is left to the long way.
    #[inline]
    fn whole_message(&mut self) -> Option<(OpCode, Range<usize>)> {
        let connection = &*self.connection;
        let at_rest = matches!(connection.state, State::Open)
            && connection.spill.is_empty()
            && connection.assembly.as_deref().is_none_or(Assembly::is_at_rest);
        if !at_rest {
            return None;
        }
        let rest = self.input.get_mut(self.position..)?;
        let Ok(Some((head, size))) = Head::parse(rest) else { return None };
        let allowed = head.fin
            && head.rsv == 0
            && matches!(head.opcode, OpCode::Text | OpCode::Binary)
            && judge_head(connection, &head).is_ok()
            && judge_size(0, head.len, false, self.limits).is_ok();
        if !allowed {
            return None;
        }
        let payload = rest.get_mut(size..)?.get_mut(..usize::try_from(head.len).ok()?)?;
        if let Some(key) = head.mask {
            mask::apply(key, 0, payload);
        }
        let start = self.position + size;
        self.position = start + payload.len();
        self.frames = self.frames.saturating_add(1);
        Some((head.opcode, start..self.position))
    }

    /// Lends a text or binary message from the input.
    #[inline]
    fn lend_message(&mut self, opcode: OpCode, payload: Range<usize>) -> Result<Event<'_>, Error> {
        let payload = &self.input[payload];
        if opcode != OpCode::Text {
            return Ok(Event::Binary(Cow::Borrowed(payload)));
        }
        match utf8::check(payload) {
            Ok(text) => Ok(Event::Text(Cow::Borrowed(text))),
            Err(_) => {
                self.position = self.input.len();
                Err(fail(
                    &mut self.connection.state,
                    &mut self.reported,
                    PeerMisbehaved::TextNotUtf8.into(),
                ))
            }
        }
    }

    /// Lends a text or binary message from the inflater, or in a buffer of its own if it is large.
    fn lend_inflated(&mut self, opcode: OpCode, payload: &Compressed) -> Result<Event<'_>, Error> {
        if let Err(error) = self.inflate(payload) {
            self.discard_input();
            return Err(fail(&mut self.connection.state, &mut self.reported, error));
        }
        let lent = match self.inflater.take_large() {
            Some(bytes) if opcode == OpCode::Text => String::from_utf8(bytes)
                .map(|text| Event::Text(Cow::Owned(text)))
                .map_err(|_| PeerMisbehaved::TextNotUtf8),
            Some(bytes) => Ok(Event::Binary(Cow::Owned(bytes))),
            None if opcode == OpCode::Text => utf8::check(self.inflater.message())
                .map(|text| Event::Text(Cow::Borrowed(text)))
                .map_err(|_| PeerMisbehaved::TextNotUtf8),
            None => Ok(Event::Binary(Cow::Borrowed(self.inflater.message()))),
        };
        lent.map_err(|rule| {
            self.position = self.input.len();
            fail(&mut self.connection.state, &mut self.reported, rule.into())
        })
    }

    fn inflate(&mut self, payload: &Compressed) -> Result<(), Error> {
        let connection = &mut *self.connection;
        let payload = match payload {
            Compressed::InPlace(range) => &self.input[range.clone()],
            Compressed::Collected(bytes) => bytes,
        };
        let window = connection.assembly.as_deref().map_or(&[][..], |held| held.window.as_slice());
        self.inflater.inflate(payload, window, self.limits.max_message_size)?;
        let peer = connection.extensions.deflate.map(|params| params.of_peer(connection.role));
        if let Some(peer) = peer.filter(|peer| peer.takeover) {
            let assembly = connection.assembly.get_or_insert_default();
            assembly.window.slide(peer.window, self.inflater.last_stream());
        }
        Ok(())
    }

    /// The long way.
    #[inline(never)]
    fn next_in_pieces(&mut self) -> Option<Result<Event<'_>, Error>> {
        if let State::Failed { error, .. } = self.connection.state {
            self.discard_input();
            return (!mem::replace(&mut self.reported, true)).then_some(Err(error));
        }
        match self.advance() {
            Ok(found) => found.map(|found| self.lend(found)),
            Err(error) => {
                self.discard_input();
                Some(Err(fail(&mut self.connection.state, &mut self.reported, error)))
            }
        }
    }

    /// Reads up to the next event.
    fn advance(&mut self) -> Result<Option<Found>, Error> {
        loop {
            if !self.connection.state.reads() {
                self.discard_input();
                return Ok(None);
            }
            let assembly = self.connection.assembly.as_deref();
            let step = if assembly.is_some_and(Assembly::is_within_frame) {
                self.continue_frame()?
            } else {
                self.begin_frame()?
            };
            match step {
                Step::Starved => return Ok(None),
                Step::Again => {}
                Step::Found(found) => return Ok(Some(found)),
            }
        }
    }

    /// Reads a head, and the payload if nothing of it has to be kept for later.
    fn begin_frame(&mut self) -> Result<Step, Error> {
        let connection = &mut *self.connection;
        let assembly = &mut connection.assembly;
        if assembly.as_deref().is_some_and(Assembly::is_idle) {
            // What it held has been lent out and let go.
            *assembly = None;
        }

        let (head, taken) = connection.spill.parse(&self.input[self.position..])?;
        self.position += taken;
        let Some(head) = head else { return Ok(Step::Starved) };
        self.frames = self.frames.saturating_add(1);
        judge_head(connection, &head)?;

        let start = self.position;
        let rest = &mut self.input[start..];
        let whole = usize::try_from(head.len).ok().and_then(|len| rest.get_mut(..len));
        let closing = matches!(connection.state, State::Closing { .. });
        let discarded = closing && head.opcode != OpCode::Close;
        let assembly = &mut connection.assembly;
        let at_rest = assembly.as_deref().is_none_or(Assembly::is_at_rest);
        let alone = head.fin && head.opcode != OpCode::Continuation && at_rest;
        match whole {
            Some(payload) if discarded => {
                self.position += payload.len();
                Ok(Step::Again)
            }
            None if discarded => {
                assembly.get_or_insert_default().begin_discarded(head);
                Ok(Step::Again)
            }
            Some(payload) if alone || head.opcode.is_control() => {
                let compressed = head.rsv & RSV1 != 0;
                if !head.opcode.is_control() {
                    judge_size(0, head.len, compressed, self.limits)?;
                }
                if let Some(key) = head.mask {
                    mask::apply(key, 0, payload);
                }
                self.position += payload.len();
                let payload = start..self.position;
                Ok(Step::Found(if compressed {
                    Found::Compressed(head.opcode, Compressed::InPlace(payload))
                } else {
                    Found::InPlace(head.opcode, payload)
                }))
            }
            Some(_) | None => {
                assembly.get_or_insert_default().begin(head, self.limits)?;
                Ok(Step::Again)
            }
        }
    }

    /// Takes what is at hand of the payload of a frame that is kept, or passed over, piece by
    /// piece.
    fn continue_frame(&mut self) -> Result<Step, Error> {
        let Some(assembly) = self.connection.assembly.as_deref_mut() else {
            return Ok(Step::Again);
        };
        let (taken, completed) = assembly.feed(&mut self.input[self.position..], self.limits)?;
        self.position += taken;
        Ok(match completed {
            None => Step::Starved,
            Some(Completed::Nothing) => Step::Again,
            Some(Completed::Text(text)) => Step::Found(Found::Text(text)),
            Some(Completed::Binary(bytes)) => Step::Found(Found::Binary(bytes)),
            Some(Completed::Compressed(opcode, bytes)) => {
                Step::Found(Found::Compressed(opcode, Compressed::Collected(bytes)))
            }
            Some(Completed::Control(opcode)) => Step::Found(Found::Control(opcode)),
        })
    }

    /// Makes the event, borrowing its payload from where it lies.
    fn lend(&mut self, found: Found) -> Result<Event<'_>, Error> {
        let (opcode, payload) = match found {
            Found::Text(text) => return Ok(Event::Text(Cow::Owned(text))),
            Found::Binary(bytes) => return Ok(Event::Binary(Cow::Owned(bytes))),
            Found::Compressed(opcode, payload) => return self.lend_inflated(opcode, &payload),
            Found::InPlace(opcode, payload) if !opcode.is_control() => {
                return self.lend_message(opcode, payload);
            }
            Found::InPlace(opcode, payload) => (opcode, &self.input[payload]),
            Found::Control(opcode) => {
                let assembly = self.connection.assembly.as_deref();
                (opcode, assembly.map_or(&[][..], Assembly::control))
            }
        };
        match opcode {
            OpCode::Ping => Ok(Event::Ping(payload)),
            OpCode::Pong => Ok(Event::Pong(payload)),
            // The only other control frame is close.
            _ => {
                self.position = self.input.len();
                match close::parse(payload) {
                    Ok(reason) => {
                        self.connection.state.peer_closed(reason.map(|(code, _)| code));
                        Ok(Event::Close(reason))
                    }
                    Err(rule) => {
                        Err(fail(&mut self.connection.state, &mut self.reported, rule.into()))
                    }
                }
            }
        }
    }

    /// Nothing more is read: the input is passed over, and what was incomplete is let go.
    fn discard_input(&mut self) {
        self.position = self.input.len();
        self.connection.assembly = None;
    }
}

/// The connection fails, and this call reports it. Not of [`Events`], whose input may still be lent.
fn fail(state: &mut State, reported: &mut bool, error: Error) -> Error {
    state.fail(error);
    *reported = true;
    error
}

/// Judges what the head alone does not show: whether the peer had to mask, and which reserved bits
/// it may set.
#[inline]
fn judge_head(connection: &Connection, head: &Head) -> Result<(), PeerMisbehaved> {
    if head.rsv & !connection.extensions.negotiated_bits(head.opcode) != 0 {
        return Err(PeerMisbehaved::ReservedBits(head.rsv));
    }
    match (connection.role, head.mask) {
        (Role::Server, None) => Err(PeerMisbehaved::NotMasked),
        (Role::Client, Some(_)) => Err(PeerMisbehaved::Masked),
        (Role::Server, Some(_)) | (Role::Client, None) => Ok(()),
    }
}
