//! Requests that open no session, and the answers to them.

use axum::Extension;
use axum::routing::get;
use sockeye_server::{Server, Socket};
use sockeye_testkit::peer::{Peer, TARGET, http};
use tokio::net::TcpListener;

use crate::harness::{FACES, UPGRADE, journal, root, serve, sync};

fn request(method: &str, target: &str, headers: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
}

#[tokio::test]
async fn plain_requests_are_refused_in_json() {
    let cases = [
        ("GET", "?EIO=4&transport=", 0, "Transport unknown"),
        ("GET", "?EIO=4", 0, "Transport unknown"),
        ("GET", "", 0, "Transport unknown"),
        ("GET", "?EIO=4&transport=webtransport", 0, "Transport unknown"),
        ("GET", "?EIO=4&transport=toString", 0, "Transport unknown"),
        ("POST", "?EIO=4&transport=polling&sid=x", 1, "Session ID unknown"),
        ("POST", "?EIO=4&transport=polling", 2, "Bad handshake method"),
        ("PUT", "?EIO=3&transport=polling", 2, "Bad handshake method"),
        ("GET", "?EIO=3&transport=polling", 5, "Unsupported protocol version"),
        ("GET", "?EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAAAAAA", 1, "Session ID unknown"),
        ("GET", "?EIO=4&transport=websocket&sid=", 3, "Bad request"),
        ("POST", "?EIO=4&transport=websocket", 2, "Bad handshake method"),
        ("OPTIONS", "?EIO=4&transport=websocket", 2, "Bad handshake method"),
        ("GET", "?EIO=4&transport=websocket", 3, "Bad request"),
        // The missing upgrade is noticed before the revision.
        ("GET", "?EIO=3&transport=websocket", 3, "Bad request"),
    ];
    for face in FACES {
        let server = face.serve(Server::builder().namespace(root())).await;
        for (method, query, code, message) in cases {
            let response =
                http(server.address, &request(method, &format!("/socket.io/{query}"), "")).await;
            let context = format!("{face:?} {method} {query}\n{}", response.head);
            assert_eq!(response.status, 400, "{context}");
            assert_eq!(response.header("content-type"), Some("application/json"), "{context}");
            let body = format!("{{\"code\":{code},\"message\":\"{message}\"}}");
            assert_eq!(response.text(), body, "{context}");
        }
        assert_eq!(server.clients(), 0);
    }
}

#[tokio::test]
async fn upgrades_are_refused_in_plain_words() {
    let cases = [
        ("?EIO=3&transport=websocket", "Unsupported protocol version"),
        ("?EIO=5&transport=websocket", "Unsupported protocol version"),
        ("?EIO=&transport=websocket", "Unsupported protocol version"),
        ("?transport=websocket", "Unsupported protocol version"),
        // Node completes the handshake and closes.
        ("?EIO=4&transport=polling", "Bad request"),
        ("?EIO=4", "Transport unknown"),
        ("?EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAAAAAA", "Session ID unknown"),
    ];
    for face in FACES {
        let server = face.serve(Server::builder().namespace(root())).await;
        for (query, message) in cases {
            let target = format!("/socket.io/{query}");
            let mut peer = Peer::connect(server.address).await;
            peer.send_bytes(request("GET", &target, UPGRADE).as_bytes()).await;
            let response = peer.recv_http().await;
            let context = format!("{face:?} {query}\n{}", response.head);
            assert_eq!(response.status, 400, "{context}");
            assert_eq!(response.header("content-type"), Some("text/html"), "{context}");
            let connection = response.header("connection").unwrap_or_default();
            assert!(connection.eq_ignore_ascii_case("close"), "{context}");
            assert_eq!(response.text(), message, "{context}");
            peer.expect_eof().await;
        }
        assert_eq!(server.clients(), 0);
    }
}

/// A session cannot be joined, driven or found out by its id.
#[tokio::test]
async fn a_session_on_a_websocket_is_unknown_to_other_requests() {
    let server = serve(Server::builder().namespace(root())).await;
    let mut peer = Peer::websocket(server.address, TARGET).await;
    let open = peer.recv_text().await;
    let sid = &open["0{\"sid\":\"".len()..][..20];
    let target = format!("/socket.io/?EIO=4&transport=websocket&sid={sid}");
    let response = http(server.address, &request("GET", &target, UPGRADE)).await;
    assert_eq!(response.status, 400, "{}", response.head);
    peer.join("/").await;
    sync(&mut peer).await;
}

