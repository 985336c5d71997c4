//! Speaking with a proxy until it has connected us to the target.

use http::{HeaderValue, Method, Request, header};
use http_body_util::Empty;
use tokio::net::TcpStream;
use tokio_socks::Error as SocksError;
use tokio_socks::tcp::Socks5Stream;

use super::budget::Deadline;
use super::credentials::Credentials;
use super::error::{ProxyError, Rejection};
use super::exchange::exchange;
use super::target::Target;

/// Asks an HTTP proxy for a tunnel (RFC 9110 §9.3.6).
pub(super) async fn http(
    stream: TcpStream,
    target: &Target,
    credentials: Option<&Credentials>,
    deadline: Deadline,
) -> Result<TcpStream, ProxyError> {
    let authority = target.authority();
    let host = HeaderValue::from_str(&authority).map_err(|_| ProxyError::Name)?;
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = authority.parse().map_err(|_| ProxyError::Name)?;
    request.headers_mut().insert(header::HOST, host);
    if let Some(credentials) = credentials {
        request.headers_mut().insert(header::PROXY_AUTHORIZATION, credentials.basic());
    }
    let mut answer = exchange(stream, request).await?;
    if !answer.response.status().is_success() {
        let body = answer.body_start(deadline).await;
        return Err(ProxyError::Rejected(Box::new(Rejection::new(answer.response, body))));
    }
    let (stream, early) = answer.into_stream().await?;
    // The target does not speak before it is spoken to, neither TLS nor HTTP.
    if early.is_empty() { Ok(stream) } else { Err(ProxyError::Early(early.len())) }
}

/// Asks a SOCKS proxy for a connection (RFC 1928), and leaves the target's name for it to resolve.
pub(super) async fn socks5(
    stream: TcpStream,
    target: &Target,
    credentials: Option<&Credentials>,
) -> Result<TcpStream, ProxyError> {
    let destination = (target.host(), target.port());
    let connected = match credentials {
        None => Socks5Stream::connect_with_socket(stream, destination).await,
        Some(Credentials { user, password }) => {
            Socks5Stream::connect_with_password_and_socket(stream, destination, user, password)
                .await
        }
    };
    match connected {
        // It has not read on behind the proxy's answer.
        Ok(stream) => Ok(stream.into_inner()),
        Err(SocksError::Io(error)) => Err(ProxyError::Io(error)),
        Err(
            SocksError::InvalidResponseVersion
            | SocksError::InvalidReservedByte
            | SocksError::UnknownAddressType,
        ) => Err(ProxyError::NotSocks),
        Err(error) => Err(ProxyError::Socks(Box::new(error))),
    }
}
