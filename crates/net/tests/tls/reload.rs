//! A certificate that is replaced under a running server.

use std::path::PathBuf;
use std::time::Duration;

use sockeye_net::tls::{Acceptor, Connector, Identity, IdentityProblem, Reload, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::authority::{Authority, Issued};
use crate::identity::Directory;
use crate::pipe::pipe;
use crate::{shake, trusting, within};

struct Server {
    directory: Directory,
    authority: Authority,
    acceptor: Acceptor,
}

impl Server {
    fn new(name: &str) -> (Self, Issued) {
        let (directory, authority) = (Directory::new(name), Authority::new());
        let first = authority.issue(&["localhost"]);
        let (certificate, key) = write(&directory, &first);
        let config = ServerConfig::from_pem_files(certificate, key).expect("they match");
        let config = config.check_every(Duration::from_millis(10));
        let acceptor = Acceptor::new(config).expect("a provider");
        (Self { directory, authority, acceptor }, first)
    }

    fn write(&self, issued: &Issued) {
        write(&self.directory, issued);
    }

    /// What a client that has never been here is shown.
    async fn shown(&self) -> Vec<u8> {
        let connector = Connector::new(trusting(&self.authority)).expect("a provider");
        let (client, server) = shake(&(self.acceptor.clone(), connector), pipe(100_000)).await;
        server.expect("the client shakes hands");
        let client = client.expect("the server is trusted");
        client.peer_certificates().next().expect("it has shown one").to_vec()
    }
}

fn write(directory: &Directory, issued: &Issued) -> (PathBuf, PathBuf) {
    let certificate = directory.write("cert.pem", &issued.certificate);
    (certificate, directory.write("key.pem", &issued.key))
}

fn certificate(issued: &Issued) -> Vec<u8> {
    issued.identity().certificates().next().expect("there is one").to_vec()
}

#[tokio::test]
async fn new_connections_see_the_new_certificate_and_old_ones_live_on() {
    let (server, first) = Server::new("replaced");
    let connector = Connector::new(trusting(&server.authority)).expect("a provider");
    let (old, at_server) = shake(&(server.acceptor.clone(), connector), pipe(100_000)).await;
    let mut old = old.expect("the server is trusted");
    let mut at_server = at_server.expect("the client shakes hands");
    assert_eq!(server.shown().await, certificate(&first));

    assert_eq!(server.acceptor.reload().expect("they match"), Reload::Unchanged);
    let second = server.authority.issue(&["localhost"]);
    server.write(&second);
    assert_eq!(server.shown().await, certificate(&first));
    assert_eq!(server.acceptor.reload().expect("they match"), Reload::Replaced);
    assert_eq!(server.acceptor.reload().expect("they match"), Reload::Unchanged);
    assert_eq!(server.shown().await, certificate(&second));

    within(old.write_all(b"still here")).await.expect("the server reads");
    let mut received = [0; 10];
    within(at_server.read_exact(&mut received)).await.expect("it came");
    assert_eq!(&received, b"still here");
    let shown: Vec<_> = old.peer_certificates().collect();
    assert_eq!(shown, [&certificate(&first)[..]]);
}

#[tokio::test]
async fn half_a_pair_is_not_taken() {
    let (server, first) = Server::new("half");
    let second = server.authority.issue(&["localhost"]);
    server.directory.write("key.pem", &second.key);
    let error = server.acceptor.reload().expect_err("they do not match");
    assert!(matches!(error.problem(), IdentityProblem::KeyMismatch), "{error}");
    assert_eq!(server.shown().await, certificate(&first));
    server.directory.write("cert.pem", &second.certificate);
    assert_eq!(server.acceptor.reload().expect("they match"), Reload::Replaced);
    assert_eq!(server.shown().await, certificate(&second));
}

#[tokio::test]
async fn bad_files_leave_all_as_it_was() {
    let (server, first) = Server::new("bad");
    for bad in ["", "-----BEGIN CERTIFICATE-----\nMAA"] {
        server.directory.write("cert.pem", bad);
        server.acceptor.reload().expect_err("that is no certificate");
        assert_eq!(server.shown().await, certificate(&first));
    }
    std::fs::remove_file(server.directory.write("cert.pem", "")).expect("it is there");
    let error = server.acceptor.reload().expect_err("it is not there");
    assert!(matches!(error.problem(), IdentityProblem::Unreadable(_)), "{error}");
    assert_eq!(server.shown().await, certificate(&first));
    server.write(&first);
    assert_eq!(server.acceptor.reload().expect("they match"), Reload::Unchanged);
}

#[tokio::test]
async fn a_watched_pair_is_found_also_behind_a_bad_one() {
    let (server, first) = Server::new("watched");
    let watched = server.acceptor.clone();
    let watching = tokio::spawn(async move { watched.watch().await });
    server.directory.write("cert.pem", "nothing yet");
    assert_eq!(server.shown().await, certificate(&first));
    for _ in 0..2 {
        let next = server.authority.issue(&["localhost"]);
        server.write(&next);
        within(async {
            while server.shown().await != certificate(&next) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    watching.abort();
}

#[tokio::test]
async fn what_came_from_memory_is_not_watched() {
    let issued = Authority::new().issue(&["localhost"]);
    let identity = Identity::from_pem(issued.certificate.as_bytes(), issued.key.as_bytes());
    let config = ServerConfig::new(identity.expect("they match"));
    let acceptor = Acceptor::new(config).expect("a provider");
    within(acceptor.watch()).await;
    assert_eq!(acceptor.reload().expect("there is nothing to read"), Reload::Unchanged);
}
