//! From a request to a WebSocket: the server's side of the opening handshake in terms of HTTP.

use std::error;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::upgrade::OnUpgrade;
use sockeye_websocket::handshake::server as handshake;
use sockeye_websocket::{Role, deflate};

use super::options::Options;
use super::plain::{Handling, Plain, Task};
use super::shared::{Agreed, Shared};
use super::socket::WebSocket;
use crate::http::{Body, Successor, connect_protocol, full, refused, take_over};
use crate::io::Io;

/// A request that opens a WebSocket, judged by every rule of RFC 6455 §4.2.1 and not yet answered.
///
/// Over HTTP/2 (with the feature `http2`) that is an extended CONNECT, judged by RFC 8441 §5. The server has to
/// allow those (hyper's `enable_connect_protocol`, which `axum::serve` sets) and its route to take any method.
///
/// For HTTP servers on hyper and tokio, whatever framework is above them. With axum:
///
/// ```
/// use axum::Router;
/// use axum::extract::Request;
/// use axum::response::{IntoResponse, Response};
/// use axum::routing::any;
/// use sockeye_net::websocket::{Options, Upgrade, WebSocket};
///
/// async fn echo(mut request: Request) -> Response {
///     match Upgrade::judge(&mut request, &Options::default().into()) {
///         Ok(upgrade) => upgrade.run(|mut socket: WebSocket| async move {
///             while let Some(message) = socket.recv().await {
///                 socket.send(message).ok();
///             }
///         }).map(axum::body::Body::new),
///         Err(refused) => refused.into_response().map(axum::body::Body::new),
///     }
/// }
///
/// let router: Router = Router::new().route("/echo", any(echo));
/// ```
pub struct Upgrade {
    response: Response<()>,
    options: Arc<Options>,
    agreed: Agreed,
    on_upgrade: Option<OnUpgrade>,
}

/// Why a request opens no WebSocket, with the answer that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(handshake::Refusal);

impl Upgrade {
    /// Judges a request, and takes what hands its connection over later.
    ///
    /// # Errors
    ///
    /// [`Refused`] if it opens no WebSocket: an ordinary request, most likely.
    pub fn judge<B>(request: &mut Request<B>, options: &Arc<Options>) -> Result<Self, Refused> {
        let response = match *request.method() {
            Method::CONNECT if request.version() == Version::HTTP_2 => connected(request)?,
            _ => switching_protocols(request)?,
        };
        let mut upgrade = Self {
            response,
            options: options.clone(),
            agreed: Agreed::default(),
            on_upgrade: Some(hyper::upgrade::on(&mut *request)),
        };
        upgrade.choose_subprotocol(request.headers());
        upgrade.agree_on_compression(request.headers());
        Ok(upgrade)
    }

