//! What a WebSocket connection costs on the heap: idle, gone again, and echoing.
//!
//! The clients share the process with the server, but one of them here is a file descriptor and
//! nothing on the heap. Run it with `--nocapture` to see which blocks the figures consist of.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use common::{Site, UPGRADE_TO_ECHO};
use sockeye_net::websocket::{self, WebSocket};
use sockeye_testkit::alloc::{Counting, alone};
use sockeye_testkit::workers::on_each_of_two;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

#[global_allocator]
static HEAP: Counting = Counting::new();

/// What an idle connection may cost. Measured are 720 bytes: 384 for its task, which is tokio's cell
/// with the driver in it; 256 for what tokio keeps for a socket; 56 for the socket, which its two
/// halves share; 24 for the writer, behind a pointer because other drivers share theirs.
const GATE: i64 = 768;

/// What an idle connection of the plain API may cost, its handler included. Measured are 1 022 bytes:
/// besides those above, 240 for what the handles share, the writer among it; 40 for the handler; 49 for
/// its places among the timers and among the server's connections.
const PLAIN_GATE: i64 = 1024;

const CLIENTS: usize = 1000;
const WARM_UP: usize = 64;

/// What may be left of a thousand connections: queues of the runtime.
const REMAINDER: i64 = 16 * 1024;

const DEADLINE: Duration = Duration::from_secs(20);

#[test]
fn an_idle_connection_on_one_thread() {
    alone("an_idle_connection_on_one_thread", || idle(&Host::on_one_thread(Api::Protocol), GATE));
}

#[test]
fn an_idle_connection_on_two_workers() {
    alone("an_idle_connection_on_two_workers", || idle(&Host::on_two_workers(Api::Protocol), GATE));
}

#[test]
fn an_idle_plain_connection_on_one_thread() {
    alone("an_idle_plain_connection_on_one_thread", || {
        idle(&Host::on_one_thread(Api::Plain), PLAIN_GATE);
    });
}

#[test]
fn an_idle_plain_connection_on_two_workers() {
    alone("an_idle_plain_connection_on_two_workers", || {
        idle(&Host::on_two_workers(Api::Plain), PLAIN_GATE);
    });
}

#[test]
fn an_idle_plain_connection_with_compression() {
    alone("an_idle_plain_connection_with_compression", || {
        idle(&Host::on_one_thread(Api::Compressed), PLAIN_GATE);
    });
}

fn idle(host: &Host, gate: i64) {
    let mut clients = Vec::with_capacity(CLIENTS);
    host.on_each_thread(|| drop((0..WARM_UP).map(|_| host.client()).collect::<Vec<_>>()));
    let start = HEAP.quiet();

    clients.extend((0..CLIENTS).map(|_| host.client()));
    let grown = HEAP.quiet().since(&start);
    let each = grown.bytes() / CLIENTS as i64;
    println!("\nan idle connection costs {each} bytes\n{}", grown.split(CLIENTS));

    clients.clear();
    HEAP.await_level(&start, REMAINDER, "after all connections have ended");
    assert!(each < gate, "an idle connection costs {each} bytes\n{}", grown.split(CLIENTS));
}

#[test]
fn an_echo_allocates_nothing_on_one_thread() {
    alone("an_echo_allocates_nothing_on_one_thread", || echo(&Host::on_one_thread(Api::Protocol)));
}

#[test]
fn an_echo_allocates_nothing_on_two_workers() {
    alone("an_echo_allocates_nothing_on_two_workers", || {
        echo(&Host::on_two_workers(Api::Protocol))
    });
}

#[test]
fn a_plain_echo_allocates_nothing_on_one_thread() {
    alone("a_plain_echo_allocates_nothing_on_one_thread", || {
        echo(&Host::on_one_thread(Api::Plain));
    });
}

#[test]
fn a_plain_echo_allocates_nothing_on_two_workers() {
    alone("a_plain_echo_allocates_nothing_on_two_workers", || {
        echo(&Host::on_two_workers(Api::Plain));
    });
}

fn echo(host: &Host) {
    let mut clients: Vec<_> = (0..4).map(|_| host.client()).collect();
    for in_flight in [1, 16] {
        // Twenty bytes in a binary frame, masked with zeros.
        let message = [&[0x82, 0x80 | 20, 0, 0, 0, 0][..], &[7; 20]].concat().repeat(in_flight);
        let answer = [&[0x82, 20][..], &[7; 20]].concat().repeat(in_flight);
        let mut answered = vec![0; answer.len()];
        let mut round = || {
            for client in &mut clients {
                client.write_all(&message).expect("the server reads");
            }
            for client in &mut clients {
                client.read_exact(&mut answered).expect("the server answers");
                assert_eq!(answered, answer);
            }
        };
        host.on_each_thread(|| (0..100).for_each(|_| round()));
        let before = HEAP.quiet();
        (0..1000).for_each(|_| round());
        let after = HEAP.quiet().since(&before);
        assert_eq!(
            (after.allocations(), after.bytes()),
            (0, 0),
            "{in_flight} in flight\n{}",
            after.split(1)
        );
    }
}

