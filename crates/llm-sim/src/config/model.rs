//! One simulated model: its pace, its prices, its limits and its faults.

use std::{collections::BTreeSet, time::Duration};

use llm_core::{
    ConfigError, PicoUsd,
    catalog::{self, Capability, Mode},
};
use serde::{Deserialize, Serialize};

use crate::FaultRule;

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
    /// a model with `reasoning` reasons before it answers (in Anthropic's dialect, if it is asked to).
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

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let bad = |key: &str, message: &str| Err(ConfigError::new(key, message));
        if self.name.trim().is_empty() || self.name.chars().any(char::is_control) {
            return bad("name", "is blank or has control characters in it");
        }
        if self.tokens_per_second.is_nan() || self.tokens_per_second <= 0.0 {
            return bad("tokens_per_second", "must be above zero");
        }
        if 1.0 / self.tokens_per_second > 3600.0 {
            return bad("tokens_per_second", "is less than one token an hour");
        }
        if self.output_tokens == 0 {
            return bad("output_tokens", "must be at least 1");
        }
        if !(0.0..=2.0).contains(&self.output_spread) {
            return bad("output_spread", "must be between 0 and 2");
        }
        if self.context_window == 0 {
            return bad("context_window", "must be at least 1");
        }
        if self.dimensions.is_some_and(|dimensions| !(2..=65_536).contains(&dimensions)) {
            return bad("dimensions", "must be between 2 and 65,536");
        }
        if self.requests_per_minute == Some(0) {
            return bad("requests_per_minute", "must be at least 1");
        }
        if self.tokens_per_minute == Some(0) {
            return bad("tokens_per_minute", "must be at least 1");
        }
        self.check_prices()?;
        let mut rules = self.faults.iter().enumerate();
        rules.try_for_each(|(at, rule)| rule.check().map_err(|error| error.within(format_args!("faults[{at}]"))))
    }

    pub(super) fn check_prices(&self) -> Result<(), ConfigError> {
        for (key, usd) in [("input", self.input), ("output", self.output)] {
            usd.map(PicoUsd::per_million_tokens_f64)
                .transpose()
                .map_err(|error| ConfigError::new(key, error.to_string()))?;
        }
        match (self.input, self.output) {
            (Some(_), None) if self.dimensions.is_none() => {
                Err(ConfigError::new("input", "is stated, but `output` is not"))
            }
            (None, Some(_)) => Err(ConfigError::new("output", "is stated, but `input` is not")),
            _ => Ok(()),
        }
    }

    pub(super) fn facts(&self) -> catalog::ModelConfig {
        use Capability::{Audio, Files, JsonSchema, Reasoning, Streaming, Tools, Vision};
        let is_chat = self.dimensions.is_none();
        let capabilities = [Tools, Vision, Audio, Files, JsonSchema, Reasoning];
        let stated = capabilities.map(|capability| (capability, self.can(capability)));
        catalog::ModelConfig {
            name: self.name.clone(),
            mode: Some(if is_chat { Mode::Chat } else { Mode::Embedding }),
            input: self.input,
            output: self.output,
            context_window: Some(self.context_window),
            capabilities: stated.into_iter().chain([(Streaming, is_chat)]).collect(),
            ..Default::default()
        }
    }
}
