//! The chat's namespace: handlers that read requests and put them into the desk's inbox.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sockeye::{Ack, Data, Event, FromEvent, Namespace, Rejection, Socket, State};

use super::desk::{Desk, Inbox, Letter};
use super::event::{Hello, Join, Post, Refusal, Reply, Request, Typing, Whisper};

/// The chat's namespace, `/`, and the task that it needs.
pub(crate) fn open() -> (Namespace, Desk) {
    let (inbox, desk) = Desk::open();
    let namespace = Namespace::new("/")
        .state(inbox)
        .on("hello", request::<Hello>)
        .on("join", request::<Join>)
        .on("message", request::<Post>)
        .on("private", request::<Whisper>)
        .on("typing", typing)
        .on_disconnect(gone);
    (namespace, desk)
}

async fn request<R: DeserializeOwned + Into<Request>>(
    socket: Socket,
    State(inbox): State<Inbox>,
    Argument(request): Argument<R>,
    ack: Ack,
) {
    match request {
        Some(request) => {
            let letter =
                Letter { from: socket.id().into(), request: request.into(), ack: Some(ack) };
            inbox.put(letter).await;
        }
        None => ack.send(Reply(Err(Refusal::BadRequest))),
    }
}

/// Has no reply; a malformed one is ignored.
async fn typing(
    socket: Socket,
    State(inbox): State<Inbox>,
    Argument(request): Argument<Typing>,
    _: Ack,
) {
    if let Some(typing) = request {
        let letter = Letter { from: socket.id().into(), request: typing.into(), ack: None };
        inbox.put(letter).await;
    }
}

async fn gone(socket: Socket, State(inbox): State<Inbox>) {
    inbox.put(Letter { from: socket.id().into(), request: Request::Gone, ack: None }).await;
}

/// The event's first argument; `None` unless it is an object with what `T` needs. Unlike
/// [`Data`], it leaves the answer to a wrong one to the handler.
struct Argument<T>(Option<T>);

impl<T: DeserializeOwned> FromEvent<Socket> for Argument<T> {
    fn from_event(socket: &Socket, event: &mut Event<'_>) -> Result<Self, Rejection> {
        // By way of a map, since serde takes an array for a struct, too.
        let object = Data::<Map<String, Value>>::from_event(socket, event).ok();
        Ok(Self(object.and_then(|Data(object)| serde_json::from_value(object.into()).ok())))
    }
}
