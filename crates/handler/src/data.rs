//! The arguments of an event.

use std::ops::{Deref, DerefMut};

use serde::de::DeserializeOwned;

use crate::event::{Event, FromEvent, Rejection};

/// The event's arguments.
///
/// Arguments are positional. A tuple takes as many as it has members, `()` takes none, and every
/// other type takes the first; what is not taken is ignored. So `Data<String>` fits
/// `emit("e", "text")`, and `Data<(String, u32)>` fits `emit("e", "text", 7)`. Binary arguments
/// are `bytes::Bytes`, anywhere in `T`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Data<T>(pub T);

impl<C, T: DeserializeOwned> FromEvent<C> for Data<T> {
    fn from_event(_: &C, event: &mut Event<'_>) -> Result<Self, Rejection> {
        match sockeye_socketio::decode_args(event.args, event.attachments) {
            Ok(data) => Ok(Self(data)),
            Err(error) => Err(Rejection::new(error.to_string())),
        }
    }
}

impl<T> Deref for Data<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Data<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
