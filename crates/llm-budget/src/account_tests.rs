//! Accounts by their caps, and against a naive model.

use std::ops::RangeInclusive;

use jiff::{Timestamp, tz::TimeZone};
use proptest::prelude::*;

use super::*;
use crate::{Per, Window};

const HOUR: Duration = Duration::from_secs(3600);
const NOW: Now = Duration::from_secs(1_800_000_000);

fn usd(nanos: u64) -> NanoUsd {
    NanoUsd(nanos)
}

fn rule(amount: u64) -> CapRule {
    CapRule::new("rule", Per::GLOBAL, Cap::new(usd(amount), Window::Rolling(HOUR)))
}

fn held(amount: u64) -> Held {
    Held { amount: usd(amount), expects: usd(0) }
}

/// An account and its rule at a time.
struct Bench {
    account: Account,
    rule: CapRule,
    now: Now,
    told: Vec<u8>,
}

impl Bench {
    fn new(rule: CapRule) -> Self {
        Self { account: Account::new(&rule), rule, now: NOW, told: Vec::new() }
    }

    fn reserve(&mut self, amount: u64) -> Result<(), Shortage> {
        self.account.check(usd(amount), &self.rule, self.now)?;
        self.account.take(held(amount));
        Ok(())
    }

    fn settle(&mut self, reserved: u64, spent: u64) {
        let told = &mut self.told;
        let settlement = Settlement::reported(usd(spent));
        self.account.settle(held(reserved), &settlement, &self.rule, self.now, |alert| told.push(alert.share.get()));
    }

    fn balance(&mut self) -> Balance {
        self.account.balances(&self.rule, self.now)[0]
    }
}

#[test]
fn what_is_reserved_is_not_there_for_others_until_it_is_settled() {
    let mut bench = Bench::new(rule(100));
    bench.reserve(60).unwrap();
    let shortage = bench.reserve(41).unwrap_err();
    assert_eq!((shortage.left, shortage.wait), (usd(40), None), "whether it comes back is not known");
    bench.settle(60, 10);
    bench.reserve(41).unwrap();
    let balance = bench.balance();
    assert_eq!((balance.spent, balance.reserved, balance.left()), (usd(10), usd(41), usd(49)));
}

#[test]
fn what_a_call_under_way_expects_is_left_to_it_by_those_that_begin() {
    let mut bench = Bench::new(rule(100));
    let stream = Held { amount: usd(40), expects: usd(20) };
    bench.account.take(stream);
    let shortage = bench.reserve(41).unwrap_err();
    assert_eq!((shortage.left, shortage.wait), (usd(40), None));
    bench.reserve(40).unwrap();
    let more = |bench: &mut Bench, amount| bench.account.check_more(usd(amount), &bench.rule, bench.now);
    assert_eq!(more(&mut bench, 21).unwrap_err().left, usd(20));
    more(&mut bench, 20).unwrap();
    bench.account.settle(stream, &Settlement::reported(usd(10)), &bench.rule, bench.now, |_| {});
    bench.reserve(50).unwrap();
}

#[test]
fn a_settlement_above_its_reservation_is_booked_in_full_and_closes_the_account() {
    let mut bench = Bench::new(rule(100));
    bench.reserve(50).unwrap();
    bench.settle(50, 130);
    assert_eq!(bench.balance().debt, usd(30));
    let shortage = bench.reserve(0).unwrap_err();
    assert_eq!(shortage.left, usd(0));
    assert!(shortage.wait.is_some_and(|wait| wait > HOUR && wait <= HOUR + HOUR / 60));
    bench.now += shortage.wait.unwrap() - Duration::from_nanos(1);
    bench.reserve(0).unwrap_err();
    bench.now += Duration::from_nanos(1);
    bench.reserve(0).unwrap();
    bench.account.top_up(usd(31));
    bench.reserve(131).unwrap();
}

