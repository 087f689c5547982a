//! What all calls through one layer share: its settings, the quota of each target, and the counts.

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use llm_core::{Again, Context, Keyed, PerTarget, Random, Target, TargetRef};
use tokio::time::Instant;

use crate::{Jitter, Reason, RetryQuota, RetryRules, Verdict, quota::Window, verdict::no_call_left};

/// What a layer was told.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) rules: PerTarget<RetryRules>,
    pub(crate) quota: Option<RetryQuota>,
    pub(crate) targets: NonZeroUsize,
    pub(crate) jitter: Jitter,
    pub(crate) random: Random,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) windows: Keyed<Target, Window>,
    pub(crate) counts: Counts,
    begun: Instant,
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Self {
        let windows = Keyed::new(settings.targets, Window::default());
        Self { settings, windows, counts: Counts::default(), begun: Instant::now() }
    }

    /// Counts a call to `target`, where there is a quota.
    pub(crate) fn count_call(&self, target: &TargetRef<'_>, now: impl FnOnce() -> Instant) {
        if let Some(quota) = &self.settings.quota {
            let slot = self.slot(quota, now());
            self.with_window(target, slot, |window| window.count_call(slot));
        }
    }

    /// Takes a retry of `target` from its quota and then one call from the allowance, or nothing from either.
    pub(crate) fn take_retry(
        &self,
        target: &TargetRef<'_>,
        context: &Context,
        failure: &llm_core::Error,
        now: Instant,
    ) -> Result<(), Reason> {
        let take_call = || {
            if context.may_call_again(Again::Retry, Some(failure)) {
                return Ok(());
            }
            // Somebody else took it since it was looked at.
            Err(no_call_left(context.calls_left(), context.untried_candidates()).unwrap_or(Reason::AllowanceSpent))
        };
        let Some(quota) = &self.settings.quota else { return take_call() };
        let slot = self.slot(quota, now);
        self.with_window(target, slot, |window| {
            if !window.take_retry(slot, quota) {
                return Err(Reason::QuotaSpent);
            }
            take_call().inspect_err(|_| window.give_back(slot))
        })
    }

    fn slot(&self, quota: &RetryQuota, now: Instant) -> u32 {
        quota.slot(now.saturating_duration_since(self.begun))
    }

    fn with_window<R>(&self, target: &TargetRef<'_>, slot: u32, mut with: impl FnMut(&Window) -> R) -> R {
        // A window that is forgotten while somebody counts in it takes that one count along, which is not worth a
        // mark on each.
        let is_idle = |window: &Window| window.is_idle(slot);
        self.windows.get_or_insert(target, || target.to_target(), Window::default, is_idle, |window| Some(with(window)))
    }
}

/// How often each decision was taken. Only failures write here.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    retries: AtomicU64,
    stops: [AtomicU64; Reason::ALL.len()],
}

impl Counts {
    pub(crate) fn add(&self, verdict: Verdict) {
        match verdict {
            Verdict::Retry { .. } => &self.retries,
            Verdict::Stop(reason) => &self.stops[reason as usize],
        }
        .fetch_add(1, Relaxed);
    }

    pub(crate) fn retries(&self) -> u64 {
        self.retries.load(Relaxed)
    }

    pub(crate) fn stops(&self, reason: Reason) -> u64 {
        self.stops[reason as usize].load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use llm_core::{Error, ErrorKind};

    use super::*;

    #[test]
    fn every_reason_has_a_count_of_its_own() {
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(at, reason as usize);
        }
    }

    #[test]
    fn what_the_allowance_refuses_goes_back_to_the_quota() {
        let quota = RetryQuota::percent(0).per_second(1);
        let settings = Settings {
            rules: PerTarget::default(),
            quota: Some(quota),
            targets: NonZeroUsize::MIN,
            jitter: Jitter::None,
            random: Random::default(),
        };
        let (shared, now, failure) = (Shared::new(settings), Instant::now(), Error::new(ErrorKind::Server, "failed"));
        let target = TargetRef { provider: "openai", model: "gpt-4o", key: None };
        let take = |context: &Context| shared.take_retry(&target, context, &failure, now);
        // Somebody else has taken the last call since it was looked at.
        let (spent, kept) = (Context::default(), Context::default());
        spent.set_allowance(0);
        kept.set_untried_candidates(2);
        for _ in 0..20 {
            assert_eq!(take(&spent), Err(Reason::AllowanceSpent));
            assert_eq!(take(&kept), Err(Reason::LeftToRouter));
        }
        let rich = Context::default();
        rich.set_allowance(100);
        assert_eq!((0..20).filter(|_| take(&rich).is_ok()).count(), 10);
        assert_eq!(rich.calls_left(), 90, "what the quota refuses takes nothing from the allowance");
        assert_eq!(take(&rich), Err(Reason::QuotaSpent));
    }
}
