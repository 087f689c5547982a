//! A test suite that any ledger can be run through, as [`MemoryLedger`](crate::MemoryLedger) is.
//!
//! Each check makes ledgers of its own, holds money in them and looks at their accounts; it panics with a sentence that
//! says what the ledger broke. They are for tokio's paused time, since windows pass:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::sync::Arc;
//!
//! use llm_budget::{MemoryLedger, suite};
//!
//! suite::all(&|| Arc::new(MemoryLedger::default())).await;
//! # }
//! ```
//!
//! What it cannot check from outside: that a ledger which sends settlements on, or finds them after a restart, books each
//! [`ClaimId`] once, and charges what it finds reserved by a process that is gone.

mod bench;

use std::{sync::Arc, time::Duration};

use llm_core::{CallId, NanoUsd, Random, TargetRef};

use self::bench::{Bench, rolling, spent, usd};
use crate::{Cap, CapRule, Change, Claim, ClaimId, Claimed, Ledger, Per, Reason, Settlement, Window};

/// Makes the ledgers under test, without accounts, with room for at least a hundred.
pub type Make<'a> = &'a dyn Fn() -> Arc<dyn Ledger>;

const TARGET: TargetRef<'_> = TargetRef { provider: "openai", model: "gpt-4o", key: None };
const HOUR: Duration = Duration::from_secs(3600);

/// All checks, one after the other.
pub async fn all(make: Make<'_>) {
    what_is_reserved_is_nobody_elses(make).await;
    all_accounts_or_none(make).await;
    the_first_settlement_counts(make).await;
    what_is_dropped_goes_back(make).await;
    a_settlement_is_booked_in_full(make).await;
    an_extension_is_all_or_nothing(make).await;
    what_a_call_expects_is_left_to_it(make).await;
    what_is_estimated_is_marked(make).await;
    the_stated_wait_is_exact(make).await;
    reservations_outlast_their_window(make).await;
    operators_change_accounts(make).await;
    operators_are_told(make).await;
    new_rules_hold_at_once(make).await;
    caps_hold_under_any_history(make).await;
}

/// What one call has reserved another cannot have, and each account has its own.
pub async fn what_is_reserved_is_nobody_elses(make: Make<'_>) {
    let mut bench = Bench::new(make, [rolling("cap", 100)]);
    let first = bench.granted(&[(0, "a")], 60).await;
    assert_eq!(first.amount(), usd(60), "a hold does not know its amount");
    let refusal = bench.refused(&[(0, "a")], 41).await;
    assert_eq!((&*refusal.rule, refusal.reason), ("cap", Reason::Spent));
    assert_eq!((refusal.left, refusal.available), (usd(40), usd(40)), "what is left is not what is left");
    let _second = bench.granted(&[(0, "a")], 40).await;
    let _other = bench.granted(&[(0, "b")], 100).await;
    bench.assert_is(0, "a", [0, 100, 0], "while two calls are under way");
}

/// A claim that one account refuses takes nothing in the others.
pub async fn all_accounts_or_none(make: Make<'_>) {
    let mut bench = Bench::new(make, [rolling("wide", 100), rolling("narrow", 50)]);
    let both = [(0, "a"), (1, "a")];
    let refusal = bench.refused(&both, 51).await;
    assert_eq!((&*refusal.rule, refusal.available), ("narrow", usd(50)));
    bench.assert_is(0, "a", [0, 0, 0], "after a refusal elsewhere");
    bench.assert_is(1, "a", [0, 0, 0], "after a refusal");
    let mut hold = bench.granted(&both, 50).await;
    bench.assert_is(0, "a", [0, 50, 0], "while reserved");
    bench.assert_is(1, "a", [0, 50, 0], "while reserved");
    hold.settle(spent(30));
    bench.assert_is(0, "a", [30, 0, 0], "once settled");
    bench.assert_is(1, "a", [30, 0, 0], "once settled");
}

/// A hold is settled once, however often it is told to.
pub async fn the_first_settlement_counts(make: Make<'_>) {
    let mut bench = Bench::new(make, [rolling("cap", 100)]);
    let mut hold = bench.granted(&[(0, "a")], 60).await;
    let other = bench.granted(&[(0, "a")], 20).await;
    hold.settle(spent(10));
    hold.settle(spent(50));
    drop(hold);
    bench.assert_is(0, "a", [10, 20, 0], "after two settlements and a drop");
    drop(other);
    let mut hold = bench.granted(&[(0, "a")], 60).await;
    hold.settle(spent(10));
    assert!(hold.extend(usd(1)).await.is_err(), "a settled hold was extended");
    bench.assert_is(0, "a", [20, 0, 0], "after an extension of what is settled");
}

