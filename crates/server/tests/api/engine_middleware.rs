//! What requests pass through before the engine judges them, and ids that are waited for.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use http::{HeaderValue, Response as HttpResponse, StatusCode};
use sockeye_server::{
    ConnectionError, Cors, Halt, HandshakeRefusal, Request, Server, ServerBuilder, Sid, Socket,
};
use sockeye_testkit::peer::{Peer, Response, TARGET};
use sockeye_testkit::polling::{Polling, request};
use tokio::sync::oneshot;

use crate::harness::{
    DropNote, FACES, Journal, UPGRADE, journal, root, serve, sync, until, with_sockets,
};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

/// Node's words for a request that no other words fit, as JSON.
const BAD_REQUEST: &str = "{\"code\":3,\"message\":\"Bad request\"}";

fn builder() -> ServerBuilder {
    Server::builder().namespace(root())
}

async fn get(address: SocketAddr, target: &str, headers: &str) -> Response {
    request(address, "GET", target, headers, b"").await.recv_http().await
}

/// What a hook hears of a refusal: its context, and the request's URL.
type Heard = (HandshakeRefusal, Option<&'static str>, String);

fn listening(builder: ServerBuilder) -> (ServerBuilder, Journal<Heard>) {
    let (note, heard) = journal();
    let builder = builder.on_connection_error(move |error: &ConnectionError<'_>| {
        let url = error.request.uri.to_string();
        note.write((error.refusal, error.refusal.context(), url));
    });
    (builder, heard)
}

#[tokio::test]
async fn every_request_passes_before_it_is_judged() {
    for face in FACES {
        let (note, mut passed) = journal();
        let builder = builder().plain("/plain", "/").engine_middleware(move |request: Request| {
            let upgrade = request.headers.contains_key("upgrade");
            note.write((request.method.to_string(), upgrade));
            async { Ok(request) }
        });
        let server = face.serve(builder).await;
        let mut expect = async |entries: &[(&str, bool)]| {
            let entries = entries.iter().map(|(method, upgrade)| (method.to_string(), *upgrade));
            passed.expect(entries).await;
        };
        let (client, _) = Polling::socketio(server.address).await;
        expect(&[("GET", false), ("POST", false), ("GET", false)]).await;
        let mut peer = client.upgrade().await;
        sync(&mut peer).await;
        expect(&[("GET", true)]).await;
        let mut plain = Peer::websocket(server.address, "/plain").await;
        assert!(plain.recv_text().await.starts_with("{\"connected\""));
        expect(&[("GET", true)]).await;
        // One that is wrong in every way, and another that is for no session.
        assert_eq!(get(server.address, "/socket.io/?EIO=4", "").await.status, 400);
        expect(&[("GET", false)]).await;
        let wrong = request(server.address, "OPTIONS", POLLING, "", b"").await.recv_http().await;
        assert_eq!(wrong.text(), "{\"code\":2,\"message\":\"Bad handshake method\"}");
        expect(&[("OPTIONS", false)]).await;
        // A file is not the engine's.
        assert_eq!(get(server.address, "/socket.io/socket.io.js", "").await.status, 200);
        passed.expect_nothing();
    }
}

