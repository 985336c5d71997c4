//! The connections of HTTP/2 that a client has: WebSockets to one server share one (RFC 8441).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use http::header;
use sockeye_websocket::handshake::client;

use super::budget::{Budget, Deadline};
use super::error::{Error, Http2Error, Phase, Rejection};
use super::exchange::{SHOWN, shown};
use super::options::{HttpVersion, Options};
use super::target::Target;
use super::{Opened, dial, reach_target, redirection, shake_hands};
use crate::http2::client::{Connection, Failed, Place};
use crate::http2::{ALPN, Held, Stream};
use crate::io::Io;

/// What is offered through TLS by who would speak either.
const EITHER: &[&[u8]] = &[ALPN, b"http/1.1"];

/// Opens WebSockets that share connections, where HTTP/2 is spoken.
///
/// A connection belongs to the WebSockets on it: when the last one ends, so does the connection. A request that a
/// shared connection's server says it did not process (RFC 9113 §8.7) is sent once more, on another one; no
/// other request is ever repeated. Whoever uses one pool with different [`Options`] must mean the same servers and proxies by them.
#[derive(Debug, Default)]
pub struct Pool {
    servers: Mutex<HashMap<Server, Arc<Known>>>,
}

/// Whom connections can be shared with: the same scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Server {
    is_secure: bool,
    authority: String,
}

/// What is known of a server. One dials at a time, so that the others can share what comes of it.
#[derive(Debug, Default)]
struct Known(tokio::sync::Mutex<Best>);

#[derive(Debug, Default)]
enum Best {
    #[default]
    Unknown,
    Http2(Weak<Connection>),
    /// It opens no WebSockets over HTTP/2.
    Http1,
}

impl Pool {
    /// A pool without connections.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a WebSocket: as [`connect`](super::connect) does, and on a connection that is there already if
    /// there is one that the server allows another stream on.
    ///
    /// Dropped before it is done, it resets its stream, or closes what it had opened.
    ///
    /// # Errors
    ///
    /// Which step failed, and why.
    pub async fn connect(&self, target: &Target, options: &Options) -> Result<Opened, Error> {
        let speaks_http1 = match options.http {
            HttpVersion::Http1 => true,
            HttpVersion::Either => !target.is_secure(),
            HttpVersion::Http2 => false,
        };
        // The steps' states are large, and are over soon.
        if speaks_http1 {
            return Box::pin(dial(target, options)).await;
        }
        options.validate()?;
        let budget = Budget::new(options.timeouts.total);
        Box::pin(self.share(target, options, budget)).await
    }

    async fn share(
        &self,
        target: &Target,
        options: &Options,
        budget: Budget,
    ) -> Result<Opened, Error> {
        let known = self.known(target);
        let mut ended = Weak::new();
        loop {
            let (place, fresh) = match self.reach(&known, &ended, target, options, budget).await? {
                Reached::Http2 { place, fresh } => (place, fresh),
                Reached::Http1(opened) => return Ok(*opened),
            };
            let connection = Arc::downgrade(&place.connection);
            match open(place, target, options, budget).await {
                // It was about to end when it was found; the server has not processed the request.
                Err(Error::Http2(Http2Error::NotBegun(_))) if !fresh => ended = connection,
                opened => return opened,
            }
        }
    }

    fn known(&self, target: &Target) -> Arc<Known> {
        let server = Server { is_secure: target.is_secure(), authority: target.authority() };
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = servers.get(&server) {
            return known.clone();
        }
        // Servers that nothing is open to any more need not be known.
        servers.retain(|_, known| Arc::strong_count(known) > 1 || known.is_of_use());
        servers.entry(server).or_default().clone()
    }

