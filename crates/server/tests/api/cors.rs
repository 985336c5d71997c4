//! Pages of other origins: what they are told, and what they may do.

use std::net::SocketAddr;

use http::{HeaderValue, Method};
use sockeye_server::{Cors, CorsError, HandshakeRefusal, Rate, Server, ServerBuilder};
use sockeye_testkit::peer::{Peer, Response, TARGET};
use sockeye_testkit::polling::{Polling, request};

use crate::harness::{FACES, UPGRADE, root, sync};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const APP: &str = "https://app.example";
const EVIL: &str = "https://evil.example";

fn builder(cors: Cors) -> ServerBuilder {
    Server::builder().namespace(root()).cors(cors)
}

/// Two origins, one of them the app's.
fn several() -> Cors {
    Cors::origins([APP, "http://localhost:5173"]).credentials(true).build().unwrap()
}

async fn ask(address: SocketAddr, method: &str, target: &str, headers: &str) -> Response {
    request(address, method, target, headers, b"").await.recv_http().await
}

fn from(origin: &str) -> String {
    format!("Origin: {origin}\r\n")
}

fn allowed(response: &Response) -> Option<&str> {
    response.header("access-control-allow-origin")
}

#[tokio::test]
async fn a_preflight_is_answered_wherever_it_is_asked() {
    for face in FACES {
        let cors = Cors::origins([APP, "http://localhost:5173"])
            .credentials(true)
            .methods([Method::GET, Method::POST])
            .exposed_headers(["X-Seen"])
            .max_age(std::time::Duration::from_secs(600))
            .build()
            .unwrap();
        let server = face.serve(builder(cors)).await;
        let client = Polling::open(server.address).await;
        for target in [POLLING, &client.target(), "/socket.io/", "/socket.io/socket.io.js"] {
            let asks = format!(
                "{}Access-Control-Request-Method: POST\r\n\
                 Access-Control-Request-Headers: x-a,x-b\r\n",
                from(APP)
            );
            let answer = ask(server.address, "OPTIONS", target, &asks).await;
            let case = format!("{face:?} {target}\n{}", answer.head);
            assert_eq!(answer.status, 204, "{case}");
            assert!(answer.body.is_empty());
            assert_eq!(allowed(&answer), Some(APP), "{case}");
            assert_eq!(answer.header("access-control-allow-credentials"), Some("true"), "{case}");
            assert_eq!(answer.header("access-control-allow-methods"), Some("GET,POST"), "{case}");
            assert_eq!(answer.header("access-control-allow-headers"), Some("x-a,x-b"), "{case}");
            assert_eq!(answer.header("access-control-max-age"), Some("600"), "{case}");
            let vary = answer.header("vary").unwrap().to_ascii_lowercase();
            assert!(vary.contains("origin"), "{case}");
            assert!(vary.contains("access-control-request-headers"), "{case}");
            // One that is not allowed goes no further.
            let answer = ask(server.address, "OPTIONS", target, &from(EVIL)).await;
            assert_eq!((answer.status, allowed(&answer)), (204, None), "{face:?} {target}");
        }
        // A preflight is no fault of the session that it is about, and no refusal.
        client.post("40").await;
        assert_eq!(server.metrics().faults.total(), 0);
        assert_eq!(server.metrics().refusals.total(), 0);
    }
}