/// Before all checks: the request would be refused for other reasons, too.
#[tokio::test]
async fn who_is_refused_is_told_what_node_tells() {
    for face in FACES {
        let builder =
            builder().plain("/plain", "/").engine_middleware(|request: Request| {
                let refused = request.query("refuse").is_some();
                async move {
                    if refused { Err(Halt::refuse("as the test wants it")) } else { Ok(request) }
                }
            });
        let (builder, mut heard) = listening(builder);
        let server = face.serve(builder).await;
        let unknown = "/socket.io/?EIO=4&transport=carrier-pigeon&refuse=1";
        let answer = get(server.address, unknown, "").await;
        assert_eq!((answer.status, answer.text()), (400, BAD_REQUEST), "{face:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let (client, _) = Polling::socketio(server.address).await;
        let target = format!("{}&refuse=1", client.target());
        let mut post =
            request(server.address, "POST", &target, "Content-Length: 2\r\n", b"40").await;
        assert_eq!(post.recv_http().await.text(), BAD_REQUEST);
        for target in [format!("{TARGET}&refuse=1"), "/plain?refuse=1".to_owned()] {
            let answer = get(server.address, &target, UPGRADE).await;
            assert_eq!((answer.status, answer.text()), (400, "Bad request"), "{face:?}");
        }
        for url in [unknown, &target, &format!("{TARGET}&refuse=1"), "/plain?refuse=1"] {
            let expected =
                (HandshakeRefusal::Middleware, Some("MIDDLEWARE_FAILURE"), url.to_owned());
            heard.expect([expected]).await;
        }
        assert_eq!(server.metrics().refusals.get(HandshakeRefusal::Middleware), 4);
        // The session has not heard of it.
        client.post("421[\"sync\"]").await;
        assert_eq!(client.poll().await, "431[]");
    }
}

#[tokio::test]
async fn an_answer_of_its_own_is_given_instead_of_the_engines() {
    for face in FACES {
        let cors = Cors::origins(["https://app.example"]).build().unwrap();
        let (note, mut passed) = journal();
        let builder = builder().cors(cors).engine_middleware(move |request: Request| {
            note.write(request.method.to_string());
            async {
                let mut response = HttpResponse::new("elsewhere");
                *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
                let headers = response.headers_mut();
                headers.insert("location", HeaderValue::from_static("https://b.example"));
                Err(Halt::answer(response))
            }
        });
        let (builder, mut heard) = listening(builder);
        let server = face.serve(builder).await;
        for (target, headers) in [(POLLING, ""), (TARGET, UPGRADE)] {
            let headers = format!("{headers}Origin: https://app.example\r\n");
            let answer = get(server.address, target, &headers).await;
            assert_eq!((answer.status, answer.text()), (307, "elsewhere"), "{face:?}");
            assert_eq!(answer.header("location"), Some("https://b.example"));
            let allowed = answer.header("access-control-allow-origin");
            assert_eq!(allowed, Some("https://app.example"));
            passed.expect(["GET".to_owned()]).await;
        }
        // It refuses nobody, and a preflight is answered before it.
        let mut preflight = request(server.address, "OPTIONS", POLLING, "", b"").await;
        assert_eq!(preflight.recv_http().await.status, 204);
        passed.expect_nothing();
        heard.expect_nothing();
        assert_eq!(server.clients(), 0);
    }
}

#[tokio::test]
async fn what_it_changes_is_what_the_others_see() {
    for face in FACES {
        let (namespace, mut sockets) = with_sockets(root());
        let (note, mut asked) = journal();
        let builder = Server::builder()
            .namespace(namespace)
            .engine_middleware(|mut request: Request| async move {
                tokio::task::yield_now().await;
                request.headers.insert("x-tenant", HeaderValue::from_static("blue"));
                Ok(request)
            })
            .engine_middleware(|mut request: Request| async move {
                let tenant = request.headers["x-tenant"].to_str()?.to_owned();
                let both = HeaderValue::from_str(&format!("{tenant}, then green"))?;
                request.headers.insert("x-tenant", both);
                Ok(request)
            })
            .allow_request(move |request: &Request| {
                note.write(request.headers["x-tenant"].clone());
                async { Ok::<_, &str>(()) }
            });
        let server = face.serve(builder).await;
        let (_peer, _) = Peer::socketio(server.address).await;
        assert_eq!(asked.next().await, "blue, then green");
        let socket = sockets.next().await;
        assert_eq!(socket.handshake().header("x-tenant"), Some("blue, then green"), "{face:?}");
    }
}

/// What a middleware has found out about a request: which one it is.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Nth(u32);

#[tokio::test]
async fn what_it_finds_out_goes_with_the_session_that_the_request_opens() {
    let nth = |socket: &Socket| socket.handshake().extensions().get::<Nth>().copied();
    for face in FACES {
        let (note, mut found) = journal();
        let note_too = note.clone();
        let namespace = root()
            .middleware(move |socket: Socket| {
                note.write(nth(&socket));
                Ok::<_, &str>(())
            })
            .on_connect(move |socket: Socket| note_too.write(nth(&socket)));
        let (namespace, mut sockets) = with_sockets(namespace);
        let (ask, mut asked) = journal();
        let requests = AtomicU32::new(0);
        let builder = Server::builder()
            .namespace(namespace)
            .plain("/plain", "/")
            .engine_middleware(move |mut request: Request| {
                request.extensions.insert(Nth(requests.fetch_add(1, Ordering::Relaxed)));
                async { Ok(request) }
            })
            .allow_request(move |request: &Request| {
                ask.write(request.extensions.get::<Nth>().copied());
                async { Ok::<_, &str>(()) }
            });
        let server = face.serve(builder).await;

        let (client, _) = Polling::socketio(server.address).await;
        let first = Some(Nth(0));
        asked.expect([first]).await;
        found.expect([first, first]).await;
        let socket = sockets.next().await;
        let mut peer = client.upgrade().await;
        sync(&mut peer).await;
        // Of all the requests there were.
        assert_eq!(nth(&socket), first, "{face:?}");
        let fetched = server.everyone().sockets();
        assert_eq!(fetched.iter().map(nth).collect::<Vec<_>>(), [first]);
        // Neither hyper's nor axum's own are among them.
        assert_eq!(socket.handshake().extensions().len(), 1, "{face:?}");

        let (_websocket, _) = Peer::socketio(server.address).await;
        let next = asked.next().await;
        assert_ne!(next, first);
        found.expect([next, next]).await;
        let _plain = Peer::websocket(server.address, "/plain").await;
        let last = next.map(|Nth(n)| Nth(n + 1));
        asked.expect([last]).await;
        found.expect([last, last]).await;
    }
}

#[tokio::test]
async fn the_first_that_ends_a_request_is_the_last_that_sees_it() {
    let (note, mut passed) = journal();
    let noting = |name: &'static str, fails: bool| {
        let note = note.clone();
        move |request: Request| {
            note.write(name);
            async move {
                if fails {
                    // Any error refuses.
                    Err(io::Error::other("no database"))?;
                }
                Ok(request)
            }
        }
    };
    let builder = builder()
        .engine_middleware(noting("first", false))
        .engine_middleware(noting("second", true))
        .engine_middleware(noting("third", false));
    let server = serve(builder).await;
    assert_eq!(get(server.address, POLLING, "").await.text(), BAD_REQUEST);
    passed.expect(["first", "second"]).await;
    passed.expect_nothing();
}

