//! What is allowed, and how it is said.

use super::*;

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

/// The headers in their order, as they would be written.
fn text(headers: &HeaderMap) -> String {
    let mut text = String::new();
    for (name, value) in headers {
        writeln!(text, "{name}: {}", value.to_str().unwrap()).unwrap();
    }
    text
}

fn applied(cors: &Cors, request: &[(&'static str, &str)]) -> String {
    let mut response = HeaderMap::new();
    cors.apply(&headers(request), &mut response);
    text(&response)
}

fn preflight(cors: &Cors, request: &[(&'static str, &str)]) -> String {
    let response = cors.preflight(&headers(request));
    assert_eq!(response.status(), 204);
    text(response.headers())
}

/// Captured from engine.io: see socketio-wire.md, "CORS and cookie headers as emitted".
#[test]
fn the_headers_are_those_that_node_emits() {
    let cors = Cors::origins(["http://a.b"])
        .credentials(true)
        .methods([Method::GET, Method::POST])
        .allowed_headers(["x-foo"])
        .build()
        .unwrap();
    for origin in ["http://a.b", "http://other"] {
        assert_eq!(
            preflight(&cors, &[("origin", origin)]),
            "access-control-allow-origin: http://a.b\n\
             vary: Origin\n\
             access-control-allow-credentials: true\n\
             access-control-allow-methods: GET,POST\n\
             access-control-allow-headers: x-foo\n\
             content-length: 0\n"
        );
        assert_eq!(
            applied(&cors, &[("origin", origin)]),
            "access-control-allow-origin: http://a.b\n\
             vary: Origin\n\
             access-control-allow-credentials: true\n"
        );
    }
    assert_eq!(applied(&cors, &[]), applied(&cors, &[("origin", "http://a.b")]));
}

#[test]
fn the_defaults_are_those_of_npm_cors() {
    let cors = Cors::any().build().unwrap();
    assert_eq!(applied(&cors, &[("origin", "http://a.b")]), "access-control-allow-origin: *\n");
    assert_eq!(
        preflight(&cors, &[("access-control-request-headers", "x-one,X-Two")]),
        "access-control-allow-origin: *\n\
         access-control-allow-methods: GET,HEAD,PUT,PATCH,POST,DELETE\n\
         vary: Access-Control-Request-Headers\n\
         access-control-allow-headers: x-one,X-Two\n\
         content-length: 0\n"
    );
    assert!(!preflight(&cors, &[]).contains("allow-headers"));
    let cors = Cors::origins(["http://a.b", "http://c.d"])
        .max_age(Duration::from_millis(600_999))
        .exposed_headers(["X-One", "X-Two"])
        .build()
        .unwrap();
    assert_eq!(
        preflight(&cors, &[("origin", "http://c.d")]),
        "access-control-allow-origin: http://c.d\n\
         vary: Origin, Access-Control-Request-Headers\n\
         access-control-allow-methods: GET,HEAD,PUT,PATCH,POST,DELETE\n\
         access-control-max-age: 600\n\
         access-control-expose-headers: X-One,X-Two\n\
         content-length: 0\n"
    );
}

#[test]
fn of_several_origins_the_one_that_asks_is_reflected() {
    let several = Cors::origins(["http://a.b", "http://c.d"]).build().unwrap();
    let judged = Cors::origin_if(|origin| origin == "http://c.d").build().unwrap();
    for cors in [several, judged] {
        let reflected = "access-control-allow-origin: http://c.d\nvary: Origin\n";
        assert_eq!(applied(&cors, &[("origin", "http://c.d")]), reflected);
        assert_eq!(applied(&cors, &[("origin", "http://c.d.e")]), "vary: Origin\n");
        assert_eq!(applied(&cors, &[]), "vary: Origin\n");
        assert!(!preflight(&cors, &[("origin", "http://x")]).contains("allow-origin"));
    }
    let own = Cors::same_origin().build().unwrap();
    assert_eq!(applied(&own, &[("origin", "http://a.b"), ("host", "a.b")]), "vary: Origin\n");
}

#[test]
fn vary_is_added_to_what_the_answer_has() {
    let cors = Cors::origins(["http://a.b"]).build().unwrap();
    for (before, after) in [
        ("Accept-Encoding", "Accept-Encoding, Origin"),
        ("accept, origin", "accept, origin"),
        ("*", "*"),
        ("", "Origin"),
    ] {
        let mut response = headers(&[("vary", before)]);
        cors.apply(&HeaderMap::new(), &mut response);
        assert_eq!(response[VARY], after);
        cors.apply(&HeaderMap::new(), &mut response);
        assert_eq!(response[VARY], after);
    }
}

#[track_caller]
fn allows(builder: CorsBuilder, request: &[(&'static str, &str)], allowed: bool) {
    let cors = builder.build().unwrap();
    assert_eq!(cors.allows(&headers(request)), allowed, "{cors:?} {request:?}");
}

#[test]
fn a_request_without_an_origin_is_no_pages() {
    for builder in [Cors::any(), Cors::same_origin(), Cors::origin_if(|_| false)] {
        allows(builder, &[("host", "a.b")], true);
    }
}

#[test]
fn a_scripts_page_is_known_by_its_referer() {
    let listed = || Cors::origins(["http://a.b", "http://c.d:81"]);
    for (cors, request, allowed) in [
        (listed(), &[("referer", "http://a.b/page?x=http://evil")][..], true),
        (listed(), &[("referer", "http://c.d:81")], true),
        (listed(), &[("referer", "http://c.d/")], false),
        (listed(), &[("referer", "http://evil/http://a.b")], false),
        (listed(), &[("referer", "http://evil/"), ("host", "evil")], true),
        (listed(), &[("referer", "a.b")], false),
        (listed(), &[("host", "a.b")], false),
        (Cors::same_origin(), &[("host", "a.b")], false),
        (Cors::any(), &[("host", "a.b")], true),
        (Cors::any(), &[("referer", "http://evil/")], true),
        (listed(), &[("origin", "http://evil"), ("referer", "http://a.b/")], false),
    ] {
        let cors = cors.build().unwrap();
        assert_eq!(cors.allows_script(&headers(request)), allowed, "{cors:?} {request:?}");
    }
}

#[test]
fn allowed_origins_and_the_servers_own_are_let_in() {
    let evil = ("origin", "http://evil");
    allows(Cors::any(), &[evil], true);
    allows(Cors::same_origin(), &[evil, ("host", "a.b")], false);
    allows(Cors::origins(["http://a.b"]), &[evil, ("host", "a.b")], false);
    allows(Cors::origins(["http://a.b"]), &[("origin", "http://a.b")], true);
    allows(Cors::origins(["http://a.b"]), &[("origin", "http://a.b"), evil], false);
    allows(Cors::origins(["http://a.b", "http://c.d"]), &[("origin", "http://c.d")], true);
    allows(Cors::origins(["http://a.b"]), &[("origin", "null")], false);
    allows(Cors::origins(["null"]), &[("origin", "null")], true);
    allows(Cors::origin_if(|origin| origin == "http://evil"), &[evil], true);
    allows(Cors::origin_if(|_| false), &[("origin", "http://a.b"), ("host", "a.b")], true);
}

#[test]
fn the_servers_own_origin_is_that_of_its_host() {
    for (origin, host, same) in [
        ("http://a.b", "a.b", true),
        ("https://a.b", "A.b", true),
        ("https://a.b", "a.b:443", true),
        ("http://a.b", "a.b:80", true),
        ("http://localhost:3000", "localhost:3000", true),
        ("http://[::1]:3000", "[::1]:3000", true),
        ("http://localhost:3001", "localhost:3000", false),
        ("http://localhost", "localhost:3000", false),
        ("https://a.b", "a.b:80", false),
        ("http://a.b.evil", "a.b", false),
        ("http://evil.a.b", "a.b", false),
        ("http://", "", false),
        ("null", "null", false),
        ("file://a.b", "a.b", false),
        ("a.b", "a.b", false),
    ] {
        allows(Cors::same_origin(), &[("origin", origin), ("host", host)], same);
    }
    allows(Cors::same_origin(), &[("origin", "http://a.b")], false);
    let twice = [("origin", "http://a.b"), ("host", "a.b"), ("host", "c.d")];
    allows(Cors::same_origin(), &twice, false);
}

#[test]
fn what_no_browser_sends_is_no_origin() {
    for (origin, word) in [
        ("", "scheme"),
        ("*", "Cors::any()"),
        ("a.b", "scheme"),
        ("localhost:3000", "scheme"),
        ("://a.b", "scheme"),
        ("ht_tp://a.b", "scheme"),
        ("http://a.b/", "slash"),
        ("http://a.b/chat", "path"),
        ("http://a.b?x", "path"),
        ("http://*.a.b", "origin_if"),
        ("http://A.b", "lower case"),
        ("http://a b", "spaces"),
        ("http://ä.b", "xn--"),
        ("http://a.b,http://c.d", "path"),
        ("http://me@a.b", "one host"),
        ("http://", "host"),
        ("http://:3000", "host"),
        ("http://a.b:", "port"),
        ("http://a.b:x", "port"),
        ("http://a.b:080", "port"),
        ("http://a.b:65536", "port"),
        ("http://a.b:80", "leave out the port"),
        ("https://[::1]:443", "leave out the port"),
    ] {
        let error = Cors::origins(["http://fine", origin]).build().unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, CorsError::NotAnOrigin { .. }), "{origin}: {said}");
        assert!(said.starts_with(&format!("{origin:?} ")) && said.contains(word), "{said}");
    }
    for origin in [
        "http://a.b",
        "https://a.b:8443",
        "http://[::1]",
        "http://[::1]:3000",
        "file://",
        "capacitor://localhost",
        "chrome-extension://abc",
        "http://xn--4ca.b",
        "http://a.b:443",
    ] {
        assert!(Cors::origins([origin]).build().is_ok(), "{origin}");
    }
}

#[test]
fn what_browsers_refuse_is_refused_here() {
    let error = |builder: CorsBuilder| builder.build().unwrap_err();
    let wildcard = CorsError::WildcardWithCredentials;
    assert_eq!(error(Cors::any().credentials(true)), wildcard("Cors::any()"));
    let one = || Cors::origins(["http://a.b"]).credentials(true);
    assert_eq!(error(one().allowed_headers(["x", "*"])), wildcard("allowed_headers"));
    assert_eq!(error(one().exposed_headers(["*"])), wildcard("exposed_headers"));
    let star = Method::from_bytes(b"*").unwrap();
    assert_eq!(error(one().methods([star])), wildcard("methods"));
    assert_eq!(error(Cors::origins(["null"]).credentials(true)), CorsError::NullWithCredentials);
    assert_eq!(error(Cors::origins::<[&str; 0]>([])), CorsError::NoOrigins);
    assert_eq!(
        error(Cors::any().allowed_headers(["x foo"])),
        CorsError::NotAHeaderName("x foo".to_owned())
    );
    assert!(Cors::any().allowed_headers(["*"]).exposed_headers(["*"]).build().is_ok());
}
