//! Revision 4 of the protocol, of the JavaScript clients 1.x and 2.x, which come over revision 3 of
//! Engine.IO. It is revision 5 but for joining namespaces:
//!
//! - A client is asked into `/` without a CONNECT of its own, and is told so unasked: see
//!   [`Connection::join`](crate::Connection::join).
//! - A CONNECT has no data. Its namespace may have a query instead, `/n?token=x`, which the official
//!   server takes for `auth`.
//! - The yes to it has no data either ([`connect`]), and the no, then named ERROR, is any JSON
//!   ([`connect_error`]).

use alloc::{string::String, vec::Vec};

use serde::{Serialize, Serializer as _, ser::SerializeMap as _};
use serde_json::value::RawValue;
use sockeye_engineio::pairs;

use crate::{
    EncodeError, Kind,
    encode::{head, whole},
};

/// The name of a namespace, and the query behind it.
pub(crate) fn split_query(namespace: &str) -> (&str, &str) {
    namespace.split_once('?').unwrap_or((namespace, ""))
}

/// A namespace's query as a JSON object of strings; the last one counts where there are several of one
/// name. None if it is empty.
pub(crate) fn auth(query: &str) -> Option<String> {
    let mut fields: Vec<(_, _)> = Vec::new();
    for (key, value) in pairs(query).take(MAX_FIELDS) {
        match fields.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value,
            None => fields.push((key, value)),
        }
    }
    if fields.is_empty() {
        return None;
    }
    let mut json = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut json);
    let mut map = serializer.serialize_map(Some(fields.len())).ok()?;
    fields.iter().try_for_each(|(key, value)| map.serialize_entry(key, value)).ok()?;
    map.end().ok()?;
    String::from_utf8(json).ok()
}

/// What is behind so many fields of a query is not read: each is compared with all before it.
const MAX_FIELDS: usize = 256;

/// The yes to a CONNECT, and to the client's presence in `/`: `0`.
pub fn connect(out: &mut Vec<u8>, namespace: &str) {
    head(out, Kind::Connect, namespace, None);
}

/// The no: `4` and `data`, or else the message as a JSON string. As in Node, data that JavaScript takes
/// for false is no data.
///
/// # Errors
///
/// None now; reserved.
pub fn connect_error(
    out: &mut Vec<u8>,
    namespace: &str,
    message: &str,
    data: Option<&RawValue>,
) -> Result<(), EncodeError> {
    let is_false = |data: &&RawValue| {
        matches!(data.get(), "null" | "false" | "\"\"" | "0" | "-0" | "0.0" | "-0.0")
    };
    whole(out, |out| {
        head(out, Kind::ConnectError, namespace, None);
        let mut json = serde_json::Serializer::new(out);
        match data.filter(|data| !is_false(data)) {
            Some(data) => data.serialize(&mut json)?,
            None => message.serialize(&mut json)?,
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use serde_json::value::to_raw_value;
    use std::format;

    #[test]
    fn a_query_is_an_object_of_strings() {
        for (query, object) in [
            ("", None),
            ("&", None),
            ("a", Some(r#"{"a":""}"#)),
            ("token=abc&n=1", Some(r#"{"token":"abc","n":"1"}"#)),
            ("a=1&b=2&a=3", Some(r#"{"a":"3","b":"2"}"#)),
            ("a+b=%22%E2%82%AC%5C&=x", Some(r#"{"a b":"\"€\\","":"x"}"#)),
            ("__proto__=x?y", Some(r#"{"__proto__":"x?y"}"#)),
        ] {
            assert_eq!(auth(query).as_deref(), object, "{query}");
        }
        let many: String = (0..1000).map(|i| format!("{i}=&")).collect();
        let many: serde_json::Value = serde_json::from_str(&auth(&many).unwrap()).unwrap();
        assert_eq!(many.as_object().unwrap().len(), MAX_FIELDS);
    }

    #[test]
    fn answers() {
        let mut out = Vec::from(*b"4");
        connect(&mut out, "/");
        assert_eq!(out, b"40");
        let mut out = Vec::new();
        connect(&mut out, "/n");
        assert_eq!(out, b"0/n,");
        let no = |namespace, data: Option<serde_json::Value>| {
            let data = data.map(|data| to_raw_value(&data).unwrap());
            let mut out = Vec::new();
            connect_error(&mut out, namespace, "a \"no\"", data.as_deref()).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(no("/", None), r#"4"a \"no\"""#);
        assert_eq!(no("/n", Some(serde_json::json!({"code": 42}))), r#"4/n,{"code":42}"#);
        assert_eq!(no("/n", Some(serde_json::json!([]))), "4/n,[]");
        for nothing in [serde_json::json!(null), false.into(), 0.into(), "".into()] {
            assert_eq!(no("/n", Some(nothing)), r#"4/n,"a \"no\"""#);
        }
    }
}