#[tokio::test]
async fn every_answer_carries_the_headers_errors_too() {
    for face in FACES {
        let server = face.serve(builder(several()).max_payload(1000)).await;
        let client = Polling::open(server.address).await;
        let session = client.target();
        let other = Polling::open(server.address).await;
        let unknown = format!("{POLLING}&sid=AAAAAAAAAAAAAAAAAAAA");
        let websocket = session.replace("=polling", "=websocket");
        let cases = [
            ("GET", POLLING, "", 200),
            ("POST", &session, "Content-Length: 1001\r\n", 413),
            ("GET", "/socket.io/?EIO=4", "", 400),
            ("GET", "/socket.io/?EIO=3&transport=polling", "", 400),
            ("POST", POLLING, "", 400),
            ("GET", &unknown, "", 400),
            ("PUT", &session, "", 500),
            ("GET", TARGET, UPGRADE, 101),
            ("GET", TARGET, "Upgrade: websocket\r\nConnection: Upgrade\r\n", 426),
            ("GET", "/socket.io/?EIO=3&transport=websocket", UPGRADE, 400),
            ("GET", &websocket, UPGRADE, 101),
            ("GET", "/socket.io/socket.io.js", "", 200),
            ("GET", "/socket.io/socket.io.esm.js", "", 200),
            ("GET", "/socket.io/nothing.js", "", 400),
        ];
        for (method, target, headers, status) in cases {
            let headers = format!("{headers}{}", from(APP));
            let answer = ask(server.address, method, target, &headers).await;
            let case = format!("{face:?} {method} {target}\n{}", answer.head);
            assert_eq!(answer.status, status, "{case}");
            assert_eq!(allowed(&answer), Some(APP), "{case}");
            assert_eq!(answer.header("access-control-allow-credentials"), Some("true"), "{case}");
            assert!(
                answer.header("vary").unwrap().to_ascii_lowercase().contains("origin"),
                "{case}"
            );
        }
        let post = format!("Content-Length: 2\r\n{}", from(APP));
        let posted = other.request("POST", &post, b"40").await;
        assert_eq!((posted.text(), allowed(&posted)), ("ok", Some(APP)), "{face:?}");
        let polled = other.request("GET", &from(APP), b"").await;
        assert_eq!((polled.status, allowed(&polled)), (200, Some(APP)), "{face:?}");
        // A page of another origin is not told, and one that has none neither.
        let bundle = ask(server.address, "GET", "/socket.io/socket.io.js", &from(EVIL)).await;
        assert_eq!((bundle.status, allowed(&bundle)), (200, None));
        assert_eq!(allowed(&ask(server.address, "GET", POLLING, "").await), None);
    }
}

#[tokio::test]
async fn without_the_option_nothing_is_said_and_nobody_is_refused() {
    for face in FACES {
        let server = face.serve(Server::builder().namespace(root())).await;
        for (target, headers, status) in [(POLLING, "", 200), (TARGET, UPGRADE, 101)] {
            let answer =
                ask(server.address, "GET", target, &format!("{headers}{}", from(EVIL))).await;
            assert_eq!((answer.status, allowed(&answer)), (status, None), "{face:?}");
            assert_eq!(answer.header("vary"), None);
        }
    }
}

#[tokio::test]
async fn only_allowed_origins_connect_over_either_transport() {
    /// A configuration, and origins that it lets in and keeps out.
    type Case = (fn() -> Cors, &'static [&'static str], &'static [&'static str]);

    let one = || Cors::origins([APP]).build().unwrap();
    let judged = || Cors::origin_if(|origin| origin.ends_with(".example.com")).build().unwrap();
    let same = || Cors::same_origin().build().unwrap();
    let any = || Cors::any().build().unwrap();
    // The host of the requests is localhost.
    let cases: [Case; 5] = [
        (
            several,
            &[APP, "http://localhost:5173", "http://localhost", "https://localhost"],
            &[
                EVIL,
                "http://app.example",
                "https://app.example.evil.example",
                "https://app.example:444",
                "http://localhost:5174",
                "null",
                "",
            ],
        ),
        (one, &[APP, "http://localhost"], &[EVIL, "null"]),
        (
            judged,
            &["https://a.example.com", "http://localhost"],
            &["https://evil-example.com", "null"],
        ),
        (same, &["http://localhost", "https://localhost"], &[APP, "null", "http://localhost:1"]),
        (any, &[APP, EVIL, "null", "http://localhost"], &[]),
    ];
    for face in FACES {
        for (cors, good, bad) in cases {
            let server = face.serve(builder(cors())).await;
            for (target, headers, status) in [(POLLING, "", 200), (TARGET, UPGRADE, 101)] {
                for origin in good {
                    let headers = format!("{headers}{}", from(origin));
                    let answer = ask(server.address, "GET", target, &headers).await;
                    assert_eq!(answer.status, status, "{face:?} {origin}\n{}", answer.head);
                }
                // No page sends that.
                assert_eq!(ask(server.address, "GET", target, headers).await.status, status);
                for origin in bad {
                    let before = server.metrics().refusals;
                    let headers = format!("{headers}{}", from(origin));
                    let answer = ask(server.address, "GET", target, &headers).await;
                    let case = format!("{face:?} {target} {origin}\n{}", answer.head);
                    assert_eq!(answer.status, 403, "{case}");
                    let after = server.metrics().refusals;
                    let is = HandshakeRefusal::OriginNotAllowed;
                    assert_eq!(after.get(is), before.get(is) + 1, "{case}");
                    if target == POLLING {
                        assert_eq!(answer.text(), "{\"code\":4,\"message\":\"Forbidden\"}");
                    } else {
                        assert_eq!(answer.text(), "Forbidden");
                    }
                }
                // Two are none.
                if !good.contains(&EVIL) {
                    let headers = format!("{headers}{}{}", from(APP), from(EVIL));
                    assert_eq!(ask(server.address, "GET", target, &headers).await.status, 403);
                }
            }
        }
    }
}

