//! What a stack can be told.

use llm_breaker::BreakerConfig;
use llm_budget::{BudgetConfig, limit::LimitConfig};
use llm_cache::{CacheConfig, prompt::PromptCacheConfig};
use llm_classify::ClassifyConfig;
use llm_core::catalog::ModelConfig;
use llm_fallback::FallbackConfig;
use llm_providers::ProviderConfig;
use llm_retry::{HedgeConfig, RetryConfig};
use llm_router::RouterConfig;
use llm_sim::SimConfig;
use llm_timeout::TimeoutConfig;
use serde::Deserialize;

use crate::Switch;

/// The configuration of a stack. Unknown keys are refused.
///
/// Each layer has a table, in which every value has a default; `retry = false` leaves the layer out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StackConfig {
    /// The providers, in order of preference for models that several of them serve. None by default.
    pub providers: Vec<ProviderConfig>,
    /// Simulated models, served by a provider named `simulated` within the process. None by default.
    pub simulated: Option<SimConfig>,
    /// Prices and limits of models, over the built-in catalogue: facts stated here replace those. None
    /// by default.
    pub models: Vec<ModelConfig>,
    /// What requests are about, and whether they are sensitive. Off by default: nothing looks into prompts.
    pub classify: Switch<ClassifyConfig>,
    /// What is answered when everything has failed. Off by default; it needs a message or cases.
    pub fallback: Switch<FallbackConfig>,
    /// How much each caller may ask for: requests and tokens a minute, calls at once. Off by default; it needs rules.
    pub limit: Switch<LimitConfig>,
    /// Answers to what was asked before. Off by default: what was answered to one is given to another.
    pub cache: Switch<CacheConfig>,
    /// Which calls go where: routes, rules, and how one of several targets is chosen. Without routes and rules a call goes to
    /// the providers that serve the requested model, in their order.
    pub router: RouterConfig,
    /// Long prompts are kept by providers that do so where they are asked to. Off by default, since writing costs more than
    /// reading afresh.
    pub prompt_cache: Switch<PromptCacheConfig>,
    /// The second attempt when the first content is late. Off by default, because it costs.
    pub hedge: Switch<HedgeConfig>,
    /// Further attempts after failures. On by default.
    pub retry: Switch<RetryConfig>,
    /// What may be spent, by whom. Off by default; it needs caps.
    pub budget: Switch<BudgetConfig>,
    /// One circuit a target. On by default.
    pub breaker: Switch<BreakerConfig>,
    /// How long an attempt may take. On by default.
    pub timeout: Switch<TimeoutConfig>,
}

impl Default for StackConfig {
    fn default() -> Self {
        Self {
            providers: Vec::new(),
            simulated: None,
            models: Vec::new(),
            classify: Switch::Off,
            fallback: Switch::Off,
            limit: Switch::Off,
            cache: Switch::Off,
            router: RouterConfig::default(),
            prompt_cache: Switch::Off,
            hedge: Switch::Off,
            retry: Switch::On(RetryConfig::default()),
            budget: Switch::Off,
            breaker: Switch::On(BreakerConfig::default()),
            timeout: Switch::On(TimeoutConfig::default()),
        }
    }
}

impl StackConfig {
    /// A stack of nothing but simulated models, which needs no key and no network.
    pub fn simulated() -> Self {
        Self { simulated: Some(SimConfig::pool()), ..Self::default() }
    }
}
