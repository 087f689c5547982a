//! A cache layer from a configuration file.

use std::{
    num::{NonZeroU64, NonZeroUsize},
    time::Duration,
};

use llm_core::{ConfigError, OneOrMany, duration};
use serde::{Deserialize, Deserializer, de::IntoDeserializer};

use crate::{CacheLayer, CacheRule, CacheRuleConfig, Replay, Scope};

/// A cache layer in a configuration file. Everything may be left out.
///
/// ```
/// use llm_cache::{CacheConfig, CacheLayer};
///
/// let config: CacheConfig = toml::from_str(r#"
///     scope = "tenant"
///     capacity = 268_435_456
///     ttl = "6h"
///     stale_if_error = "2days"
///     irrelevant_fields = ["x_trace_id"]
///     replay = "20ms"
/// "#)?;
/// let layer = CacheLayer::try_from(config)?;
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// See [`CacheLayer::scope`]: `tenant`, `user` or `everyone`. Defaults to tenant.
    pub scope: Option<Scope>,
    /// See [`CacheLayer::irrelevant_fields`]: a name or a list of them.
    pub irrelevant_fields: Option<OneOrMany<String>>,
    /// See [`CacheLayer::capacity`], in bytes. At least 1. Defaults to 67,108,864.
    pub capacity: Option<u64>,
    /// See [`CacheLayer::entry_limit`], in bytes. From 1 to the capacity. Defaults to 1,048,576, or the capacity where
    /// that is less.
    pub entry_limit: Option<u64>,
    /// Whether the store is [local](crate::MemoryStore::local), so that answers to sensitive calls are kept. Defaults to no.
    pub local: bool,
    /// See [`CacheLayer::ttl`]. Defaults to `"1h"`.
    #[serde(with = "duration::option")]
    pub ttl: Option<Duration>,
    /// See [`CacheLayer::rules`]: the first that is about a call decides.
    pub rules: Vec<CacheRuleConfig>,
    /// See [`CacheLayer::stale_while_revalidate`]. Defaults to a tenth of each answer's time; `"0s"` turns it off.
    #[serde(with = "duration::option")]
    pub stale_while_revalidate: Option<Duration>,
    /// See [`CacheLayer::stale_if_error`]. Defaults to `"24h"`; `"0s"` turns it off.
    #[serde(with = "duration::option")]
    pub stale_if_error: Option<Duration>,
    /// See [`CacheLayer::keep_failures`]. Longer than zero. Off by default.
    #[serde(with = "duration::option")]
    pub keep_failures: Option<Duration>,
    /// See [`CacheLayer::renewals`]. Defaults to 32.
    pub renewals: Option<usize>,
    /// See [`CacheLayer::replay`]: `"at_once"`, or the time before each piece, such as `"20ms"`, longer than zero and at
    /// most a second. Defaults to at once.
    pub replay: Option<ReplayConfig>,
}

/// How fast kept answers are streamed, in a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayConfig(pub Replay);

impl<'de> Deserialize<'de> for ReplayConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Self(match text.as_str() {
            "at_once" => Replay::AtOnce,
            pace => Replay::Paced(duration::deserialize(pace.into_deserializer())?),
        }))
    }
}

impl TryFrom<CacheConfig> for CacheLayer {
    type Error = ConfigError;

    fn try_from(config: CacheConfig) -> Result<Self, ConfigError> {
        let CacheConfig {
            scope,
            irrelevant_fields,
            capacity,
            entry_limit,
            local,
            ttl,
            rules,
            stale_while_revalidate,
            stale_if_error,
            keep_failures,
            renewals,
            replay,
        } = config;
        let mut layer = Self::new();
        let least = |key: &str| ConfigError::new(key, "the number of bytes must be at least 1");
        if let Some(bytes) = capacity {
            layer = layer.capacity(NonZeroU64::new(bytes).ok_or_else(|| least("capacity"))?);
        }
        let capacity = layer.own_capacity();
        let own_limit = layer.own_entry_limit().min(capacity.get());
        let limit = entry_limit.unwrap_or(own_limit);
        if limit > capacity.get() {
            let message = "an answer larger than the capacity would never be kept";
            return Err(ConfigError::new("entry_limit", message));
        }
        let limit = usize::try_from(limit).ok().and_then(NonZeroUsize::new).ok_or_else(|| least("entry_limit"))?;
        layer = layer.entry_limit(limit);
        if local {
            layer = layer.local();
        }
        if let Some(scope) = scope {
            layer = layer.scope(scope);
        }
        if let Some(names) = irrelevant_fields {
            layer = layer.irrelevant_fields(names.stated("irrelevant_fields")?.iter().map(String::as_str));
        }
        if let Some(ttl) = ttl {
            layer = layer.ttl(ttl);
        }
        let rules = rules
            .iter()
            .enumerate()
            .map(|(at, rule)| CacheRule::try_from(rule).map_err(|error| error.within(format_args!("rules[{at}]"))));
        layer = layer.rules(rules.collect::<Result<Vec<_>, _>>()?);
        if let Some(within) = stale_while_revalidate {
            layer = layer.stale_while_revalidate(within);
        }
        if let Some(within) = stale_if_error {
            layer = layer.stale_if_error(within);
        }
        if let Some(ttl) = keep_failures {
            if ttl.is_zero() {
                return Err(ConfigError::new("keep_failures", "the time must be longer than zero: leave it out"));
            }
            layer = layer.keep_failures(ttl);
        }
        if let Some(most) = renewals {
            layer = layer.renewals(most);
        }
        if let Some(ReplayConfig(replay)) = replay {
            if let Replay::Paced(pace) = replay
                && (pace.is_zero() || pace > Duration::from_secs(1))
            {
                return Err(ConfigError::new("replay", "the time must be longer than zero and at most a second"));
            }
            layer = layer.replay(replay);
        }
        Ok(layer)
    }
}
