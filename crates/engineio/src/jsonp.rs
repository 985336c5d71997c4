//! Polling by scripts (JSONP), for browsers that let no page ask another origin in any other way.
//!
//! The client puts a number `j` into the query. An answer to a GET then is a script that calls
//! `___eio[j]` with the payload as a string; a POST is a form whose field `d` is the payload, in which
//! newlines, which browsers change in forms, are escaped. Payloads are those of the session's revision,
//! with binary as base64.

use alloc::{
    string::{String, ToString as _},
    vec::Vec,
};

use crate::pairs;

/// The script that brings a payload, which is UTF-8. Of `j` only the digits are used, as in Node: it
/// must not bring code along.
#[must_use]
pub fn script(j: &str, payload: &[u8]) -> Vec<u8> {
    let mut script = Vec::with_capacity(payload.len() + payload.len() / 4 + 16);
    script.extend_from_slice(b"___eio[");
    script.extend(j.bytes().filter(u8::is_ascii_digit));
    script.extend_from_slice(b"](\"");
    let mut rest = payload;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'"' => script.extend_from_slice(b"\\\""),
            b'\\' => script.extend_from_slice(b"\\\\"),
            b'\n' => script.extend_from_slice(b"\\n"),
            b'\r' => script.extend_from_slice(b"\\r"),
            b'\t' => script.extend_from_slice(b"\\t"),
            0x08 => script.extend_from_slice(b"\\b"),
            0x0c => script.extend_from_slice(b"\\f"),
            0..0x20 => {
                script.extend_from_slice(b"\\u00");
                script.extend([first >> 4, first & 15].map(|digit| HEX[usize::from(digit)]));
            }
            // U+2028 and U+2029 end a line in JavaScript, though not in JSON.
            0xe2 if matches!(tail, [0x80, 0xa8 | 0xa9, ..]) => {
                script.extend_from_slice(if tail[1] == 0xa8 { b"\\u2028" } else { b"\\u2029" });
                rest = &tail[2..];
            }
            other => script.push(*other),
        }
    }
    script.extend_from_slice(b"\");");
    script
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The payload in the body of a POST, `application/x-www-form-urlencoded`: its field `d`. `None` if
/// there is none, or several, which brings nothing, as in Node.
#[must_use]
pub fn payload(body: &str) -> Option<String> {
    let mut fields = pairs(body).filter(|(key, _)| key == "d");
    let (Some((_, field)), None) = (fields.next(), fields.next()) else { return None };
    Some(unescape(&field))
}

/// A backslash and `n` are a newline; two backslashes and `n` are a backslash and `n`.
fn unescape(field: &str) -> String {
    if !field.contains("\\n") {
        return field.to_string();
    }
    let mut text = String::with_capacity(field.len());
    let mut parts = field.split("\\n");
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        if text.ends_with('\\') {
            // That backslash was the first of two, and now is the one.
            text.push('n');
        } else {
            text.push('\n');
        }
        text.push_str(part);
    }
    text
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;

    fn scripted(j: &str, payload: &str) -> String {
        String::from_utf8(script(j, payload.as_bytes())).unwrap()
    }

    #[test]
    fn answers() {
        assert_eq!(scripted("7", "1:6"), "___eio[7](\"1:6\");");
        assert_eq!(scripted("", ""), "___eio[](\"\");");
        let escaped = r#"___eio[0]("\"\\\n\r\t\b\f\u0000\u001e\u001f/€😀\u2028\u2029&<>");"#;
        let text = "\"\\\n\r\t\u{8}\u{c}\0\u{1e}\u{1f}/€😀\u{2028}\u{2029}&<>";
        assert_eq!(scripted("0", text), escaped);
    }

    #[test]
    fn j_is_digits_alone() {
        for (j, digits) in
            [("1;alert(1)//2", "112"), ("x", ""), ("-1", "1"), ("٣", ""), ("1.5", "15")]
        {
            assert_eq!(scripted(j, ""), std::format!("___eio[{digits}](\"\");"));
        }
    }

    #[test]
    fn forms() {
        for (body, text) in [
            ("d=2%3A4a", Some("2:4a")),
            ("x=1&d=a+b", Some("a b")),
            ("d=", Some("")),
            ("d", Some("")),
            ("", None),
            ("x=1", None),
            ("d=1&d=2", None),
            (r"d=a\nb", Some("a\nb")),
            (r"d=a\\nb", Some(r"a\nb")),
            (r"d=a\\\nb", Some(r"a\\nb")),
            (r"d=\n\\n\n", Some("\n\\n\n")),
            (r"d=\\n\\n", Some(r"\n\n")),
            (r"d=\t\\", Some(r"\t\\")),
            ("d=%5C%5Cn%5Cn", Some("\\n\n")),
        ] {
            assert_eq!(payload(body).as_deref(), text, "{body}");
        }
    }

    proptest! {
        /// As `engine.io-client` escapes, to whom a newline behind a backslash is the same as both escaped.
        #[test]
        fn what_a_client_escapes_comes_back(text in r"[\\n\na€ ]{0,12}") {
            prop_assume!(!text.contains("\\\n"));
            let escaped = text.replace("\\n", "\\\n").replace('\n', "\\n");
            let body: String = escaped.bytes().map(|byte| std::format!("%{byte:02X}")).collect();
            prop_assert_eq!(payload(&std::format!("d={body}")), Some(text));
        }

        #[test]
        fn any_body_is_a_form(body in ".*") {
            let _ = payload(&body);
        }

        #[test]
        fn any_payload_is_one_line_of_script(text in ".*") {
            let script = scripted("1", &text);
            let ends_of_lines = ['\n', '\r', '\u{2028}', '\u{2029}'];
            prop_assert!(!script.contains(ends_of_lines));
            let inner = script.strip_prefix("___eio[1](\"").unwrap().strip_suffix("\");").unwrap();
            // Every quote is escaped.
            let bare = inner.replace("\\\\", "").replace("\\\"", "");
            prop_assert!(!bare.contains('"'));
        }
    }
}
