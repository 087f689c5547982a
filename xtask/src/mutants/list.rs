//! The breakages, which are data: `xtask/mutants/*.txt`.
//!
//! ```text
//! # A comment.
//! tests: llm-breaker
//!
//! [name] What is broken, in a sentence.
//! crates/llm-breaker/src/state.rs
//! -the lines that are replaced, as they stand in the file
//! +and those in their place, if any
//! ```
//! `tests` names the packages whose tests should notice, in the order in which they are asked, for all breakages below it.

use crate::workspace;

/// One thing that is broken on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Breakage {
    pub(super) name: String,
    pub(super) sentence: String,
    /// The packages whose tests should notice.
    pub(super) tests: Vec<String>,
    /// Relative to the root.
    pub(super) file: String,
    removed: Vec<String>,
    added: Vec<String>,
}

/// Every breakage, in the order of the files.
pub(super) fn all() -> Result<Vec<Breakage>, String> {
    let directory = workspace::root().join("xtask/mutants");
    let mut breakages: Vec<Breakage> = Vec::new();
    for name in workspace::entries(&directory)? {
        let found = parse(&workspace::read(&directory.join(&name))?);
        breakages.extend(found.map_err(|sentence| format!("xtask/mutants/{name}: {sentence}"))?);
    }
    Ok(breakages)
}

fn parse(text: &str) -> Result<Vec<Breakage>, String> {
    let mut breakages: Vec<Breakage> = Vec::new();
    let mut tests: Vec<String> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let no_breakage = || format!("line {number} is no part of a breakage: `{line}`");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(packages) = line.strip_prefix("tests: ") {
            tests = packages.split(' ').map(str::to_owned).collect();
        } else if let Some((name, sentence)) = line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
            breakages.push(Breakage {
                name: name.to_owned(),
                sentence: sentence.to_owned(),
                tests: tests.clone(),
                file: String::new(),
                removed: Vec::new(),
                added: Vec::new(),
            });
        } else {
            let last = breakages.last_mut().ok_or_else(no_breakage)?;
            match (line.split_at_checked(1), last.file.is_empty()) {
                (Some(("-", removed)), _) => last.removed.push(removed.to_owned()),
                (Some(("+", added)), _) => last.added.push(added.to_owned()),
                (_, true) => last.file = line.to_owned(),
                (_, false) => return Err(no_breakage()),
            }
        }
    }
    let incomplete = |one: &&Breakage| one.tests.is_empty() || one.file.is_empty() || one.removed.is_empty();
    match breakages.iter().find(incomplete) {
        Some(Breakage { name, .. }) => Err(format!("`{name}` lacks its tests, its file or what is replaced")),
        None => Ok(breakages),
    }
}

impl Breakage {
    /// The text of the file with this broken.
    pub(super) fn apply(&self, source: &str) -> Result<String, String> {
        let lines: Vec<&str> = source.lines().collect();
        let is_here = |at: &usize| lines[*at..].iter().zip(&self.removed).all(|(line, removed)| line == removed);
        let last = (lines.len() + 1).saturating_sub(self.removed.len());
        let places: Vec<usize> = (0..last).filter(is_here).collect();
        let [at] = *places else {
            let count = places.len();
            return Err(format!(
                "the lines that `{}` replaces are {count} times in {}, and should be there once: write them anew in \
                 xtask/mutants",
                self.name, self.file
            ));
        };
        let added = self.added.iter().map(String::as_str);
        let broken = lines[..at].iter().copied().chain(added).chain(lines[at + self.removed.len()..].iter().copied());
        Ok(broken.map(|line| format!("{line}\n")).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const TEXT: &str =
        "# About x.\ntests: llm-x llm-y\n\n[x-ignored] X is ignored.\nsrc/x.rs\n-    x()\n-    y()\n+    z()\n";

    #[test]
    fn a_breakage_is_a_name_a_sentence_a_file_and_lines() {
        let breakages = parse(TEXT).expect("it can be read");
        let [one] = &*breakages else { panic!("{breakages:?}") };
        assert_eq!((&*one.name, &*one.sentence, &*one.file), ("x-ignored", "X is ignored.", "src/x.rs"));
        assert_eq!(one.tests, ["llm-x", "llm-y"]);
        assert_eq!(one.apply("a\n    x()\n    y()\nb\n"), Ok("a\n    z()\nb\n".to_owned()));
    }

    #[test]
    fn lines_that_are_not_there_or_there_twice_are_refused() {
        let one = &parse(TEXT).expect("it can be read")[0];
        for source in ["", "    x()\n", "x()\ny()\n", "    x()\n    y()\n    x()\n    y()\n"] {
            assert!(one.apply(source).is_err(), "{source:?}");
        }
    }

    #[test]
    fn what_is_no_breakage_is_refused() {
        for text in ["x\n", "tests: a\n[x] X.\n-x\n", "[x] X.\nx.rs\n-x\n", "tests: a\n[x] X.\nx.rs\n", "+x\n"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn every_breakage_fits_the_source_as_it_is() {
        let breakages = all().expect("the lists can be read");
        let mut names = HashSet::new();
        for one in &breakages {
            assert!(names.insert(&one.name), "{} is there twice", one.name);
            let source = workspace::read(&workspace::root().join(&one.file)).expect("its file is there");
            let broken = one.apply(&source).unwrap_or_else(|sentence| panic!("{sentence}"));
            assert_ne!(broken, source, "{}", one.name);
        }
    }
}
