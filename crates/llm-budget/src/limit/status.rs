//! How callers stand, for those who operate the limits.

use std::{fmt, time::Duration};

use super::{
    entry::{Amounts, Used},
    table::Table,
};
use crate::AccountKey;

/// How a caller stands under a limit. Displays as `per-tenant (tenant acme): 2 in flight, 57
/// requests left, 1200 tokens left`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitStatus {
    /// The limit, and who it is as far as that [tells callers apart](crate::Per).
    pub caller: AccountKey,
    /// How many requests a minute it may make; absent where they are not limited.
    pub requests_per_minute: Option<u64>,
    /// How many tokens a minute it may use; absent where they are not limited.
    pub tokens_per_minute: Option<u64>,
    /// How many calls it may have under way; absent where they are not limited.
    pub at_once: Option<u64>,
    /// Calls under way.
    pub in_flight: u32,
    /// Calls that may begin at once; absent where requests are not limited.
    pub requests_left: Option<u32>,
    /// Tokens that may be used at once, or below zero those that are owed; absent where tokens are not limited.
    pub tokens_left: Option<i64>,
}

impl LimitStatus {
    pub(crate) fn new(table: &Table, caller: AccountKey, used: &Used, now: Duration) -> Self {
        let Amounts { requests, tokens, at_once } = &table.amounts;
        Self {
            caller,
            requests_per_minute: requests.as_ref().map(|limit| limit.amount().get().into()),
            tokens_per_minute: tokens.map(|limit| limit.amount().get()),
            at_once: at_once.map(|limit| limit.get().into()),
            in_flight: used.in_flight(),
            requests_left: requests.as_ref().map(|limit| limit.left(used.arrival())),
            tokens_left: tokens.map(|limit| limit.left(used.bucket(), now)),
        }
    }
}

impl fmt::Display for LimitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} in flight", self.caller, self.in_flight)?;
        if let Some(requests) = self.requests_left {
            write!(f, ", {requests} requests left")?;
        }
        match self.tokens_left {
            None => Ok(()),
            Some(tokens) if tokens < 0 => write!(f, ", {} tokens owed", tokens.unsigned_abs()),
            Some(tokens) => write!(f, ", {tokens} tokens left"),
        }
    }
}

/// What has happened under a limit since the layer was made, in all its services together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitCounts {
    /// The name of the limit.
    pub limit: String,
    /// Callers that something is remembered of.
    pub callers: usize,
    /// Calls under way.
    pub in_flight: u64,
    /// Calls that were let through.
    pub admitted: u64,
    /// Calls that were refused for their number a minute.
    pub refused_by_requests: u64,
    /// Calls that were refused for their tokens.
    pub refused_by_tokens: u64,
    /// Calls that were refused for those under way.
    pub refused_by_at_once: u64,
    /// Calls of callers for whom there was no room, and who shared the entry of such.
    pub crowded: u64,
}
