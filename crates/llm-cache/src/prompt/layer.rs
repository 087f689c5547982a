//! The layer, which is the configuration.

use std::sync::Arc;

use llm_core::{CacheTtl, PerTarget, Striped, catalog::Catalog};
use tower::Layer;

use super::{PromptCache, PromptCacheHandle, handle::Counts};

/// Asks providers to keep prompts that are long. See the [module's docs](crate::prompt).
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is put around a service"]
pub struct PromptCacheLayer {
    shared: Striped<Shared>,
}

/// What all services of a layer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) counts: Counts,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) keep_for: CacheTtl,
    pub(super) least_tokens: PerTarget<u64>,
    pub(super) catalog: Option<Arc<Catalog>>,
}

impl Settings {
    pub(super) fn catalog(&self) -> &Catalog {
        self.catalog.as_deref().unwrap_or_else(|| Catalog::builtin())
    }
}

impl PromptCacheLayer {
    /// The fewest tokens that any of Anthropic's models keeps.
    pub(super) const LEAST_TOKENS: u64 = 1_024;

    /// A layer that asks for five minutes from 1,024 tokens on.
    pub fn new() -> Self {
        Self::of(Settings {
            keep_for: CacheTtl::FiveMinutes,
            least_tokens: PerTarget::new(Self::LEAST_TOKENS),
            catalog: None,
        })
    }

    fn of(settings: Settings) -> Self {
        Self { shared: Striped::new(Shared { settings, counts: Counts::default() }) }
    }

    fn settings(&self) -> Settings {
        self.shared.settings.clone()
    }

    /// For how long prompts are to be kept. Defaults to [`CacheTtl::FiveMinutes`], which each read begins anew; an hour
    /// costs twice the input price to write.
    pub fn keep_for(self, keep_for: CacheTtl) -> Self {
        Self::of(Settings { keep_for, ..self.settings() })
    }

    /// From how many tokens on, counted roughly: the same for every target, or [`PerTarget`]. Defaults to 1,024. Some models
    /// keep nothing below 2,048 or 4,096 and charge nothing for marks in vain, so it only has to be raised for prompts that
    /// do not come again.
    pub fn least_tokens(self, tokens: impl Into<PerTarget<u64>>) -> Self {
        Self::of(Settings { least_tokens: tokens.into(), ..self.settings() })
    }

    /// Where models' prices are found, for what was saved. Defaults to the built-in catalogue.
    pub fn catalog(self, catalog: Arc<Catalog>) -> Self {
        Self::of(Settings { catalog: Some(catalog), ..self.settings() })
    }

    /// What prompt caches have done so far. Setters start afresh, so take it after them.
    pub fn handle(&self) -> PromptCacheHandle {
        PromptCacheHandle::new(self.shared.clone())
    }
}

impl Default for PromptCacheLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for PromptCacheLayer {
    type Service = PromptCache<S>;

    fn layer(&self, inner: S) -> PromptCache<S> {
        PromptCache::new(inner, self.shared.clone())
    }
}
