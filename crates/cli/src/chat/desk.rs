//! The task that owns the chat, and its inbox.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use sockeye::{Ack, Server};
use tokio::sync::{Semaphore, mpsc};

use super::event::Request;
use super::state::{Audience, Chat, Effect, SocketId};

/// Requests that may lie in the inbox before who puts one more has to wait.
const MAX_WAITING: usize = 1024;

/// A request on its way to the desk.
pub(super) struct Letter {
    pub(super) from: SocketId,
    pub(super) request: Request,
    /// Answered when everything that follows from the request has been told.
    pub(super) ack: Option<Ack>,
}

/// Where handlers put requests.
///
/// A bounded channel would let two requests of one socket overtake each other while it is full:
/// its places are given away in order, but taken by tasks that run in any. So a letter is put at
/// once, which keeps the order in which the handlers were called, and its sender waits *behind* it
/// for one of the places. Since the server calls only so many handlers of one client at a time, at
/// most [`MAX_WAITING`] letters and 32 for each client lie here, of some kilobytes each.
#[derive(Clone)]
pub(super) struct Inbox {
    letters: mpsc::UnboundedSender<Letter>,
    /// As many permits as there are free places.
    places: Arc<Semaphore>,
}

impl Inbox {
    /// Puts a letter in, before this future waits for anything; then waits while the inbox is
    /// overfull. Dropping the future does not take the letter back.
    pub(super) async fn put(&self, letter: Letter) {
        // There is nobody to answer once the desk is closed: the server is about to end.
        if self.letters.send(letter).is_ok()
            && let Ok(place) = self.places.acquire().await
        {
            place.forget();
        }
    }
}

/// The task that owns the chat.
pub(crate) struct Desk {
    chat: Chat,
    letters: mpsc::UnboundedReceiver<Letter>,
    places: Arc<Semaphore>,
}

impl Desk {
    pub(super) fn open() -> (Inbox, Self) {
        let (sender, letters) = mpsc::unbounded_channel();
        let places = Arc::new(Semaphore::new(MAX_WAITING));
        let inbox = Inbox { letters: sender, places: places.clone() };
        (inbox, Self { chat: Chat::new(), letters, places })
    }

    /// Takes one request after another, for as long as there is a server.
    pub(crate) async fn run(mut self, io: Server) {
        let mut effects = Vec::new();
        while let Some(Letter { from, request, ack }) = self.letters.recv().await {
            self.places.add_permits(1);
            let reply = self.chat.handle(now(), &from, request, &mut effects);
            for effect in effects.drain(..) {
                perform(&io, &effect);
            }
            if let (Some(reply), Some(ack)) = (reply, ack) {
                ack.send(reply);
            }
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.places.close();
    }
}

fn perform(io: &Server, effect: &Effect) {
    match effect {
        Effect::Enter { socket, audience } => io.to(&**socket).join(audience.room()),
        Effect::Leave { socket, audience } => io.to(&**socket).leave(audience.room()),
        Effect::Disconnect { socket } => {
            for socket in io.to(&**socket).sockets() {
                socket.disconnect_client();
            }
        }
        Effect::Tell { audience, except, news } => {
            let mut readers = io.to(audience.room());
            if let Some(socket) = except {
                readers = readers.except(&**socket);
            }
            if news.is_volatile() {
                readers = readers.volatile();
            }
            if let Err(error) = readers.emit(news.event(), news) {
                tracing::error!(%error, event = news.event(), "the chat's news were not sent");
            }
        }
    }
}

impl Audience {
    /// Its Socket.IO room. No two audiences share one: neither `#` nor `:` is in a socket's id.
    fn room(&self) -> String {
        match self {
            Self::Everybody => "#people".to_owned(),
            Self::Room(room) => format!("room:{}", room.as_str()),
            Self::One(socket) => socket.as_ref().to_owned(),
        }
    }
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn a_full_inbox_takes_letters_in_order_and_lets_their_senders_wait() {
        let (inbox, mut desk) = Desk::open();
        let letter =
            |n: usize| Letter { from: n.to_string().into(), request: Request::Gone, ack: None };
        let mut cx = Context::from_waker(Waker::noop());
        for n in 0..MAX_WAITING {
            assert!(pin!(inbox.put(letter(n))).poll(&mut cx).is_ready());
        }
        let (mut first, mut second) =
            (pin!(inbox.put(letter(MAX_WAITING))), pin!(inbox.put(letter(MAX_WAITING + 1))));
        assert!(first.as_mut().poll(&mut cx).is_pending());
        assert!(second.as_mut().poll(&mut cx).is_pending());

        desk.places.add_permits(1);
        assert!(first.as_mut().poll(&mut cx).is_ready());
        assert!(second.as_mut().poll(&mut cx).is_pending());
        for n in 0..MAX_WAITING + 2 {
            assert_eq!(*desk.letters.try_recv().unwrap().from, n.to_string());
        }

        drop(desk);
        assert!(second.as_mut().poll(&mut cx).is_ready());
    }
}
