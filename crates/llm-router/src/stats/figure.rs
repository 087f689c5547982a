//! A running mean in one word, that many threads may write.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How fast samples lose their weight where there are many: in ten seconds to a third.
const MEMORY: f32 = 10.0 * TICKS_A_SECOND;

/// The weight that old samples keep for longer, and how fast that goes: a target with a call every half a minute would
/// else be judged by its last one.
const KEPT: f32 = 4.0;
const KEPT_MEMORY: f32 = 60.0 * TICKS_A_SECOND;

/// The most that all samples weigh together, in steps. At more than three a second the mean is that of the newest 32.
const MOST_WEIGHT: u32 = (1 << WEIGHT_BITS) - 1;
const WEIGHT_STEPS: f32 = 8.0;

/// So many samples make a mean that can be relied on.
const ENOUGH: u32 = 5;

const TICKS_A_SECOND: f32 = 100.0;

// A word holds, from above: the mean as a float whose last bits are left out, the weight, the tick of the last sample,
// and the number of samples up to seven.
const WEIGHT_BITS: u32 = 8;
const SAMPLE_BITS: u32 = 3;
const TICK_BITS: u32 = 32 - SAMPLE_BITS;
const MOST_SAMPLES: u32 = (1 << SAMPLE_BITS) - 1;

/// Hundredths of a second since some moment. They begin anew after 62 days; of two that are compared, what lies more
/// than half of that before the other is taken to be in its future.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tick(u32);

impl Tick {
    const MASK: u32 = (1 << TICK_BITS) - 1;

    pub(super) fn new(hundredths: u64) -> Self {
        Self(hundredths as u32 & Self::MASK)
    }

    /// Ticks from `earlier` until this one. None where another thread has looked at the clock a moment later.
    fn since(self, earlier: Self) -> f32 {
        let distance = self.0.wrapping_sub(earlier.0) & Self::MASK;
        if distance > Self::MASK / 2 { 0.0 } else { distance as f32 }
    }
}

/// A mean of samples that fade, of which the oldest count least.
#[derive(Debug, Default)]
pub(super) struct Figure(AtomicU64);

/// What a [`Figure`] said at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mean {
    /// The mean, which is zero before the first sample.
    pub(super) value: f32,
    /// How many samples of full weight it is worth, when the last one came.
    pub(super) weight: f32,
    samples: u32,
    last: Tick,
}

impl Figure {
    /// Takes in a sample, which must not be negative.
    pub(super) fn record(&self, sample: f32, now: Tick) {
        // Where calls come fast and none fails, most of them leave their share of failures as it is. Then nothing is
        // written, because other threads would have to fetch what was.
        let record = |word| Some(Mean::unpack(word).with(sample, now).pack()).filter(|next| *next != word);
        let _ = self.0.fetch_update(Relaxed, Relaxed, record);
    }

    pub(super) fn read(&self) -> Mean {
        Mean::unpack(self.0.load(Relaxed))
    }
}

impl Mean {
    /// The mean, once there were enough samples to rely on.
    pub(super) fn reliable(&self) -> Option<f32> {
        (self.samples >= ENOUGH).then_some(self.value)
    }

    /// Seconds since the last sample; none before the first.
    pub(super) fn age(&self, now: Tick) -> f32 {
        if self.samples == 0 { 0.0 } else { now.since(self.last) / TICKS_A_SECOND }
    }

    fn with(self, sample: f32, now: Tick) -> Self {
        let ticks = now.since(self.last);
        let weight = (self.weight_after(ticks) + 1.0).min(MOST_WEIGHT as f32 / WEIGHT_STEPS);
        Self {
            value: self.value + (sample - self.value) / weight,
            weight,
            samples: (self.samples + 1).min(MOST_SAMPLES),
            // The clock of the thread that was here before may have been ahead.
            last: if ticks > 0.0 || self.samples == 0 { now } else { self.last },
        }
    }

    /// What the samples weigh so long after the last one.
    fn weight_after(&self, ticks: f32) -> f32 {
        // Where calls come fast most have the tick of the one before, which spares two exponentials.
        if ticks <= 0.0 {
            return self.weight;
        }
        let recent = self.weight * (-ticks / MEMORY).exp();
        let kept = self.weight.min(KEPT) * (-ticks / KEPT_MEMORY).exp();
        recent.max(kept)
    }

    fn pack(self) -> u64 {
        let left_out = (1 << WEIGHT_BITS) - 1;
        let value = self.value.to_bits() & !left_out;
        let weight = (self.weight * WEIGHT_STEPS + 0.5) as u32;
        let low = self.last.0 << SAMPLE_BITS | self.samples;
        u64::from(value | weight) << 32 | u64::from(low)
    }

    fn unpack(word: u64) -> Self {
        let (high, low) = ((word >> 32) as u32, word as u32);
        Self {
            value: f32::from_bits(high & !MOST_WEIGHT),
            weight: (high & MOST_WEIGHT) as f32 / WEIGHT_STEPS,
            samples: low & MOST_SAMPLES,
            last: Tick(low >> SAMPLE_BITS),
        }
    }
}

#[cfg(test)]
#[path = "figure_tests.rs"]
mod tests;
