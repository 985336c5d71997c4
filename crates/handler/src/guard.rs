//! What may stop an event before its handlers.

use serde::Serialize;

use crate::context::Context;
use crate::event::{Event, FromEvent, Rejection};
use crate::failure::Failure;

/// What a packet middleware may return: `()`, which lets the event pass, or a `Result` whose error the sender
/// gets as `{"error": error}`, if it asked for an answer.
#[diagnostic::on_unimplemented(
    message = "a packet middleware cannot return `{Self}`",
    note = "it is not async, and returns `()` or `Result<(), E>` where `E` is `serde::Serialize`"
)]
pub trait Passing {
    /// Answers if the event does not pass, and says why.
    #[doc(hidden)]
    fn pass<C: Context>(self, context: &C, event: &mut Event<'_>) -> Result<(), Failure>;
}

impl Passing for () {
    fn pass<C: Context>(self, _: &C, _: &mut Event<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

impl<E: Serialize> Passing for Result<(), E> {
    fn pass<C: Context>(self, context: &C, event: &mut Event<'_>) -> Result<(), Failure> {
        if self.is_ok() {
            return Ok(());
        }
        let error = sockeye_socketio::failure(&self).unwrap_or_default();
        if let Some(responder) = event.responder() {
            responder.answer(context, &self);
        }
        Err(Failure::Refused(error.into()))
    }
}

/// A function that decides whether an event reaches its handlers: up to four [extractors](FromEvent), not async,
/// since events must not overtake each other while it decides.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a packet middleware",
    note = "it is a function or closure, not async, of at most four extractors, that returns `()` or \
            `Result<(), E>` where `E` is `serde::Serialize`"
)]
pub trait Guard<C, M>: Send + Sync + 'static {
    /// Extracts the parameters and calls the function.
    #[doc(hidden)]
    fn check(&self, context: &C, event: &mut Event<'_>) -> Result<Result<(), Failure>, Rejection>;
}

macro_rules! guards {
    ($($extractor:ident)*) => {
        #[allow(non_snake_case, reason = "a parameter is named after its type")]
        impl<C, F, R, $($extractor,)*> Guard<C, ($($extractor,)*)> for F
        where
            C: Context,
            F: Fn($($extractor,)*) -> R + Send + Sync + 'static,
            R: Passing,
            $($extractor: FromEvent<C>,)*
        {
            fn check(
                &self,
                context: &C,
                event: &mut Event<'_>,
            ) -> Result<Result<(), Failure>, Rejection> {
                $(let $extractor = $extractor::from_event(context, event)?;)*
                Ok(self($($extractor,)*).pass(context, event))
            }
        }
    };
}

guards!();
guards!(T1);
guards!(T1 T2);
guards!(T1 T2 T3);
guards!(T1 T2 T3 T4);

type Check<C> = dyn Fn(&C, &mut Event<'_>) -> Result<Result<(), Failure>, Rejection> + Send + Sync;

/// A packet middleware of which only the context's type is known.
pub struct ErasedGuard<C>(Box<Check<C>>);

impl<C: Context> ErasedGuard<C> {
    /// Forgets the middleware's type.
    pub fn new<M: 'static>(guard: impl Guard<C, M>) -> Self {
        Self(Box::new(move |context, event| guard.check(context, event)))
    }

    /// Whether the event passes. If not, its sender has been answered.
    pub(crate) fn check(&self, context: &C, event: &mut Event<'_>) -> Result<(), Failure> {
        match (self.0)(context, event) {
            Ok(passing) => passing,
            Err(rejection) => {
                if let Some(responder) = event.responder() {
                    responder.answer(context, &Err::<(), _>(rejection.message()));
                }
                Err(Failure::Rejected(rejection.into_message()))
            }
        }
    }
}

impl<C> std::fmt::Debug for ErasedGuard<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ErasedGuard(..)")
    }
}
