//! The options that concern handshakes, answers and requests.

use std::future::ready;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use sockeye_server::{
    ConnectionError, Cookie, Cors, Fault, Forbidden, HandshakeRefusal, KeepHeaders, Namespace,
    Request, Server, ServerBuilder, Sid, Transport,
};
use sockeye_testkit::peer::{Message, Peer, Response, TARGET};
use sockeye_testkit::polling::{Polling, request};

use crate::harness::{
    DropNote, FACES, Face, Journal, UPGRADE, expect_end, journal, root, serve, sync, until,
    with_reasons, with_sockets, within,
};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

fn builder() -> ServerBuilder {
    Server::builder().namespace(root())
}

async fn get(address: std::net::SocketAddr, target: &str, headers: &str) -> Response {
    request(address, "GET", target, headers, b"").await.recv_http().await
}

#[tokio::test]
async fn the_path_is_found_with_and_without_its_slash_as_it_was_said() {
    for face in FACES {
        for (path, found, not_found) in [
            (
                "/socket.io",
                &["/socket.io/", "/socket.io", "/socket.io/below"][..],
                &["/socket.iox", "/socket", "/"][..],
            ),
            ("/a/b/", &["/a/b/", "/a/b"], &["/a", "/a/", "/a/bc", "/b/"]),
            ("/", &["/"], &[]),
        ] {
            let server = face.serve(builder().path(path).trailing_slash(false)).await;
            for path in found {
                let client = Polling::open_at(server.address, path).await;
                client.post("40").await;
                assert!(client.poll().await.starts_with("40{"), "{face:?} {path}");
                let mut peer = client.upgrade().await;
                sync(&mut peer).await;
            }
            for path in not_found {
                let target = format!("{path}?EIO=4&transport=polling");
                let response = get(server.address, &target, "").await;
                assert_eq!(response.status, 404, "{face:?} {path}");
            }
        }
        // The slash belongs to it, unless told otherwise.
        let server = face.serve(builder().path("/a/b")).await;
        assert_eq!(server.path(), "/a/b");
        for (path, status) in [("/a/b", 404), ("/a/b/", 200)] {
            let target = format!("{path}?EIO=4&transport=polling");
            assert_eq!(get(server.address, &target, "").await.status, status, "{face:?}");
        }
    }
}

#[tokio::test]
async fn a_transport_that_is_not_offered_is_unknown() {
    for face in FACES {
        let server = face.serve(builder().transports([Transport::Websocket])).await;
        let refused = get(server.address, POLLING, "").await;
        assert_eq!(refused.text(), "{\"code\":0,\"message\":\"Transport unknown\"}", "{face:?}");
        let (mut peer, _) = Peer::socketio(server.address).await;
        sync(&mut peer).await;

        let server = face.serve(builder().transports([Transport::Polling])).await;
        let client = Polling::open(server.address).await;
        assert!(client.open_packet().contains("\"upgrades\":[]"), "{}", client.open_packet());
        let refused = get(server.address, TARGET, UPGRADE).await;
        assert_eq!((refused.status, refused.text()), (400, "Transport unknown"), "{face:?}");
        let target = client.target().replace("=polling", "=websocket");
        let refused = get(server.address, &target, UPGRADE).await;
        assert_eq!((refused.status, refused.text()), (400, "Transport unknown"), "{face:?}");
        client.post("40").await;
        assert!(client.poll().await.starts_with("40{"));
    }
}

