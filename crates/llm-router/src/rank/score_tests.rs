//! Tests of what strategies that compare have in common.

use std::{collections::HashSet, time::Duration};

use super::*;
use crate::rank::testing::Bench;

#[test]
fn two_are_drawn_that_differ_and_all_pairs_are_as_likely() {
    let pairs: Vec<_> = (0..20).map(|step| two((f64::from(step) + 0.5) / 20.0, 5)).collect();
    assert!(pairs.iter().all(|(one, other)| one != other && *one < 5 && *other < 5));
    assert_eq!(HashSet::<(usize, usize)>::from_iter(pairs).len(), 20);
    assert_eq!([two(0.0, 2), two(0.999_999, 2)], [(0, 1), (1, 0)]);
}

#[test]
fn of_several_that_are_lowest_each_is_chosen_as_often() {
    let bench = Bench::new(5);
    let scores = [3.0, 1.0, 2.0, 1.0, 1.0];
    let random = Random::seeded(1);
    let mut picks = [0; 5];
    for _ in 0..30_000 {
        let choices: Vec<_> = bench.candidates.iter().map(|candidate| Choice { candidate, weight: 1.0 }).collect();
        let mut scores = scores.iter();
        picks[lowest(&random, &choices, |_| *scores.next().unwrap())] += 1;
    }
    assert_eq!((picks[0], picks[2]), (0, 0));
    assert!([1, 3, 4].iter().all(|at| (9_600..10_400).contains(&picks[*at])), "{picks:?}");
}

fn looked(bench: &Bench) -> Looked<'_> {
    Looked::at(&Choice { candidate: &bench.candidates[0], weight: 1.0 }, bench.now)
}

#[test]
fn a_target_that_always_fails_is_worse_than_one_with_a_thousand_calls() {
    let bench = Bench::new(1);
    bench.ends(0, [true; 40]);
    let idle_and_failing = looked(&bench).load();
    let healthy = Bench::new(1);
    let _calls = healthy.under_way([1_000]);
    assert!(idle_and_failing > looked(&healthy).load(), "{idle_and_failing}");
}

#[test]
fn the_load_grows_with_calls_and_shrinks_with_weight() {
    let bench = Bench::new(1);
    let _calls = bench.under_way([5]);
    let with_weight = |weight| Looked::at(&Choice { candidate: &bench.candidates[0], weight }, bench.now).load();
    assert_eq!([1.0, 2.0, 0.0].map(with_weight), [36.0, 9.0, 36.0]);
}

#[test]
fn what_is_held_against_an_idle_target_fades_and_against_one_with_a_call_does_not() {
    let mut bench = Bench::new(1);
    bench.ends(0, [false]);
    assert!((looked(&bench).reluctance() - 1.0).abs() < 1e-6);
    bench.pass(Duration::from_secs(120));
    assert!((looked(&bench).reluctance() - 1.0 / 5.0).abs() < 1e-6);
    let call = bench.under_way([1]);
    assert!((looked(&bench).reluctance() - 1.0).abs() < 1e-6);
    drop(call);
    let mut bench = Bench::new(1);
    bench.ends(0, [true; 40]);
    let at_once = looked(&bench).reluctance();
    bench.pass(Duration::from_secs(300));
    assert!(at_once > 1e6 && looked(&bench).reluctance() < 1.0, "after five minutes it is worth a try");
    let call = bench.under_way([1]);
    assert!(looked(&bench).reluctance() > 1.0, "by one call at a time");
    drop(call);
}
