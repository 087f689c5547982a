//! Why a simulation cannot be set up.

use std::fmt;

/// What is wrong with a configuration, and where. Displays as one sentence that begins with the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    path: String,
    message: String,
}

impl ConfigError {
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }

    /// The same, seen from what the value is a part of.
    pub(crate) fn within(self, whole: impl fmt::Display) -> Self {
        Self { path: format!("{whole}.{}", self.path), ..self }
    }

    /// The place of the value at fault, such as `models[0].tokens_per_second`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong with it.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl std::error::Error for ConfigError {}