#[tokio::test]
async fn the_application_is_asked_once_for_every_client_and_its_word_counts() {
    for face in FACES {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let builder = builder().allow_request(move |request: &Request| {
            count.fetch_add(1, Ordering::Relaxed);
            let token = request.headers.get(header::AUTHORIZATION).cloned();
            let silent = request.query("silent").is_some();
            async move {
                tokio::task::yield_now().await;
                match token {
                    Some(token) if token == "secret" => Ok(()),
                    _ if silent => Err(Forbidden::default()),
                    _ => Err(Forbidden::new("who are \"you\"?")),
                }
            }
        });
        let server = face.serve(builder).await;
        let refused = get(server.address, POLLING, "").await;
        assert_eq!(refused.status, 403, "{face:?}");
        assert_eq!(refused.text(), "{\"code\":4,\"message\":\"who are \\\"you\\\"?\"}");
        let refused = get(server.address, &format!("{POLLING}&silent=1"), "").await;
        assert_eq!(refused.status, 403);
        assert_eq!(refused.text(), "{\"code\":4,\"message\":\"Forbidden\"}");
        // As Node answers upgrades.
        let refused = get(server.address, TARGET, UPGRADE).await;
        assert_eq!((refused.status, refused.text()), (400, "who are \"you\"?"));
        let refused = get(server.address, &format!("{TARGET}&silent=1"), UPGRADE).await;
        assert_eq!((refused.status, refused.text()), (400, "Forbidden"));
        assert_eq!(asked.load(Ordering::Relaxed), 4);
        assert_eq!(server.metrics().refusals.get(HandshakeRefusal::Forbidden), 4);
        assert_eq!(server.clients(), 0);

        let secret = "Authorization: secret\r\n";
        let opened = get(server.address, POLLING, secret).await;
        assert_eq!(opened.status, 200, "{face:?}");
        let sid = opened.text()["0{\"sid\":\"".len()..][..20].to_owned();
        // Neither the session's requests nor its upgrade are asked for again.
        let target = format!("{POLLING}&sid={sid}");
        let post = "Content-Length: 2\r\n";
        let posted = request(server.address, "POST", &target, post, b"40").await.recv_http().await;
        assert_eq!(posted.text(), "ok");
        assert!(get(server.address, &target, "").await.text().starts_with("40{"));
        let mut peer =
            Peer::websocket(server.address, &target.replace("=polling", "=websocket")).await;
        peer.send_text("2probe").await;
        peer.expect_text("3probe").await;
        peer.send_text("5").await;
        sync(&mut peer).await;
        assert_eq!(asked.load(Ordering::Relaxed), 5);
        let opened = get(server.address, TARGET, &format!("{UPGRADE}{secret}")).await;
        assert_eq!(opened.status, 101, "{face:?}");
        assert_eq!(asked.load(Ordering::Relaxed), 6);
    }
}

#[tokio::test]
async fn a_question_whose_client_goes_away_is_dropped() {
    for face in FACES {
        let (note, mut notes) = journal();
        let builder = builder().allow_request(move |_: &Request| {
            note.write("asked");
            let dropped = DropNote("dropped", note.clone());
            async move {
                let _dropped = dropped;
                std::future::pending::<Result<(), Forbidden>>().await
            }
        });
        let server = face.serve(builder).await;
        for (target, headers) in [(POLLING, ""), (TARGET, UPGRADE)] {
            for resets in [false, true] {
                let peer = request(server.address, "GET", target, headers, b"").await;
                notes.expect(["asked"]).await;
                if resets {
                    peer.reset();
                } else {
                    drop(peer);
                }
                notes.expect(["dropped"]).await;
            }
        }
        assert_eq!(server.clients(), 0, "{face:?}");
        assert_eq!(server.metrics().refusals.total(), 0);
    }
}

#[tokio::test]
async fn hooks_have_the_headers_of_the_first_answer_and_of_each() {
    fn count(headers: &mut HeaderMap, name: &'static str, request: &Request) {
        let line = format!("{} {}", request.method, request.query("transport").unwrap());
        headers.append(name, HeaderValue::try_from(line).unwrap());
    }
    for face in FACES {
        let builder = builder()
            .on_initial_headers(|headers, request| {
                count(headers, "x-initial", request);
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
            })
            .on_headers(|headers, request| count(headers, "x-each", request));
        let server = face.serve(builder).await;
        let opened = get(server.address, POLLING, "").await;
        assert_eq!(opened.header("x-initial"), Some("GET polling"), "{face:?}");
        assert_eq!(opened.header("x-each"), Some("GET polling"));
        assert_eq!(opened.header("cache-control"), Some("private"));

        let client = Polling::open(server.address).await;
        let posted = client.request("POST", "Content-Length: 2\r\n", b"40").await;
        assert_eq!(
            (posted.header("x-initial"), posted.header("x-each")),
            (None, Some("POST polling"))
        );
        let polled = client.request("GET", "", b"").await;
        assert_eq!(
            (polled.header("x-initial"), polled.header("x-each")),
            (None, Some("GET polling"))
        );
        assert_eq!(polled.header("cache-control"), Some("no-store"));
        let target = client.target().replace("=polling", "=websocket");
        let upgraded = get(server.address, &target, UPGRADE).await;
        assert_eq!(upgraded.status, 101);
        assert_eq!(upgraded.header("x-initial"), None, "{face:?}");
        assert_eq!(upgraded.header("x-each"), Some("GET websocket"));

        let opened = get(server.address, TARGET, UPGRADE).await;
        assert_eq!(opened.status, 101);
        assert_eq!(opened.header("x-initial"), Some("GET websocket"), "{face:?}");
        assert_eq!(opened.header("x-each"), Some("GET websocket"));
        assert!(opened.header("sec-websocket-accept").is_some());

        let refused = get(server.address, "/socket.io/?EIO=3&transport=polling", "").await;
        assert_eq!((refused.header("x-initial"), refused.header("x-each")), (None, None));
    }
}

