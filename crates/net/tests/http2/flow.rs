//! Each WebSocket has a window of its own: who does not read stops its own peer and nobody else.

use sockeye_net::websocket::{Message, Options, Server, WebSocket};
use tokio::sync::mpsc;

use crate::peer::Peer;
use crate::raw::{ACK, DATA, GOAWAY, PING, Raw, WINDOW_UPDATE, frame};
use crate::{client, echo, serve, within};

const PIECE: usize = 60_000;

#[tokio::test]
async fn a_server_that_does_not_read_stops_that_websocket_alone() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let options = Options { max_unread_bytes: 1, compression: None, ..Options::default() };
    let server = Server::builder(move |socket: WebSocket, request: http::Request<()>| {
        let tell = tell.clone();
        async move {
            match request.uri().path() {
                "/echo" => echo(socket).await,
                _ => tell.send(socket).expect("heard"),
            }
        }
    });
    let address = serve(&server.options(options).build()).await;
    let client = client();
    let stalled = client.connect(&format!("ws://{address}/held")).await.expect("open");
    let held = told.recv().await.expect("a socket");
    let mut other = client.connect(&format!("ws://{address}/echo")).await.expect("open");
    assert_eq!(held.peer().map(|peer| peer.ip()), Some(address.ip()));

    // More than the server's window, its buffer of one message and ours have room for.
    const SENT: usize = 15;
    for _ in 0..SENT {
        stalled.send(vec![1; PIECE]).expect("open");
    }
    // Many more bytes than the connection's window of 6.5 MB go past it.
    for _ in 0..150 {
        other.send(vec![2; PIECE]).expect("open");
        let back = within(other.recv()).await.expect("an echo");
        assert_eq!(back.len(), PIECE);
    }
    assert!(stalled.buffered_bytes() > SENT * PIECE / 2, "{}", stalled.buffered_bytes());

    let mut held = held;
    for _ in 0..SENT {
        assert_eq!(within(held.recv()).await.expect("a message").len(), PIECE);
    }
    within(stalled.drained()).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_that_websocket_alone() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::builder(move |socket: WebSocket| {
        tell.send(socket).expect("heard");
        async {}
    });
    let options = Options { compression: None, ..Options::default() };
    let address = serve(&server.options(options).build()).await;
    let url = format!("ws://{address}/");
    let client = client().options(Options { max_unread_bytes: 1, ..Options::default() });
    let mut unread = client.connect(&url).await.expect("open");
    let to_unread = told.recv().await.expect("a socket");
    let mut other = client.connect(&url).await.expect("open");
    let to_other = told.recv().await.expect("a socket");
    assert_eq!(to_unread.peer(), to_other.peer(), "one connection");

    const SENT: usize = 15;
    for _ in 0..SENT {
        to_unread.send(vec![1; PIECE]).expect("open");
    }
    for _ in 0..150 {
        to_other.send(vec![2; PIECE]).expect("open");
        assert_eq!(within(other.recv()).await.expect("a message").len(), PIECE);
    }
    assert!(to_unread.buffered_bytes() > SENT * PIECE / 2, "{}", to_unread.buffered_bytes());
    for _ in 0..SENT {
        assert_eq!(within(unread.recv()).await.expect("a message").len(), PIECE);
    }
    within(to_unread.drained()).await;
}

#[tokio::test]
async fn a_peer_whose_window_is_closed_is_not_written_to() {
    let server = Server::new(|mut socket: WebSocket| async move {
        let asked = socket.recv().await.expect("a question");
        assert_eq!(asked.as_text(), Some("more"));
        socket.send(vec![3; 200_000]).expect("open");
        socket.recv().await;
    });
    let mut peer = Peer::connect(serve(&server).await).await;
    let mut stream = peer.open(&[]).await;
    stream.send(b"\x81\x84\0\0\0\0more");
    // h2 grants 65 535 bytes until somebody takes them.
    let mut came = 0;
    while came < 65_535 {
        came += within(stream.receiver.data()).await.expect("more").expect("no error").len();
    }
    assert_eq!(came, 65_535);
    let mut other = peer.open(&[]).await;
    other.send(b"\x89\x80\0\0\0\0");
    assert_eq!(other.read(2).await, b"\x8A\0", "another one goes on");
    stream.receiver.flow_control().release_capacity(came).expect("taken");
    assert_eq!(stream.read(200_000 + 10 - came).await.len(), 200_010 - came);
}

