//! The stack of a world, and what can be read and done at its layers.

mod build;

use std::{fmt::Write, sync::Arc};

use llm_breaker::{BreakerHandle, CircuitState, CircuitStatus};
use llm_budget::{
    AccountStatus, BudgetHandle, Change, Ledger, Strictness,
    limit::{LimitHandle, LimitStatus},
};
use llm_cache::{CacheHandle, Selection};
use llm_core::{BoxLlmService, NanoUsd, Target};
use llm_router::RouterHandle;

use crate::{Invariant, models, truth::Truth, world::Does};

/// What is in the stack besides what its world says: nothing, or something that is broken on purpose.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// Around the whole stack.
    pub outermost: &'a dyn Fn(BoxLlmService) -> BoxLlmService,
    /// Around each provider.
    pub innermost: &'a dyn Fn(BoxLlmService) -> BoxLlmService,
    /// What keeps the accounts of each budget, if that is not its own.
    pub ledger: Option<fn() -> Arc<dyn Ledger>>,
}

impl std::fmt::Debug for Around<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Around")
    }
}

impl Around<'_> {
    /// Nothing.
    pub const NOTHING: Around<'static> =
        Around { outermost: &|service| service, innermost: &|service| service, ledger: None };
}

/// The stack, and its handles.
#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) service: BoxLlmService,
    /// The same layers once more: what one of the two has seen the other knows.
    pub(crate) twin: BoxLlmService,
    pub(crate) handles: Handles,
}

/// The handles of all layers of a stack, each kind from the outside in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handles {
    breakers: Vec<(BreakerHandle, u8)>,
    pub(crate) budgets: Vec<BudgetHandle>,
    limits: Vec<LimitHandle>,
    caches: Vec<CacheHandle>,
    routers: Vec<RouterHandle>,
}

impl Handles {
    /// What holds at every instant.
    pub(crate) fn check_always(&self, truth: &Truth) {
        for budget in &self.budgets {
            budget.ledger().for_each(&mut |status| check_account(&status, truth));
        }
        for limit in &self.limits {
            limit.list().iter().chain(&limit.overflow_status()).for_each(|status| check_limit(status, truth));
        }
        for (breaker, most) in &self.breakers {
            breaker.list().iter().for_each(|status| check_circuit(status, *most, truth));
        }
    }

    /// What is held, in words; nothing at rest.
    pub(crate) fn held(&self) -> Vec<String> {
        let mut held = Vec::new();
        for budget in &self.budgets {
            let reserved = budget.accounts().into_iter().filter(|status| status.reserved() > NanoUsd::ZERO);
            held.extend(reserved.map(|status| format!("{} is reserved of {}", status.reserved(), status.key)));
        }
        for limit in &self.limits {
            let mut all = limit.list();
            all.extend(limit.overflow_status());
            held.extend(all.iter().filter(|status| status.in_flight > 0).map(ToString::to_string));
            let counted = limit.counts().into_iter().filter(|counts| counts.in_flight > 0);
            held.extend(counted.map(|counts| format!("{} calls are counted in {}", counts.in_flight, counts.limit)));
        }
        for (breaker, _) in &self.breakers {
            let mut all = breaker.list();
            all.push(breaker.overflow_status());
            let is_probed = |state| matches!(state, CircuitState::HalfOpen { probes: 1.., .. });
            held.extend(all.iter().filter(|status| is_probed(status.state)).map(|status| format!("a probe: {status}")));
        }
        for cache in &self.caches {
            let under_way = cache.under_way();
            held.extend((under_way > 0).then(|| format!("{under_way} flights of a cache")));
        }
        for router in &self.routers {
            let busy = router.targets().into_iter().filter(|status| status.in_flight > 0);
            held.extend(busy.map(|status| format!("{} calls to {} by a router", status.in_flight, status.target)));
        }
        held
    }

    /// Everything that handles show.
    pub(crate) fn shown(&self) -> String {
        let mut text = format!("{self:?}");
        for limit in &self.limits {
            limit.list().iter().for_each(|status| _ = write!(text, "{status}"));
        }
        for budget in &self.budgets {
            _ = write!(text, "{:?}{:?}", budget.accounts(), budget.models());
        }
        for router in &self.routers {
            _ = write!(text, "{:?}{:?}", router.targets(), router.counts());
        }
        text
    }

