//! The layer from a configuration file.

use std::fmt;

use llm_core::ConfigError;
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor, value::SeqAccessDeserializer},
};

use crate::{ClassifyLayer, Pattern, Patterns};

/// The layer in a configuration file. Everything may be left out, and is off then.
///
/// ```
/// use llm_classify::{ClassifyConfig, ClassifyLayer};
///
/// let config: ClassifyConfig = toml::from_str(r#"
///     detect = ["card", "iban", "private_key"]
///     tenants = ["clinic"]
/// "#)?;
/// let layer = ClassifyLayer::try_from(config)?;
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClassifyConfig {
    /// The built-in patterns that make a request sensitive, by their names, or `"all"`.
    pub detect: DetectConfig,
    /// See [`ClassifyLayer::sensitive_tenants`].
    pub tenants: Vec<Box<str>>,
}

/// Which of the built-in patterns are looked for: a list of names or `"all"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DetectConfig(pub Vec<Pattern>);

impl<'de> Deserialize<'de> for DetectConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamesOrAll)
    }
}

struct NamesOrAll;

impl<'de> Visitor<'de> for NamesOrAll {
    type Value = DetectConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of patterns, or \"all\"")
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<DetectConfig, E> {
        match word {
            "all" => Ok(DetectConfig(Pattern::ALL.to_vec())),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, names: A) -> Result<DetectConfig, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(names)).map(DetectConfig)
    }
}

impl TryFrom<ClassifyConfig> for ClassifyLayer {
    type Error = ConfigError;

    /// # Errors
    /// When a pattern or tenant is named twice, or a tenant has no name.
    fn try_from(config: ClassifyConfig) -> Result<Self, ConfigError> {
        let ClassifyConfig { detect: DetectConfig(patterns), tenants } = config;
        if let Some(place) = second_of(&patterns) {
            let name = patterns[place].as_str();
            return Err(ConfigError::new(format!("detect[{place}]"), format!("`{name}` is there twice")));
        }
        if let Some(place) = tenants.iter().position(|tenant| tenant.is_empty()) {
            return Err(ConfigError::new(format!("tenants[{place}]"), "a tenant has a name"));
        }
        if let Some(place) = second_of(&tenants) {
            return Err(ConfigError::new(format!("tenants[{place}]"), "this tenant is there twice"));
        }
        let mut layer = Self::new().sensitive_tenants(tenants);
        if !patterns.is_empty() {
            layer = layer.detector(Patterns::of(patterns));
        }
        Ok(layer)
    }
}

/// The place of the first item that is there before.
fn second_of<T: PartialEq>(items: &[T]) -> Option<usize> {
    (1..items.len()).find(|&place| items[..place].contains(&items[place]))
}
