//! What a server runs for each connection.

use http::Request;

use super::socket::WebSocket;

/// A handler of connections: an async function or closure of a [`WebSocket`], or of a [`WebSocket`]
/// and the request that opened it.
///
/// The request is the handler's to keep or to drop: it is most of what an idle connection would
/// cost.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no WebSocket handler",
    label = "expected an async function of `WebSocket`, or of `WebSocket` and `http::Request<()>`"
)]
pub trait Handler<Parameters>: Send + Sync + 'static {
    /// Begins to handle a connection.
    fn handle(
        &self,
        socket: WebSocket,
        request: Request<()>,
    ) -> impl Future<Output = ()> + Send + 'static;
}

impl<F, R> Handler<(WebSocket,)> for F
where
    F: Fn(WebSocket) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    fn handle(
        &self,
        socket: WebSocket,
        request: Request<()>,
    ) -> impl Future<Output = ()> + Send + 'static {
        drop(request);
        self(socket)
    }
}

impl<F, R> Handler<(WebSocket, Request<()>)> for F
where
    F: Fn(WebSocket, Request<()>) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    fn handle(
        &self,
        socket: WebSocket,
        request: Request<()>,
    ) -> impl Future<Output = ()> + Send + 'static {
        self(socket, request)
    }
}
