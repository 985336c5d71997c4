//! Events that many clients answer.

use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_core::Stream;
use sockeye_server::{EmitError, Response, Server, ServerBuilder, Socket};
use sockeye_testkit::peer::Peer;

use crate::harness::{FACES, Journal, Running, root, serve, sync, with_sockets, within};

struct Room {
    server: Running,
    peers: Vec<Peer>,
    sockets: Vec<Socket>,
    _connects: Journal<Socket>,
}

impl Room {
    async fn of(clients: usize) -> Self {
        Self::with(Server::builder(), clients).await
    }

    async fn with(builder: ServerBuilder, clients: usize) -> Self {
        let (namespace, mut connects) = with_sockets(root());
        let server = serve(builder.namespace(namespace)).await;
        let (mut peers, mut sockets) = (Vec::new(), Vec::new());
        for _ in 0..clients {
            peers.push(Peer::socketio(server.address).await.0);
            sockets.push(connects.next().await);
        }
        Self { server, peers, sockets, _connects: connects }
    }

    fn id(&self, client: usize) -> Box<str> {
        self.sockets[client].id().into()
    }

    async fn everybody_hears(&mut self, text: &str) {
        for peer in &mut self.peers {
            peer.expect_text(text).await;
        }
    }
}

fn answer<T>(response: Option<Response<T>>) -> (Box<str>, T) {
    let response = response.unwrap();
    (response.socket.unwrap(), response.data.unwrap())
}