#[test]
fn a_call_is_held_to_every_cap_and_waits_for_the_slowest() {
    let caps = rule(100).cap(Cap::new(usd(150), Window::Rolling(24 * HOUR)));
    let mut bench = Bench::new(caps);
    bench.settle(0, 90);
    bench.now += 2 * HOUR;
    bench.reserve(60).unwrap();
    bench.settle(60, 60);
    let shortage = bench.reserve(50).unwrap_err();
    assert_eq!(shortage.left, usd(0), "of the day's");
    let wait = shortage.wait.unwrap();
    assert!(wait > 22 * HOUR && wait <= 22 * HOUR + 24 * HOUR / 60, "{wait:?}");
    bench.now += wait;
    bench.reserve(50).unwrap();
}

#[test]
fn reservations_outlast_the_window_and_are_spent_in_the_next() {
    let mut bench = Bench::new(CapRule::new("rule", Per::GLOBAL, Cap::new(usd(100), Window::DAY)));
    bench.settle(0, 30);
    bench.reserve(70).unwrap();
    bench.now += 24 * HOUR;
    let balance = bench.balance();
    assert_eq!((balance.spent, balance.reserved, balance.left()), (usd(0), usd(70), usd(30)));
    bench.settle(70, 65);
    assert_eq!(bench.balance().spent, usd(65));
}

#[test]
fn what_is_frozen_gives_nothing_and_a_reset_leaves_calls_under_way_theirs() {
    let mut bench = Bench::new(rule(100));
    bench.reserve(20).unwrap();
    bench.account.freeze(true);
    assert_eq!(bench.reserve(1), Err(Shortage { left: usd(0), wait: None, is_frozen: true }));
    bench.account.freeze(false);
    bench.settle(0, 50);
    bench.account.reset(&bench.rule);
    let balance = bench.balance();
    assert_eq!((balance.spent, balance.reserved), (usd(0), usd(20)));
    assert!(!bench.account.is_idle(&bench.rule, NOW));
    bench.settle(20, 0);
    assert!(bench.account.is_idle(&bench.rule, NOW));
}

#[test]
fn a_soft_cap_refuses_nothing_unless_it_is_frozen() {
    let mut bench = Bench::new(rule(100).soft());
    bench.reserve(1_000).unwrap();
    bench.settle(1_000, 1_000);
    bench.reserve(1).unwrap();
    bench.account.freeze(true);
    bench.reserve(1).unwrap_err();
}

#[test]
fn an_account_is_idle_once_its_window_has_passed() {
    let mut bench = Bench::new(rule(100));
    bench.settle(0, 5);
    assert!(!bench.account.is_idle(&bench.rule, NOW + HOUR));
    assert!(bench.account.is_idle(&bench.rule, NOW + HOUR + HOUR / 60));
}

#[test]
fn each_share_is_told_once_a_window() {
    let mut bench = Bench::new(CapRule::new("rule", Per::GLOBAL, Cap::new(usd(100), Window::DAY)));
    let told = |bench: &mut Bench, spent| {
        bench.settle(0, spent);
        std::mem::take(&mut bench.told)
    };
    assert_eq!(told(&mut bench, 49), [0_u8; 0]);
    assert_eq!(told(&mut bench, 1), [50]);
    assert_eq!(told(&mut bench, 46), [80, 95]);
    assert_eq!(told(&mut bench, 10), [100]);
    assert_eq!(told(&mut bench, 10), [0_u8; 0]);
    bench.now += 24 * HOUR;
    assert_eq!(told(&mut bench, 49), [0_u8; 0]);
    assert_eq!(told(&mut bench, 31), [50, 80]);
    bench.account.top_up(usd(100));
    assert_eq!(told(&mut bench, 25), [50], "of what is allowed now");
    bench.account.reset(&bench.rule);
    assert_eq!(told(&mut bench, 60), [50]);
}

#[test]
fn shares_are_told_in_ascending_order_whatever_order_they_are_stated_in() {
    let mut bench = Bench::new(rule(100).alert_at([90, 20, 50, 20].into_iter().flat_map(Percent::new)));
    bench.settle(0, 30);
    assert_eq!(bench.told, [20]);
    bench.settle(0, 65);
    assert_eq!(bench.told, [20, 50, 90]);
}

