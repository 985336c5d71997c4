//! What an event costs on the heap while nobody listens to the log or measures handlers.

use std::io::{Read, Write};
use std::net::TcpStream;

use sockeye_server::{Data, Namespace, Server};
use sockeye_testkit::alloc::{Counting, alone};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

#[global_allocator]
static HEAP: Counting = Counting::new();

/// Events that are measured.
const EVENTS: usize = 1000;

#[test]
fn an_event_for_a_function_allocates_nothing() {
    alone("an_event_for_a_function_allocates_nothing", || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let namespace = Namespace::new("/").on("n", |Data(_): Data<u32>| ()).on("sync", || ());
        let server = Server::builder().namespace(namespace).build();
        let serving = server.clone();
        std::thread::spawn(move || runtime.block_on(serving.serve_listener(listener)));

        let mut client = TcpStream::connect(address).expect("it listens");
        client
            .write_all(
                b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
                  Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                  Sec-WebSocket-Version: 13\r\n\r\n",
            )
            .expect("it reads");
        send(&mut client, "40");
        let mut events = Vec::new();
        for _ in 0..EVENTS {
            send(&mut events, "42[\"n\",1]");
        }
        // Whatever grows, grows at the first time.
        let mut round = || {
            client.write_all(&events).expect("it reads");
            send(&mut client, "420[\"sync\"]");
            let mut answer = Vec::new();
            while !answer.ends_with(b"430[]") {
                let mut byte = [0];
                client.read_exact(&mut byte).expect("it answers");
                answer.push(byte[0]);
            }
        };
        round();
        let start = HEAP.quiet();
        round();
        let grown = HEAP.quiet().since(&start);
        println!("{} allocations for {EVENTS} events", grown.allocations());
        // Those of the answer and of reading it.
        assert!(grown.allocations() < EVENTS as u64 / 10, "{}", grown.split(EVENTS));
        assert_eq!(server.metrics().events_received, 2 * (EVENTS as u64 + 1));
    });
}

/// A text with a mask that changes nothing.
fn send(to: &mut impl Write, text: &str) {
    let head = [0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
    to.write_all(&[&head[..], text.as_bytes()].concat()).expect("it reads");
}
