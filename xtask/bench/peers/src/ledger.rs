//! What governor and the `llm-budget` of the registry count with.

use std::{
    any::Any,
    hint::black_box,
    num::{NonZeroU32, NonZeroUsize},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Waker},
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use registry_llm_budget::{FleetAllocator, ModelTier, budget::AtomicBudget};
use xtask_bench::{
    kept::Fill,
    ledger::{Accounts, memory::tenant},
    rounds::{Case, at_once_or_later, by_turns},
    tenants::Tenants,
};

/// Cells of a call, and how many there are at least in a second: more than are ever asked for.
const CELLS: NonZeroU32 = NonZeroU32::new(10).expect("it is not zero");
const A_SECOND: NonZeroU32 = NonZeroU32::new(1_000_000_000).expect("it is not zero");

/// Dollars of an agent: more than it ever spends here.
const DOLLARS: f64 = 10_000.0;

/// What is measured in this program.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for accounts in Accounts::ALL {
        cases.extend(Tenants::ALL.map(|tenants| governor(accounts, tenants)));
    }
    cases.extend(Tenants::ALL.map(agents));
    cases.push(counter());
    cases
}

/// What keeps accounts, in the order of `xtask_bench::ledger::memory::PEERS`.
pub fn fills() -> [Fill; 2] {
    [
        |keys| {
            let limiter = limiter();
            keys_of(keys).for_each(|key| assert!(limiter.check_key_n(&key, CELLS).is_ok_and(|within| within.is_ok())));
            Box::new(limiter)
        },
        |agents| Box::new(fleet(keys_of(agents))) as Box<dyn Any>,
    ]
}

fn keys_of(number: NonZeroUsize) -> impl Iterator<Item = String> {
    (0..number.get()).map(tenant)
}

fn limiter() -> DefaultKeyedRateLimiter<String> {
    RateLimiter::keyed(Quota::per_second(A_SECOND))
}

/// One check for each account; nothing makes them one decision.
fn governor(accounts: Accounts, tenants: Tenants) -> Case {
    let limiter = Arc::new(limiter());
    let (name, all) = match accounts {
        Accounts::One => (tenants.name(), false),
        Accounts::Three => (format!("{}, and one for all", tenants.name()), true),
    };
    let case = Case::new(&format!("governor, {name}"), accounts.name(), move |thread| {
        let limiter = Arc::clone(&limiter);
        Box::new(move || {
            let keys = |tenant: String| {
                let user = format!("{tenant}/bob");
                if all { vec!["all".to_owned(), tenant, user] } else { vec![tenant] }
            };
            by_turns(tenants.of(thread).into_iter().map(keys).collect(), move |keys: &Vec<String>, _| {
                for key in keys {
                    let checked = limiter.check_key_n(black_box(key), CELLS);
                    assert!(black_box(checked).is_ok_and(|within| within.is_ok()), "there are more cells than calls");
                }
            })
        })
    });
    case.by(tenants)
}

/// A fleet of these agents, each of which has spent something.
fn fleet(names: impl IntoIterator<Item = String>) -> FleetAllocator {
    let fleet = FleetAllocator::new(1.8e10, ModelTier::Economy, 0.1).expect("these settings are allowed");
    let mut cx = Context::from_waker(Waker::noop());
    for name in names {
        fleet.register_agent(&name, DOLLARS).expect("there is room for it");
        assert!(pin!(fleet.charge_agent(&name, 1, 1, None, None)).poll(&mut cx).is_ready(), "nobody else charges it");
    }
    fleet
}

/// An agent keeps a record of every charge, so each round has a fleet of its own.
fn agents(tenants: Tenants) -> Case {
    let of_round: Mutex<Arc<FleetAllocator>> = Mutex::new(Arc::new(fleet([])));
    let case = Case::new(&format!("llm-budget 0.2, {}", tenants.name()), Accounts::One.name(), move |thread| {
        let mut of_round = of_round.lock().unwrap_or_else(PoisonError::into_inner);
        if thread == 0 {
            let names = tenants.of(0).into_iter().chain(tenants.of(1));
            let mut names: Vec<_> = names.collect();
            names.sort_unstable();
            names.dedup();
            *of_round = Arc::new(fleet(names));
        }
        let fleet = Arc::clone(&of_round);
        Box::new(move || {
            by_turns(tenants.of(thread), move |name: &String, runtime| {
                let mut cx = Context::from_waker(Waker::noop());
                let charged =
                    at_once_or_later(pin!(fleet.charge_agent(black_box(name), 1, 1, None, None)), &mut cx, runtime);
                assert!(black_box(charged).is_ok(), "it has more than it spends");
            })
        })
    });
    case.by(tenants)
}

/// The counter that its agents have, without a name to look up and without records.
fn counter() -> Case {
    let counter = Arc::new(AtomicBudget::new(1e9).expect("it is not nothing"));
    Case::new("llm-budget 0.2, its counter alone", Accounts::One.name(), move |_| {
        let counter = Arc::clone(&counter);
        Box::new(move || {
            by_turns(vec![()], move |(), _| {
                assert!(black_box(counter.charge(black_box(1e-6))).is_ok(), "it is far from spent")
            })
        })
    })
}
