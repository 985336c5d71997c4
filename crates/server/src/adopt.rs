//! Sessions of raw engines that speak Socket.IO with a server: Node's `io.bind(engine)`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use sockeye_engineio::CloseReason;
use sockeye_transport::{Ending, Shared};

use crate::engine::Connection;
use crate::server::{Inner, Server};

/// The sessions that a server has adopted: its own engine does not know them.
#[derive(Default)]
pub(crate) struct Adoptions(Mutex<HashMap<usize, Arc<Shared>>>);

impl Adoptions {
    fn lock(&self) -> MutexGuard<'_, HashMap<usize, Arc<Shared>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// In no order that a client could have a hand in.
    pub(crate) fn sessions(&self) -> Vec<Arc<Shared>> {
        self.lock().values().cloned().collect()
    }
}

/// That a session is a server's, until it is gone.
pub(crate) struct Adoption {
    pub(crate) server: Arc<Inner>,
    /// Where it is among the server's.
    key: usize,
}

impl Adoption {
    /// None if the server takes no sessions any more.
    fn new(server: &Arc<Inner>, session: &Arc<Shared>) -> Option<Self> {
        // Two engines may give the same id; no two sessions are at the same place.
        let key = Arc::as_ptr(session).addr();
        let mut adoptions = server.site.adoptions.lock();
        // Under the lock: who closes the server looks here after it has stopped to accept.
        if !server.site.engine.is_accepting() {
            return None;
        }
        adoptions.insert(key, session.clone());
        Some(Self { server: server.clone(), key })
    }
}

impl Drop for Adoption {
    fn drop(&mut self) {
        let mut adoptions = self.server.site.adoptions.lock();
        let session = adoptions.remove(&self.key);
        if adoptions.is_empty() && adoptions.capacity() > 64 {
            adoptions.shrink_to_fit();
        }
        drop(adoptions);
        drop(session);
    }
}

impl Server {
    /// Speaks Socket.IO with a client of a [raw engine](crate::engine), from here on: Node's `io.bind(engine)`
    /// does so with each of them, and so does an engine that is built with this alone.
    ///
    /// Of what the client has sent, the server gets all that was not [taken](Connection::recv) before: a first
    /// message may be looked at that is none of Socket.IO's, such as a token. The timeout for its CONNECT
    /// begins now. If the client is gone already, nothing happens; if this server
    /// [does not accept](Self::is_accepting), the client is disconnected (`server shutting down`).
    ///
    /// The session stays its engine's: that has its [options](crate::Builder) and hooks, counts and finds it,
    /// and ends it when it is closed. [`close`](Self::close) and [`drain`](Self::drain) of this server end it,
    /// too, but not its engine. It is not among this server's [`clients`](Self::clients) and sessions in
    /// [`metrics`](Self::metrics); its sockets and events are. What is [sent](crate::engine::Sender::send) to
    /// it raw, before or after, its client gets as it is, and takes for packets of Socket.IO.
    ///
    /// ```no_run
    /// use sockeye_server::engine::{Connection, Engine};
    /// use sockeye_server::{Namespace, Server};
    ///
    /// # async fn run() -> std::io::Result<()> {
    /// let io = Server::builder().namespace(Namespace::new("/")).build();
    /// let engine = Engine::builder().path("/socket.io").build(move |connection: Connection| {
    ///     io.adopt(connection);
    ///     std::future::ready(())
    /// });
    /// engine.listen("127.0.0.1:3000").await
    /// # }
    /// ```
    #[doc(alias = "bind")]
    #[doc(alias = "onconnection")]
    pub fn adopt(&self, connection: Connection) {
        let session = connection.session();
        match Adoption::new(&self.inner, session) {
            Some(adoption) => connection.hand_over(adoption),
            None => session.close(Ending::of(CloseReason::ServerShuttingDown)),
        }
    }
}