#[tokio::test]
async fn the_servers_own_origin_is_that_of_the_host_header() {
    for face in FACES {
        let server = face.serve(builder(Cors::same_origin().build().unwrap())).await;
        for (host, origin, allowed) in [
            ("chat.example", "https://chat.example", true),
            ("chat.example", "http://chat.example", true),
            ("CHAT.example", "https://chat.example", true),
            ("chat.example:8443", "https://chat.example:8443", true),
            ("chat.example:443", "https://chat.example", true),
            ("chat.example:80", "http://chat.example", true),
            ("127.0.0.1:3000", "http://127.0.0.1:3000", true),
            ("[::1]:3000", "http://[::1]:3000", true),
            ("chat.example", "https://chat.example:8443", false),
            ("chat.example:8443", "https://chat.example", false),
            ("chat.example", "https://other.example", false),
            ("chat.example", "https://chat.example.evil.example", false),
        ] {
            for (target, headers, status) in [(POLLING, "", 200), (TARGET, UPGRADE, 101)] {
                let mut peer = Peer::connect(server.address).await;
                let head = format!(
                    "GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}Origin: {origin}\r\n\r\n"
                );
                peer.send_bytes(head.as_bytes()).await;
                let answer = peer.recv_http().await;
                let expected = if allowed { status } else { 403 };
                assert_eq!(answer.status, expected, "{face:?} {host} {origin}\n{}", answer.head);
            }
        }
    }
}

#[tokio::test]
async fn a_page_that_is_allowed_talks_to_the_server_from_its_handshake_to_its_upgrade() {
    for face in FACES {
        let server = face.serve(builder(several())).await;
        let page = from(APP);
        let opened = ask(server.address, "GET", POLLING, &page).await;
        let sid = opened.text()["0{\"sid\":\"".len()..][..20].to_owned();
        let target = format!("{POLLING}&sid={sid}");
        let post = format!("Content-Length: 2\r\n{page}");
        let mut posted = request(server.address, "POST", &target, &post, b"40").await;
        assert_eq!(posted.recv_http().await.text(), "ok");
        assert!(ask(server.address, "GET", &target, &page).await.text().starts_with("40{"));
        let mut peer = Peer::connect(server.address).await;
        let websocket = target.replace("=polling", "=websocket");
        let head = format!("GET {websocket} HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}{page}\r\n");
        peer.send_bytes(head.as_bytes()).await;
        assert_eq!(peer.recv_http().await.status, 101);
        peer.send_text("2probe").await;
        peer.expect_text("3probe").await;
        peer.send_text("5").await;
        sync(&mut peer).await;
    }
}

