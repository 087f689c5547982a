//! The layers of this workspace, and tower's own beside them.

use std::{
    future::{Ready, ready},
    num::{NonZeroU32, NonZeroU64},
    sync::Arc,
    time::Duration,
};

use llm_breaker::{BreakerLayer, CircuitRules, Rate};
use llm_budget::{BudgetLayer, Cap, CapRule, LimitLayer, Per, Streams, Window, limit::LimitRule};
use llm_core::{Error, LlmRequest, LlmResponse, NanoUsd, Target, catalog::Catalog};
use llm_retry::{HedgeLayer, RetryLayer};
use llm_router::{Plan, ProviderEntry, RouterLayer, Strategy, Targets};
use llm_timeout::TimeoutLayer;
use tower::{Layer, Service, ServiceBuilder, retry, timeout};

use super::{
    BARE,
    calls::{MODEL, PROVIDER, calls, calls_of, untargeted_calls},
    echo::{Answer, Echo},
};
use crate::{rounds::Case, tenants::Tenants};

/// Our timeout layer.
pub const TIMEOUT: &str = "llm-timeout";

/// Our retry layer.
pub const RETRY: &str = "llm-retry";

/// Our breaker, with nothing that has failed.
pub const BREAKER: &str = "llm-breaker, closed";

/// Our breaker, while the circuit of another target is open: then there is something to look through.
pub const BREAKER_BESIDE: &str = "llm-breaker, closed, another open";

/// Our hedge layer, which looks at how long the first content takes.
pub const HEDGE: &str = "llm-retry's hedge";

/// Our router, asked for a model that one provider serves.
pub const ROUTER: &str = "llm-router, a model";

/// Our router, asked for a route of three targets, of which it takes the least loaded.
pub const ROUTER_OF_THREE: &str = "llm-router, a route of three";

/// Our budget, with three accounts for every call: of all, of a tenant, and of a tenant and model.
pub const BUDGET: &str = "llm-budget";

/// The same for streams that are metered.
pub const METERED: &str = "llm-budget, metered";

/// Our limits: of all calls, of a tenant, and of a tenant and model, each by requests, tokens and calls at once.
pub const LIMIT: &str = "llm-budget's limits";

/// Timeout, retry, breaker, router, limits and budget.
pub const ALL: &str = "all of these together";

/// The name of that route.
const ROUTE: &str = "fast";

/// What is measured in this program, for each answer the bare echo first.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for answer in [Answer::Whole, Answer::Stream] {
        cases.push(calls(BARE, answer, Echo));
        cases.push(over(TIMEOUT, answer, TimeoutLayer::new()));
        cases.push(over(RETRY, answer, RetryLayer::new()));
        cases.push(over(BREAKER, answer, BreakerLayer::new()));
        cases.push(over(BREAKER_BESIDE, answer, with_open(&Target::new(PROVIDER, "another-model"))));
        let rules = CircuitRules::interactive().trip(Rate::default());
        cases.push(over("llm-breaker, closed, by rate", answer, BreakerLayer::new().rules(rules)));
        cases.push(over(HEDGE, answer, HedgeLayer::new()));
        cases.push(untargeted_calls(ROUTER, answer, MODEL, router().layer(Echo)));
        cases.push(untargeted_calls(ROUTER_OF_THREE, answer, ROUTE, router().layer(Echo)));
        let stack = ServiceBuilder::new().layer(RetryLayer::new()).layer(BreakerLayer::new());
        cases.push(over("retry, breaker and timeout", answer, stack.layer(TimeoutLayer::new())));
        for tenants in Tenants::ALL {
            let name = |of: &str| format!("{of}, {}", tenants.name());
            let streams = BudgetLayer::new(caps()).streams(Streams::WorstCase);
            cases.push(calls_of(tenants, &name(BUDGET), answer, streams.layer(Echo)));
            if answer == Answer::Stream {
                cases.push(calls_of(tenants, &name(METERED), answer, BudgetLayer::new(caps()).layer(Echo)));
            }
            cases.push(calls_of(tenants, &name(LIMIT), answer, LimitLayer::new(limits()).layer(Echo)));
        }
        let stack = ServiceBuilder::new().layer(LimitLayer::new(limits())).layer(router()).layer(RetryLayer::new());
        let stack = stack.layer(BudgetLayer::new(caps())).layer(BreakerLayer::new()).layer(TimeoutLayer::new());
        cases.push(untargeted_calls(ALL, answer, MODEL, stack.service(Echo)));
        cases.push(over("tower Retry", answer, retry::RetryLayer::new(UpToTwice(2))));
        cases.push(over("tower Timeout", answer, timeout::TimeoutLayer::new(Duration::from_secs(120))));
    }
    cases.push(calls(BARE, Answer::Refusal, Echo));
    cases.push(over("llm-breaker, open", Answer::Refusal, with_open(&Target::new(PROVIDER, MODEL))));
    cases
}

/// A router of three providers.
pub(crate) fn router() -> RouterLayer {
    let providers = [PROVIDER, "another", "third"];
    let targets = providers.into_iter().fold(Targets::new(Arc::new(Catalog::builtin().clone())), |targets, name| {
        let models = if name == PROVIDER { vec![MODEL] } else { vec!["a-model"] };
        targets.provider(ProviderEntry::new(name).models(models))
    });
    let names = [format!("{PROVIDER}/{MODEL}"), "another/a-model".into(), "third/a-model".into()];
    let route = targets.route(names).expect("all of them are there").strategy(Strategy::LeastLoaded);
    RouterLayer::new(Plan::new(targets).route(ROUTE, route))
}

/// By which accounts and callers are told apart: of the first kind there is one for all calls.
const KINDS: [(&str, Per); 3] =
    [("all", Per::GLOBAL), ("per-tenant", Per::TENANT), ("per-model", Per::TENANT.and(Per::MODEL))];

fn caps() -> [CapRule; 3] {
    KINDS.map(|(name, per)| CapRule::new(name, per, Cap::new(NanoUsd(u64::MAX / 2), Window::DAY)))
}

/// Limits by every amount, none of which is ever reached.
fn limits() -> [LimitRule; 3] {
    let requests = NonZeroU32::new(1_000_000_000).expect("it is not zero");
    let tokens = NonZeroU64::new(1 << 40).expect("it is not zero");
    KINDS.map(|(name, per)| {
        LimitRule::new(name, per).requests_per_minute(requests).tokens_per_minute(tokens).at_once(requests)
    })
}

/// A breaker that rejects the calls of `target`.
fn with_open(target: &Target) -> BreakerLayer {
    let layer = BreakerLayer::new();
    assert!(layer.handle().force_open(target), "there is room for a circuit");
    layer
}

/// `layer` over the echo.
pub fn over<L>(name: &str, answer: Answer, layer: L) -> Case
where
    L: Layer<Echo>,
    L::Service: Service<LlmRequest, Response = LlmResponse> + Clone + Send + 'static,
{
    calls(name, answer, layer.layer(Echo))
}

/// The plainest policy that can retry: as often as this, whatever the failure, at once.
#[derive(Clone, Debug)]
struct UpToTwice(u32);

impl retry::Policy<LlmRequest, LlmResponse, Error> for UpToTwice {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut LlmRequest, result: &mut Result<LlmResponse, Error>) -> Option<Ready<()>> {
        result.as_ref().err()?;
        self.0 = self.0.checked_sub(1)?;
        Some(ready(()))
    }

    fn clone_request(&mut self, request: &LlmRequest) -> Option<LlmRequest> {
        Some(request.clone())
    }
}