/// RFC 6455 §4.2.1 and §4.4.
#[tokio::test]
async fn upgrades_that_are_no_websockets_are_refused() {
    let cases: [(&str, u16); 7] = [
        (
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            426,
        ),
        (
            "Upgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            426,
        ),
        ("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n", 400),
        (
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n",
            400,
        ),
        (
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: AAAA\r\n",
            400,
        ),
        (
            "Upgrade: websocket\r\nConnection: keep-alive\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            400,
        ),
        (
            "Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            400,
        ),
    ];
    for face in FACES {
        let server = face.serve(Server::builder().namespace(root())).await;
        for (headers, status) in cases {
            let response = http(server.address, &request("GET", TARGET, headers)).await;
            let context = format!("{face:?} {headers}\n{}", response.head);
            assert_eq!(response.status, status, "{context}");
            if status == 426 {
                assert_eq!(response.header("sec-websocket-version"), Some("13"), "{context}");
            }
        }
        assert_eq!(server.clients(), 0);
    }
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let server = serve(Server::builder().namespace(root())).await;
    for garbage in
        ["\0\u{1}\u{2}\u{3}\r\n\r\n", "EHLO example.org\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"]
    {
        let mut peer = Peer::connect(server.address).await;
        peer.send_bytes(garbage.as_bytes()).await;
        let response = peer.recv_http().await;
        assert!((400..600).contains(&response.status), "{}", response.head);
        peer.expect_eof().await;
    }
    // A head that never ends is not collected for ever.
    let mut peer = Peer::connect(server.address).await;
    peer.send_bytes(b"GET /socket.io/ HTTP/1.1\r\n").await;
    for _ in 0..2000 {
        peer.try_send_bytes(format!("X-Long: {}\r\n", "x".repeat(1000)).as_bytes()).await;
    }
    // Cut off at any point, with an answer or without.
    for cut in [0, 1, 20, 60] {
        let mut peer = Peer::connect(server.address).await;
        let request = request("GET", TARGET, UPGRADE);
        peer.send_bytes(&request.as_bytes()[..cut]).await;
        peer.finish().await;
    }
    let (mut peer, _) = Peer::socketio(server.address).await;
    sync(&mut peer).await;
}

#[tokio::test]
async fn other_paths_are_not_found() {
    for face in FACES {
        let server = face.serve(Server::builder().namespace(root())).await;
        for path in ["/socket.io", "/", "/socket.iox/", "/other", "/other/socket.io/"] {
            let target = format!("{path}?EIO=4&transport=websocket");
            let response = http(server.address, &request("GET", &target, UPGRADE)).await;
            assert_eq!(response.status, 404, "{face:?} {path}");
        }
    }
}

#[tokio::test]
async fn another_path() {
    for path in ["/my/realtime", "my/realtime/"] {
        for face in FACES {
            let builder = Server::builder().namespace(root()).path(path);
            let server = face.serve(builder).await;
            let mut peer =
                Peer::websocket(server.address, "/my/realtime/?EIO=4&transport=websocket").await;
            assert!(peer.recv_text().await.starts_with('0'));
            let response = http(server.address, &request("GET", TARGET, UPGRADE)).await;
            assert_eq!(response.status, 404, "{face:?}");
        }
    }
}

#[tokio::test]
async fn other_requests_go_to_the_fallback() {
    let app = axum::Router::new().route("/hello", get(|| async { "hello" }));
    let server = serve(Server::builder().namespace(root()).fallback(app)).await;
    let response = http(server.address, &request("GET", "/hello", "")).await;
    assert_eq!((response.status, response.text()), (200, "hello"));
    let response = http(server.address, &request("GET", "/nothing", "")).await;
    assert_eq!(response.status, 404);
    let (mut peer, _) = Peer::socketio(server.address).await;
    sync(&mut peer).await;
}

/// A connection may be used for several requests before it is upgraded.
#[tokio::test]
async fn a_kept_alive_connection_can_be_upgraded() {
    for face in FACES {
        let server = face.serve(Server::builder().namespace(root())).await;
        let mut peer = Peer::connect(server.address).await;
        for _ in 0..3 {
            let refused = request("GET", "/socket.io/?EIO=4", "");
            peer.send_bytes(refused.as_bytes()).await;
            assert_eq!(peer.recv_http().await.status, 400);
        }
        peer.send_bytes(request("GET", TARGET, UPGRADE).as_bytes()).await;
        assert_eq!(peer.recv_http().await.status, 101, "{face:?}");
        assert!(peer.recv_text().await.starts_with('0'));
        peer.join("/").await;
        sync(&mut peer).await;
    }
}

/// A client of a server in a router that is nested under `/api`.
async fn client_of(nested: axum::Router) -> Peer {
    let app = axum::Router::new().nest("/api", nested);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let mut peer = Peer::websocket(address, "/api/socket.io/?EIO=4&transport=websocket").await;
    assert!(peer.recv_text().await.starts_with('0'));
    peer.join("/").await;
    peer
}

/// axum strips the prefix of a nested router from the path.
#[tokio::test]
async fn the_service_works_under_a_nested_router() {
    let io = Server::builder().namespace(root()).path("/api/socket.io").build();
    let nested = axum::Router::new().route_service("/socket.io/", io.service());
    let mut peer = client_of(nested).await;
    sync(&mut peer).await;
}

#[tokio::test]
async fn what_a_layer_around_it_adds_is_kept_where_that_is_wanted() {
    #[derive(Clone, Debug, PartialEq)]
    struct Tenant(&'static str);
    #[derive(Clone)]
    struct Unwanted;

    for kept in [true, false] {
        let (note, mut found) = journal();
        let namespace = root().on_connect(move |socket: Socket| {
            let extensions = socket.handshake().extensions();
            note.write((extensions.get::<Tenant>().cloned(), extensions.len()));
        });
        let mut builder = Server::builder().namespace(namespace).path("/api/socket.io");
        if kept {
            // Nobody adds one of the latter.
            builder = builder.keep_extension::<Tenant>().keep_extension::<u8>();
        }
        let io = builder.build();
        let nested = axum::Router::new()
            .route_service("/socket.io/", io.service())
            .layer(Extension(Tenant("blue")))
            .layer(Extension(Unwanted));
        let _peer = client_of(nested).await;
        let expected = if kept { (Some(Tenant("blue")), 1) } else { (None, 0) };
        found.expect([expected]).await;
    }
}
