//! Durations in configuration files, written as people write them: `"250ms"`, `"30s"`, `"1m 30s"`.
//!
//! ```
//! use std::time::Duration;
//!
//! #[derive(serde::Deserialize)]
//! struct Limits {
//!     #[serde(with = "llm_core::duration")]
//!     head: Duration,
//! }
//!
//! let limits: Limits = toml::from_str(r#"head = "1m 30s""#)?;
//! assert_eq!(limits.head, Duration::from_secs(90));
//! # Ok::<(), toml::de::Error>(())
//! ```

use std::{fmt, time::Duration};

use serde::{Deserializer, Serializer, de};

/// Writes a duration with units.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}

/// Reads a duration with units. A bare number is refused, because nobody can tell what it counts.
///
/// # Errors
/// When the value is not a string, or not a duration.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_str(Visitor)
}

struct Visitor;

impl de::Visitor<'_> for Visitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration with a unit in quotes, such as \"250ms\" or \"30s\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        humantime::parse_duration(text)
            .map_err(|error| E::custom(format!("`{text}` is not a duration such as \"250ms\" or \"30s\": {error}")))
    }
}

/// The same for durations that may be absent.
pub mod option {
    use std::time::Duration;

    use serde::{Deserializer, Serializer};

    /// Writes a duration with units, or nothing.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads a duration with units.
    ///
    /// # Errors
    /// When the value is not a string, or not a duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        super::deserialize(deserializer).map(Some)
    }
}
