//! Dynamic namespaces, which are gone when nobody is in them and nobody may come back.

use super::*;

fn rooms() -> (Namespace, Journal<Socket>) {
    with_sockets(Namespace::matching("/room-{id}").middleware(async |socket: Socket| {
        match socket.namespace() {
            "/room-13" => Err(Refusal::new("unlucky")),
            "/room-14" => std::future::pending().await,
            _ => Ok(()),
        }
    }))
}

async fn enter(peer: &mut Peer, path: &str) -> Past {
    peer.send_text(&format!("40{path},")).await;
    joined_in(&peer.recv_text().await, path)
}

fn joined_in(reply: &str, path: &str) -> Past {
    joined(&reply.replacen(&format!("{path},"), "", 1))
}

async fn back(address: SocketAddr, past: &Past, path: &str) -> (Peer, Past) {
    let mut peer = Peer::engineio(address).await;
    peer.send_text(&past.connect("").replacen("40", &format!("40{path},"), 1)).await;
    let now = joined_in(&peer.recv_text().await, path);
    (peer, now)
}

#[tokio::test]
async fn one_stays_for_those_who_may_come_back() {
    let (namespace, mut sockets) = rooms();
    let server = serve(recoverable(root()).namespace(namespace)).await;
    let all = server.parent("/room-{id}").unwrap();
    let mut peer = Peer::engineio(server.address).await;
    let mut past = enter(&mut peer, "/room-7").await;
    let socket = sockets.next().await;
    socket.join("red");
    socket.set_data(&1).unwrap();
    all.emit("heard", ()).unwrap();
    events(&mut peer, &mut past, &["heard"]).await;
    peer.reset();
    within(socket.closed()).await;
    assert_eq!(server.sockets("/room-7"), 0);
    all.emit("missed", ()).unwrap();
    server.of("/room-7").unwrap().to("red").emit("red", ()).unwrap();
    let (mut peer, now) = back(server.address, &past, "/room-7").await;
    assert_eq!(now, Past { offset: None, ..past.clone() });
    events(&mut peer, &mut past, &["missed", "red"]).await;
    let socket = sockets.next().await;
    assert!(socket.recovered());
    assert_eq!(socket.data(), Some(1));
    // It leaves: nobody comes back.
    peer.send_text("41/room-7,").await;
    within(socket.closed()).await;
    until(|| server.of("/room-7").is_none()).await;
    // Nor does who was never let in.
    peer.send_text("40/room-13,").await;
    peer.expect_text("44/room-13,{\"message\":\"unlucky\"}").await;
    until(|| server.of("/room-13").is_none()).await;
    peer.send_text("40/room-14,").await;
    until(|| server.of("/room-14").is_some()).await;
    peer.reset();
    until(|| server.of("/room-14").is_none()).await;
}

#[cfg(feature = "disk")]
mod disk {
    use super::*;
    use crate::recovery::disk::Directory;

    /// A server that is started again has those to which clients may come back, if a name decides.
    #[tokio::test]
    async fn they_outlive_their_server() {
        let dir = Directory::new("dynamic");
        let paths = ["/room-7", "/asked-7"];
        let mut pasts = Vec::new();
        for run in 0..3 {
            let (namespace, mut sockets) = rooms();
            let asked =
                Namespace::dynamic("asked", async |name: String, _| name.starts_with("/asked-"));
            let builder = Server::builder().namespace(root()).namespace(namespace).namespace(asked);
            let server = serve(builder.connection_state_recovery(dir.recovery().await)).await;
            assert_eq!(server.of("/room-7").is_some(), run > 0);
            assert!(server.of("/asked-7").is_none());
            server.parent("/room-{id}").unwrap().emit("before they are back", ()).unwrap();
            if run == 0 {
                for path in paths {
                    let mut peer = Peer::engineio(server.address).await;
                    pasts.push(enter(&mut peer, path).await);
                    peer.reset();
                    if path == "/room-7" {
                        within(sockets.next().await.closed()).await;
                    }
                    until(|| server.sockets(path) == 0).await;
                }
            } else {
                for (path, past) in paths.iter().zip(&mut pasts) {
                    let (mut peer, now) = back(server.address, past, path).await;
                    assert_eq!((&now.sid, &now.pid), (&past.sid, &past.pid));
                    if *path == "/room-7" {
                        events(&mut peer, past, &["before they are back"]).await;
                    }
                    server.of(path).unwrap().emit("live", ()).unwrap();
                    events(&mut peer, past, &["live"]).await;
                    peer.reset();
                    until(|| server.sockets(path) == 0).await;
                }
            }
            within(server.close()).await;
        }
    }
}