/// A hold that is dropped, and a claim that nobody waits for, leave nothing reserved.
pub async fn what_is_dropped_goes_back(make: Make<'_>) {
    let mut bench = Bench::new(make, [rolling("cap", 100)]);
    drop(bench.granted(&[(0, "a")], 60).await);
    bench.assert_is(0, "a", [0, 0, 0], "after a drop");
    let key = bench.key(0, "a");
    let accounts = [Claimed { rule: &bench.rules[0], key: key.names() }];
    let claim =
        Claim { id: ClaimId::new(CallId(7), 0), accounts: &accounts, amount: usd(60), expects: usd(0), target: TARGET };
    drop(bench.ledger.reserve(&claim));
    bench.assert_is(0, "a", [0, 0, 0], "after nobody waited for a claim");
    let mut hold = bench.granted(&[(0, "a")], 50).await;
    drop(hold.extend(usd(20)));
    hold.settle(spent(5));
    bench.assert_is(0, "a", [5, 0, 0], "after nobody waited for an extension");
}

/// What a call costs above its reservation is booked, and the account is closed until that is covered.
pub async fn a_settlement_is_booked_in_full(make: Make<'_>) {
    let mut bench = Bench::new(make, [rolling("cap", 100)]);
    bench.granted(&[(0, "a")], 50).await.settle(spent(130));
    bench.assert_is(0, "a", [130, 0, 30], "after a call above its reservation");
    let refusal = bench.refused(&[(0, "a")], 0).await;
    assert_eq!(refusal.left, NanoUsd::ZERO, "in debt nothing is left");
    bench.change(0, "a", Change::TopUp(usd(29))).await;
    bench.refused(&[(0, "a")], 0).await;
    bench.change(0, "a", Change::TopUp(usd(2))).await;
    drop(bench.granted(&[(0, "a")], 1).await);
}

/// What a call under way expects other calls do not get, until it is settled; its own claim does not need it, and its
/// extensions may have it.
pub async fn what_a_call_expects_is_left_to_it(make: Make<'_>) {
    let mut bench = Bench::new(make, [rolling("cap", 100)]);
    let hold = bench.reserve_expecting(&[(0, "a")], 90, 50).await;
    drop(hold.expect("a call that expects more than there is may begin with what there is"));
    let mut hold = bench.reserve_expecting(&[(0, "a")], 40, 20).await.expect("it fits");
    let refusal = bench.refused(&[(0, "a")], 41).await;
    assert_eq!((refusal.left, refusal.available), (usd(40), usd(40)), "what is left to those that begin");
    let other = bench.granted(&[(0, "a")], 30).await;
    bench.assert_is(0, "a", [0, 70, 0], "where what is expected is not reserved");
    hold.extend(usd(30)).await.expect("what others leave, and what it expects");
    bench.refused(&[(0, "a")], 1).await;
    hold.settle(spent(50));
    bench.granted(&[(0, "a")], 20).await.settle(spent(20));
    drop(other);
}

/// How much of what was spent is by estimate is known as long as it counts.
pub async fn what_is_estimated_is_marked(make: Make<'_>) {
    let mut bench = Bench::new(make, [rolling("cap", 100)]);
    bench.spend(&[(0, "a")], 20).await;
    bench.granted(&[(0, "a")], 30).await.settle(Settlement { reported: usd(5), ..Settlement::estimated(usd(7)) });
    let balance = bench.status(0, "a").map(|status| status.balances[0]);
    let found = balance.map(|balance| (balance.spent, balance.estimated));
    assert_eq!(found, Some((usd(32), usd(7))), "spent, and by estimate");
    tokio::time::sleep(HOUR + HOUR / 50).await;
    let balance = bench.status(0, "a").map(|status| status.balances[0]);
    let found = balance.map_or((usd(0), usd(0)), |balance| (balance.spent, balance.estimated));
    assert_eq!(found, (usd(0), usd(0)), "once the window has passed");
}