/// What a hook hears of a refusal: code, context, message, and the request's query.
type Heard = (HandshakeRefusal, u8, Option<&'static str>, String, Option<String>);

fn listening(builder: ServerBuilder) -> (ServerBuilder, Journal<Heard>) {
    let (note, heard) = journal();
    let builder = builder.on_connection_error(move |error: &ConnectionError<'_>| {
        let refusal = error.refusal;
        note.write((
            refusal,
            refusal.code(),
            refusal.context(),
            error.message.to_owned(),
            error.request.uri.query().map(str::to_owned),
        ));
    });
    (builder, heard)
}

#[tokio::test]
async fn each_refusal_is_heard_and_counted() {
    use HandshakeRefusal as Is;
    for face in FACES {
        let builder = builder()
            .cors(Cors::origins(["https://app.example"]).build().unwrap())
            .generate_id(|request| {
                let id = request.query("id");
                let random = || {
                    static NEXT: AtomicUsize = AtomicUsize::new(0);
                    let mut id = [0; 15];
                    id[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
                    Sid::new(id)
                };
                ready((id.as_deref() != Some("none")).then(random))
            })
            .allow_request(|request: &Request| {
                let no = request.query("no").is_some();
                async move { if no { Err("not you") } else { Ok(()) } }
            });
        let (builder, mut heard) = listening(builder);
        let server = face.serve(builder).await;
        let client = Polling::open(server.address).await;
        let _probing = client.websocket().await;
        let sid = client.sid();
        let no_key = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";
        let foreign = "Origin: https://evil.example\r\n";
        let foreign_upgrade = format!("{UPGRADE}{foreign}");
        let ours = format!("&sid={sid}");
        let cases = [
            ("GET", "EIO=4", "", "", Is::UnknownTransport, 0, "Transport unknown", None, 400),
            ("GET", "EIO=4", "", UPGRADE, Is::UnknownTransport, 0, "Transport unknown", None, 400),
            (
                "GET",
                "EIO=4&transport=polling",
                "&sid=x",
                "",
                Is::UnknownSession,
                1,
                "Session ID unknown",
                None,
                400,
            ),
            (
                "PUT",
                "EIO=4&transport=polling",
                "",
                "",
                Is::HandshakeMethod,
                2,
                "Bad handshake method",
                None,
                400,
            ),
            (
                "GET",
                "EIO=4&transport=websocket",
                &ours,
                "",
                Is::TransportMismatch,
                3,
                "Bad request",
                Some("TRANSPORT_MISMATCH"),
                400,
            ),
            (
                "GET",
                "EIO=4&transport=websocket",
                &ours,
                UPGRADE,
                Is::AlreadyUpgrading,
                3,
                "Bad request",
                Some("ALREADY_UPGRADING"),
                400,
            ),
            (
                "GET",
                "EIO=3&transport=polling",
                &ours,
                "",
                Is::RevisionMismatch,
                3,
                "Bad request",
                Some("PROTOCOL_MISMATCH"),
                400,
            ),
            (
                "GET",
                "EIO=4&transport=websocket",
                "",
                "",
                Is::UpgradeMissing,
                3,
                "Bad request",
                Some("TRANSPORT_HANDSHAKE_ERROR"),
                400,
            ),
            (
                "GET",
                "EIO=4&transport=websocket",
                "",
                no_key,
                Is::InvalidHandshake,
                3,
                "The header Sec-WebSocket-Key is missing.",
                Some("WEBSOCKET_HANDSHAKE_ERROR"),
                400,
            ),
            (
                "GET",
                "EIO=4&transport=polling&id=none",
                "",
                "",
                Is::IdGeneration,
                3,
                "Bad request",
                Some("ID_GENERATION_ERROR"),
                400,
            ),
            (
                "GET",
                "EIO=4&transport=websocket&id=none",
                "",
                UPGRADE,
                Is::IdGeneration,
                3,
                "Bad request",
                Some("ID_GENERATION_ERROR"),
                400,
            ),
            ("GET", "EIO=4&transport=polling&no=1", "", "", Is::Forbidden, 4, "not you", None, 403),
            (
                "GET",
                "EIO=4&transport=websocket&no=1",
                "",
                UPGRADE,
                Is::Forbidden,
                4,
                "not you",
                None,
                400,
            ),
            (
                "GET",
                "EIO=4&transport=polling",
                "",
                foreign,
                Is::OriginNotAllowed,
                4,
                "Forbidden",
                Some("ORIGIN_NOT_ALLOWED"),
                403,
            ),
            (
                "GET",
                "EIO=4&transport=websocket",
                "",
                &foreign_upgrade,
                Is::OriginNotAllowed,
                4,
                "Forbidden",
                Some("ORIGIN_NOT_ALLOWED"),
                403,
            ),
            (
                "GET",
                "EIO=3&transport=polling",
                "",
                "",
                Is::UnsupportedRevision,
                5,
                "Unsupported protocol version",
                None,
                400,
            ),
        ];
        let mut counted = 0;
        for (method, query, more, headers, refusal, code, message, context, status) in cases {
            let before = server.metrics().refusals.get(refusal);
            let query = format!("{query}{more}");
            let target = format!("/socket.io/?{query}");
            let response =
                request(server.address, method, &target, headers, b"").await.recv_http().await;
            let case = format!("{face:?} {method} {query} {}", response.head);
            assert_eq!(response.status, status, "{case}");
            // What the client was told is what is heard.
            if headers.contains("Upgrade") {
                assert_eq!(response.text(), message, "{case}");
            } else {
                let told = format!("{{\"code\":{code},\"message\":\"{message}\"}}");
                assert_eq!(response.text(), told, "{case}");
            }
            heard.expect([(refusal, code, context, message.to_owned(), Some(query))]).await;
            counted += 1;
            assert_eq!(server.metrics().refusals.get(refusal), before + 1, "{case}");
            assert_eq!(server.metrics().refusals.total(), counted, "{case}");
        }
        // None of that harmed the session.
        client.post("40").await;
        assert!(client.poll().await.starts_with("40{"));
        heard.expect_nothing();
    }
}

#[tokio::test]
async fn a_server_that_closes_refuses_those_who_come_too_late() {
    let (builder, mut heard) = listening(builder());
    let server = Face::Axum.serve(builder).await;
    server.close().await;
    let refused = get(server.address, POLLING, "").await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.text(), "{\"code\":3,\"message\":\"Server shutting down\"}");
    assert!(refused.header("retry-after").is_some());
    let refused = get(server.address, TARGET, UPGRADE).await;
    assert_eq!((refused.status, refused.text()), (503, "Server shutting down"));
    for _ in 0..2 {
        let (refusal, code, context, message, _) = heard.next().await;
        assert_eq!(refusal, HandshakeRefusal::ShuttingDown);
        assert_eq!((code, context, &*message), (3, Some("SHUTTING_DOWN"), "Server shutting down"));
    }
    assert_eq!(server.metrics().refusals.get(HandshakeRefusal::ShuttingDown), 2);
}

