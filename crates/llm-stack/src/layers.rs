//! The layers of a stack, and their order.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use llm_breaker::{BreakerConfig, BreakerLayer};
use llm_budget::{BudgetConfig, BudgetLayer, LimitLayer, limit::LimitConfig};
use llm_cache::{
    CacheConfig, CacheLayer,
    prompt::{PromptCacheConfig, PromptCacheLayer},
};
use llm_classify::{ClassifyConfig, ClassifyLayer};
use llm_core::{BoxLlmService, ConfigError, LlmRequest, Target, catalog::Catalog};
use llm_fallback::{Answer, FallbackConfig, FallbackLayer};
use llm_retry::{HedgeConfig, HedgeLayer, RetryConfig, RetryLayer};
use llm_router::{Dispatch, Plan, RouterConfig, RouterLayer, Targets, WhenConfig};
use llm_timeout::{TimeoutConfig, TimeoutLayer};
use llm_wire::anthropic::Betas;
use tower::{ServiceBuilder, ServiceExt};

use crate::{Handles, Switch, agreement, shares::ByPattern};

/// What is wanted of each layer but the router.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) classify: Switch<ClassifyConfig>,
    pub(crate) fallback: Switch<FallbackConfig>,
    pub(crate) limit: Switch<LimitConfig>,
    pub(crate) cache: Switch<CacheConfig>,
    pub(crate) prompt_cache: Switch<PromptCacheConfig>,
    pub(crate) hedge: Switch<HedgeConfig>,
    pub(crate) retry: Switch<RetryConfig>,
    pub(crate) budget: Switch<BudgetConfig>,
    pub(crate) breaker: Switch<BreakerConfig>,
    pub(crate) timeout: Switch<TimeoutConfig>,
}

/// The layers that are not left out.
#[derive(Debug)]
pub(crate) struct Layers {
    classify: Option<ClassifyLayer>,
    // Some of its answers are those of the layers below it, once they are there.
    fallback: Option<FallbackConfig>,
    limit: Option<LimitLayer>,
    cache: Option<CacheLayer>,
    prompt_cache: Option<PromptCacheLayer>,
    hedge: Option<HedgeLayer>,
    retry: Option<RetryLayer>,
    budget: Option<BudgetLayer>,
    breaker: Option<BreakerLayer>,
    timeout: Option<TimeoutLayer>,
}

impl Layers {
    pub(crate) fn new(wanted: Wanted, router: &RouterConfig, catalog: &Arc<Catalog>) -> Result<Self, ConfigError> {
        let timeout: Option<TimeoutLayer> = build("timeout", wanted.timeout.clone())?;
        agreement::check(&wanted, timeout.as_ref())?;
        let Wanted { classify, fallback, limit, cache, prompt_cache, hedge, retry, budget, breaker, timeout: _ } =
            wanted;
        let limit: Option<LimitLayer> = build("limit", limit)?;
        let cache: Option<CacheLayer> = build("cache", cache)?;
        let prompt_cache: Option<PromptCacheLayer> = build("prompt_cache", prompt_cache)?;
        let budget: Option<BudgetLayer> = build("budget", budget)?;
        Ok(Self {
            classify: build("classify", classify)?,
            fallback: fallback.into_option(),
            limit: limit.map(|limit| limit.catalog(Arc::clone(catalog))),
            cache: cache.map(|cache| cache.catalog(Arc::clone(catalog)).vary(differences(router))),
            prompt_cache: prompt_cache.map(|layer| layer.catalog(Arc::clone(catalog))),
            hedge: build("hedge", hedge)?,
            retry: build("retry", retry)?,
            budget: budget.map(|budget| budget.catalog(Arc::clone(catalog))),
            breaker: build("breaker", breaker)?,
            timeout: timeout.map(|timeout| timeout.catalog(Arc::clone(catalog))),
        })
    }

    /// The intents that are told of requests; any may be where only callers tell them.
    pub(crate) fn intents(&self) -> Option<&[&'static str]> {
        self.classify.as_ref().and_then(ClassifyLayer::intents)
    }

    /// The layers by this plan, told what they can know of each other, of the targets, and from those before them.
    pub(crate) fn by_plan(self, plan: Plan, previous: Option<&Handles>) -> Planned {
        let targets = plan.targets().clone();
        let breaker = self.breaker.map(|breaker| breaker.sharing(ByPattern(targets.clone())));
        let breaker = resumed(breaker, previous.and_then(|handles| handles.breaker.as_ref()), BreakerLayer::resuming);
        let limit = resumed(self.limit, previous.and_then(|handles| handles.limit.as_ref()), LimitLayer::resuming);
        let cache = resumed(self.cache, previous.and_then(|handles| handles.cache.as_ref()), CacheLayer::resuming);
        let budget = resumed(self.budget, previous.and_then(|handles| handles.budget.as_ref()), BudgetLayer::resuming);
        let mut router = RouterLayer::new(plan);
        let mut hedge = self.hedge;
        if let Some(breaker) = &breaker {
            let health = Arc::new(breaker.handle());
            router = router.health(health.clone());
            hedge = hedge.map(|hedge| hedge.health(health));
        }
        if let Some(previous) = previous {
            router = router.resuming(&previous.router);
        }
        let routes = router.handle();
        let beside = move |target: &Target, request: &LlmRequest| routes.beside(target, request);
        let hedge = hedge.map(|hedge| hedge.alternatives(beside));
        Planned { router, targets, layers: Self { limit, cache, hedge, budget, breaker, ..self } }
    }
}

