//! A limit layer from a configuration file.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

use llm_core::{ConfigError, OneOrMany};
use serde::Deserialize;

use super::{LimitLayer, LimitRule};
use crate::{
    concerns::Lists,
    scope::{self, Scope, Stated},
};

/// A limit layer in a configuration file. Everything but the rules may be left out.
///
/// ```
/// use llm_budget::limit::{LimitConfig, LimitLayer};
///
/// let config: LimitConfig = toml::from_str(r#"
///     [[rules]]
///     name = "per-tenant"
///     per = "tenant"
///     requests_per_minute = 600
///     tokens_per_minute = 200_000
///     at_once = 20
///
///     [[rules]]
///     name = "per-user-and-model"
///     per = ["user", "model"]
///     requests_per_minute = 60
///     tenants = ["acme"]
/// "#)?;
/// let layer = LimitLayer::try_from(config)?;
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitConfig {
    /// The limits, at least one. Calls must pass all that concern them.
    pub rules: Vec<LimitRuleConfig>,
    /// See [`LimitLayer::most_callers`]. At least 1.
    pub most_callers: Option<usize>,
    /// See [`LimitLayer::expected_output`]. May be zero.
    pub expected_output: Option<u64>,
}

/// One limit in a configuration file. It must state an amount.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitRuleConfig {
    /// Its name, which no other limit has. Callers see it.
    pub name: String,
    /// What callers are told apart by, see [`Per`](crate::Per): `global` alone, or one or several of `tenant`, `user`,
    /// `key`, `workflow`, `job` and `model`. Defaults to global.
    #[serde(default)]
    pub per: OneOrMany<String>,
    /// See [`LimitRule::requests_per_minute`]. At least 1.
    pub requests_per_minute: Option<u64>,
    /// See [`LimitRule::tokens_per_minute`]. At least 1.
    pub tokens_per_minute: Option<u64>,
    /// See [`LimitRule::at_once`]. At least 1.
    pub at_once: Option<u64>,
    /// See [`LimitRule::tenants`]. Left out, all are limited, and so with the lists below.
    pub tenants: Option<OneOrMany<String>>,
    /// See [`LimitRule::users`].
    pub users: Option<OneOrMany<String>>,
    /// See [`LimitRule::keys`].
    pub keys: Option<OneOrMany<String>>,
    /// See [`LimitRule::workflows`].
    pub workflows: Option<OneOrMany<String>>,
    /// See [`LimitRule::jobs`].
    pub jobs: Option<OneOrMany<String>>,
    /// See [`LimitRule::models`].
    pub models: Option<OneOrMany<String>>,
    /// The name of a limit before this one, see [`LimitRule::instead_of`].
    pub instead_of: Option<String>,
}

impl LimitRuleConfig {
    fn build(&self) -> Result<LimitRule, ConfigError> {
        let Self { name, per, requests_per_minute, tokens_per_minute, at_once, .. } = self;
        let Self { tenants, users, keys, workflows, jobs, models, instead_of, .. } = self;
        let lists = Lists { tenants, users, keys, workflows, jobs, models };
        let mut rule = LimitRule::scoped(Scope::stated(&Stated { name, per, lists, instead_of })?);
        if let Some(requests) = *requests_per_minute {
            rule = rule.requests_per_minute(count("requests_per_minute", requests)?);
        }
        if let Some(tokens) = *tokens_per_minute {
            let tokens = NonZeroU64::new(tokens);
            rule = rule.tokens_per_minute(tokens.ok_or_else(|| at_least_one("tokens_per_minute"))?);
        }
        if let Some(calls) = *at_once {
            rule = rule.at_once(count("at_once", calls)?);
        }
        if rule.requests.is_none() && rule.tokens.is_none() && rule.at_once.is_none() {
            return Err(ConfigError::new("name", "the limit states no amount, so it limits nothing"));
        }
        Ok(rule)
    }
}

fn at_least_one(name: &str) -> ConfigError {
    ConfigError::new(name, "the number must be at least 1")
}

fn count(name: &str, count: u64) -> Result<NonZeroU32, ConfigError> {
    let count = u32::try_from(count).map_err(|_| ConfigError::new(name, "the number must be below 2^32"))?;
    NonZeroU32::new(count).ok_or_else(|| at_least_one(name))
}

impl TryFrom<LimitConfig> for LimitLayer {
    type Error = ConfigError;

    fn try_from(config: LimitConfig) -> Result<Self, ConfigError> {
        let rules = scope::stated("rules", &config.rules, LimitRuleConfig::build)?;
        let is_in_vain = rules.is_empty();
        let mut layer = Self::new(rules);
        if let Some(tokens) = config.expected_output {
            layer = layer.expected_output(tokens);
        }
        if let Some(most) = config.most_callers {
            layer = layer.most_callers(NonZeroUsize::new(most).ok_or_else(|| at_least_one("most_callers"))?);
        }
        if is_in_vain {
            return Err(ConfigError::new("rules", "there is none, so nothing is limited"));
        }
        Ok(layer)
    }
}