    /// Does what an operator does at the layers that there are.
    pub(crate) async fn act(&self, does: Does) {
        let target = |at: u8| Target::new(format!("p{at}"), models::CHAT[0]);
        match does {
            Does::ForceOpen(at) => self.breakers.iter().for_each(|(breaker, _)| _ = breaker.force_open(&target(at))),
            Does::ForceClosed(at) => {
                self.breakers.iter().for_each(|(breaker, _)| _ = breaker.force_closed(&target(at)));
            }
            Does::ResetCircuits => self.breakers.iter().for_each(|(breaker, _)| breaker.reset_all()),
            Does::Freeze => self.change(Change::Freeze).await,
            Does::Unfreeze => self.change(Change::Unfreeze).await,
            Does::TopUp => self.change(Change::TopUp(NanoUsd(10_000_000))).await,
            Does::ResetAccounts => self.change(Change::Reset).await,
            Does::Invalidate => self.caches.iter().for_each(|cache| _ = cache.invalidate(&Selection::All)),
            Does::InvalidateTenant(at) => {
                let selection = Selection::Tenant(format!("tenant-{at}").into());
                self.caches.iter().for_each(|cache| _ = cache.invalidate(&selection));
            }
            Does::Replan => self.routers.iter().for_each(|router| router.replace(router.plan())),
            // These are done to the whole stack.
            Does::Jump(_) | Does::Ready(_) | Does::Look => {}
        }
    }

    async fn change(&self, change: Change) {
        for budget in &self.budgets {
            for status in budget.accounts() {
                budget.change(&status.key, change).await;
            }
        }
    }
}

fn check_account(status: &AccountStatus, truth: &Truth) {
    if status.rule.strictness() == Strictness::Soft {
        return;
    }
    for balance in &status.balances {
        let used = balance.spent.saturating_add(balance.reserved).saturating_sub(balance.debt);
        if used > balance.cap {
            truth.violated(Invariant::Caps, format!("{}: {balance:?}", status.key));
        }
    }
}

fn check_limit(status: &LimitStatus, truth: &Truth) {
    if status.at_once.is_some_and(|most| u64::from(status.in_flight) > most) {
        truth.violated(Invariant::Limits, format!("{status}, and {:?} may be", status.at_once));
    }
}

fn check_circuit(status: &CircuitStatus, most: u8, truth: &Truth) {
    if let CircuitState::HalfOpen { probes, .. } = status.state
        && probes > most
    {
        truth.violated(Invariant::Probes, format!("{status}, and {most} may be"));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use llm_budget::AccountKey;

    use super::*;
    use crate::World;

    fn found(look: impl FnOnce(&Truth)) -> Vec<Invariant> {
        let truth = Truth::of(&World::default());
        look(&truth);
        truth.facts().violations.iter().map(|violation| violation.invariant).collect()
    }

    #[test]
    fn one_probe_too_many_is_seen() {
        let status = |probes| CircuitStatus {
            target: Target::new("p0", "m"),
            state: CircuitState::HalfOpen { probes, successes: 0 },
            cooling: Duration::ZERO,
            score: 0,
            openings: 1,
            epoch: 1,
        };
        assert_eq!(found(|truth| check_circuit(&status(2), 2, truth)), []);
        assert_eq!(found(|truth| check_circuit(&status(3), 2, truth)), [Invariant::Probes]);
    }

    #[test]
    fn one_call_too_many_is_seen() {
        let status = |in_flight| LimitStatus {
            caller: AccountKey::new("rule"),
            requests_per_minute: None,
            tokens_per_minute: None,
            at_once: Some(2),
            in_flight,
            requests_left: None,
            tokens_left: None,
        };
        assert_eq!(found(|truth| check_limit(&status(2), truth)), []);
        assert_eq!(found(|truth| check_limit(&status(3), truth)), [Invariant::Limits]);
    }
}
