//! An event on its way to its handlers, and what takes handlers' parameters out of it.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use crate::ack::Responder;

/// One event, as its handlers see it: borrowed from the packet, where no handler has to wait.
#[derive(Debug)]
pub struct Event<'a> {
    /// The event's name.
    pub name: &'a str,
    /// The arguments as JSON, separated by commas, without the enclosing brackets.
    pub args: &'a str,
    /// The binary arguments, in the order of their placeholders.
    pub attachments: &'a [Bytes],
    /// Who answers the ack. `None` if the sender asked for none, or a handler has taken it.
    pub(crate) responder: Option<Responder>,
    /// The right to answer that a handler has taken to use it by hand.
    pub(crate) given: Option<Responder>,
}

impl Event<'_> {
    /// The right to answer, be it that a handler has taken it and perhaps used it.
    pub(crate) fn responder(&mut self) -> Option<Responder> {
        self.responder.take().or_else(|| self.given.clone())
    }
}

/// Makes a handler's parameter from the event.
///
/// Extractors run in the order of the parameters, before the handler's first step, and cannot
/// wait. If one fails, the handler is not called; the sender's ack, if it asked for one, is
/// answered with `{"error": "…"}`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not something a handler can take as a parameter",
    label = "not an extractor",
    note = "parameters of event handlers are extractors: `Socket`, `Data<T>`, `Ack`, `State<T>`, \
            `EventName`; the event's arguments come as `Data<T>`"
)]
pub trait FromEvent<C>: Sized {
    /// Makes the parameter.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] that says what does not fit.
    fn from_event(context: &C, event: &mut Event<'_>) -> Result<Self, Rejection>;
}

/// For handlers that want to be called even if an extractor fails.
impl<C, T: FromEvent<C>> FromEvent<C> for Result<T, Rejection> {
    fn from_event(context: &C, event: &mut Event<'_>) -> Result<Self, Rejection> {
        Ok(T::from_event(context, event))
    }
}

/// Why a handler could not be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    message: Cow<'static, str>,
}

impl Rejection {
    /// A rejection with a sentence for whoever sent the event.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into() }
    }

    pub(crate) fn into_message(self) -> Cow<'static, str> {
        self.message
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Rejection {}

/// An event that waits for its turn.
pub(crate) struct Waiting<C> {
    pub(crate) context: C,
    pub(crate) name: Box<str>,
    pub(crate) args: Box<str>,
    pub(crate) attachments: Box<[Bytes]>,
    pub(crate) ack: Option<u64>,
}

impl<C> Waiting<C> {
    /// What the event costs while it waits.
    pub(crate) fn bytes(&self) -> usize {
        let attachments: usize = self.attachments.iter().map(Bytes::len).sum();
        size_of::<Self>() + self.name.len() + self.args.len() + attachments
    }
}
