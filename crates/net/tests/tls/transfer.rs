//! Bytes through TLS: all of them, in order, whatever the streams below do.

use std::future::poll_fn;
use std::io::{IoSlice, Read, Write};
use std::net::TcpListener as StdListener;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::authority::Authority;
use crate::pipe::{Pipe, pipe};
use crate::{DEADLINE, acceptor, connected, within};

/// The most plaintext that a stream holds which nobody takes.
const BATCH: usize = 48 * 1024;

/// Bytes that say where they belong.
fn text(len: usize) -> Vec<u8> {
    (0..len).map(|position| ((position / 7) ^ position) as u8).collect()
}

/// Both send `len` bytes at once, and read what the other one sends.
async fn exchange(ends: (Pipe, Pipe), len: usize) {
    let (client, server) = connected(ends).await;
    let side = async |stream, first: u8| {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let sending = async {
            writer.write_all(&[first]).await.expect("the peer reads");
            writer.write_all(&text(len)).await.expect("the peer reads");
            writer.shutdown().await.expect("the peer reads");
        };
        let receiving = async {
            let mut received = Vec::new();
            reader.read_to_end(&mut received).await.expect("a proper end");
            received
        };
        tokio::join!(sending, receiving).1
    };
    let (at_client, at_server) =
        within(async { tokio::join!(side(client, b'c'), side(server, b's')) }).await;
    assert_eq!((at_client[0], at_server[0]), (b's', b'c'));
    assert!(at_client[1..] == text(len), "{} bytes came", at_client.len());
    assert!(at_server[1..] == text(len), "{} bytes came", at_server.len());
}

#[tokio::test]
async fn megabytes_both_ways_at_once() {
    exchange(pipe(1024 * 1024), 4_000_000).await;
}

#[tokio::test]
async fn megabytes_through_a_narrow_pipe() {
    exchange(pipe(777), 1_000_000).await;
}

#[tokio::test]
async fn everything_byte_by_byte() {
    let (client, server) = pipe(64);
    exchange((client.by_steps_of(1), server.by_steps_of(1)), 40_000).await;
}

#[tokio::test]
async fn everything_by_odd_steps() {
    for step in [2, 5, 6, 1000, 16_384, 16_406] {
        let (client, server) = pipe(100_000);
        exchange((client.by_steps_of(step), server.by_steps_of(step + 1)), 200_000).await;
    }
}

#[tokio::test]
async fn slices_leave_in_one_record_by_one_write() {
    let (mut client, mut server) = connected(pipe(100_000)).await;
    let (writes, bytes) = (client.get_ref().writes(), client.get_ref().written());
    let slices = [&b"one "[..], b"", b"two ", b"three"].map(IoSlice::new);
    let written = within(client.write_vectored(&slices)).await.expect("the peer reads");
    assert_eq!(written, 13);
    assert_eq!(client.get_ref().writes(), writes + 1);
    // Head, type and tag of one record (RFC 8446 §5.2).
    assert_eq!(client.get_ref().written(), bytes + 5 + 13 + 1 + 16);
    let mut received = [0; 13];
    within(server.read_exact(&mut received)).await.expect("they came");
    assert_eq!(&received, b"one two three");
}

#[tokio::test]
async fn nothing_written_is_nothing_sent() {
    let (mut client, _server) = connected(pipe(100_000)).await;
    let writes = client.get_ref().writes();
    assert_eq!(within(client.write(b"")).await.expect("it is open"), 0);
    assert_eq!(within(client.write_vectored(&[])).await.expect("it is open"), 0);
    assert_eq!(client.get_ref().writes(), writes);
}

#[tokio::test]
async fn a_peer_that_does_not_read_stops_the_writer() {
    let (mut client, mut server) = connected(pipe(1000)).await;
    let sent = text(200_000);
    let mut accepted = 0;
    poll_fn(|cx| {
        while let Poll::Ready(written) = Pin::new(&mut client).poll_write(cx, &sent[accepted..]) {
            accepted += written.expect("the connection lives");
        }
        Poll::Ready(())
    })
    .await;
    assert!((1..=BATCH).contains(&accepted), "{accepted} bytes wait");
    let rest = accepted;
    let (received, ()) = within(async {
        let receiving = async {
            let mut received = vec![0; sent.len()];
            server.read_exact(&mut received).await.expect("all comes");
            received
        };
        let sending = async {
            client.write_all(&sent[rest..]).await.expect("the peer reads now");
            client.flush().await.expect("the peer reads now");
        };
        tokio::join!(receiving, sending)
    })
    .await;
    assert!(received == sent);
}

