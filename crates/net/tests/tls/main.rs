//! TLS, both roles against each other and each against rustls' usual connection.

mod authority;
mod closing;
#[path = "../common/mod.rs"]
mod common;
mod handshake;
#[cfg(feature = "http2")]
mod http2;
mod identity;
mod pipe;
#[cfg(feature = "dial")]
mod plain;
mod reload;
mod serve;
mod transfer;

use authority::Authority;
use sockeye_net::tls::{Acceptor, ClientConfig, Connector, Error, ServerConfig, Stream};
use sockeye_testkit::deadline::{DEADLINE, within};
use tokio::io::{AsyncRead, AsyncWrite};

/// A server for `localhost` and a client that trusts it.
fn pair() -> (Acceptor, Connector) {
    let authority = Authority::new();
    (acceptor(&authority), connector(&authority))
}

fn acceptor(authority: &Authority) -> Acceptor {
    let identity = authority.issue(&["localhost"]).identity();
    Acceptor::new(ServerConfig::new(identity)).expect("a provider")
}

fn connector(authority: &Authority) -> Connector {
    Connector::new(trusting(authority)).expect("a provider")
}

fn trusting(authority: &Authority) -> ClientConfig {
    ClientConfig::new().roots_from_pem(authority.pem().as_bytes()).expect("a certificate")
}

/// Both sides' handshakes over these two ends.
async fn shake<C, S>(
    (acceptor, connector): &(Acceptor, Connector),
    (client, server): (C, S),
) -> (Result<Stream<C>, Error>, Result<Stream<S>, Error>)
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connecting = connector.connect("localhost", client);
    within(async { tokio::join!(connecting, acceptor.accept(server)) }).await
}

/// The same, where nothing stands against it.
async fn connected<C, S>(ends: (C, S)) -> (Stream<C>, Stream<S>)
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (client, server) = shake(&pair(), ends).await;
    (client.expect("the server is trusted"), server.expect("the client shakes hands"))
}