#[tokio::test]
async fn all_answer_the_same_packet_in_the_order_in_which_they_do() {
    let mut room = Room::of(3).await;
    let mut acks = room.server.everyone().emit_with_acks::<u32>("q", (1, "x")).unwrap();
    room.everybody_hears("420[\"q\",1,\"x\"]").await;
    for client in [2, 0, 1] {
        room.peers[client].send_text(&format!("430[{client}]")).await;
        let came = answer(within(acks.next()).await);
        assert_eq!(came, (room.id(client), client as u32));
    }
    assert!(within(acks.next()).await.is_none());
    assert!(within(acks.next()).await.is_none(), "and stays at its end");
    assert!(acks.missing().is_empty());

    // One counter for one and for many.
    drop(room.sockets[0].emit_with_ack::<u32>("one", ()));
    room.peers[0].expect_text("421[\"one\"]").await;
    let acks = room.sockets[0].broadcast().emit_with_acks::<Bytes>("many", ()).unwrap();
    for client in [1, 2] {
        room.peers[client].expect_text("422[\"many\"]").await;
        room.peers[client].send_text(r#"461-2[{"_placeholder":true,"num":0}]"#).await;
        room.peers[client].send_binary(&[client as u8]).await;
    }
    let responses = within(acks.all()).await;
    assert!(responses.missing.is_empty());
    let mut values: Vec<_> = responses.values().collect();
    values.sort_unstable();
    assert_eq!(values, [Bytes::from_static(&[1]), Bytes::from_static(&[2])]);
    sync(&mut room.peers[0]).await;
}

#[tokio::test]
async fn it_is_a_stream() {
    let mut room = Room::of(1).await;
    let mut acks = room.server.everyone().emit_with_acks::<u32>("q", ()).unwrap();
    room.everybody_hears("420[\"q\"]").await;
    room.peers[0].send_text("430[7]").await;
    let mut next = async || std::future::poll_fn(|cx| Pin::new(&mut acks).poll_next(cx)).await;
    assert_eq!(answer(within(next()).await).1, 7);
    assert!(within(next()).await.is_none());
}

#[tokio::test]
async fn nobody_answers_at_once() {
    let room = Room::of(1).await;
    let acks = room.server.to("nowhere").emit_with_acks::<u32>("q", ()).unwrap();
    let responses = within(acks.all()).await;
    assert!(responses.answers.is_empty() && responses.missing.is_empty());
}

/// An answer that does not fit is one, and its sender is not missing.
#[tokio::test]
async fn an_answer_of_another_shape() {
    let mut room = Room::of(2).await;
    let acks = room.server.everyone().emit_with_acks::<u32>("q", ()).unwrap();
    room.everybody_hears("420[\"q\"]").await;
    room.peers[0].send_text("430[\"x\"]").await;
    room.peers[1].send_text("430[1]").await;
    let responses = within(acks.all()).await;
    assert!(responses.missing.is_empty());
    for response in &responses.answers {
        assert_eq!(response.data.is_err(), response.socket == Some(room.id(0)));
    }
    assert_eq!(responses.answers.len(), 2);
    assert_eq!(responses.values().collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn who_goes_is_missing_at_once() {
    for ending in ["packet", "transport", "server"] {
        let mut room = Room::of(2).await;
        let acks = room.server.everyone().emit_with_acks::<u32>("q", ()).unwrap();
        let polled = tokio::spawn(acks.all());
        room.everybody_hears("420[\"q\"]").await;
        room.peers[0].send_text("430[1]").await;
        match ending {
            "packet" => room.peers[1].send_text("41").await,
            "transport" => room.peers[1].finish().await,
            _ => room.sockets[1].disconnect(),
        }
        // Within far less than the 20 seconds of the ack timeout.
        let responses = within(polled).await.unwrap();
        assert_eq!(responses.missing.sockets, [room.id(1)], "{ending}");
        assert_eq!(responses.values().collect::<Vec<_>>(), [1], "{ending}");
    }
}

#[tokio::test]
async fn time_is_up() {
    let default = Duration::from_millis(1200);
    let mut room = Room::with(Server::builder().ack_timeout(default), 2).await;
    for (id, timeout) in [(0, None), (1, Some(Duration::from_millis(600)))] {
        let mut everyone = room.server.everyone();
        if let Some(timeout) = timeout {
            everyone = everyone.timeout(timeout);
        }
        let since = Instant::now();
        let mut acks = everyone.emit_with_acks::<u32>("q", ()).unwrap();
        room.everybody_hears(&format!("42{id}[\"q\"]")).await;
        room.peers[0].send_text(&format!("43{id}[1]")).await;
        assert_eq!(answer(within(acks.next()).await).1, 1);
        assert!(acks.missing().is_empty(), "the other one may still answer");
        assert!(within(acks.next()).await.is_none());
        // A user's timeout never fires early.
        assert!(since.elapsed() >= timeout.unwrap_or(default), "{:?}", since.elapsed());
        assert_eq!(acks.missing().sockets, [room.id(1)]);
        // Too late.
        room.peers[1].send_text(&format!("43{id}[1]")).await;
        sync(&mut room.peers[1]).await;
        assert!(within(acks.next()).await.is_none());
    }
}

/// One that is asked answers once, and one that is not, not at all.
#[tokio::test]
async fn only_who_is_asked_answers_and_only_once() {
    let mut room = Room::of(3).await;
    let mut acks = room.server.except(&*room.id(0)).emit_with_acks::<u32>("q", ()).unwrap();
    for client in [1, 2] {
        room.peers[client].expect_text("420[\"q\"]").await;
    }
    room.peers[0].send_text("430[666]").await;
    sync(&mut room.peers[0]).await;
    for _ in 0..2 {
        room.peers[1].send_text("430[1]").await;
    }
    sync(&mut room.peers[1]).await;
    assert_eq!(answer(within(acks.next()).await), (room.id(1), 1));
    room.peers[2].send_text("430[2]").await;
    assert_eq!(answer(within(acks.next()).await), (room.id(2), 2));
    assert!(within(acks.next()).await.is_none());
}

#[tokio::test]
async fn dropping_the_future_loses_nothing_and_dropping_the_acks_all() {
    let mut room = Room::of(1).await;
    let mut acks = room.server.everyone().emit_with_acks::<u32>("q", ()).unwrap();
    room.everybody_hears("420[\"q\"]").await;
    let cancelled = tokio::time::timeout(Duration::from_millis(20), acks.next()).await;
    assert!(cancelled.is_err(), "nobody has answered");
    room.peers[0].send_text("430[1]").await;
    assert_eq!(answer(within(acks.next()).await).1, 1);

    drop(room.server.everyone().emit_with_acks::<u32>("q", ()).unwrap());
    room.everybody_hears("421[\"q\"]").await;
    room.peers[0].send_text("431[1]").await;
    sync(&mut room.peers[0]).await;
}

#[tokio::test]
async fn an_event_that_cannot_be_encoded() {
    let mut room = Room::of(1).await;
    let error = room.server.everyone().emit_with_acks::<u32>("disconnect", ()).unwrap_err();
    assert!(matches!(error, EmitError::Encode(_)));
    sync(&mut room.peers[0]).await;
}

/// As with the ack of one: what its own client says before it answers must not wait for the handler.
#[tokio::test]
async fn a_handler_that_awaits_its_own_client_among_others_does_not_hold_it_up() {
    for face in FACES {
        let namespace = root()
            .on("ask all", |socket: Socket| async move {
                let acks = socket.everyone().emit_with_acks::<u32>("q", ()).unwrap();
                acks.all().await.values().sum::<u32>()
            })
            .on("async", || async { tokio::task::yield_now().await });
        let builder = Server::builder().namespace(namespace).max_running_handlers(1);
        let server = face.serve(builder).await;
        let (mut asking, _) = Peer::socketio(server.address).await;
        let (mut other, _) = Peer::socketio(server.address).await;
        asking.send_text("427[\"ask all\"]").await;
        for peer in [&mut asking, &mut other] {
            peer.expect_text("420[\"q\"]").await;
        }
        asking.send_text("428[\"async\"]").await;
        asking.expect_text("438[]").await;
        asking.send_text("430[1]").await;
        other.send_text("430[2]").await;
        asking.expect_text("437[3]").await;
    }
}
