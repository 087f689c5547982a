//! Why something cannot be built from its configuration.

use std::fmt;

/// What is wrong with a configuration, and where: the error of every `try_from(Config)` in this workspace. Displays as
/// one sentence that begins with the place, and never repeats a value that may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    path: String,
    message: String,
}

impl ConfigError {
    /// `message` says what is wrong with the value at `path`: lowercase, no full stop, no secret.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }

    /// The same, seen from what the value is a part of.
    pub fn within(self, whole: impl fmt::Display) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_from_the_outside_in() {
        let error = ConfigError::new("base_url", "it must be http or https").within("providers[0]");
        assert_eq!(error.to_string(), "providers[0].base_url: it must be http or https");
    }
}
