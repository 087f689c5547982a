//! What operators see of a fallback layer.

use std::{
    array,
    borrow::Cow,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use llm_core::{ErrorKind, Measure, Measures, Notice, NoticeListener, Notices, Severity, Striped};
use tokio::time::Instant;

use crate::{layer::Shared, when::place};

/// After so long without a call that failed for good, the next one is news again.
const QUIET: Duration = Duration::from_secs(60);

/// What became of a call that failed with a kind for which there are cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FallbackEvent {
    /// A message was the answer.
    Message,
    /// A function had an answer.
    Function,
    /// Another service answered.
    Service,
    /// No case had an answer, and the failure went to the caller.
    Unanswered,
}

impl FallbackEvent {
    /// Every event, for tables and tests.
    pub const ALL: [Self; 4] = [Self::Message, Self::Function, Self::Service, Self::Unanswered];

    /// The event in snake case. These words are stable.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Function => "function",
            Self::Service => "service",
            Self::Unanswered => "unanswered",
        }
    }
}

/// How often each event was, by the kind of the failure, and who is told. Calls that go well write nothing here.
#[derive(Debug)]
pub(crate) struct Record {
    counts: [[AtomicU64; FallbackEvent::ALL.len()]; ErrorKind::ALL.len()],
    notices: Notices,
    last: Mutex<Option<Instant>>,
}

impl Default for Record {
    fn default() -> Self {
        let counts = array::from_fn(|_| array::from_fn(|_| AtomicU64::new(0)));
        Self { counts, notices: Notices::new(), last: Mutex::default() }
    }
}

impl Record {
    pub(crate) fn note(&self, kind: ErrorKind, event: FallbackEvent, now: Instant) {
        self.counts[place(kind)][event as usize].fetch_add(1, Relaxed);
        // An instant is written whole, so a panic elsewhere does not spoil it.
        let before = self.last.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
        if before.is_none_or(|before| now.saturating_duration_since(before) >= QUIET) {
            self.notices.send(Notice {
                source: "fallback",
                key: kind.to_string(),
                kind: "began",
                severity: Severity::Warning,
                numbers: Vec::new(),
            });
        }
    }

    fn count(&self, kind: ErrorKind, event: FallbackEvent) -> u64 {
        self.counts[place(kind)][event as usize].load(Relaxed)
    }
}

/// Tells what a [`FallbackLayer`](crate::FallbackLayer) has done. Clones tell the same.
///
/// Its [`Measures`] are `llm.fallback.events`, a count for each `error` (the words of [`ErrorKind`]) and `event` (those of
/// [`FallbackEvent`]) that there was.
#[derive(Clone, Debug)]
pub struct FallbackHandle {
    shared: Striped<Shared>,
}

impl FallbackHandle {
    pub(crate) fn new(shared: Striped<Shared>) -> Self {
        Self { shared }
    }

    /// How often a call that had failed with `kind` came to this.
    pub fn count(&self, kind: ErrorKind, event: FallbackEvent) -> u64 {
        self.shared.record.count(kind, event)
    }

    /// How many calls were answered by a fallback.
    pub fn answered(&self) -> u64 {
        let by = [FallbackEvent::Message, FallbackEvent::Function, FallbackEvent::Service];
        ErrorKind::ALL.iter().flat_map(|kind| by.map(|event| self.count(*kind, event))).sum()
    }

    /// Listens from now on. There is one kind of notice, `began`, with the kind of the failure as its key: a call has
    /// failed for good, and for a minute none had.
    pub fn notices(&self) -> NoticeListener {
        self.shared.record.notices.listen()
    }
}

impl Measures for FallbackHandle {
    fn measure(&self, visit: &mut dyn FnMut(&Measure<'_>)) {
        for kind in ErrorKind::ALL {
            for event in FallbackEvent::ALL {
                let count = self.count(kind, event);
                if count > 0 {
                    let labels = [("error", Cow::Borrowed(kind.as_str())), ("event", Cow::Borrowed(event.as_str()))];
                    visit(&Measure { name: "llm.fallback.events", labels: &labels, value: count as f64 });
                }
            }
        }
    }
}
