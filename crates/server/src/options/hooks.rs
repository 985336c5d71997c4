//! The functions that an application puts into the engine: its say in what is let in and answered, and its
//! ear for what happens.

use http::HeaderMap;
use sockeye_engineio::Sid;
use sockeye_transport::{ConnectionError, Forbidden, Halt, Request, SessionEvent, SessionRef};

use super::Builder;

impl<K> Builder<K> {
    /// Adds what every request to the engine passes through before anything of it is checked: handshakes,
    /// polls, POSTs, upgrades, and plain connections. Of several, each gets what the one before it let pass.
    /// CORS comes before them, and answers preflights itself, as in Node.
    ///
    /// A middleware may change the request: what it does to its headers and its
    /// [extensions](Request::extensions) is what the other hooks and
    /// [`handshake`](crate::Socket::handshake) see. It may look up who the user is, and put that into the
    /// extensions, as in Node into `req.user`; it has to do so for the requests that open a session, those without
    /// a `sid` in their query. [`Halt`] ends it: with an answer of the middleware's own,
    /// or by refusing it with status 400 and code 3, which any error does by `?`. The body is not there, and
    /// is not read meanwhile.
    ///
    /// The future is dropped if the client goes away; a POST of such a client is then as one that never came.
    ///
    /// Within axum, a layer around the [router](crate::Server::router) does the same and more. This one works
    /// where the server owns its connections (`listen`), too.
    ///
    /// ```
    /// use http::{HeaderValue, Response, StatusCode};
    /// use sockeye_server::{Halt, Request, Server};
    ///
    /// async fn tenant_of(host: &str) -> Result<Option<HeaderValue>, std::io::Error> {
    ///     // asks a database
    /// #   Ok(Some(HeaderValue::from_static("blue")))
    /// }
    ///
    /// let io = Server::builder().engine_middleware(|mut request: Request| async move {
    ///     let host = request.headers.get("host").and_then(|host| host.to_str().ok());
    ///     let Some(tenant) = tenant_of(host.unwrap_or_default()).await? else {
    ///         let mut response = Response::new("no such tenant");
    ///         *response.status_mut() = StatusCode::NOT_FOUND;
    ///         return Err(Halt::answer(response));
    ///     };
    ///     request.headers.insert("x-tenant", tenant);
    ///     Ok(request)
    /// });
    /// ```
    #[doc(alias = "use")]
    #[doc(alias = "engine.use")]
    pub fn engine_middleware<F, A>(mut self, middleware: F) -> Self
    where
        F: Fn(Request) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Request, Halt>> + Send + 'static,
    {
        self.options.transport.hooks.middleware(middleware);
        self
    }

    /// Asks `allow` about every client that wants to connect; `Err` refuses it with that message and status
    /// 403, or as in Node 400 where it wants to connect by a websocket. It is not asked again for the later
    /// requests of a session. What the future needs of the request, the function takes out before.
    ///
    /// ```
    /// # use sockeye_server::Server;
    /// let io = Server::builder().allow_request(|request| {
    ///     let ok = request.headers.contains_key("authorization");
    ///     async move { if ok { Ok(()) } else { Err("who are you?") } }
    /// });
    /// ```
    #[doc(alias = "allowRequest")]
    pub fn allow_request<F, A, E>(mut self, allow: F) -> Self
    where
        F: Fn(&Request) -> A + Send + Sync + 'static,
        A: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Forbidden>,
    {
        self.options.transport.hooks.allow_request(allow);
        self
    }

    /// Edits the headers of the answer that opens a session.
    #[doc(alias = "initial_headers")]
    pub fn on_initial_headers(
        mut self,
        edit: impl Fn(&mut HeaderMap, &Request) + Send + Sync + 'static,
    ) -> Self {
        self.options.transport.hooks.initial_headers(edit);
        self
    }

    /// Edits the headers of every answer in the name of a session, the first one included. As in Node, an
    /// answer with an error's status, 4xx or 5xx, is none, be it about a session or not.
    ///
    /// What it sets counts, also where [`cors`](Self::cors) sets the same header; both add to `Vary`.
    #[doc(alias = "headers")]
    pub fn on_headers(
        mut self,
        edit: impl Fn(&mut HeaderMap, &Request) + Send + Sync + 'static,
    ) -> Self {
        self.options.transport.hooks.headers(edit);
        self
    }

    /// Hears of every request that is refused, with Node's code, message and context.
    #[doc(alias = "connection_error")]
    pub fn on_connection_error(
        mut self,
        hear: impl Fn(&ConnectionError<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.options.transport.hooks.connection_error(hear);
        self
    }

    /// Hears of what happens to every session, packet by packet: what Node tells by the events of a raw
    /// `engine.io` socket, which is `socket.conn` in Socket.IO. For logs, counts and the like; where there is no
    /// such function, nothing is spent on it.
    ///
    /// It is called by the threads of the server in the midst of their work, at times while others wait to
    /// write to the same client: it must be quick, and must send nothing. Where clients can be
    /// [recovered](crate::ServerBuilder::connection_state_recovery), who emits an event when it hears of one
    /// that was [`Queued`](SessionEvent::Queued) waits for itself, for ever. What one thread queues another
    /// may write at once, and then [`Sent`](SessionEvent::Sent), or the end of the session, may be told before
    /// [`Queued`](SessionEvent::Queued). A panic is logged, and changes nothing. Plain connections have no
    /// packets, and are not told of.
    ///
    /// A handler that wants to wait until all is written has [`Socket::drained`](crate::Socket::drained).
    ///
    /// ```
    /// # use sockeye_server::{PacketType, Server, SessionEvent};
    /// let io = Server::builder().on_session_event(|session, event| {
    ///     if let SessionEvent::Received(packet) = event && packet.kind == PacketType::Pong {
    ///         println!("{} answers by {}", session.handshake().address(), session.transport());
    ///     }
    /// });
    /// ```
    #[doc(alias = "conn")]
    #[doc(alias = "packet")]
    #[doc(alias = "packetCreate")]
    #[doc(alias = "flush")]
    #[doc(alias = "heartbeat")]
    #[doc(alias = "upgrading")]
    #[doc(alias = "upgrade")]
    pub fn on_session_event(
        mut self,
        hear: impl Fn(SessionRef<'_>, SessionEvent<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.options.transport.hooks.session_event(hear);
        self
    }

    /// Where the secret ids of sessions come from. Default: 120 random bits. `None`, or an id that is in
    /// use, refuses the client with status 400 and code 3. Whoever can guess an id can speak as its client.
    ///
    /// The future is dropped if the client goes away. What it needs of the request, the function takes out
    /// before.
    #[doc(alias = "generateId")]
    pub fn generate_id<F, A>(mut self, generate: F) -> Self
    where
        F: Fn(&Request) -> A + Send + Sync + 'static,
        A: Future<Output = Option<Sid>> + Send + 'static,
    {
        self.options.transport.hooks.generate_id(generate);
        self
    }
}
