//! A model's own rate limits, counted in windows of a minute.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use llm_core::{Quota, RateLimits};
use tokio::time::Instant;

use crate::ModelConfig;

const MINUTE: Duration = Duration::from_secs(60);

/// What a model takes in a minute.
#[derive(Debug)]
pub(crate) struct Quotas {
    requests: Option<u64>,
    tokens: Option<u64>,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    requests: u64,
    tokens: u64,
}

/// Where the limits stand after a call, and how long a call that is too much has to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admission {
    pub(crate) limits: RateLimits,
    pub(crate) wait: Option<Duration>,
}

impl Quotas {
    pub(crate) fn of(model: &ModelConfig) -> Self {
        Self { requests: model.requests_per_minute, tokens: model.tokens_per_minute, window: Mutex::default() }
    }

    /// Counts a call with a prompt of `tokens`. A call that is refused is not counted.
    pub(crate) fn admit(&self, tokens: u64, now: Instant) -> Admission {
        // Counters are whole after every statement, so a panic elsewhere does not spoil them.
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let began = match window.began {
            Some(began) if now.duration_since(began) < MINUTE => began,
            _ => {
                *window = Window { began: Some(now), ..Window::default() };
                now
            }
        };
        let has_room = |limit: Option<u64>, used: u64, more: u64| limit.is_none_or(|limit| used + more <= limit);
        let is_admitted = has_room(self.requests, window.requests, 1) && has_room(self.tokens, window.tokens, tokens);
        if is_admitted {
            window.requests += 1;
            window.tokens += tokens;
        }
        let reset = MINUTE.saturating_sub(now.duration_since(began));
        let quota = |limit: Option<u64>, used: u64| Quota {
            limit,
            remaining: limit.map(|limit| limit.saturating_sub(used)),
            reset: limit.map(|_| reset),
        };
        let limits = RateLimits {
            requests: quota(self.requests, window.requests),
            tokens: quota(self.tokens, window.tokens),
            ..RateLimits::default()
        };
        Admission { limits, wait: (!is_admitted).then_some(reset) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_window_refuses_until_it_is_over() {
        let model =
            ModelConfig { requests_per_minute: Some(2), tokens_per_minute: Some(100), ..ModelConfig::chat("m") };
        let (quotas, start) = (Quotas::of(&model), Instant::now());
        assert_eq!(quotas.admit(60, start).limits.tokens.remaining, Some(40));
        assert_eq!(quotas.admit(60, start).wait, Some(MINUTE), "tokens are used up");
        assert!(quotas.admit(40, start).wait.is_none(), "what was refused does not count");
        assert_eq!(quotas.admit(0, start + MINUTE / 2).wait, Some(MINUTE / 2), "calls are used up");
        assert!(quotas.admit(60, start + MINUTE).wait.is_none());
    }
}