#[test]
fn in_a_rolling_window_a_share_is_told_again_after_its_length() {
    let mut bench = Bench::new(rule(100).alert_at(Percent::new(50)));
    bench.settle(0, 60);
    bench.now += HOUR / 2;
    bench.settle(0, 60);
    bench.now += HOUR / 2;
    bench.settle(0, 1);
    assert_eq!(bench.told, [50, 50]);
    assert!(bench.account.tells_refusal(&bench.rule, bench.now));
    assert!(!bench.account.tells_refusal(&bench.rule, bench.now + HOUR - Duration::from_nanos(1)));
    assert!(bench.account.tells_refusal(&bench.rule, bench.now + HOUR));
}

#[test]
fn another_rule_takes_over_what_was_spent_in_the_same_window() {
    let mut bench = Bench::new(rule(100).cap(Cap::new(usd(500), Window::DAY)));
    bench.settle(0, 40);
    bench.reserve(10).unwrap();
    let lower =
        CapRule::new("rule", Per::GLOBAL, Cap::new(usd(45), Window::DAY)).cap(Cap::new(usd(1_000), Window::MONTH));
    bench.account.adopt(&bench.rule.clone(), &lower);
    bench.rule = lower;
    let balances = bench.account.balances(&bench.rule, NOW);
    assert_eq!(balances.iter().map(|balance| balance.spent.0).collect::<Vec<_>>(), [40, 0]);
    assert_eq!(balances.iter().map(|balance| balance.reserved.0).collect::<Vec<_>>(), [10, 10]);
    bench.reserve(1).unwrap_err();
}

#[derive(Clone, Debug)]
enum Step {
    Begin {
        amount: u64,
        expects: u64,
    },
    More {
        which: usize,
        amount: u64,
    },
    Settle {
        which: usize,
        spent: u64,
        estimated: u64,
    },
    TopUp(u64),
    Reset,
    /// Another rule of the same name, with another cap for the same window.
    Rule(u64),
    /// Over midnight and the ends of months, too.
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0_u64..60, 0_u64..20).prop_map(|(amount, expects)| Step::Begin { amount, expects }),
        3 => (any::<usize>(), 0_u64..30).prop_map(|(which, amount)| Step::More { which, amount }),
        6 => (any::<usize>(), 0_u64..80, 0_u64..80)
            .prop_map(|(which, spent, estimated)| Step::Settle { which, spent, estimated: estimated.min(spent) }),
        1 => (0_u64..20).prop_map(Step::TopUp),
        1 => Just(Step::Reset),
        1 => (0_u64..250).prop_map(Step::Rule),
        4 => prop_oneof![0_u64..4_000, 40_000_u64..100_000, 0_u64..4_000_000].prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..80)
}

fn windows() -> impl Strategy<Value = Window> {
    let tokyo = || TimeZone::fixed(jiff::tz::offset(9));
    prop::sample::select(vec![
        Window::Rolling(HOUR),
        Window::Rolling(24 * HOUR),
        Window::DAY,
        Window::Day(tokyo()),
        Window::MONTH,
        Window::Month(tokyo()),
        Window::Lifetime,
    ])
}

