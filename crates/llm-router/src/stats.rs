//! How the calls to one target have been doing.

use std::time::Duration;

use tokio::time::Instant;

/// Figures of one target, on one cache line.
#[derive(Debug, Default)]
pub(crate) struct Stats {}

impl Stats {
    /// A stream's first content came after `wait`.
    pub(crate) fn record_first_content(&self, wait: Duration, now: Instant) {
        let _ = (wait, now);
    }

    /// An answer of `tokens` took `time`, which for a stream begins with its first content.
    pub(crate) fn record_tokens(&self, tokens: u64, time: Duration, now: Instant) {
        let _ = (tokens, time, now);
    }

    /// A call succeeded, or failed through the provider's fault.
    pub(crate) fn record_end(&self, failed: bool, now: Instant) {
        let _ = (failed, now);
    }

    pub(crate) fn first_content(&self, now: Instant) -> Option<Duration> {
        let _ = now;
        None
    }

    pub(crate) fn seconds_per_token(&self, now: Instant) -> Option<f64> {
        let _ = now;
        None
    }

    pub(crate) fn failing(&self, now: Instant) -> f64 {
        let _ = now;
        0.0
    }
}
