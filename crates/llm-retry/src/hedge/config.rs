//! A hedge layer from a configuration file.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use llm_core::{ConfigError, Overrides};
use serde::Deserialize;

use super::{After, HedgeLayer, HedgeQuota};

/// A hedge layer in a configuration file: [`HedgeSettings`], and tables that override some of them for a provider or a
/// model. Everything may be left out.
///
/// ```
/// use llm_retry::hedge::{HedgeConfig, HedgeLayer};
///
/// let config: HedgeConfig = toml::from_str(r#"
///     floor = "500ms"
///     percent = 5
///     [models.o3]
///     fixed = "20s"
/// "#)?;
/// let layer = HedgeLayer::try_from(config)?;
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type HedgeConfig = Overrides<HedgeSettings>;

/// The settings of a hedge layer. Durations are texts such as `"300ms"`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HedgeSettings {
    /// See [`After::Fixed`]. More than zero. Not beside `floor` or `samples`.
    #[serde(with = "llm_core::duration::option")]
    pub fixed: Option<Duration>,
    /// See [`After::P95`]. Defaults to 300 milliseconds.
    #[serde(with = "llm_core::duration::option")]
    pub floor: Option<Duration>,
    /// See [`After::P95`]. Defaults to 50, at least 20: of fewer there is no 95th percentile.
    pub samples: Option<u32>,
    /// See [`HedgeQuota::percent`]. From 1 to 100. For all targets.
    pub percent: Option<u32>,
    /// See [`HedgeQuota::burst`]. From 1 to 1,000. For all targets.
    pub burst: Option<u32>,
    /// See [`HedgeLayer::targets`]. At least 1. For all targets.
    pub targets: Option<usize>,
}

impl HedgeSettings {
    /// What is stated here, over `inherited`.
    fn over(&self, inherited: After) -> Result<After, ConfigError> {
        let is_observed = self.floor.is_some() || self.samples.is_some();
        match self.fixed {
            Some(_) if is_observed => Err(ConfigError::new(
                "fixed",
                "with a fixed delay nothing is observed: leave out `floor` and `samples`",
            )),
            Some(Duration::ZERO) => {
                Err(ConfigError::new("fixed", "it must be more than zero, or every call would be made twice"))
            }
            Some(delay) => Ok(After::Fixed(delay)),
            None if is_observed => self.observed(inherited),
            None => Ok(inherited),
        }
    }

    fn observed(&self, inherited: After) -> Result<After, ConfigError> {
        let (floor, samples) = match inherited {
            After::Fixed(_) => (After::FLOOR, After::SAMPLES),
            After::P95 { floor, samples } => (floor, samples),
        };
        let samples = match self.samples {
            None => samples,
            Some(stated) => NonZeroU32::new(stated).filter(|samples| samples.get() >= 20).ok_or_else(|| {
                ConfigError::new("samples", "it must be at least 20; of fewer there is no percentile")
            })?,
        };
        Ok(After::P95 { floor: self.floor.unwrap_or(floor), samples })
    }

    /// The name of a setting that is stated here and can only hold for all targets.
    fn of_all_targets(&self) -> Option<&'static str> {
        let stated =
            [("percent", self.percent.is_some()), ("burst", self.burst.is_some()), ("targets", self.targets.is_some())];
        stated.into_iter().find_map(|(name, is_stated)| is_stated.then_some(name))
    }

    fn quota(&self) -> Result<HedgeQuota, ConfigError> {
        let percent = self.percent.unwrap_or(10);
        if !(1..=100).contains(&percent) {
            return Err(ConfigError::new("percent", "it must be from 1 to 100"));
        }
        let quota = HedgeQuota::percent(percent);
        let Some(burst) = self.burst else { return Ok(quota) };
        let burst = NonZeroU32::new(burst).filter(|burst| burst.get() <= 1_000);
        burst.map(|burst| quota.burst(burst)).ok_or_else(|| ConfigError::new("burst", "it must be from 1 to 1000"))
    }
}

impl TryFrom<HedgeConfig> for HedgeLayer {
    type Error = ConfigError;

    fn try_from(config: HedgeConfig) -> Result<Self, ConfigError> {
        config.refuse_in_tables(HedgeSettings::of_all_targets)?;
        let after = config.resolve(After::OBSERVED, HedgeSettings::over)?;
        let layer = Self::new().after(after).quota(config.all.quota()?);
        let Some(targets) = config.all.targets else { return Ok(layer) };
        let targets = NonZeroUsize::new(targets);
        targets
            .map(|targets| layer.targets(targets))
            .ok_or_else(|| ConfigError::new("targets", "it must be at least 1; further targets share one state"))
    }
}
