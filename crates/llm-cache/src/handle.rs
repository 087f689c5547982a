//! Watching and controlling a cache at run time.

use std::{borrow::Cow, fmt, sync::Arc};

use llm_core::{LlmRequest, Measure, Measures, NoticeListener, Payload, Striped};

use crate::{CacheCounts, Key, Refused, Selection, Store, StoreSize, shared::Shared};

/// Watches and controls the cache of a layer. Cheap to clone.
#[derive(Clone)]
pub struct CacheHandle {
    shared: Striped<Shared>,
}

impl CacheHandle {
    pub(crate) fn new(shared: Striped<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What has happened so far.
    pub fn counts(&self) -> CacheCounts {
        self.shared.counts.all()
    }

    /// How often an answer was not kept, or a call passed the cache by, for this reason.
    pub fn refused(&self, reason: Refused) -> u64 {
        self.shared.counts.refused(reason)
    }

    /// How much is kept.
    pub fn size(&self) -> StoreSize {
        self.shared.store.size()
    }

    /// How many calls are under way that can be joined.
    pub fn under_way(&self) -> usize {
        self.shared.flights.len()
    }

    /// What keeps the answers.
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.shared.store)
    }

    /// The keys that the answer to a request is kept under: one, or for embeddings one for each input. Requests with the
    /// same are the same question.
    pub fn keys(&self, request: &LlmRequest) -> Vec<Key> {
        match request.payload() {
            Payload::Embed(_) => self.shared.settings.keys.of_inputs(request),
            Payload::Chat(_) | Payload::CountTokens(_) => vec![self.shared.key(request)],
        }
    }

    /// Forgets those answers at once, and says how many they were. The answers to calls that are under way are not kept,
    /// whichever they are.
    pub fn invalidate(&self, selection: &Selection) -> u64 {
        self.shared.invalidate(selection)
    }

    /// Listens from now on. The notices come from `cache`: `stale`, with the kind of the failure as its key, when an
    /// expired answer stood in for a failure and none had for a minute; and `invalidated`, with what was meant as its key
    /// and the number of `entries`.
    pub fn notices(&self) -> NoticeListener {
        self.shared.notices.listen()
    }
}

/// The [counts](CacheCounts), as `llm.cache.hits` and so on, with `llm.cache.saved_nano_usd` for what was saved;
/// `llm.cache.refused` for each `reason` that there was (the words of [`Refused`]); `llm.cache.entries`,
/// `llm.cache.bytes` and `llm.cache.under_way` as they are now.
impl Measures for CacheHandle {
    fn measure(&self, visit: &mut dyn FnMut(&Measure<'_>)) {
        let CacheCounts { hits, misses, joined, stale, stored, saved } = self.counts();
        let StoreSize { entries, bytes } = self.size();
        let figures = [
            ("llm.cache.hits", hits),
            ("llm.cache.misses", misses),
            ("llm.cache.joined", joined),
            ("llm.cache.stale", stale),
            ("llm.cache.stored", stored),
            ("llm.cache.saved_nano_usd", saved.0),
            ("llm.cache.entries", entries),
            ("llm.cache.bytes", bytes),
            ("llm.cache.under_way", self.under_way() as u64),
        ];
        for (name, figure) in figures {
            visit(&Measure { name, labels: &[], value: figure as f64 });
        }
        for reason in Refused::ALL {
            let count = self.refused(reason);
            if count > 0 {
                let labels = [("reason", Cow::Borrowed(reason.as_str()))];
                visit(&Measure { name: "llm.cache.refused", labels: &labels, value: count as f64 });
            }
        }
    }
}

impl fmt::Debug for CacheHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheHandle").field("counts", &self.counts()).field("under_way", &self.under_way()).finish()
    }
}