#[tokio::test]
async fn it_is_dropped_if_its_client_goes_away() {
    for face in FACES {
        let (note, mut dropped) = journal();
        let builder = builder().engine_middleware(move |request: Request| {
            let note = note.clone();
            async move {
                let _note = DropNote("dropped", note.clone());
                note.write("waits");
                std::future::pending::<()>().await;
                Ok(request)
            }
        });
        let server = face.serve(builder).await;
        for (target, headers) in [(POLLING, ""), (TARGET, UPGRADE)] {
            let client = request(server.address, "GET", target, headers, b"").await;
            dropped.expect(["waits"]).await;
            client.reset();
            dropped.expect(["dropped"]).await;
        }
        assert_eq!(server.clients(), 0, "{face:?}");
    }
}

#[tokio::test]
async fn an_id_may_be_waited_for() {
    for face in FACES {
        let id = Sid::new(*b"not very secret");
        let (go, wait) = oneshot::channel();
        let wait = Arc::new(Mutex::new(Some(wait)));
        let (note, mut asked) = journal();
        let builder = builder().generate_id(move |_| {
            let wait = wait.lock().unwrap().take();
            let note = note.clone();
            async move {
                let _note = DropNote("done", note.clone());
                note.write("asked");
                match wait {
                    Some(wait) => wait.await.ok(),
                    None => std::future::pending().await,
                }
            }
        });
        let server = face.serve(builder).await;
        let mut first = request(server.address, "GET", POLLING, "", b"").await;
        asked.expect(["asked"]).await;
        assert_eq!(server.clients(), 0, "{face:?}");
        go.send(id).unwrap();
        asked.expect(["done"]).await;
        assert!(first.recv_http().await.text().contains(id.as_str()));
        until(|| server.clients() == 1).await;
        // A client that does not wait leaves nothing.
        let impatient = request(server.address, "GET", TARGET, UPGRADE, b"").await;
        asked.expect(["asked"]).await;
        impatient.reset();
        asked.expect(["done"]).await;
        assert_eq!(server.clients(), 1);
    }
}

#[tokio::test]
async fn without_an_id_there_is_no_session() {
    for face in FACES {
        let builder = builder().generate_id(|_| async {
            tokio::task::yield_now().await;
            None
        });
        let (builder, mut heard) = listening(builder);
        let server = face.serve(builder).await;
        let answer = get(server.address, POLLING, "").await;
        assert_eq!((answer.status, answer.text()), (400, BAD_REQUEST), "{face:?}");
        let answer = get(server.address, TARGET, UPGRADE).await;
        assert_eq!((answer.status, answer.text()), (400, "Bad request"), "{face:?}");
        for target in [POLLING, TARGET] {
            let context = Some("ID_GENERATION_ERROR");
            heard.expect([(HandshakeRefusal::IdGeneration, context, target.to_owned())]).await;
        }
        assert_eq!(server.clients(), 0);
    }
}
