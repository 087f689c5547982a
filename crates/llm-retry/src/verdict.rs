//! Whether to try again, and when: a plain function of what is known.

use std::time::Duration;

use llm_core::Error;

use crate::RetryRules;

/// The longest wait while a router has candidates that it has not tried: it has somewhere better to go.
const LONGEST_BESIDE_CANDIDATES: Duration = Duration::from_secs(1);

/// What a retry policy makes of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The same target is tried again.
    Retry {
        /// After this long.
        after: Duration,
    },
    /// The failure goes to the caller.
    Stop(Reason),
}

impl Verdict {
    pub(crate) const RETRIED: &str = "retried";

    /// The word for it in the [trail](llm_core::AttemptRecord::verdict), logs and measures. These words are stable.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry { .. } => Self::RETRIED,
            Self::Stop(reason) => reason.as_str(),
        }
    }
}

/// Why a failure is not retried. Where several would do, it is the first in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It would fail again, or a layer of ours refused the call, or content has been handed on, or a router made the
    /// call to [find out](llm_core::Context::is_probe) about its target and has found out.
    NotRetryable,
    /// This layer has made as many retries of the call as [its rules](RetryRules::most_retries) let it.
    RetriesSpent,
    /// The call may not be made again, by whomever.
    AllowanceSpent,
    /// The calls that are left, or the time that a retry would have to wait, belong to candidates that a router has not
    /// tried.
    LeftToRouter,
    /// The provider asks for a longer wait than [the rules](RetryRules::longest_advice) let it.
    AdviceTooLong,
    /// The wait would not end before the caller's deadline.
    DeadlineTooNear,
    /// The target has had as many retries lately as the [quota](crate::RetryQuota) allows.
    QuotaSpent,
}

impl Reason {
    /// Every reason, for tables and tests.
    pub const ALL: [Self; 7] = [
        Self::NotRetryable,
        Self::RetriesSpent,
        Self::AllowanceSpent,
        Self::LeftToRouter,
        Self::AdviceTooLong,
        Self::DeadlineTooNear,
        Self::QuotaSpent,
    ];

    /// The reason in snake case. These words are stable.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotRetryable => "not_retryable",
            Self::RetriesSpent => "retries_spent",
            Self::AllowanceSpent => "allowance_spent",
            Self::LeftToRouter => "left_to_router",
            Self::AdviceTooLong => "advice_too_long",
            Self::DeadlineTooNear => "deadline_too_near",
            Self::QuotaSpent => "quota_spent",
        }
    }
}

/// What is known of the call when an attempt of it has failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// How many retries of the call this layer has made.
    pub(crate) retries: u32,
    /// How many further calls are left to everybody.
    pub(crate) calls_left: u32,
    /// How many of them a router has candidates for.
    pub(crate) untried: u32,
    /// How long the caller still waits, if that is limited.
    pub(crate) remaining: Option<Duration>,
    /// Whether a router makes the call to find out about its target.
    pub(crate) is_probe: bool,
    /// A random number from 0 up to 1; absent without jitter.
    pub(crate) random: Option<f64>,
}

/// Decides about `error`, as far as that takes nothing from anybody: quota and allowance are asked afterwards.
pub(crate) fn judge(error: &Error, rules: &RetryRules, facts: &Facts) -> Verdict {
    // Such a call passes an open circuit before its time. A retry would do so too, and once more.
    if !error.is_retryable() || error.class().is_own || facts.is_probe {
        return Verdict::Stop(Reason::NotRetryable);
    }
    if rules.are_spent(facts.retries) {
        return Verdict::Stop(Reason::RetriesSpent);
    }
    if let Some(reason) = no_call_left(facts.calls_left, facts.untried) {
        return Verdict::Stop(reason);
    }
    let reach = rules.reach(error.kind(), facts.retries);
    let after = match error.retry_after() {
        Some(advice) if rules.is_too_long(advice) => return Verdict::Stop(Reason::AdviceTooLong),
        // Everybody who was told to wait was told the same. They must not come back together.
        Some(advice) => advice.saturating_add(facts.random.map_or(Duration::ZERO, |random| share(reach, random))),
        None => facts.random.map_or(reach, |random| share(reach, random)),
    };
    if facts.untried > 0 && after > LONGEST_BESIDE_CANDIDATES {
        return Verdict::Stop(Reason::LeftToRouter);
    }
    if facts.remaining.is_some_and(|remaining| after >= remaining) {
        return Verdict::Stop(Reason::DeadlineTooNear);
    }
    Verdict::Retry { after }
}

/// Why a retry cannot be had from an allowance, if it cannot.
pub(crate) fn no_call_left(calls_left: u32, untried: u32) -> Option<Reason> {
    match calls_left {
        0 => Some(Reason::AllowanceSpent),
        left if left <= untried => Some(Reason::LeftToRouter),
        _ => None,
    }
}

fn share(whole: Duration, random: f64) -> Duration {
    // It cannot be more than the whole; the fallback is for the rounding at the far end of what a duration can say.
    Duration::try_from_secs_f64(whole.as_secs_f64() * random).unwrap_or(whole)
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
