//! The running percentile against exact ones, on samples as models make them.

use llm_core::Random;
use proptest::prelude::*;

use super::*;

const WIDTH: f64 = 1.0906;

/// Durations around `median`, log-normal as first tokens are.
struct Samples {
    random: Random,
    median: f64,
    sigma: f64,
}

impl Samples {
    fn new(seed: u64, median: f64, sigma: f64) -> Self {
        Self { random: Random::seeded(seed), median, sigma }
    }

    fn next(&self) -> Duration {
        let (radius, angle) =
            ((-2.0 * (1.0 - self.random.unit()).ln()).sqrt(), self.random.unit() * std::f64::consts::TAU);
        Duration::from_secs_f64(self.median * (self.sigma * radius * angle.cos()).exp())
    }

    /// The share of all such samples that are at most `duration`, from many.
    fn share_below(&self, duration: Duration) -> f64 {
        (0..20_000).filter(|_| self.next() <= duration).count() as f64 / 20_000.0
    }
}

fn exact_p95(samples: &[Duration]) -> Duration {
    let mut sorted = samples.to_vec();
    sorted.sort();
    sorted[sorted.len() - 1 - sorted.len() / 20]
}

proptest! {
    #[test]
    fn it_is_at_most_nine_percent_above_the_exact_one(
        micros in prop::collection::vec(1_000..1_000_000_000_u64, 1..399),
    ) {
        let samples: Vec<_> = micros.into_iter().map(Duration::from_micros).collect();
        let mut percentile = Percentile::default();
        samples.iter().for_each(|sample| percentile.record(*sample));
        let (told, exact) = (percentile.p95().unwrap().as_secs_f64(), exact_p95(&samples).as_secs_f64());
        prop_assert!(told >= exact * 0.999_999 && told <= exact * WIDTH, "{told} of {exact}");
    }

    #[test]
    fn halving_moves_it_by_one_sample_at_most(micros in prop::collection::vec(1_000..1_000_000_000_u64, 40..399)) {
        let mut samples: Vec<_> = micros.into_iter().map(Duration::from_micros).collect();
        let mut percentile = Percentile::default();
        samples.iter().for_each(|sample| percentile.record(*sample));
        percentile.halve();
        prop_assert_eq!(usize::from(percentile.total), samples.len() / 2);
        samples.sort();
        let told = percentile.p95().unwrap().as_secs_f64();
        let (rank, slack) = (samples.len() - 1 - samples.len() / 20, 3);
        let lowest = samples[rank.saturating_sub(slack)].as_secs_f64();
        let highest = samples[(rank + slack).min(samples.len() - 1)].as_secs_f64();
        prop_assert!(told >= lowest * 0.999_999 && told <= highest * WIDTH, "{lowest} <= {told} <= {highest}");
    }
}

#[test]
fn on_endless_log_normal_samples_it_stays_near_the_true_percentile() {
    for (seed, median, sigma) in [(1, 0.4, 0.3), (2, 0.8, 0.5), (3, 3.0, 0.8), (4, 20.0, 1.2)] {
        let (samples, mut percentile) = (Samples::new(seed, median, sigma), Percentile::default());
        let (mut sum, mut told) = (0.0, 0);
        for number in 0..20_000 {
            percentile.record(samples.next());
            if number > 400 && number % 500 == 0 {
                let share = samples.share_below(percentile.p95().unwrap());
                assert!((0.90..0.995).contains(&share), "{median} s, sigma {sigma}: it was the {share}");
                (sum, told) = (sum + share, told + 1);
            }
        }
        let mean = sum / f64::from(told);
        assert!((0.945..0.968).contains(&mean), "{median} s, sigma {sigma}: on average it was the {mean}");
    }
}

#[test]
fn a_target_that_becomes_slower_is_seen_at_once_and_one_that_becomes_faster_in_time() {
    let (fast, slow) = (Samples::new(5, 0.5, 0.4), Samples::new(6, 2.0, 0.4));
    let mut percentile = Percentile::default();
    (0..5_000).for_each(|_| percentile.record(fast.next()));
    let before = percentile.p95().unwrap();
    (0..25).for_each(|_| percentile.record(slow.next()));
    assert!(percentile.p95().unwrap() > before.mul_f64(1.5), "within 25 calls");
    (0..2_000).for_each(|_| percentile.record(slow.next()));
    let share = slow.share_below(percentile.p95().unwrap());
    assert!((0.9..0.99).contains(&share), "{share}");
    (0..1_100).for_each(|_| percentile.record(fast.next()));
    let share = fast.share_below(percentile.p95().unwrap());
    assert!((0.9..0.995).contains(&share), "{share}");
}

#[test]
fn the_ends_of_the_scale_hold_everything() {
    let mut percentile = Percentile::default();
    assert_eq!(percentile.p95(), None);
    percentile.record(Duration::ZERO);
    assert_eq!(percentile.p95(), Some(Duration::from_millis(1)));
    for _ in 0..50 {
        percentile.record(Duration::MAX);
    }
    assert!(percentile.p95().unwrap() > Duration::from_secs(17 * 60));
}

#[test]
fn it_is_told_only_when_enough_was_seen() {
    let observed = Observed::default();
    for _ in 0..49 {
        observed.record(Duration::from_secs(2));
    }
    assert_eq!(observed.p95(50), None);
    observed.record(Duration::from_secs(2));
    let told = observed.p95(50).unwrap().as_secs_f64();
    assert!((2.0..2.0 * WIDTH).contains(&told));
}
