//! Several handlers, listeners to all events, and packet middleware: who hears what, in which order.

use bytes::Bytes;
use sockeye_server::{Args, Data, EventName, Failure, Server, Socket};
use sockeye_testkit::peer::Peer;

use crate::harness::{journal, root, serve_namespace, sync, with_sockets};

#[tokio::test]
async fn any_then_middleware_then_handlers_in_order() {
    let (note, mut noted) = journal();
    let name = |name: &'static str| {
        let note = note.clone();
        move || note.write(name)
    };
    let (any, middle, own_any, own_middle, first) = (
        name("any"),
        name("middleware"),
        name("own any"),
        name("own middleware"),
        name("prepended"),
    );
    let (own, second) = (name("own"), name("once"));
    let namespace = root()
        .on("e", name("first"))
        .on("e", name("second"))
        .on_any(move |EventName(_)| any())
        .packet_middleware(middle)
        .on_connect(move |socket: Socket| {
            let (own_any, own_middle, first) = (own_any.clone(), own_middle.clone(), first.clone());
            let (own, second) = (own.clone(), second.clone());
            socket.on_any(own_any);
            socket.prepend_any(first);
            socket.packet_middleware(own_middle);
            socket.on("e", own);
            socket.once("e", second);
        });
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let before =
        ["any", "prepended", "own any", "middleware", "own middleware", "first", "second", "own"];
    for once in [true, false] {
        peer.send_text("420[\"e\"]").await;
        peer.expect_text("430[]").await;
        noted.expect(before).await;
        if once {
            noted.expect(["once"]).await;
        }
        noted.expect_nothing();
    }
}

#[tokio::test]
async fn what_is_taken_off_is_not_called() {
    let (note, mut noted) = journal();
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;
    let listener = || {
        let note = note.clone();
        move || note.write("called")
    };
    let any = socket.on_any(listener());
    socket.on_any(listener());
    assert_eq!(socket.any_listeners(), 2);
    assert!(socket.off(any));
    assert!(!socket.off(any));
    assert_eq!((socket.off_any(), socket.any_listeners()), (1, 0));
    socket.on("e", listener());
    socket.once("e", listener());
    socket.on("f", listener());
    assert_eq!((socket.off_event("e"), socket.off_event("e")), (2, 0));
    let refuse = socket.packet_middleware(|| Err::<(), _>("no"));
    peer.send_text("420[\"f\"]").await;
    peer.expect_text("430[{\"error\":\"no\"}]").await;
    assert!(socket.off(refuse));
    noted.expect_nothing();
    peer.send_text("420[\"e\"]").await;
    peer.send_text("421[\"f\"]").await;
    peer.expect_text("431[]").await;
    noted.expect(["called"]).await;
    noted.expect_nothing();
}

#[tokio::test]
async fn whatever_goes_wrong_is_answered_told_and_counted() {
    let (note, mut noted) = journal();
    let namespace =
        root()
            .packet_middleware(|EventName(event), Data(args): Data<Args>| {
                if *event == *"forbidden" { Err(("no", args.0.len())) } else { Ok(()) }
            })
            .on("forbidden", || "never")
            .on("number", |Data(n): Data<u8>| n)
            .on("error", || Err::<(), _>("sync"))
            .on("later", || async {
                tokio::task::yield_now().await;
                Err::<(), _>("async")
            })
            .on_error(move |_, event, failure| note.write((event.to_owned(), failure.clone())));
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.send_text("420[\"forbidden\",1,2]").await;
    peer.expect_text("430[{\"error\":[\"no\",2]}]").await;
    peer.send_text("421[\"number\",-1]").await;
    assert!(peer.recv_text().await.starts_with("431[{\"error\":\""));
    peer.send_text("422[\"error\"]").await;
    peer.expect_text("432[{\"error\":\"sync\"}]").await;
    peer.send_text("423[\"later\"]").await;
    peer.expect_text("433[{\"error\":\"async\"}]").await;
    peer.send_text("42[\"error\"]").await;
    peer.send_text("42[\"nobody's\"]").await;
    sync(&mut peer).await;
    let told = |event: &str, failure| (event.to_owned(), failure);
    noted.expect([told("forbidden", Failure::Refused("[\"no\",2]".into()))]).await;
    let (event, failure) = noted.next().await;
    assert!(event == "number" && matches!(failure, Failure::Rejected(_)), "{event}: {failure:?}");
    noted
        .expect([
            told("error", Failure::Returned("\"sync\"".into())),
            told("later", Failure::Returned("\"async\"".into())),
            told("error", Failure::Returned("\"sync\"".into())),
            told("nobody's", Failure::Unhandled),
        ])
        .await;
    let metrics = server.metrics();
    assert_eq!((metrics.handler_errors, metrics.events_refused), (3, 2));
    assert_eq!((metrics.events_unhandled, metrics.handler_panics), (1, 0));
}

#[tokio::test]
async fn outgoing_events_are_heard_and_acks_are_not() {
    let (note, mut noted) = journal();
    let (all, own) = (note.clone(), note);
    let namespace = root().on_any_outgoing(move |EventName(event), Data(args): Data<Args>| {
        all.write(format!("all {event} {}", args.0.len()));
    });
    let (namespace, mut sockets) = with_sockets(namespace);
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;
    socket.emit("one", ()).unwrap();
    noted.expect(["all one 0".to_owned()]).await;
    let other = own.clone();
    let listener = socket.on_any_outgoing(move |Data(bytes): Data<Option<Bytes>>| {
        other.write(format!("own {bytes:?}"));
    });
    server.emit("two", Bytes::from_static(b"x")).unwrap();
    noted.expect(["all two 1".to_owned(), "own Some(b\"x\")".to_owned()]).await;
    assert!(socket.off(listener));
    socket.emit_wait("three", 1).await.unwrap();
    noted.expect(["all three 1".to_owned()]).await;
    // An event that does not reach it is not heard, and neither is an ack.
    server.except(socket.id()).emit("four", ()).unwrap();
    peer.expect_text("42[\"one\"]").await;
    peer.recv_text().await;
    peer.recv().await;
    peer.expect_text("42[\"three\",1]").await;
    sync(&mut peer).await;
    noted.expect_nothing();
    drop(own);
}

/// Without a listener of the namespace; and what a middleware emits is heard, too.
#[tokio::test]
async fn one_socket_alone_hears_what_goes_out_to_it() {
    let (note, mut noted) = journal();
    let namespace = root().middleware(move |socket: Socket| {
        let note = note.clone();
        socket.on_any_outgoing(move |EventName(event)| note.write(event));
        socket.emit("held back", ()).unwrap();
    });
    let server = crate::harness::serve(Server::builder().namespace(namespace)).await;
    let (mut peer, id) = Peer::socketio(server.address).await;
    server.to(&id).emit("after", ()).unwrap();
    noted.expect(["held back".into(), "after".into()]).await;
    peer.expect_text("42[\"held back\"]").await;
    peer.expect_text("42[\"after\"]").await;
    noted.expect_nothing();
}
