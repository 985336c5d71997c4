//! From a server's packet to what a plain client is sent.

use alloc::{string::String, vec::Vec};

use base64::Engine as _;
use bytes::Bytes;
use serde::Deserialize;

use super::{BASE64, dollars, end_of_string, may_have_dollars};
use crate::{Body, Limits, decode, packet::JSON_SPACE};

/// What the server says itself has no limits.
pub(crate) const UNLIMITED: Limits = Limits {
    max_attachments: u32::MAX,
    max_attachment_bytes: usize::MAX,
    attachment_timeout: u64::MAX,
    max_namespaces: usize::MAX,
    max_namespace_bytes: usize::MAX,
    connect_timeout: u64::MAX,
};

/// Appends a packet of the server's as a plain client gets it: the text without Engine.IO's type, and the
/// attachments. Nothing for a DISCONNECT, which over a plain connection is a close frame, nor for what is
/// no packet of a server.
pub fn encode(out: &mut Vec<u8>, packet: &str, attachments: &[Bytes]) {
    #[derive(Deserialize)]
    struct Yes {
        sid: String,
    }
    let Ok(packet) = decode(packet, &UNLIMITED) else { return };
    match packet.body {
        Body::Connect(yes) => {
            let yes = yes.and_then(|yes| serde_json::from_str::<Yes>(yes).ok());
            let Some(Yes { sid }) = yes else { return };
            out.extend_from_slice(b"{\"connected\":{\"id\":");
            text(out, &sid);
            out.extend_from_slice(b"}}");
        }
        Body::ConnectError(no) => {
            out.extend_from_slice(b"{\"error\":");
            match no {
                Some(no) if no.starts_with('{') => out.extend_from_slice(no.as_bytes()),
                no => {
                    out.extend_from_slice(b"{\"message\":");
                    out.extend_from_slice(no.unwrap_or("\"\"").as_bytes());
                    out.push(b'}');
                }
            }
            out.push(b'}');
        }
        Body::Disconnect | Body::Event { name: None, .. } => {}
        Body::Event { name: Some(name), args: json } => {
            out.extend_from_slice(b"{\"event\":");
            text(out, &name);
            args(out, json, attachments);
            if let Some(id) = packet.ack {
                out.extend_from_slice(b",\"id\":");
                number(out, id);
            }
            out.push(b'}');
        }
        Body::Ack { args: json } => {
            let Some(id) = packet.ack else { return };
            out.extend_from_slice(b"{\"ack\":");
            number(out, id);
            args(out, json, attachments);
            out.push(b'}');
        }
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    let written = serde_json::to_writer(out, text);
    debug_assert!(written.is_ok(), "text can always be written as JSON");
}

fn number(out: &mut Vec<u8>, number: u64) {
    let written = serde_json::to_writer(out, &number);
    debug_assert!(written.is_ok(), "a number can always be written as JSON");
}

fn args(out: &mut Vec<u8>, json: &str, attachments: &[Bytes]) {
    out.extend_from_slice(b",\"args\":[");
    if attachments.is_empty() && !may_have_dollars(json) {
        out.extend_from_slice(json.as_bytes());
    } else {
        escape(out, json, attachments);
    }
    out.push(b']');
}

/// Copies JSON, with binary in the place of placeholders, and one `$` more in the keys that would else
/// mean binary.
///
/// The encoders number placeholders in the order in which they stand, so an attachment is copied once,
/// whatever else in the JSON looks like a placeholder.
fn escape(out: &mut Vec<u8>, mut json: &str, attachments: &[Bytes]) {
    let mut attachments = attachments.iter();
    let mut num = 0;
    while let Some(at) = json.bytes().position(|byte| matches!(byte, b'"' | b'{')) {
        out.extend_from_slice(&json.as_bytes()[..at]);
        json = &json[at..];
        if json.starts_with('{') {
            let behind = behind_placeholder(json, num);
            if let Some((behind, attachment)) = behind.and_then(|b| Some((b, attachments.next()?)))
            {
                binary(out, attachment);
                num += 1;
                json = behind;
            } else {
                out.push(b'{');
                json = &json[1..];
            }
        } else {
            let (string, behind) = json.split_at(end_of_string(json));
            let is_key = behind.trim_start_matches(JSON_SPACE).starts_with(':');
            if is_key && dollars(string) > 0 {
                out.extend_from_slice(b"\"$");
                out.extend_from_slice(&string.as_bytes()[1..]);
            } else {
                out.extend_from_slice(string.as_bytes());
            }
            json = behind;
        }
    }
    out.extend_from_slice(json.as_bytes());
}

/// What follows the placeholder of this number, as the encoders write it, if that is how the JSON begins.
pub(crate) fn behind_placeholder(json: &str, num: usize) -> Option<&str> {
    let json = json.strip_prefix("{\"_placeholder\":true,\"num\":")?;
    // No further than the digits go: a look for the brace might go to the end, for each that nests.
    let digits = json.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, behind) = json.split_at(digits);
    let behind = behind.strip_prefix('}')?;
    (digits.parse() == Ok(num)).then_some(behind)
}

fn binary(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(b"{\"$binary\":\"");
    let start = out.len();
    // Four characters for each three bytes that are begun, padded.
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = BASE64.encode_slice(bytes, &mut out[start..]);
    debug_assert_eq!(written.ok(), Some(out.len() - start));
    out.extend_from_slice(b"\"}");
}