/// The layers with the one that knows the plan.
#[derive(Debug)]
pub(crate) struct Planned {
    router: RouterLayer,
    targets: Targets,
    layers: Layers,
}

impl Planned {
    /// The layers around `dispatch`, outermost first, and what watches them.
    pub(crate) fn around(self, dispatch: Dispatch) -> Result<(BoxLlmService, Handles), ConfigError> {
        let mut handles = self.handles();
        let Self { router, targets, layers } = self;
        let Layers { classify, fallback, limit, cache, prompt_cache, hedge, retry, budget, breaker, timeout } = layers;
        let routed = BoxLlmService::new(
            ServiceBuilder::new()
                .layer(router)
                .option_layer(prompt_cache)
                .option_layer(hedge)
                .option_layer(retry)
                .option_layer(budget)
                .option_layer(breaker)
                .option_layer(timeout)
                .service(dispatch),
        );
        let intents = classify.as_ref().and_then(ClassifyLayer::intents);
        let fallback = fallback.map(|config| config.layer(|name| answer(name, &targets, &routed), intents));
        let fallback = fallback.transpose().map_err(|error| error.within("fallback"))?;
        handles.fallback = fallback.as_ref().map(FallbackLayer::handle);
        let service = match (classify, fallback, limit, cache) {
            // Another box would be one more allocation for each call.
            (None, None, None, None) => routed,
            (classify, fallback, limit, cache) => BoxLlmService::new(
                ServiceBuilder::new()
                    .option_layer(classify)
                    .option_layer(fallback)
                    .option_layer(limit)
                    .option_layer(cache)
                    .service(routed),
            ),
        };
        Ok((service, handles))
    }

    /// All but that of the fallback, which is no layer yet.
    fn handles(&self) -> Handles {
        let Self { router, targets: _, layers } = self;
        let Layers { classify, fallback: _, limit, cache, prompt_cache, hedge, retry, budget, breaker, timeout } =
            layers;
        Handles {
            classify: classify.as_ref().map(ClassifyLayer::handle),
            fallback: None,
            limit: limit.as_ref().map(LimitLayer::handle),
            cache: cache.as_ref().map(CacheLayer::handle),
            router: router.handle(),
            prompt_cache: prompt_cache.as_ref().map(PromptCacheLayer::handle),
            hedge: hedge.as_ref().map(HedgeLayer::handle),
            retry: retry.as_ref().map(RetryLayer::handle),
            budget: budget.as_ref().map(BudgetLayer::handle),
            breaker: breaker.as_ref().map(BreakerLayer::handle),
            timeout: timeout.as_ref().map(TimeoutLayer::handle),
        }
    }
}

/// The answer of a target by name, below the fallback: the router goes there and nowhere else.
fn answer(name: &str, targets: &Targets, routed: &BoxLlmService) -> Result<Answer, ConfigError> {
    let target = targets.first_of(name).ok_or_else(|| {
        let message = format!("nobody serves `{name}`: a target is a model, or `provider/model`, and no route");
        ConfigError::new("target", message)
    })?;
    let is_local = targets.is_local(&target);
    let service = routed.clone().map_request(move |mut request: LlmRequest| {
        request.context_mut().set_target(target.clone());
        request
    });
    Ok(if is_local { Answer::local_service(service) } else { Answer::service(service) })
}

/// A layer that goes on where the one before it is, if there was one.
fn resumed<L, H>(layer: Option<L>, previous: Option<&H>, resuming: impl Fn(L, &H) -> L) -> Option<L> {
    layer.map(|layer| match previous {
        Some(previous) => resuming(layer, previous),
        None => layer,
    })
}

/// What tells two questions apart besides what a cache knows of: by which rules and routes they are answered, as a stack with
/// others may go on with this one's answers; who asks and how, where a rule goes by it, since that can be answered by another
/// model; and the features that a caller of Anthropic's turns on.
fn differences(router: &RouterConfig) -> impl Fn(&LlmRequest, &mut dyn FnMut(&str)) + Send + Sync + 'static {
    let mut hasher = DefaultHasher::new();
    format!("{router:?}").hash(&mut hasher);
    let routes = format!("{:x}", hasher.finish());
    let a_rule_says = |says: fn(&WhenConfig) -> bool| router.rules.iter().any(|rule| says(&rule.when));
    let by_tenant = a_rule_says(|when| when.tenant.is_some());
    let by_user = a_rule_says(|when| when.user.is_some());
    let by_stream = a_rule_says(|when| when.stream.is_some());
    move |request, says| {
        says(&routes);
        let caller = request.context().caller();
        if by_tenant {
            says(caller.tenant.as_deref().unwrap_or_default());
        }
        if by_user {
            says(caller.user.as_deref().unwrap_or_default());
        }
        if by_stream {
            says(if request.is_stream() { "stream" } else { "whole" });
        }
        if let Some(betas) = request.extensions().get::<Betas>() {
            betas.names().for_each(says);
        }
    }
}

fn build<C, L: TryFrom<C, Error = ConfigError>>(name: &str, switch: Switch<C>) -> Result<Option<L>, ConfigError> {
    switch.into_option().map(L::try_from).transpose().map_err(|error| error.within(name))
}
