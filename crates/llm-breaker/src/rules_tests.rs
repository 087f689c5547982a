//! What each trip rule promises.

use std::{collections::VecDeque, num::NonZeroU32, ops::RangeInclusive, time::Duration};

use proptest::prelude::*;

use crate::{Consecutive, Cusum, Judge, Rate, Sample, Step, Trip, TripRule, Weight};

const FAILURE: Sample = Sample::Failure(Weight::ONE);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn nonzero(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

/// The number of failures in a row, one a second from `from` on, with which the rule opens.
fn failures_to_trip(judge: &mut Judge, from: u64, weight: Weight) -> Option<u64> {
    (1..1_000).find(|failures| judge.trips(Sample::Failure(weight), seconds(from + failures)))
}

#[test]
fn after_a_hundred_thousand_successes_each_rule_opens_within_the_failures_it_promises() {
    // At one a second a minute holds up to sixty calls, and up to a sixteenth less.
    let rules: [(Trip, RangeInclusive<u64>); 4] = [
        (Cusum::default().into(), 8..=8),
        (Consecutive::default().into(), 5..=5),
        (Consecutive::after(nonzero(3)).into(), 3..=3),
        (Rate::default().into(), 28..=30),
    ];
    for (trip, promised) in rules {
        let mut judge = Judge::new(trip.clone());
        for second in 0..100_000 {
            assert!(!judge.trips(Sample::Success, seconds(second)), "{trip:?}");
        }
        let failures = failures_to_trip(&mut judge, 99_999, Weight::ONE).unwrap();
        assert!(promised.contains(&failures), "{trip:?} opened after {failures}");
        assert!(!judge.trips(FAILURE, seconds(100_050)), "{trip:?} begins anew");
    }
}

#[test]
fn the_default_is_what_its_rates_make() {
    assert_eq!(Cusum::default(), Cusum::new(0.2, 0.6, 8.0).unwrap());
}

#[test]
fn heavier_failures_open_sooner_and_lighter_ones_later() {
    let opens = |weight| failures_to_trip(&mut Judge::new(Cusum::default()), 0, weight);
    assert_eq!(opens(Weight::ONE_AND_A_HALF), Some(5));
    assert_eq!(opens(Weight::HALF), Some(15));
    let opens = |weight| failures_to_trip(&mut Judge::new(Consecutive::default()), 0, weight);
    assert_eq!(opens(Weight::ONE_AND_A_HALF), Some(5), "five in a row are five calls");
    assert_eq!(opens(Weight::HALF), Some(10));
}

#[test]
fn a_success_ends_a_row_of_failures() {
    let mut judge = Judge::new(Consecutive::after(nonzero(2)));
    for _ in 0..100 {
        assert!(!judge.trips(FAILURE, Duration::ZERO));
        assert!(!judge.trips(Sample::Success, Duration::ZERO));
    }
}

#[test]
fn a_rate_needs_its_calls_within_its_window() {
    let rate = Rate::new(seconds(60), nonzero(20), 0.5).unwrap();
    let mut judge = Judge::new(rate);
    assert!((0..200).all(|call| !judge.trips(FAILURE, seconds(call * 4))), "fifteen calls in a minute are too few");
    let mut judge = Judge::new(rate);
    assert_eq!((1..100).find(|call| judge.trips(FAILURE, seconds(call * 2))), Some(20));
}

#[test]
fn slow_answers_count_half_under_a_rate_and_bad_failures_once() {
    let rate = Rate::new(seconds(60), nonzero(10), 0.5).unwrap();
    let opens = |weight| failures_to_trip(&mut Judge::new(rate), 0, weight);
    assert_eq!((opens(Weight::HALF), opens(Weight::ONE_AND_A_HALF)), (Some(10), Some(10)));
    let strict = Rate::new(seconds(60), nonzero(10), 0.51).unwrap();
    assert_eq!(failures_to_trip(&mut Judge::new(strict), 0, Weight::HALF), None);
}

#[test]
fn values_that_make_no_rule_are_refused() {
    for (usual, broken, threshold) in
        [(0.0, 0.6, 8.0), (0.6, 0.6, 8.0), (0.2, 1.0, 8.0), (f64::NAN, 0.6, 8.0), (0.2, 0.6, 0.0), (0.2, 0.6, f64::NAN)]
    {
        assert!(Cusum::new(usual, broken, threshold).is_err(), "{usual} {broken} {threshold}");
    }
    for (window, share) in [(0, 0.5), (86_401, 0.5), (60, 0.0), (60, 1.1), (60, f64::NAN)] {
        assert!(Rate::new(seconds(window), nonzero(20), share).is_err(), "{window} {share}");
    }
}

#[test]
fn no_score_overflows() {
    let most = Sample::Failure(Weight::ONE_AND_A_HALF);
    assert_eq!(Cusum::default().after(u32::MAX, most), Step::Trip);
    assert_eq!(Consecutive::after(NonZeroU32::MAX).after(u32::MAX - 1, most), Step::Trip);
}

fn samples() -> impl Strategy<Value = Sample> {
    let weights = [Weight::HALF, Weight::ONE, Weight::ONE_AND_A_HALF];
    prop_oneof![Just(Sample::Success), prop::sample::select(weights.to_vec()).prop_map(Sample::Failure)]
}

proptest! {
    /// The buckets say what a list of all calls says, and that is the true window but for its oldest sixteenth.
    #[test]
    fn a_window_of_buckets_is_a_list_of_calls(
        calls in prop::collection::vec((0_u64..30_000, samples()), 1..300),
        min_calls in 1_u32..20,
        percent in 1_u32..=100,
    ) {
        let rate = Rate::new(Duration::from_millis(160_000), nonzero(min_calls), f64::from(percent) / 100.0).unwrap();
        let mut judge = Judge::new(rate);
        let mut list = VecDeque::new();
        let mut now = 0;
        for (wait, sample) in calls {
            now += wait;
            list.push_back((now, sample));
            list.retain(|(at, _)| at / 10_000 + 16 > now / 10_000);
            prop_assert!(list.iter().all(|(at, _)| at + 160_000 > now), "nothing is older than the window");
            let failed = list.iter().map(|(_, sample)| match sample {
                Sample::Success => 0,
                Sample::Failure(weight) => weight.units().min(1024),
            });
            let failed = f64::from(failed.sum::<u32>()) / 1024.0;
            let trips = sample != Sample::Success
                && list.len() >= min_calls as usize
                && failed * 100.0 >= list.len() as f64 * f64::from(percent);
            prop_assert_eq!(judge.trips(sample, Duration::from_millis(now)), trips);
            if trips {
                list.clear();
            }
        }
    }

    /// The score is that of the textbook, but for the rounding of a unit a call.
    #[test]
    fn the_score_is_the_textbooks(calls in prop::collection::vec(samples(), 1..200)) {
        let rule = Cusum::default();
        let (mut score, mut textbook) = (0, 0.0_f64);
        for (number, sample) in calls.into_iter().enumerate() {
            let weight = match sample {
                Sample::Success => {
                    textbook -= (0.8_f64 / 0.4).ln();
                    textbook = textbook.max(0.0);
                    None
                }
                Sample::Failure(weight) => Some(f64::from(weight.units()) / 1024.0),
            };
            textbook += weight.unwrap_or_default() * (0.6_f64 / 0.2).ln();
            match rule.after(score, sample) {
                Step::Keep(kept) => {
                    let distance = (f64::from(kept) / 1024.0 - textbook).abs();
                    prop_assert!(distance <= (number + 1) as f64 / 1024.0, "{kept} is not {textbook}");
                    score = kept;
                }
                Step::Trip => {
                    prop_assert!(textbook > 7.7);
                    (score, textbook) = (0, 0.0);
                }
            }
        }
    }
}
