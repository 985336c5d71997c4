//! The words that clients send: each type is a proof that its rule is kept.
//!
//! Two kinds of broken rules are told apart. Identifiers that the page makes itself ([`Key`],
//! [`Mid`]) make the whole request a bad one. What people type may be wrong without being a fault of
//! the page: it is read as `Option` (see [`typed`]), and `None` gets an answer of its own. Either
//! way, nothing oversized is kept while a request waits.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Reads a word that somebody typed: a string is needed, `None` is one that breaks the rule.
pub(super) fn typed<'de, D: Deserializer<'de>, W: Word>(from: D) -> Result<Option<W>, D::Error> {
    String::deserialize(from).map(|text| W::parse(&text))
}

/// Reads a word that the page made: anything that breaks the rule is an error.
pub(super) fn made<'de, D: Deserializer<'de>, W: Word>(from: D) -> Result<W, D::Error> {
    typed(from)?.ok_or_else(|| serde::de::Error::custom("not as the protocol says"))
}

/// Something with a rule.
pub(super) trait Word: Sized {
    /// `None` if the text breaks the rule.
    fn parse(text: &str) -> Option<Self>;
}

/// A person's name: trimmed, 1 to 32 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    shown: Arc<str>,
    folded: Arc<str>,
}

impl Name {
    /// The name in lower case: two names with the same are one.
    pub(super) fn folded(&self) -> &Arc<str> {
        &self.folded
    }
}

impl Word for Name {
    fn parse(text: &str) -> Option<Self> {
        let shown = trim(text);
        let fits = has_chars(shown, 32) && !shown.contains(char::is_control);
        fits.then(|| Self { shown: shown.into(), folded: shown.to_lowercase().into() })
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown)
    }
}

/// What makes a page known to be the same one after a reconnection. It is secret, hence not
/// `Serialize`, and not shown in a log.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key(Box<str>);

impl Word for Key {
    fn parse(text: &str) -> Option<Self> {
        ((16..=64).contains(&text.len()) && text.bytes().all(is_id)).then(|| Self(text.into()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// A message's id, made by its author's page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Mid(Arc<str>);

impl Word for Mid {
    fn parse(text: &str) -> Option<Self> {
        ((1..=32).contains(&text.len()) && text.bytes().all(is_id)).then(|| Self(text.into()))
    }
}

/// A room's name: 1 to 24 lower-case letters, digits and hyphens, no hyphen first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct RoomName(Arc<str>);

impl RoomName {
    /// The room that always exists.
    pub(super) fn lobby() -> Self {
        Self("lobby".into())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Word for RoomName {
    fn parse(text: &str) -> Option<Self> {
        let fits = (1..=24).contains(&text.len())
            && !text.starts_with('-')
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        fits.then(|| Self(text.into()))
    }
}

/// What a message says: trimmed, 1 to 2000 characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Text(Arc<str>);

impl Word for Text {
    fn parse(text: &str) -> Option<Self> {
        let text = trim(text);
        has_chars(text, 2000).then(|| Self(text.into()))
    }
}

fn is_id(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// Whether there are 1 to `max` characters. Does not count beyond that.
fn has_chars(text: &str, max: usize) -> bool {
    !text.is_empty() && text.chars().nth(max).is_none()
}

/// Trims as JavaScript's `trim` does, so that page and server agree: unlike Rust's, it takes away
/// U+FEFF, and leaves U+0085 (ECMA-262 §12.2, §12.3).
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c == '\u{FEFF}' || (c.is_whitespace() && c != '\u{85}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_name(text: &str) -> bool {
        Name::parse(text).is_some()
    }

    #[test]
    fn a_name_is_trimmed_and_counted_in_characters() {
        let name = Name::parse(" \u{FEFF}Änn\u{A0}\n").unwrap();
        assert_eq!((&*name.shown, &**name.folded()), ("Änn", "änn"));
        assert!(is_name(&"😀".repeat(32)));
        assert!(!is_name(&"x".repeat(33)));
        assert!(!is_name(" \t "));
        assert!(!is_name(""));
    }

    #[test]
    fn a_name_has_no_control_character() {
        assert!(!is_name("a\nb"));
        assert!(!is_name("a\u{7F}"));
        assert!(!is_name("\u{85}a"), "JavaScript does not trim NEL");
        assert!(is_name("a\u{200D}b"), "a format character is no control character");
    }

    #[test]
    fn keys_and_mids() {
        let is_key = |text: &str| Key::parse(text).is_some();
        assert!(is_key("abcdefghIJKLM_-9"));
        assert!(is_key(&"x".repeat(64)));
        assert!(!is_key(&"x".repeat(15)));
        assert!(!is_key(&"x".repeat(65)));
        assert!(!is_key("abcdefghijklmno "));
        let is_mid = |text: &str| Mid::parse(text).is_some();
        assert!(is_mid("-") && is_mid(&"_".repeat(32)));
        assert!(!is_mid("") && !is_mid(&"x".repeat(33)) && !is_mid("é"));
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?}", Key::parse("abcdefghijklmnop").unwrap()), "Key(..)");
    }

    #[test]
    fn rooms() {
        let is_room = |text: &str| RoomName::parse(text).is_some();
        assert!(is_room("a") && is_room("0-") && is_room(&"z".repeat(24)));
        assert!(!is_room("") && !is_room("-a") && !is_room("A") && !is_room("a b"));
        assert!(!is_room(&"z".repeat(25)) && !is_room("#people") && !is_room("a\n"));
        assert_eq!(RoomName::parse("lobby"), Some(RoomName::lobby()));
    }

    #[test]
    fn texts() {
        let is_text = |text: &str| Text::parse(text).is_some();
        assert_eq!(Text::parse(" a\nb\n"), Some(Text("a\nb".into())));
        assert!(is_text(&"😀".repeat(2000)) && is_text(&format!("  {}  ", "x".repeat(2000))));
        assert!(!is_text(&"x".repeat(2001)) && !is_text("\n"));
    }
}
