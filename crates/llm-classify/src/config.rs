//! The layer from a configuration file.

use std::fmt;

use llm_core::ConfigError;
use serde::{
    Deserialize, Deserializer,
    de::{
        Error, IntoDeserializer, MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};

use crate::{ClassifyLayer, IntentModel, Pattern, Patterns};

/// The layer in a configuration file. Everything may be left out, and is off then.
///
/// ```
/// use llm_classify::{ClassifyConfig, ClassifyLayer};
///
/// let config: ClassifyConfig = toml::from_str(r#"
///     intent = { confidence = 0.8 }             # or true
///     detect = ["card", "iban", "private_key"]  # or "all"
///     tenants = ["clinic"]
/// "#)?;
/// let layer = ClassifyLayer::try_from(config)?;
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClassifyConfig {
    /// Whether requests are given an intent by the built-in model, and how sure it must be. Off by default.
    pub intent: IntentConfig,
    /// The built-in patterns that make a request sensitive, by their names, or `"all"`. None by default.
    pub detect: DetectConfig,
    /// See [`ClassifyLayer::sensitive_tenants`].
    pub tenants: Vec<Box<str>>,
}

/// Whether the built-in model tells intents: `true`, `false` or its settings.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum IntentConfig {
    /// It does not.
    #[default]
    Off,
    /// It does.
    On(IntentSettings),
}

/// The settings of the built-in model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IntentSettings {
    /// See [`IntentModel::confidence`]. From 0 to 1; absent means the model's default.
    pub confidence: Option<f32>,
}

impl<'de> Deserialize<'de> for IntentConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SwitchOrSettings)
    }
}

struct SwitchOrSettings;

impl<'de> Visitor<'de> for SwitchOrSettings {
    type Value = IntentConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false or a table")
    }

    fn visit_bool<E: Error>(self, is_on: bool) -> Result<IntentConfig, E> {
        Ok(if is_on { IntentConfig::On(IntentSettings::default()) } else { IntentConfig::Off })
    }

    fn visit_map<A: MapAccess<'de>>(self, settings: A) -> Result<IntentConfig, A::Error> {
        IntentSettings::deserialize(MapAccessDeserializer::new(settings)).map(IntentConfig::On)
    }
}

/// Which of the built-in patterns are looked for: a list of names, one name, or `"all"`.
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

    fn visit_str<E: Error>(self, word: &str) -> Result<DetectConfig, E> {
        Ok(DetectConfig(match word {
            "all" => Pattern::ALL.to_vec(),
            name => vec![Pattern::deserialize(name.into_deserializer())?],
        }))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, names: A) -> Result<DetectConfig, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(names)).map(DetectConfig)
    }
}

impl TryFrom<ClassifyConfig> for ClassifyLayer {
    type Error = ConfigError;

    /// # Errors
    /// When a confidence is not from 0 to 1, a pattern or tenant is named twice, or a tenant has no name.
    fn try_from(config: ClassifyConfig) -> Result<Self, ConfigError> {
        let ClassifyConfig { intent, detect: DetectConfig(patterns), tenants } = config;
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
        if let Some(model) = model(intent)? {
            layer = layer.classifier(model);
        }
        if !patterns.is_empty() {
            layer = layer.detector(Patterns::of(patterns));
        }
        Ok(layer)
    }
}

fn model(intent: IntentConfig) -> Result<Option<IntentModel>, ConfigError> {
    match intent {
        IntentConfig::Off => Ok(None),
        IntentConfig::On(IntentSettings { confidence: None }) => Ok(Some(IntentModel::builtin())),
        IntentConfig::On(IntentSettings { confidence: Some(confidence) }) if (0.0..=1.0).contains(&confidence) => {
            Ok(Some(IntentModel::builtin().confidence(confidence)))
        }
        IntentConfig::On(_) => Err(ConfigError::new("intent.confidence", "it must be from 0 to 1")),
    }
}

/// The place of the first item that is there before.
fn second_of<T: PartialEq>(items: &[T]) -> Option<usize> {
    (1..items.len()).find(|&place| items[..place].contains(&items[place]))
}
