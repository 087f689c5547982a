//! The stack of a world, and what can be read and done at its layers.

use std::{fmt::Write, sync::Arc};

use llm_breaker::{BreakerConfig, BreakerHandle, BreakerLayer, CircuitState, CircuitStatus};
use llm_budget::{
    AccountStatus, BudgetConfig, BudgetHandle, BudgetLayer, Change, Ledger, LimitLayer, Strictness,
    limit::{LimitConfig, LimitHandle, LimitStatus},
};
use llm_cache::{CacheConfig, CacheHandle, CacheLayer, Selection};
use llm_classify::{ClassifyConfig, ClassifyLayer};
use llm_core::{BoxLlmService, ConfigError, LlmRequest, NanoUsd, Random, Target};
use llm_fallback::{Answer, FallbackConfig};
use llm_retry::{HedgeConfig, HedgeLayer, RetryConfig, RetryLayer};
use llm_router::{Dispatch, ProviderEntry, RouterConfig, RouterHandle, RouterLayer, Targets};
use llm_timeout::{TimeoutConfig, TimeoutLayer};
use serde::de::DeserializeOwned;
use tower::{Layer as _, ServiceExt};

use crate::{
    Invariant, models,
    provider::{Provider, Watches},
    truth::Truth,
    world::{Does, Kind, Layer, World},
};

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

fn config<T: DeserializeOwned>(layer: &Layer) -> Result<T, ConfigError> {
    layer.settings.clone().try_into().map_err(|error| ConfigError::new("settings", error.to_string()))
}

/// A layer of a kind that others have to know.
enum Known {
    Breaker(BreakerLayer),
    Router(RouterLayer),
    Other,
}

impl Stack {
    pub(crate) fn build(
        world: &World,
        truth: &Truth,
        watches: &Watches,
        around: Around<'_>,
    ) -> Result<Self, ConfigError> {
        let providers: Vec<BoxLlmService> = (0..)
            .zip(&world.providers)
            .map(|(at, script)| BoxLlmService::new(Provider::new(at, script, truth, watches.clone())))
            .map(around.innermost)
            .collect();
        let mut dispatch = Dispatch::new();
        let mut targets = Targets::new(Arc::clone(&models::CATALOG));
        for (at, (script, provider)) in world.providers.iter().zip(&providers).enumerate() {
            let name = format!("p{at}");
            dispatch = dispatch.provider(name.as_str(), provider.clone(), models::ALL);
            let mut entry = ProviderEntry::new(name.as_str()).models(models::ALL);
            if script.local {
                dispatch = dispatch.local(name);
                entry = entry.local();
            }
            targets = targets.provider(entry);
        }

        let catalog = || Arc::clone(&models::CATALOG);
        let random = |at: usize| Random::seeded(u64::from(world.seed) * 100 + at as u64);
        let mut handles = Handles::default();
        let mut known = Vec::new();
        for (at, layer) in world.layers.iter().enumerate() {
            known.push(match layer.kind {
                Kind::Breaker => {
                    let breaker = BreakerLayer::try_from(config::<BreakerConfig>(layer)?)?.random(random(at));
                    let probes = layer.settings.get("probes").and_then(toml::Value::as_integer).unwrap_or(1);
                    handles.breakers.push((breaker.handle(), u8::try_from(probes).unwrap_or(u8::MAX)));
                    Known::Breaker(breaker)
                }
                _ => Known::Other,
            });
        }
        let health = handles.breakers.last().map(|(breaker, _)| Arc::new(breaker.clone()));
        for (at, layer) in world.layers.iter().enumerate().filter(|(_, layer)| layer.kind == Kind::Router) {
            let plan = config::<RouterConfig>(layer)?.plan(targets.clone(), None)?;
            let mut router = RouterLayer::new(plan).random(random(at));
            if let Some(health) = &health {
                router = router.health(health.clone());
            }
            handles.routers.push(router.handle());
            known[at] = Known::Router(router);
        }

        let mut service = BoxLlmService::new(dispatch);
        for (at, (layer, known)) in world.layers.iter().zip(known).enumerate().rev() {
            service = match (layer.kind, known) {
                (_, Known::Breaker(breaker)) => BoxLlmService::new(breaker.layer(service)),
                (_, Known::Router(router)) => BoxLlmService::new(router.layer(service)),
                (Kind::Breaker | Kind::Router, Known::Other) => service,
                (Kind::Classify, Known::Other) => {
                    BoxLlmService::new(ClassifyLayer::try_from(config::<ClassifyConfig>(layer)?)?.layer(service))
                }
                (Kind::Fallback, Known::Other) => {
                    let answer = |name: &str| answer(name, world, &providers);
                    BoxLlmService::new(config::<FallbackConfig>(layer)?.layer(answer, None)?.layer(service))
                }
                (Kind::Limit, Known::Other) => {
                    let limit = LimitLayer::try_from(config::<LimitConfig>(layer)?)?.catalog(catalog());
                    handles.limits.insert(0, limit.handle());
                    BoxLlmService::new(limit.layer(service))
                }
                (Kind::Cache, Known::Other) => {
                    let cache = CacheLayer::try_from(config::<CacheConfig>(layer)?)?.catalog(catalog());
                    handles.caches.insert(0, cache.handle());
                    BoxLlmService::new(cache.layer(service))
                }
                (Kind::Hedge, Known::Other) => {
                    let mut hedge = HedgeLayer::try_from(config::<HedgeConfig>(layer)?)?;
                    if let Some(health) = &health {
                        hedge = hedge.health(health.clone());
                    }
                    if let Some(router) = handles.routers.last().cloned() {
                        let beside = move |target: &Target, request: &LlmRequest| router.beside(target, request);
                        hedge = hedge.alternatives(beside);
                    }
                    BoxLlmService::new(hedge.layer(service))
                }
                (Kind::Retry, Known::Other) => {
                    let retry = RetryLayer::try_from(config::<RetryConfig>(layer)?)?.random(random(at));
                    BoxLlmService::new(retry.layer(service))
                }
                (Kind::Budget, Known::Other) => {
                    let mut budget = BudgetLayer::try_from(config::<BudgetConfig>(layer)?)?.catalog(catalog());
                    if let Some(ledger) = around.ledger {
                        budget = budget.ledger(ledger());
                    }
                    handles.budgets.insert(0, budget.handle());
                    BoxLlmService::new(budget.layer(service))
                }
                (Kind::Timeout, Known::Other) => {
                    let timeout = TimeoutLayer::try_from(config::<TimeoutConfig>(layer)?)?.catalog(catalog());
                    BoxLlmService::new(timeout.layer(service))
                }
            };
        }
        Ok(Self { service: (around.outermost)(service), handles })
    }
}

/// A fallback's target is asked without a `Dispatch` in between, so that only the fallback keeps sensitive calls from it.
fn answer(name: &str, world: &World, providers: &[BoxLlmService]) -> Result<Answer, ConfigError> {
    let at = name.strip_prefix('p').and_then(|number| number.parse::<usize>().ok());
    let Some((at, provider)) = at.and_then(|at| Some((at, providers.get(at)?))) else {
        return Err(ConfigError::new("target", format!("there is no provider `{name}`")));
    };
    let target = Target::new(name, models::CHAT[0]);
    let service = provider.clone().map_request(move |mut request: LlmRequest| {
        request.context_mut().set_target(target.clone());
        request
    });
    Ok(if world.providers[at].local { Answer::local_service(service) } else { Answer::service(service) })
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
