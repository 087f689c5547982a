//! The quota against a naive model, and from many threads.

use std::{sync::atomic::AtomicU64, thread};

use proptest::prelude::*;

use super::*;

/// Every call and every retry, with the slot it was counted in.
#[derive(Default)]
struct Model {
    calls: Vec<u32>,
    retries: Vec<u32>,
}

impl Model {
    fn take(&mut self, slot: u32, percent: u64, floor: u64) -> bool {
        let within = |list: &[u32]| list.iter().filter(|at| slot - **at < 10).count() as u64;
        let is_allowed = (within(&self.retries) + 1) * 100 <= within(&self.calls) * percent + floor * 100;
        if is_allowed {
            self.retries.push(slot);
        }
        is_allowed
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(u32),
    Call,
    Retry { is_made: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => prop_oneof![Just(1), 0..4_u32, 8..13_u32, 0..1_000_u32].prop_map(Step::Pass),
        6 => Just(Step::Call),
        4 => prop::bool::weighted(0.8).prop_map(|is_made| Step::Retry { is_made }),
    ]
}

proptest! {
    #[test]
    fn it_decides_as_the_naive_model_does(
        steps in prop::collection::vec(step(), 1..400),
        percent in 0..150_u32,
        per_second in 0..3_u32,
        seconds in 1..20_u16,
        from in 0..1_000_u32,
    ) {
        let quota = RetryQuota::percent(percent).per_second(per_second).seconds(NonZeroU16::new(seconds).unwrap());
        let floor = u64::from(per_second) * u64::from(seconds);
        let (window, mut model, mut slot) = (Window::default(), Model::default(), from);
        for step in steps {
            match step {
                Step::Pass(slots) => slot += slots,
                Step::Call => {
                    window.count_call(slot);
                    model.calls.push(slot);
                }
                Step::Retry { is_made } => {
                    let expected = model.take(slot, u64::from(percent), floor);
                    prop_assert_eq!(window.take_retry(slot, &quota), expected);
                    if expected && !is_made {
                        window.give_back(slot);
                        model.retries.pop();
                    }
                }
            }
            let is_idle = model.calls.iter().chain(&model.retries).all(|at| slot - at >= 10);
            prop_assert_eq!(window.is_idle(slot), is_idle);
        }
    }
}

#[test]
fn a_slot_lasts_a_tenth_of_the_window() {
    let slot = |seconds, millis| {
        RetryQuota::default().seconds(NonZeroU16::new(seconds).unwrap()).slot(Duration::from_millis(millis))
    };
    assert_eq!((slot(10, 999), slot(10, 1_000), slot(10, 61_500)), (0, 1, 61));
    assert_eq!((slot(1, 99), slot(1, 100), slot(60, 5_999), slot(60, 6_000)), (0, 1, 0, 1));
}

#[test]
fn who_comes_late_by_a_whole_window_changes_nothing() {
    let (window, quota) = (Window::default(), RetryQuota::default());
    window.count_call(20);
    window.count_call(10);
    assert!(!window.take_retry(10, &quota));
    assert_eq!(window.sums(20), (1, 0));
}

#[test]
fn full_counts_stay_and_make_it_stricter() {
    let window = Window::default();
    let quota = RetryQuota::percent(1_000).per_second(0);
    for _ in 0..(1 << CALL_BITS) + 10 {
        window.count_call(3);
    }
    let granted = (0..(1 << RETRY_BITS) + 10).filter(|_| window.take_retry(3, &quota)).count();
    assert_eq!(window.sums(3), ((1 << CALL_BITS) - 1, (1 << RETRY_BITS) - 1));
    assert_eq!(granted, (1 << RETRY_BITS) - 1);
    assert_eq!(Counts::unpack(u64::MAX).pack(), u64::MAX);
}

#[test]
fn shares_above_one_half_are_kept_too() {
    for percent in [50, 60, 75, 100, 150] {
        let (window, quota) = (Window::default(), RetryQuota::percent(percent).per_second(0));
        (0..100).for_each(|_| window.count_call(0));
        let granted = (0..500).filter(|_| window.take_retry(0, &quota)).count();
        assert_eq!(granted, percent as usize);
    }
}

#[test]
fn threads_never_get_more_than_there_is_and_no_call_is_lost() {
    let quota = RetryQuota::percent(20).per_second(0);
    for round in 0..50 {
        let (window, granted) = (Window::default(), AtomicU64::new(0));
        thread::scope(|scope| {
            for number in 0..4_u32 {
                let (window, granted, quota) = (&window, &granted, &quota);
                scope.spawn(move || {
                    for call in 0..200 {
                        // All around the edge of two slots.
                        let slot = round * 10 + (call + number) % 2;
                        window.count_call(slot);
                        if window.take_retry(slot, quota) {
                            granted.fetch_add(1, SeqCst);
                        }
                    }
                });
            }
        });
        let slot = round * 10 + 1;
        let (calls, retries) = window.sums(slot);
        assert_eq!((calls, retries), (800, granted.load(SeqCst)));
        assert!(retries <= 160);
        let rest = (0..200).filter(|_| window.take_retry(slot, &quota)).count() as u64;
        assert_eq!(retries + rest, 160, "what was not taken is still there");
    }
}
