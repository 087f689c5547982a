//! `cargo xtask clients`: SDK clients that know nothing of us, unchanged, against the gateway over real sockets.
//!
//! Each client is a script that gets two addresses, an open gateway and one that asks for keys, and prints a line a
//! check: `ok NAME` or `FAILED NAME: reason`. What it needs is installed into a folder of its own below `target/clients`.

mod gateway;
mod python;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use crate::process;
use crate::step::{Done, Outcome};
use crate::workspace;
use gateway::Gateway;

/// One SDK.
struct Client {
    name: &'static str,
    /// Makes the SDK ready in the given folder, runtime included, and returns the program that runs the script.
    /// The error says why this machine cannot.
    set_up: fn(&Path) -> Result<PathBuf, String>,
    /// The checks, relative to the workspace root.
    script: &'static str,
}

const CLIENTS: [Client; 1] =
    [Client { name: "openai (Python)", set_up: python::set_up, script: "tests/clients/openai_python.py" }];

/// The gateway that asks for keys. The scripts know the key of its one tenant.
const KEYED_CONFIG: &str = "tests/clients/gateway.toml";
/// A script that takes longer hangs: its checks take seconds.
const SCRIPT_TIME: Duration = Duration::from_secs(300);

/// Starts the gateways, runs every client and prints how each did.
pub(crate) fn run() -> Outcome {
    let folder = workspace::target_directory().join("clients");
    let mut done = Done::default();
    let mut ready = Vec::new();
    for client in &CLIENTS {
        match (client.set_up)(&folder) {
            Ok(program) => ready.push((client, program)),
            Err(reason) => done.not_checked.push(format!("{} not run: {reason}", client.name)),
        }
    }
    let mut results = Vec::new();
    if !ready.is_empty() {
        let program = gateway::build()?;
        let open = Gateway::start(&program, &[])?;
        let keyed = Gateway::start(&program, &["--config", KEYED_CONFIG])?;
        for (client, program) in ready {
            let mut script = Command::new(program);
            script.arg(workspace::root().join(client.script)).args([open.address(), keyed.address()]);
            results.push((client.name, run_script(script)?));
        }
    }
    println!();
    for (name, checks) in &results {
        println!("{name:<18} {:>3} passed, {} failed", checks.passed, checks.failed.len());
    }
    done.not_checked.iter().for_each(|sentence| println!("{sentence}"));

    let failed: Vec<String> = results
        .iter()
        .filter(|(_, checks)| !checks.failed.is_empty())
        .map(|(name, checks)| format!("{name} failed: {}", checks.failed.join(", ")))
        .collect();
    if failed.is_empty() { Ok(done) } else { Err(failed.join("; ")) }
}

/// What a script reported.
#[derive(Debug, Default, PartialEq, Eq)]
struct Checks {
    passed: usize,
    failed: Vec<String>,
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

fn run_script(mut script: Command) -> Result<Checks, String> {
    // A proxy of this machine knows nothing of a server on it.
    script.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    let shown = process::show(&script);
    let mut running =
        process::Background::start(script).map_err(|error| format!("`{shown}` could not be started: {error}"))?;
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
        run_script(shell).expect("sh is everywhere")
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
