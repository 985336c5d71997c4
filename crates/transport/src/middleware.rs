//! What the application does with every request before the engine judges it: Node's `engine.use`.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;

use crate::request::Request;

/// Why a middleware lets a request go no further.
///
/// Every error becomes a refusal by `?`.
pub struct Halt(pub(crate) Why);

pub(crate) enum Why {
    Refused(Box<dyn Error + Send + Sync>),
    Answered(Box<Response<Bytes>>),
}

impl Halt {
    /// Refuses the request, as Node does when a middleware calls `next` with an error: status 400, code 3 and
    /// `Bad request`. The reason is logged, and the client does not see it.
    #[must_use]
    pub fn refuse(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Why::Refused(reason.into()))
    }

    /// Answers the request with this response, instead of the engine. To a client that asks for a websocket it
    /// should have an error's status; Node closes that connection without an answer.
    #[must_use]
    pub fn answer<B: Into<Bytes>>(response: Response<B>) -> Self {
        Self(Why::Answered(Box::new(response.map(Into::into))))
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::refuse(error)
    }
}

impl fmt::Debug for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Why::Refused(reason) => f.debug_tuple("Refused").field(reason).finish(),
            Why::Answered(response) => f.debug_tuple("Answered").field(&response.status()).finish(),
        }
    }
}

type Passing = Pin<Box<dyn Future<Output = Result<Request, Halt>> + Send>>;
type Middleware = dyn Fn(Request) -> Passing + Send + Sync;

/// The middlewares of an engine, in their order.
#[derive(Clone, Default)]
pub(crate) struct Middlewares(Vec<Arc<Middleware>>);

impl Middlewares {
    pub(crate) fn push<F, A>(&mut self, middleware: F)
    where
        F: Fn(Request) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Request, Halt>> + Send + 'static,
    {
        self.0.push(Arc::new(move |request| Box::pin(middleware(request))));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What becomes of a request: each gets what the one before it let pass.
    pub(crate) async fn pass(&self, mut request: Request) -> Result<Request, Halt> {
        for middleware in &self.0 {
            request = middleware(request).await?;
        }
        Ok(request)
    }
}
