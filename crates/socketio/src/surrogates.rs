//! Half characters in JSON.
//!
//! JavaScript's strings are UTF-16 and may be cut in the middle of a character: `"😀".slice(0, 1)`.
//! JSON then holds half of a pair of escapes, `"\ud83d"`, which is no text to Rust, so that a whole
//! message would be lost over one cut emoji. As browsers do when they turn such a string into bytes,
//! a half becomes U+FFFD, the replacement character.

use alloc::{borrow::Cow, string::String};

/// The same JSON with `\ufffd` for each escape that is half of a pair. Nearly always that is none,
/// and nothing is copied.
pub(crate) fn mend(json: &str) -> Cow<'_, str> {
    // Half of a pair cannot stand in a `str` but as an escape.
    if !json.contains("\\u") {
        return Cow::Borrowed(json);
    }
    let mut mended = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(found) =
        json.as_bytes().get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\\'))
    {
        at += found;
        let (len, lone) = match escaped(json, at) {
            None => (2, false),
            Some(0xd800..=0xdbff) if matches!(escaped(json, at + 6), Some(0xdc00..=0xdfff)) => {
                (12, false)
            }
            Some(unit) => (6, matches!(unit, 0xd800..=0xdfff)),
        };
        if lone {
            mended.push_str(&json[copied..at]);
            mended.push_str("\\ufffd");
            copied = at + len;
        }
        at += len;
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    mended.push_str(&json[copied..]);
    Cow::Owned(mended)
}

/// The UTF-16 unit that an escape at this place stands for, if it is a `\u` escape.
fn escaped(json: &str, at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_characters_stay_as_they_are() {
        for whole in [
            "",
            r#""plain 😀""#,
            r#""\n\\\"""#,
            r#""\u20ac""#,
            r#""\ud83d\ude00""#,
            r#""\uD83D\uDE00\ud83d\ude00""#,
            r#""\\ud83d""#,
            r#""\\\\ud83d""#,
        ] {
            assert!(matches!(mend(whole), Cow::Borrowed(same) if same == whole), "{whole}");
        }
    }

    #[test]
    fn halves_are_replaced() {
        for (half, mended) in [
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""a\uDE00b""#, r#""a\ufffdb""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ude00\ud83d""#, r#""\ufffd\ufffd""#),
            (r#""\ud83d\u0041""#, r#""\ufffd\u0041""#),
            (r#""\ud83d\n""#, r#""\ufffd\n""#),
            (r#""\\\ud83d","é\ud83dé""#, r#""\\\ufffd","é\ufffdé""#),
        ] {
            assert_eq!(mend(half), mended, "{half}");
            assert!(
                serde_json::from_str::<serde_json::Value>(&alloc::format!("[{half}]")).is_err()
            );
            assert!(
                serde_json::from_str::<serde_json::Value>(&alloc::format!("[{mended}]")).is_ok()
            );
        }
    }

    #[test]
    fn what_is_no_json_does_no_harm() {
        for broken in ["\\u", "\\u12", "\\", "\\ud83d\\u", "\\u+123", "\\é", "\\uddé", "\\ud83\\"]
        {
            let _ = mend(broken);
        }
    }
}
