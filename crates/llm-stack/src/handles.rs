//! Watching and controlling the layers of a stack at run time.

use llm_breaker::BreakerHandle;
use llm_budget::{BudgetHandle, limit::LimitHandle};
use llm_cache::{CacheHandle, prompt::PromptCacheHandle};
use llm_classify::ClassifyHandle;
use llm_core::{Health, HealthState, Measure, Measures, NoticeListener, Target};
use llm_fallback::FallbackHandle;
use llm_retry::{HedgeHandle, RetryHandle};
use llm_router::RouterHandle;
use llm_timeout::TimeoutHandle;

/// The handles of a stack's layers; absent are those of layers that were left out.
///
/// As [`Measures`] it shows the figures of all of them, as [`Health`] what the breaker knows: without one, every target
/// counts as healthy.
#[derive(Clone, Debug)]
pub struct Handles {
    /// Of the layer that says what requests are about.
    pub classify: Option<ClassifyHandle>,
    /// Of the fallback.
    pub fallback: Option<FallbackHandle>,
    /// Of the limits.
    pub limit: Option<LimitHandle>,
    /// Of the cache.
    pub cache: Option<CacheHandle>,
    /// Of the router.
    pub router: RouterHandle,
    /// Of the layer that has providers keep prompts.
    pub prompt_cache: Option<PromptCacheHandle>,
    /// Of the hedge layer.
    pub hedge: Option<HedgeHandle>,
    /// Of the retry layer.
    pub retry: Option<RetryHandle>,
    /// Of the budget.
    pub budget: Option<BudgetHandle>,
    /// Of the breaker.
    pub breaker: Option<BreakerHandle>,
    /// Of the timeout layer.
    pub timeout: Option<TimeoutHandle>,
}

impl Handles {
    /// Listeners to all that the layers tell operators from now on, one for each layer that tells anything.
    pub fn notices(&self) -> Vec<NoticeListener> {
        // The others have nothing to tell.
        let Self {
            classify: _,
            fallback,
            limit,
            cache,
            router,
            prompt_cache: _,
            hedge: _,
            retry: _,
            budget,
            breaker,
            timeout: _,
        } = self;
        let mut listeners = vec![router.notices()];
        listeners.extend(fallback.as_ref().map(FallbackHandle::notices));
        listeners.extend(limit.as_ref().map(LimitHandle::notices));
        listeners.extend(cache.as_ref().map(CacheHandle::notices));
        listeners.extend(budget.as_ref().map(BudgetHandle::notices));
        listeners.extend(breaker.as_ref().map(BreakerHandle::notices));
        listeners
    }
}

impl Measures for Handles {
    fn measure(&self, visit: &mut dyn FnMut(&Measure<'_>)) {
        let Self { classify, fallback, limit, cache, router, prompt_cache, hedge, retry, budget, breaker, timeout } =
            self;
        if let Some(classify) = classify {
            classify.measure(visit);
        }
        if let Some(fallback) = fallback {
            fallback.measure(visit);
        }
        if let Some(limit) = limit {
            limit.measure(visit);
        }
        if let Some(cache) = cache {
            cache.measure(visit);
        }
        router.measure(visit);
        if let Some(prompt_cache) = prompt_cache {
            prompt_cache.measure(visit);
        }
        if let Some(hedge) = hedge {
            hedge.measure(visit);
        }
        if let Some(retry) = retry {
            retry.measure(visit);
        }
        if let Some(budget) = budget {
            budget.measure(visit);
        }
        if let Some(breaker) = breaker {
            breaker.measure(visit);
        }
        if let Some(timeout) = timeout {
            timeout.measure(visit);
        }
    }
}

impl Health for Handles {
    fn of(&self, target: &Target) -> HealthState {
        self.breaker.as_ref().map_or(HealthState::Healthy, |breaker| breaker.of(target))
    }
}