/// What counts of what was spent and when, as people reckon: of a rolling window at least what is in it, and at most what
/// is in a sixtieth more.
fn counts(spent: &[(Now, u64)], window: &Window, now: Now) -> RangeInclusive<u64> {
    let date = |at: Now, zone: &TimeZone| {
        let seconds = at.as_secs().try_into().unwrap();
        Timestamp::from_second(seconds).unwrap().to_zoned(zone.clone()).date()
    };
    let sum = |counts: &dyn Fn(Now) -> bool| spent.iter().filter(|(at, _)| counts(*at)).map(|(_, spent)| spent).sum();
    let exactly = |sum| sum..=sum;
    match window {
        Window::Rolling(length) => {
            let within = |span: Duration| sum(&|at| at + span > now);
            within(*length)..=within(*length + *length / 60)
        }
        Window::Day(zone) => exactly(sum(&|at| date(at, zone) == date(now, zone))),
        Window::Month(zone) => exactly(sum(&|at| date(at, zone).first_of_month() == date(now, zone).first_of_month())),
        Window::Lifetime => exactly(sum(&|_| true)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Reservations are made before the window ends and settled after it, among other things.
    #[test]
    fn spent_and_reserved_less_debt_never_exceed_the_cap(steps in steps(), amount in 0_u64..200, window in windows()) {
        let rule = |amount| CapRule::new("rule", Per::GLOBAL, Cap::new(usd(amount), window.clone()));
        let mut bench = Bench::new(rule(amount));
        let (mut open, mut spent, mut estimated): (Vec<Held>, Vec<_>, Vec<_>) = Default::default();
        // What settlements above their reservations and lower caps have made.
        let mut most_debt = 0_u64;
        for step in steps {
            let before = bench.balance();
            let expected: u64 = open.iter().map(|held| held.expects.0).sum();
            match step {
                Step::Begin { amount, expects } => {
                    let fits = before.debt == usd(0) && amount + expected <= before.left().0;
                    prop_assert_eq!(bench.account.check(usd(amount), &bench.rule, bench.now).is_ok(), fits);
                    if fits {
                        open.push(Held { amount: usd(amount), expects: usd(expects) });
                        bench.account.take(open[open.len() - 1]);
                    }
                }
                Step::More { which, amount } if !open.is_empty() => {
                    let at = which % open.len();
                    let fits = before.debt == usd(0) && amount <= before.left().0;
                    prop_assert_eq!(bench.account.check_more(usd(amount), &bench.rule, bench.now).is_ok(), fits);
                    if fits {
                        open[at].amount = open[at].amount.saturating_add(usd(amount));
                        bench.account.take(Held { amount: usd(amount), expects: usd(0) });
                    }
                }
                Step::Settle { which, spent: cost, estimated: by_estimate } if !open.is_empty() => {
                    let held = open.swap_remove(which % open.len());
                    most_debt += cost.saturating_sub(held.amount.0);
                    spent.push((bench.now, cost));
                    estimated.push((bench.now, by_estimate));
                    let reported = usd(cost - by_estimate);
                    let settlement = Settlement { reported, ..Settlement::estimated(usd(by_estimate)) };
                    bench.account.settle(held, &settlement, &bench.rule, bench.now, |_| {});
                }
                Step::More { .. } | Step::Settle { .. } => {}
                Step::TopUp(amount) => bench.account.top_up(usd(amount)),
                Step::Reset => {
                    bench.account.reset(&bench.rule.clone());
                    spent.clear();
                    estimated.clear();
                }
                Step::Rule(amount) => {
                    bench.account.adopt(&bench.rule.clone(), &rule(amount));
                    bench.rule = rule(amount);
                    most_debt += bench.balance().debt.0;
                }
                Step::Wait(seconds) => bench.now += Duration::from_secs(seconds),
            }
            let balance = bench.balance();
            prop_assert!(balance.spent.0 + balance.reserved.0 - balance.debt.0 <= balance.cap.0);
            prop_assert!(balance.debt.0 <= most_debt, "only settlements and lower caps make debt");
            prop_assert_eq!(balance.reserved.0, open.iter().map(|held| held.amount.0).sum::<u64>());
            prop_assert!(counts(&spent, &window, bench.now).contains(&balance.spent.0), "{balance:?}");
            prop_assert!(counts(&estimated, &window, bench.now).contains(&balance.estimated.0), "{balance:?}");
        }
        for held in open {
            bench.account.settle(held, &Settlement::default(), &bench.rule, bench.now, |_| {});
        }
        prop_assert_eq!(bench.balance().reserved, usd(0), "at rest nothing is reserved");
        prop_assert_eq!(bench.account.expected, usd(0), "nor expected");
    }
}
