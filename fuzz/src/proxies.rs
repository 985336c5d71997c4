//! What proxies say about a client, by the PROXY protocol or in a header: nothing makes it panic, and
//! no client can invent an address for itself.
//!
//! `sockeye-net` is tokio, hyper and sockets; these two of its files are neither, so they are
//! compiled for themselves.
//!
//! ```text
//! u8    0 a PROXY header's line, 1 its binary form, 2 Forwarded, 3 X-Forwarded-For
//! ..    the line; or command, family and addresses; or what a client puts before what the proxies
//!       say (its length first), and a header's lines
//! ```

#[expect(unreachable_pub, reason = "what a crate offers to others is more than is used")]
#[allow(dead_code, reason = "what is not about addresses has no target")]
#[path = "../../crates/net/src/forwarded.rs"]
mod forwarded;
#[path = "../../crates/net/src/proxy/header.rs"]
mod header;

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue};

use self::forwarded::{ForwardedBy, TrustedProxies};
use crate::Choices;

const TRUSTED: [&str; 3] = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"];

/// See the [module](self).
pub fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    match choices.byte() % 4 {
        0 => line(choices.rest()),
        1 => {
            let (command, family) = (choices.byte(), choices.byte());
            let addresses = choices.rest();
            binary(command, family, &addresses[..addresses.len().min(36)]);
        }
        2 => headers(choices, ForwardedBy::Forwarded, "forwarded"),
        _ => headers(choices, ForwardedBy::XForwardedFor, "x-forwarded-for"),
    }
}

fn line(line: &[u8]) {
    let Ok(Some(client)) = header::parse_text(line) else { return };
    assert!(line.ends_with(b"\r\n"));
    let (family, ip, port) =
        (if client.is_ipv4() { "TCP4" } else { "TCP6" }, client.ip(), client.port());
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    assert_eq!((words.len(), words[4]), (6, port.to_string().as_bytes()), "one way to write it");
    let again = format!("PROXY {family} {ip} {ip} {port} 0\r\n");
    assert_eq!(header::parse_text(again.as_bytes()), Ok(Some(client)));
}

fn binary(command: u8, family: u8, addresses: &[u8]) {
    let Ok(Some(client)) = header::parse_binary(command, family, addresses) else { return };
    assert_eq!(command, 0x21, "only a PROXY command has an address");
    let (ip, port) = match client {
        SocketAddr::V4(client) => (client.ip().octets().to_vec(), 8),
        SocketAddr::V6(client) => (client.ip().octets().to_vec(), 32),
    };
    assert!(addresses.starts_with(&ip));
    assert_eq!(addresses[port..port + 2], client.port().to_be_bytes());
}

fn headers(mut choices: Choices<'_>, by: ForwardedBy, name: &'static str) {
    let trusted = TrustedProxies::new(TRUSTED, by).expect("they are networks");
    let invented = choices.short();
    let lines: Vec<&[u8]> = choices.rest().split(|&byte| byte == b'\n').collect();
    let map = |lines: &[&[u8]]| {
        let values = lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok());
        values.map(|value| (HeaderName::from_static(name), value)).collect::<HeaderMap>()
    };
    let proxy: SocketAddr = "127.0.0.1:80".parse().expect("an address");
    let stranger: SocketAddr = "203.0.113.1:80".parse().expect("an address");
    let headers = map(&lines);
    assert_eq!(trusted.client_address(stranger, &headers), stranger);

    let client = trusted.client_address(proxy, &headers);
    if trusted.trusts(client.ip()) {
        return;
    }
    // A client that no proxy of ours is: what it has put in front of that is not looked at, in a line
    // of its own or in the same.
    let before = map(&[&[invented], &lines[..]].concat());
    assert_eq!(trusted.client_address(proxy, &before), client);
    let mut first = [invented, b","].concat();
    first.extend_from_slice(lines[0]);
    if HeaderValue::from_bytes(&first).is_ok() {
        let before = map(&[&[&first[..]], &lines[1..]].concat());
        assert_eq!(trusted.client_address(proxy, &before), client);
    }
}
