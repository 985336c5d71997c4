//! What an idle TLS connection costs on the heap beyond its TCP socket, and that nothing is left of it.
//!
//! The clients share the process with the server, but one of them here is a file descriptor: it shakes
//! hands, has one message echoed, and forgets all it knew. Run it with `--nocapture` to see which blocks the
//! figures consist of.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream as StdStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use sockeye_net::Io;
use sockeye_net::tls::{Acceptor, Identity, ServerConfig};
use sockeye_testkit::alloc::{Counting, alone};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

#[global_allocator]
static HEAP: Counting = Counting::new();

/// What TLS may add to an idle connection. Measured are 3 433 bytes with TLS 1.3 and 3 329 with TLS 1.2, of
/// which `src/tls.rs` has the split.
const GATE: i64 = 3584;

const CLIENTS: usize = 500;
const WARM_UP: usize = 32;

/// What may be left of all connections: queues of the runtime.
const REMAINDER: i64 = 16 * 1024;

const DEADLINE: Duration = Duration::from_secs(20);

#[test]
fn an_idle_tls_1_3_connection() {
    alone("an_idle_tls_1_3_connection", || idle(&[&rustls::version::TLS13]));
}

#[test]
fn an_idle_tls_1_2_connection() {
    alone("an_idle_tls_1_2_connection", || idle(&[&rustls::version::TLS12]));
}

fn idle(versions: &[&'static rustls::SupportedProtocolVersion]) {
    let provider = rustls::crypto::ring::default_provider();
    provider.clone().install_default().expect("the process is the test's own");
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).expect("random numbers");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cert.der().clone()).expect("a certificate");
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .expect("known versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    let config = Arc::new(config);

    let identity = Identity::from_der([cert.der().to_vec()], signing_key.serialized_der());
    let acceptor = Acceptor::new(ServerConfig::new(identity.expect("they match")));
    let with_tls = serve(Some(acceptor.expect("a provider")));
    let without = serve(None);

    let bare = measure("a TCP connection", || plain(without));
    let tls = measure("a TLS connection", || secured(&config, with_tls));
    println!("TLS adds {} bytes to an idle connection", tls - bare);
    assert!(tls - bare < GATE, "TLS adds {} bytes to an idle connection", tls - bare);
}

/// The bytes that an idle connection costs.
fn measure(what: &str, client: impl Fn() -> StdStream) -> i64 {
    let mut clients = Vec::with_capacity(CLIENTS);
    drop((0..WARM_UP).map(|_| client()).collect::<Vec<_>>());
    let start = HEAP.quiet();
    clients.extend((0..CLIENTS).map(|_| client()));
    let grown = HEAP.quiet().since(&start);
    let each = grown.bytes() / CLIENTS as i64;
    println!("\n{what} costs {each} bytes\n{}", grown.split(CLIENTS));
    clients.clear();
    HEAP.await_level(&start, REMAINDER, "after all connections have ended");
    each
}

fn plain(address: SocketAddr) -> StdStream {
    let mut socket = connect(address);
    echoed(&mut socket);
    socket
}

fn secured(config: &Arc<rustls::ClientConfig>, address: SocketAddr) -> StdStream {
    let name = ServerName::try_from("localhost").expect("a name");
    let client = rustls::ClientConnection::new(config.clone(), name).expect("a client");
    let mut stream = rustls::StreamOwned::new(client, connect(address));
    echoed(&mut stream);
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    stream.sock
}

fn connect(address: SocketAddr) -> StdStream {
    let socket = StdStream::connect(address).expect("the server listens");
    socket.set_nodelay(true).expect("a TCP socket");
    socket.set_read_timeout(Some(DEADLINE)).expect("a valid timeout");
    socket
}

fn echoed(stream: &mut (impl Read + Write)) {
    stream.write_all(b"hello").expect("the server reads");
    stream.flush().expect("the server reads");
    let mut echoed = [0; 5];
    stream.read_exact(&mut echoed).expect("the server answers");
    assert_eq!(&echoed, b"hello");
}

/// Echoes what five bytes are sent, on a thread of its own.
fn serve(acceptor: Option<Acceptor>) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket may be non-blocking");
    let address = listener.local_addr().expect("it is bound");
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    thread::spawn(move || {
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).expect("it is non-blocking");
            loop {
                let (stream, _) = listener.accept().await.expect("the client connects");
                // Else the echo waits until the client's kernel acknowledges the tickets.
                stream.set_nodelay(true).expect("a TCP socket");
                tokio::spawn(connection(acceptor.clone(), stream));
            }
        });
    });
    address
}

/// What waits is the same task with TLS and without: an echo over an [`Io`].
async fn connection(acceptor: Option<Acceptor>, stream: TcpStream) {
    let io = match acceptor {
        None => Io::from(stream),
        // Boxed, because what is needed to shake hands is not needed later.
        Some(acceptor) => {
            let accepted = Box::pin(async move { acceptor.accept(stream).await }).await;
            Io::from(accepted.expect("the client shakes hands"))
        }
    };
    Box::pin(echo(io)).await;
}

async fn echo(mut io: Io) {
    let mut buffer = [0; 5];
    while io.read_exact(&mut buffer).await.is_ok() {
        io.write_all(&buffer).await.expect("the client reads");
        io.flush().await.expect("the client reads");
    }
}
