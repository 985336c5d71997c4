//! Each check of the opening handshake (RFC 6455 §4.2.1).

use sockeye_websocket::handshake::{
    accept_key, client,
    server::{Accept, Refusal, Request, judge},
};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What Chromium sends, in short.
const GOOD: &[(&str, &str)] = &[
    ("Host", "example.com:3000"),
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Origin", "http://example.com:3000"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
];

fn judged(headers: &[(&str, &str)]) -> Result<Accept, Refusal> {
    let headers = headers.iter().map(|&(name, value)| (name, value.as_bytes()));
    judge(Request { method: "GET", version: (1, 1), headers })
}

/// The good request without `name`, and then with these values for it, a line for each.
fn with(name: &str, values: &[&str]) -> Result<Accept, Refusal> {
    let mut headers: Vec<_> = GOOD.iter().copied().filter(|(known, _)| *known != name).collect();
    headers.extend(values.iter().map(|&value| (name, value)));
    judged(&headers)
}

#[track_caller]
fn accepted(result: Result<Accept, Refusal>) {
    assert_eq!(result, Ok(Accept { accept_key: accept_key(KEY.as_bytes()) }));
}

#[test]
fn the_example_of_rfc_6455_section_1_3() {
    let accept = judged(GOOD).unwrap();
    assert_eq!(accept.accept_key.as_str(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn names_come_in_any_case() {
    let lower: Vec<_> = GOOD.iter().map(|(name, value)| (name.to_lowercase(), *value)).collect();
    let upper: Vec<_> = GOOD.iter().map(|(name, value)| (name.to_uppercase(), *value)).collect();
    for headers in [lower, upper] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        accepted(judged(&headers));
    }
}

#[test]
fn the_method_and_the_version() {
    let headers = || GOOD.iter().map(|&(name, value)| (name, value.as_bytes()));
    for method in ["POST", "HEAD", "get", "CONNECT", ""] {
        let request = Request { method, version: (1, 1), headers: headers() };
        assert_eq!(judge(request), Err(Refusal::Method));
    }
    for version in [(0, 9), (1, 0)] {
        let request = Request { method: "GET", version, headers: headers() };
        assert_eq!(judge(request), Err(Refusal::HttpVersion));
    }
    accepted(judge(Request { method: "GET", version: (1, 2), headers: headers() }));
}

#[test]
fn host() {
    assert_eq!(with("Host", &[]), Err(Refusal::Host));
    assert_eq!(with("Host", &["a", "b"]), Err(Refusal::Host));
    accepted(with("Host", &["[::1]:3000"]));
}

#[test]
fn upgrade() {
    assert_eq!(with("Upgrade", &[]), Err(Refusal::Upgrade));
    assert_eq!(with("Upgrade", &["h2c"]), Err(Refusal::Upgrade));
    assert_eq!(with("Upgrade", &["websockets"]), Err(Refusal::Upgrade));
    assert_eq!(with("Upgrade", &["web socket"]), Err(Refusal::Upgrade));
    accepted(with("Upgrade", &["WebSocket"]));
    accepted(with("Upgrade", &["h2c, websocket"]));
    accepted(with("Upgrade", &["h2c", "WEBSOCKET"]));
}

#[test]
fn connection() {
    assert_eq!(with("Connection", &[]), Err(Refusal::Connection));
    assert_eq!(with("Connection", &["keep-alive"]), Err(Refusal::Connection));
    assert_eq!(with("Connection", &["upgraded"]), Err(Refusal::Connection));
    accepted(with("Connection", &["keep-alive, Upgrade"]));
    accepted(with("Connection", &["keep-alive,\tupgrade ,x"]));
    accepted(with("Connection", &["keep-alive", "UPGRADE"]));
}

#[test]
fn the_protocol_version() {
    for values in [&[][..], &["8"], &["14"], &["013"], &["13, 8"], &["13", "13"], &["8", "13"]] {
        assert_eq!(with("Sec-WebSocket-Version", values), Err(Refusal::Version), "{values:?}");
    }
    accepted(with("Sec-WebSocket-Version", &[" 13 "]));
}

#[test]
fn the_key() {
    assert_eq!(with("Sec-WebSocket-Key", &[]), Err(Refusal::KeyMissing));
    assert_eq!(with("Sec-WebSocket-Key", &[KEY, KEY]), Err(Refusal::KeyRepeated));
    for malformed in [
        "",
        "==",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZQA=",
        "dGhlIHNhbXBsZSBub25jZQAA",
        "dGhlIHNhbXBsZSBub25j==",
        "dGhlIHNhbXBsZSBub25jZQAAAA==",
        "dGhlIHNhbXBsZSBub25-_w==",
        "dGhlIHNhbXBsZSBub25 ZQ==",
        "dGhlIHNhbXBsZSBub25\u{e9}Q==",
    ] {
        let refused = Err(Refusal::KeyMalformed);
        assert_eq!(with("Sec-WebSocket-Key", &[malformed]), refused, "{malformed}");
    }
    accepted(with("Sec-WebSocket-Key", &[&format!(" {KEY} ")]));
}

#[test]
fn refusals_say_what_http_demands() {
    for (refusal, status) in [
        (Refusal::Method, 405),
        (Refusal::HttpVersion, 505),
        (Refusal::Host, 400),
        (Refusal::Upgrade, 426),
        (Refusal::Connection, 400),
        (Refusal::Version, 426),
        (Refusal::KeyMissing, 400),
        (Refusal::KeyRepeated, 400),
        (Refusal::KeyMalformed, 400),
    ] {
        assert_eq!(refusal.status(), status);
        assert!(refusal.to_string().ends_with('.'), "a sentence: {refusal}");
        let has = |header| refusal.headers().contains(&header);
        assert_eq!(has(("allow", "GET")), status == 405);
        assert_eq!(has(("upgrade", "websocket")), status == 426);
        assert_eq!(has(("sec-websocket-version", "13")), refusal == Refusal::Version);
    }
}

#[test]
fn our_own_request_is_accepted() {
    let key = client::key([7; 16]);
    let request = client::request("/chat", "localhost", &key);
    let mut lines = request.split("\r\n");
    assert_eq!(lines.next(), Some("GET /chat HTTP/1.1"));
    let headers: Vec<_> = lines.filter_map(|line| line.split_once(": ")).collect();
    assert_eq!(judged(&headers).unwrap().accept_key, accept_key(key.as_bytes()));
}
