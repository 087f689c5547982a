//! A retry layer from a configuration file.

use std::{
    num::{NonZeroU16, NonZeroUsize},
    time::Duration,
};

use llm_core::{ConfigError, Overrides};
use serde::Deserialize;

use crate::{Jitter, RetryLayer, RetryQuota, RetryRules};

/// A retry layer in a configuration file: [`RetrySettings`], and tables that override some of them for a provider or a
/// model. Everything may be left out.
///
/// ```
/// use llm_retry::{RetryConfig, RetryLayer};
///
/// let config: RetryConfig = toml::from_str(r#"
///     preset = "interactive"
///     cap = "10s"
///     quota = { percent = 10 }
///     [providers.local]
///     base = "20ms"
///     [models.o3]
///     longest_advice = "2m"
/// "#)?;
/// let layer = RetryLayer::try_from(config)?;
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type RetryConfig = Overrides<RetrySettings>;

/// The settings of a retry layer. What is not stated is as in the preset; durations are texts such as `"250ms"`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetrySettings {
    /// Where the other values come from. Defaults to interactive.
    pub preset: Option<RetryPreset>,
    /// See [`RetryRules::base`]. More than zero.
    #[serde(with = "llm_core::duration::option")]
    pub base: Option<Duration>,
    /// See [`RetryRules::throttled_base`]. More than zero.
    #[serde(with = "llm_core::duration::option")]
    pub throttled_base: Option<Duration>,
    /// See [`RetryRules::cap`]. No less than either base.
    #[serde(with = "llm_core::duration::option")]
    pub cap: Option<Duration>,
    /// See [`RetryRules::longest_advice`]. Zero gives up whenever a wait is advised.
    #[serde(with = "llm_core::duration::option")]
    pub longest_advice: Option<Duration>,
    /// See [`RetryRules::most_retries`]. Zero in a table retries nothing there; for all targets it is at least 1.
    pub most_retries: Option<u32>,
    /// See [`RetryLayer::jitter`]: `full` or `none`. For all targets.
    pub jitter: Option<Jitter>,
    /// See [`RetryLayer::quota`]. For all targets.
    pub quota: Option<QuotaConfig>,
    /// See [`RetryLayer::targets`]. At least 1. For all targets.
    pub targets: Option<usize>,
}

/// Which of the presets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryPreset {
    /// [`RetryRules::INTERACTIVE`].
    Interactive,
    /// [`RetryRules::BATCH`].
    Batch,
}

/// A [`RetryQuota`] in a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuotaConfig {
    /// Whether there is one. Defaults to true.
    pub enabled: bool,
    /// See [`RetryQuota::percent`]. Defaults to 20, at most 1,000.
    pub percent: u32,
    /// See [`RetryQuota::per_second`]. Defaults to 1, at most 1,000. More than zero where `percent` is zero.
    pub per_second: u32,
    /// See [`RetryQuota::seconds`]. Defaults to 10, at least 1, at most 3,600.
    pub seconds: u16,
}

impl Default for QuotaConfig {
    fn default() -> Self {
        Self { enabled: true, percent: 20, per_second: 1, seconds: 10 }
    }
}

impl RetrySettings {
    /// What is stated here, over `inherited`.
    fn over(&self, inherited: RetryRules) -> Result<RetryRules, ConfigError> {
        let mut rules = match self.preset {
            None => inherited,
            Some(RetryPreset::Interactive) => RetryRules::INTERACTIVE,
            Some(RetryPreset::Batch) => RetryRules::BATCH,
        };
        if let Some(base) = self.base {
            rules = rules.base(spread("base", base)?);
        }
        if let Some(base) = self.throttled_base {
            rules = rules.throttled_base(spread("throttled_base", base)?);
        }
        if let Some(cap) = self.cap {
            rules = rules.cap(cap);
        }
        if let Some(longest) = self.longest_advice {
            rules = rules.longest_advice(longest);
        }
        if let Some(most) = self.most_retries {
            rules = rules.most_retries(most);
        }
        if rules.is_capped_below_base() {
            return Err(ConfigError::new("cap", "it must be at least as long as `base` and `throttled_base`"));
        }
        Ok(rules)
    }

    /// The name of a setting that is stated here and can only hold for all targets.
    fn of_all_targets(&self) -> Option<&'static str> {
        let stated =
            [("jitter", self.jitter.is_some()), ("quota", self.quota.is_some()), ("targets", self.targets.is_some())];
        stated.into_iter().find_map(|(name, is_stated)| is_stated.then_some(name))
    }
}

fn spread(path: &str, base: Duration) -> Result<Duration, ConfigError> {
    if base.is_zero() {
        return Err(ConfigError::new(path, "it must be more than zero, or all retries would come at once"));
    }
    Ok(base)
}

impl QuotaConfig {
    fn check(self) -> Result<Option<RetryQuota>, ConfigError> {
        if !self.enabled {
            return Ok(None);
        }
        let most = 1_000;
        if self.percent > most {
            return Err(ConfigError::new("quota.percent", format!("it must be at most {most}")));
        }
        if self.per_second > most {
            return Err(ConfigError::new("quota.per_second", format!("it must be at most {most}")));
        }
        if self.percent == 0 && self.per_second == 0 {
            return Err(ConfigError::new("quota", "with neither a share nor a floor nothing could be retried"));
        }
        let seconds = NonZeroU16::new(self.seconds).filter(|seconds| seconds.get() <= 3_600);
        let seconds = seconds.ok_or_else(|| ConfigError::new("quota.seconds", "it must be from 1 to 3600"))?;
        Ok(Some(RetryQuota::percent(self.percent).per_second(self.per_second).seconds(seconds)))
    }
}

impl TryFrom<RetryConfig> for RetryLayer {
    type Error = ConfigError;

    fn try_from(config: RetryConfig) -> Result<Self, ConfigError> {
        config.refuse_in_tables(RetrySettings::of_all_targets)?;
        if config.all.most_retries == Some(0) {
            return Err(ConfigError::new("most_retries", "without any retry the layer does nothing"));
        }
        let rules = config.resolve(RetryRules::INTERACTIVE, RetrySettings::over)?;
        let all = config.all;
        let mut layer = Self::new().rules(rules).jitter(all.jitter.unwrap_or_default());
        if let Some(quota) = all.quota {
            layer = layer.quota(quota.check()?);
        }
        if let Some(targets) = all.targets {
            let sentence = "it must be at least 1; further targets share one quota";
            let targets = NonZeroUsize::new(targets).ok_or_else(|| ConfigError::new("targets", sentence))?;
            layer = layer.targets(targets);
        }
        Ok(layer)
    }
}
