//! A request to the engine, without its body.

use std::net::SocketAddr;

use http::header::{CONNECTION, HOST, HeaderName, UPGRADE};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderValue, Method, Uri, Version};
use sockeye_engineio as engineio;
use sockeye_net::http::{connect_protocol, join_cookies};

use crate::handshake::KeepExtensions;

/// What a request is judged by: its head, and whose it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// The version of HTTP.
    pub version: Version,
    /// All headers.
    pub headers: HeaderMap,
    /// The client's address: behind [trusted proxies](crate::Config), the one that they name.
    pub address: SocketAddr,
    /// Whether the client speaks TLS: to this server, or, by the word of a [trusted proxy](crate::Config), to
    /// that.
    pub secure: bool,
    /// Values beside the headers, such as the user that a [middleware](crate::Hooks::middleware) has found. Those
    /// of the request that opens a session go with its [handshake](crate::Handshake::extensions). At first there
    /// are those of the HTTP request that are to be [kept](crate::Config::keep_extensions).
    pub extensions: Extensions,
    /// Whether it is an extended CONNECT for a WebSocket, by HTTP/2.
    connects: bool,
}

impl Request {
    pub(crate) fn new(
        parts: Parts,
        address: SocketAddr,
        secure: bool,
        keep: &KeepExtensions,
    ) -> Self {
        let Parts { method, uri, version, mut headers, mut extensions, .. } = parts;
        let connects = method == Method::CONNECT
            && connect_protocol(&extensions)
                .is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"));
        join_cookies(&mut headers);
        // HTTP/2 has it in `:authority` (RFC 9113 §8.3.1).
        if !headers.contains_key(HOST)
            && let Some(authority) = uri.authority()
            && let Ok(host) = HeaderValue::from_str(authority.as_str())
        {
            headers.insert(HOST, host);
        }
        let extensions = keep.take(&mut extensions);
        Self { method, uri, version, headers, address, secure, extensions, connects }
    }

    /// A parameter of the query, decoded; the last one where there are several, as in Node.
    pub fn query(&self, name: &str) -> Option<String> {
        let pairs = engineio::pairs(self.query_string());
        pairs.filter(|(found, _)| found == name).last().map(|(_, value)| value.into_owned())
    }

    pub(crate) fn query_string(&self) -> &str {
        self.uri.query().unwrap_or_default()
    }

    /// Path and query as they stood in the first line.
    pub(crate) fn url(&self) -> &str {
        self.uri.path_and_query().map_or("/", |url| url.as_str())
    }

    /// Whether the connection is to become a WebSocket: a client that asks for another protocol, or a
    /// proxy that passes on only one of the two headers, speaks HTTP.
    pub(crate) fn is_upgrade(&self) -> bool {
        self.connects || self.is_switch()
    }

    /// Whether that is asked for by an extended CONNECT (RFC 8441).
    pub(crate) fn is_connect(&self) -> bool {
        self.connects
    }

    fn is_switch(&self) -> bool {
        has_token(&self.headers, &CONNECTION, "upgrade")
            && has_token(&self.headers, &UPGRADE, "websocket")
    }
}

/// Whether one of the header's comma-separated tokens is this, whatever its case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().any(|value| {
        let value = value.to_str().unwrap_or_default();
        value.split(',').any(|found| found.trim().eq_ignore_ascii_case(token))
    })
}