#[tokio::test]
async fn an_id_of_the_applications_making_is_the_sessions_until_it_ends() {
    let id = Sid::new(*b"not very secret");
    for face in FACES {
        let server = face.serve(builder().generate_id(move |_| ready(Some(id)))).await;
        let client = Polling::open(server.address).await;
        assert_eq!(client.sid(), id.as_str());
        for (target, headers) in [(POLLING, ""), (TARGET, UPGRADE)] {
            assert_eq!(get(server.address, target, headers).await.status, 400, "{face:?}");
        }
        assert_eq!(server.metrics().refusals.get(HandshakeRefusal::IdGeneration), 2);
        client.post("1").await;
        until(|| server.clients() == 0).await;
        let mut peer = Peer::websocket(server.address, TARGET).await;
        assert!(peer.recv_text().await.contains(id.as_str()));
        for (target, headers) in [(POLLING, ""), (TARGET, UPGRADE)] {
            assert_eq!(get(server.address, target, headers).await.status, 400, "{face:?}");
        }
        peer.join("/").await;
        sync(&mut peer).await;
        drop(peer);
        until(|| server.clients() == 0).await;
        assert_eq!(Polling::open(server.address).await.sid(), id.as_str());
    }
}

/// Of two that come at the same time, one has the id.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_id_is_in_use_from_the_moment_in_which_its_session_is_made() {
    let id = Sid::new(*b"not very secret");
    for face in FACES {
        for (target, headers) in [(POLLING, ""), (TARGET, UPGRADE)] {
            let (opened, is_opened) = mpsc::channel();
            let (go, wait) = mpsc::channel::<()>();
            let slow = Mutex::new(Some((opened, wait)));
            let builder = builder().generate_id(move |_| ready(Some(id))).on_initial_headers(
                // The first session is held where its answer is made.
                move |_, _| {
                    let slow = slow.lock().unwrap().take();
                    if let Some((opened, wait)) = slow {
                        opened.send(()).ok();
                        // Other tasks go on meanwhile.
                        tokio::task::block_in_place(|| wait.recv()).ok();
                    }
                },
            );
            let server = face.serve(builder).await;
            let mut first = request(server.address, "GET", target, headers, b"").await;
            tokio::task::spawn_blocking(move || is_opened.recv().unwrap()).await.unwrap();
            for (target, headers) in [(POLLING, ""), (TARGET, UPGRADE)] {
                let second = get(server.address, target, headers).await;
                assert_eq!(second.status, 400, "{face:?}: {target} has the same id");
            }
            assert_eq!(server.metrics().refusals.get(HandshakeRefusal::IdGeneration), 2);
            go.send(()).unwrap();
            let status = first.recv_http().await.status;
            assert!(status == 200 || status == 101, "{status}");
            until(|| server.clients() == 1).await;
        }
    }
}

