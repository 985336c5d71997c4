//! Each socket sees one emitter's messages in program order, whatever the threads and the fan-out.

use std::thread;

use sockeye_server::{Server, Socket};
use sockeye_testkit::peer::{Message, Peer};

use crate::harness::{FACES, root, with_sockets, within};
use crate::loopback::Bus;

const EMITTERS: usize = 4;
const EVENTS: usize = 1000;
const CLIENTS: usize = 4;

/// What one emitter does for its `n`th event, which reaches every socket once.
type Emit = fn(&Server, &[Socket], (usize, usize));

fn to_everyone(io: &Server, _: &[Socket], data: (usize, usize)) {
    io.emit("n", data).unwrap();
}

fn to_a_room(io: &Server, _: &[Socket], data: (usize, usize)) {
    io.to("room").emit("n", data).unwrap();
}

fn to_each(_: &Server, sockets: &[Socket], data: (usize, usize)) {
    for socket in sockets {
        socket.emit("n", data).unwrap();
    }
}

/// By turns in all the ways, and with attachments now and then.
fn mixed(io: &Server, sockets: &[Socket], (emitter, n): (usize, usize)) {
    match n % 6 {
        0 => to_everyone(io, sockets, (emitter, n)),
        1 => to_a_room(io, sockets, (emitter, n)),
        2 => to_each(io, sockets, (emitter, n)),
        3 => {
            io.except("nobody").emit("n", (emitter, n, bytes::Bytes::from_static(b"b"))).unwrap();
        }
        4 => drop(io.local().emit_with_acks::<()>("n", (emitter, n)).unwrap()),
        _ => {
            for socket in sockets {
                socket.to(socket.id()).emit("not to itself", ()).unwrap();
                socket.try_emit("n", (emitter, n)).unwrap();
            }
        }
    }
}

/// Reads all events and checks that each emitter's come in order.
async fn check(peer: &mut Peer) {
    let mut next = [0; EMITTERS];
    while next.iter().any(|next| *next < EVENTS) {
        let text = peer.recv_text().await;
        let (attachment, event) = match text.strip_prefix("451-") {
            Some(event) => (true, event),
            None => (false, text.strip_prefix("42").unwrap()),
        };
        // Those that want answers have an id.
        let event = event.trim_start_matches(|digit: char| digit.is_ascii_digit());
        let args: Vec<serde_json::Value> = serde_json::from_str(event).unwrap();
        assert_eq!(args[0], "n");
        let number = |arg: &serde_json::Value| usize::try_from(arg.as_u64().unwrap()).unwrap();
        let (emitter, n) = (number(&args[1]), number(&args[2]));
        assert_eq!(n, next[emitter], "an event of emitter {emitter}");
        next[emitter] += 1;
        if attachment {
            // Nothing comes between a packet and its attachment.
            peer.expect(Message::Binary(b"b".to_vec())).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_emitters_events_arrive_in_order() {
    let kinds: [Emit; 4] = [to_everyone, to_a_room, to_each, mixed];
    for face in FACES {
        for (kind, emit) in kinds.into_iter().chain([mixed as Emit]).enumerate() {
            let (mut namespace, mut joined) = with_sockets(root());
            let mut builder = Server::builder().max_buffered_bytes(64 << 20);
            if kind == kinds.len() {
                // By the ways that exist only where somebody listens, and where there are other servers.
                namespace = namespace.on_any_outgoing(|_: Socket| ());
                builder = builder.adapter(Bus::default().factory("a", true));
            }
            let builder = builder.namespace(namespace);
            let server = face.serve(builder).await;
            let (mut peers, mut sockets) = (Vec::new(), Vec::new());
            for _ in 0..CLIENTS {
                peers.push(Peer::socketio(server.address).await.0);
                let socket = joined.next().await;
                socket.join("room");
                sockets.push(socket);
            }
            let emitters: Vec<_> = (0..EMITTERS)
                .map(|emitter| {
                    let (io, sockets) = (server.io.clone(), sockets.clone());
                    thread::spawn(move || {
                        for n in 0..EVENTS {
                            emit(&io, &sockets, (emitter, n));
                        }
                    })
                })
                .collect();
            let readers: Vec<_> = peers
                .into_iter()
                .map(|mut peer| tokio::spawn(async move { check(&mut peer).await }))
                .collect();
            for reader in readers {
                within(reader).await.unwrap();
            }
            for emitter in emitters {
                emitter.join().unwrap();
            }
        }
    }
}

/// Sockets come and go while events are sent: whoever is there sees a gapless, ordered run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newcomers_see_a_run_without_gaps() {
    let (namespace, mut joined) = with_sockets(root());
    let server =
        FACES[0].serve(Server::builder().namespace(namespace).max_buffered_bytes(64 << 20)).await;
    let io = server.io.clone();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let emitter = thread::spawn(move || {
        for n in 0_u64.. {
            if stopped.try_recv().is_ok() {
                break;
            }
            io.emit("n", n).unwrap();
            thread::yield_now();
        }
    });
    for _ in 0..30 {
        let (mut peer, _) = Peer::socketio(server.address).await;
        joined.next().await;
        let mut last = None;
        for _ in 0..50 {
            let text = peer.recv_text().await;
            let n = text.strip_prefix("42[\"n\",").and_then(|text| text.strip_suffix(']'));
            let n: u64 = n.unwrap_or_else(|| panic!("{text}")).parse().unwrap();
            assert!(last.is_none_or(|last| n == last + 1), "{n} after {last:?}");
            last = Some(n);
        }
    }
    stop.send(()).unwrap();
    emitter.join().unwrap();
}
