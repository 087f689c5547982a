//! The rules that keep a score: CUSUM and consecutive failures.

use std::num::NonZeroU32;

use llm_core::ConfigError;

use crate::{Sample, Step, TripRule, Weight};

/// Scores are kept in units of this fraction.
const UNIT: f64 = 1024.0;

/// Opens when failures have become more than usual, as a one-sided CUSUM test sees it. The default rule.
///
/// Each failure adds `ln(p1 / p0)` to a score, each success takes `ln((1 - p0) / (1 - p1))` away, and below zero it
/// does not go: it is the evidence that failures come at a rate of `p1` and not of `p0`, and the circuit opens when
/// that reaches the threshold. There is no window, no clock and no smallest number of calls, so it takes as many calls
/// at one in ten seconds as at a hundred a second: by default eight failures in a row, or about thirty calls when
/// every second one fails.
///
/// In return false alarms come per call, not per time: at a base rate of 15 % failures one in about 250,000 calls
/// opens a healthy circuit, at 20 % one in 19,000. Busy targets raise the threshold, or use a [`Rate`](crate::Rate).
///
/// Defaults to p0 = 0.2, p1 = 0.6 and a threshold of 8 (see Sources in the [crate docs](crate)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cusum {
    failure: u32,
    success: u32,
    threshold: u32,
}

impl Cusum {
    // ln(0.6 / 0.2), ln(0.8 / 0.4) and the threshold, in 1/1024; a test compares them with what `new` makes.
    pub(crate) const DEFAULT: Self = Self { failure: 1125, success: 710, threshold: 8 * 1024 };
    pub(crate) const BATCH: Self = Self { threshold: 12 * 1024, ..Self::DEFAULT };

    /// Tells a rate of failures of `broken` from one of `usual`, with this threshold.
    ///
    /// # Errors
    /// Unless `0 < usual < broken < 1` and the threshold is from 1 to 1,000.
    pub fn new(usual: f64, broken: f64, threshold: f64) -> Result<Self, ConfigError> {
        if !(usual > 0.0 && usual < 1.0) {
            return Err(ConfigError::new("usual", "the usual rate of failures must be between 0 and 1"));
        }
        if !(broken > usual && broken < 1.0) {
            return Err(ConfigError::new(
                "broken",
                "the rate of a broken provider must be between the usual one and 1",
            ));
        }
        if !(1.0..=1_000.0).contains(&threshold) {
            return Err(ConfigError::new("threshold", "the threshold must be from 1 to 1,000"));
        }
        let units = |value: f64| (value * UNIT).round() as u32;
        Ok(Self {
            failure: units((broken / usual).ln()),
            success: units(((1.0 - usual) / (1.0 - broken)).ln()),
            threshold: units(threshold),
        })
    }
}

impl Default for Cusum {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl TripRule for Cusum {
    fn after(&self, score: u32, sample: Sample) -> Step {
        match sample {
            Sample::Success => Step::Keep(score.saturating_sub(self.success)),
            Sample::Failure(weight) => {
                let added = u64::from(self.failure) * u64::from(weight.units()) / u64::from(Weight::ONE.units());
                match u32::try_from(u64::from(score) + added) {
                    Ok(score) if score < self.threshold => Step::Keep(score),
                    Ok(_) | Err(_) => Step::Trip,
                }
            }
        }
    }
}

/// Opens after this many failures in a row: the classic rule, five by default.
///
/// An answer that is only [slow](crate::CircuitRules::slow_after) counts half. At a base rate of 15 % failures a
/// healthy target that is called every ten seconds is opened on four days of ten, by [`Cusum`] on one of thirty (see
/// [`trip_rules`](crate::trip_rules)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consecutive(NonZeroU32);

impl Consecutive {
    /// After `failures` in a row.
    pub const fn after(failures: NonZeroU32) -> Self {
        Self(failures)
    }
}

impl Default for Consecutive {
    fn default() -> Self {
        Self(NonZeroU32::new(5).expect("five is not zero"))
    }
}

impl TripRule for Consecutive {
    fn after(&self, score: u32, sample: Sample) -> Step {
        match sample {
            Sample::Success => Step::Keep(0),
            Sample::Failure(weight) => {
                // "Five in a row" means five calls, however bad they were.
                let score = score.saturating_add(weight.min(Weight::ONE).units());
                let most = self.0.get().saturating_mul(Weight::ONE.units());
                if score < most { Step::Keep(score) } else { Step::Trip }
            }
        }
    }
}
