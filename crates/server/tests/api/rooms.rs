//! Rooms, and whom a broadcast reaches.

use std::collections::HashMap;
use std::time::Duration;

use sockeye_server::{Broadcast, EmitError, Namespace, Recovery, Server, Socket};
use sockeye_testkit::peer::Peer;

use crate::harness::{
    FACES, Face, Running, journal, root, serve, serve_namespace, sync, with_reasons, with_sockets,
    within,
};

/// Clients by name, each in the rooms given.
struct Hall {
    server: Running,
    names: Vec<&'static str>,
    peers: HashMap<&'static str, Peer>,
    sockets: HashMap<&'static str, Socket>,
}

impl Hall {
    async fn new(face: Face, clients: &[(&'static str, &[&str])]) -> Self {
        let (namespace, mut sockets) = with_sockets(root());
        let server = face.serve(Server::builder().namespace(namespace)).await;
        let mut hall =
            Self { server, names: Vec::new(), peers: HashMap::new(), sockets: HashMap::new() };
        for (name, rooms) in clients {
            let (peer, _) = Peer::socketio(hall.server.address).await;
            let socket = sockets.next().await;
            for room in *rooms {
                assert!(socket.join(room));
            }
            hall.names.push(name);
            hall.peers.insert(name, peer);
            hall.sockets.insert(name, socket);
        }
        hall
    }

    fn socket(&self, name: &str) -> &Socket {
        &self.sockets[name]
    }

    fn peer(&mut self, name: &str) -> &mut Peer {
        self.peers.get_mut(name).unwrap()
    }

    /// The broadcast reaches exactly these, once each.
    #[track_caller]
    fn assert_reaches(&mut self, broadcast: Broadcast, expected: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            broadcast.emit("e", ()).unwrap();
            let mut reached = Vec::new();
            for name in &self.names {
                let peer = self.peers.get_mut(name).unwrap();
                peer.send_text("420[\"sync\"]").await;
                let mut times = 0;
                loop {
                    match peer.recv_text().await.as_str() {
                        "42[\"e\"]" => times += 1,
                        "430[]" => break,
                        other => panic!("{caller}: {name} got {other}"),
                    }
                }
                assert!(times <= 1, "{caller}: {name} got it {times} times");
                if times == 1 {
                    reached.push(*name);
                }
            }
            assert_eq!(reached.join(" "), expected, "{caller}");
            let mut sockets: Vec<_> = broadcast.sockets();
            let named = self.names.iter().filter(|name| {
                let found = sockets.iter().position(|socket| *socket == self.sockets[*name]);
                found.map(|found| sockets.swap_remove(found)).is_some()
            });
            let named: Vec<_> = named.copied().collect();
            assert_eq!(named.join(" "), expected, "{caller}: sockets()");
            assert!(sockets.is_empty(), "{caller}: sockets() has some twice, or strangers");
        }
    }
}

/// a: red, b: red and blue, c: blue, d: none.
const CLIENTS: [(&str, &[&str]); 4] =
    [("a", &["red"]), ("b", &["red", "blue"]), ("c", &["blue"]), ("d", &[])];

#[tokio::test]
async fn from_the_server() {
    for face in FACES {
        let mut hall = Hall::new(face, &CLIENTS).await;
        let io = hall.server.io.clone();
        let everyone = io.of("/").unwrap();
        hall.assert_reaches(everyone.clone(), "a b c d").await;
        hall.assert_reaches(io.to("red"), "a b").await;
        hall.assert_reaches(io.to("red").to("blue"), "a b c").await;
        hall.assert_reaches(io.to(["red", "blue"]), "a b c").await;
        hall.assert_reaches(io.to(vec!["blue".to_owned(), "red".to_owned()]), "a b c").await;
        hall.assert_reaches(io.to("red").except("blue"), "a").await;
        hall.assert_reaches(io.except("blue").to("red"), "a").await;
        hall.assert_reaches(io.except("red"), "c d").await;
        hall.assert_reaches(io.except(["red", "blue"]), "d").await;
        hall.assert_reaches(io.except("red").except("blue"), "d").await;
        hall.assert_reaches(io.except("nowhere"), "a b c d").await;
        hall.assert_reaches(io.to("nowhere"), "").await;
        hall.assert_reaches(io.to("nowhere").to("red"), "a b").await;
        hall.assert_reaches(io.to("red").except("red"), "").await;
        hall.assert_reaches(everyone.local(), "a b c d").await;
        hall.assert_reaches(io.to("red").volatile(), "a b").await;
    }
}

#[tokio::test]
async fn from_a_socket() {
    let mut hall = Hall::new(Face::Own, &CLIENTS).await;
    let b = hall.socket("b").clone();
    hall.assert_reaches(b.broadcast(), "a c d").await;
    hall.assert_reaches(b.everyone(), "a b c d").await;
    hall.assert_reaches(b.to("red"), "a").await;
    hall.assert_reaches(b.to(["red", "blue"]), "a c").await;
    hall.assert_reaches(b.broadcast().to("blue"), "c").await;
    hall.assert_reaches(b.except("red"), "c d").await;
    hall.assert_reaches(b.everyone().to("red"), "a b").await;
    hall.assert_reaches(b.everyone().except("red"), "c d").await;
    let d = hall.socket("d").clone();
    hall.assert_reaches(d.to("red"), "a b").await;
}

/// The room that bears a socket's id is a private message's address.
#[tokio::test]
async fn a_socket_is_in_the_room_of_its_id() {
    let mut hall = Hall::new(Face::Own, &CLIENTS).await;
    let (a, c) = (hall.socket("a").clone(), hall.socket("c").clone());
    let io = hall.server.io.clone();
    hall.assert_reaches(io.to(c.id()), "c").await;
    hall.assert_reaches(a.to(c.id()), "c").await;
    hall.assert_reaches(a.to(a.id()), "").await;
    hall.assert_reaches(io.to(a.id()).to(c.id()), "a c").await;
    hall.assert_reaches(io.except(c.id()), "a b d").await;
    hall.assert_reaches(io.to("blue").except(c.id()), "b").await;
    assert_eq!(a.rooms(), [a.id().into(), Box::<str>::from("red")]);
    assert_eq!(hall.socket("d").rooms(), [Box::<str>::from(hall.socket("d").id())]);
}

#[tokio::test]
async fn joining_and_leaving() {
    let mut hall = Hall::new(Face::Own, &CLIENTS).await;
    let io = hall.server.io.clone();
    let a = hall.socket("a").clone();
    assert!(!a.join("red"), "it was in already");
    assert!(a.join("green"));
    assert!(a.join(""), "any string names a room");
    let rooms = a.rooms();
    assert_eq!(rooms.len(), 4, "{rooms:?}");
    for room in ["red", "green", ""] {
        assert!(rooms.iter().any(|found| &**found == room), "{rooms:?}");
    }
    hall.assert_reaches(io.to("green"), "a").await;
    hall.assert_reaches(io.to(""), "a").await;
    assert!(a.leave("red"));
    assert!(!a.leave("red"));
    assert!(!a.leave("never joined"));
    hall.assert_reaches(io.to("red"), "b").await;
    hall.assert_reaches(io.of("/").unwrap(), "a b c d").await;
    assert!(a.join("red"));
    hall.assert_reaches(io.to("red"), "a b").await;
}

/// Who has gone is in no room, and who comes next does not take its place in them.
#[tokio::test]
async fn rooms_are_empty_after_a_disconnect() {
    let mut hall = Hall::new(Face::Own, &CLIENTS).await;
    let io = hall.server.io.clone();
    let b = hall.socket("b").clone();
    let peer = hall.peer("b");
    peer.send_text("41").await;
    within(b.closed()).await;
    assert!(b.rooms().is_empty());
    assert!(!b.join("red"), "it is gone");
    assert!(!b.leave("red"));
    peer.join("/").await;
    let name = hall.names.remove(1);
    let mut returned = hall.peers.remove(name).unwrap();
    assert!(io.to(b.id()).sockets().is_empty());
    // The new socket is in `/`, and in none of the old one's rooms.
    assert_eq!(io.of("/").unwrap().sockets().len(), 4);
    hall.assert_reaches(io.to("red"), "a").await;
    hall.assert_reaches(io.to("blue"), "c").await;
    hall.assert_reaches(io.to(["red", "blue"]), "a c").await;
    sync(&mut returned).await;
}

#[tokio::test]
async fn selections_of_sockets() {
    let mut hall = Hall::new(Face::Own, &CLIENTS).await;
    let io = hall.server.io.clone();
    io.to("red").join("green");
    hall.assert_reaches(io.to("green"), "a b").await;
    io.to("green").except("blue").join(["x", "y"]);
    hall.assert_reaches(io.to("x"), "a").await;
    hall.assert_reaches(io.to("y"), "a").await;
    io.to("blue").leave(["green", "blue"]);
    hall.assert_reaches(io.to("green"), "a").await;
    hall.assert_reaches(io.to("blue"), "").await;
    io.of("/").unwrap().join("all");
    hall.assert_reaches(io.to("all"), "a b c d").await;
    let c = hall.socket("c").clone();
    c.broadcast().leave("all");
    hall.assert_reaches(io.to("all"), "c").await;

    io.to("red").disconnect();
    for name in ["a", "b"] {
        hall.peer(name).expect_text("41").await;
        assert!(!hall.socket(name).is_connected());
    }
    hall.names.retain(|name| *name > "b");
    hall.assert_reaches(io.of("/").unwrap(), "c d").await;
}

#[tokio::test]
async fn namespaces_are_apart() {
    let (chat, mut sockets) = with_sockets(Namespace::new("/chat"));
    let (root, mut root_sockets) = with_sockets(root());
    let server = serve(Server::builder().namespace(root).namespace(chat)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.join("/chat").await;
    root_sockets.next().await.join("room");
    let socket = sockets.next().await;
    assert!(server.of("/chat").unwrap().to("room").sockets().is_empty());
    socket.join("room");
    server.to("room").emit("e", 1).unwrap();
    server.of("/chat").unwrap().to("room").emit("e", 2).unwrap();
    socket.everyone().emit("e", 3).unwrap();
    peer.expect_text("42[\"e\",1]").await;
    peer.expect_text("42/chat,[\"e\",2]").await;
    peer.expect_text("42/chat,[\"e\",3]").await;
    assert!(server.of("/nope").is_none());
    // The slash may be left out, as in Node.
    assert_eq!(server.of("chat").unwrap().sockets(), [socket]);
    assert_eq!(server.sockets("chat"), 1);
}

#[tokio::test]
async fn binary_broadcasts_arrive_whole() {
    let mut hall = Hall::new(Face::Own, &CLIENTS).await;
    let io = hall.server.io.clone();
    let data = (bytes::Bytes::from_static(b"\x01\x02"), "text");
    for _ in 0..3 {
        io.to(["red", "blue"]).emit("b", &data).unwrap();
        io.emit("next", ()).unwrap();
    }
    for name in ["a", "b", "c"] {
        for _ in 0..3 {
            let peer = hall.peer(name);
            peer.expect_text(r#"451-["b",{"_placeholder":true,"num":0},"text"]"#).await;
            peer.expect_binary(b"\x01\x02").await;
            peer.expect_text(r#"42["next"]"#).await;
        }
    }
}

/// As in Node, whose server always has that namespace.
#[tokio::test]
async fn without_the_main_namespace_nobody_is_in_it() {
    for recovery in [false, true] {
        let mut builder = Server::builder().namespace(Namespace::new("/chat"));
        if recovery {
            builder = builder.connection_state_recovery(Recovery::memory());
        }
        let server = serve(builder).await;
        server.emit("e", 1).unwrap();
        server.to("room").emit("e", 1).unwrap();
        server.except("room").volatile().emit("e", 1).unwrap();
        server.local().emit("e", 1).unwrap();
        let asked = server.timeout(Duration::from_secs(600)).emit_with_acks::<u8>("e", 1).unwrap();
        assert_eq!(within(asked.all()).await.values().count(), 0);
        assert!(matches!(server.emit("connect", 1), Err(EmitError::Encode(_))));
        assert!(matches!(server.to("room").emit("connect", 1), Err(EmitError::Encode(_))));
        assert!(server.everyone().sockets().is_empty());
        // There is no such namespace for that.
        assert!(server.of("/").is_none());
        assert_eq!(server.namespaces(), ["/chat"]);
        let mut peer = Peer::engineio(server.address).await;
        peer.send_text("40").await;
        peer.expect_text("44{\"message\":\"Invalid namespace\"}").await;
    }
}

#[tokio::test]
async fn nobody_is_no_error() {
    let server = serve_namespace(root()).await;
    server.emit("e", ()).unwrap();
    server.to("nowhere").emit("e", ()).unwrap();
    server.to("nowhere").disconnect();
    let server = serve(Server::builder()).await;
    server.emit("e", ()).unwrap();
}

/// A disconnect handler sees the socket out of its rooms, and may tell those who are left.
#[tokio::test]
async fn a_disconnect_handler_tells_the_others() {
    let namespace = root().on_disconnect(|socket: Socket| {
        assert!(socket.rooms().is_empty());
        assert!(!socket.is_connected());
        socket.broadcast().emit("left", socket.id()).unwrap();
    });
    let (namespace, mut reasons) = with_reasons(namespace);
    let server = serve_namespace(namespace).await;
    let (mut peer, id) = Peer::socketio(server.address).await;
    let (mut other, _) = Peer::socketio(server.address).await;
    peer.finish().await;
    other.expect_text(&format!("42[\"left\",\"{id}\"]")).await;
    reasons.expect(["transport close"]).await;
}

/// The hook sees the rooms, once for each way to go, and tells those who are in them; the handler sees none.
#[tokio::test]
async fn a_socket_that_is_leaving_is_in_its_rooms_still() {
    for face in FACES {
        for (ending, expected) in [
            ("packet", "client namespace disconnect"),
            ("server", "server namespace disconnect"),
            ("selection", "server namespace disconnect"),
            ("whole client", "server namespace disconnect"),
            ("transport", "transport close"),
            ("violation", "forced close"),
        ] {
            let (note, mut noted) = journal();
            let (hook, after) = (note.clone(), note.clone());
            let namespace = root()
                .on_disconnecting(|_, _| panic!("on purpose, within a test"))
                .on_disconnecting(|socket, _| {
                    for room in socket.rooms() {
                        socket.to(&*room).emit("user left", (&*room, socket.id())).unwrap();
                    }
                })
                .on_disconnecting(move |socket, reason| {
                    let mut rooms = socket.rooms();
                    rooms.sort();
                    hook.write((reason.as_str(), rooms));
                })
                .on_disconnect(move |socket: Socket| after.write(("after", socket.rooms())));
            let (namespace, mut sockets) = with_sockets(namespace);
            let server = face.serve(Server::builder().namespace(namespace)).await;
            let (mut peer, _) = Peer::socketio(server.address).await;
            let socket = sockets.next().await;
            let (mut other, _) = Peer::socketio(server.address).await;
            let others = sockets.next().await;
            others.join("red");
            socket.join("red");
            match ending {
                "packet" => peer.send_text("41").await,
                "server" => socket.disconnect(),
                "selection" => server.to("red").except(others.id()).disconnect(),
                "whole client" => socket.disconnect_client(),
                "transport" => peer.finish().await,
                _ => peer.send_text("4x").await,
            }
            let mut rooms = ["red".into(), socket.id().into()];
            rooms.sort();
            noted.expect([(expected, rooms.to_vec()), ("after", vec![])]).await;
            other.expect_text(&format!("42[\"user left\",\"red\",\"{}\"]", socket.id())).await;
            socket.disconnect();
            sync(&mut other).await;
            noted.expect_nothing();
        }
    }
}

#[tokio::test]
async fn a_socket_that_was_not_let_in_is_not_leaving() {
    let (note, mut noted) = journal();
    let namespace = root()
        .middleware(|| Err::<(), _>("no"))
        .on_disconnecting(move |_, reason| note.write(reason.as_str()));
    let server = serve_namespace(namespace).await;
    let mut peer = Peer::engineio(server.address).await;
    peer.send_text("40").await;
    peer.expect_text("44{\"message\":\"no\"}").await;
    peer.send_close(&[]).await;
    peer.expect_close(1005).await;
    noted.expect_nothing();
}
