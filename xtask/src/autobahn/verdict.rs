//! What came of the cases, and whether that is what must come of them.
//!
//! The runner's exit code says less: to it NON-STRICT is well, and so is a case that it never ran.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::tally::Tally;

/// Whether the program under test speaks permessage-deflate (RFC 7692). Without it the cases of
/// [`COMPRESSED`] must come back as UNIMPLEMENTED, and with it as OK.
const COMPRESSION: bool = true;

/// The sections that negotiate compression.
const COMPRESSED: &[&str] = &["12.", "13."];

/// Cases that only tell what an implementation does where RFC 6455 leaves it open: data behind a
/// close frame, and close codes that nobody may send.
const INFORMATIONAL: &[&str] = &["7.1.6", "7.13.1", "7.13.2"];

/// What came of one case, in the runner's words.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outcome {
    /// `OK`, `NON-STRICT`, `INFORMATIONAL`, `UNIMPLEMENTED` or `FAILED`.
    behavior: String,
    /// The same of how the connection ended; `WRONG CODE`, `UNCLEAN` and others besides.
    behavior_close: String,
}

/// What must come of a case.
fn expected(case: &str) -> Outcome {
    let (behavior, close) = if INFORMATIONAL.contains(&case) {
        ("INFORMATIONAL", "INFORMATIONAL")
    } else if !COMPRESSION && COMPRESSED.iter().any(|section| case.starts_with(section)) {
        ("UNIMPLEMENTED", "OK")
    } else {
        ("OK", "OK")
    };
    Outcome { behavior: behavior.into(), behavior_close: close.into() }
}

/// The cases that were wanted, with what came of them.
pub(crate) struct Verdict {
    /// In the cases' order; none where the report has nothing.
    outcomes: Vec<(String, Option<Outcome>)>,
    /// Cases in the report that nobody asked for.
    unasked: Vec<String>,
}

impl Verdict {
    /// Reads the report that the runner left in `directory`.
    ///
    /// # Errors
    ///
    /// There is none, or it is about another number of programs than one.
    pub(crate) fn read(directory: &Path, wanted: Vec<String>) -> Result<Self, String> {
        let index = directory.join("index.json");
        let text =
            fs::read_to_string(&index).map_err(|error| format!("{}: {error}", index.display()))?;
        Self::parse(&text, wanted).map_err(|error| format!("{}: {error}", index.display()))
    }

    fn parse(index: &str, wanted: Vec<String>) -> Result<Self, String> {
        let index: BTreeMap<String, BTreeMap<String, Outcome>> =
            serde_json::from_str(index).map_err(|error| error.to_string())?;
        let count = index.len();
        let mut agents = index.into_values();
        let (Some(mut cases), None) = (agents.next(), agents.next()) else {
            return Err(format!("about {count} programs instead of one"));
        };
        let outcomes: Vec<_> = wanted
            .into_iter()
            .map(|case| (cases.remove(&case), case))
            .map(|(o, c)| (c, o))
            .collect();
        Ok(Self { outcomes, unasked: cases.into_keys().collect() })
    }

    /// Counts a case as passed when it came out as it must.
    pub(crate) fn tally(&self, role: &str) -> Tally {
        let mut tally = Tally::default();
        for (case, outcome) in &self.outcomes {
            if outcome.as_ref() == Some(&expected(case)) {
                tally.passed += 1;
            } else {
                let outcome = outcome.as_ref().map_or("not run".into(), Outcome::to_string);
                tally.failures.push(format!("{role}, case {case}: {outcome}"));
            }
        }
        let unasked = self.unasked.iter();
        tally.failures.extend(unasked.map(|case| format!("{role}, case {case}: not asked for")));
        tally.failed = tally.failures.len() as u64;
        tally
    }

    /// What a reader wants to see: the counts, and every case that is not OK, neighbours of the same
    /// outcome in one line.
    pub(crate) fn table(&self) -> String {
        let mut counts = BTreeMap::<_, usize>::new();
        let mut rows: Vec<Row<'_>> = Vec::new();
        for (case, outcome) in &self.outcomes {
            let behavior = outcome.as_ref().map_or("not run", |outcome| &outcome.behavior);
            *counts.entry(behavior).or_default() += 1;
            if outcome.as_ref().is_some_and(Outcome::is_ok) && expected(case).is_ok() {
                continue;
            }
            let verdict = outcome.as_ref() == Some(&expected(case));
            match rows.last_mut() {
                Some(row) if row.is_neighbour(case, outcome.as_ref(), verdict) => {
                    row.last = case;
                    row.count += 1;
                }
                _ => {
                    let outcome = outcome.as_ref();
                    rows.push(Row { first: case, last: case, count: 1, outcome, verdict });
                }
            }
        }
        let counts: Vec<_> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
        let mut table = format!("{} cases: {}\n", self.outcomes.len(), counts.join(", "));
        for row in rows {
            table += &format!("    {row}\n");
        }
        for case in &self.unasked {
            table += &format!("    {case:22} not asked for\n");
        }
        table
    }
}

