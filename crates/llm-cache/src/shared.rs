//! What all services of a layer share.

use std::{
    num::{NonZeroU64, NonZeroUsize},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use llm_core::{Error, Head, HoldBack, LlmRequest, NanoUsd, Notice, Notices, Severity, Usage, catalog::Catalog};
use tokio::time::Instant;
use tracing::debug;

use crate::{
    CacheRule, Entry, Key, MemoryStore, Replay, Selection, Store,
    counts::{Counts, Happened},
    entry::{Age, Kept},
    failures,
    flight::Flights,
    key::Keys,
};

/// After so long without an expired answer in place of a failure, the next one is news again.
const QUIET: Duration = Duration::from_secs(60);

/// What a layer is set to.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) keys: Keys,
    pub(crate) store: Option<Arc<dyn Store>>,
    pub(crate) capacity: NonZeroU64,
    /// Whether the layer's own store is marked local.
    pub(crate) is_local: bool,
    pub(crate) entry_limit: NonZeroUsize,
    pub(crate) ttl: Duration,
    pub(crate) rules: Arc<[CacheRule]>,
    /// A tenth of its time where absent.
    pub(crate) stale_while_revalidate: Option<Duration>,
    pub(crate) stale_if_error: Duration,
    pub(crate) failures_for: Option<Duration>,
    pub(crate) renewals: usize,
    pub(crate) replay: Replay,
    pub(crate) hold_back: HoldBack,
    pub(crate) catalog: Option<Arc<Catalog>>,
}

/// What all services of a layer share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) flights: Arc<Flights>,
    pub(crate) counts: Counts,
    pub(crate) notices: Notices,
    // How often something was invalidated: what was asked before that is not kept after it. Whoever shares the store shares
    // this.
    pub(crate) invalidations: Arc<AtomicU64>,
    // How many answers are being renewed.
    pub(crate) renewing: AtomicUsize,
    stale_since: Mutex<Option<Instant>>,
}

/// What is kept of a question, as it is now.
#[derive(Clone, Debug)]
pub(crate) enum Known {
    /// Nothing that can be used.
    Nothing,
    /// An answer.
    Fresh(Arc<Entry>, Duration),
    /// One that has expired, and will do while it is renewed.
    Stale(Arc<Entry>, Duration),
    /// One that has expired, and will do if there is no other.
    LastResort(Arc<Entry>, Duration),
}

impl Known {
    /// The answer, if it has not expired.
    pub(crate) fn fresh(self) -> Option<(Arc<Entry>, Duration)> {
        match self {
            Self::Fresh(entry, age) => Some((entry, age)),
            Self::Nothing | Self::Stale(..) | Self::LastResort(..) => None,
        }
    }
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Self {
        let own_store = || {
            let store = MemoryStore::new(settings.capacity);
            Arc::new(if settings.is_local { store.local() } else { store }) as Arc<dyn Store>
        };
        let store = settings.store.clone().unwrap_or_else(own_store);
        Self::over(settings, store, Arc::new(Flights::new()), Arc::default())
    }

    /// The same with what `previous` keeps and with its calls under way, if both would have kept the same answers under the
    /// same keys.
    pub(crate) fn resuming(settings: Settings, previous: &Self) -> Self {
        let before = &previous.settings;
        let is_own = settings.store.is_none() && before.store.is_none();
        let is_alike = (settings.capacity, settings.is_local) == (before.capacity, before.is_local);
        if !is_own || !is_alike || !settings.keys.shares_with(&before.keys) {
            return Self::new(settings);
        }
        let (store, flights) = (Arc::clone(&previous.store), Arc::clone(&previous.flights));
        Self::over(settings, store, flights, Arc::clone(&previous.invalidations))
    }

