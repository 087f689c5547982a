//! A breaker layer from a configuration file.

use std::{
    fmt,
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use llm_core::{ConfigError, Overrides, duration};
use serde::{
    Deserialize, Deserializer,
    de::{self, IntoDeserializer, MapAccess, value::MapAccessDeserializer},
};

use crate::{BreakerLayer, CircuitRules, Consecutive, Covers, Cusum, OpenTime, Probes, Rate, Trip};

/// A breaker layer in a configuration file: [`BreakerSettings`], and tables that override some of them for a provider
/// or a model. Everything may be left out.
///
/// ```
/// use llm_breaker::{BreakerConfig, BreakerLayer};
///
/// let config: BreakerConfig = toml::from_str(r#"
///     preset = "interactive"
///     slow_after = "15s"
///
///     [providers.local]
///     trip = { rule = "consecutive", failures = 3 }
///     open_for = "1s"
///
///     [models.o3]
///     slow_after = "off"
///     trip = { rule = "rate", window = "60s", min_calls = 20, share = 0.5 }
/// "#)?;
/// let layer = BreakerLayer::try_from(config)?;
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type BreakerConfig = Overrides<BreakerSettings>;

/// The settings of a breaker layer. What is not stated is as in the preset; durations are texts such as `"5s"`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerSettings {
    /// Where the other values come from. Defaults to interactive.
    pub preset: Option<BreakerPreset>,
    /// See [`CircuitRules::trip`]: the name of a rule, or a table with its name and its values.
    #[serde(deserialize_with = "trip")]
    pub trip: Option<TripConfig>,
    /// How long a circuit is open the first time, see [`OpenTime`]. From a millisecond to a day.
    #[serde(with = "duration::option")]
    pub open_for: Option<Duration>,
    /// The longest that it is open, see [`OpenTime`]. From `open_for` to a day.
    #[serde(with = "duration::option")]
    pub open_at_most: Option<Duration>,
    /// The share around it that an open time is drawn from, see [`OpenTime::jitter`]. From 0 to below 1.
    pub jitter: Option<f64>,
    /// How many probes there may be at once, see [`Probes`]. From 1 to 15.
    pub probes: Option<u8>,
    /// How many of them must succeed, see [`Probes`]. From 1 to 15.
    pub successes: Option<u8>,
    /// See [`CircuitRules::lease`]. From a millisecond to a day.
    #[serde(with = "duration::option")]
    pub lease: Option<Duration>,
    /// See [`CircuitRules::longest_advice`]. From a millisecond to a day.
    #[serde(with = "duration::option")]
    pub longest_advice: Option<Duration>,
    /// See [`CircuitRules::slow_after`]: a duration longer than zero, or `"off"`.
    #[serde(deserialize_with = "slow_after")]
    pub slow_after: Option<SlowAfter>,
    /// See [`BreakerLayer::per`]: `target` or `provider`. For all targets.
    pub per: Option<Covers>,
    /// See [`BreakerLayer::most_circuits`]. At least 1. For all targets.
    pub most_circuits: Option<usize>,
}

/// Which of the presets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerPreset {
    /// [`CircuitRules::interactive`].
    Interactive,
    /// [`CircuitRules::batch`].
    Batch,
}

/// A trip rule in a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case", deny_unknown_fields)]
pub enum TripConfig {
    /// See [`Cusum::new`].
    Cusum {
        /// Defaults to 0.2.
        usual: Option<f64>,
        /// Defaults to 0.6.
        broken: Option<f64>,
        /// Defaults to 8.
        threshold: Option<f64>,
    },
    /// See [`Consecutive::after`].
    Consecutive {
        /// Defaults to 5, at least 1.
        failures: Option<u32>,
    },
    /// See [`Rate::new`].
    Rate {
        /// Defaults to 60 seconds.
        #[serde(default, with = "duration::option")]
        window: Option<Duration>,
        /// Defaults to 20, at least 1.
        min_calls: Option<u32>,
        /// Defaults to 0.5.
        share: Option<f64>,
    },
}

/// From when on an answer is slow, in a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowAfter {
    /// Never.
    Off,
    /// When the first content has taken longer.
    After(Duration),
}