/// Its client goes away before it is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_id_whose_session_came_to_nothing_is_free_again() {
    let id = Sid::new(*b"not very secret");
    for face in FACES {
        let server = face.serve(builder().generate_id(move |_| ready(Some(id)))).await;
        for _ in 0..20 {
            request(server.address, "GET", TARGET, UPGRADE, b"").await.reset();
        }
        within(async { while get(server.address, TARGET, UPGRADE).await.status != 101 {} }).await;
    }
}

#[tokio::test]
async fn a_cookie_comes_with_the_answer_to_the_first_poll_only() {
    for face in FACES {
        let cookie = Cookie::new("lb").path("/chat").max_age(Duration::from_secs(60));
        let server = face.serve(builder().cookie(cookie)).await;
        let opened = get(server.address, POLLING, "").await;
        let sid = &opened.text()["0{\"sid\":\"".len()..][..20];
        let expected = format!("lb={sid}; Max-Age=60; Path=/chat; HttpOnly; SameSite=Lax");
        assert_eq!(opened.header("set-cookie"), Some(&*expected), "{face:?}");
        let client = Polling::open(server.address).await;
        let posted = client.request("POST", "Content-Length: 2\r\n", b"40").await;
        assert_eq!(posted.header("set-cookie"), None);
        assert_eq!(client.request("GET", "", b"").await.header("set-cookie"), None);
        let target = client.target().replace("=polling", "=websocket");
        assert_eq!(get(server.address, &target, UPGRADE).await.header("set-cookie"), None);
        assert_eq!(get(server.address, TARGET, UPGRADE).await.header("set-cookie"), None);
        let plain = face.serve(builder()).await;
        assert_eq!(get(plain.address, POLLING, "").await.header("set-cookie"), None);
    }
}

