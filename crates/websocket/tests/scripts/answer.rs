//! Each check of a server's answer to the opening handshake (RFC 6455 §4.1).

use sockeye_websocket::handshake::client::{
    Accepted, Refusal, Request, Response, is_subprotocol, judge,
};
use sockeye_websocket::handshake::{accept_key, server};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const GOOD: &[(&str, &str)] =
    &[("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", ACCEPT)];

/// A client that wants no more than a WebSocket.
const PLAIN: Request<'static, &str> = Request { key: KEY, subprotocols: &[], extensions: None };

/// A client with offers.
const OFFERING: Request<'static, &str> =
    Request { key: KEY, subprotocols: &["chat", "Chat", "news"], extensions: Some("deflate") };

fn judged(
    request: &Request<'static, &'static str>,
    headers: &[(&'static str, &'static str)],
) -> Result<Accepted<'static>, Refusal> {
    let headers = headers.iter().map(|&(name, value)| (name, value.as_bytes()));
    judge(request, Response { status: 101, headers })
}

/// The good answer without `name`, and then with these values for it, a line for each.
fn with_to(
    request: &Request<'static, &'static str>,
    name: &'static str,
    values: &[&'static str],
) -> Result<Accepted<'static>, Refusal> {
    let mut headers: Vec<_> = GOOD.iter().copied().filter(|(known, _)| *known != name).collect();
    headers.extend(values.iter().map(|&value| (name, value)));
    judged(request, &headers)
}

fn with(name: &'static str, values: &[&'static str]) -> Result<Accepted<'static>, Refusal> {
    with_to(&PLAIN, name, values)
}

#[track_caller]
fn accepted(result: Result<Accepted<'_>, Refusal>) {
    assert_eq!(result, Ok(Accepted { subprotocol: None, extensions: Vec::new() }));
}

#[test]
fn names_come_in_any_case() {
    accepted(judged(&PLAIN, GOOD));
    accepted(judged(
        &PLAIN,
        &[("UPGRADE", "websocket"), ("connection", "Upgrade"), ("sec-websocket-accept", ACCEPT)],
    ));
}

#[test]
fn the_status() {
    for status in [100, 200, 302, 401, 426, 500] {
        let headers = GOOD.iter().map(|&(name, value)| (name, value.as_bytes()));
        assert_eq!(judge(&PLAIN, Response { status, headers }), Err(Refusal::Status(status)));
    }
}

#[test]
fn upgrade() {
    assert_eq!(with("Upgrade", &[]), Err(Refusal::Upgrade(None)));
    for (values, quoted) in [
        (&["h2c"][..], "h2c"),
        (&["websockets"], "websockets"),
        (&["websocket, h2c"], "websocket, h2c"),
        (&["websocket", "h2c"], "websocket, h2c"),
        (&[""], ""),
    ] {
        assert_eq!(with("Upgrade", values), Err(Refusal::Upgrade(Some(quoted.to_owned()))));
    }
    accepted(with("Upgrade", &["WebSocket"]));
    accepted(with("Upgrade", &[" websocket\t"]));
}

#[test]
fn connection() {
    assert_eq!(with("Connection", &[]), Err(Refusal::Connection(None)));
    for value in ["close", "keep-alive, upgraded", "keep-alive Upgrade"] {
        assert_eq!(
            with("Connection", &[value]),
            Err(Refusal::Connection(Some(value.to_owned()))),
            "{value}"
        );
    }
    accepted(with("Connection", &["UPGRADE"]));
    accepted(with("Connection", &["keep-alive , upgrade"]));
    accepted(with("Connection", &["keep-alive", "upgrade"]));
}

#[test]
fn accept() {
    assert_eq!(with("Sec-WebSocket-Accept", &[]), Err(Refusal::AcceptMissing));
    assert_eq!(with("Sec-WebSocket-Accept", &[ACCEPT, ACCEPT]), Err(Refusal::AcceptRepeated));
    for value in ["", "S3PPLMBITXAQ9KYGZZHZRBK+XOO=", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo", KEY] {
        assert_eq!(
            with("Sec-WebSocket-Accept", &[value]),
            Err(Refusal::AcceptWrong(value.to_owned()))
        );
    }
    accepted(with("Sec-WebSocket-Accept", &[" s3pPLMBiTxaQ9kYGzzhZRbK+xOo= "]));
}

