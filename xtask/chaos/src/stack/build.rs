//! Builds the stack of a world.

use std::sync::Arc;

use llm_breaker::{BreakerConfig, BreakerLayer};
use llm_budget::{BudgetConfig, BudgetLayer, LimitLayer, limit::LimitConfig};
use llm_cache::{CacheConfig, CacheLayer};
use llm_classify::{ClassifyConfig, ClassifyLayer};
use llm_core::{BoxLlmService, ConfigError, Error, LlmRequest, LlmResponse, Random, Target};
use llm_fallback::{Answer, FallbackConfig};
use llm_retry::{HedgeConfig, HedgeLayer, RetryConfig, RetryLayer};
use llm_router::{Dispatch, ProviderEntry, RouterConfig, RouterLayer, Targets};
use llm_timeout::{TimeoutConfig, TimeoutLayer};
use serde::de::DeserializeOwned;
use tower::{Service, ServiceExt};

use super::{Around, Handles, Stack};
use crate::{
    models,
    provider::{Provider, Watches},
    truth::Truth,
    world::{Kind, Layer, World},
};

/// Puts a layer around a service.
type Wrap = Box<dyn Fn(BoxLlmService) -> BoxLlmService>;

fn wrap<L>(layer: L) -> Wrap
where
    L: tower::Layer<BoxLlmService> + 'static,
    L::Service:
        Service<LlmRequest, Response = LlmResponse, Error = Error, Future: Send> + Clone + Send + Sync + 'static,
{
    Box::new(move |inner| BoxLlmService::new(layer.layer(inner)))
}

fn config<T: DeserializeOwned>(layer: &Layer) -> Result<T, ConfigError> {
    layer.settings.clone().try_into().map_err(|error| ConfigError::new("settings", error.to_string()))
}

impl Stack {
    /// The stack of this world, and whatever is around it.
    ///
    /// # Errors
    /// What is wrong with its settings.
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

        let mut handles = Handles::default();
        let mut wraps: Vec<Option<Wrap>> = world.layers.iter().map(|_| None).collect();
        // Those that others have to know come first.
        for kind in [Kind::Breaker, Kind::Router] {
            for (at, layer) in world.layers.iter().enumerate().filter(|(_, layer)| layer.kind == kind) {
                wraps[at] = Some(known(layer, random(world, at), &targets, &mut handles)?);
            }
        }
        for (at, layer) in world.layers.iter().enumerate().filter(|(at, _)| wraps[*at].is_none()).collect::<Vec<_>>() {
            wraps[at] =
                Some(other(layer, random(world, at), around, &mut handles, |name| answer(name, world, &providers))?);
        }
        let service = || {
            let layers = wraps.iter().rev().flatten();
            (around.outermost)(layers.fold(BoxLlmService::new(dispatch.clone()), |service, wrap| wrap(service)))
        };
        Ok(Self { service: service(), twin: service(), handles })
    }
}

fn random(world: &World, at: usize) -> Random {
    Random::seeded(u64::from(world.seed) * 100 + at as u64)
}

/// A layer of a kind that others have to know.
fn known(layer: &Layer, random: Random, targets: &Targets, handles: &mut Handles) -> Result<Wrap, ConfigError> {
    if layer.kind == Kind::Breaker {
        let breaker = BreakerLayer::try_from(config::<BreakerConfig>(layer)?)?.random(random);
        let probes = layer.settings.get("probes").and_then(toml::Value::as_integer).unwrap_or(1);
        handles.breakers.push((breaker.handle(), u8::try_from(probes).unwrap_or(u8::MAX)));
        return Ok(wrap(breaker));
    }
    let plan = config::<RouterConfig>(layer)?.plan(targets.clone(), None)?;
    let mut router = RouterLayer::new(plan).random(random);
    if let Some((breaker, _)) = handles.breakers.last() {
        router = router.health(Arc::new(breaker.clone()));
    }
    handles.routers.push(router.handle());
    Ok(wrap(router))
}

/// A layer of any other kind.
fn other(
    layer: &Layer,
    random: Random,
    around: Around<'_>,
    handles: &mut Handles,
    answer: impl Fn(&str) -> Result<Answer, ConfigError>,
) -> Result<Wrap, ConfigError> {
    let catalog = Arc::clone(&models::CATALOG);
    Ok(match layer.kind {
        Kind::Breaker | Kind::Router => Box::new(|service| service),
        Kind::Classify => wrap(ClassifyLayer::try_from(config::<ClassifyConfig>(layer)?)?),
        Kind::Fallback => wrap(config::<FallbackConfig>(layer)?.layer(answer, None)?),
        Kind::Retry => wrap(RetryLayer::try_from(config::<RetryConfig>(layer)?)?.random(random)),
        Kind::Timeout => wrap(TimeoutLayer::try_from(config::<TimeoutConfig>(layer)?)?.catalog(catalog)),
        Kind::Limit => {
            let limit = LimitLayer::try_from(config::<LimitConfig>(layer)?)?.catalog(catalog);
            handles.limits.push(limit.handle());
            wrap(limit)
        }
        Kind::Cache => {
            let cache = CacheLayer::try_from(config::<CacheConfig>(layer)?)?.catalog(catalog);
            handles.caches.push(cache.handle());
            wrap(cache)
        }
        Kind::Budget => {
            let mut budget = BudgetLayer::try_from(config::<BudgetConfig>(layer)?)?.catalog(catalog);
            if let Some(ledger) = around.ledger {
                budget = budget.ledger(ledger());
            }
            handles.budgets.push(budget.handle());
            wrap(budget)
        }
        Kind::Hedge => {
            let mut hedge = HedgeLayer::try_from(config::<HedgeConfig>(layer)?)?;
            if let Some((breaker, _)) = handles.breakers.last() {
                hedge = hedge.health(Arc::new(breaker.clone()));
            }
            if let Some(router) = handles.routers.last().cloned() {
                let beside = move |target: &Target, request: &LlmRequest| router.beside(target, request);
                hedge = hedge.alternatives(beside);
            }
            wrap(hedge)
        }
    })
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
