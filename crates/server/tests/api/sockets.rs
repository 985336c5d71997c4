//! What a socket knows and keeps, and what it does not send.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sockeye_server::{EmitError, Revision, Server, Transport};
use sockeye_testkit::peer::Peer;
use sockeye_testkit::polling::Polling;

use crate::harness::{FACES, root, serve_namespace, sync, with_sockets, within};

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Point {
    x: i32,
    y: i32,
}

#[tokio::test]
async fn the_handshake() {
    for face in FACES {
        let (namespace, mut sockets) = with_sockets(root());
        let server = face.serve(Server::builder().namespace(namespace)).await;
        let before = std::time::SystemTime::now();
        let mut peer = Peer::connect(server.address).await;
        peer.send_bytes(
            b"GET /socket.io/?EIO=4&transport=websocket&name=first&name=J%C3%B8rgen HTTP/1.1\r\n\
              Host: example.org\r\nOrigin: https://example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
              Cookie: a=1\r\nX-Custom: yes\r\n\r\n",
        )
        .await;
        assert_eq!(peer.recv_http().await.status, 101);
        peer.recv_text().await;
        peer.join("/").await;
        let socket = sockets.next().await;
        let handshake = socket.handshake();
        assert_eq!(
            handshake.url(),
            "/socket.io/?EIO=4&transport=websocket&name=first&name=J%C3%B8rgen"
        );
        // The last of several.
        assert_eq!(handshake.query("name").as_deref(), Some("Jørgen"));
        assert_eq!(handshake.query("absent"), None);
        assert_eq!(handshake.header("cookie"), Some("a=1"));
        assert_eq!(handshake.header("X-CUSTOM"), Some("yes"));
        assert_eq!(handshake.header("absent"), None);
        assert!(handshake.address().ip().is_loopback(), "{face:?}: {}", handshake.address());
        assert_ne!(handshake.address().port(), 0, "{face:?}");
        assert!(handshake.issued() >= before);
        let found = server.local().fetch_sockets().await.found;
        let node: serde_json::Value = found[0].handshake().unwrap();
        assert_eq!((&node["xdomain"], &node["query"]["name"]), (&true.into(), &"Jørgen".into()));
        let mut names: Vec<_> = node.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        let all = "address auth headers issued query secure time url xdomain";
        assert_eq!(names.join(" "), all);
    }
}

#[tokio::test]
async fn the_connection_it_is_on() {
    for face in FACES {
        let (namespace, mut sockets) = with_sockets(root());
        let server = face.serve(Server::builder().namespace(namespace)).await;
        let (client, _) = Polling::socketio(server.address).await;
        let socket = sockets.next().await;
        assert_eq!((socket.transport(), socket.revision()), (Transport::Polling, Revision::V4));
        let first = "/socket.io/?EIO=4&transport=polling";
        assert_eq!(socket.handshake().url(), first);
        let mut peer = client.upgrade().await;
        sync(&mut peer).await;
        assert_eq!(socket.transport(), Transport::Websocket, "{face:?}");
        // Of the first request, for ever.
        assert_eq!(socket.handshake().url(), first);
        assert_eq!(socket.handshake().header("upgrade"), None);
    }
}

#[tokio::test]
async fn data_and_extensions() {
    #[derive(Clone, Debug, PartialEq)]
    struct Local(u32);

    let (namespace, mut sockets) = with_sockets(root());
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;
    assert_eq!(socket.data::<Point>(), None);
    socket.set_data(&Point { x: 1, y: 2 }).unwrap();
    assert_eq!(socket.clone().data(), Some(Point { x: 1, y: 2 }));
    assert_eq!(socket.data::<String>(), None, "of another shape");
    socket.set_data("text").unwrap();
    assert_eq!(socket.data::<String>().as_deref(), Some("text"));

    assert_eq!(socket.extension::<Local>(), None);
    assert_eq!(socket.insert_extension(Local(1)), None);
    assert_eq!(socket.insert_extension(Local(2)), Some(Local(1)));
    assert_eq!(socket.extension(), Some(Local(2)));
    assert_eq!(socket.remove_extension(), Some(Local(2)));
    assert_eq!(socket.remove_extension::<Local>(), None);

    // Both are there when the socket leaves.
    socket.insert_extension(Local(3));
    peer.finish().await;
    within(socket.closed()).await;
    assert_eq!(socket.extension(), Some(Local(3)));
    assert_eq!(socket.data::<String>().as_deref(), Some("text"));
}

#[tokio::test]
async fn events_that_cannot_be_emitted() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;
    for name in
        ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]
    {
        assert!(matches!(socket.emit(name, ()), Err(EmitError::Encode(_))), "{name}");
        assert!(matches!(server.emit(name, ()), Err(EmitError::Encode(_))), "{name}");
    }
    let no_json = HashMap::from([(vec![1], 2)]);
    assert!(matches!(socket.emit("e", &no_json), Err(EmitError::Encode(_))));
    sync(&mut peer).await;
    peer.finish().await;
    within(socket.closed()).await;
    assert!(matches!(socket.emit("e", ()), Err(EmitError::Disconnected)));
    assert!(matches!(socket.emit_wait("e", ()).await, Err(EmitError::Disconnected)));
}

/// Who describes thousands of sockets lets others have the thread in between.
#[tokio::test]
async fn fetching_many_sockets_holds_nobody_up() {
    let server = serve_namespace(root()).await;
    let mut peers = Vec::new();
    for _ in 0..300 {
        peers.push(Peer::socketio(server.address).await);
    }
    let other = tokio::spawn(async {});
    let fetched = server.everyone().fetch_sockets().await;
    assert_eq!(fetched.found.len(), 300);
    assert!(other.is_finished());
}
