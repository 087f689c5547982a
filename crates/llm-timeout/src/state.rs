//! What all services of one layer share: the settings, and how often each limit ran out.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use llm_core::{LlmRequest, PerTarget, catalog::Catalog};
use tokio::time::Instant;

use crate::{
    Limits, TimeoutCounts,
    terms::{Expiry, Terms},
};

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    counts: Counts,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) limits: PerTarget<Limits>,
    // Absent: the built-in one.
    pub(crate) catalog: Option<Arc<Catalog>>,
}

#[derive(Debug, Default)]
struct Counts {
    head: AtomicU64,
    first_content: AtomicU64,
    idle: AtomicU64,
    total: AtomicU64,
    deadline: AtomicU64,
}

impl State {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, counts: Counts::default() }
    }

    pub(crate) fn terms(&self, request: &LlmRequest, now: Instant) -> Terms {
        let target = request.target_or_model();
        let provider = Some(target.provider).filter(|provider| !provider.is_empty());
        let limits = self.settings.limits.of_names(provider, target.model);
        let catalog = match &self.settings.catalog {
            Some(catalog) => catalog,
            None => Catalog::builtin(),
        };
        Terms::of(request, limits, catalog, now)
    }

    pub(crate) fn count(&self, expiry: Expiry) {
        let count = match expiry {
            Expiry::Head(_) => &self.counts.head,
            Expiry::FirstContent(_) => &self.counts.first_content,
            Expiry::Idle(_) => &self.counts.idle,
            Expiry::Total(_) | Expiry::WholeAnswer(_) => &self.counts.total,
            Expiry::Deadline | Expiry::Patience(_) => &self.counts.deadline,
        };
        count.fetch_add(1, Relaxed);
    }

    pub(crate) fn counts(&self) -> TimeoutCounts {
        TimeoutCounts {
            head: self.counts.head.load(Relaxed),
            first_content: self.counts.first_content.load(Relaxed),
            idle: self.counts.idle.load(Relaxed),
            total: self.counts.total.load(Relaxed),
            deadline: self.counts.deadline.load(Relaxed),
        }
    }
}
