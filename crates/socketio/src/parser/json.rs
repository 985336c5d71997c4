//! The form of npm's `socket.io-json-parser`.

use alloc::{string::String, vec::Vec};
use core::fmt::Write as _;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Message, Parsed, Parser};
use crate::{
    Error, Kind, Limits, Malformed,
    packet::JSON_SPACE,
    plain::{behind_placeholder, end_of_string},
    surrogates::mend,
};

/// Each packet is one JSON text, `{"type":2,"data":["hello",1],"nsp":"/"}`, as npm's
/// `socket.io-json-parser` 3 has it.
///
/// It knows no binary: what the server sends as such arrives as Node's JSON of a `Buffer`,
/// `{"type":"Buffer","data":[1,2]}`.
#[derive(Clone, Copy, Debug, Default)]
#[doc(alias = "socket.io-json-parser")]
pub struct JsonParser;

impl Parser for JsonParser {
    fn encode(&self, packet: &Parsed) -> Vec<Message> {
        let digit = char::from(packet.kind.as_byte());
        let mut out = String::with_capacity(packet.data.len() + packet.namespace.len() + 48);
        out.push('{');
        // In the order in which Node's server makes its packets.
        if let (Kind::Ack, Some(id)) = (packet.kind, packet.ack) {
            let _ = write!(out, "\"id\":{id},");
        }
        let _ = write!(out, "\"type\":{digit}");
        if !packet.data.is_empty() {
            out.push_str(",\"data\":");
            buffers(&mut out, packet);
        }
        if let (Kind::Event, Some(id)) = (packet.kind, packet.ack) {
            let _ = write!(out, ",\"id\":{id}");
        }
        out.push_str(",\"nsp\":");
        out.push_str(&serde_json::to_string(&packet.namespace).unwrap_or_default());
        out.push('}');
        Vec::from([Message::Text(out)])
    }

    fn decode(&self, message: Message, _: &Limits) -> Result<Parsed, Error> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(rename = "type", borrow)]
            kind: Option<&'a RawValue>,
            #[serde(borrow)]
            nsp: Option<&'a RawValue>,
            #[serde(borrow)]
            data: Option<&'a RawValue>,
            #[serde(borrow)]
            id: Option<&'a RawValue>,
        }
        let Message::Text(text) = message else { return Err(Malformed::Form.into()) };
        let text = mend(&text);
        // An array of the fields is no packet, though Serde takes it for one.
        if !text.trim_start_matches(JSON_SPACE).starts_with('{') {
            return Err(Malformed::Syntax.into());
        }
        let fields: Fields<'_> = serde_json::from_str(&text).map_err(|_| Malformed::Syntax)?;
        let kind = match fields.kind.map(RawValue::get) {
            Some("0") => Kind::Connect,
            Some("1") => Kind::Disconnect,
            Some("2") => Kind::Event,
            Some("3") => Kind::Ack,
            Some("4") => Kind::ConnectError,
            _ => return Err(Malformed::Type.into()),
        };
        let namespace = fields.nsp.ok_or(Malformed::Namespace)?;
        let namespace = serde_json::from_str(namespace.get()).map_err(|_| Malformed::Namespace)?;
        let ack = fields.id.map(|id| id.get().parse().map_err(|_| Malformed::AckId)).transpose()?;
        let data = fields.data.map_or_else(String::new, |data| data.get().into());
        if matches!(kind, Kind::Event | Kind::Ack) && data.is_empty() {
            return Err(Malformed::Payload.into());
        }
        Ok(Parsed { kind, namespace, ack, data, attachments: Vec::new() })
    }

    /// Whether it is text that begins an object, which no packet of the default parser does.
    fn recognizes(&self, first: &Message) -> bool {
        matches!(first, Message::Text(text) if text.starts_with('{'))
    }
}

/// Copies the packet's data, with the JSON of buffers in the place of placeholders.
fn buffers(out: &mut String, packet: &Parsed) {
    let mut json = packet.data.as_str();
    for (num, attachment) in packet.attachments.iter().enumerate() {
        while let Some(at) = json.find(['"', '{']) {
            out.push_str(&json[..at]);
            json = &json[at..];
            if let Some(behind) = behind_placeholder(json, num) {
                json = behind;
                out.push_str("{\"type\":\"Buffer\",\"data\":[");
                for (at, byte) in attachment.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    let _ = write!(out, "{comma}{byte}");
                }
                out.push_str("]}");
                break;
            }
            let copied = if json.starts_with('"') { end_of_string(json) } else { 1 };
            out.push_str(&json[..copied]);
            json = &json[copied..];
        }
    }
    out.push_str(json);
}
