//! Runs the tests of packages in the copy until one fails.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::copy::Copy;
use super::list::Breakage;
use crate::libtest;
use crate::process::{self, Background};
use crate::test_programs;

/// A test program that takes longer waits for something that never comes. Unbroken, the longest takes a fifth of this.
const LONGEST: Duration = Duration::from_secs(240);
/// What a test program may address, in KiB: one that goes on for ever must not take the machine along.
const MOST_KIB: &str = "3000000";

/// What came of a breakage, or of none.
#[derive(Debug)]
pub(super) enum Verdict {
    Caught {
        package: String,
        test: String,
    },
    Survived,
    /// It could not be built, so nothing was shown.
    Broken(String),
}

pub(super) struct Trial<'a> {
    copy: &'a Copy,
    directory: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Trial<'a> {
    pub(super) fn new(copy: &'a Copy, directory: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { copy, directory }
    }

    /// Asks the packages that should notice, and then those that use several.
    pub(super) fn of(&self, breakage: &Breakage, together: &[&str]) -> Result<Verdict, String> {
        let own = breakage.tests.iter().map(String::as_str);
        for package in own.chain(together.iter().copied()) {
            match self.package(package)? {
                Verdict::Survived => {}
                verdict => return Ok(verdict),
            }
        }
        Ok(Verdict::Survived)
    }

    /// Runs the tests of one package, those beside its code first: they are built sooner.
    pub(super) fn package(&self, package: &str) -> Result<Verdict, String> {
        let directory = (self.directory)(package).ok_or_else(|| format!("there is no package `{package}`"))?;
        let directory = self.copy.root.join(directory);
        let mut have_run = HashSet::new();
        let has_library = directory.join("src/lib.rs").is_file();
        for which in [has_library.then_some("--lib"), Some("--tests")].into_iter().flatten() {
            let programs = match self.build(package, which)? {
                Ok(programs) => programs,
                Err(sentence) => return Ok(Verdict::Broken(sentence)),
            };
            for program in programs {
                if have_run.contains(&program) {
                    continue;
                }
                if let Some(test) = first_failure(&program, &directory)? {
                    return Ok(Verdict::Caught { package: package.to_owned(), test });
                }
                have_run.insert(program);
            }
        }
        Ok(Verdict::Survived)
    }

    fn build(&self, package: &str, which: &str) -> Result<Result<Vec<PathBuf>, String>, String> {
        let mut cargo = process::cargo(["test", "-p", package, which]);
        cargo.current_dir(&self.copy.root).env("CARGO_TARGET_DIR", &self.copy.target);
        // Nobody debugs these, and of each hardly anything is new: it takes a third of the time to build that alone.
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "false").env("CARGO_INCREMENTAL", "1");
        test_programs::build(&mut cargo)
    }
}

/// The program, with a bound on its memory.
fn bounded(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit -v {MOST_KIB}; exec \"$0\" \"$@\"")).arg(program).current_dir(directory);
    command
}

/// The first test of a program that fails, or what else goes wrong.
fn first_failure(program: &Path, directory: &Path) -> Result<Option<String>, String> {
    let running = Background::start(bounded(program, directory));
    let mut running = running.map_err(|error| format!("tests could not be started: {error}"))?;
    let until = Instant::now() + LONGEST;
    let name = program.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let name = name.rsplit_once('-').map_or(&*name, |(name, _)| name);
    let mut slow = None;
    loop {
        match running.next_line(until) {
            Ok(line) => {
                if let Some((test, false)) = libtest::test_line(&line) {
                    return Ok(Some(format!("{name}: {test}")));
                }
                if let Some((test, _)) =
                    line.strip_prefix("test ").and_then(|rest| rest.split_once(" has been running"))
                {
                    slow = Some(test.to_owned());
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                let test = slow.unwrap_or_else(|| "a test".to_owned());
                return Ok(Some(format!("{name}: {test} does not end")));
            }
            Err(RecvTimeoutError::Disconnected) if running.succeeded() => return Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                return Ok(Some(format!("{name}: {} crashes", last_begun(program, directory))));
            }
        }
    }
}

/// The test in which a program crashes, by running one after the other. Of each that ends there is a line of its own. Where
/// it does not crash for a second time, nobody knows.
fn last_begun(program: &Path, directory: &Path) -> String {
    let mut command = bounded(program, directory);
    command.arg("--test-threads=1");
    let mut begun = None;
    if let Ok(mut running) = Background::start(command) {
        let until = Instant::now() + LONGEST;
        while let Ok(line) = running.next_line(until) {
            if line.starts_with("test ") && libtest::test_line(&line).is_none() {
                begun = Some(line);
            }
        }
    }
    let name = begun.as_deref().and_then(|line| line.strip_prefix("test ")?.split(" ... ").next());
    name.unwrap_or("a test").to_owned()
}
