//! A socket, as the page expects it.

use std::hash::{BuildHasher, RandomState};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::socket::Socket;

/// Headers that whoever has read them can come with as if they were the client.
const SECRETS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// Everything that the page shows of a socket.
pub(super) fn socket(socket: &Socket, clients: &RandomState) -> Value {
    let mut handshake = serde_json::to_value(socket.handshake_record()).unwrap_or_default();
    if let Some(handshake) = handshake.as_object_mut() {
        let proxied = ["cf-connecting-ip", "x-forwarded-for"];
        if let Some(named) = proxied.into_iter().find_map(|name| socket.handshake().header(name)) {
            handshake.insert("address".to_owned(), named.into());
        }
        // What clients prove themselves by is nobody's to look at.
        handshake.remove("auth");
        if let Some(headers) = handshake.get_mut("headers").and_then(Value::as_object_mut) {
            headers.retain(|name, _| !SECRETS.contains(&&**name));
        }
    }
    json!({
        "id": socket.id(),
        "clientId": client_id(socket, clients),
        "transport": socket.transport().as_str(),
        "nsp": socket.namespace(),
        "data": data(socket),
        "handshake": handshake,
        "rooms": socket.rooms(),
    })
}

/// What the page shows as the socket's data: an object.
pub(super) fn data(socket: &Socket) -> Value {
    socket.data::<Value>().filter(Value::is_object).unwrap_or_else(|| json!({}))
}

/// What the sockets of one client have in common. Not the session's id, which is a secret, but what it
/// becomes by a hash whose key nobody knows.
fn client_id(socket: &Socket, clients: &RandomState) -> String {
    let sid = socket.inner.link.session.sid();
    let (first, second) = (clients.hash_one(sid), clients.hash_one((sid, "more")));
    let mut bytes = [0; 9];
    bytes[..8].copy_from_slice(&first.to_be_bytes());
    bytes[8] = second as u8;
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
