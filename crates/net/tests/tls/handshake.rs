//! Who shakes hands with whom, and what is said where that fails.

use std::io::ErrorKind;
use std::task::{Context, Poll, Waker};

use rcgen::date_time_ymd;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sockeye_net::tls::{
    Acceptor, CertificateFault, ClientConfig, Connector, Error, H2, HTTP_1_1, ServerConfig,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::authority::{Authority, Issued};
use crate::pipe::pipe;
use crate::{acceptor, connected, connector, pair, shake, trusting, within};

fn serving(issued: &Issued) -> Acceptor {
    Acceptor::new(ServerConfig::new(issued.identity())).expect("a provider")
}

/// What the client finds wrong with the server's certificate, and the alert that the server gets.
async fn fault(
    acceptor: &Acceptor,
    connector: &Connector,
    host: &str,
) -> (CertificateFault, String) {
    let (client, server) = pipe(100_000);
    let connecting = connector.connect(host, client);
    let (client, server) =
        within(async { tokio::join!(connecting, acceptor.accept(server)) }).await;
    let fault = match client {
        Err(Error::Certificate(fault)) => fault,
        other => panic!("{other:?}"),
    };
    let alert = match server {
        Err(Error::Refused(alert)) => alert,
        other => panic!("{other:?}"),
    };
    (fault, alert)
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let authority = Authority::new();
    let acceptor = serving(&authority.issue(&["example.org", "*.example.net", "127.0.0.1"]));
    let connector = connector(&authority);
    for host in ["localhost", "a.b.example.net", "127.0.0.2", "[::1]"] {
        let (fault, alert) = fault(&acceptor, &connector, host).await;
        let CertificateFault::WrongHost { expected, presented } = &fault else {
            panic!("{fault:?}")
        };
        assert_eq!(expected, host.trim_matches(['[', ']']));
        assert_eq!(presented, &["example.org", "*.example.net", "127.0.0.1"]);
        assert_eq!(alert, "BadCertificate");
        let said = Error::Certificate(fault.clone()).to_string();
        assert!(said.contains("is not for") && said.contains("example.org"), "{said}");
    }
    for host in ["example.org", "a.example.net", "127.0.0.1"] {
        let (client, server) = pipe(100_000);
        let connecting = connector.connect(host, client);
        let (client, server) =
            within(async { tokio::join!(connecting, acceptor.accept(server)) }).await;
        client.expect("it is for that host");
        server.expect("the client shakes hands");
    }
}

#[tokio::test]
async fn a_certificate_of_an_unknown_issuer_is_refused() {
    let acceptor = acceptor(&Authority::new());
    let found = fault(&acceptor, &connector(&Authority::new()), "localhost").await;
    assert_eq!(found, (CertificateFault::UnknownIssuer, "UnknownCA".into()));
}

/// Where the operating system has no certificates at all, there is no connector to begin with.
#[tokio::test]
async fn whom_the_system_does_not_know_it_does_not_trust() {
    let acceptor = acceptor(&Authority::new());
    let Ok(connector) = Connector::new(ClientConfig::new()) else { return };
    let found = fault(&acceptor, &connector, "localhost").await;
    assert_eq!(found.0, CertificateFault::UnknownIssuer);
}

#[tokio::test]
async fn a_certificate_out_of_its_time_is_refused() {
    let authority = Authority::new();
    let connector = connector(&authority);
    let expired = authority.issue_with(&["localhost"], |params| {
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    let found = fault(&serving(&expired), &connector, "localhost").await;
    assert_eq!(found, (CertificateFault::Expired, "CertificateExpired".into()));
    let future = authority.issue_with(&["localhost"], |params| {
        params.not_before = date_time_ymd(4000, 1, 1);
    });
    let found = fault(&serving(&future), &connector, "localhost").await;
    assert_eq!(found.0, CertificateFault::NotValidYet);
}

#[tokio::test]
async fn whoever_accepts_any_certificate_accepts_those() {
    let authority = Authority::new();
    let expired = authority.issue_with(&["example.org"], |params| {
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    let anybody = ClientConfig::new().dangerous_accept_any_certificate();
    let pair = (serving(&expired), Connector::new(anybody).expect("a provider"));
    let (client, server) = shake(&pair, pipe(100_000)).await;
    let client = client.expect("anybody will do");
    server.expect("the client shakes hands");
    let shown = CertificateDer::from_pem_slice(expired.certificate.as_bytes()).expect("PEM");
    assert_eq!(client.peer_certificates().collect::<Vec<_>>(), [shown.as_ref()]);
}

#[tokio::test]
async fn a_host_without_a_name_is_an_error_before_anything_is_sent() {
    let (_, connector) = pair();
    for host in ["", "not a host", "[::1", "ex..ample"] {
        let (client, mut server) = pipe(100_000);
        let error = within(connector.connect(host, client)).await.expect_err("no name");
        assert!(matches!(&error, Error::Host(named) if named == host), "{error}");
        let mut sent = Vec::new();
        within(server.read_to_end(&mut sent)).await.expect("it is closed");
        assert_eq!(sent, b"");
    }
}

#[tokio::test]
async fn the_protocol_is_agreed_on() {
    let authority = Authority::new();
    let identity = authority.issue(&["localhost"]).identity();
    let both = ServerConfig::new(identity).alpn([H2, HTTP_1_1]);
    let acceptor = Acceptor::new(both).expect("a provider");
    let offers = [
        (vec![HTTP_1_1], Some(HTTP_1_1)),
        (vec![H2], Some(H2)),
        // The server's order counts.
        (vec![HTTP_1_1, H2], Some(H2)),
        (vec![], None),
    ];
    for (offered, agreed) in offers {
        let config = trusting(&authority).alpn(offered);
        let pair = (acceptor.clone(), Connector::new(config).expect("a provider"));
        let (client, server) = shake(&pair, pipe(100_000)).await;
        assert_eq!(client.expect("the server is trusted").alpn(), agreed);
        assert_eq!(server.expect("the client shakes hands").alpn(), agreed);
    }
    let other = Connector::new(trusting(&authority).alpn(["gopher"])).expect("a provider");
    let (client, server) = shake(&(acceptor, other), pipe(100_000)).await;
    let refused = client.expect_err("no gopher");
    assert!(
        matches!(&refused, Error::Refused(alert) if alert == "NoApplicationProtocol"),
        "{refused}"
    );
    assert!(matches!(server.expect_err("no gopher"), Error::Incompatible(_)));
}

#[tokio::test]
async fn a_client_shows_its_certificate_to_whoever_asks() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let issued = authority.issue(&["localhost"]);
    let mut roots = rustls::RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(clients.pem().as_bytes()).expect("PEM");
    roots.add(root).expect("a certificate");
    let verifier = rustls::server::WebPkiClientVerifier::builder(roots.into()).build();
    let config = rustls::ServerConfig::builder()
        .with_client_cert_verifier(verifier.expect("there is a root"))
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(issued.certificate.as_bytes()).expect("PEM")],
            PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("PEM"),
        )
        .expect("they match");
    let acceptor = Acceptor::from_rustls(config.into());
    let own = clients.issue(&["a client"]);
    let known = trusting(&authority).identity(own.identity());
    let known = Connector::new(known).expect("a provider");
    let (client, server) = shake(&(acceptor.clone(), known), pipe(100_000)).await;
    client.expect("the server is trusted");
    let server = server.expect("the client is, too");
    let shown = CertificateDer::from_pem_slice(own.certificate.as_bytes()).expect("PEM");
    assert_eq!(server.peer_certificates().collect::<Vec<_>>(), [shown.as_ref()]);

    let (_, server) = shake(&(acceptor, connector(&authority)), pipe(100_000)).await;
    let error = server.expect_err("it must show one");
    assert!(matches!(error, Error::Certificate(CertificateFault::Missing)), "{error}");
}

#[tokio::test]
async fn who_does_not_speak_tls_is_told_at_once() {
    let (acceptor, _) = pair();
    let (mut client, server) = pipe(100_000);
    within(client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")).await.expect("room");
    let error = within(acceptor.accept(server)).await.expect_err("that is no TLS");
    assert!(matches!(error, Error::NotTls), "{error}");
    let mut told = Vec::new();
    within(client.read_to_end(&mut told)).await.expect("it is closed");
    // A fatal alert, in the clear (RFC 8446 §6).
    assert_eq!((told.len(), told[0], told[5]), (7, 21, 2), "{told:?}");
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_named_as_such() {
    let (_, connector) = pair();
    let (client, mut server) = pipe(100_000);
    within(server.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")).await.expect("room");
    let error = within(connector.connect("localhost", client)).await.expect_err("no TLS");
    assert!(matches!(error, Error::NotTls), "{error}");
}

#[tokio::test]
async fn a_client_cut_anywhere_in_its_handshake_leaves_no_stream() {
    let pair = pair();
    let length = connected(pipe(100_000)).await.0.get_ref().written();
    for cut in 0..length {
        let (client, server) = pipe(100_000);
        let (client, server) = shake(&pair, (client.cut_after(cut), server)).await;
        client.expect_err("its output is cut");
        match server.expect_err("its input is cut") {
            Error::Io(error) => assert_eq!(error.kind(), ErrorKind::UnexpectedEof),
            error => panic!("cut after {cut}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_server_cut_anywhere_in_its_handshake_leaves_no_stream() {
    let pair = pair();
    let server = shake(&pair, pipe(100_000)).await.1.expect("the client shakes hands");
    // Signatures are not all of the same length.
    let tickets = server.get_ref().written() - 16;
    let (mut whole, mut cut) = (0, 0);
    while cut < tickets {
        let (client, server) = pipe(100_000);
        let (client, server) = shake(&pair, (client, server.cut_after(cut))).await;
        server.expect_err("its output is cut");
        // What comes behind the server's last message are tickets, which a client does not wait for.
        match client {
            Ok(_) => whole += 1,
            Err(Error::Io(error)) => {
                assert_eq!(whole, 0, "after {cut}");
                // It reads the end, or writes to nobody.
                let kinds = [ErrorKind::UnexpectedEof, ErrorKind::BrokenPipe];
                assert!(kinds.contains(&error.kind()), "after {cut}: {error}");
            }
            Err(error) => panic!("cut after {cut}: {error}"),
        }
        cut += 3;
    }
    assert!(whole > 0 && whole < tickets / 3);
}

/// Whatever comes, nothing panics and nobody waits for ever.
#[tokio::test]
async fn noise_is_an_error() {
    let (acceptor, connector) = pair();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut noise = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for round in 0..500 {
        let mut bytes: Vec<u8> = (0..noise() % 600).map(|_| noise() as u8).collect();
        if round % 2 == 0 {
            // A proper head makes rustls look further.
            let length = (bytes.len() as u16).to_be_bytes();
            let kind = 20 + (noise() % 4) as u8;
            bytes.splice(..0, [kind, 3, 3, length[0], length[1]]);
        }
        for server in [true, false] {
            let (ours, mut theirs) = pipe(100_000);
            within(theirs.write_all(&bytes)).await.expect("room");
            within(theirs.shutdown()).await.expect("room");
            let failed = match server {
                true => within(acceptor.accept(ours)).await.err(),
                false => within(connector.connect("localhost", ours)).await.err(),
            };
            failed.expect("that was noise");
        }
    }
}

/// A flipped bit anywhere in a client's handshake. Both sides may wait for more than there is then.
#[test]
fn a_changed_handshake_is_an_error_or_no_change() {
    let (acceptor, connector) = pair();
    let shake = |flip| {
        let (client, server) = pipe(100_000);
        let mut connecting = Box::pin(connector.connect("localhost", client.flip_at(flip)));
        let mut accepting = Box::pin(acceptor.accept(server));
        let (mut connected, mut accepted) = (None, None);
        // Each in turn, as long as either of them has something to do.
        for _ in 0..100 {
            let mut cx = Context::from_waker(Waker::noop());
            if connected.is_none()
                && let Poll::Ready(done) = connecting.as_mut().poll(&mut cx)
            {
                connected = Some(done);
            }
            if accepted.is_none()
                && let Poll::Ready(done) = accepting.as_mut().poll(&mut cx)
            {
                accepted = Some(done);
            }
        }
        (connected, accepted)
    };
    let (Some(Ok(client)), Some(Ok(_))) = shake(usize::MAX) else { panic!("nothing was changed") };
    let whole: Vec<usize> = (0..client.get_ref().written())
        .filter(|flip| matches!(shake(*flip), (_, Some(Ok(_)))))
        .collect();
    // The version in a record's head is looked at by nobody (RFC 8446 §5.1), nor is what middleboxes want to see
    // (§D.4); all else is.
    assert!(whole.len() <= 8, "{whole:?} of {} bytes", client.get_ref().written());
}
