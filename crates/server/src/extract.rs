//! The server's own extractors.

use std::any::TypeId;
use std::ops::Deref;

use sockeye_handler::{Event, FromEvent, Rejection};
use sockeye_socketio::DisconnectReason;
use sockeye_transport::Handshake;

use crate::socket::Socket;

impl FromEvent<Socket> for Socket {
    fn from_event(socket: &Socket, _: &mut Event<'_>) -> Result<Self, Rejection> {
        Ok(socket.clone())
    }
}

/// A value that was given to the namespace by [`Namespace::state`](crate::Namespace::state).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State<T>(pub T);

impl<T: Clone + 'static> FromEvent<Socket> for State<T> {
    fn from_event(socket: &Socket, _: &mut Event<'_>) -> Result<Self, Rejection> {
        let value = socket.inner.namespace.state.get(&TypeId::of::<T>());
        match value.and_then(|value| value.downcast_ref::<T>()) {
            Some(value) => Ok(Self(value.clone())),
            None => {
                // The sender cannot know; whoever wrote the server must.
                tracing::error!(
                    target: "socket.io:namespace",
                    state = std::any::type_name::<T>(),
                    namespace = socket.namespace(),
                    "the namespace was given no such state"
                );
                Err(Rejection::new("internal error"))
            }
        }
    }
}

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The event's name: useful in a [fallback](crate::Namespace::on_fallback).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventName(pub Box<str>);

impl FromEvent<Socket> for EventName {
    fn from_event(_: &Socket, event: &mut Event<'_>) -> Result<Self, Rejection> {
        Ok(Self(event.name.into()))
    }
}

/// The request that opened the session.
impl FromEvent<Socket> for Handshake {
    fn from_event(socket: &Socket, _: &mut Event<'_>) -> Result<Self, Rejection> {
        Ok(socket.handshake().clone())
    }
}

/// For [disconnect handlers](crate::Namespace::on_disconnect): why the socket left.
impl FromEvent<Socket> for DisconnectReason {
    fn from_event(socket: &Socket, _: &mut Event<'_>) -> Result<Self, Rejection> {
        socket.disconnect_reason().ok_or_else(|| Rejection::new("the socket is still connected"))
    }
}
