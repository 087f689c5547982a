//! Layers by themselves over the simulated models, and what they are given.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use llm_breaker::{BreakerLayer, CircuitRules, Consecutive, OpenTime, Sharing};
use llm_budget::{BudgetLayer, Cap, CapRule, Per, Window};
use llm_classify::{Classifier, Detector, Finding, Guess};
use llm_core::{
    BoxLlmService, Error, Health, HealthState, HoldBack, LlmRequest, LlmResponse, Target, TargetRef, catalog::Catalog,
};
use llm_retry::{
    HedgeLayer,
    hedge::{After, HedgeQuota},
};
use llm_router::{Asked, Choice, Dispatch, Plan, ProviderEntry, Rank, RouterConfig, Targets};
use llm_sim::Sim;
use tower::{Layer, Service};

use crate::{
    ask::{Ask, Tell, ask, called},
    entry::Way,
    stage::sim,
};

pub(crate) const AN_HOUR: Duration = Duration::from_secs(3_600);

/// The layer over models of its own.
pub(crate) fn over<L>(layer: L) -> BoxLlmService
where
    L: Layer<Dispatch>,
    L::Service: Service<LlmRequest, Response = LlmResponse, Error = Error> + Clone + Send + Sync + 'static,
    <L::Service as Service<LlmRequest>>::Future: Send + 'static,
{
    let dispatch = Dispatch::new().provider("simulated", Sim::try_from(sim()).unwrap(), names());
    BoxLlmService::new(layer.layer(dispatch))
}

pub(crate) fn when<L>(is_set: bool, layer: L, set: impl FnOnce(L) -> L) -> L {
    if is_set { set(layer) } else { layer }
}

/// What is seen of these calls, one after the other.
pub(crate) async fn tell<const N: usize>(service: &BoxLlmService, tells: &[Tell], asks: [Ask; N], way: Way) -> String {
    let mut seen = Vec::new();
    for ask in &asks {
        seen.push(called(service, ask, tells, way).await);
    }
    seen.join(" | ")
}

/// Whether another layer of the same make shows the same.
pub(crate) async fn twice(seen: impl AsyncFn() -> String) -> String {
    if seen().await == seen().await { "the same twice".to_owned() } else { "another each time".to_owned() }
}

/// When there is a head of an answer that brings no content.
pub(crate) async fn head_of(service: BoxLlmService, way: Way) -> String {
    tell(&service, &[Tell::Head], [ask("begins").leaves_after("10s")], way).await
}

pub(crate) fn a_second() -> HoldBack {
    HoldBack { wait: Some(Duration::from_secs(1)), ..HoldBack::default() }
}

fn names() -> Vec<String> {
    // One more, that nobody knows.
    sim().models.into_iter().map(|model| model.name).chain(["other".to_owned()]).collect()
}

pub(crate) fn catalog() -> Arc<Catalog> {
    Arc::new(sim().catalog().unwrap())
}

pub(crate) fn plan(router: &str) -> Plan {
    let targets = Targets::new(catalog()).provider(ProviderEntry::new("simulated").models(names()));
    toml::from_str::<RouterConfig>(router).unwrap().plan(targets, None).unwrap()
}

/// Hedges after a second.
pub(crate) fn hedge() -> HedgeLayer {
    HedgeLayer::new().after(After::Fixed(Duration::from_secs(1))).quota(HedgeQuota::percent(100))
}

/// Opens after one failure, for about an hour.
pub(crate) fn breaker() -> BreakerLayer {
    let open_for = OpenTime::new(AN_HOUR, AN_HOUR).unwrap();
    BreakerLayer::new().rules(CircuitRules::interactive().trip(Consecutive::after(NonZeroU32::MIN)).open_for(open_for))
}

/// Enough for one call.
pub(crate) fn cap() -> CapRule {
    CapRule::new("all", Per::GLOBAL, Cap::new("0.00015".parse().unwrap(), Window::Lifetime))
}

pub(crate) fn budget() -> BudgetLayer {
    BudgetLayer::new([cap()]).catalog(catalog())
}

/// Knows one model whose circuit is open.
pub(crate) struct Ill(pub(crate) &'static str);

impl Health for Ill {
    fn of(&self, target: &Target) -> HealthState {
        let remaining = Duration::from_secs(60);
        if target.model() == self.0 { HealthState::Open { remaining } } else { HealthState::Healthy }
    }
}

/// Lets all models share a circuit.
pub(crate) struct OfAll;

impl Sharing for OfAll {
    fn shared_by<'s>(&'s self, _: TargetRef<'_>) -> Option<&'s str> {
        Some("all")
    }
}

/// Picks the last.
#[derive(Debug)]
pub(crate) struct Last;

impl Rank for Last {
    fn pick(&self, _: &Asked<'_>, choices: &[Choice<'_>]) -> usize {
        choices.len() - 1
    }
}

/// Takes everything for chatter, and finds that sensitive.
#[derive(Debug)]
pub(crate) struct Chatter;

impl Classifier for Chatter {
    fn intents(&self) -> &[&'static str] {
        &["chatter"]
    }

    fn classify(&self, _: &LlmRequest) -> Option<Guess> {
        Some(Guess { intent: "chatter", confidence: 1.0 })
    }
}

impl Detector for Chatter {
    fn find(&self, _: &str) -> Option<Finding> {
        Some(Finding { kind: "chatter" })
    }
}
