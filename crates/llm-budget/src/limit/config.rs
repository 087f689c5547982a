//! A limit layer from a configuration file.

use std::{
    collections::HashSet,
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
};

use llm_core::{ConfigError, OneOrMany};
use serde::Deserialize;

use super::{LimitLayer, LimitRule, Per};

/// A limit layer in a configuration file. Everything may be left out.
///
/// ```
/// use llm_budget::limit::{LimitConfig, LimitLayer};
///
/// let config: LimitConfig = toml::from_str(r#"
///     [[limits]]
///     name = "per-tenant"
///     per = "tenant"
///     requests_per_minute = 600
///     tokens_per_minute = 200_000
///     at_once = 20
///
///     [[limits]]
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
    /// The limits. Calls must pass all that concern them.
    pub limits: Vec<LimitRuleConfig>,
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
    /// What callers are told apart by, see [`Per`]: `global` alone, or one or several of `tenant`, `user`, `workflow`,
    /// `job` and `model`.
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
    /// See [`LimitRule::workflows`].
    pub workflows: Option<OneOrMany<String>>,
    /// See [`LimitRule::jobs`].
    pub jobs: Option<OneOrMany<String>>,
    /// See [`LimitRule::models`].
    pub models: Option<OneOrMany<String>>,
}

impl LimitRuleConfig {
    fn build(&self) -> Result<LimitRule, ConfigError> {
        if self.name.is_empty() {
            return Err(ConfigError::new("name", "the name must not be empty"));
        }
        let mut rule = LimitRule::new(self.name.as_str(), self.per()?);
        if let Some(requests) = self.requests_per_minute {
            rule = rule.requests_per_minute(count("requests_per_minute", requests)?);
        }
        if let Some(tokens) = self.tokens_per_minute {
            let tokens = NonZeroU64::new(tokens);
            rule = rule.tokens_per_minute(tokens.ok_or_else(|| at_least_one("tokens_per_minute"))?);
        }
        if let Some(calls) = self.at_once {
            rule = rule.at_once(count("at_once", calls)?);
        }
        if rule.requests.is_none() && rule.tokens.is_none() && rule.at_once.is_none() {
            return Err(ConfigError::new("name", "the limit states no amount, so it limits nothing"));
        }
        if let Some(names) = &self.tenants {
            rule = rule.tenants(stated("tenants", names)?);
        }
        if let Some(names) = &self.users {
            rule = rule.users(stated("users", names)?);
        }
        if let Some(names) = &self.workflows {
            rule = rule.workflows(stated("workflows", names)?);
        }
        if let Some(names) = &self.jobs {
            rule = rule.jobs(stated("jobs", names)?);
        }
        if let Some(names) = &self.models {
            rule = rule.models(stated("models", names)?);
        }
        Ok(rule)
    }

    fn per(&self) -> Result<Per, ConfigError> {
        let mut per = Per::GLOBAL;
        for name in self.per.stated("per")? {
            let part = Per::named(name).ok_or_else(|| {
                ConfigError::new("per", "an entry must be tenant, user, workflow, job or model, or global alone")
            })?;
            if part == Per::GLOBAL && self.per.len() > 1 {
                return Err(ConfigError::new("per", "global is all calls together and stands alone"));
            }
            per = per.and(part);
        }
        Ok(per)
    }
}

fn stated<'a>(key: &str, names: &'a OneOrMany<String>) -> Result<impl Iterator<Item = &'a str>, ConfigError> {
    Ok(names.stated(key)?.iter().map(String::as_str))
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
        let mut names = HashSet::new();
        let mut rules = Vec::with_capacity(config.limits.len());
        for (number, limit) in config.limits.iter().enumerate() {
            let place = format_args!("limits[{number}]");
            rules.push(limit.build().map_err(|error| error.within(place))?);
            if !names.insert(&*limit.name) {
                return Err(ConfigError::new("name", "another limit has this name").within(place));
            }
        }
        let mut layer = Self::new(rules);
        if let Some(tokens) = config.expected_output {
            layer = layer.expected_output(tokens);
        }
        if let Some(most) = config.most_callers {
            layer = layer.most_callers(NonZeroUsize::new(most).ok_or_else(|| at_least_one("most_callers"))?);
        }
        Ok(layer)
    }
}
