//! The rule that looks at the share of failures in a sliding window of time.

use std::{num::NonZeroU32, time::Duration};

use llm_core::ConfigError;

use crate::{Sample, Weight};

/// How finely a window slides.
const BUCKETS: usize = 16;
/// Shares are kept in units of a millionth.
const MILLION: u64 = 1_000_000;

/// Opens when at least this share of the calls in a sliding window of time failed, and there were at least so many.
///
/// The window slides in steps of a sixteenth of its length, so what it sees is between fifteen and sixteen sixteenths
/// of it. It takes the same memory however many calls there are, about 200 bytes a circuit. A call counts once,
/// however bad it was, and half if it was only [slow](crate::CircuitRules::slow_after). It takes a failure to open.
///
/// A rule that counts successes has to be told of them: every call of a target under this rule is written down under a
/// short lock, and each target has a circuit from its first call on. It suits targets with many calls; one with fewer
/// calls in a window than the least is never opened.
///
/// Defaults to half of at least 20 calls in 60 seconds, the defaults of most libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    bucket_ms: u64,
    min_calls: NonZeroU32,
    share: u64,
}

impl Rate {
    /// A share from 0 to 1 of at least `min_calls` in a `window`.
    ///
    /// # Errors
    /// Unless the window is from a tenth of a second to a day, and the share above 0 and at most 1.
    pub fn new(window: Duration, min_calls: NonZeroU32, share: f64) -> Result<Self, ConfigError> {
        if !(Duration::from_millis(100)..=Duration::from_secs(86_400)).contains(&window) {
            return Err(ConfigError::new("window", "the window must be from a tenth of a second to a day"));
        }
        if !(share > 0.0 && share <= 1.0) {
            return Err(ConfigError::new("share", "the share of failures must be above 0 and at most 1"));
        }
        let bucket_ms = window.as_millis() as u64 / BUCKETS as u64;
        Ok(Self { bucket_ms, min_calls, share: (share * MILLION as f64).round() as u64 })
    }
}

impl Default for Rate {
    fn default() -> Self {
        let min_calls = NonZeroU32::new(20).expect("twenty is not zero");
        Self { bucket_ms: 60_000 / BUCKETS as u64, min_calls, share: MILLION / 2 }
    }
}

/// The calls of the newest time, counted in as many buckets as the window has.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    rate: Rate,
    buckets: [Bucket; BUCKETS],
    // The number of the newest bucket since the beginning of time. Bucket `n` lies at `n % BUCKETS`.
    newest: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    calls: u32,
    // In units of 1/1024, as weights are.
    failed: u32,
}

impl Window {
    /// Nothing has been counted.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, buckets: Default::default(), newest: 0 }
    }

    /// Counts a call; true if the circuit is to open with it.
    pub(crate) fn trips(&mut self, sample: Sample, now_ms: u64) -> bool {
        self.slide(now_ms);
        let bucket = &mut self.buckets[(self.newest % BUCKETS as u64) as usize];
        bucket.calls = bucket.calls.saturating_add(1);
        let Sample::Failure(weight) = sample else { return false };
        bucket.failed = bucket.failed.saturating_add(weight.min(Weight::ONE).units());
        let (calls, failed) = self.buckets.iter().fold((0, 0), |(calls, failed), bucket| {
            (calls + u64::from(bucket.calls), failed + u64::from(bucket.failed))
        });
        let Rate { min_calls, share, .. } = self.rate;
        calls >= u64::from(min_calls.get()) && failed * MILLION >= calls * share * u64::from(Weight::ONE.units())
    }

    /// Forgets all calls.
    pub(crate) fn clear(&mut self) {
        self.buckets = Default::default();
    }

    /// Whether no call is left in the window.
    pub(crate) fn is_empty(&mut self, now_ms: u64) -> bool {
        self.slide(now_ms);
        self.buckets.iter().all(|bucket| bucket.calls == 0)
    }

    fn slide(&mut self, now_ms: u64) {
        // A call that read the clock a moment before another one counts with it.
        let newest = (now_ms / self.rate.bucket_ms).max(self.newest);
        for passed in (self.newest..newest).take(BUCKETS) {
            self.buckets[((passed + 1) % BUCKETS as u64) as usize] = Bucket::default();
        }
        self.newest = newest;
    }
}
