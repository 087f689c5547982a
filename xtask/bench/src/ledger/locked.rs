//! What one would write in an afternoon: a map of balances behind one lock.

use std::{
    collections::HashMap,
    hint::black_box,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use llm_core::NanoUsd;

use super::{Accounts, memory::tenant, own};
use crate::{
    rounds::{Case, by_turns},
    tenants::Tenants,
};

/// Balances by name, without windows, notices and a bound on their number.
#[derive(Debug, Default)]
pub(super) struct Locked(Mutex<HashMap<String, Balance>>);

#[derive(Debug, Default)]
struct Balance {
    spent: NanoUsd,
    reserved: NanoUsd,
}

impl Locked {
    /// A map with an account for each of many names.
    pub(super) fn with(accounts: NonZeroUsize) -> Self {
        let locked = Self::default();
        (0..accounts.get()).for_each(|number| locked.call(&[format!("per-tenant/{}", tenant(number))]));
        locked
    }

    fn call(&self, keys: &[String]) {
        assert!(self.reserve(black_box(keys)), "it is within every cap");
        self.settle(keys);
    }

    fn reserve(&self, keys: &[String]) -> bool {
        let mut balances = self.lock();
        // A key is looked up twice, so that nothing is allocated for those that are known.
        let fits = |Balance { spent, reserved }: &Balance| {
            spent.saturating_add(*reserved).saturating_add(own::AMOUNT) <= own::CAP
        };
        let all_fit = keys.iter().all(|key| balances.get(key).is_none_or(fits));
        if all_fit {
            for key in keys {
                if !balances.contains_key(key) {
                    balances.insert(key.clone(), Balance::default());
                }
                let balance = balances.get_mut(key).expect("it is there now");
                balance.reserved = balance.reserved.saturating_add(own::AMOUNT);
            }
        }
        all_fit
    }

    fn settle(&self, keys: &[String]) {
        let mut balances = self.lock();
        for key in keys {
            let balance = balances.get_mut(key).expect("something was reserved in it");
            balance.reserved = balance.reserved.saturating_sub(own::AMOUNT);
            balance.spent = balance.spent.saturating_add(own::COST);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Balance>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reserving and settling in such a map.
pub(super) fn case(accounts: Accounts, tenants: Tenants) -> Case {
    let locked = Arc::new(Locked::default());
    let name = match accounts {
        Accounts::One => format!("Mutex<HashMap>, {}", tenants.name()),
        Accounts::Three => format!("Mutex<HashMap>, {}, and one for all", tenants.name()),
    };
    let case = Case::new(&name, accounts.name(), move |thread| {
        let locked = Arc::clone(&locked);
        Box::new(move || {
            let keys = |tenant: String| match accounts {
                Accounts::One => vec![format!("per-tenant/{tenant}")],
                Accounts::Three => {
                    vec!["all".into(), format!("per-tenant/{tenant}"), format!("per-user/{tenant}/bob")]
                }
            };
            by_turns(tenants.of(thread).into_iter().map(keys).collect(), move |keys: &Vec<String>, _| locked.call(keys))
        })
    });
    case.by(tenants)
}
