//! How long to wait before a retry, and how long is too long.

use std::time::Duration;

use llm_core::{ErrorKind, Phase};

/// What decides about the retries of one target: how long to wait, and when waiting is pointless.
///
/// ```
/// use std::time::Duration;
/// use llm_core::PerTarget;
/// use llm_retry::{RetryLayer, RetryRules};
///
/// let usual = RetryRules::INTERACTIVE;
/// let rules = PerTarget::new(usual).provider("local", usual.base(Duration::from_millis(20)).most_retries(1));
/// let layer = RetryLayer::new().rules(rules);
/// # let _ = layer;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryRules {
    base: Duration,
    throttled_base: Duration,
    cap: Duration,
    longest_advice: Duration,
    most_retries: Option<u32>,
}

impl RetryRules {
    /// For calls that somebody waits for: every value as its setter says. This is the default.
    pub const INTERACTIVE: Self = Self {
        base: Duration::from_millis(250),
        throttled_base: Duration::from_secs(1),
        cap: Duration::from_secs(20),
        longest_advice: Duration::from_secs(60),
        most_retries: None,
    };

    /// For jobs that nobody waits for: a cap of 60 seconds, because a provider's limits a minute are full again after
    /// one, and advice of up to 10 minutes, because a job would rather wait than fail. Limits a day are not waited for.
    pub const BATCH: Self =
        Self { cap: Duration::from_secs(60), longest_advice: Duration::from_secs(600), ..Self::INTERACTIVE };

    /// The longest wait before the first retry; it doubles with each further one. Defaults to 250 milliseconds. Zero
    /// retries at once.
    pub const fn base(mut self, base: Duration) -> Self {
        self.base = base;
        self
    }

    /// The same after a failure that means too much load: rate limited or overloaded. Defaults to 1 second, since
    /// load goes away more slowly than a broken connection.
    pub const fn throttled_base(mut self, base: Duration) -> Self {
        self.throttled_base = base;
        self
    }

    /// The most that the doubling comes to. It never shortens what the provider advised. Defaults to 20 seconds.
    pub const fn cap(mut self, cap: Duration) -> Self {
        self.cap = cap;
        self
    }

    /// The longest wait that a provider may advise; where it advises a longer one, the call fails at once and the
    /// advice stays on the error. Defaults to 60 seconds, where Anthropic's own client stops too.
    pub const fn longest_advice(mut self, longest: Duration) -> Self {
        self.longest_advice = longest;
        self
    }

    /// The most retries of one call that one layer makes. By default only the call's allowance bounds them, which is
    /// shared with everything else that calls again: 2 further calls. With 0 nothing is retried.
    pub const fn most_retries(mut self, retries: u32) -> Self {
        self.most_retries = Some(retries);
        self
    }

    pub(crate) fn are_spent(&self, retries: u32) -> bool {
        self.most_retries.is_some_and(|most| retries >= most)
    }

    pub(crate) fn is_too_long(&self, advice: Duration) -> bool {
        advice > self.longest_advice
    }

    /// Whether the cap would shorten even the first wait.
    pub(crate) fn is_capped_below_base(&self) -> bool {
        self.cap < self.base.max(self.throttled_base)
    }

    /// The upper end of what is drawn from before retry `number`, which counts from 0.
    pub(crate) fn reach(&self, kind: ErrorKind, number: u32) -> Duration {
        let base = if means_load(kind) { self.throttled_base } else { self.base };
        base.saturating_mul(1_u32.checked_shl(number).unwrap_or(u32::MAX)).min(self.cap)
    }
}

impl Default for RetryRules {
    fn default() -> Self {
        Self::INTERACTIVE
    }
}

/// Whether the failure means that the provider has too much to do.
const fn means_load(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::RateLimited | ErrorKind::Overloaded | ErrorKind::QuotaExhausted => true,
        ErrorKind::InvalidRequest
        | ErrorKind::Untranslatable
        | ErrorKind::TooLarge
        | ErrorKind::UnknownModel
        | ErrorKind::ModelNotFound
        | ErrorKind::ContextLength
        | ErrorKind::ContentPolicy
        | ErrorKind::Unauthenticated
        | ErrorKind::Forbidden
        | ErrorKind::ProviderCredentials
        | ErrorKind::Server
        | ErrorKind::Connect
        | ErrorKind::Interrupted
        | ErrorKind::Timeout(Phase::Connect | Phase::Head | Phase::FirstContent | Phase::Idle | Phase::Total)
        | ErrorKind::DeadlineExceeded
        | ErrorKind::Undecodable
        | ErrorKind::CircuitOpen
        | ErrorKind::BudgetExceeded
        | ErrorKind::LimitExceeded
        | ErrorKind::NoRoute
        | ErrorKind::Cancelled
        | ErrorKind::Internal => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_the_cap_and_never_overflows() {
        let rules = RetryRules::INTERACTIVE;
        let reach = |number| rules.reach(ErrorKind::Server, number).as_millis();
        assert_eq!(
            [0, 1, 2, 6, 7, 31, 32, u32::MAX].map(reach),
            [250, 500, 1_000, 16_000, 20_000, 20_000, 20_000, 20_000]
        );
        let endless = rules.base(Duration::MAX).cap(Duration::MAX);
        assert_eq!(endless.reach(ErrorKind::Connect, u32::MAX), Duration::MAX);
    }

    #[test]
    fn load_is_waited_out_for_longer() {
        let rules = RetryRules::INTERACTIVE;
        for kind in ErrorKind::ALL {
            let expected = if means_load(kind) { 1_000 } else { 250 };
            assert_eq!(rules.reach(kind, 0).as_millis(), expected, "{kind}");
        }
        assert!(means_load(ErrorKind::RateLimited) && means_load(ErrorKind::Overloaded));
    }
}
