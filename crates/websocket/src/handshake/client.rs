//! The client's side of the opening handshake, as far as a test or a simple client needs it (RFC
//! 6455 §4.1).

use alloc::{format, string::String};

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The `Sec-WebSocket-Key` for a nonce of 16 random bytes. The server has to answer with
/// [`accept_key`](super::accept_key) of it.
#[must_use]
pub fn key(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}

/// The head of a request that opens a WebSocket: `target` is the path and query, `host` the value
/// of `Host`, `key` that of [`key`].
#[must_use]
pub fn request(target: &str, host: &str, key: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nonce_of_rfc_6455_section_1_3() {
        assert_eq!(key(*b"the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ==");
    }

    #[test]
    fn a_request_has_all_that_a_server_demands() {
        let request = request("/chat?v=1", "example.com", "k");
        assert_eq!(
            request,
            "GET /chat?v=1 HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
    }
}