/// A hold that is extended has more in all of its accounts, and as much as before if one refuses.
pub async fn an_extension_is_all_or_nothing(make: Make<'_>) {
    let mut bench = Bench::new(make, [rolling("wide", 100), rolling("narrow", 50)]);
    let mut hold = bench.granted(&[(0, "a"), (1, "a")], 30).await;
    let refusal = hold.extend(usd(21)).await.expect_err("an extension was granted where it does not fit");
    assert_eq!((&*refusal.rule, refusal.available, hold.amount()), ("narrow", usd(20), usd(30)));
    hold.extend(usd(20)).await.expect("an extension that fits");
    assert_eq!(hold.amount(), usd(50));
    bench.assert_is(0, "a", [0, 50, 0], "once extended");
    hold.settle(spent(45));
    bench.assert_is(1, "a", [45, 0, 0], "once settled");
}

/// After the wait that a refusal states the call fits, and not a nanosecond before.
pub async fn the_stated_wait_is_exact(make: Make<'_>) {
    for window in [Window::Rolling(HOUR), Window::DAY, Window::MONTH] {
        let mut bench = Bench::new(make, [CapRule::new("cap", Per::TENANT, Cap::new(usd(100), window.clone()))]);
        bench.spend(&[(0, "a")], 80).await;
        tokio::time::sleep(HOUR / 7).await;
        let asked = tokio::time::Instant::now();
        let refusal = bench.refused(&[(0, "a")], 30).await;
        // A ledger far away is asked as much later.
        let took = asked.elapsed();
        let wait = refusal.wait.unwrap_or_else(|| panic!("no wait is stated for {window:?}"));
        // Tokio's timers count whole milliseconds.
        tokio::time::sleep(wait.saturating_sub(took + Duration::from_millis(2))).await;
        bench.refused(&[(0, "a")], 30).await;
        tokio::time::sleep(Duration::from_millis(3)).await;
        drop(bench.granted(&[(0, "a")], 30).await);
    }
    let mut bench = Bench::new(make, [CapRule::new("cap", Per::TENANT, Cap::new(usd(100), Window::Lifetime))]);
    bench.spend(&[(0, "a")], 80).await;
    assert_eq!(bench.refused(&[(0, "a")], 30).await.wait, None, "all time never ends");
}

/// What was reserved in one window and is settled in the next is spent in the next, and reserved until then.
pub async fn reservations_outlast_their_window(make: Make<'_>) {
    let mut bench = Bench::new(make, [CapRule::new("cap", Per::TENANT, Cap::new(usd(100), Window::DAY))]);
    bench.spend(&[(0, "a")], 30).await;
    let mut hold = bench.granted(&[(0, "a")], 70).await;
    tokio::time::sleep(24 * HOUR).await;
    bench.assert_is(0, "a", [0, 70, 0], "on the next day");
    bench.refused(&[(0, "a")], 31).await;
    hold.settle(spent(65));
    bench.assert_is(0, "a", [65, 0, 0], "once settled");
}

/// Accounts are topped up, reset, frozen and unfrozen, also before their first call.
pub async fn operators_change_accounts(make: Make<'_>) {
    let mut bench = Bench::new(make, [rolling("cap", 100)]);
    bench.change(0, "a", Change::Freeze).await;
    assert_eq!(bench.refused(&[(0, "a")], 1).await.reason, Reason::Frozen);
    assert!(bench.status(0, "a").is_some_and(|status| status.is_frozen), "a frozen account does not say so");
    bench.change(0, "a", Change::Unfreeze).await;
    bench.change(0, "a", Change::TopUp(usd(50))).await;
    bench.spend(&[(0, "a")], 130).await;
    let hold = bench.granted(&[(0, "a")], 20).await;
    bench.change(0, "a", Change::Reset).await;
    bench.assert_is(0, "a", [0, 20, 0], "after a reset with a call under way");
    drop(hold);
    bench.refused(&[(0, "a")], 101).await;
    let mut listed = 0;
    bench.ledger.for_each(&mut |status| listed += u32::from(status.key == bench.key(0, "a")));
    assert_eq!(listed, 1, "the account is not among those that are shown");
}

/// Shares that are reached are told once, refusals once a window, changes each time.
pub async fn operators_are_told(make: Make<'_>) {
    let mut bench = Bench::new(make, [rolling("cap", 100)]);
    let mut heard = bench.ledger.notices();
    bench.spend(&[(0, "a")], 85).await;
    bench.spend(&[(0, "a")], 1).await;
    bench.refused(&[(0, "a")], 50).await;
    bench.refused(&[(0, "a")], 50).await;
    bench.change(0, "a", Change::Freeze).await;
    let mut kinds = Vec::new();
    while kinds.last() != Some(&("frozen", None)) {
        let notice = heard.next().await.expect("the ledger is there");
        assert_eq!((notice.source, &*notice.key), ("budget", "cap (tenant a)"));
        let percent = notice.numbers.iter().find(|(name, _)| *name == "percent").map(|(_, percent)| *percent as u64);
        kinds.push((notice.kind, percent));
    }
    assert_eq!(kinds, [("reached", Some(50)), ("reached", Some(80)), ("refused", None), ("frozen", None)]);
}

