//! The layers around a budget, in their usual order.

use std::{sync::Arc, time::Duration};

use llm_breaker::{BreakerHandle, BreakerLayer};
use llm_budget::{AccountKey, Balance, BudgetHandle, BudgetLayer};
use llm_core::{BoxLlmService, CallId, Error, LlmRequest, LlmResponse, NanoUsd, Trail, catalog::Catalog};
use llm_retry::{HedgeLayer, Jitter, RetryLayer, RetryRules, hedge::After, hedge::HedgeQuota};
use llm_router::{Dispatch, ProviderEntry, RouterLayer, Targets};
use llm_timeout::TimeoutLayer;
use tower::{ServiceBuilder, ServiceExt};

use crate::recorder::Recorder;

/// Providers of the model `m`, in the order in which the router tries them, and the layers over them.
pub(crate) struct Full {
    pub(crate) recorder: Recorder,
    pub(crate) budget: BudgetHandle,
    pub(crate) breaker: BreakerHandle,
    pub(crate) service: BoxLlmService,
}

impl Full {
    /// With the budget in its usual place.
    pub(crate) fn new(
        providers: Vec<(&'static str, BoxLlmService)>,
        catalog: &Arc<Catalog>,
        budget: BudgetLayer,
        hedge: Option<HedgeLayer>,
    ) -> Self {
        Self::stacked(providers, catalog, budget, hedge, false)
    }

    /// With the budget above the router.
    pub(crate) fn budget_on_top(
        providers: Vec<(&'static str, BoxLlmService)>,
        catalog: &Arc<Catalog>,
        budget: BudgetLayer,
        hedge: Option<HedgeLayer>,
    ) -> Self {
        Self::stacked(providers, catalog, budget, hedge, true)
    }

    fn stacked(
        providers: Vec<(&'static str, BoxLlmService)>,
        catalog: &Arc<Catalog>,
        budget: BudgetLayer,
        hedge: Option<HedgeLayer>,
        on_top: bool,
    ) -> Self {
        let (mut targets, mut dispatch) = (Targets::new(Arc::clone(catalog)), Dispatch::new());
        for (name, provider) in providers {
            targets = targets.provider(ProviderEntry::new(name).models(["m"]));
            dispatch = dispatch.provider(name, provider, ["m"]);
        }
        let (recorder, breaker) = (Recorder::default(), BreakerLayer::new());
        let budget = budget.catalog(Arc::clone(catalog)).ledger(Arc::new(recorder.clone()));
        let (handle, health) = (budget.handle(), breaker.handle());
        let router = RouterLayer::new(targets).health(Arc::new(health.clone()));
        let beside = router.handle();
        let hedge =
            hedge.map(|hedge| hedge.alternatives(move |target: &_, request: &_| beside.beside(target, request)));
        let service = ServiceBuilder::new()
            .option_layer(on_top.then(|| budget.clone()))
            .layer(router)
            .option_layer(hedge)
            .layer(RetryLayer::new().rules(at_once()).jitter(Jitter::None).quota(None))
            .option_layer((!on_top).then_some(budget))
            .layer(breaker)
            .layer(TimeoutLayer::new())
            .service(dispatch);
        Self { recorder, budget: handle, breaker: health, service: BoxLlmService::new(service) }
    }

    pub(crate) async fn call(&self, request: LlmRequest) -> Result<LlmResponse, Error> {
        self.service.clone().oneshot(request).await
    }

    pub(crate) async fn text(&self, request: LlmRequest) -> Result<String, Error> {
        Ok(self.call(request).await?.body.collect().await?.first_text())
    }

    /// How acme stands.
    pub(crate) fn balance(&self) -> Balance {
        let key = AccountKey { tenant: Some("acme".into()), ..AccountKey::new("per-tenant") };
        self.budget.account(&key).expect("it has been called").balances[0]
    }

    /// What a call's attempts came to, one by one: the same in its trail and in the ledger.
    pub(crate) fn paid(&self, call: CallId, trail: &Trail) -> Vec<NanoUsd> {
        let attempts = trail.attempts();
        let lines = self.recorder.of(call);
        let costs: Vec<_> = lines.iter().map(|line| (line.id.attempt, line.cost().unwrap())).collect();
        for attempt in attempts.iter().filter(|attempt| attempt.cost.is_some()) {
            assert!(costs.iter().any(|(number, _)| *number == attempt.number), "nobody paid for {attempt:?}");
        }
        for (number, cost) in &costs {
            let told = attempts.iter().find(|attempt| attempt.number == *number).expect("the trail knows it");
            // What a layer below the budget has refused has no cost.
            assert_eq!(told.cost.unwrap_or(NanoUsd::ZERO), *cost, "{told:?}");
        }
        let mut numbers: Vec<_> = costs.iter().map(|(number, _)| *number).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), costs.len(), "each attempt has a line of its own: {costs:?}");
        costs.into_iter().map(|(_, cost)| cost).collect()
    }
}

fn at_once() -> RetryRules {
    RetryRules::INTERACTIVE.base(Duration::ZERO).throttled_base(Duration::ZERO)
}

/// A second attempt for whatever is late, however many are.
pub(crate) fn hedge_after(wait: Duration) -> HedgeLayer {
    HedgeLayer::new().after(After::Fixed(wait)).quota(HedgeQuota::percent(1_000))
}
