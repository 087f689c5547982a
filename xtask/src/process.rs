//! Running other programs: each is shown before it runs, and a failure is a sentence.

use std::io::{self, BufRead, BufReader, PipeReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use crate::workspace;

/// A cargo command in the workspace root.
pub(crate) fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace::root()).args(arguments);
    // `cargo run` describes xtask to us in these. Build scripts that watch them would run again,
    // and with them half of the dependencies, each time somebody goes from `cargo` to `cargo xtask`.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs the command to its end and passes its output through.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let shown = show(command);
    let status = command.stdin(Stdio::null()).status().map_err(|error| cannot_start(&shown, &error))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}` failed ({status}); its output is above")) }
}

/// Runs the command to its end, passes its output through line by line, and shows each line to `on_line`.
pub(crate) fn run_watched(command: Command, mut on_line: impl FnMut(&str)) -> Result<ExitStatus, String> {
    let shown = show(&command);
    let (mut child, output) = spawn_merged(command).map_err(|error| cannot_start(&shown, &error))?;
    for line in lines(output) {
        println!("{line}");
        on_line(&line);
    }
    child.wait().map_err(|error| format!("`{shown}` could not be waited for: {error}"))
}

/// Whether the command can be run at all and succeeds; its output is not shown.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// A program that runs while we do something else. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Background {
    child: Child,
    lines: Receiver<String>,
}

impl Background {
    /// Starts the program. Its output is read all the time, so that it never waits for us.
    pub(crate) fn start(command: Command) -> io::Result<Self> {
        let (child, output) = spawn_merged(command)?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in self::lines(output) {
                // Nobody may be left to read it; the pipe is emptied all the same.
                let _ = sender.send(line);
            }
        });
        Ok(Self { child, lines })
    }

    /// The next line it prints. `Disconnected` when it has closed its output, `Timeout` when it said nothing until then.
    pub(crate) fn next_line(&mut self, until: Instant) -> Result<String, RecvTimeoutError> {
        self.lines.recv_timeout(until.saturating_duration_since(Instant::now()))
    }

    /// What the system knows it by, to send it a signal.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end, and tells whether that was a success.
    pub(crate) fn succeeded(&mut self) -> bool {
        self.child.wait().is_ok_and(|status| status.success())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended by itself; both calls then do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the command with stdout and stderr in one pipe, so that their lines keep their order.
fn spawn_merged(mut command: Command) -> io::Result<(Child, PipeReader)> {
    let (output, input) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input);
    // The command owns two write ends of the pipe. It is dropped here, or the reader would never see the end.
    Ok((command.spawn()?, output))
}

/// The lines of an output, whatever bytes are in it.
fn lines(output: PipeReader) -> impl Iterator<Item = String> {
    BufReader::new(output)
        .split(b'\n')
        .map_while(Result::ok)
        .map(|line| String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned())
}

/// Prints the command as one would type it, and returns it.
pub(crate) fn show(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let mut shown = program.to_string_lossy().into_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        let quote = if argument.contains(' ') { "'" } else { "" };
        shown += &format!(" {quote}{argument}{quote}");
    }
    println!("$ {shown}");
    shown
}

fn cannot_start(shown: &str, error: &io::Error) -> String {
    format!("`{shown}` could not be started: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_outputs_arrive_in_the_order_they_were_written() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo one; echo two >&2; printf three; exit 3"]);
        let mut seen = Vec::new();
        let status = run_watched(shell, |line| seen.push(line.to_owned())).expect("sh is everywhere");
        assert_eq!(seen, ["one", "two", "three"]);
        assert_eq!(status.code(), Some(3));
    }

    #[test]
    fn a_failure_names_the_command() {
        let sentence = run(Command::new("sh").args(["-c", "exit 1"])).expect_err("it exits with 1");
        assert!(sentence.starts_with("`sh -c 'exit 1'` failed"), "{sentence}");
        let sentence = run(&mut Command::new("no-such-program-anywhere")).expect_err("there is no such program");
        assert!(sentence.contains("could not be started"), "{sentence}");
    }
}
