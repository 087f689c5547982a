//! What became of the lines of each crate, and how that is shown.

use std::fmt;

use crate::workspace;

/// The lines of some crates.
#[derive(Debug, Default)]
pub(super) struct Lines {
    crates: Vec<Crate>,
}

#[derive(Debug)]
struct Crate {
    name: String,
    all: usize,
    /// Those that were not run: the file, the number and the text.
    missed: Vec<(String, usize, String)>,
}

impl Lines {
    pub(super) fn add_crate(&mut self, name: &str) {
        self.crates.push(Crate { name: name.to_owned(), all: 0, missed: Vec::new() });
    }

    /// Takes a report in lcov's format into account. `source` reads a file of the workspace.
    pub(super) fn read(&mut self, report: &str, source: impl Fn(&str) -> Result<String, String>) -> Result<(), String> {
        let root = format!("{}/", workspace::root().display());
        for record in report.split("end_of_record") {
            let Some(path) = record.lines().find_map(|line| line.strip_prefix("SF:")) else { continue };
            let path = path.strip_prefix(&root).unwrap_or(path);
            let Some(known) = self.crates.iter_mut().find(|known| is_code_of(&known.name, path)) else { continue };
            let text = source(path)?;
            let code: Vec<&str> = text.lines().take_while(|line| *line != "#[cfg(test)]").collect();
            for (number, count) in record.lines().filter_map(line_count) {
                let Some(line) = number.checked_sub(1).and_then(|at| code.get(at)) else { continue };
                known.all += 1;
                if count == 0 {
                    known.missed.push((path.to_owned(), number, line.trim().to_owned()));
                }
            }
        }
        Ok(())
    }
}

/// Whether a file is part of what a crate does, and not of its tests.
fn is_code_of(name: &str, path: &str) -> bool {
    let Some(path) = path.strip_prefix(&format!("crates/{name}/src/")) else { return false };
    let is_test = |part: &str| part == "tests" || part == "tests.rs" || part.ends_with("_tests.rs");
    !path.split('/').any(is_test)
}

/// `DA:12,3`: line 12 was run three times.
fn line_count(line: &str) -> Option<(usize, u64)> {
    let mut numbers = line.strip_prefix("DA:")?.split(',');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, all: usize, missed: usize| {
            let share = 100.0 * (all - missed) as f64 / (all.max(1)) as f64;
            writeln!(f, "{name:<14} {all:>7} {:>7} {missed:>7} {share:>8.2} %", all - missed)
        };
        let sum = |of: fn(&Crate) -> usize| self.crates.iter().map(of).sum();
        for one in &self.crates {
            row(&one.name, one.all, one.missed.len())?;
        }
        row("all", sum(|one| one.all), sum(|one| one.missed.len()))?;
        writeln!(f, "\nThe columns are lines of code, those that tests run, those that none does, and the share.\n")?;
        for (file, number, text) in self.crates.iter().flat_map(|one| &one.missed) {
            writeln!(f, "{file}:{number}: {text}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(report: &str) -> Lines {
        let mut lines = Lines::default();
        lines.add_crate("llm-x");
        let source = "fn a() {\n    b();\n}\n#[cfg(test)]\nmod tests {\n    c();\n}\n";
        lines.read(report, |_| Ok(source.to_owned())).expect("there is a source");
        lines
    }

    #[test]
    fn lines_that_were_not_run_are_named_and_tests_are_left_out() {
        let report = "SF:crates/llm-x/src/a.rs\nFN:1,a\nDA:1,2\nDA:2,0\nDA:3,2\nDA:6,0\nLF:4\nend_of_record\n\
                      SF:crates/llm-y/src/a.rs\nDA:1,0\nend_of_record\n\
                      SF:crates/llm-x/src/a/tests.rs\nDA:1,0\nend_of_record\n\
                      SF:crates/llm-x/src/a_tests.rs\nDA:1,0\nend_of_record\n";
        let shown = of(report).to_string();
        assert!(shown.starts_with("llm-x                3       2       1    66.67 %\n"), "{shown}");
        assert!(shown.ends_with("\n\ncrates/llm-x/src/a.rs:2: b();\n"), "{shown}");
    }

    #[test]
    fn files_that_are_not_tests_only_look_like_it() {
        assert!(is_code_of("llm-x", "crates/llm-x/src/latests.rs"));
        assert!(!is_code_of("llm-x", "crates/llm-x/tests/a.rs"));
        assert!(!is_code_of("llm-x", "crates/llm-x/src/tests/a.rs"));
    }
}
