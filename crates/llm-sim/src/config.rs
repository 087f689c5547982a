//! What is simulated: models, their pace, their prices and their faults.

use std::{collections::BTreeSet, fmt, time::Duration};

use llm_core::catalog::{Capability, Catalog};
use serde::{Deserialize, Serialize};

use crate::FaultRule;

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
}

impl Default for SimConfig {
    fn default() -> Self {
        Self { seed: 1, models: Vec::new(), keys: Vec::new(), log_capacity: 10_000 }
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
    /// When a price cannot be one, such as a negative number.
    pub fn catalog(&self) -> Result<Catalog, ConfigError> {
        let models: Vec<_> = self.models.iter().map(ModelConfig::facts).collect();
        let text = serde_json::json!({ "models": models }).to_string();
        Catalog::from_json(&text).map_err(|error| ConfigError(error.to_string()))
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.models.is_empty() {
            return Err(ConfigError("`models` is empty: name at least one model to simulate".into()));
        }
        if self.log_capacity == 0 {
            return Err(ConfigError("`log_capacity` is 0: the log must remember at least one call".into()));
        }
        let mut names = BTreeSet::new();
        for model in &self.models {
            model.check()?;
            if !names.insert(&model.name) {
                return Err(ConfigError(format!("model `{}` is there twice", model.name)));
            }
        }
        if let Some(key) = self.keys.iter().find(|key| key.secret.is_empty()) {
            return Err(ConfigError(format!("key `{}` has an empty `secret`", key.name)));
        }
        self.catalog().map(|_| ())
    }
}

/// A simulated model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// The name it is called by.
    pub name: String,
    /// Price of input tokens, USD per million. Absent: not known, which is not free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<f64>,
    /// Price of output tokens, USD per million. Stated together with `input`; an embedding model has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<f64>,
    /// Time from the call to the first token. Defaults to 50 ms, which a small hosted model takes.
    #[serde(default = "default_first_token", with = "llm_core::duration")]
    pub first_token: Duration,
    /// Tokens a second from then on. Defaults to 100. Above zero; `inf` for no wait at all.
    #[serde(default = "default_tokens_per_second")]
    pub tokens_per_second: f64,
    /// Length of text answers in tokens, on average. Defaults to 60. At least 1.
    #[serde(default = "default_output_tokens")]
    pub output_tokens: u64,
    /// How widely lengths are spread: the σ of a log-normal distribution. Defaults to 0, every answer of the same
    /// length. 0 to 2; at 0.5 two thirds of the answers are between 0.5 and 1.5 times the average.
    #[serde(default)]
    pub output_spread: f64,
    /// The most tokens of input and output together. Defaults to 128,000. At least 1.
    #[serde(default = "default_context_window")]
    pub context_window: u64,
    /// What it can do. Defaults to tools and JSON Schema. What is asked beyond that is answered with status 400;
    /// a model with `reasoning` reasons before it answers.
    #[serde(default = "default_capabilities")]
    pub capabilities: BTreeSet<Capability>,
    /// Length of its vectors. Present: it is an embedding model, and no chat model. At least 2, at most 65,536.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<u32>,
    /// Calls it takes in a minute; then status 429 with `retry-after`. Absent: any number, and no rate-limit headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Tokens it takes in a minute, prompts only; then status 429 with `retry-after`. Absent: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// What goes wrong, and when. The first rule that applies to a call decides.
    #[serde(default)]
    pub faults: Vec<FaultRule>,
}

fn default_first_token() -> Duration {
    Duration::from_millis(50)
}

fn default_tokens_per_second() -> f64 {
    100.0
}

fn default_output_tokens() -> u64 {
    60
}

fn default_context_window() -> u64 {
    128_000
}

fn default_capabilities() -> BTreeSet<Capability> {
    BTreeSet::from([Capability::Tools, Capability::JsonSchema])
}