/// A line of the table.
struct Row<'a> {
    first: &'a str,
    last: &'a str,
    count: usize,
    outcome: Option<&'a Outcome>,
    /// Whether that is what must come of it.
    verdict: bool,
}

impl Row<'_> {
    fn is_neighbour(&self, case: &str, outcome: Option<&Outcome>, verdict: bool) -> bool {
        let section = |case: &str| case.rsplit_once('.').map(|(section, _)| section.to_owned());
        section(self.last) == section(case) && self.outcome == outcome && self.verdict == verdict
    }
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cases = if self.first == self.last {
            self.first.to_owned()
        } else {
            format!("{} – {} ({})", self.first, self.last, self.count)
        };
        let outcome = self.outcome.map_or("not run".into(), Outcome::to_string);
        let verdict = if self.verdict {
            "as expected".into()
        } else {
            format!("FAILED: {} expected", expected(self.first))
        };
        write!(f, "{cases:22} {outcome}: {verdict}")
    }
}

impl Outcome {
    fn is_ok(&self) -> bool {
        self.behavior == "OK" && self.behavior_close == "OK"
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (close: {})", self.behavior, self.behavior_close)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(name: &str, behavior: &str, close: &str) -> String {
        format!(r#""{name}":{{"behavior":"{behavior}","behaviorClose":"{close}","duration":1}}"#)
    }

    fn verdict(cases: &[String], wanted: &[&str]) -> Verdict {
        let index = format!(r#"{{"agent":{{{}}}}}"#, cases.join(","));
        Verdict::parse(&index, wanted.iter().map(|&case| case.into()).collect()).unwrap()
    }

    #[test]
    fn ok_and_the_three_informational_cases_pass() {
        let cases = [
            case("1.1.1", "OK", "OK"),
            case("7.1.6", "INFORMATIONAL", "INFORMATIONAL"),
            case("7.13.1", "INFORMATIONAL", "INFORMATIONAL"),
            case("7.13.2", "INFORMATIONAL", "INFORMATIONAL"),
        ];
        let tally = verdict(&cases, &["1.1.1", "7.1.6", "7.13.1", "7.13.2"]).tally("server");
        assert_eq!((tally.passed, tally.failed), (4, 0));
    }

    #[test]
    fn anything_else_fails() {
        for (behavior, close) in [
            ("NON-STRICT", "OK"),
            ("INFORMATIONAL", "INFORMATIONAL"),
            ("UNIMPLEMENTED", "OK"),
            ("FAILED", "OK"),
            ("OK", "UNCLEAN"),
        ] {
            let tally = verdict(&[case("6.4.1", behavior, close)], &["6.4.1"]).tally("client");
            assert_eq!((tally.passed, tally.failed), (0, 1), "{behavior}");
            assert_eq!(
                tally.failures,
                [format!("client, case 6.4.1: {behavior} (close: {close})")]
            );
        }
    }

    #[test]
    fn a_case_that_was_not_run_fails_and_so_does_one_that_nobody_asked_for() {
        let tally = verdict(&[case("1.1.2", "OK", "OK")], &["1.1.1"]).tally("server");
        assert_eq!(tally.passed, 0);
        assert_eq!(
            tally.failures,
            ["server, case 1.1.1: not run", "server, case 1.1.2: not asked for"]
        );
        assert!(Verdict::parse("{}", vec!["1.1.1".into()]).is_err());
        assert!(Verdict::parse(r#"{"a":{},"b":{}}"#, Vec::new()).is_err());
    }

    #[test]
    fn compressed_cases_are_expected_as_the_switch_says() {
        let (right, wrong) =
            if COMPRESSION { ("OK", "UNIMPLEMENTED") } else { ("UNIMPLEMENTED", "OK") };
        for name in ["12.1.1", "13.7.18"] {
            let tally = |behavior| verdict(&[case(name, behavior, "OK")], &[name]).tally("server");
            assert_eq!(tally(right).failed, 0);
            assert_eq!(tally(wrong).failed, 1);
        }
    }

    #[test]
    fn the_table_has_the_counts_and_what_is_not_ok() {
        let cases = [
            case("2.1", "OK", "OK"),
            case("3.2", "NON-STRICT", "OK"),
            case("3.3", "NON-STRICT", "OK"),
            case("5.1", "NON-STRICT", "OK"),
            case("7.1.6", "INFORMATIONAL", "INFORMATIONAL"),
        ];
        let table = verdict(&cases, &["2.1", "3.2", "3.3", "5.1", "7.1.6", "9.1.1"]).table();
        assert_eq!(
            table,
            "6 cases: 1 INFORMATIONAL, 3 NON-STRICT, 1 OK, 1 not run\n    \
             3.2 – 3.3 (2)          NON-STRICT (close: OK): FAILED: OK (close: OK) expected\n    \
             5.1                    NON-STRICT (close: OK): FAILED: OK (close: OK) expected\n    \
             7.1.6                  INFORMATIONAL (close: INFORMATIONAL): as expected\n    \
             9.1.1                  not run: FAILED: OK (close: OK) expected\n"
        );
    }
}
