//! The server's judgement of a request: it never panics, the order and the case of the headers mean
//! nothing to it, and what it accepts shows all that RFC 6455 §4.2.1 demands.
//!
//! ```text
//! GET 1 1\n            the method, and HTTP's version in two decimal numbers
//! Name: value\n ..     the headers
//! ```

use sockeye_websocket::handshake::{
    accept_key,
    server::{Accept, Refusal, Request, judge},
};

use crate::handshake::{Line, lines, otherwise, parse};

/// See the [module](self).
pub fn run(input: &[u8]) {
    let (words, headers) = parse(input);
    let method = words.first().copied().unwrap_or_default();
    let number = |at: usize| words.get(at).and_then(|word| word.parse().ok()).unwrap_or(0);
    let version = (number(1), number(2));

    let judged = judge(Request { method, version, headers: headers.iter().copied() });
    let other = otherwise(&headers);
    let again = judge(Request { method, version, headers: lines(&other) });
    // Of several values of one header the last may be looked at first, so only what is told of them
    // may differ.
    assert_eq!(judged.is_ok(), again.is_ok(), "{judged:?} became {again:?}");

    match judged {
        Ok(accept) => check_accepted(method, version, &headers, accept),
        Err(refusal) => check_refused(refusal),
    }
}

fn check_accepted(method: &str, version: (u8, u8), headers: &[Line<'_>], accept: Accept) {
    assert!(method == "GET" && version >= (1, 1));
    let values = |name: &str| -> Vec<&[u8]> {
        let named = headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.trim_ascii()).collect()
    };
    let lists = |name: &str, token: &str| {
        let mut all = values(name).into_iter().map(|value| value.to_ascii_lowercase());
        all.any(|value| value.windows(token.len()).any(|part| part == token.as_bytes()))
    };
    assert!(lists("upgrade", "websocket") && lists("connection", "upgrade"));
    assert_eq!(values("host").len(), 1);
    assert_eq!(values("sec-websocket-version"), [b"13"]);
    let [key] = values("sec-websocket-key")[..] else { panic!("exactly one key") };
    assert!(key.len() == 24 && key.ends_with(b"=="));
    assert_eq!(accept.accept_key, accept_key(key));
}

fn check_refused(refusal: Refusal) {
    assert!((400..600).contains(&refusal.status()));
    assert!(!refusal.to_string().is_empty());
    let header = |(name, value): &(&str, &str)| !name.is_empty() && !value.is_empty();
    assert!(refusal.headers().iter().all(header));
}
