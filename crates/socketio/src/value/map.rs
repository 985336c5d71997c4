//! The entries of an object.

use alloc::{
    string::String,
    vec::{self, Vec},
};
use core::{mem, slice};

use super::Value;

/// The entries of a [`Value::Object`], in the order in which they came.
///
/// Each key is there once. If a peer sends one more often, the last value stands where the key first
/// was, as in JavaScript.
///
/// It is a list: looking a key up takes time in proportion to the number of entries. For objects that
/// serve as large tables, read a map type instead. Two maps are equal if their order is, too.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    entries: Vec<(String, Value)>,
}

impl Map {
    /// An object without entries.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.iter().find_map(|(name, value)| (name == key).then_some(value))
    }

    /// Sets the value of a key and returns the one it had. A new key comes last.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        let (key, value) = (key.into(), value.into());
        if let Some((_, old)) = self.entries.iter_mut().find(|(name, _)| *name == key) {
            return Some(mem::replace(old, value));
        }
        self.entries.push((key, value));
        None
    }

    /// Takes an entry out and returns its value. The others keep their order.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.entries.iter().position(|(name, _)| name == key)?;
        Some(self.entries.remove(at).1)
    }

    /// All entries, in order.
    pub fn iter(&self) -> slice::Iter<'_, (String, Value)> {
        self.entries.iter()
    }

    /// Entries of which several may have the same key.
    ///
    /// A peer chooses how many there are, so that each is not searched for among all others.
    pub(super) fn from_entries(mut entries: Vec<(String, Value)>) -> Self {
        let mut by_key: Vec<usize> = (0..entries.len()).collect();
        by_key.sort_by_key(|&at| entries[at].0.as_str()); // Stable: equal keys stay in order.
        let repeated: Vec<(usize, usize)> = by_key
            .windows(2)
            .filter_map(|pair| <[usize; 2]>::try_from(pair).ok())
            .filter(|&[earlier, later]| entries[earlier].0 == entries[later].0)
            .map(<(usize, usize)>::from)
            .collect();
        if !repeated.is_empty() {
            let mut kept = alloc::vec![true; entries.len()];
            // From behind, a value moves on to the first place of its key.
            for (earlier, later) in repeated.into_iter().rev() {
                entries[earlier].1 = mem::take(&mut entries[later].1);
                kept[later] = false;
            }
            let mut kept = kept.into_iter();
            entries.retain(|_| kept.next() == Some(true));
        }
        Self { entries }
    }
}

impl<'a> IntoIterator for &'a Map {
    type Item = &'a (String, Value);
    type IntoIter = slice::Iter<'a, (String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Map {
    type Item = (String, Value);
    type IntoIter = vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Map {
    /// Of several equal keys, the last value stands where the first was.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self::from_entries(entries.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
}