#[test]
fn extensions() {
    let name = "Sec-WebSocket-Extensions";
    let deflate = "permessage-deflate; client_max_window_bits";
    assert_eq!(with(name, &[deflate]), Err(Refusal::ExtensionUnasked(deflate.to_owned())));
    // A list without items names no extension.
    accepted(with(name, &[" , "]));

    let accepted = with_to(&OFFERING, name, &[deflate, "", "other"]).unwrap();
    assert_eq!(accepted.extensions, [deflate.as_bytes(), b"other"]);
    // What was offered may be declined.
    assert_eq!(with_to(&OFFERING, name, &[]).unwrap().extensions, [b""; 0]);
}

#[test]
fn subprotocol() {
    let name = "Sec-WebSocket-Protocol";
    assert_eq!(with(name, &["chat"]), Err(Refusal::SubprotocolUnasked("chat".to_owned())));
    for value in ["CHAT", "other", "", "chat, news"] {
        let refusal = Refusal::SubprotocolNotOffered(value.to_owned());
        assert_eq!(with_to(&OFFERING, name, &[value]), Err(refusal));
    }
    assert_eq!(with_to(&OFFERING, name, &["chat", "chat"]), Err(Refusal::SubprotocolRepeated));
    for value in ["chat", "Chat", "news"] {
        assert_eq!(with_to(&OFFERING, name, &[value]).unwrap().subprotocol, Some(value));
    }
    assert_eq!(with_to(&OFFERING, name, &[" news "]).unwrap().subprotocol, Some("news"));
    assert_eq!(with_to(&OFFERING, name, &[]).unwrap().subprotocol, None);
}

#[test]
fn a_refusal_is_a_sentence_of_bounded_length() {
    let value = || "\u{e4}\n".repeat(10_000);
    let name = "Upgrade";
    let headers = [(name, value())];
    let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
    let refusal = judge(&PLAIN, Response { status: 101, headers }).unwrap_err();
    assert!(refusal.to_string().len() < 1000, "{refusal}");
    assert!(!refusal.to_string().contains('\n'), "{refusal}");

    for refusal in [
        refusal,
        Refusal::Status(404),
        Refusal::Upgrade(None),
        Refusal::Connection(None),
        Refusal::Connection(Some(value())),
        Refusal::AcceptMissing,
        Refusal::AcceptRepeated,
        Refusal::AcceptWrong(value()),
        Refusal::SubprotocolUnasked(value()),
        Refusal::SubprotocolNotOffered(value()),
        Refusal::SubprotocolRepeated,
        Refusal::ExtensionUnasked(value()),
    ] {
        assert!(refusal.to_string().ends_with('.'), "{refusal}");
    }
}

#[test]
fn names_of_subprotocols_are_tokens() {
    for name in ["chat", "v12.stomp", "graphql-transport-ws", "!#$%&'*+-.^_`|~09azAZ"] {
        assert!(is_subprotocol(name), "{name}");
    }
    for name in ["", " ", "a b", "a,b", "a;b", "a/b", "a\"b", "\u{e4}", "a\r\n", "{a}", "a=b"] {
        assert!(!is_subprotocol(name), "{name}");
    }
}

#[test]
fn a_requests_headers_say_what_it_asks_for() {
    let plain: Vec<_> = PLAIN.headers().collect();
    assert_eq!(
        plain,
        [
            ("upgrade", "websocket".to_owned()),
            ("connection", "Upgrade".to_owned()),
            ("sec-websocket-version", "13".to_owned()),
            ("sec-websocket-key", KEY.to_owned()),
        ]
    );
    let offering: Vec<_> = OFFERING.headers().skip(plain.len()).collect();
    assert_eq!(
        offering,
        [
            ("sec-websocket-protocol", "chat, Chat, news".to_owned()),
            ("sec-websocket-extensions", "deflate".to_owned()),
        ]
    );
}

#[test]
fn our_own_server_takes_what_our_client_asks() {
    let headers: Vec<_> = OFFERING.headers().collect();
    let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
    let headers = headers.chain([("host", b"localhost".as_slice())]);
    let request = server::Request { method: "GET", version: (1, 1), headers };
    assert_eq!(server::judge(request).unwrap().accept_key, accept_key(KEY.as_bytes()));
}