#[tokio::test]
async fn messages_larger_than_any_window_come_through() {
    let options = || Options {
        limits: sockeye_net::websocket::Limits {
            max_message_size: 8 << 20,
            max_frame_size: 8 << 20,
            ..Default::default()
        },
        max_buffered_bytes: 32 << 20,
        compression: None,
        ..Options::default()
    };
    let address = serve(&Server::builder(echo).options(options()).build()).await;
    let client = client().options(options());
    let mut socket = client.connect(&format!("ws://{address}/")).await.expect("open");
    let sent: Vec<u8> = (0..4_000_000_u32).map(|n| (n % 251) as u8).collect();
    socket.send(sent.clone()).expect("open");
    let Some(Message::Binary(came)) = within(socket.recv()).await else { panic!("no echo") };
    assert!(came == sent);
}

#[tokio::test]
async fn a_burst_of_small_messages_on_all_streams_is_no_flood() {
    burst().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_is_it_one_where_streams_may_be_on_other_threads() {
    burst().await;
}

async fn burst() {
    const STREAMS: u32 = 100;
    const EACH: usize = 400;
    let mut raw = Raw::client(serve(&Server::new(echo)).await).await;
    let ids: Vec<_> = (0..STREAMS).map(|n| n * 2 + 1).collect();
    for &id in &ids {
        raw.open(id).await;
    }
    raw.send(&frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 24).to_be_bytes())).await;
    // All that is said to one is there before anybody has had a chance to read it.
    let one_of_each: Vec<_> =
        ids.iter().flat_map(|&id| frame(DATA, 0, id, b"\x81\x81\0\0\0\0x")).collect();
    raw.send(&one_of_each.repeat(EACH)).await;
    let mut came = 0;
    while came < STREAMS as usize * EACH * 3 {
        let frame = raw.next().await.expect("the connection lives");
        assert_ne!(frame.kind, GOAWAY, "{frame:?}");
        if frame.kind == DATA {
            came += frame.payload.len();
        }
    }
}

#[tokio::test]
async fn small_messages_that_nobody_reads_stop_that_websocket_alone() {
    const STALLED: usize = 8;
    let (tell, mut told) = mpsc::unbounded_channel();
    let options = Options { max_unread_bytes: 1, ..Options::default() };
    let server = Server::builder(move |socket: WebSocket| {
        tell.send(socket).expect("heard");
        async {}
    });
    let mut raw = Raw::client(serve(&server.options(options).build()).await).await;
    let mut sockets = Vec::new();
    for id in (1..).step_by(2).take(STALLED) {
        raw.open(id).await;
        sockets.push(told.recv().await.expect("a socket"));
        // Whoever has answered the ping has the message, too, and reads no more.
        raw.send(&frame(DATA, 0, id, b"\x89\x80\0\0\0\0\x81\x81\0\0\0\0x")).await;
        assert_eq!(raw.next_of(DATA).await.expect("a pong").payload, b"\x8A\0");
        // A window of seven bytes a frame.
        raw.send(&frame(DATA, 0, id, b"\x81\x81\0\0\0\0x").repeat(9300)).await;
    }
    // Behind it all, which has been read, then.
    raw.send(&frame(PING, 0, 0, b"are you?")).await;
    let answer = raw.next_of(PING).await.expect("the connection lives");
    assert_eq!((answer.flags, &*answer.payload), (ACK, &b"are you?"[..]));
    for socket in &mut sockets {
        for _ in 0..=9300 {
            assert_eq!(within(socket.recv()).await.expect("a message").as_text(), Some("x"));
        }
    }
}
