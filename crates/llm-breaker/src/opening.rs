//! How long a circuit stays open, and how it is tried again.

use std::time::Duration;

use llm_core::ConfigError;
use serde::Deserialize;

use crate::state::{LONGEST, MOST, Millis};

const DAY: Duration = Duration::from_secs(86_400);
const JITTER: f64 = 0.2;

/// How long a circuit stays open before a probe: a base that doubles with each opening in a row, up to a longest.
///
/// Each time is drawn from 20 % around that, so that circuits which opened together are not tried together; the
/// longest time is drawn so, too. Defaults to 5 seconds, doubling to 2 minutes: long enough for most restarts and
/// failovers of a provider, short enough that after an hour's outage nobody waits long for the end of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpenTime {
    base: Duration,
    longest: Duration,
    jitter: f64,
}

impl OpenTime {
    pub(crate) const BATCH: Self =
        Self { base: Duration::from_secs(15), longest: Duration::from_secs(600), jitter: JITTER };

    /// `base` the first time, and twice the time before with each further opening, but not above `longest`.
    ///
    /// # Errors
    /// Unless a millisecond ≤ base ≤ longest ≤ a day.
    pub fn new(base: Duration, longest: Duration) -> Result<Self, ConfigError> {
        if !(Duration::from_millis(1)..=DAY).contains(&base) {
            return Err(ConfigError::new("open_for", "the time must be from a millisecond to a day"));
        }
        if !(base..=DAY).contains(&longest) {
            return Err(ConfigError::new("open_at_most", "the time must be from `open_for` to a day"));
        }
        Ok(Self { base, longest, ..Self::default() })
    }

    /// Draws each time from this share around it, from 0 (not at all) to, and never, 1. Defaults to 0.2.
    ///
    /// # Errors
    /// For any other share.
    pub fn jitter(self, share: f64) -> Result<Self, ConfigError> {
        if !(0.0..1.0).contains(&share) {
            return Err(ConfigError::new("jitter", "the share must be from 0 to below 1"));
        }
        Ok(Self { jitter: share, ..self })
    }

    pub(crate) const fn base(self) -> Duration {
        self.base
    }

    pub(crate) const fn longest(self) -> Duration {
        self.longest
    }

    pub(crate) const fn jitter_share(self) -> f64 {
        self.jitter
    }

    pub(crate) fn shortest(self) -> Millis {
        bounded(self.base)
    }

    /// The time after `openings` in a row, where `unit` was drawn from 0 to 1.
    pub(crate) fn draw(self, openings: u8, unit: f64) -> Millis {
        let time = self.base.saturating_mul(1 << openings).min(self.longest);
        let drawn = time.as_secs_f64() * (1.0 + self.jitter * (2.0 * unit - 1.0));
        ((drawn * 1_000.0).round() as Millis).max(1)
    }
}

impl Default for OpenTime {
    fn default() -> Self {
        Self { base: Duration::from_secs(5), longest: Duration::from_secs(120), jitter: JITTER }
    }
}

/// How a circuit that was open is tried: how many calls at once, and how many must succeed to close it.
///
/// Defaults to one and one. A failure of any of them opens it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probes {
    at_once: u8,
    successes: u8,
}

impl Probes {
    /// One call at a time, the first success closes.
    pub const ONE: Self = Self { at_once: 1, successes: 1 };
    pub(crate) const THREE: Self = Self { at_once: 1, successes: 3 };

    /// `at_once` calls at a time, closed by `successes`.
    ///
    /// # Errors
    /// Unless both are from 1 to 15.
    pub fn new(at_once: u8, successes: u8) -> Result<Self, ConfigError> {
        for (name, count) in [("probes", at_once), ("successes", successes)] {
            if !(1..=MOST).contains(&count) {
                return Err(ConfigError::new(name, format!("the number must be from 1 to {MOST}")));
            }
        }
        Ok(Self { at_once, successes })
    }

    pub(crate) const fn at_once(self) -> u8 {
        self.at_once
    }

    pub(crate) const fn successes(self) -> u8 {
        self.successes
    }
}

impl Default for Probes {
    fn default() -> Self {
        Self::ONE
    }
}

/// What a circuit covers, beside the one that each provider key has anyway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Covers {
    /// One model of a provider, with one of its keys: a model that fails does not take the others with it.
    #[default]
    Target,
    /// All models of a provider, with one of its keys: fewer calls until it opens, where providers fail as a whole.
    /// That a model is missing is still a matter of that model alone.
    Provider,
}

/// From a millisecond to a day, so that it fits what is kept of a circuit.
pub(crate) fn bounded(time: Duration) -> Millis {
    time.clamp(Duration::from_millis(1), DAY).as_millis() as Millis
}

// With the most jitter the longest time is drawn from up to twice as much.
const _: () = assert!(2 * DAY.as_millis() < LONGEST as u128);
