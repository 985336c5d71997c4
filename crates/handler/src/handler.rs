//! What may handle an event.

use serde::Serialize;

use crate::Handling;
use crate::call::{Async, Called, Sync};
use crate::context::Context;
use crate::event::{Event, FromEvent, Rejection};

/// A function that handles events: up to eight parameters that are [extractors](FromEvent), and a
/// return value that answers the ack.
///
/// It may be async or not. Its (awaited) return value is the answer, unless it takes the
/// [`Ack`](crate::Ack): a tuple is several arguments, `()` is none, `Ok(value)` is the value, and
/// `Err(error)` is the one argument `{"error": error}`.
///
/// `M` only tells the compiler the kinds of functions apart.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot handle events",
    label = "not an event handler",
    note = "a handler is a function or closure, async or not, of at most eight extractors \
            (`Socket`, `Data<T>`, `Ack`, `State<T>`, ..)",
    note = "what it returns answers the ack, so it must be `serde::Serialize` (`()` is); the \
            future of an async handler must be `Send`"
)]
pub trait Handler<C, M>: Send + std::marker::Sync + 'static {
    /// Extracts the parameters and calls the function.
    #[doc(hidden)]
    fn call(&self, context: &C, event: &mut Event<'_>) -> Result<Called, Rejection>;
}

/// The error that a handler returned, if it did, as JSON.
fn failure<T: Serialize>(reply: &T) -> Option<Box<str>> {
    sockeye_socketio::failure(reply).map(Into::into)
}

macro_rules! handlers {
    ($($extractor:ident)*) => {
        #[allow(non_snake_case, reason = "a parameter is named after its type")]
        impl<C, F, R, $($extractor,)*> Handler<C, (Sync, $($extractor,)*)> for F
        where
            C: Context,
            F: Fn($($extractor,)*) -> R + Send + std::marker::Sync + 'static,
            R: Serialize,
            $($extractor: FromEvent<C>,)*
        {
            fn call(&self, context: &C, event: &mut Event<'_>) -> Result<Called, Rejection> {
                $(let $extractor = $extractor::from_event(context, event)?;)*
                let responder = event.responder.take();
                let reply = self($($extractor,)*);
                let error = failure(&reply);
                if let Some(responder) = responder {
                    responder.answer(context, &reply);
                }
                Ok(Called::Done(error))
            }
        }

        #[allow(non_snake_case, reason = "a parameter is named after its type")]
        impl<C, F, A, $($extractor,)*> Handler<C, (Async, $($extractor,)*)> for F
        where
            C: Context,
            F: Fn($($extractor,)*) -> A + Send + std::marker::Sync + 'static,
            A: Future<Output: Serialize> + Send + 'static,
            $($extractor: FromEvent<C>,)*
        {
            fn call(&self, context: &C, event: &mut Event<'_>) -> Result<Called, Rejection> {
                $(let $extractor = $extractor::from_event(context, event)?;)*
                let future = self($($extractor,)*);
                let running: Handling = match event.responder.take() {
                    None => Box::pin(async move {
                        failure(&future.await)
                    }),
                    Some(responder) => {
                        let context = context.clone();
                        Box::pin(async move {
                            let reply = future.await;
                            let error = failure(&reply);
                            responder.answer(&context, &reply);
                            error
                        })
                    }
                };
                Ok(Called::Running(running))
            }
        }
    };
}

handlers!();
handlers!(T1);
handlers!(T1 T2);
handlers!(T1 T2 T3);
handlers!(T1 T2 T3 T4);
handlers!(T1 T2 T3 T4 T5);
handlers!(T1 T2 T3 T4 T5 T6);
handlers!(T1 T2 T3 T4 T5 T6 T7);
handlers!(T1 T2 T3 T4 T5 T6 T7 T8);