/// What a flood of frames that are no messages may make a connection hold: the rest of a read, while
/// others have their turn.
const FLOOD: i64 = 80 * 1024;

#[test]
fn floods_hold_little_and_leave_nothing() {
    alone("floods_hold_little_and_leave_nothing", || {
        let host = Host::on_one_thread(Api::Protocol);
        let masked = |first: u8, payload: &[u8]| {
            [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0][..], payload].concat()
        };
        let fragments = |payload: &[u8]| {
            let between = masked(0x00, payload).repeat(4000);
            [masked(0x02, payload), between, masked(0x80, payload)].concat()
        };
        let pings = |payload: &[u8]| masked(0x89, payload).repeat(200);
        let pongs =
            |payload: &[u8]| [&[0x8A, payload.len() as u8][..], payload].concat().repeat(200);
        for (name, flood, answer) in [
            ("empty pings", pings(b""), pongs(b"")),
            ("long pings", pings(&[7; 125]), pongs(&[7; 125])),
            ("empty fragments", fragments(b""), vec![0x82, 0]),
            ("tiny fragments", fragments(b"x"), {
                [&[0x82, 126, 0x0F, 0xA2][..], &[b'x'; 4002]].concat()
            }),
        ] {
            let mut client = host.client();
            let mut answered = vec![0; answer.len()];
            let mut round = || {
                client.write_all(&flood).expect("the server reads");
                let held = HEAP.live_bytes();
                client.read_exact(&mut answered).expect("the server answers");
                assert!(answered == answer, "{name}");
                held
            };
            for _ in 0..20 {
                round();
            }
            let before = HEAP.quiet();
            let start = HEAP.live_bytes();
            let held = (0..200).map(|_| round()).max().expect("some rounds") - start;
            assert!(held <= FLOOD, "{name} make it hold {held} bytes");
            let left = HEAP.quiet().since(&before);
            assert_eq!(left.bytes(), 0, "{name} leave\n{}", left.split(1));
        }
    });
}

/// What the server is written with.
#[derive(Clone, Copy)]
enum Api {
    /// A protocol for the driver.
    Protocol,
    /// [`sockeye_net::websocket`].
    Plain,
    /// The same, with clients that agree on compression.
    Compressed,
}

/// A server on threads of its own.
struct Host {
    api: Api,
    address: SocketAddr,
    _closing: watch::Sender<bool>,
    /// Where there are several workers.
    runtime: Option<Runtime>,
}

impl Host {
    fn on_one_thread(api: Api) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (address, closing, serve) = serve(api);
        thread::spawn(move || runtime.block_on(serve));
        Self { api, address, _closing: closing, runtime: None }
    }

    fn on_two_workers(api: Api) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (address, closing, serve) = serve(api);
        runtime.spawn(serve);
        Self { api, address, _closing: closing, runtime: Some(runtime) }
    }

    /// Calls `visit` once for each of the server's threads, which alone serves meanwhile: so each of
    /// them gets its buffers.
    fn on_each_thread(&self, mut visit: impl FnMut()) {
        match &self.runtime {
            None => visit(),
            Some(runtime) => on_each_of_two(runtime, visit),
        }
    }

    /// A client that has had one message echoed.
    fn client(&self) -> TcpStream {
        let mut client = TcpStream::connect(self.address).expect("the server listens");
        client.set_nodelay(true).expect("a TCP socket");
        client.set_read_timeout(Some(DEADLINE)).expect("a valid timeout");
        let (request, answered) = match self.api {
            Api::Protocol | Api::Plain => (UPGRADE_TO_ECHO.to_owned(), "HTTP/1.1 101 "),
            Api::Compressed => {
                let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
                (UPGRADE_TO_ECHO.trim_end().to_owned() + "\r\n" + offer, "permessage-deflate")
            }
        };
        client.write_all(request.as_bytes()).expect("the server reads");
        client.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).expect("the server reads");
        let mut answer = [0; 512];
        let mut len = 0;
        while !answer[..len].ends_with(b"\r\n\r\n\x81\x02hi") {
            len += client.read(&mut answer[len..]).expect("the server answers");
        }
        let answer = String::from_utf8_lossy(&answer[..len]);
        assert!(answer.contains(answered), "{answer}");
        client
    }
}

fn serve(api: Api) -> (SocketAddr, watch::Sender<bool>, impl Future<Output = ()> + Send) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket may be non-blocking");
    let address = listener.local_addr().expect("it is bound");
    let closing = watch::Sender::new(false);
    let told = closing.subscribe();
    let serve = async move {
        let listener = TcpListener::from_std(listener).expect("it is non-blocking");
        match api {
            Api::Protocol => {
                sockeye_net::accept(listener, Site::new(), Default::default(), told).await;
            }
            Api::Plain | Api::Compressed => {
                let echo = websocket::Server::new(|mut socket: WebSocket| async move {
                    while let Some(message) = socket.recv().await {
                        socket.send(message).expect("the client takes it");
                    }
                });
                echo.serve_listener(listener).await.expect("it listens");
            }
        }
    };
    (address, closing, serve)
}
