//! What a stack can be told.

use llm_core::catalog::ModelConfig;
use llm_providers::ProviderConfig;
use llm_sim::SimConfig;
use serde::Deserialize;

/// The configuration of a stack. Unknown keys are refused.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StackConfig {
    /// The providers, in order of preference for models that several of them serve.
    pub providers: Vec<ProviderConfig>,
    /// Simulated models, served by a provider named `simulated` within the process. None by default.
    pub simulated: Option<SimConfig>,
    /// Prices and limits of models, over the built-in catalogue: facts stated here replace those.
    pub models: Vec<ModelConfig>,
}

impl StackConfig {
    /// A stack of nothing but simulated models, which needs no key and no network.
    pub fn simulated() -> Self {
        Self { simulated: Some(SimConfig::pool()), ..Self::default() }
    }
}
