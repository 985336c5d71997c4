//! The client's judgement of a response: it never panics, the order and the case of the headers mean
//! nothing to it, what it accepts answers what was asked for, and it accepts what our own server
//! answers.
//!
//! ```text
//! u8                bit 0 offers subprotocols, 1 an extension
//! HTTP/1.1 101\n    anything, and the status
//! Name: value\n ..  the headers
//! ```

use sockeye_websocket::handshake::{
    accept_key,
    client::{Accepted, Refusal, Request, Response, judge, key},
    server,
};

use crate::{
    Choices,
    handshake::{Line, lines, otherwise, parse},
};

const SUBPROTOCOLS: &[&str] = &["chat", "superchat", "Chat"];

/// See the [module](self).
pub fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let flags = choices.byte();
    let rest = choices.rest();
    let (words, headers) = parse(rest);
    let status = words.get(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    // RFC 6455 §1.3, so that a corpus can hold the answer to it.
    let key = key(*b"the sample nonce");
    let request = Request {
        key: &key,
        subprotocols: if flags & 1 == 0 { &[] } else { SUBPROTOCOLS },
        extensions: (flags & 2 != 0).then_some("permessage-deflate"),
    };

    let judged = judge(&request, Response { status, headers: headers.iter().copied() });
    let other = otherwise(&headers);
    let again = judge(&request, Response { status, headers: lines(&other) });
    assert_eq!(judged.is_ok(), again.is_ok(), "{judged:?} became {again:?}");
    match &judged {
        Ok(accepted) => check_accepted(&request, status, &headers, accepted),
        Err(refusal) => check_refused(refusal),
    }
    check_both(&request, rest);
}

fn check_accepted(
    request: &Request<'_, &str>,
    status: u16,
    headers: &[Line<'_>],
    accepted: &Accepted<'_>,
) {
    assert_eq!(status, 101);
    let values = |name: &str| -> Vec<&[u8]> {
        let named = headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.trim_ascii()).collect()
    };
    let expected = accept_key(request.key.as_bytes());
    assert_eq!(values("sec-websocket-accept"), [expected.as_bytes()]);
    assert!(!values("upgrade").is_empty() && !values("connection").is_empty());
    let chosen = accepted.subprotocol.map(str::as_bytes);
    assert_eq!(chosen.as_slice(), values("sec-websocket-protocol"));
    assert!(accepted.subprotocol.is_none_or(|chosen| request.subprotocols.contains(&chosen)));
    assert!(accepted.extensions.is_empty() || request.extensions.is_some());
}

fn check_refused(refusal: &Refusal) {
    // A sentence, whatever the server has sent: a value is quoted up to 100 characters, each of
    // which may be shown by an escape.
    let sentence = refusal.to_string();
    assert!(!sentence.is_empty() && sentence.len() < 2_000, "{} bytes", sentence.len());
    assert!(!sentence.contains(['\n', '\r', '\0']), "nothing forges a line of somebody's log");
}

/// What our client asks with this nonce, our server accepts, and our client accepts the answer.
fn check_both(request: &Request<'_, &str>, bytes: &[u8]) {
    let mut nonce = [0; 16];
    let len = bytes.len().min(16);
    nonce[..len].copy_from_slice(&bytes[..len]);
    let key = key(nonce);
    let request = Request { key: &key, ..*request };
    let mut asked: Vec<(&str, String)> = request.headers().collect();
    asked.push(("host", "localhost".to_owned()));
    let headers = asked.iter().map(|(name, value)| (*name, value.as_bytes()));
    let accept = server::judge(server::Request { method: "GET", version: (1, 1), headers });
    let accept = accept.expect("what our client asks for, our server accepts");
    let headers = [
        ("upgrade", &b"websocket"[..]),
        ("connection", b"Upgrade"),
        ("sec-websocket-accept", accept.accept_key.as_bytes()),
    ];
    let answer = judge(&request, Response { status: 101, headers });
    assert_eq!(answer, Ok(Accepted { subprotocol: None, extensions: vec![] }));
}
