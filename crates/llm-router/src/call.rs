//! A call under way, from its beginning to its outcome.

use std::{fmt, sync::Arc};

use llm_core::{Breaker, Error, Observer, Outcome, Progress};
use tokio::time::Instant;

use crate::stats::Stats;

/// A call under way at a [`Candidate`](crate::Candidate), see [`begin`](crate::Candidate::begin). It is in flight
/// until this is dropped, and what it tells meanwhile is what later choices go by.
///
/// It is an [`Observer`]: attached to a call it tells everything by itself.
pub struct InFlight {
    stats: Arc<Stats>,
    began: Instant,
    streams: bool,
    // Of a stream, once it has come.
    first_content: Option<Instant>,
}

impl InFlight {
    pub(crate) fn new(stats: Arc<Stats>, streams: bool, began: Instant) -> Self {
        Self { stats, began, streams, first_content: None }
    }

    /// The first content came. Of an answer that does not come in pieces that says nothing.
    pub fn content_came(&mut self, at: Instant) {
        if self.streams && self.first_content.is_none() {
            self.first_content = Some(at);
            self.stats.record_first_content(at.saturating_duration_since(self.began), at);
        }
    }

    /// The answer was complete, with this many output tokens.
    pub fn completed(self, tokens: u64, at: Instant) {
        self.record_complete(tokens, at);
    }

    /// The call failed.
    pub fn failed(self, error: &Error, at: Instant) {
        self.record_failure(error, at);
    }

    fn record_complete(&self, tokens: u64, at: Instant) {
        self.stats.record_complete(tokens, self.first_content.unwrap_or(self.began), at);
    }

    fn record_failure(&self, error: &Error, at: Instant) {
        match error.class().breaker {
            // A target that throttles is a bad choice, whosever fault that is.
            Breaker::Failure | Breaker::OpenAtOnce | Breaker::Cool => self.stats.record_failure(at),
            Breaker::Ignore => {}
        }
    }
}

impl Observer for InFlight {
    fn on_content(&mut self, progress: &Progress) {
        // What was kept or made up below the router comes at once, and says nothing of the target.
        if let Some(at) = progress.first_content().filter(|_| !progress.is_unpaid()) {
            self.content_came(at);
        }
    }

    fn on_end(&mut self, outcome: &Outcome<'_>) {
        let progress = outcome.progress();
        // What came before this observer did is told with the frames, which nobody may have read.
        self.on_content(progress);
        let at = progress.ended().unwrap_or(self.began);
        match outcome {
            Outcome::Complete(progress) if progress.is_unpaid() => {}
            Outcome::Complete(progress) => self.record_complete(progress.usage().output, at),
            Outcome::Failed(_, error) => self.record_failure(error, at),
            Outcome::Abandoned(_) => {}
        }
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight").field("streams", &self.streams).finish_non_exhaustive()
    }
}