/// Another rule of the same name holds from the next claim on, and what was spent is still spent.
pub async fn new_rules_hold_at_once(make: Make<'_>) {
    let mut bench = Bench::new(make, [rolling("cap", 100)]);
    bench.spend(&[(0, "a")], 40).await;
    let mut hold = bench.granted(&[(0, "a")], 10).await;
    bench.rules[0] = Arc::new(rolling("cap", 55));
    bench.refused(&[(0, "a")], 6).await;
    drop(bench.granted(&[(0, "a")], 5).await);
    hold.settle(spent(10));
    bench.assert_is(0, "a", [50, 0, 0], "by the new rule");
}

/// Whatever calls do in whatever order: no cap is crossed but by what settlements cost above their reservation, sums are
/// right to the nano-dollar, and at rest nothing is reserved.
pub async fn caps_hold_under_any_history(make: Make<'_>) {
    const TENANTS: [&str; 3] = ["a", "b", "c"];
    for seed in 0..20 {
        let random = Random::seeded(seed);
        let below = |bound: u64| (random.unit() * bound as f64) as u64;
        let per_tenant = CapRule::new("tenant", Per::TENANT, Cap::new(usd(200), Window::Lifetime));
        let global = CapRule::new("all", Per::GLOBAL, Cap::new(usd(500), Window::Lifetime));
        let mut bench = Bench::new(make, [global, per_tenant]);
        let (mut open, mut sums, mut excess) = (Vec::new(), [0_u64; 3], [0_u64; 3]);
        for _ in 0..200 {
            let tenant = below(3) as usize;
            match below(6) {
                0..=2 => {
                    let amount = below(80);
                    if let Ok(hold) = bench.reserve(&[(0, "-"), (1, TENANTS[tenant])], amount).await {
                        open.push((tenant, hold));
                    }
                }
                _ if open.is_empty() => {}
                3 => {
                    let (tenant, mut hold) = open.swap_remove(below(open.len() as u64) as usize);
                    let cost = below(100);
                    sums[tenant] += cost;
                    excess[tenant] += cost.saturating_sub(hold.amount().0);
                    hold.settle(spent(cost));
                    hold.settle(spent(below(100)));
                }
                4 => {
                    let at = below(open.len() as u64) as usize;
                    _ = open[at].1.extend(usd(below(30))).await;
                }
                _ => drop(open.swap_remove(below(open.len() as u64) as usize)),
            }
            let reserved = |whom: Option<usize>| {
                let held = open.iter().filter(|(tenant, _)| whom.is_none_or(|whom| whom == *tenant));
                held.map(|(_, hold)| hold.amount().0).sum::<u64>()
            };
            for (at, tenant) in TENANTS.into_iter().enumerate() {
                check(&bench, 1, tenant, [sums[at], reserved(Some(at)), excess[at]]);
            }
            check(&bench, 0, "-", [sums.iter().sum(), reserved(None), excess.iter().sum()]);
        }
        open.clear();
        for (rule, tenant) in [(0, "-"), (1, "a"), (1, "b"), (1, "c")] {
            let reserved = bench.status(rule, tenant).map_or(NanoUsd::ZERO, |status| status.reserved());
            assert_eq!(reserved, NanoUsd::ZERO, "at rest something is reserved for {tenant}");
        }
    }
}

/// Holds an account to the naive model: what is spent and reserved, and how much debt there can be at most.
fn check(bench: &Bench, rule: usize, tenant: &str, [spent, reserved, excess]: [u64; 3]) {
    let Some(status) = bench.status(rule, tenant) else {
        assert_eq!(spent, 0, "what {tenant} has spent was forgotten");
        return;
    };
    let balance = status.balances[0];
    assert_eq!((balance.spent.0, balance.reserved.0), (spent, reserved), "what {tenant} has spent and reserved");
    assert!(balance.spent.0 + balance.reserved.0 - balance.debt.0 <= balance.cap.0, "{tenant} is over its cap");
    assert!(balance.debt.0 <= excess, "{tenant} has a debt that no settlement made");
}
