//! Autobahn's cases by name: which there are, and which of them a run selects.
//!
//! The table is what the count is gated by: a runner that leaves cases out reports no failure.

use clap::ValueEnum;

/// Every section with its number of cases, which are counted from one: `("1.1", 8)` is 1.1.1 to
/// 1.1.8. From the case files that `kosoku` 0.1.0 runs.
const SECTIONS: &[(&str, usize)] = &[
    ("1.1", 8),
    ("1.2", 8),
    ("2", 11),
    ("3", 7),
    ("4.1", 5),
    ("4.2", 5),
    ("5", 20),
    ("6.1", 3),
    ("6.2", 4),
    ("6.3", 2),
    ("6.4", 4),
    ("6.5", 5),
    ("6.6", 11),
    ("6.7", 4),
    ("6.8", 2),
    ("6.9", 4),
    ("6.10", 3),
    ("6.11", 5),
    ("6.12", 8),
    ("6.13", 5),
    ("6.14", 10),
    ("6.15", 1),
    ("6.16", 3),
    ("6.17", 5),
    ("6.18", 5),
    ("6.19", 5),
    ("6.20", 7),
    ("6.21", 8),
    ("6.22", 34),
    ("6.23", 7),
    ("7.1", 6),
    ("7.3", 6),
    ("7.5", 1),
    ("7.7", 13),
    ("7.9", 9),
    ("7.13", 2),
    ("9.1", 6),
    ("9.2", 6),
    ("9.3", 9),
    ("9.4", 9),
    ("9.5", 6),
    ("9.6", 6),
    ("9.7", 6),
    ("9.8", 6),
    ("10.1", 1),
    ("12.1", 18),
    ("12.2", 18),
    ("12.3", 18),
    ("12.4", 18),
    ("12.5", 18),
    ("13.1", 18),
    ("13.2", 18),
    ("13.3", 18),
    ("13.4", 18),
    ("13.5", 18),
    ("13.6", 18),
    ("13.7", 18),
];

/// All but most of the compressed ones, of which each costs a thousand messages: of every content
/// (12.*) and window (13.*) one of 16 bytes, one of 1 KiB, and one of 8 KiB in fragments.
const QUICK: &[&str] = &[
    "1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*", "12.*.1", "12.*.4", "12.*.11",
    "13.*.1", "13.*.4", "13.*.11",
];

/// A selection of cases that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Selection {
    /// All 517: minutes, nearly all of them the compressed ones'
    Full,
    /// What continuous integration runs
    Quick,
}

impl Selection {
    /// The patterns that select it.
    pub(crate) fn patterns(self) -> Vec<String> {
        let patterns = match self {
            Self::Full => &["*"],
            Self::Quick => QUICK,
        };
        patterns.iter().map(|&pattern| pattern.to_owned()).collect()
    }
}

/// The cases that one of `patterns` names, in their order; `*` stands for anything.
pub(crate) fn selected(patterns: &[String]) -> Vec<String> {
    let all = SECTIONS
        .iter()
        .flat_map(|(section, count)| (1..=*count).map(move |case| format!("{section}.{case}")));
    all.filter(|case| patterns.iter().any(|pattern| matches(pattern, case))).collect()
}

fn matches(pattern: &str, case: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == case,
        Some((head, tail)) => case
            .strip_prefix(head)
            .is_some_and(|rest| (0..=rest.len()).any(|skipped| matches(tail, &rest[skipped..]))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(patterns: &[&str]) -> usize {
        selected(&patterns.iter().map(|&pattern| pattern.to_owned()).collect::<Vec<_>>()).len()
    }

    #[test]
    fn there_are_517_cases() {
        assert_eq!(count(&["*"]), 517);
        assert_eq!(count(&["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]), 247);
        assert_eq!((count(&["9.*"]), count(&["12.*"]), count(&["13.*"])), (54, 90, 126));
    }

    #[test]
    fn a_pattern_names_whole_cases() {
        assert_eq!(count(&["12.*.1"]), 5);
        assert_eq!(selected(&["6.4.*".into(), "2.1".into()]).len(), 5);
        assert_eq!(count(&["1", "1.1", "8.*", ""]), 0);
    }

    #[test]
    fn the_quick_selection_names_cases_with_each_pattern() {
        for pattern in QUICK {
            assert_ne!(count(&[pattern]), 0, "{pattern}");
        }
        assert_eq!(selected(&Selection::Quick.patterns()).len(), 247 + 54 + 12 * 3);
        assert_eq!(selected(&Selection::Full.patterns()).len(), 517);
    }
}