#[tokio::test]
async fn the_headers_that_are_to_be_kept_are_kept_and_all_are_there_to_judge_by() {
    let named = || Server::builder().keep_only([header::COOKIE, "x-tenant".parse().unwrap()]);
    for face in FACES {
        for (keep, cookie, tenant, host) in [
            (Server::builder(), true, true, true),
            (named(), true, true, false),
            (Server::builder().keep_headers(KeepHeaders::None), false, false, false),
        ] {
            let (namespace, mut sockets) = with_sockets(root());
            let builder = keep.namespace(namespace).allow_request(|request: &Request| {
                let host = request.headers.contains_key("host");
                async move { if host { Ok(()) } else { Err("no host") } }
            });
            let server = face.serve(builder).await;
            let mut peer = Peer::connect(server.address).await;
            let headers = format!("{UPGRADE}Cookie: a=1\r\nX-Tenant: blue\r\n");
            let target = format!("{TARGET}&t=x%20y");
            let head = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
            peer.send_bytes(head.as_bytes()).await;
            assert_eq!(peer.recv_http().await.status, 101);
            peer.recv_text().await;
            peer.join("/").await;
            let socket = sockets.next().await;
            let handshake = socket.handshake();
            assert_eq!(handshake.header("cookie"), cookie.then_some("a=1"), "{face:?}");
            assert_eq!(handshake.header("X-Tenant"), tenant.then_some("blue"));
            assert_eq!(handshake.header("host"), host.then_some("localhost"));
            assert_eq!(handshake.url(), target);
            assert_eq!(handshake.query("t").as_deref(), Some("x y"));
            assert_eq!(handshake.address().ip().to_string(), "127.0.0.1");
        }
    }
}

#[test]
#[should_panic = "U+001E"]
fn an_initial_packet_must_not_split_a_payload() {
    let _ = builder().initial_packet("one\u{1e}4another");
}

#[tokio::test]
async fn an_initial_packet_comes_right_behind_the_open_packet_and_once() {
    for face in FACES {
        let server = face.serve(builder().initial_packet("hello")).await;
        let client = Polling::open(server.address).await;
        let (open, initial) = client.open_packet().split_once('\u{1e}').unwrap();
        assert!(open.starts_with("0{") && open.ends_with('}'), "{open}");
        assert_eq!(initial, "4hello", "{face:?}");
        let mut peer = client.upgrade().await;
        peer.join("/").await;
        sync(&mut peer).await;
        let mut peer = Peer::engineio(server.address).await;
        peer.expect_text("4hello").await;
        peer.join("/").await;
        sync(&mut peer).await;
    }
}

#[tokio::test]
async fn answers_from_the_chosen_size_on_are_compressed_for_who_accepts_it() {
    let gzip = "Accept-Encoding: gzip, deflate\r\n";
    for face in FACES {
        for (from, text, headers, encoding) in [
            (Some(1000), 2000, gzip, Some("gzip")),
            (Some(1000), 2000, "Accept-Encoding: deflate\r\n", Some("deflate")),
            (Some(1000), 2000, "Accept-Encoding: gzip;q=0, br\r\n", None),
            (Some(1000), 2000, "", None),
            // `42["n","..."]` has ten bytes beside the text.
            (Some(1000), 1000 - 10, gzip, Some("gzip")),
            (Some(1000), 1000 - 11, gzip, None),
            (None, 100_000, gzip, None),
        ] {
            let (namespace, mut sockets) = with_sockets(root());
            let builder = Server::builder().namespace(namespace).http_compression(from);
            let server = face.serve(builder).await;
            let (client, _) = Polling::socketio(server.address).await;
            sockets.next().await.emit("n", "x".repeat(text)).unwrap();
            let polled = client.request("GET", headers, b"").await;
            let case = format!("{face:?} {from:?} {text} {headers}");
            assert_eq!(polled.header("content-encoding"), encoding, "{case}");
            match encoding {
                Some("gzip") => assert_eq!(polled.body[..2], [0x1f, 0x8b], "{case}"),
                Some(_) => assert_eq!(polled.body[0], 0x78, "{case}"),
                None => assert_eq!(polled.text(), format!("42[\"n\",\"{}\"]", "x".repeat(text))),
            }
            assert!(encoding.is_none() || polled.body.len() < 100, "{case}");
        }
    }
}

