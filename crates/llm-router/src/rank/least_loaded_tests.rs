//! Tests of the choice by load.

use super::*;
use crate::rank::testing::Bench;

#[test]
fn calls_count_as_such_and_slowness_by_its_root() {
    let bench = Bench::new(2);
    bench.per_token(0, 0.01);
    bench.per_token(1, 0.04);
    // Four times as slow is twice the score: with one call under way there, as many as three here.
    let picked = |calls| {
        let _calls = bench.under_way(calls);
        bench.pick(&LeastLoaded)
    };
    assert_eq!([[0, 0], [1, 1], [2, 1], [4, 1]].map(picked), [0, 0, 0, 1]);
}

#[test]
fn what_is_not_known_is_as_fast_as_the_best() {
    let bench = Bench::new(3);
    bench.per_token(0, 0.01);
    bench.per_token(1, 0.04);
    let [best, slow, unknown] = bench.picks(&LeastLoaded, 1_000);
    assert!(slow == 0 && (400..600).contains(&unknown) && best + unknown == 1_000);
}

#[test]
fn idle_ones_of_which_nothing_is_known_are_chosen_equally_often() {
    for bench in [Bench::new(4), Bench::new(4).unseeded()] {
        let picks: [u32; 4] = bench.picks(&LeastLoaded, 40_000);
        assert!(picks.iter().all(|picked| (9_500..10_500).contains(picked)), "{picks:?}");
    }
}

#[test]
fn sixteen_are_all_looked_at_and_of_more_only_two() {
    let bench = Bench::new(16);
    let _calls = bench.under_way([1; 15]);
    assert!((0..100).all(|_| bench.pick(&LeastLoaded) == 15));
    let bench = Bench::new(17);
    let _calls = bench.under_way([1; 16]);
    // Two of 17 are the idle one and another in 2 of 17 draws.
    let idle = (0..17_000).filter(|_| bench.pick(&LeastLoaded) == 16).count();
    assert!((1_800..2_200).contains(&idle), "{idle}");
}

#[test]
fn of_two_among_many_the_slower_loses() {
    let bench = Bench::new(17);
    (0..17).for_each(|at| bench.per_token(at, if at == 3 { 0.02 } else { 0.01 }));
    assert!((0..1_000).all(|_| bench.pick(&LeastLoaded) != 3));
}

#[test]
fn a_target_that_fails_at_once_is_not_taken_for_idle() {
    for size in [2, 17] {
        let bench = Bench::new(size);
        bench.ends(0, [true; 20]);
        let _calls: Vec<_> = bench.candidates[1..]
            .iter()
            .flat_map(|candidate| (0..50).map(|_| candidate.begin(false, bench.now)))
            .collect();
        assert!((0..1_000).all(|_| bench.pick(&LeastLoaded) != 0), "of {size}");
    }
}

#[test]
fn twice_the_weight_bears_twice_the_calls() {
    let bench = Bench::new(2).weights([2.0, 1.0]);
    let picked = |calls| {
        let _calls = bench.under_way(calls);
        bench.pick(&LeastLoaded)
    };
    assert_eq!([[2, 1], [4, 1]].map(picked), [0, 1]);
    assert_eq!(Bench::new(2).weights([0.0, 1.0]).picks(&LeastLoaded, 10), [0, 10]);
}
