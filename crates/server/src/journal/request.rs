//! What a client that wants to be recovered says in its CONNECT, beside what its program says.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use sockeye_engineio::Sid;

/// The pid and the offset that a client has of its former connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    pub(crate) pid: Sid,
    pub(crate) offset: Option<Cow<'a, str>>,
}

impl<'a> Request<'a> {
    /// Takes the request out of a client's `auth`, and leaves what the program put there; nothing, if that
    /// is all. An `auth` that has no pid in it, or has another thing by that name, is as it was.
    pub(crate) fn take(auth: &'a str) -> (Option<Self>, Option<Cow<'a, str>>) {
        let whole = || (None, Some(Cow::Borrowed(auth)));
        // Most have none.
        if !auth.contains("pid") {
            return whole();
        }
        let mut json = serde_json::Deserializer::from_str(auth);
        let Ok(entries) = json.deserialize_map(Entries) else { return whole() };
        let find = |name: &str| entries.iter().rfind(|(key, _)| key == name).map(|(_, v)| v.get());
        let Some(pid) = find("pid").and_then(text).and_then(|pid| pid.parse().ok()) else {
            return whole();
        };
        // What is no string was never an offset, and is refused as such.
        let offset = find("offset").map(|offset| text(offset).unwrap_or_default());
        let own = |(key, _): &&(Cow<'_, str>, &RawValue)| key != "pid" && key != "offset";
        let rest: Vec<_> = entries.iter().filter(own).collect();
        if rest.is_empty() {
            return (Some(Self { pid, offset }), None);
        }
        let mut auth = String::from("{");
        for (at, (key, value)) in rest.into_iter().enumerate() {
            if at > 0 {
                auth.push(',');
            }
            // Text can always be written as JSON.
            auth.push_str(&serde_json::to_string(key).unwrap_or_default());
            auth.push(':');
            auth.push_str(value.get());
        }
        auth.push('}');
        (Some(Self { pid, offset }), Some(Cow::Owned(auth)))
    }
}

/// A string, if the JSON is one.
fn text(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(json).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// An object's entries, in their order.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            entries.push((text(key.get()).unwrap_or_default(), value));
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PID: &str = "AAAAAAAAAAAAAAAAAAAA";

    fn take(auth: &str) -> (Option<(String, Option<String>)>, Option<String>) {
        let (request, rest) = Request::take(auth);
        let request =
            request.map(|request| (request.pid.to_string(), request.offset.map(Cow::into_owned)));
        (request, rest.map(Cow::into_owned))
    }

    #[test]
    fn the_request_is_taken_out_and_the_rest_stays() {
        let request = |offset: Option<&str>| Some((PID.to_owned(), offset.map(str::to_owned)));
        let cases = [
            (format!(r#"{{"pid":"{PID}"}}"#), request(None), None),
            (format!(r#"{{"pid":"{PID}","offset":"a"}}"#), request(Some("a")), None),
            (
                format!(r#"{{"offset":"a\u0062","z":[{{"pid":1}}] , "p\"":"é","pid":"{PID}"}}"#),
                request(Some("ab")),
                Some(r#"{"z":[{"pid":1}],"p\"":"é"}"#),
            ),
            (format!(r#"{{"pid":"{PID}","offset":7}}"#), request(Some("")), None),
            (
                format!(r#"{{"pid":"{PID}","offset":null,"a":1}}"#),
                request(Some("")),
                Some(r#"{"a":1}"#),
            ),
        ];
        for (auth, request, rest) in cases {
            assert_eq!(take(&auth), (request, rest.map(str::to_owned)), "{auth}");
        }
    }

    #[test]
    fn what_is_no_request_is_left_alone() {
        for auth in [
            "{}",
            r#"{"token":"pid"}"#,
            r#"{"pid":42,"offset":"a"}"#,
            r#"{"pid":"mine"}"#,
            r#"{"inner":{"pid":"AAAAAAAAAAAAAAAAAAAA"}}"#,
            r#"["pid"]"#,
        ] {
            assert_eq!(take(auth), (None, Some(auth.to_owned())));
        }
    }
}
