//! What operators see of prompt caches.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use llm_core::{Copies, Measure, Measures, NanoUsd, Striped};

use super::layer::Shared;

/// What prompt caches have done since the layer was made, in all its services together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PromptCacheCounts {
    /// Calls whose prompt was asked to be kept.
    pub asked: u64,
    /// Input tokens that were read from a prompt cache, whoever asked for it.
    pub read_tokens: u64,
    /// Input tokens that were written to one.
    pub written_tokens: u64,
    /// What reading saved against reading afresh, where prices are known.
    pub saved: NanoUsd,
    /// What writing cost more than that. The layer pays for itself while this is less.
    pub extra: NanoUsd,
}

/// Counts of each thread's own, since every call writes them.
#[derive(Debug)]
pub(super) struct Counts(Copies<Tally>);

#[derive(Debug, Default)]
struct Tally {
    asked: AtomicU64,
    read_tokens: AtomicU64,
    written_tokens: AtomicU64,
    saved: AtomicU64,
    extra: AtomicU64,
}

impl Default for Counts {
    fn default() -> Self {
        Self(Copies::new(Tally::default))
    }
}

impl Counts {
    pub(super) fn note(&self, counts: PromptCacheCounts) {
        let PromptCacheCounts { asked, read_tokens, written_tokens, saved, extra } = counts;
        let own = self.0.own();
        own.asked.fetch_add(asked, Relaxed);
        own.read_tokens.fetch_add(read_tokens, Relaxed);
        own.written_tokens.fetch_add(written_tokens, Relaxed);
        own.saved.fetch_add(saved.0, Relaxed);
        own.extra.fetch_add(extra.0, Relaxed);
    }

    fn all(&self) -> PromptCacheCounts {
        let sum = |figure: fn(&Tally) -> &AtomicU64| self.0.all().iter().map(|tally| figure(tally).load(Relaxed)).sum();
        PromptCacheCounts {
            asked: sum(|tally| &tally.asked),
            read_tokens: sum(|tally| &tally.read_tokens),
            written_tokens: sum(|tally| &tally.written_tokens),
            saved: NanoUsd(sum(|tally| &tally.saved)),
            extra: NanoUsd(sum(|tally| &tally.extra)),
        }
    }
}

/// Tells what providers' prompt caches have done for the calls of a layer. Clones tell the same.
///
/// Its [`Measures`] are the [counts](PromptCacheCounts): `llm.prompt_cache.asked`, `llm.prompt_cache.read_tokens`,
/// `llm.prompt_cache.written_tokens`, `llm.prompt_cache.saved_nano_usd` and `llm.prompt_cache.extra_nano_usd`.
#[derive(Clone)]
pub struct PromptCacheHandle {
    shared: Striped<Shared>,
}

impl PromptCacheHandle {
    pub(super) fn new(shared: Striped<Shared>) -> Self {
        Self { shared }
    }

    /// What has happened so far.
    pub fn counts(&self) -> PromptCacheCounts {
        self.shared.counts.all()
    }
}

impl Measures for PromptCacheHandle {
    fn measure(&self, visit: &mut dyn FnMut(&Measure<'_>)) {
        let PromptCacheCounts { asked, read_tokens, written_tokens, saved, extra } = self.counts();
        let figures = [
            ("llm.prompt_cache.asked", asked),
            ("llm.prompt_cache.read_tokens", read_tokens),
            ("llm.prompt_cache.written_tokens", written_tokens),
            ("llm.prompt_cache.saved_nano_usd", saved.0),
            ("llm.prompt_cache.extra_nano_usd", extra.0),
        ];
        for (name, figure) in figures {
            visit(&Measure { name, labels: &[], value: figure as f64 });
        }
    }
}

impl fmt::Debug for PromptCacheHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PromptCacheHandle").field(&self.counts()).finish()
    }
}
