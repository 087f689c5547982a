//! How callers stand, for those who operate the limits.

use std::{fmt, sync::Arc, time::Duration};

use llm_core::Caller;

use super::{entry::Used, table::Table};

/// How a caller stands under a limit. Displays as `per-tenant acme: 2 in flight, 57 requests left, 1200 tokens left`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitStatus {
    /// The name of the limit.
    pub limit: String,
    /// Who it is, as far as the limit [tells callers apart](super::Per).
    pub caller: Caller,
    /// For which model, where callers are told apart by it.
    pub model: Option<Arc<str>>,
    /// Calls under way.
    pub in_flight: u32,
    /// Calls that may begin at once; absent where requests are not limited.
    pub requests_left: Option<u32>,
    /// Tokens that may be used at once, or below zero those that are owed; absent where tokens are not limited.
    pub tokens_left: Option<i64>,
}

impl LimitStatus {
    pub(crate) fn new(table: &Table, names: (Caller, Option<Arc<str>>), used: &Used, now: Duration) -> Self {
        let (caller, model) = names;
        Self {
            limit: table.name.to_string(),
            caller,
            model,
            in_flight: used.in_flight(),
            requests_left: table.amounts.requests.as_ref().map(|limit| limit.left(used.arrival())),
            tokens_left: table.amounts.tokens.map(|limit| limit.left(used.bucket(), now)),
        }
    }
}

impl fmt::Display for LimitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = caller_name(&self.limit, &self.caller, self.model.as_deref());
        write!(f, "{name}: {} in flight", self.in_flight)?;
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

/// What a caller under a limit is called: `per-tenant acme`.
pub(crate) fn caller_name(limit: &str, caller: &Caller, model: Option<&str>) -> String {
    let Caller { tenant, user, workflow, job } = caller;
    let names = [tenant.as_deref(), user.as_deref(), workflow.as_deref(), job.as_deref(), model];
    names.into_iter().flatten().fold(limit.to_owned(), |name, next| format!("{name} {next}"))
}