    fn over(settings: Settings, store: Arc<dyn Store>, flights: Arc<Flights>, invalidations: Arc<AtomicU64>) -> Self {
        Self {
            settings,
            store,
            flights,
            counts: Counts::new(),
            notices: Notices::new(),
            invalidations,
            renewing: AtomicUsize::new(0),
            stale_since: Mutex::default(),
        }
    }

    pub(crate) fn find(&self, key: &Key) -> Known {
        let Some(entry) = self.store.get(key) else { return Known::Nothing };
        let is_failure = matches!(entry.kept, Kept::Failure(_));
        match entry.age(Instant::now()) {
            Age::Fresh(age) => Known::Fresh(entry, age),
            Age::Expired { .. } if is_failure => Known::Nothing,
            Age::Expired { age, for_ } => {
                let renewed_within = self.settings.stale_while_revalidate.unwrap_or(entry.ttl / 10);
                if for_ <= renewed_within {
                    Known::Stale(entry, age)
                } else if for_ <= self.settings.stale_if_error {
                    Known::LastResort(entry, age)
                } else {
                    Known::Nothing
                }
            }
        }
    }

    /// The same for a caller who may want nothing that is old.
    pub(crate) fn find_for(&self, key: &Key, request: &LlmRequest) -> Known {
        let known = self.find(key);
        let Some(most) = request.context().cache().max_age else { return known };
        match known {
            // Of what has just come nobody can tell whether it came before the question or after.
            Known::Fresh(_, age) | Known::Stale(_, age) | Known::LastResort(_, age) if age > most || most.is_zero() => {
                Known::Nothing
            }
            known => known,
        }
    }

    /// Takes note of a call that was not made, because of what is kept.
    pub(crate) fn note_unmade(&self, happened: Happened, entry: &Entry) {
        self.counts.note(happened);
        if let Some(cost) = entry.cost {
            self.counts.save(cost);
        }
    }

    /// What is answered instead of a failure, if that is anything.
    pub(crate) fn instead_of<T>(&self, error: &Error, last_resort: Option<T>) -> Option<T> {
        let answer = last_resort.filter(|_| failures::serves_stale(error.kind()))?;
        let now = Instant::now();
        // An instant is written whole, so a panic elsewhere does not spoil it.
        let before = self.stale_since.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
        if before.is_none_or(|before| now.saturating_duration_since(before) >= QUIET) {
            self.tell(error.kind().to_string(), "stale", Severity::Warning, Vec::new());
        }
        debug!(error.kind = %error.kind(), "answered by what has expired");
        Some(answer)
    }

    /// What a call to whoever answered so costs, if that is known.
    pub(crate) fn cost(&self, head: &Head, request_model: &str, usage: &Usage) -> Option<NanoUsd> {
        let catalog = self.settings.catalog.as_deref().unwrap_or_else(|| Catalog::builtin());
        let facts = match (&head.target, &head.model) {
            (Some(target), _) => catalog.get(Some(target.provider()), target.model()),
            (None, Some(model)) => catalog.get(None, model),
            (None, None) => catalog.get(None, request_model),
        };
        Some(facts?.price.as_ref()?.cost(usage).total())
    }

    pub(crate) fn invalidate(&self, selection: &Selection) -> u64 {
        // First, so that what comes in from now on was asked before it and is not kept.
        self.invalidations.fetch_add(1, SeqCst);
        let gone = self.store.invalidate(selection);
        let key = match selection {
            Selection::All => "all".to_owned(),
            Selection::Key(key) => key.to_string(),
            Selection::Model(name) | Selection::Tenant(name) | Selection::Tag(name) => name.to_string(),
        };
        self.tell(key, "invalidated", Severity::Info, vec![("entries", gone as f64)]);
        gone
    }

    pub(crate) fn key(&self, request: &LlmRequest) -> Key {
        self.settings.keys.of(request)
    }

    fn tell(&self, key: String, kind: &'static str, severity: Severity, numbers: Vec<(&'static str, f64)>) {
        self.notices.send(Notice { source: "cache", key, kind, severity, numbers });
    }
}
