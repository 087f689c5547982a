//! A gateway of our own: built, started on a free port, and ended with the value that stands for it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use crate::process::{self, Background};
use crate::workspace;

/// How the gateway says where it is.
const LISTENING: &str = "listening on http://";
/// It starts in milliseconds; this is for a machine that is busy with something else.
const START_TIME: Duration = Duration::from_secs(60);
/// With these in the environment the gateway would call real providers, for money.
const PROVIDER_KEYS: [&str; 2] = ["OPENAI_API_KEY", "ANTHROPIC_API_KEY"];

/// Builds the gateway and returns its program.
pub(super) fn build() -> Result<PathBuf, String> {
    let target = workspace::target_directory();
    process::run(process::cargo(["build", "-p", "gateway", "--target-dir"]).arg(&target))?;
    Ok(target.join("debug").join("gateway"))
}

/// A running gateway. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Gateway {
    address: String,
    _process: Background,
}

impl Gateway {
    /// Starts the gateway on a free port and waits until it listens.
    pub(super) fn start(program: &Path, options: &[&str]) -> Result<Self, String> {
        let mut command = Command::new(program);
        command.current_dir(workspace::root()).args(["--listen", "127.0.0.1:0"]).args(options);
        for key in PROVIDER_KEYS {
            command.env_remove(key);
        }
        let shown = process::show(&command);
        let mut process =
            Background::start(command).map_err(|error| format!("`{shown}` could not be started: {error}"))?;
        let ends_at = Instant::now() + START_TIME;
        let mut log = Vec::new();
        loop {
            match process.next_line(ends_at) {
                Ok(line) => {
                    if let Some(address) = address_in(&line) {
                        println!("{line}");
                        return Ok(Self { address, _process: process });
                    }
                    log.push(line);
                }
                Err(reason) => {
                    let reason = match reason {
                        RecvTimeoutError::Timeout => "did not listen within a minute",
                        RecvTimeoutError::Disconnected => "ended before it listened",
                    };
                    return Err(format!("`{shown}` {reason}; it said: {}", log.join(" / ")));
                }
            }
        }
    }

    /// `http://127.0.0.1:PORT`
    pub(super) fn address(&self) -> &str {
        &self.address
    }
}

/// The address in `listening on http://127.0.0.1:PORT`; other listeners say what they are before that.
fn address_in(line: &str) -> Option<String> {
    let address = line.trim_start().strip_prefix(LISTENING)?.split_whitespace().next()?;
    Some(format!("http://{}", address.trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_that_of_the_front_door() {
        let address = Some("http://127.0.0.1:8080".to_owned());
        assert_eq!(address_in("listening on http://127.0.0.1:8080"), address);
        assert_eq!(address_in("  listening on http://127.0.0.1:8080/ (3 models)"), address);
        assert_eq!(address_in("admin listening on http://127.0.0.1:9090"), None);
        assert_eq!(address_in("curl http://127.0.0.1:8080/v1/models"), None);
    }

    #[test]
    fn a_gateway_that_does_not_start_says_why() {
        let sentence = Gateway::start(Path::new("/bin/echo"), &["port taken"]).expect_err("echo does not listen");
        assert!(sentence.contains("ended before it listened"), "{sentence}");
        assert!(sentence.contains("port taken"), "{sentence}");
    }
}