#[tokio::test]
async fn any_origin_and_a_single_one_are_told_as_they_were_said() {
    for face in FACES {
        let server = face.serve(builder(Cors::any().build().unwrap())).await;
        let answer = ask(server.address, "GET", POLLING, &from(EVIL)).await;
        assert_eq!(allowed(&answer), Some("*"), "{face:?}");
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        let server = face.serve(builder(Cors::origins([APP]).build().unwrap())).await;
        for page in [String::new(), from(APP), from("http://localhost")] {
            let answer = ask(server.address, "GET", POLLING, &page).await;
            assert_eq!((answer.status, allowed(&answer)), (200, Some(APP)), "{face:?} {page}");
        }
        let bundle = ask(server.address, "GET", "/socket.io/socket.io.js", &from(EVIL)).await;
        assert_eq!((bundle.status, allowed(&bundle)), (200, Some(APP)), "{face:?}");
    }
}

#[test]
fn what_browsers_would_refuse_is_refused_when_it_is_built() {
    let wildcard = |built: Result<Cors, CorsError>| {
        assert!(matches!(built, Err(CorsError::WildcardWithCredentials(_))), "{built:?}");
    };
    wildcard(Cors::any().credentials(true).build());
    wildcard(Cors::origins([APP]).credentials(true).allowed_headers(["*"]).build());
    wildcard(Cors::origins([APP]).credentials(true).exposed_headers(["*"]).build());
    let built = Cors::origins(["null"]).credentials(true).build();
    assert_eq!(built.unwrap_err(), CorsError::NullWithCredentials);
    let built = Cors::origins(Vec::<String>::new()).build();
    assert_eq!(built.unwrap_err(), CorsError::NoOrigins);
    for no in ["*", "app.example", "https://app.example/", "https://app.example:443", "HTTPS://a.b"]
    {
        let built = Cors::origins([no]).build();
        assert!(matches!(built, Err(CorsError::NotAnOrigin { .. })), "{no}: {built:?}");
    }
}

/// A page must not spend what its visitors' address may have.
#[tokio::test]
async fn a_page_of_another_origin_is_refused_before_it_is_counted() {
    for face in FACES {
        let rate = Rate { burst: 1, per_second: 1 };
        let builder = builder(Cors::origins([APP]).build().unwrap()).handshake_rate(rate);
        let server = face.serve(builder).await;
        for target in [POLLING, TARGET] {
            let upgrade = if target == TARGET { UPGRADE } else { "" };
            let headers = format!("{upgrade}{}", from(EVIL));
            for _ in 0..3 {
                ask(server.address, "GET", target, &headers).await;
            }
        }
        let refusals = server.metrics().refusals;
        assert_eq!(refusals.get(HandshakeRefusal::OriginNotAllowed), 6, "{face:?}");
        let own = ask(server.address, "GET", POLLING, &from(APP)).await;
        assert_eq!(own.status, 200, "{face:?}\n{}", own.head);
    }
}

/// What the application puts into an answer stays there.
#[tokio::test]
async fn headers_of_the_applications_own_are_kept() {
    for face in FACES {
        let server = face
            .serve(builder(several()).on_headers(|headers, _| {
                headers.insert("vary", HeaderValue::from_static("Accept-Language"));
                headers.append("vary", HeaderValue::from_static("Cookie"));
                headers
                    .insert("access-control-allow-credentials", HeaderValue::from_static("false"));
            }))
            .await;
        let client = Polling::open(server.address).await;
        let websocket = client.target().replace("=polling", "=websocket");
        let session = client.target();
        for (method, target, headers, status) in [
            ("GET", POLLING, "", 200),
            ("POST", &*session, "Content-Length: 2\r\n", 200),
            ("GET", TARGET, UPGRADE, 101),
            ("GET", &*websocket, UPGRADE, 101),
        ] {
            let headers = from(APP) + headers;
            let mut peer = request(server.address, method, target, &headers, b"").await;
            if method == "POST" {
                peer.send_bytes(b"40").await;
            }
            let answer = peer.recv_http().await;
            let case = format!("{face:?} {method} {target}\n{}", answer.head);
            assert_eq!(answer.status, status, "{case}");
            assert_eq!(allowed(&answer), Some(APP), "{case}");
            let vary = answer.header("vary");
            assert_eq!(vary, Some("Accept-Language, Cookie, Origin"), "{case}");
            let credentials = answer.header("access-control-allow-credentials");
            assert_eq!(credentials, Some("false"), "{case}");
        }
    }
}
