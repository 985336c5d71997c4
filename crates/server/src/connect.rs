//! Who is let into a namespace.

use std::fmt;
use std::pin::Pin;

use serde::Serialize;
use serde_json::value::RawValue;
use sockeye_handler::{Event, FromEvent, Rejection};

use crate::socket::Socket;

/// Why a client is not let into a namespace: it gets a `connect_error` with this message and data.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub(crate) message: String,
    pub(crate) data: Option<Box<RawValue>>,
    /// It may quote the client's `auth`, which is not for the log.
    pub(crate) quotes: bool,
}

impl Refusal {
    /// A refusal; the client finds the message in `err.message`.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), data: None, quotes: false }
    }

    /// Adds what the client finds in `err.data`. What cannot be made JSON is left out, with an
    /// error in the log.
    pub fn with_data(mut self, data: impl Serialize) -> Self {
        match serde_json::value::to_raw_value(&data) {
            Ok(data) => self.data = Some(data),
            Err(error) => {
                tracing::error!(target: "socket.io:socket", %error, "the data of a refusal cannot be encoded");
            }
        }
        self
    }
}

impl From<&str> for Refusal {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

impl From<String> for Refusal {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// What a middleware may return: `()`, which lets the client in, or a `Result` whose error
/// becomes the [`Refusal`].
#[diagnostic::on_unimplemented(
    message = "a middleware cannot return `{Self}`",
    note = "it returns `()`, or `Result<(), E>` where `E` becomes a `Refusal`: a `Refusal`, a \
            `&str` or a `String`"
)]
pub trait Verdict {
    /// Lets the client in, or not.
    #[doc(hidden)]
    fn verdict(self) -> Result<(), Refusal>;
}

impl Verdict for () {
    fn verdict(self) -> Result<(), Refusal> {
        Ok(())
    }
}

impl<E: Into<Refusal>> Verdict for Result<(), E> {
    fn verdict(self) -> Result<(), Refusal> {
        self.map_err(Into::into)
    }
}

/// What may decide who is let in: a function, async or not, of up to four extractors. See
/// [`Namespace::middleware`](crate::Namespace::middleware).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot decide who is let in",
    note = "a middleware is a function or closure, async or not, of at most four extractors \
            (`Socket`, `Data<T>` for the client's `auth`, `State<T>`), that returns `()` or \
            `Result<(), Refusal>`"
)]
pub trait Middleware<M>: Send + Sync + 'static {
    /// Extracts the parameters and calls the function.
    #[doc(hidden)]
    fn call(&self, socket: &Socket, event: &mut Event<'_>) -> Result<Connecting, Rejection>;
}

/// A middleware's answer, or the future of it.
#[doc(hidden)]
pub enum Connecting {
    Answered(Result<(), Refusal>),
    Running(Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>>),
}

/// Marks the middleware that is a plain function.
#[derive(Debug)]
pub struct Plain;

/// Marks the middleware that returns a future.
#[derive(Debug)]
pub struct Awaited;

macro_rules! middleware {
    ($($extractor:ident)*) => {
        #[allow(non_snake_case, unused_variables, reason = "a parameter is named after its type")]
        impl<F, R, $($extractor,)*> Middleware<(Plain, $($extractor,)*)> for F
        where
            F: Fn($($extractor,)*) -> R + Send + Sync + 'static,
            R: Verdict,
            $($extractor: FromEvent<Socket>,)*
        {
            fn call(&self, socket: &Socket, event: &mut Event<'_>) -> Result<Connecting, Rejection> {
                $(let $extractor = $extractor::from_event(socket, event)?;)*
                Ok(Connecting::Answered(self($($extractor,)*).verdict()))
            }
        }

        #[allow(non_snake_case, unused_variables, reason = "a parameter is named after its type")]
        impl<F, A, $($extractor,)*> Middleware<(Awaited, $($extractor,)*)> for F
        where
            F: Fn($($extractor,)*) -> A + Send + Sync + 'static,
            A: Future<Output: Verdict> + Send + 'static,
            $($extractor: FromEvent<Socket>,)*
        {
            fn call(&self, socket: &Socket, event: &mut Event<'_>) -> Result<Connecting, Rejection> {
                $(let $extractor = $extractor::from_event(socket, event)?;)*
                let future = self($($extractor,)*);
                Ok(Connecting::Running(Box::pin(async move { future.await.verdict() })))
            }
        }
    };
}

middleware!();
middleware!(T1);
middleware!(T1 T2);
middleware!(T1 T2 T3);
middleware!(T1 T2 T3 T4);

type Call = dyn Fn(&Socket, &mut Event<'_>) -> Result<Connecting, Rejection> + Send + Sync;

/// A middleware whose type is forgotten.
pub(crate) struct Gate(Box<Call>);

impl Gate {
    pub(crate) fn new<M: 'static>(middleware: impl Middleware<M>) -> Self {
        Self(Box::new(move |socket, event| middleware.call(socket, event)))
    }

    pub(crate) fn call(&self, socket: &Socket) -> Connecting {
        let mut event = Event::new("connect", socket.auth().unwrap_or_default(), &[]);
        match (self.0)(socket, &mut event) {
            Ok(connecting) => connecting,
            Err(rejection) => {
                let refusal = Refusal { quotes: true, ..Refusal::new(rejection.message()) };
                Connecting::Answered(Err(refusal))
            }
        }
    }
}
