//! What a WebSocket over HTTP/2 costs on the heap when it is idle, and that nothing is left of it.
//!
//! The clients share the process with the server, but one of them here is a file descriptor and what it sends:
//! frames of HTTP/2 byte by byte. Run it with `--nocapture` to see which blocks the figures consist of.

#[allow(dead_code, reason = "its clients speak HTTP/2")]
mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use common::Site;
use sockeye_net::websocket::{self, WebSocket};
use sockeye_testkit::alloc::{Counting, alone};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::watch;

#[global_allocator]
static HEAP: Counting = Counting::new();

/// What an idle WebSocket may cost where a hundred share a connection. Measured are 2 713 bytes, of which
/// h2 has most: its record of the stream, and the tables that it keeps them in.
const GATE: i64 = 2900;

/// The same with the plain API, its handler included. Measured are 3 012 bytes.
const PLAIN_GATE: i64 = 3200;

/// What one may cost that has a connection to itself. Measured are 39 577 bytes: h2's buffers for
/// reading, writing and headers are 28 KiB of it, and have no options.
const CONNECTION_GATE: i64 = 41_000;

const CONNECTIONS: usize = 20;
/// As many as the default allows.
const STREAMS: usize = 100;

/// What may be left of all connections: queues of the runtime.
const REMAINDER: i64 = 16 * 1024;

const DEADLINE: Duration = Duration::from_secs(20);

#[test]
fn an_idle_websocket() {
    alone("an_idle_websocket", || idle(serve(false), STREAMS, GATE));
}

#[test]
fn an_idle_plain_websocket() {
    alone("an_idle_plain_websocket", || idle(serve(true), STREAMS, PLAIN_GATE));
}

/// With one stream each, what it costs is the connection itself.
#[test]
fn an_idle_connection() {
    alone("an_idle_connection", || idle(serve(false), 1, CONNECTION_GATE));
}

fn idle(address: SocketAddr, streams: usize, gate: i64) {
    let mut clients = Vec::with_capacity(CONNECTIONS);
    let mut buffer = vec![0; 64 * 1024];
    drop((0..2).map(|_| client(address, streams, &mut buffer)).collect::<Vec<_>>());
    let start = HEAP.quiet();

    clients.extend((0..CONNECTIONS).map(|_| client(address, streams, &mut buffer)));
    let grown = HEAP.quiet().since(&start);
    let count = CONNECTIONS * streams;
    let each = grown.bytes() / count as i64;
    println!("\nof {streams} on a connection, one costs {each} bytes\n{}", grown.split(count));

    clients.clear();
    HEAP.await_level(&start, REMAINDER, "after all connections have ended");
    assert!(each < gate, "an idle WebSocket costs {each} bytes\n{}", grown.split(count));
}

/// A connection with so many WebSockets, each of which has had one message echoed.
fn client(address: SocketAddr, streams: usize, buffer: &mut [u8]) -> TcpStream {
    let mut client = TcpStream::connect(address).expect("the server listens");
    client.set_nodelay(true).expect("a TCP socket");
    client.set_read_timeout(Some(DEADLINE)).expect("a valid timeout");
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("the server reads");
    client.write_all(b"\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0").expect("the server reads");
    for number in 0..streams as u32 {
        let id = number * 2 + 1;
        // HPACK (RFC 7541): a literal for what the static table does not have, indexed for what it has.
        let head = b"\x02\x07CONNECT\x00\x09:protocol\x09websocket\x86\x04\x05/echo\x01\x01a\
            \x00\x15sec-websocket-version\x0213";
        frame(&mut client, 1, 4, id, head);
        frame(&mut client, 0, 0, id, &[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
    }
    let (mut heads, mut echoes) = (0, 0);
    while heads < streams || echoes < streams {
        client.read_exact(&mut buffer[..9]).expect("the server answers");
        let length = usize::from(buffer[1]) << 8 | usize::from(buffer[2]);
        let kind = buffer[3];
        client.read_exact(&mut buffer[..length]).expect("the server answers");
        match kind {
            // :status 200 is the eighth of the static table.
            1 => {
                assert_eq!(buffer[0], 0x88, "no 200");
                heads += 1;
            }
            0 => {
                assert_eq!(buffer[..length], *b"\x81\x02hi");
                echoes += 1;
            }
            4 | 8 => {}
            other => panic!("a frame of type {other}: {:?}", &buffer[..length]),
        }
    }
    client
}

fn frame(to: &mut TcpStream, kind: u8, flags: u8, id: u32, payload: &[u8]) {
    let mut frame = [0; 128];
    frame[2] = payload.len() as u8;
    frame[3] = kind;
    frame[4] = flags;
    frame[5..9].copy_from_slice(&id.to_be_bytes());
    frame[9..9 + payload.len()].copy_from_slice(payload);
    to.write_all(&frame[..9 + payload.len()]).expect("the server reads");
}

fn serve(plain: bool) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket may be non-blocking");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).expect("it is non-blocking");
            if plain {
                let echo = websocket::Server::new(|mut socket: WebSocket| async move {
                    while let Some(message) = socket.recv().await {
                        socket.send(message).expect("the client takes it");
                    }
                });
                echo.serve_listener(listener).await.expect("it listens");
            } else {
                let closing = watch::Sender::new(false);
                let told = closing.subscribe();
                sockeye_net::accept(listener, Site::new(), Default::default(), told).await;
            }
        });
    });
    address
}
