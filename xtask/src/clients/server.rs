//! A server that runs while this value does, and has said where it listens.

use std::process::Command;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use crate::process::{self, Background};

/// Servers start in milliseconds; this is for a machine that is busy with something else.
const START_TIME: Duration = Duration::from_secs(60);

/// A running server. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Server<const LISTENERS: usize> {
    addresses: [String; LISTENERS],
    process: Background,
}

impl<const LISTENERS: usize> Server<LISTENERS> {
    /// Starts the server and waits until it has named each of its listeners, in a line that begins with the words
    /// given here and goes on with the address, in this order.
    pub(super) fn start(command: Command, words: [&str; LISTENERS]) -> Result<Self, String> {
        let shown = process::show(&command);
        let mut process =
            Background::start(command).map_err(|error| format!("`{shown}` could not be started: {error}"))?;
        let ends_at = Instant::now() + START_TIME;
        let mut said = Vec::new();
        let mut addresses = [const { String::new() }; LISTENERS];
        for (words, address) in words.iter().zip(&mut addresses) {
            *address = loop {
                match process.next_line(ends_at) {
                    Ok(line) => match address_in(&line, words) {
                        Some(address) => break address,
                        None => said.push(line),
                    },
                    Err(reason) => {
                        let reason = match reason {
                            RecvTimeoutError::Timeout => "did not listen within a minute",
                            RecvTimeoutError::Disconnected => "ended before it listened",
                        };
                        return Err(format!("`{shown}` {reason}; it said: {}", said.join(" / ")));
                    }
                }
            };
            println!("{words} {address}");
        }
        Ok(Self { addresses, process })
    }

    /// `http://127.0.0.1:PORT`, in the order of the words.
    pub(super) fn addresses(&self) -> [&str; LISTENERS] {
        self.addresses.each_ref().map(String::as_str)
    }

    /// What the system knows it by.
    pub(super) fn process(&self) -> u32 {
        self.process.id()
    }
}

/// The address in `WORDS http://127.0.0.1:PORT/PATH`, without its path.
fn address_in(line: &str, words: &str) -> Option<String> {
    let rest = line.trim_start().strip_prefix(words)?.trim_start().strip_prefix("http://")?;
    let authority = rest.split(|next: char| next == '/' || next.is_whitespace()).next()?;
    Some(format!("http://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_from_the_line_with_the_words() {
        let address = |line: &str| address_in(line, "listening on");
        let expected = Some("http://127.0.0.1:8080".to_owned());
        assert_eq!(address("listening on http://127.0.0.1:8080"), expected);
        assert_eq!(address("  listening on http://127.0.0.1:8080/status (3 models)"), expected);
        assert_eq!(address("admin listening on http://127.0.0.1:9090"), None);
        assert_eq!(address("curl http://127.0.0.1:8080/v1/models"), None);
    }

    #[test]
    fn a_server_has_as_many_addresses_as_were_asked_for() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo hello; echo doors at http://a:1; echo x; echo pages at http://b:2/; exec sleep 60"]);
        let server = Server::start(shell, ["doors at", "pages at"]).expect("it names both");
        assert_eq!(server.addresses(), ["http://a:1", "http://b:2"]);
    }

    #[test]
    fn a_server_that_does_not_start_says_why() {
        let mut echo = Command::new("echo");
        echo.arg("port taken");
        let sentence = Server::start(echo, ["listening on"]).expect_err("echo does not listen");
        assert!(sentence.contains("ended before it listened"), "{sentence}");
        assert!(sentence.contains("port taken"), "{sentence}");
    }
}
