//! What is simulated: models, their pace, their prices and their faults.

mod model;

use std::{collections::BTreeSet, fmt, time::Duration};

use llm_core::{
    ConfigError,
    catalog::{Capability, Catalog},
};
use serde::{Deserialize, Serialize};

pub use self::model::ModelConfig;

/// A simulated provider.
///
/// ```
/// use llm_sim::{Sim, SimConfig};
///
/// let config: SimConfig = serde_json::from_str(r#"{ "seed": 7, "models": [{
///     "name": "tiny", "input": 0.1, "output": 0.1, "first_token": "20ms", "tokens_per_second": 200.0,
///     "faults": [{ "every": 3, "fault": "status 429 retry-after=1" }]
/// }] }"#)?;
/// let sim = Sim::try_from(config)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimConfig {
    /// Where all randomness comes from. The same seed and the same calls give the same bytes. Defaults to 1.
    pub seed: u64,
    /// The models. At least one.
    pub models: Vec<ModelConfig>,
    /// The keys that the http server accepts. Empty, the default: it asks for none.
    pub keys: Vec<SimKey>,
    /// How many calls a log remembers; older ones are forgotten. Defaults to 10,000. At least 1.
    pub log_capacity: usize,
    /// How many bytes of http headers and bodies a log keeps, all calls together. Where there are more, the oldest
    /// calls lose theirs and keep their other facts; a body that does not fit by itself is not kept. Defaults to
    /// 4 MiB, room for about a thousand small requests. At least 1, since 0 could be taken for no bound.
    pub log_bytes: usize,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self { seed: 1, models: Vec::new(), keys: Vec::new(), log_capacity: 10_000, log_bytes: 4 << 20 }
    }
}

impl SimConfig {
    /// A simulated provider of these models.
    pub fn new(models: impl IntoIterator<Item = ModelConfig>) -> Self {
        Self { models: models.into_iter().collect(), ..Self::default() }
    }

    /// A small pool to try things on: a cheap and quick model, one for code, a large one that reasons, and
    /// embeddings.
    ///
    /// | model | USD per million tokens | first token | tokens a second |
    /// |---|---|---|---|
    /// | `llama-3-8b` | 0.10 | 20 ms | 150 |
    /// | `deepseek-coder` | 0.50 | 80 ms | 90 |
    /// | `claude-3-5-sonnet` | 3.00 | 150 ms | 70 |
    /// | `text-embedding-sim` | 0.02 | 10 ms | |
    pub fn pool() -> Self {
        let model = |name: &str, usd: f64, first_token: u64, tokens_per_second: f64| ModelConfig {
            input: Some(usd),
            output: Some(usd),
            first_token: Duration::from_millis(first_token),
            tokens_per_second,
            output_spread: 0.3,
            ..ModelConfig::chat(name)
        };
        let mut sonnet = model("claude-3-5-sonnet", 3.0, 150, 70.0);
        sonnet.capabilities.insert(Capability::Vision);
        sonnet.context_window = 200_000;
        Self::new([
            ModelConfig { context_window: 8_192, ..model("llama-3-8b", 0.10, 20, 150.0) },
            model("deepseek-coder", 0.50, 80, 90.0),
            sonnet,
            ModelConfig {
                input: Some(0.02),
                first_token: Duration::from_millis(10),
                ..ModelConfig::embedding("text-embedding-sim", 64)
            },
        ])
    }

    /// Facts of the models, for routers and budgets.
    ///
    /// # Errors
    /// When a price cannot be one, such as a negative number, or a model is there twice.
    pub fn catalog(&self) -> Result<Catalog, ConfigError> {
        for (at, model) in self.models.iter().enumerate() {
            model.check_prices().map_err(|error| error.within(format_args!("models[{at}]")))?;
        }
        let facts: Vec<_> = self.models.iter().map(ModelConfig::facts).collect();
        Catalog::try_from(facts).map_err(|error| ConfigError::new("models", error.to_string()))
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.models.is_empty() {
            return Err(ConfigError::new("models", "is empty: name at least one model to simulate"));
        }
        if self.log_capacity == 0 {
            return Err(ConfigError::new("log_capacity", "must be at least 1"));
        }
        if self.log_bytes == 0 {
            return Err(ConfigError::new("log_bytes", "must be at least 1"));
        }
        let mut names = BTreeSet::new();
        for (at, model) in self.models.iter().enumerate() {
            model.check().map_err(|error| error.within(format_args!("models[{at}]")))?;
            if !names.insert(&model.name) {
                let message = format!("model `{}` is there twice", model.name);
                return Err(ConfigError::new(format!("models[{at}].name"), message));
            }
        }
        match self.keys.iter().position(|key| key.secret.is_empty()) {
            Some(at) => Err(ConfigError::new(format!("keys[{at}].secret"), "is empty")),
            None => Ok(()),
        }
    }
}

/// A key that the simulated http server accepts. It guards nothing: it is there to be refused, and to tell in the
/// log which of a provider's keys was used.
///
/// `Debug` shows the name only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimKey {
    /// What the log and the fault rules call it.
    pub name: String,
    /// The key itself, as sent in `authorization: Bearer`, or in Anthropic's dialect also in `x-api-key`.
    pub secret: String,
}

impl SimKey {
    /// A key.
    pub fn new(name: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { name: name.into(), secret: secret.into() }
    }
}

impl fmt::Debug for SimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimKey({})", self.name)
    }
}

#[cfg(test)]
mod tests;