#[tokio::test]
async fn a_post_that_is_too_large_gets_a_413_and_its_session_lives_on() {
    for face in FACES {
        let (namespace, mut reasons) = with_reasons(root());
        let server = face.serve(Server::builder().namespace(namespace).max_payload(1000)).await;
        let (client, _) = Polling::socketio(server.address).await;
        assert!(client.open_packet().contains("\"maxPayload\":1000"));
        // Told before, and not told before.
        let declared = "Content-Length: 1001\r\n";
        let chunked = "Transfer-Encoding: chunked\r\n";
        let chunk = format!("3e9\r\n4{}\r\n", "x".repeat(1000));
        for (nth, (headers, body)) in (1..).zip([(declared, ""), (chunked, &*chunk)]) {
            let mut post =
                request(server.address, "POST", &client.target(), headers, body.as_bytes()).await;
            let refused = post.recv_http().await;
            assert_eq!(refused.status, 413, "{face:?} {headers}");
            expect_end(&mut post).await;
            assert_eq!(server.metrics().faults.get(Fault::PostTooLarge), nth);
        }
        // As much as may be, once whole and once in pieces.
        let event = format!("421[\"sync\",\"{}\"]", "x".repeat(1000 - 14));
        client.post(&event).await;
        assert_eq!(client.poll().await, "431[]", "{face:?}");
        let pieces = format!("1F4\r\n{}\r\n1f4\r\n{}\r\n0\r\n\r\n", &event[..500], &event[500..]);
        let posted = client.request("POST", chunked, pieces.as_bytes()).await;
        assert_eq!(posted.text(), "ok");
        assert_eq!(client.poll().await, "431[]");
        reasons.expect_nothing();
        assert_eq!(server.metrics().faults.total(), 2);
    }
}

fn head_of_post(client: &Polling, length: usize) -> Vec<u8> {
    let target = client.target();
    format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n").into()
}

#[tokio::test]
async fn a_body_that_does_not_come_in_time_gets_a_408_and_ends_its_session() {
    const PATIENCE: Duration = Duration::from_millis(200);
    for face in FACES {
        let (namespace, mut reasons) = with_reasons(root());
        let server =
            face.serve(Server::builder().namespace(namespace).body_timeout(PATIENCE)).await;
        for (nth, (sent, takes)) in
            // A KiB gives a second.
            (1..).zip([
                (0, PATIENCE),
                (1023, PATIENCE),
                (1024, PATIENCE + Duration::from_secs(1)),
            ])
        {
            let (client, _) = Polling::socketio(server.address).await;
            let begun = Instant::now();
            let mut post = Peer::connect(server.address).await;
            post.send_bytes(&[head_of_post(&client, 5000), vec![b'x'; sent]].concat()).await;
            let answer = post.recv_http().await;
            assert_eq!(answer.status, 408, "{face:?} {sent}");
            assert!(begun.elapsed() >= takes, "{face:?} {sent}: {:?}", begun.elapsed());
            expect_end(&mut post).await;
            reasons.expect(["transport error"]).await;
            assert_eq!(server.metrics().faults.get(Fault::PostTooSlow), nth);
            assert_eq!(client.request("GET", "", b"").await.status, 400);
        }
        until(|| server.clients() == 0).await;
    }
}