    /// The first of ours that the client offers (RFC 6455 §4.2.2).
    fn choose_subprotocol(&mut self, headers: &HeaderMap) {
        let offers = headers.get_all(SEC_WEBSOCKET_PROTOCOL);
        let offered = |ours: &String| {
            let lists = offers.iter().filter_map(|list| list.to_str().ok());
            lists.flat_map(|list| list.split(',')).any(|offer| offer.trim() == ours.as_str())
        };
        let ours = &self.options.subprotocols;
        let chosen = ours.iter().zip(1..).find(|(ours, _)| offered(ours));
        let Some((chosen, place)) = chosen else { return };
        // One that is no header's value cannot have been offered.
        let Ok(value) = HeaderValue::from_str(chosen) else { return };
        self.agreed.subprotocol = NonZeroU16::new(place);
        self.response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, value);
    }

    /// Accepts the first offer of compression that is valid (RFC 7692 §5.1).
    fn agree_on_compression(&mut self, headers: &HeaderMap) {
        let Some(config) = &self.options.compression else { return };
        let offers = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().map(HeaderValue::as_bytes);
        let Some(answer) = deflate::answer(offers, config) else { return };
        let (answer, grant) = answer.within(&self.options.takeover_budget, &config.compression);
        let value = HeaderValue::from_str(&answer.to_string()).expect("parameters are ASCII");
        self.response.headers_mut().insert(SEC_WEBSOCKET_EXTENSIONS, value);
        self.agreed.deflate = Some(answer.params());
        self.agreed.grant = grant;
    }

    /// The peer's address, to be told by [`Sender::peer`](super::Sender::peer).
    #[must_use]
    pub fn peer(mut self, peer: SocketAddr) -> Self {
        self.agreed.peer = Some(peer);
        self
    }

    /// The answer's headers, to add to.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.response.headers_mut()
    }

    /// The subprotocol that the answer names.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        let place = usize::from(self.agreed.subprotocol?.get());
        self.options.subprotocols.get(place - 1).map(String::as_str)
    }

    /// Spawns the connection's task, which begins once this answer has been sent.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn run<F, R>(mut self, handler: F) -> Response<Body>
    where
        F: FnOnce(WebSocket) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let on_upgrade = self.take_on_upgrade();
        let (response, successor) =
            self.into_successor(Box::new(|socket| Box::pin(handler(socket))));
        if let Some(on_upgrade) = on_upgrade {
            drop(tokio::spawn(take_over(on_upgrade, successor)));
        }
        response.map(|()| full(""))
    }

    /// What hands the connection over, unless the listener is our own.
    pub(crate) fn take_on_upgrade(&mut self) -> Option<OnUpgrade> {
        self.on_upgrade.take()
    }

    pub(crate) fn into_successor(self, begin: Begin) -> (Response<()>, Accepted) {
        let Self { response, options, agreed, .. } = self;
        let deflate = agreed.deflate;
        let shared = Arc::new(Shared::new(Role::Server, options, agreed));
        (response, Accepted { shared, deflate, begin })
    }
}

/// The answer to a handshake over HTTP/1.1.
fn switching_protocols<B>(request: &Request<B>) -> Result<Response<()>, Refused> {
    let version = match request.version() {
        Version::HTTP_09 => (0, 9),
        Version::HTTP_10 => (1, 0),
        Version::HTTP_11 => (1, 1),
        _ => (2, 0),
    };
    let headers = request.headers().iter();
    let accept = handshake::judge(handshake::Request {
        method: request.method().as_str(),
        version,
        headers: headers.map(|(name, value)| (name.as_str(), value.as_bytes())),
    })
    .map_err(Refused)?;
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    let key = HeaderValue::from_bytes(accept.accept_key.as_bytes()).expect("base64 is ASCII");
    headers.insert(SEC_WEBSOCKET_ACCEPT, key);
    Ok(response)
}

/// The answer to one over HTTP/2.
fn connected<B>(request: &Request<B>) -> Result<Response<()>, Refused> {
    let headers = request.headers().iter();
    handshake::judge_connect(handshake::Connect {
        protocol: connect_protocol(request.extensions()),
        headers: headers.map(|(name, value)| (name.as_str(), value.as_bytes())),
    })
    .map_err(Refused)?;
    Ok(Response::new(()))
}

/// Begins to handle a connection.
pub(crate) type Begin = Box<dyn FnOnce(WebSocket) -> Handling + Send>;

/// What goes on behind a `101`.
pub(crate) struct Accepted {
    pub(crate) shared: Arc<Shared>,
    deflate: Option<deflate::Params>,
    begin: Begin,
}

impl Successor for Accepted {
    type Task = Task;

    fn start(self, io: Io, leftover: &[u8]) -> Task {
        let Self { shared, deflate, begin } = self;
        let handling = begin(WebSocket::new(shared.clone()));
        Task::new(Plain::new(shared, deflate, Some(handling)), io, leftover)
    }
}

impl Refused {
    /// The answer: a status that fits, and a sentence for whoever wrote the client.
    #[must_use]
    pub fn into_response(self) -> Response<Body> {
        refused(self.0)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl error::Error for Refused {}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").field("response", &self.response).finish_non_exhaustive()
    }
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted").field("peer", &self.shared.peer()).finish_non_exhaustive()
    }
}
