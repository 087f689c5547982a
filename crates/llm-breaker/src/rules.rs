//! What a circuit goes by.

use std::time::Duration;

use crate::{Cusum, OpenTime, Probes, Trip, opening::bounded, state::Millis};

/// What a circuit goes by: when it opens, for how long, and how it closes again. May differ by target, see
/// [`BreakerLayer::rules`](crate::BreakerLayer::rules).
///
/// ```
/// use std::{num::NonZeroU32, time::Duration};
/// use llm_breaker::{BreakerLayer, CircuitRules, Consecutive};
/// use llm_core::PerTarget;
///
/// let usual = CircuitRules::interactive().slow_after(Duration::from_secs(15));
/// let local = CircuitRules::interactive().trip(Consecutive::after(NonZeroU32::MIN));
/// let layer = BreakerLayer::new().rules(PerTarget::new(usual).provider("local", local));
/// # let _ = layer;
/// ```
#[derive(Clone, Debug)]
#[must_use = "rules do nothing until a layer is given them"]
pub struct CircuitRules {
    pub(crate) trip: Trip,
    pub(crate) open_for: OpenTime,
    pub(crate) probes: Probes,
    pub(crate) lease: Duration,
    pub(crate) longest_advice: Duration,
    pub(crate) slow_after: Option<Duration>,
}

impl CircuitRules {
    /// For calls that somebody waits for, and the default: a [`Cusum`] score, open for 5 seconds to 2 minutes, one
    /// probe that closes. Whoever waits is better off elsewhere at once, and wants to be back soon.
    pub fn interactive() -> Self {
        Self {
            trip: Trip::default(),
            open_for: OpenTime::default(),
            probes: Probes::ONE,
            lease: Duration::from_secs(150),
            longest_advice: Duration::from_secs(3_600),
            slow_after: None,
        }
    }

    /// For jobs that nobody waits for: a score with a threshold of 12, open for 15 seconds to 10 minutes, and three
    /// probes in a row to close.
    ///
    /// Jobs come many at a time and for hours, so a false alarm stops more, and is more likely: this threshold takes
    /// eleven failures in a row instead of eight, and makes false alarms fifty times rarer at a base rate of 20 %
    /// failures, and two hundred times at 15 %. Jobs can wait for a provider to be well again, and when the circuit closes
    /// all of them come at once, so a single success is not enough to let them.
    pub fn batch() -> Self {
        Self { trip: Cusum::BATCH.into(), open_for: OpenTime::BATCH, probes: Probes::THREE, ..Self::interactive() }
    }

    /// When the circuit opens: [`Cusum`], [`Consecutive`](crate::Consecutive), [`Rate`](crate::Rate), or a
    /// [rule of your own](crate::TripRule). Defaults to [`Cusum`].
    pub fn trip(self, trip: impl Into<Trip>) -> Self {
        Self { trip: trip.into(), ..self }
    }

    /// How long it stays open. Defaults to 5 seconds, doubling to 2 minutes.
    pub fn open_for(self, open_for: OpenTime) -> Self {
        Self { open_for, ..self }
    }

    /// How it is tried again. Defaults to one probe at a time, and one that succeeds closes.
    pub fn probes(self, probes: Probes) -> Self {
        Self { probes, ..self }
    }

    /// For how long a probe that brings nothing keeps its place. With each content that it brings the time begins anew,
    /// so a long answer is a probe to its end. When it has run out, another call gets the place, and what becomes of
    /// the first no longer counts. This is the way out for probes that hang where nothing else limits them.
    ///
    /// Defaults to 150 seconds: longer than the longest that the recommended time limits let a call be silent, which
    /// is 120 seconds for the first content of a reasoning model, and for a whole answer. From a millisecond to a day;
    /// what lies outside counts as the nearer of the two.
    pub fn lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// The longest that a provider's own advice is followed, both for a pause and for the time that a circuit is open;
    /// longer advice counts as this much. Defaults to an hour: advice of days is common for spent quotas, and a probe
    /// an hour costs nothing. From a millisecond to a day; what lies outside counts as the nearer of the two.
    pub fn longest_advice(self, longest: Duration) -> Self {
        Self { longest_advice: longest, ..self }
    }

    /// How long the first content may take, counted from the call's first poll, before that counts as
    /// [half](crate::Weight::HALF) a failure, at that very moment; the call itself goes on. `None`, the default, turns
    /// this off. It costs a timer a call, and a wrapper around a stream until its first content.
    pub fn slow_after(self, slow_after: impl Into<Option<Duration>>) -> Self {
        Self { slow_after: slow_after.into(), ..self }
    }

    pub(crate) fn lease_millis(&self) -> Millis {
        bounded(self.lease)
    }

    pub(crate) fn advised(&self, advice: Option<Duration>) -> Millis {
        advice.map_or(0, |advice| bounded(advice.min(self.longest_advice)))
    }
}

impl Default for CircuitRules {
    fn default() -> Self {
        Self::interactive()
    }
}
