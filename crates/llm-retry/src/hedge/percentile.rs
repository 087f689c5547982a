//! A running 95th percentile in constant memory.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{
            AtomicU32, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

/// Steps in which a duration doubles. A bucket's upper end is at most 2^(1/8), or 9 %, above anything in it.
const STEPS: f64 = 8.0;

/// From everything below a millisecond in the first bucket up to everything above 17 minutes in the last.
const BUCKETS: usize = 20 * STEPS as usize + 2;

/// At this many samples their counts are halved, so that old ones fade: of 400, the newest 200 count for half.
///
/// Fewer would be noise: of 300 the 95th percentile is true to about a percentile and a half. More would take longer to
/// see that a target has become faster, for which nearly all old samples must have faded: about 1,000 calls. That it
/// has become slower is seen within some 20.
const MOST_SAMPLES: u16 = 400;

/// Samples of durations, and which of them 95 % do not exceed.
///
/// Samples are counted in buckets of growing width. What it tells is the upper end of the bucket in which the
/// percentile of the samples lies: not below the exact one, and at most 9 % above it, between a millisecond and 17
/// minutes.
#[derive(Debug)]
pub(super) struct Percentile {
    counts: [u16; BUCKETS],
    total: u16,
}

impl Default for Percentile {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], total: 0 }
    }
}

impl Percentile {
    pub(super) fn record(&mut self, sample: Duration) {
        self.counts[bucket(sample)] += 1;
        self.total += 1;
        if self.total == MOST_SAMPLES {
            self.halve();
        }
    }

    /// The 95th percentile, once there is a sample.
    pub(super) fn p95(&self) -> Option<Duration> {
        // The most samples that may lie above it. Looked for from above, where there are few.
        let most_above = self.total / 20;
        let mut above = 0;
        let found = self.counts.iter().enumerate().rev().find(|(_, count)| {
            above += **count;
            above > most_above
        });
        found.map(|(at, _)| upper_end(at))
    }

    /// Halves the sum up to each bucket, and not each bucket: there are many with a single sample, above all in the
    /// tail, and they would all be lost.
    fn halve(&mut self) {
        let (mut sum, mut halved) = (0, 0);
        for count in &mut self.counts {
            sum += *count;
            *count = sum / 2 - halved;
            halved += *count;
        }
        self.total = halved;
    }
}

fn bucket(sample: Duration) -> usize {
    let milliseconds = sample.as_secs_f64() * 1e3;
    if milliseconds <= 1.0 {
        return 0;
    }
    // At most its upper end, so rounded up.
    let step = (milliseconds.log2() * STEPS).ceil() as usize;
    step.min(BUCKETS - 1)
}

fn upper_end(bucket: usize) -> Duration {
    Duration::from_secs_f64((bucket as f64 / STEPS).exp2() / 1e3)
}

/// A percentile that many calls read and write.
#[derive(Debug, Default)]
pub(super) struct Observed {
    samples: Mutex<Percentile>,
    // What the samples say, so that whoever only wants to know it takes no lock.
    p95_in_micros: AtomicU64,
    seen: AtomicU32,
}

impl Observed {
    pub(super) fn record(&self, sample: Duration) {
        // Counts are whole at any time, so a panic elsewhere does not spoil them. Held for a few dozen nanoseconds.
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.record(sample);
        let p95 = samples.p95().unwrap_or_default();
        self.p95_in_micros.store(u64::try_from(p95.as_micros()).unwrap_or(u64::MAX), Relaxed);
        // Who sees the count sees what it was counted in.
        let _ = self.seen.fetch_update(Release, Relaxed, |seen| seen.checked_add(1));
    }

    /// The 95th percentile, if at least this many samples were seen.
    pub(super) fn p95(&self, least: u32) -> Option<Duration> {
        (self.seen.load(Acquire) >= least).then(|| Duration::from_micros(self.p95_in_micros.load(Relaxed)))
    }
}

#[cfg(test)]
#[path = "percentile_tests.rs"]
mod tests;
