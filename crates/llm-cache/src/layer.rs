//! The layer, which is the configuration.

use std::{
    num::{NonZeroU64, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use llm_core::{HoldBack, LlmRequest, Striped, catalog::Catalog};
use tower::Layer;

use crate::{
    Cache, CacheHandle, CacheRule, Replay, Scope, Store,
    key::{Keys, Vary},
    shared::{Settings, Shared},
};

/// Answers what was asked before, and asks once what many ask at once. See the [crate docs](crate).
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is put around a service"]
pub struct CacheLayer {
    shared: Striped<Shared>,
}

impl CacheLayer {
    /// A cache of 64 MiB in memory, whose answers are good for an hour.
    pub fn new() -> Self {
        Self::of(Settings {
            keys: Keys::default(),
            store: None,
            capacity: NonZeroU64::new(64 << 20).expect("it is not zero"),
            is_local: false,
            entry_limit: NonZeroUsize::new(1 << 20).expect("it is not zero"),
            ttl: Duration::from_secs(3_600),
            rules: Arc::default(),
            stale_while_revalidate: None,
            stale_if_error: Duration::from_secs(86_400),
            failures_for: None,
            renewals: 32,
            replay: Replay::default(),
            hold_back: HoldBack::default(),
            catalog: None,
        })
    }

    fn of(settings: Settings) -> Self {
        Self { shared: Striped::new(Shared::new(settings)) }
    }

    fn settings(&self) -> Settings {
        self.shared.settings.clone()
    }

    pub(crate) fn own_capacity(&self) -> NonZeroU64 {
        self.shared.settings.capacity
    }

    pub(crate) fn own_entry_limit(&self) -> u64 {
        self.shared.settings.entry_limit.get() as u64
    }

    /// Marks the layer's own store [local](crate::MemoryStore::local).
    pub(crate) fn local(self) -> Self {
        Self::of(Settings { is_local: true, ..self.settings() })
    }

    /// Who shares answers. Defaults to [`Scope::Tenant`]: what one customer asked is nobody else's business.
    pub fn scope(self, scope: Scope) -> Self {
        let settings = self.settings();
        Self::of(Settings { keys: Keys { scope, ..settings.keys }, ..settings })
    }

    /// Further unknown fields of requests that make no difference to the answer, by their names at the top of the request,
    /// such as the id of a trace. What is known to make none is left out anyway: `cache_control`, `metadata`,
    /// `prompt_cache_key`, `prompt_cache_options`, `prompt_cache_retention`, `safety_identifier`, `service_tier`, `store`,
    /// `stream_options` and `user`.
    pub fn irrelevant_fields(self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        let settings = self.settings();
        let irrelevant = names.into_iter().map(Into::into).collect();
        Self::of(Settings { keys: Keys { irrelevant, ..settings.keys }, ..settings })
    }

    /// What else tells two requests apart: the texts that `says` passes on, in their order. For what stands beside a request,
    /// in its extensions, and changes its answer, such as the features that Anthropic's clients turn on by a header. Nothing
    /// by default.
    pub fn vary(self, says: impl Fn(&LlmRequest, &mut dyn FnMut(&str)) + Send + Sync + 'static) -> Self {
        let settings = self.settings();
        Self::of(Settings { keys: Keys { vary: Vary(Some(Arc::new(says))), ..settings.keys }, ..settings })
    }

    /// The most bytes that the layer's own store keeps, see [`MemoryStore`](crate::MemoryStore). Defaults to 64 MiB: nearly
    /// three thousand streamed answers of a hundred tokens with the bytes that they came in, or 25,000 whole ones of three
    /// times that. At least 1.
    pub fn capacity(self, bytes: NonZeroU64) -> Self {
        Self::of(Settings { capacity: bytes, ..self.settings() })
    }

    /// What keeps the answers, instead of a [`MemoryStore`](crate::MemoryStore) of the layer's own.
    pub fn store(self, store: Arc<dyn Store>) -> Self {
        Self::of(Settings { store: Some(store), ..self.settings() })
    }

    /// The most bytes of one answer that is kept, and that is read from while it comes by those who joined its call.
    /// Defaults to 1 MiB, several times the longest answer of today's models. At least 1.
    pub fn entry_limit(self, bytes: NonZeroUsize) -> Self {
        Self::of(Settings { entry_limit: bytes, ..self.settings() })
    }

    /// How long an answer is good, unless its caller says otherwise. Defaults to an hour: at temperature zero a model
    /// answers alike, but what stands behind its name changes some day. Any length; with none at all, calls are shared
    /// while they are under way, and answers only stand in for failures.
    pub fn ttl(self, ttl: Duration) -> Self {
        Self::of(Settings { ttl, ..self.settings() })
    }

    /// Caches some calls otherwise than others: of those rules that are about a call, the first decides. What the call's own
    /// directive says goes before its time. None by default.
    pub fn rules(self, rules: impl IntoIterator<Item = CacheRule>) -> Self {
        Self::of(Settings { rules: rules.into_iter().collect(), ..self.settings() })
    }

    /// For how long after that an answer is still given while it is renewed. Defaults to a tenth of its time, so that
    /// what is asked for again and again is never waited for. Zero turns it off.
    pub fn stale_while_revalidate(self, within: Duration) -> Self {
        Self::of(Settings { stale_while_revalidate: Some(within), ..self.settings() })
    }

    /// For how long after its time an answer is given where the call fails before content, also because a circuit is open
    /// or a budget spent. Defaults to 24 hours, the length of a bad day. Zero turns it off.
    pub fn stale_if_error(self, within: Duration) -> Self {
        Self::of(Settings { stale_if_error: within, ..self.settings() })
    }

    /// Keeps failures for so long that the same request would meet again: it is invalid, too long, against a policy, or
    /// asks for a model that is not there. Off by default: a policy or a list of models changes without a word.
    pub fn keep_failures(self, ttl: Duration) -> Self {
        Self::of(Settings { failures_for: Some(ttl), ..self.settings() })
    }

    /// The most answers that are renewed at the same time. Defaults to 32, so that a crowd of expired answers does not
    /// become a crowd of calls. With zero none is, and they expire.
    pub fn renewals(self, most: usize) -> Self {
        Self::of(Settings { renewals: most, ..self.settings() })
    }

    /// How fast kept answers are streamed. Defaults to [`Replay::AtOnce`].
    pub fn replay(self, replay: Replay) -> Self {
        Self::of(Settings { replay, ..self.settings() })
    }

    /// How much of an answer is held back while waiting for its first content, before which a failure can still be
    /// answered by an expired answer or another try. Defaults to [`HoldBack::default`].
    pub fn hold_back(self, hold_back: HoldBack) -> Self {
        Self::of(Settings { hold_back, ..self.settings() })
    }

    /// Where models' prices are found, for what was saved. Defaults to the built-in catalogue.
    pub fn catalog(self, catalog: Arc<Catalog>) -> Self {
        Self::of(Settings { catalog: Some(catalog), ..self.settings() })
    }

    /// Goes on with what another layer keeps, for a change of settings while calls are under way, and with those calls: they
    /// can be joined. A [store](Self::store) that either layer was given stays its own, and where the capacity, who shares
    /// answers, the fields that make no difference or whether the store is local have changed, this layer begins with
    /// nothing. What it counts begins anew. Setters start afresh, so call it after them.
    pub fn resuming(self, previous: &CacheHandle) -> Self {
        Self { shared: Striped::new(Shared::resuming(self.settings(), previous.shared())) }
    }

    /// A handle to watch and control it with. Setters start afresh, so take it after them.
    pub fn handle(&self) -> CacheHandle {
        CacheHandle::new(self.shared.clone())
    }
}

impl Default for CacheLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = Cache<S>;

    fn layer(&self, inner: S) -> Cache<S> {
        Cache::new(inner, self.shared.clone())
    }
}
