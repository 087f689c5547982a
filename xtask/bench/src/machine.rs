//! What a run was made on, as far as it is of use to others.

use std::{fmt, fs, process::Command, thread};

use serde::{Deserialize, Serialize};

/// A machine and what it builds with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// How many threads run at the same time.
    pub cores: usize,
    /// The processor's model.
    pub cpu: String,
    /// The operating system.
    pub os: String,
    /// The compiler's version.
    pub rustc: String,
}

impl Machine {
    /// The one that this runs on. What it does not say of itself is unknown.
    pub fn this() -> Self {
        let value = |path: &str, key: &str, separator: char| {
            let text = fs::read_to_string(path).ok()?;
            let line = text.lines().find(|line| line.starts_with(key))?;
            Some(line.split_once(separator)?.1.trim().trim_matches('"').to_owned())
        };
        let or_unknown = |text: Option<String>| text.unwrap_or_else(|| "unknown".into());
        let rustc = Command::new("rustc").arg("--version").output().ok();
        Self {
            cores: thread::available_parallelism().map_or(1, usize::from),
            cpu: or_unknown(value("/proc/cpuinfo", "model name", ':')),
            os: or_unknown(value("/etc/os-release", "PRETTY_NAME", '=')),
            rustc: or_unknown(rustc.and_then(|output| Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()))),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cores of {}, {}, {}", self.cores, self.cpu, self.os, self.rustc)
    }
}
