//! Counting tests by what the test programs print when they close: libtest's `test result:` line
//! and the summary of Node's test runner.
//!
//! Invariant: a step that ended badly never counts as passed, whatever it printed, and neither does
//! a step in which no test ran, nor a file of Node's: a filter that matches nothing is a mistake, not a success.

/// Whose output is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reporter {
    /// libtest, as `cargo test` shows it.
    Cargo,
    /// `node --test --test-reporter=spec`.
    Node,
}

/// What one step's output said so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed or were cancelled.
    pub(crate) failed: u64,
    /// Tests marked as ignored, skipped or to do.
    pub(crate) skipped: u64,
    /// The failed tests' names, and what else went wrong, in the order they were seen.
    pub(crate) failures: Vec<String>,
}

impl Tally {
    /// The tally of a step that could not run: one failure, with the reason.
    pub(crate) fn of_failure(reason: String) -> Self {
        Self { failed: 1, failures: vec![reason], ..Self::default() }
    }

    /// Adds what another part of the same step came to.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
    }

    /// Takes in one line of output.
    pub(crate) fn read(&mut self, reporter: Reporter, line: &str) {
        match reporter {
            Reporter::Cargo => self.read_cargo(line),
            Reporter::Node => self.read_node(line),
        }
    }

    /// Takes in how the step ended.
    pub(crate) fn close(&mut self, success: bool) {
        if !success && self.failed == 0 {
            self.failed = 1;
            self.failures.push("did not build, or ended before its tests did: see above".into());
        } else if success && self.passed + self.failed == 0 {
            self.failed = 1;
            self.failures.push("no test ran".into());
        }
    }

    fn read_cargo(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("test ").and_then(|l| l.strip_suffix(" ... FAILED")) {
            self.failures.push(name.into());
        }
        // `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished ..`
        // Not always at the line's begin: a test's own child may have printed half a line before.
        let Some((_, counts)) =
            line.split_once("test result: ").and_then(|(_, rest)| rest.split_once(". "))
        else {
            return;
        };
        for (number, word) in counts.split("; ").filter_map(|count| count.split_once(' ')) {
            let Ok(number) = number.parse::<u64>() else { continue };
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }

    fn read_node(&mut self, line: &str) {
        // Behind the heading Node repeats each failure in full: those names are known already.
        if let Some(name) = line.trim_start().strip_prefix("✖ ").filter(|l| *l != "failing tests:")
        {
            let name = name.rsplit_once(" (").map_or(name, |(name, _time)| name);
            if !self.failures.iter().any(|known| known == name) {
                self.failures.push(name.into());
            }
        }
        // A file of which no test was heard, because it ended itself, stands there as a test that passed.
        if let Some(file) = line.strip_prefix("✔ ").and_then(|line| line.rsplit_once(" ("))
            && file.0.ends_with(".test.mjs")
        {
            self.failed += 1;
            self.failures.push(format!("{}: no test ran", file.0));
        }
        // `ℹ pass 12`
        let Some((word, number)) =
            line.strip_prefix("ℹ ").and_then(|summary| summary.split_once(' '))
        else {
            return;
        };
        let Ok(number) = number.parse::<u64>() else { return };
        match word {
            "pass" => self.passed += number,
            "fail" | "cancelled" => self.failed += number,
            "skipped" | "todo" => self.skipped += number,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reporter: Reporter, output: &str) -> Tally {
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.read(reporter, line));
        tally
    }

    #[test]
    fn cargo_results_are_summed_over_test_programs() {
        let tally = read(
            Reporter::Cargo,
            "running 2 tests\n\
             test a ... ok\n\
             test mask::one_byte ... FAILED\n\
             test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
             test crates/hub/src/lib.rs - Hub (line 7) ... FAILED\n\
             half a linetest result: FAILED. 40 passed; 1 failed; 3 ignored; 0 measured; 9 filtered out; finished in 1.52s\n",
        );
        assert_eq!((tally.passed, tally.failed, tally.skipped), (41, 2, 3));
        assert_eq!(tally.failures, ["mask::one_byte", "crates/hub/src/lib.rs - Hub (line 7)"]);
    }

    #[test]
    fn node_summary_is_read_and_repeated_failures_are_not() {
        let tally = read(
            Reporter::Node,
            "▶ chat page\n\
             \u{20} ✔ connects (12.5ms)\n\
             \u{20} ✖ shows a message (of two tabs) (3.1ms)\n\
             ✖ chat page (16ms)\n\
             ℹ tests 6\nℹ suites 0\nℹ pass 2\nℹ fail 2\nℹ cancelled 1\nℹ skipped 1\nℹ todo 0\n\
             ℹ duration_ms 203.5\n\
             \n✖ failing tests:\n\n\
             test at chat.test.mjs:3:1\n✖ shows a message (of two tabs) (3.1ms)\n",
        );
        assert_eq!((tally.passed, tally.failed, tally.skipped), (2, 3, 1));
        assert_eq!(tally.failures, ["shows a message (of two tabs)", "chat page"]);
    }

    #[test]
    fn a_file_of_node_that_ends_before_its_tests_is_a_failure() {
        let output =
            "✔ a test of a.test.mjs, which ran (1ms)\n✔ /interop/b.test.mjs (101.6ms)\nℹ pass 2";
        let tally = read(Reporter::Node, output);
        assert_eq!(tally.failed, 1);
        assert_eq!(tally.failures, ["/interop/b.test.mjs: no test ran"]);
    }

    #[test]
    fn a_reporter_ignores_the_others_lines() {
        assert_eq!(read(Reporter::Cargo, "ℹ pass 3"), Tally::default());
        let line = "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(read(Reporter::Node, line), Tally::default());
    }

    #[test]
    fn a_bad_end_without_a_failed_test_counts_as_one() {
        let mut tally = read(Reporter::Cargo, "test result: ok. 3 passed; 0 failed; 0 ignored");
        tally.close(false);
        assert_eq!((tally.passed, tally.failed, tally.failures.len()), (3, 1, 1));
    }

    #[test]
    fn a_good_end_without_any_test_counts_as_a_failure() {
        let mut tally = read(Reporter::Node, "ℹ tests 0\nℹ pass 0\nℹ fail 0");
        tally.close(true);
        assert_eq!((tally.passed, tally.failed), (0, 1));
    }
}