    /// A place on a connection, which is opened if there is none but the one that has ended.
    async fn reach(
        &self,
        known: &Known,
        ended: &Weak<Connection>,
        target: &Target,
        options: &Options,
        budget: Budget,
    ) -> Result<Reached, Error> {
        let waiting = budget.total().run(known.0.lock());
        let mut best = waiting.await.map_err(|deadline| deadline.missed(Phase::Http))?;
        match &*best {
            Best::Http2(connection) if connection.ptr_eq(ended) => *best = Best::Unknown,
            Best::Http2(connection) => {
                if let Some(place) = connection.upgrade().and_then(|found| found.place()) {
                    return Ok(Reached::Http2 { place, fresh: false });
                }
            }
            Best::Http1 => {
                drop(best);
                return self.fall_back(target, options, budget).await;
            }
            Best::Unknown => {}
        }
        let protocols: &[&[u8]] =
            if options.http == HttpVersion::Either { EITHER } else { &[ALPN] };
        let (io, peer) = reach_target(target, options, budget, Some(protocols)).await?;
        if target.is_secure() && io.alpn() != Some(ALPN) {
            if options.http == HttpVersion::Http2 {
                return Err(Error::Http2(Http2Error::NotChosen));
            }
            *best = Best::Http1;
            drop(best);
            let opened = shake_hands(io, peer, target, options, budget).await?;
            return Ok(Reached::Http1(Box::new(opened)));
        }
        let beginning = async {
            let connection = Connection::begin(io, peer, options.keep_alive).await;
            let connection = connection.map_err(|error| Error::Http2(Http2Error::Broken(error)))?;
            let opens_websockets = connection.opens_websockets().await;
            Ok((connection, opens_websockets))
        };
        let (connection, opens_websockets) =
            budget.spend(Phase::Http, options.timeouts.http, beginning).await?;
        let gone = || {
            let why = "the connection was closed before the server's settings had come";
            let error = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, why);
            Error::Http2(Http2Error::Broken(error))
        };
        match opens_websockets {
            None => Err(gone()),
            Some(false) if options.http == HttpVersion::Either => {
                *best = Best::Http1;
                drop((best, connection));
                self.fall_back(target, options, budget).await
            }
            Some(false) => Err(Error::Http2(Http2Error::NoWebSockets)),
            Some(true) => {
                let place = connection.place().ok_or_else(gone)?;
                *best = Best::Http2(Arc::downgrade(&connection));
                Ok(Reached::Http2 { place, fresh: true })
            }
        }
    }

    async fn fall_back(
        &self,
        target: &Target,
        options: &Options,
        budget: Budget,
    ) -> Result<Reached, Error> {
        let (io, peer) = reach_target(target, options, budget, Some(&EITHER[1..])).await?;
        let opened = shake_hands(io, peer, target, options, budget).await?;
        Ok(Reached::Http1(Box::new(opened)))
    }
}

enum Reached {
    Http2 {
        place: Place,
        /// The connection was opened for it.
        fresh: bool,
    },
    Http1(Box<Opened>),
}

impl Known {
    fn is_of_use(&self) -> bool {
        match self.0.try_lock().as_deref() {
            Ok(Best::Http2(connection)) => connection.strong_count() > 0,
            Ok(Best::Unknown | Best::Http1) => false,
            Err(_) => true,
        }
    }
}

/// The opening handshake on a stream.
async fn open(
    place: Place,
    target: &Target,
    options: &Options,
    budget: Budget,
) -> Result<Opened, Error> {
    let deadline = budget.deadline(options.timeouts.http);
    let late = |deadline: Deadline| deadline.missed(Phase::Http);
    let request = options
        .connect_request(target)
        .map_err(|error| Error::Http2(Http2Error::Broken(std::io::Error::other(error))))?;
    let asking = async {
        let (response, sender) = place.send(request).await?;
        Ok::<_, Failed>((response.await?, sender))
    };
    let (response, sender) = deadline.run(asking).await.map_err(late)??;
    let (head, mut receiver) = response.into_parts();
    let response = http::Response::from_parts(head, ());
    let (status, headers) = (response.status(), response.headers());
    if !status.is_success() {
        if let Some(to) = redirection(status, headers) {
            return Err(Error::Redirected { status, to: target.join(&to) });
        }
        let body = body_start(&mut receiver, deadline).await;
        return Err(Error::Rejected(Box::new(Rejection::new(response, body))));
    }
    let asked = options.asked("");
    let lines = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let answer = client::Response { status: status.as_u16(), headers: lines };
    let accepted = client::judge_connect(&asked, answer)?;
    let subprotocol = accepted.subprotocol.map(str::to_owned);
    let extensions = match accepted.extensions.is_empty() {
        true => Vec::new(),
        false => headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).iter().cloned().collect(),
    };
    let headers = headers.clone();
    let peer = place.connection.peer;
    let io = Io::from(Stream::new(sender, receiver, Held::Place { _place: place }));
    Ok(Opened { io, leftover: Bytes::new(), subprotocol, extensions, headers, peer })
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        Self::Http2(match failed {
            Failed::NotBegun(error) => Http2Error::NotBegun(error),
            Failed::Broken(error) => Http2Error::Broken(error),
        })
    }
}

/// A body's beginning as text, as far as it comes in time.
async fn body_start(receiver: &mut h2::RecvStream, deadline: Deadline) -> String {
    let mut start = Vec::new();
    let mut whole = false;
    let reading = async {
        while start.len() <= SHOWN {
            match receiver.data().await {
                Some(Ok(data)) => start.extend_from_slice(&data[..data.len().min(SHOWN + 1)]),
                Some(Err(_)) => return,
                None => {
                    whole = true;
                    return;
                }
            }
        }
    };
    // What has come by then is better than nothing.
    let _ = deadline.run(reading).await;
    shown(start, whole)
}
