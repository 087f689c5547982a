//! Tests of running means, with a model that remembers everything.

use std::thread;

use proptest::prelude::*;

use super::*;

fn of(samples: &[(f32, u64)]) -> Figure {
    let figure = Figure::default();
    for (sample, hundredths) in samples {
        figure.record(*sample, Tick::new(*hundredths));
    }
    figure
}

/// Whether they differ by no more than the bits that are left out, many times over.
fn is_near(found: f32, expected: f32) -> bool {
    (found - expected).abs() <= expected.abs() * 2e-3 + 1e-6
}

#[test]
fn a_few_samples_at_once_have_their_plain_mean() {
    let figure = of(&[(1.0, 0), (2.0, 0), (6.0, 0)]);
    assert!(is_near(figure.read().value, 3.0));
    assert!(is_near(figure.read().weight, 3.0));
}

#[test]
fn five_samples_are_enough_however_old() {
    let mut samples = vec![(2.0, 0), (2.0, 100_000), (2.0, 200_000), (2.0, 300_000)];
    assert_eq!(of(&samples).read().reliable(), None);
    samples.push((2.0, 400_000));
    assert_eq!(of(&samples).read().reliable(), Some(2.0));
}

#[test]
fn ten_seconds_leave_a_third_of_the_weight() {
    // Twenty samples of 1, and after ten seconds one of 2: 20/e weigh against one.
    let mut samples = vec![(1.0, 0); 20];
    samples.push((2.0, 1_000));
    let kept = 20.0 / std::f32::consts::E;
    assert!(is_near(of(&samples).read().value, 1.0 + 1.0 / (kept + 1.0)));
}

#[test]
fn a_rare_sample_does_not_stand_alone_unless_the_others_are_old() {
    let mut samples = vec![(1.0, 0); 4];
    samples.push((2.0, 3_000));
    let after_half_a_minute = of(&samples).read().value;
    assert!(is_near(after_half_a_minute, 1.0 + 1.0 / (4.0 * (-0.5_f32).exp() + 1.0)), "{after_half_a_minute}");
    samples.push((7.0, 200_000));
    assert!(is_near(of(&samples).read().value, 7.0), "half an hour later nothing else counts");
}

#[test]
fn a_clock_that_another_thread_has_read_later_is_no_clock_that_went_backwards() {
    let figure = of(&[(1.0, 500), (3.0, 499)]);
    assert!(is_near(figure.read().value, 2.0));
    assert!(is_near(figure.read().age(Tick::new(600)), 1.0));
    assert!(figure.read().age(Tick::new(400)) == 0.0);
}

#[test]
fn ticks_that_begin_anew_go_on() {
    let last = u64::from(Tick::MASK);
    let figure = of(&[(1.0, last - 50)]);
    assert!(is_near(figure.read().age(Tick::new(last + 50)), 1.0));
}

#[test]
fn no_sample_is_lost_between_threads() {
    let figure = Figure::default();
    thread::scope(|scope| {
        for sample in [0.0, 1.0] {
            let figure = &figure;
            scope.spawn(move || (0..12).for_each(|_| figure.record(sample, Tick::new(7))));
        }
    });
    assert!(is_near(figure.read().weight, 24.0));
    assert!(is_near(figure.read().value, 0.5), "{:?}", figure.read());
}

proptest! {
    #[test]
    fn the_mean_is_that_of_a_model_in_full_precision(
        samples in prop::collection::vec((0.001_f64..10.0, 0_u64..5_000), 1..60),
    ) {
        let figure = Figure::default();
        let (mut mean, mut weight, mut at) = (0.0, 0.0_f64, 0);
        for (sample, pause) in samples {
            let seconds = pause as f64 / 100.0;
            weight = ((weight * (-seconds / 10.0).exp()).max(weight.min(4.0) * (-seconds / 60.0).exp()) + 1.0).min(31.875);
            mean += (sample - mean) / weight;
            at += pause;
            figure.record(sample as f32, Tick::new(at));
        }
        let found = figure.read();
        prop_assert!((f64::from(found.value) - mean).abs() < 0.05 * mean + 0.05, "{found:?} {mean}");
        prop_assert!((f64::from(found.weight) - weight).abs() < 0.2, "{found:?} {weight}");
    }

    #[test]
    fn the_mean_lies_between_the_samples(samples in prop::collection::vec((0.5_f32..2.0, 0_u64..5_000), 1..60)) {
        let figure = of(&samples);
        let all = samples.iter().map(|(sample, _)| *sample);
        let (least, most) = (all.clone().fold(f32::MAX, f32::min), all.fold(0.0, f32::max));
        let value = figure.read().value;
        prop_assert!(value > least * 0.999 && value < most * 1.001, "{least} {value} {most}");
    }
}
