//! `Sec-WebSocket-Extensions`, taken apart (RFC 6455 §9.1).
//!
//! ```text
//! extension-list  = 1#extension
//! extension       = token *( ";" extension-param )
//! extension-param = token [ "=" ( token | quoted-string ) ]
//! ```

use alloc::{borrow::Cow, vec::Vec};

/// One extension with its parameters, as it stands in a header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extension<'a> {
    pub(super) name: &'a [u8],
    /// What follows the name, without the semicolon in front of it.
    params: Option<&'a [u8]>,
}

/// A parameter; a quoted value is without its quotes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Param<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: Option<Cow<'a, [u8]>>,
}

/// An element of a header does not keep to the grammar.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The extensions in one header value. One that is malformed does not hide those behind it.
pub(super) fn extensions(value: &[u8]) -> impl Iterator<Item = Result<Extension<'_>, Malformed>> {
    // Empty elements of a list mean nothing (RFC 9110 §5.6.1.2).
    split(value, b',').filter(|element| !element.is_empty()).map(|element| {
        let mut parts = split(element, b';');
        let name = parts.next().filter(|name| is_token(name)).ok_or(Malformed)?;
        Ok(Extension { name, params: parts.rest })
    })
}

impl<'a> Extension<'a> {
    /// The parameters in their order.
    pub(super) fn params(&self) -> impl Iterator<Item = Result<Param<'a>, Malformed>> + use<'a> {
        Split { rest: self.params, at: b';' }.map(|param| {
            let mut parts = split(param, b'=');
            let name = parts.next().filter(|name| is_token(name)).ok_or(Malformed)?;
            let value = match parts.rest {
                None => None,
                Some(value) => Some(unquote(value.trim_ascii()).ok_or(Malformed)?),
            };
            Ok(Param { name, value })
        })
    }
}

/// The value of a parameter, which has to be a token also where it is quoted.
fn unquote(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let token = match value {
        [b'"', quoted @ .., b'"'] => {
            let mut token = Vec::with_capacity(quoted.len());
            let mut bytes = quoted.iter();
            while let Some(&byte) = bytes.next() {
                match byte {
                    b'\\' => token.push(*bytes.next()?),
                    b'"' => return None,
                    _ => token.push(byte),
                }
            }
            Cow::Owned(token)
        }
        token => Cow::Borrowed(token),
    };
    is_token(&token).then_some(token)
}

/// RFC 9110 §5.6.2.
fn is_token(bytes: &[u8]) -> bool {
    let is_tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_tchar)
}

fn split(bytes: &[u8], at: u8) -> Split<'_> {
    Split { rest: Some(bytes), at }
}

/// The pieces between separators that are not quoted, without the white space around them.
struct Split<'a> {
    rest: Option<&'a [u8]>,
    at: u8,
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let bytes = self.rest.take()?;
        let (mut quoted, mut escaped) = (false, false);
        let end = bytes.iter().position(|&byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ => return byte == self.at && !quoted,
            }
            false
        });
        let Some(end) = end else { return Some(bytes.trim_ascii()) };
        self.rest = Some(&bytes[end + 1..]);
        Some(bytes[..end].trim_ascii())
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String, vec};

    use super::*;

    /// The header as a list in one notation: names and values apart, malformed ones as `!`.
    fn shown(value: &str) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        extensions(value.as_bytes())
            .map(|extension| match extension {
                Err(Malformed) => "!".into(),
                Ok(extension) => {
                    extension.params().fold(text(extension.name), |shown, param| match param {
                        Err(Malformed) => format!("{shown} !"),
                        Ok(Param { name, value: None }) => format!("{shown} {}", text(name)),
                        Ok(Param { name, value: Some(value) }) => {
                            format!("{shown} {}:{}", text(name), text(&value))
                        }
                    })
                }
            })
            .collect()
    }

    #[test]
    fn headers_are_taken_apart() {
        for (value, expected) in [
            ("", vec![]),
            (" , ,", vec![]),
            ("a", vec!["a"]),
            ("a, b;c ;d=1; e = \"2\" ,f", vec!["a", "b c d:1 e:2", "f"]),
            ("a;b=\"1\\0\"", vec!["a b:10"]),
            // What is quoted separates nothing, and is no token.
            ("a;b=\"1,2;3\";c, d", vec!["a ! c", "d"]),
            ("a;b=\"\\\",\", d", vec!["a !", "d"]),
            // Malformed elements do not hide others.
            ("a b, c", vec!["!", "c"]),
            (";a, =1, c", vec!["!", "!", "c"]),
            ("a;, b;=1, c;d=, e;f=1=2", vec!["a !", "b !", "c !", "e !"]),
            ("a;b=\"", vec!["a !"]),
            ("a;b=\"1, c", vec!["a !"]),
            ("a;b=\"1\\\", c", vec!["a !"]),
            ("a;b=\"1\"2", vec!["a !"]),
            ("a;b=\"\"", vec!["a !"]),
        ] {
            assert_eq!(shown(value), expected, "{value}");
        }
    }
}
