//! What the cache has done, for operators, who may have it forget answers.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::StatusCode;
use llm_cache::{CacheCounts, CacheHandle, Refused, Selection, StoreSize};
use llm_stack::Stack;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::admin::page;

/// `GET /cache`.
pub(crate) async fn show(State(stack): State<Stack>) -> Response {
    page(&stack.handles().cache.as_ref().map_or_else(|| json!({}), describe))
}

fn describe(cache: &CacheHandle) -> Value {
    let CacheCounts { hits, misses, joined, stale, stored, saved } = cache.counts();
    let StoreSize { entries, bytes } = cache.size();
    let refused: Map<String, Value> = Refused::ALL
        .into_iter()
        .map(|reason| (reason.as_str().to_owned(), cache.refused(reason).into()))
        .filter(|(_, count): &(String, Value)| *count != 0)
        .collect();
    json!({
        "hits": hits,
        "misses": misses,
        "joined": joined,
        "stale": stale,
        "stored": stored,
        "saved_usd": saved.decimal(),
        "refused": refused,
        "entries": entries,
        "bytes": bytes,
        "under_way": cache.under_way(),
    })
}

/// What an operator wants to be forgotten.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    invalidate: Meant,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Meant {
    All,
    Model(String),
    Tenant(String),
    Tag(String),
}

/// `POST /cache`: forgets what is meant, and says how many answers that were.
pub(crate) async fn control(State(stack): State<Stack>, order: Bytes) -> Response {
    let Order { invalidate } = match serde_json::from_slice(&order) {
        Ok(order) => order,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("that is no order: {error}\n")).into_response(),
    };
    let Some(cache) = stack.handles().cache.clone() else {
        return (StatusCode::CONFLICT, "there is no cache in the configuration\n").into_response();
    };
    let selection = match invalidate {
        Meant::All => Selection::All,
        Meant::Model(name) => Selection::Model(name.into()),
        Meant::Tenant(name) => Selection::Tenant(name.into()),
        Meant::Tag(name) => Selection::Tag(name.into()),
    };
    // It looks at every answer that is kept.
    let forgotten = tokio::task::spawn_blocking(move || cache.invalidate(&selection)).await;
    match forgotten {
        Ok(count) => page(&json!({ "invalidated": count })),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the cache failed\n").into_response(),
    }
}