impl ModelConfig {
    /// A chat model of unknown price.
    pub fn chat(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            input: None,
            output: None,
            first_token: default_first_token(),
            tokens_per_second: default_tokens_per_second(),
            output_tokens: default_output_tokens(),
            output_spread: 0.0,
            context_window: default_context_window(),
            capabilities: default_capabilities(),
            dimensions: None,
            requests_per_minute: None,
            tokens_per_minute: None,
            faults: Vec::new(),
        }
    }

    /// A chat model that answers without any wait.
    pub fn instant(name: impl Into<String>) -> Self {
        Self { first_token: Duration::ZERO, tokens_per_second: f64::INFINITY, ..Self::chat(name) }
    }

    /// An embedding model of unknown price.
    pub fn embedding(name: impl Into<String>, dimensions: u32) -> Self {
        Self { dimensions: Some(dimensions), capabilities: BTreeSet::new(), ..Self::chat(name) }
    }

    /// Adds a fault rule; it comes after those that are there.
    pub fn fault(mut self, rule: FaultRule) -> Self {
        self.faults.push(rule);
        self
    }

    /// The time between two tokens.
    pub(crate) fn token_time(&self) -> Duration {
        Duration::try_from_secs_f64(1.0 / self.tokens_per_second).unwrap_or(Duration::MAX)
    }

    pub(crate) fn can(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let name = &self.name;
        if name.is_empty() {
            return Err(ConfigError("a model has an empty `name`".into()));
        }
        let bad = |problem: &str| Err(ConfigError(format!("model `{name}`: {problem}")));
        if self.tokens_per_second.is_nan() || self.tokens_per_second <= 0.0 {
            return bad("`tokens_per_second` must be above zero");
        }
        if 1.0 / self.tokens_per_second > 3600.0 {
            return bad("`tokens_per_second` is less than one token an hour");
        }
        if self.output_tokens == 0 {
            return bad("`output_tokens` must be at least 1");
        }
        if !(0.0..=2.0).contains(&self.output_spread) {
            return bad("`output_spread` must be between 0 and 2");
        }
        if self.context_window == 0 {
            return bad("`context_window` must be at least 1");
        }
        if self.dimensions.is_some_and(|dimensions| !(2..=65_536).contains(&dimensions)) {
            return bad("`dimensions` must be between 2 and 65,536");
        }
        if self.requests_per_minute == Some(0) || self.tokens_per_minute == Some(0) {
            return bad("a limit per minute must be at least 1");
        }
        self.faults.iter().try_for_each(|rule| rule.check(name))
    }

    fn facts(&self) -> serde_json::Value {
        let can = |capability| self.can(capability);
        let is_chat = self.dimensions.is_none();
        let mut facts = serde_json::json!({
            "name": self.name,
            "mode": if is_chat { "chat" } else { "embedding" },
            "context_window": self.context_window,
            "capabilities": {
                "tools": can(Capability::Tools),
                "vision": can(Capability::Vision),
                "audio": can(Capability::Audio),
                "files": can(Capability::Files),
                "json_schema": can(Capability::JsonSchema),
                "reasoning": can(Capability::Reasoning),
                "streaming": is_chat,
            },
        });
        for (price, usd) in [("input", self.input), ("output", self.output)] {
            if let Some(usd) = usd {
                facts[price] = usd.into();
            }
        }
        facts
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
    /// The key itself, as sent in `authorization: Bearer`.
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

/// Why a simulation cannot be set up, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub(crate) String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_is_valid_and_its_prices_are_known() {
        let pool = SimConfig::pool();
        pool.check().unwrap();
        let catalog = pool.catalog().unwrap();
        for name in ["llama-3-8b", "deepseek-coder", "claude-3-5-sonnet", "text-embedding-sim"] {
            assert!(catalog.get(None, name).unwrap().price.is_some(), "{name}");
        }
    }

    #[test]
    fn bad_values_are_refused_with_a_sentence_that_names_them() {
        let bad = |change: fn(&mut ModelConfig), word: &str| {
            let mut model = ModelConfig::chat("m");
            change(&mut model);
            let error = SimConfig::new([model]).check().unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("`m`") || error.contains("empty"), "{error}");
        };
        bad(|model| model.name.clear(), "name");
        bad(|model| model.tokens_per_second = 0.0, "tokens_per_second");
        bad(|model| model.tokens_per_second = f64::NAN, "tokens_per_second");
        bad(|model| model.tokens_per_second = 1e-9, "tokens_per_second");
        bad(|model| model.output_tokens = 0, "output_tokens");
        bad(|model| model.output_spread = 3.0, "output_spread");
        bad(|model| model.context_window = 0, "context_window");
        bad(|model| model.dimensions = Some(1), "dimensions");
        bad(|model| model.requests_per_minute = Some(0), "limit");
        let priced = ModelConfig { input: Some(-1.0), output: Some(1.0), ..ModelConfig::chat("m") };
        assert!(SimConfig::new([priced]).check().is_err());
        assert!(SimConfig::new([]).check().is_err());
        assert!(SimConfig::new([ModelConfig::chat("m"), ModelConfig::chat("m")]).check().is_err());
        assert!(SimConfig { log_capacity: 0, ..SimConfig::pool() }.check().is_err());
        assert!(SimConfig { keys: vec![SimKey::new("a", "")], ..SimConfig::pool() }.check().is_err());
    }

    #[test]
    fn unknown_fields_are_refused() {
        let error = serde_json::from_str::<SimConfig>(r#"{"models":[{"name":"m","tokens":3}]}"#).unwrap_err();
        assert!(error.to_string().contains("tokens"), "{error}");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = serde_json::to_string(&SimConfig::pool()).unwrap();
        assert_eq!(serde_json::from_str::<SimConfig>(&text).unwrap(), SimConfig::pool());
    }
}
