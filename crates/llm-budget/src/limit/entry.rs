//! What is kept of one caller under one limit.

use std::{
    num::NonZeroU32,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Acquire, Ordering::Release},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    LimitRule,
    requests::{Arrival, Requests},
    tokens::{Bucket, Tokens},
};

/// The amounts of a limit.
#[derive(Debug)]
pub(crate) struct Amounts {
    pub(crate) requests: Option<Requests>,
    pub(crate) tokens: Option<Tokens>,
    pub(crate) at_once: Option<NonZeroU32>,
}

/// Which of a limit's amounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Amount {
    Requests,
    Tokens,
    AtOnce,
}

/// Why a call may not be made now, and for how long that is known to be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) amount: Amount,
    pub(crate) wait: Option<Duration>,
}

/// How much a caller has used of its amounts, and how many calls it has under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    arrival: Arrival,
    bucket: Bucket,
    in_flight: u32,
    // The minute of the last notice, counted from one.
    told: u32,
}

impl Amounts {
    pub(crate) fn of(rule: &LimitRule, began: Instant) -> Self {
        Self {
            requests: rule.requests.map(|amount| Requests::new(amount, began)),
            tokens: rule.tokens.map(Tokens::new),
            at_once: rule.at_once,
        }
    }

    /// What becomes of the caller's arrival if a call of so many tokens goes through, or why it may not. Of two reasons
    /// it is the one that holds longer, and one that may pass at any time only where there is no other.
    pub(crate) fn look(&self, used: &Used, tokens: u64, now: Duration) -> Result<Arrival, Refusal> {
        let looked = self.requests.as_ref().map_or_else(|| Ok(used.arrival.clone()), |limit| limit.look(&used.arrival));
        let tokens_wait = self.tokens.map_or(Duration::ZERO, |limit| limit.wait(used.bucket, tokens, now));
        let arrival = match looked {
            Err(wait) if wait >= tokens_wait => return Err(Refusal { amount: Amount::Requests, wait: Some(wait) }),
            Ok(arrival) if tokens_wait.is_zero() => arrival,
            Ok(_) | Err(_) => return Err(Refusal { amount: Amount::Tokens, wait: Some(tokens_wait) }),
        };
        if self.at_once.is_some_and(|most| used.in_flight >= most.get()) {
            return Err(Refusal { amount: Amount::AtOnce, wait: None });
        }
        Ok(arrival)
    }

    /// Lets a call through that `look` has agreed to.
    pub(crate) fn begin(&self, used: &mut Used, arrival: Arrival, tokens: u64, now: Duration) {
        used.arrival = arrival;
        if let Some(limit) = self.tokens {
            limit.charge(&mut used.bucket, tokens, now);
        }
        used.in_flight += 1;
    }

    /// Goes by these amounts from now on: what is used up of others is used up of these. Whoever still lets calls through by
    /// the others goes by those, in units of theirs.
    pub(crate) fn adopt(&self, used: &mut Used, now: Duration) {
        if let Some(limit) = &self.requests {
            used.arrival = limit.own(&used.arrival);
        }
        if let Some(limit) = self.tokens {
            used.bucket = limit.own(used.bucket, now);
        }
    }

    /// Puts right what a call was charged with that is over. If the amount has changed since, then by the newer one.
    pub(crate) fn end(&self, used: &mut Used, charged: u64, really: u64, now: Duration) {
        used.in_flight -= 1;
        if let Some(limit) = self.tokens.and_then(|_| used.bucket.unit()) {
            limit.charge(&mut used.bucket, really.saturating_sub(charged), now);
            limit.give_back(&mut used.bucket, charged.saturating_sub(really), now);
        }
    }

    /// Whether there is nothing to remember of a caller.
    pub(crate) fn is_idle(&self, used: &Used, now: Duration) -> bool {
        used.in_flight == 0
            && self.tokens.is_none_or(|limit| limit.is_full(used.bucket, now))
            && self.requests.as_ref().is_none_or(|requests| requests.is_fresh(&used.arrival))
    }
}

impl Used {
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(crate) fn arrival(&self) -> &Arrival {
        &self.arrival
    }

    pub(crate) fn bucket(&self) -> Bucket {
        self.bucket
    }

    /// True once a minute.
    pub(crate) fn is_to_be_told(&mut self, now: Duration) -> bool {
        let minute = minute(now);
        std::mem::replace(&mut self.told, minute) != minute
    }
}

/// The minute since the layer was made, counted from one.
pub(crate) fn minute(now: Duration) -> u32 {
    u32::try_from(now.as_secs() / 60).unwrap_or(u32::MAX).saturating_add(1)
}

/// The same, shared by threads.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    used: Mutex<Used>,
    // Only set under the lock.
    is_retired: AtomicBool,
}

impl Entry {
    /// What was used. Each step leaves it whole, so a panic elsewhere does not spoil it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has been forgotten, and must not be used.
    pub(crate) fn is_retired(&self) -> bool {
        self.is_retired.load(Acquire)
    }

    /// Retires the entry if it is idle.
    pub(crate) fn retire(&self, amounts: &Amounts, now: Duration) -> bool {
        let used = self.lock();
        let is_idle = amounts.is_idle(&used, now);
        if is_idle {
            self.is_retired.store(true, Release);
        }
        is_idle
    }
}
