//! The query of an Engine.IO request.

use alloc::{
    borrow::Cow,
    string::{String, ToString as _},
    vec::Vec,
};

use crate::{Refusal, Revision};

/// What Engine.IO reads from a request's query string.
///
/// Of a key that occurs twice the last one counts, as in Node. An empty `sid` is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query<'a> {
    /// `EIO`: the protocol's revision. Anything but `4` means 3 to the official server.
    pub eio: Option<Cow<'a, str>>,
    /// `transport`.
    pub transport: Option<Cow<'a, str>>,
    /// `sid`: the session that the request belongs to. None asks for a new session.
    pub sid: Option<Cow<'a, str>>,
    /// `b64`: the client cannot take binary; send it as base64. True for any value but the empty
    /// one, even `0`, as in Node.
    pub b64: bool,
    /// `t`: any text that keeps caches away.
    pub t: Option<Cow<'a, str>>,
    /// `j`: the client polls by scripts, and this is the number of the function that they call. See
    /// [`jsonp`](crate::jsonp).
    pub j: Option<Cow<'a, str>>,
}

impl<'a> Query<'a> {
    /// Reads the part of a URL that stands between `?` and `#`. Every text is a query; unknown keys
    /// are ignored.
    #[must_use]
    pub fn parse(raw: &'a str) -> Self {
        let mut query = Self::default();
        for (key, value) in pairs(raw) {
            match &*key {
                "EIO" => query.eio = Some(value),
                "transport" => query.transport = Some(value),
                "sid" => query.sid = Some(value),
                "b64" => query.b64 = !value.is_empty(),
                "t" => query.t = Some(value),
                "j" => query.j = Some(value),
                _ => {}
            }
        }
        query.sid = query.sid.filter(|sid| !sid.is_empty());
        query
    }

    /// The revision that the official server takes this for: 4, or 3 for all else.
    #[must_use]
    pub fn revision(&self) -> Revision {
        if self.eio.as_deref() == Some("4") { Revision::V4 } else { Revision::V3 }
    }

    /// Refuses revision 3, unless it is allowed (`allowEIO3` in Node). A server checks this last, once
    /// the request was allowed.
    ///
    /// # Errors
    ///
    /// [`Refusal::UnsupportedRevision`].
    pub fn check_revision(&self, allow_v3: bool) -> Result<(), Refusal> {
        match self.revision() {
            Revision::V3 if !allow_v3 => Err(Refusal::UnsupportedRevision),
            _ => Ok(()),
        }
    }
}

/// The keys and values of a query string, in order and decoded as the URL standard has it for
/// `application/x-www-form-urlencoded`: `+` is a space, `%xx` a byte, a `%` without two hexadecimal
/// digits stands for itself, and what is not UTF-8 becomes U+FFFD.
pub fn pairs(raw: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    raw.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    })
}

fn decode(raw: &str) -> Cow<'_, str> {
    if !raw.bytes().any(|b| matches!(b, b'%' | b'+')) {
        return Cow::Borrowed(raw);
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => match (tail.first().and_then(hex), tail.get(1).and_then(hex)) {
                (Some(high), Some(low)) => {
                    rest = &tail[2..];
                    (high << 4) | low
                }
                _ => b'%',
            },
            other => *other,
        });
    }
    Cow::Owned(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).to_string(),
    })
}

fn hex(digit: &u8) -> Option<u8> {
    char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_a_handshake() {
        let query = Query::parse("token=x&EIO=4&transport=websocket&t=z9wosm5g");
        assert_eq!(query.eio.as_deref(), Some("4"));
        assert_eq!(query.transport.as_deref(), Some("websocket"));
        assert_eq!(query.t.as_deref(), Some("z9wosm5g"));
        assert_eq!(query.sid, None);
        assert!(!query.b64);
        assert_eq!(query.check_revision(false), Ok(()));
        assert_eq!(query.j, None);
    }

    #[test]
    fn the_last_duplicate_wins() {
        let query = Query::parse("EIO=3&transport=polling&sid=a&EIO=4&transport=websocket&sid=");
        assert_eq!(query.eio.as_deref(), Some("4"));
        assert_eq!(query.transport.as_deref(), Some("websocket"));
        assert_eq!(query.sid, None, "an empty sid is none");
    }

    #[test]
    fn decodes() {
        let query = Query::parse("%45IO=%34&transport=web%73ocket&sid=a+b%2Bc%zz%&t=%ff%e2%82%ac");
        assert_eq!(query.eio.as_deref(), Some("4"));
        assert_eq!(query.transport.as_deref(), Some("websocket"));
        assert_eq!(query.sid.as_deref(), Some("a b+c%zz%"));
        assert_eq!(query.t.as_deref(), Some("\u{fffd}€"));
    }

    #[test]
    fn b64_is_true_like_a_javascript_string() {
        assert!(Query::parse("b64=1").b64);
        assert!(Query::parse("b64=0").b64);
        assert!(!Query::parse("b64=").b64);
        assert!(!Query::parse("b64").b64);
    }

    #[test]
    fn any_revision_but_4_is_3() {
        for raw in ["", "EIO", "EIO=3", "EIO=5", "EIO=04", "EIO=4 ", "eio=4"] {
            let query = Query::parse(raw);
            assert_eq!(query.revision(), Revision::V3);
            assert_eq!(query.check_revision(false), Err(Refusal::UnsupportedRevision));
            assert_eq!(query.check_revision(true), Ok(()));
        }
    }

    proptest! {
        #[test]
        fn every_text_is_a_query(raw in ".*") {
            let _ = Query::parse(&raw);
        }

        #[test]
        fn escapes_come_back(value in ".*") {
            use std::fmt::Write as _;
            let mut raw = String::from("t=");
            value.bytes().for_each(|b| write!(raw, "%{b:02x}").unwrap());
            let query = Query::parse(&raw);
            prop_assert_eq!(query.t.as_deref(), Some(&*value));
        }
    }
}
