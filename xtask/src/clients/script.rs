//! One run of a script: `ok NAME` or `FAILED NAME: reason`, a line a check.

use std::process::Command;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use crate::process::{self, Background};

/// A script that takes longer hangs: its checks take seconds.
const SCRIPT_TIME: Duration = Duration::from_secs(300);

/// What a script reported.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Checks {
    pub(super) passed: usize,
    pub(super) failed: Vec<String>,
}

impl Checks {
    fn read(&mut self, line: &str) {
        if line.starts_with("ok ") {
            self.passed += 1;
        } else if let Some(check) = line.strip_prefix("FAILED ") {
            self.failed.push(check.split(": ").next().unwrap_or(check).to_owned());
        }
    }

    /// The checks once the script has ended. One that stops early has not passed, whatever it printed before.
    fn at_end(mut self, trouble: Option<&str>) -> Self {
        if let Some(trouble) = trouble.filter(|_| self.failed.is_empty()) {
            self.failed.push(trouble.to_owned());
        } else if self.failed.is_empty() && self.passed == 0 {
            self.failed.push("the script made no check".to_owned());
        }
        self
    }
}

/// Runs a script to its end and passes its output through.
pub(super) fn run(mut script: Command) -> Result<Checks, String> {
    // A proxy of this machine knows nothing of a server on it.
    script.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    let shown = process::show(&script);
    let mut running = Background::start(script).map_err(|error| format!("`{shown}` could not be started: {error}"))?;
    let ends_at = Instant::now() + SCRIPT_TIME;
    let mut checks = Checks::default();
    loop {
        match running.next_line(ends_at) {
            Ok(line) => {
                println!("{line}");
                checks.read(&line);
            }
            Err(RecvTimeoutError::Timeout) => {
                return Ok(checks.at_end(Some("the script did not end within five minutes")));
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let trouble = (!running.succeeded()).then_some("the script stopped before its end");
    Ok(checks.at_end(trouble))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(script: &str) -> Checks {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        run(shell).expect("sh is everywhere")
    }

    #[test]
    fn every_check_is_counted() {
        let checks = checks("echo ok chat; echo 'FAILED stream: no usage: none'; echo note; echo ok models; exit 1");
        assert_eq!(checks, Checks { passed: 2, failed: vec!["stream".to_owned()] });
    }

    #[test]
    fn a_script_that_stops_early_has_not_passed() {
        assert_eq!(checks("echo ok chat; exit 1").failed, ["the script stopped before its end"]);
        assert_eq!(checks("exit 0").failed, ["the script made no check"]);
    }
}
