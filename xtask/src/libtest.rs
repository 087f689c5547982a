//! Reads what test programs print: the lines of single tests and the summaries.

use std::fmt;

/// The sum of the summaries of several test programs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Total {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed, and test programs that ended without a summary.
    pub(crate) failed: u64,
    /// Tests that were not run because they are marked as ignored.
    pub(crate) skipped: u64,
    unfinished: u64,
}

impl Total {
    /// Takes one line of output into account.
    pub(crate) fn read(&mut self, line: &str) {
        if is_start(line) {
            self.unfinished += 1;
        } else if let Some((passed, failed, skipped)) = summary(line) {
            self.unfinished = self.unfinished.saturating_sub(1);
            self.passed += passed;
            self.failed += failed;
            self.skipped += skipped;
        }
    }

    /// The total once all programs have ended. A program that began and printed no summary has crashed and counts as
    /// one failure; so does a run that went wrong before any test could fail, as a build that broke does.
    pub(crate) fn at_end(mut self, run_succeeded: bool) -> Self {
        self.failed += std::mem::take(&mut self.unfinished);
        if !run_succeeded && self.failed == 0 {
            self.failed = 1;
        }
        self
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 { write!(f, ", {} skipped", self.skipped) } else { Ok(()) }
    }
}

/// The name of a test and whether it passed, from its line; `None` for every other line and for ignored tests.
pub(crate) fn test_line(line: &str) -> Option<(&str, bool)> {
    let (name, result) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let name = name.strip_suffix(" - should panic").unwrap_or(name);
    match result.split([' ', ',']).next()? {
        "ok" => Some((name, true)),
        "FAILED" => Some((name, false)),
        _ => None,
    }
}

/// `running 3 tests`
fn is_start(line: &str) -> bool {
    let count = line.strip_prefix("running ").and_then(|rest| rest.split_once(" test"));
    count.is_some_and(|(count, plural)| count.parse::<u64>().is_ok() && matches!(plural, "" | "s"))
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`
fn summary(line: &str) -> Option<(u64, u64, u64)> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |name: &str| {
        counts
            .split("; ")
            .find_map(|part| part.split_once(' ').filter(|(_, what)| *what == name)?.0.parse::<u64>().ok())
    };
    Some((count("passed")?, count("failed")?, count("ignored")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total_of(output: &str, run_succeeded: bool) -> Total {
        let mut total = Total::default();
        output.lines().for_each(|line| total.read(line));
        total.at_end(run_succeeded)
    }

    #[test]
    fn summaries_of_several_programs_add_up() {
        let output = "\
            running 2 tests\n\
            test a ... ok\n\
            test b ... FAILED\n\
            test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
            running 1 test\n\
            test result: ok. 40 passed; 0 failed; 2 ignored; 0 measured; 3 filtered out; finished in 1.00s\n";
        let total = total_of(output, false);
        assert_eq!(total.to_string(), "41 passed, 1 failed, 2 skipped");
    }

    #[test]
    fn nothing_skipped_is_not_mentioned() {
        let line = "test result: ok. 7 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(total_of(line, true).to_string(), "7 passed, 0 failed");
    }

    #[test]
    fn a_program_that_crashes_is_a_failure() {
        assert_eq!(total_of("running 3 tests\ntest a ... ok\n", false).failed, 1);
    }

    #[test]
    fn a_build_that_breaks_is_a_failure() {
        assert_eq!(total_of("error[E0432]: unresolved import\n", false).to_string(), "0 passed, 1 failed");
    }

    #[test]
    fn what_a_test_prints_is_not_a_summary() {
        let output = "running water\nrunning 3 testsuites\ntest result: unclear\n  test result: ok. 1 passed; 0 failed";
        assert_eq!(total_of(output, true), Total::default());
    }

    #[test]
    fn test_lines_give_name_and_result() {
        assert_eq!(test_line("test pass::panic_releases ... ok"), Some(("pass::panic_releases", true)));
        assert_eq!(test_line("test a - should panic ... FAILED"), Some(("a", false)));
        assert_eq!(test_line("test a ... ok <0.010s>"), Some(("a", true)));
        assert_eq!(test_line("test a ... ignored, slow"), None);
        assert_eq!(test_line("test a has been running for over 60 seconds"), None);
        assert_eq!(test_line("test result: ok. 1 passed; 0 failed; 0 ignored"), None);
    }
}
