//! Dynamic namespaces: who finds one, what it shares, and when it is gone.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Deserialize;
use sockeye_server::{Args, Data, Namespace, NamespaceName, Path, Server, Socket, State, Value};
use sockeye_testkit::peer::Peer;

use crate::harness::{FACES, journal, root, serve, sync, until};

fn rooms() -> Namespace {
    Namespace::matching("/room-{id}")
        .on("id", |Path(id): Path<u32>| id)
        .on("name", |NamespaceName(name)| name)
        .on("join", |socket: Socket, Data(room): Data<String>| socket.join(&room))
}

#[tokio::test]
async fn children_by_pattern_share_handlers_and_nothing_else() {
    for face in FACES {
        let (note, mut noted) = journal();
        let builder = Server::builder()
            .namespace(root())
            .namespace(rooms().state("shared").on("state", |state: State<&'static str>| *state))
            .on_namespace(move |name| note.write(name.to_owned()));
        let server = face.serve(builder).await;
        let (mut peer, _) = Peer::socketio(server.address).await;
        for (path, id) in [("/room-7", 7), ("/room-8", 8)] {
            assert!(server.of(path).is_none());
            peer.join(path).await;
            noted.expect([path.to_owned()]).await;
            peer.send_text(&format!("42{path},0[\"id\"]")).await;
            peer.expect_text(&format!("43{path},0[{id}]")).await;
            peer.send_text(&format!("42{path},0[\"name\"]")).await;
            peer.expect_text(&format!("43{path},0[\"{path}\"]")).await;
            peer.send_text(&format!("42{path},0[\"state\"]")).await;
            peer.expect_text(&format!("43{path},0[\"shared\"]")).await;
        }
        peer.send_text("40/room-,").await;
        peer.expect_text("44/room-,{\"message\":\"Invalid namespace\"}").await;
        peer.send_text("42/room-7,0[\"join\",\"a\"]").await;
        peer.expect_text("43/room-7,0[true]").await;
        server.of("/room-8").unwrap().emit("one", ()).unwrap();
        peer.expect_text("42/room-8,[\"one\"]").await;
        let parent = server.parent("/room-{id}").unwrap();
        parent.clone().to("a").emit("in a", 1).unwrap();
        peer.expect_text("42/room-7,[\"in a\",1]").await;
        parent.clone().except("a").emit("not in a", 2).unwrap();
        peer.expect_text("42/room-8,[\"not in a\",2]").await;
        parent.clone().to("a").compress(false).local().volatile().emit("some", ()).unwrap();
        peer.expect_text("42/room-7,[\"some\"]").await;
        parent.emit("all", ()).unwrap();
        let mut all = [peer.recv_text().await, peer.recv_text().await];
        all.sort();
        assert_eq!(all, ["42/room-7,[\"all\"]", "42/room-8,[\"all\"]"]);
        let mut names = server.namespaces();
        names.sort();
        assert_eq!(names, ["/", "/room-7", "/room-8"]);
        assert_eq!((server.sockets("/room-7"), server.sockets("/room-9")), (1, 0));
        // The last socket takes its namespace along.
        peer.send_text("41/room-7,").await;
        sync(&mut peer).await;
        assert!(server.of("/room-7").is_none());
        peer.finish().await;
        until(|| server.of("/room-8").is_none()).await;
        noted.expect_nothing();
    }
}

#[derive(Debug, Deserialize, PartialEq)]
struct Place {
    tenant: String,
    id: u8,
}

#[tokio::test]
async fn places_are_read_by_type() {
    let namespace = Namespace::matching("/{tenant}/{id}")
        .on("struct", |Path(place): Path<Place>| format!("{place:?}"))
        .on("tuple", |Path(place): Path<(String, u8)>| place)
        .on("map", |Path(place): Path<HashMap<String, String>>| place["tenant"].clone())
        .on("one", |Path(place): Path<String>| place);
    let server = serve(Server::builder().namespace(namespace)).await;
    let mut peer = Peer::engineio(server.address).await;
    peer.join("/t/7").await;
    for (event, answer) in [
        ("struct", r#""Place { tenant: \"t\", id: 7 }""#),
        ("tuple", r#""t",7"#),
        ("map", r#""t""#),
    ] {
        peer.send_text(&format!("42/t/7,0[\"{event}\"]")).await;
        peer.expect_text(&format!("43/t/7,0[{answer}]")).await;
    }
    peer.send_text("42/t/7,0[\"one\"]").await;
    assert!(peer.recv_text().await.starts_with("43/t/7,0[{\"error\":"));
    peer.join("/t/256").await;
    peer.send_text("42/t/256,0[\"tuple\"]").await;
    assert!(peer.recv_text().await.contains("256"));
}

#[tokio::test]
async fn functions_are_asked_in_order_with_the_auth() {
    fn panics() -> bool {
        panic!("on purpose, within a test");
    }
    let (note, mut noted) = journal();
    let (first, second) = (note.clone(), note);
    let builder = Server::builder()
        .namespace(root())
        .namespace(Namespace::dynamic("first", move |name: String, auth: Option<Value>| {
            first.write(format!("first {name} {}", auth.is_some()));
            async move {
                tokio::task::yield_now().await;
                if name == "/panic" { panics() } else { name == "/a" }
            }
        }))
        .namespace(
            Namespace::dynamic("second", move |name: String, _: Option<Value>| {
                second.write(format!("second {name}"));
                async move { name == "/b" }
            })
            .on("echo", |Data(args): Data<Args>| args),
        )
        .plain("/plain", "/b");
    let server = serve(builder).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.send_text("40/a,{\"x\":1}").await;
    peer.expect_joined("/a").await;
    noted.expect(["first /a true".to_owned()]).await;
    peer.join("/b").await;
    noted.expect(["first /b false".to_owned(), "second /b".to_owned()]).await;
    peer.send_text("40/c,").await;
    peer.expect_text("44/c,{\"message\":\"Invalid namespace\"}").await;
    peer.send_text("40/panic,").await;
    peer.expect_text("44/panic,{\"message\":\"internal error\"}").await;
    // Who leaves before the answer was never there.
    peer.send_text("41/a,").await;
    peer.send_text("40/a,").await;
    peer.send_text("41/a,").await;
    sync(&mut peer).await;
    peer.join("/a").await;
    peer.send_text("41/b,").await;
    sync(&mut peer).await;
    let mut plain = Peer::websocket(server.address, "/plain").await;
    assert!(plain.recv_text().await.starts_with("{\"connected\""));
}

#[tokio::test]
async fn refused_sockets_leave_no_namespace_and_the_rest_is_bounded() {
    let guarded = Namespace::matching("/guarded-{n}").middleware(|| Err::<(), _>("no"));
    let builder = Server::builder()
        .namespace(root())
        .namespace(guarded)
        .namespace(rooms())
        .max_dynamic_namespaces(2);
    let server = serve(builder).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    for n in 0..5 {
        peer.send_text(&format!("40/guarded-{n},")).await;
        peer.expect_text(&format!("44/guarded-{n},{{\"message\":\"no\"}}")).await;
    }
    assert_eq!(server.namespaces(), ["/"]);
    peer.join("/room-1").await;
    peer.join("/room-2").await;
    peer.send_text("40/room-3,").await;
    peer.expect_text("44/room-3,{\"message\":\"too many namespaces\"}").await;
    assert_eq!(server.metrics().namespaces_refused, 1);
    peer.send_text("41/room-1,").await;
    peer.join("/room-3").await;
}

#[tokio::test]
async fn empty_namespaces_are_kept_on_request() {
    let builder =
        Server::builder().namespace(root()).namespace(rooms()).cleanup_empty_namespaces(false);
    let server = serve(builder).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.join("/room-1").await;
    peer.send_text("41/room-1,").await;
    sync(&mut peer).await;
    assert!(server.of("/room-1").is_some());
    assert_eq!(server.sockets("/room-1"), 0);
}

#[tokio::test]
async fn a_namespace_stays_until_its_last_socket_goes() {
    let server = serve(Server::builder().namespace(root()).namespace(rooms())).await;
    let (mut first, _) = Peer::socketio(server.address).await;
    let (mut second, _) = Peer::socketio(server.address).await;
    first.join("/room-1").await;
    second.join("/room-1").await;
    // In both ways of leaving, and with another one coming in between.
    first.send_text("41/room-1,").await;
    sync(&mut first).await;
    server.of("/room-1").unwrap().emit("there", 1).unwrap();
    second.expect_text("42/room-1,[\"there\",1]").await;
    first.join("/room-1").await;
    second.finish().await;
    until(|| server.sockets("/room-1") == 1).await;
    server.of("/room-1").unwrap().emit("there", 2).unwrap();
    first.expect_text("42/room-1,[\"there\",2]").await;
    first.send_text("41/room-1,").await;
    sync(&mut first).await;
    assert_eq!(server.namespaces(), ["/"]);
}

#[tokio::test]
async fn the_server_makes_one_before_anybody_comes() {
    let (note, mut noted) = journal();
    let builder = Server::builder()
        .namespace(root())
        .namespace(Namespace::new("/lobby"))
        .namespace(Namespace::dynamic("others", async |_: String, _: Option<Value>| true))
        .namespace(rooms())
        .max_dynamic_namespaces(1)
        .on_namespace(move |name| note.write(name.to_owned()));
    let server = serve(builder).await;
    noted.expect(["/lobby".to_owned()]).await;
    assert!(server.open("/other").is_none(), "no name alone decides");
    assert!(server.open("lobby").is_some());
    let room = server.open("room-1").unwrap();
    noted.expect(["/room-1".to_owned()]).await;
    assert!(server.open("/room-2").is_none(), "there may be but one");
    room.emit("to nobody", ()).unwrap();
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.join("/room-1").await;
    room.emit("here", 1).unwrap();
    peer.expect_text("42/room-1,[\"here\",1]").await;
    server.open("/room-1").unwrap().emit("again", 2).unwrap();
    peer.expect_text("42/room-1,[\"again\",2]").await;
    noted.expect_nothing();
    peer.send_text("41/room-1,").await;
    sync(&mut peer).await;
    assert!(server.of("/room-1").is_none());
}

/// Whoever comes while the last one goes is in a namespace that can be found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coming_while_the_last_one_goes() {
    let made = Arc::new(AtomicUsize::new(0));
    let count = made.clone();
    let builder = Server::builder().namespace(root()).namespace(rooms()).on_namespace(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let server = Arc::new(serve(builder).await);
    let clients = (0..4).map(|_| {
        let server = server.clone();
        tokio::spawn(async move {
            let (mut peer, _) = Peer::socketio(server.address).await;
            for _ in 0..100 {
                let id = peer.join("/room-1").await;
                server.of("/room-1").unwrap().to(&*id).emit("found", ()).unwrap();
                peer.expect_text("42/room-1,[\"found\"]").await;
                peer.send_text("41/room-1,").await;
            }
            sync(&mut peer).await;
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    assert!(server.of("/room-1").is_none());
    assert!(made.load(Ordering::Relaxed) >= 1);
}

/// Nobody is in a namespace of which the hooks have not heard, be it another client that asks for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_is_let_in_before_the_hook_is_done() {
    let (note, mut noted) = journal();
    let (connected, others) = std::sync::mpsc::channel();
    let others = std::sync::Mutex::new(others);
    let rooms = rooms().on_connect(move || connected.send(()).unwrap());
    let builder = Server::builder().namespace(rooms).on_namespace(move |_| {
        note.write("made");
        // Long enough for the other client, were it not to wait.
        let wait = || others.lock().unwrap().recv_timeout(Duration::from_millis(200));
        let met = tokio::task::block_in_place(wait);
        note.write(if met.is_ok() { "too early" } else { "alone" });
    });
    let server = serve(builder).await;
    let (mut first, mut second) =
        (Peer::engineio(server.address).await, Peer::engineio(server.address).await);
    first.send_text("40/room-1,").await;
    noted.expect(["made"]).await;
    second.send_text("40/room-1,").await;
    noted.expect(["alone"]).await;
    first.expect_joined("/room-1").await;
    second.expect_joined("/room-1").await;
    noted.expect_nothing();
}

#[cfg(feature = "regex")]
#[tokio::test]
async fn children_by_regular_expression() {
    let namespace = Namespace::regex(regex::Regex::new(r"^/(?<kind>\w+)-(\d+)$").unwrap())
        .on("places", |Path(places): Path<(String, u32)>| places);
    let server = serve(Server::builder().namespace(namespace)).await;
    let mut peer = Peer::engineio(server.address).await;
    peer.join("/room-7").await;
    peer.send_text("42/room-7,0[\"places\"]").await;
    peer.expect_text("43/room-7,0[\"room\",7]").await;
    peer.send_text("40/room-x,").await;
    peer.expect_text("44/room-x,{\"message\":\"Invalid namespace\"}").await;
}
