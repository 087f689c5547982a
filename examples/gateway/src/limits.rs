//! What callers have used of their limits, for operators.

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};
use llm_budget::limit::{LimitCounts, LimitStatus};
use llm_stack::Stack;
use serde_json::{Map, Value, json};

use crate::{
    admin::{page, unreadable},
    whose::Names,
};

/// The most callers that are shown at once, those first who have least left.
const MOST_SHOWN: usize = 1_000;

/// `GET /limits`, of all callers or of those that the query names.
pub(crate) async fn show(
    State(stack): State<Stack>,
    names: Result<Query<Names>, QueryRejection>,
) -> Result<Response, Response> {
    let Query(names) = names.map_err(unreadable)?;
    let handle = stack.handles().limit.as_ref();
    let limits: Vec<Value> = handle.map(|limit| limit.counts().iter().map(describe).collect()).unwrap_or_default();
    let mut callers = handle.map(|limit| limit.list()).unwrap_or_default();
    callers.retain(|status| names.include(&status.caller));
    callers.sort_by_cached_key(|status| (left_per_mille(status), status.caller.to_string()));
    let shown: Vec<Value> = callers.iter().take(MOST_SHOWN).map(describe_caller).collect();
    Ok(page(&json!({ "limits": limits, "callers": shown, "more": callers.len().saturating_sub(MOST_SHOWN) })))
}

/// How much is left to a caller of what it has least of, in thousandths.
fn left_per_mille(status: &LimitStatus) -> u64 {
    let share = |left: u64, of: u64| left.saturating_mul(1_000).checked_div(of).unwrap_or(0);
    let requests = status.requests_left.zip(status.requests_per_minute).map(|(left, most)| share(left.into(), most));
    let tokens = status.tokens_left.zip(status.tokens_per_minute);
    let tokens = tokens.map(|(left, most)| share(u64::try_from(left).unwrap_or(0), most));
    let at_once = status.at_once.map(|most| share(most.saturating_sub(status.in_flight.into()), most));
    [requests, tokens, at_once].into_iter().flatten().min().unwrap_or(1_000)
}

fn describe(counts: &LimitCounts) -> Value {
    json!({
        "limit": counts.limit,
        "callers": counts.callers,
        "in_flight": counts.in_flight,
        "admitted": counts.admitted,
        "refused": {
            "requests": counts.refused_by_requests,
            "tokens": counts.refused_by_tokens,
            "at_once": counts.refused_by_at_once,
        },
        "crowded": counts.crowded,
    })
}

fn describe_caller(status: &LimitStatus) -> Value {
    let mut caller: Map<String, Value> = Names::of(&status.caller);
    caller.insert("limit".to_owned(), (*status.caller.rule).into());
    caller.insert("in_flight".to_owned(), status.in_flight.into());
    caller.insert("at_once".to_owned(), status.at_once.into());
    caller.insert("requests_per_minute".to_owned(), status.requests_per_minute.into());
    caller.insert("requests_left".to_owned(), status.requests_left.into());
    caller.insert("tokens_per_minute".to_owned(), status.tokens_per_minute.into());
    caller.insert("tokens_left".to_owned(), status.tokens_left.into());
    caller.into()
}