impl TripConfig {
    fn build(self) -> Result<Trip, ConfigError> {
        let at_least_one =
            |name, count| NonZeroU32::new(count).ok_or_else(|| ConfigError::new(name, "the number must be at least 1"));
        Ok(match self {
            Self::Cusum { usual, broken, threshold } => {
                Cusum::new(usual.unwrap_or(0.2), broken.unwrap_or(0.6), threshold.unwrap_or(8.0))?.into()
            }
            Self::Consecutive { failures } => {
                Consecutive::after(at_least_one("failures", failures.unwrap_or(5))?).into()
            }
            Self::Rate { window, min_calls, share } => {
                let window = window.unwrap_or(Duration::from_secs(60));
                Rate::new(window, at_least_one("min_calls", min_calls.unwrap_or(20))?, share.unwrap_or(0.5))?.into()
            }
        })
    }
}

impl BreakerSettings {
    /// What is stated here, over `inherited`.
    fn over(&self, inherited: CircuitRules) -> Result<CircuitRules, ConfigError> {
        let mut rules = match self.preset {
            None => inherited,
            Some(BreakerPreset::Interactive) => CircuitRules::interactive(),
            Some(BreakerPreset::Batch) => CircuitRules::batch(),
        };
        if let Some(trip) = self.trip {
            rules = rules.trip(trip.build().map_err(|error| error.within("trip"))?);
        }
        if self.open_for.is_some() || self.open_at_most.is_some() || self.jitter.is_some() {
            let known = rules.open_for;
            let open_for = OpenTime::new(
                self.open_for.unwrap_or(known.base()),
                self.open_at_most.unwrap_or(known.longest().max(self.open_for.unwrap_or_default())),
            )?;
            rules = rules.open_for(open_for.jitter(self.jitter.unwrap_or(known.jitter_share()))?);
        }
        if self.probes.is_some() || self.successes.is_some() {
            let (at_once, successes) = (rules.probes.at_once(), rules.probes.successes());
            rules = rules.probes(Probes::new(self.probes.unwrap_or(at_once), self.successes.unwrap_or(successes))?);
        }
        if let Some(lease) = self.lease {
            rules = rules.lease(within_a_day("lease", lease)?);
        }
        if let Some(longest) = self.longest_advice {
            rules = rules.longest_advice(within_a_day("longest_advice", longest)?);
        }
        Ok(match self.slow_after {
            None => rules,
            Some(SlowAfter::Off) => rules.slow_after(None),
            Some(SlowAfter::After(Duration::ZERO)) => {
                return Err(ConfigError::new("slow_after", "the time must be longer than zero, or \"off\""));
            }
            Some(SlowAfter::After(time)) => rules.slow_after(time),
        })
    }

    /// The name of a setting that is stated here and can only hold for all targets.
    fn of_all_targets(&self) -> Option<&'static str> {
        let stated = [("per", self.per.is_some()), ("most_circuits", self.most_circuits.is_some())];
        stated.into_iter().find_map(|(name, is_stated)| is_stated.then_some(name))
    }
}

fn within_a_day(name: &str, time: Duration) -> Result<Duration, ConfigError> {
    if (Duration::from_millis(1)..=Duration::from_secs(86_400)).contains(&time) {
        Ok(time)
    } else {
        Err(ConfigError::new(name, "the time must be from a millisecond to a day"))
    }
}

impl TryFrom<BreakerConfig> for BreakerLayer {
    type Error = ConfigError;

    fn try_from(config: BreakerConfig) -> Result<Self, ConfigError> {
        config.refuse_in_tables(BreakerSettings::of_all_targets)?;
        let mut layer = Self::new().rules(config.resolve(CircuitRules::interactive(), BreakerSettings::over)?);
        if let Some(per) = config.all.per {
            layer = layer.per(per);
        }
        if let Some(most) = config.all.most_circuits {
            let most = NonZeroUsize::new(most)
                .ok_or_else(|| ConfigError::new("most_circuits", "the number must be at least 1"))?;
            layer = layer.most_circuits(most);
        }
        Ok(layer)
    }
}

/// A rule by its name alone, or as a table.
fn trip<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TripConfig>, D::Error> {
    struct Visitor;
    impl<'de> de::Visitor<'de> for Visitor {
        type Value = TripConfig;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("\"cusum\", \"consecutive\", \"rate\", or a table with one of them as its `rule`")
        }

        fn visit_str<E: de::Error>(self, name: &str) -> Result<TripConfig, E> {
            let table = [("rule", name)].into_iter();
            TripConfig::deserialize(de::value::MapDeserializer::new(table))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TripConfig, A::Error> {
            TripConfig::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_any(Visitor).map(Some)
}

fn slow_after<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SlowAfter>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(Some(match text.as_str() {
        "off" => SlowAfter::Off,
        time => SlowAfter::After(duration::deserialize(time.into_deserializer())?),
    }))
}