/// Less than a KiB in a second does not keep it alive.
#[tokio::test]
async fn a_body_that_trickles_in_is_cut_off() {
    const PATIENCE: Duration = Duration::from_millis(200);
    let (namespace, mut reasons) = with_reasons(root());
    let server = serve(Server::builder().namespace(namespace).body_timeout(PATIENCE)).await;
    let (client, _) = Polling::socketio(server.address).await;
    let mut post = Peer::connect(server.address).await;
    post.send_bytes(&head_of_post(&client, 100_000)).await;
    while server.clients() > 0 {
        post.try_send_bytes(b"x").await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    reasons.expect(["transport error"]).await;
    assert_eq!(server.metrics().faults.get(Fault::PostTooSlow), 1);
}

#[tokio::test]
async fn a_body_that_keeps_coming_may_take_its_time() {
    const PATIENCE: Duration = Duration::from_millis(100);
    for face in FACES {
        let (namespace, mut reasons) = with_reasons(root());
        let server =
            face.serve(Server::builder().namespace(namespace).body_timeout(PATIENCE)).await;
        let (client, _) = Polling::socketio(server.address).await;
        let event = format!("421[\"sync\",\"{}\"]", "x".repeat(8 * 1024));
        let mut post = Peer::connect(server.address).await;
        post.send_bytes(&head_of_post(&client, event.len())).await;
        for piece in event.as_bytes().chunks(2048) {
            post.send_bytes(piece).await;
            tokio::time::sleep(PATIENCE * 3).await;
        }
        assert_eq!(post.recv_http().await.text(), "ok", "{face:?}");
        assert_eq!(client.poll().await, "431[]");
        reasons.expect_nothing();
    }
}

#[tokio::test]
async fn attachments_may_have_so_many_bytes_together_and_no_more() {
    for face in FACES {
        let (namespace, mut reasons) = with_reasons(root());
        let namespace = namespace
            .on("size", |sockeye_server::Data((a, b)): sockeye_server::Data<(Bytes, Bytes)>| {
                a.len() + b.len()
            });
        let builder = Server::builder().namespace(namespace).max_attachment_bytes(100);
        let server = face.serve(builder).await;
        let event =
            "452-1[\"size\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]";
        let (mut peer, _) = Peer::socketio(server.address).await;
        for _ in 0..2 {
            peer.send_text(event).await;
            peer.send_binary(&[1; 60]).await;
            peer.send_binary(&[1; 40]).await;
            peer.expect_text("431[100]").await;
        }
        peer.send_text(event).await;
        peer.send_binary(&[1; 60]).await;
        peer.send_binary(&[1; 41]).await;
        peer.expect_close(1008).await;
        reasons.next().await;
        assert_eq!(server.metrics().violations, 1, "{face:?}");
    }
}

#[tokio::test]
async fn a_client_may_be_in_so_many_namespaces_and_no_more() {
    for face in FACES {
        let mut builder = Server::builder().max_namespaces(2);
        for path in ["/", "/a", "/b", "/c"] {
            builder = builder.namespace(Namespace::new(path).on("sync", || ()));
        }
        let server = face.serve(builder).await;
        let (mut peer, _) = Peer::socketio(server.address).await;
        // Where it is not let in it is not, and what it leaves it is no longer in.
        for _ in 0..5 {
            peer.send_text("40/nope,").await;
            peer.expect_text("44/nope,{\"message\":\"Invalid namespace\"}").await;
        }
        for path in ["/a", "/b", "/c", "/a"] {
            peer.join(path).await;
            peer.send_text(&format!("41{path},")).await;
        }
        peer.join("/b").await;
        sync(&mut peer).await;
        peer.send_text("40/c,").await;
        peer.expect_close(1008).await;
        until(|| server.metrics().violations == 1).await;
        assert_eq!(server.clients(), 0, "{face:?}");
    }
}

#[tokio::test]
async fn events_with_more_attachments_than_javascript_takes_are_counted() {
    let (namespace, mut sockets) = with_sockets(root());
    let server = serve(Server::builder().namespace(namespace)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;
    let attachments = |count| vec![Bytes::from_static(b"x"); count];
    socket.emit("n", (attachments(10),)).unwrap();
    assert_eq!(server.metrics().many_attachments, 0);
    socket.emit("n", (attachments(11),)).unwrap();
    assert_eq!(server.metrics().many_attachments, 1);
    // An event counts once, however many get it.
    let (_other, _) = Peer::socketio(server.address).await;
    server.emit("n", (attachments(12),)).unwrap();
    assert_eq!(server.metrics().many_attachments, 2);
    // They are sent all the same.
    for count in [10, 11, 12] {
        assert!(peer.recv_text().await.starts_with(&format!("45{count}-[\"n\",")));
        for _ in 0..count {
            assert_eq!(peer.recv().await, Message::Binary(b"x".to_vec()));
        }
    }
}
