//! The client's side: from a URL to a [`WebSocket`].

use std::num::NonZeroU16;
use std::sync::Arc;
#[cfg(feature = "tls")]
use std::sync::{Mutex, PoisonError};

use http::header::{HeaderName, HeaderValue};
use sockeye_websocket::{Role, deflate};

use super::options::Options;
use super::plain::{Plain, Task};
use super::shared::{Agreed, Shared};
use super::socket::WebSocket;
use crate::dial::{self, Opened, Proxy, Secure, Target, Timeouts};

pub use crate::dial::Error as ConnectError;

/// Opens a WebSocket with the default options: `connect("ws://127.0.0.1:9001/")`.
///
/// The connection's task is spawned on the present runtime. Dropping the future before it is ready
/// closes whatever it had opened.
///
/// # Errors
///
/// Which step failed, and why: the URL, DNS, TCP, TLS, an answer of HTTP that opens nothing, or a
/// check of the handshake. Redirects are not followed.
pub async fn connect(url: &str) -> Result<WebSocket, ConnectError> {
    Client::new().connect(url).await
}

/// Opens WebSockets, all with the same options.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use sockeye_net::websocket::Client;
///
/// let client = Client::new().header("authorization".try_into()?, "Bearer token".try_into()?);
/// let mut socket = client.connect("ws://127.0.0.1:9001/").await?;
/// socket.send("hello")?;
/// println!("{:?}", socket.recv().await);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Client {
    options: Arc<Options>,
    dial: dial::Options,
    /// The connections of HTTP/2 that there are.
    #[cfg(feature = "http2")]
    pool: Arc<dial::Pool>,
}

impl Client {
    /// A client with default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// The options of the connections. Their subprotocols and their compression are what is offered.
    pub fn options(mut self, options: Options) -> Self {
        self.options = Arc::new(options);
        self
    }

    /// Another header of the request. Those that the handshake sets are an error of
    /// [`connect`](Self::connect).
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.dial.headers.append(name, value);
        self
    }

    /// Which HTTP the WebSockets are opened by. Default: HTTP/1.1.
    ///
    /// With HTTP/2, those to one server share a connection, as many as the server lets; more get another one.
    /// It is kept while one of them is open, and shared with this client's clones unless they change
    /// how servers are reached.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use sockeye_net::websocket::Client;
    /// use sockeye_net::websocket::dial::HttpVersion;
    ///
    /// let client = Client::new().http(HttpVersion::Http2);
    /// let one = client.connect("ws://127.0.0.1:9001/one").await?;
    /// let other = client.connect("ws://127.0.0.1:9001/other").await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "http2")]
    pub fn http(mut self, version: dial::HttpVersion) -> Self {
        self.dial.http = version;
        self.forget_connections()
    }

    /// How a connection of HTTP/2 finds out that its server is gone without a word. Default: by a PING after 30 s
    /// of silence, whose answer may take another 30 s.
    #[cfg(feature = "http2")]
    pub fn keep_alive(mut self, keep_alive: dial::KeepAlive) -> Self {
        self.dial.keep_alive = keep_alive;
        self.forget_connections()
    }

    /// Those that there are were reached in another way.
    fn forget_connections(self) -> Self {
        Self {
            #[cfg(feature = "http2")]
            pool: Arc::default(),
            ..self
        }
    }

    /// The proxy to go through. Default: none, whatever the environment says;
    /// [`Proxy::from_environment`] asks it.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.dial.proxy = Some(proxy);
        self.forget_connections()
    }

    /// How long each step may take.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.dial.timeouts = timeouts;
        self
    }

    /// What makes `wss://` secure, such as a `tls::Connector`. Default: one that trusts the system's
    /// certificates, with the feature `tls`; else nothing, and `wss://` is an error.
    pub fn tls(mut self, tls: Arc<dyn Secure>) -> Self {
        self.dial.tls = Some(tls);
        self.forget_connections()
    }

    /// Opens a WebSocket: as the free function [`connect`], with this client's options.
    ///
    /// # Errors
    ///
    /// As the free function's.
    pub async fn connect(&self, url: &str) -> Result<WebSocket, ConnectError> {
        let target: Target = url.parse().map_err(ConnectError::Url)?;
        let (config, grant) = self.affordable();
        let mut dial = self.dial.clone();
        dial.subprotocols.clone_from(&self.options.subprotocols);
        dial.extensions = config.as_ref().map(deflate::offer);
        if target.is_secure() && dial.tls.is_none() {
            dial.tls = system_tls(&target)?;
        }

        #[cfg(feature = "http2")]
        let opened = self.pool.connect(&target, &dial).await?;
        #[cfg(not(feature = "http2"))]
        let opened = dial::connect(&target, &dial).await?;
        let Opened { io, leftover, subprotocol, extensions, peer, .. } = opened;
        let values = extensions.iter().map(HeaderValue::as_bytes);
        let params =
            deflate::judge_answer(values, config.as_ref()).map_err(ConnectError::Compression)?;
        let takes_over = params.is_some_and(|params| {
            params.memory(Role::Client, &self.options.compression().compression) > 0
        });
        let agreed = Agreed {
            peer: Some(peer),
            subprotocol: subprotocol.and_then(|chosen| self.place(&chosen)),
            deflate: params,
            grant: grant.filter(|_| takes_over),
        };
        let shared = Arc::new(Shared::new(Role::Client, self.options.clone(), agreed));
        let socket = WebSocket::new(shared.clone());
        drop(tokio::spawn(Task::new(Plain::new(shared, params, None), io, &leftover)));
        Ok(socket)
    }

    /// What can be offered: context takeover only if the budget has room for the most that it may
    /// cost.
    fn affordable(&self) -> (Option<deflate::Config>, Option<deflate::Grant>) {
        let Some(config) = self.options.compression.clone() else { return (None, None) };
        let most = deflate::Params { client: config.client, server: config.server };
        match most.memory(Role::Client, &config.compression) {
            0 => (Some(config), None),
            bytes => match self.options.takeover_budget.grant(bytes) {
                Some(grant) => (Some(config), Some(grant)),
                None => (Some(config.without_takeover()), None),
            },
        }
    }

    fn place(&self, chosen: &str) -> Option<NonZeroU16> {
        let place = self.options.subprotocols.iter().position(|ours| ours == chosen)?;
        NonZeroU16::new(u16::try_from(place + 1).ok()?)
    }
}

/// TLS as the system trusts it, made once: reading its certificates takes some milliseconds.
#[cfg(feature = "tls")]
fn system_tls(target: &Target) -> Result<Option<Arc<dyn Secure>>, ConnectError> {
    use crate::tls::{ClientConfig, Connector};

    static SYSTEM: Mutex<Option<Arc<Connector>>> = Mutex::new(None);

    let mut system = SYSTEM.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(connector) = &*system {
        return Ok(Some(connector.clone()));
    }
    let connector = Connector::new(ClientConfig::new()).map_err(|error| ConnectError::Tls {
        host: target.host().to_owned(),
        source: error.into(),
    })?;
    Ok(Some(system.insert(Arc::new(connector)).clone()))
}

#[cfg(not(feature = "tls"))]
fn system_tls(_: &Target) -> Result<Option<Arc<dyn Secure>>, ConnectError> {
    Ok(None)
}
