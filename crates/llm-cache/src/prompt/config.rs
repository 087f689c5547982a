//! A prompt-cache layer from a configuration file.

use std::time::Duration;

use llm_core::{CacheTtl, ConfigError, Overrides, duration};
use serde::Deserialize;

use super::PromptCacheLayer;

/// A prompt-cache layer in a configuration file. Everything may be left out; tables for a provider or a model override
/// `least_tokens`.
///
/// ```
/// use llm_cache::prompt::{PromptCacheConfig, PromptCacheLayer};
///
/// let config: PromptCacheConfig = toml::from_str(r#"
///     keep_for = "1h"
///
///     [models.claude-haiku-4-5]
///     least_tokens = 4_096
/// "#)?;
/// let layer = PromptCacheLayer::try_from(config)?;
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type PromptCacheConfig = Overrides<PromptCacheSettings>;

/// The settings of a prompt-cache layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PromptCacheSettings {
    /// See [`PromptCacheLayer::keep_for`]: `"5m"` or `"1h"`. Defaults to five minutes. For all targets.
    #[serde(with = "duration::option")]
    pub keep_for: Option<Duration>,
    /// See [`PromptCacheLayer::least_tokens`]. Defaults to 1,024.
    pub least_tokens: Option<u64>,
}

impl TryFrom<PromptCacheConfig> for PromptCacheLayer {
    type Error = ConfigError;

    fn try_from(config: PromptCacheConfig) -> Result<Self, ConfigError> {
        config.refuse_in_tables(|table| table.keep_for.map(|_| "keep_for"))?;
        let least = config.resolve(Self::LEAST_TOKENS, |table, least| Ok(table.least_tokens.unwrap_or(least)))?;
        let mut layer = Self::new().least_tokens(least);
        if let Some(time) = config.all.keep_for {
            layer = layer.keep_for(match time.as_secs() {
                300 => CacheTtl::FiveMinutes,
                3_600 => CacheTtl::OneHour,
                _ => return Err(ConfigError::new("keep_for", "providers keep prompts for 5m or for 1h")),
            });
        }
        Ok(layer)
    }
}