#[tokio::test]
async fn a_write_that_is_given_up_loses_nothing() {
    let (mut client, mut server) = connected(pipe(500)).await;
    let sent = text(100_000);
    let writing = async {
        let mut accepted = 0;
        while accepted < sent.len() {
            // Whatever a dropped write has not reported is written again.
            let write = client.write(&sent[accepted..]);
            tokio::select! {
                biased;
                written = write => accepted += written.expect("the peer reads"),
                () = tokio::task::yield_now() => {}
            }
        }
        client.flush().await.expect("the peer reads");
    };
    let reading = async {
        let mut received = Vec::new();
        let mut buffer = [0; 333];
        while received.len() < sent.len() {
            tokio::select! {
                biased;
                count = server.read(&mut buffer) => {
                    received.extend_from_slice(&buffer[..count.expect("more comes")]);
                }
                () = tokio::task::yield_now() => {}
            }
        }
        received
    };
    let ((), received) = within(async { tokio::join!(writing, reading) }).await;
    assert!(received == sent);
}

static TLS_1_3: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];
static TLS_1_2: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];

/// rustls' usual connection, blocking, against a server that echoes.
fn with_usual_client(
    config: impl FnOnce(&mut rustls::ClientConfig) + Send + 'static,
    versions: &'static [&'static rustls::SupportedProtocolVersion],
    talk: impl FnOnce(&Arc<rustls::ClientConfig>, &dyn Fn(&Arc<rustls::ClientConfig>) -> Usual)
    + Send
    + 'static,
) {
    let authority = Authority::new();
    let acceptor = acceptor(&authority);
    let listener = StdListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    listener.set_nonblocking(true).expect("a socket may be non-blocking");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let client = std::thread::spawn(move || {
        let mut roots = rustls::RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(authority.pem().as_bytes());
        roots.add(root.expect("PEM")).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut made = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("known versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config(&mut made);
        talk(&Arc::new(made), &|config| {
            let name = ServerName::try_from("localhost").expect("a name");
            let socket = std::net::TcpStream::connect(address).expect("the server listens");
            socket.set_read_timeout(Some(DEADLINE)).expect("a valid timeout");
            let client = rustls::ClientConnection::new(config.clone(), name).expect("a client");
            rustls::StreamOwned::new(client, socket)
        });
    });
    runtime.expect("a runtime").block_on(async {
        let listener = TcpListener::from_std(listener).expect("it is non-blocking");
        while !client.is_finished() {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = tokio::time::sleep(std::time::Duration::from_millis(5)) => continue,
            };
            let (stream, _) = accepted.expect("the client connects");
            tokio::spawn(echo(acceptor.clone(), stream));
        }
    });
    client.join().expect("the client has had what it wanted");
}

type Usual = rustls::StreamOwned<rustls::ClientConnection, std::net::TcpStream>;

async fn echo(acceptor: sockeye_net::tls::Acceptor, stream: TcpStream) {
    let mut stream = acceptor.accept(stream).await.expect("the client shakes hands");
    let mut buffer = vec![0; 10_000];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        stream.write_all(&buffer[..count]).await.expect("the client reads");
        stream.flush().await.expect("the client reads");
    }
    // The client may be gone.
    let _ = stream.shutdown().await;
}

fn assert_echoed(client: &mut Usual, sent: &[u8]) {
    client.write_all(sent).expect("the server reads");
    client.flush().expect("the server reads");
    let mut received = vec![0; sent.len()];
    client.read_exact(&mut received).expect("the server answers");
    assert!(received == sent);
}

#[test]
fn keys_are_updated_as_the_peer_wishes() {
    with_usual_client(
        |_| {},
        TLS_1_3,
        |config, connect| {
            let mut client = connect(config);
            assert_echoed(&mut client, b"with the first keys");
            for _ in 0..3 {
                client.conn.refresh_traffic_keys().expect("TLS 1.3 can");
                assert_echoed(&mut client, &text(40_000));
            }
        },
    );
}

#[test]
fn tls_1_2_is_spoken_too() {
    with_usual_client(
        |_| {},
        TLS_1_2,
        |config, connect| {
            let mut client = connect(config);
            assert_echoed(&mut client, &text(60_000));
            assert_eq!(client.conn.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_2));
            client.conn.send_close_notify();
            client.flush().expect("the server reads");
            assert_eq!(client.read(&mut [0; 8]).expect("a proper end"), 0);
        },
    );
}

#[test]
fn a_handshake_in_small_records_is_put_together() {
    let small = |config: &mut rustls::ClientConfig| config.max_fragment_size = Some(32);
    with_usual_client(small, TLS_1_3, |config, connect| {
        assert_echoed(&mut connect(config), &text(1000));
    });
}

#[test]
fn a_session_is_resumed() {
    with_usual_client(
        |_| {},
        TLS_1_3,
        |config, connect| {
            for kind in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
                let mut client = connect(config);
                assert_echoed(&mut client, b"hello");
                assert_eq!(client.conn.handshake_kind(), Some(kind));
            }
        },
    );
}

#[tokio::test]
async fn a_shut_down_stream_is_written_to_no_more() {
    let (mut client, mut server) = connected(pipe(100_000)).await;
    within(client.shutdown()).await.expect("the peer reads");
    let error = within(client.write(b"more")).await.expect_err("it is shut down");
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    within(client.shutdown()).await.expect("twice is once");
    assert_eq!(within(server.read(&mut [0; 8])).await.expect("a proper end"), 0);
    assert!(server.is_write_vectored());
}
