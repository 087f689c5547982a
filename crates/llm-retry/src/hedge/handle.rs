//! What operators see of a hedge layer.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use llm_core::{Measure, Measures, Striped, Target};

use super::shared::{Answers, Shared};

/// What becomes of late calls. A call that nobody wanted the rest of while both attempts were under way is only
/// counted as started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HedgeEvent {
    /// A second attempt was made.
    Started,
    /// It had content before the first one.
    Won,
    /// The first one had content before it.
    Lost,
    /// Both failed.
    Failed,
    /// There was no telling what is late: too few calls to the target have been seen. Counted for every call.
    FewSamples,
    /// The target is not healthy, or the call was to find out whether it is.
    Unhealthy,
    /// No call is left for it, or only those that belong to a router's untried candidates.
    AllowanceSpent,
    /// The target has had as many as its quota allows.
    QuotaSpent,
}

impl HedgeEvent {
    /// Every event, for tables and tests.
    pub const ALL: [Self; 8] = [
        Self::Started,
        Self::Won,
        Self::Lost,
        Self::Failed,
        Self::FewSamples,
        Self::Unhealthy,
        Self::AllowanceSpent,
        Self::QuotaSpent,
    ];

    /// The event in snake case. These words are stable.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Failed => "failed",
            Self::FewSamples => "few_samples",
            Self::Unhealthy => "unhealthy",
            Self::AllowanceSpent => "allowance_spent",
            Self::QuotaSpent => "quota_spent",
        }
    }
}

/// How often each event was. Calls that are in time write nothing here, once there is telling what is in time.
#[derive(Debug, Default)]
pub(super) struct Counts([AtomicU64; HedgeEvent::ALL.len()]);

impl Counts {
    pub(super) fn add(&self, event: HedgeEvent) {
        self.0[event as usize].fetch_add(1, Relaxed);
    }

    fn of(&self, event: HedgeEvent) -> u64 {
        self.0[event as usize].load(Relaxed)
    }
}

/// Tells what a [`HedgeLayer`](super::HedgeLayer) has done. Clones tell the same.
///
/// Its [`Measures`] are `llm.hedge.events`, a count for each `event` (the words of [`HedgeEvent`]), and
/// `llm.hedge.targets`, the number of targets with a percentile and a quota of their own.
#[derive(Clone, Debug)]
pub struct HedgeHandle {
    shared: Striped<Shared>,
}

impl HedgeHandle {
    pub(super) fn new(shared: Striped<Shared>) -> Self {
        Self { shared }
    }

    /// How often that was.
    pub fn count(&self, event: HedgeEvent) -> u64 {
        self.shared.counts.of(event)
    }

    /// After how long a streamed call to `target` is late now; `None` while there is no telling.
    pub fn delay_of_streams(&self, target: &Target) -> Option<Duration> {
        self.shared.delay(&target.names(), Answers::Streamed)
    }

    /// The same for a call that is answered as a whole.
    pub fn delay_of_whole_answers(&self, target: &Target) -> Option<Duration> {
        self.shared.delay(&target.names(), Answers::Whole)
    }

    /// How many targets have a percentile and a quota of their own.
    pub fn targets(&self) -> usize {
        self.shared.states.len()
    }
}

impl Measures for HedgeHandle {
    fn measure(&self, visit: &mut dyn FnMut(&Measure<'_>)) {
        for event in HedgeEvent::ALL {
            let labels = [("event", Cow::Borrowed(event.as_str()))];
            visit(&Measure { name: "llm.hedge.events", labels: &labels, value: self.count(event) as f64 });
        }
        visit(&Measure { name: "llm.hedge.targets", labels: &[], value: self.targets() as f64 });
    }
}
