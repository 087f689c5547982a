//! The time of day for those who need it with every call.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

use crate::window::Now;

/// How far it may be behind where somebody sets the machine's clock.
const ANCHORED_FOR: u64 = 1_000_000_000;

/// Reads a monotonic clock, and once a second how that stands to the time of day: the latter takes several readings,
/// which would be most of what a ledger in memory does.
#[derive(Debug)]
pub(crate) struct Clock {
    began: Instant,
    // Nanoseconds since 1970 when the clock began, as of the last anchoring, and when that was. A reader who meets the
    // one without the other is off by as much as the clock was set in between.
    offset: AtomicU64,
    anchored: AtomicU64,
}

impl Default for Clock {
    fn default() -> Self {
        // The first reading anchors.
        Self { began: Instant::now(), offset: AtomicU64::new(0), anchored: AtomicU64::new(u64::MAX) }
    }
}

impl Clock {
    pub(crate) fn now(&self) -> Now {
        let passed = self.began.elapsed().as_nanos() as u64;
        let anchored = self.anchored.load(Relaxed);
        let is_anchored = anchored <= passed && passed - anchored < ANCHORED_FOR;
        let offset = if is_anchored { self.offset.load(Relaxed) } else { self.anchor(passed) };
        Duration::from_nanos(offset.saturating_add(passed))
    }

    #[cold]
    fn anchor(&self, passed: u64) -> u64 {
        let now = u64::try_from(llm_core::clock::since_epoch().as_nanos()).unwrap_or(u64::MAX);
        let offset = now.saturating_sub(passed);
        self.offset.store(offset, Relaxed);
        self.anchored.store(passed, Relaxed);
        offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_with_the_time_of_day() {
        let clock = Clock::default();
        for seconds in [0, 1, 59, 86_400] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!(clock.now(), llm_core::clock::since_epoch());
        }
    }

    #[test]
    fn without_a_runtime_it_is_the_systems_clock() {
        let clock = Clock::default();
        let (now, known) = (clock.now(), llm_core::clock::since_epoch());
        assert!(now.abs_diff(known) < Duration::from_millis(100));
    }
}
