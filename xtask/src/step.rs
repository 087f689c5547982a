//! A step of `ci`: what it may leave behind, and how long it took.

use std::time::{Duration, Instant};

/// A step that succeeded.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Sentences about what could not be checked on this machine, and why.
    pub(crate) not_checked: Vec<String>,
}

/// How a step ended. A failure is a sentence that says what to do.
pub(crate) type Outcome = Result<Done, String>;

/// Runs a step under a heading, and prints how long it took.
pub(crate) fn timed(name: &str, step: impl FnOnce() -> Outcome) -> Outcome {
    let started = Instant::now();
    println!("== {name}");
    let outcome = step();
    println!("== {name} took {}\n", minutes_and_seconds(started.elapsed()));
    outcome
}

/// `4 s`, `1 min 05 s`.
pub(crate) fn minutes_and_seconds(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    match seconds / 60 {
        0 => format!("{seconds} s"),
        minutes => format!("{minutes} min {:02} s", seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_not_sixty_seconds() {
        assert_eq!(minutes_and_seconds(Duration::from_millis(59_900)), "59 s");
        assert_eq!(minutes_and_seconds(Duration::from_secs(65)), "1 min 05 s");
    }
}
