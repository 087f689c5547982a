//! How the providers' circuits are, for `/readyz` and for operators, who may open and close them.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::StatusCode;
use llm_breaker::{CircuitState, CircuitStatus};
use llm_core::{Target, TargetRef};
use llm_stack::Stack;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::page;

/// The circuits of a stack: one for each target of a model with a name of its own, and those of keys and of other
/// models that have failed. Empty without a breaker.
pub(crate) fn list(stack: &Stack) -> Vec<CircuitStatus> {
    let Some(breaker) = &stack.handles().breaker else { return Vec::new() };
    let mut circuits: BTreeMap<Target, CircuitStatus> =
        stack.targets().map(|target| (target.clone(), breaker.status(&target))).collect();
    circuits.extend(breaker.list().into_iter().map(|status| (status.target.clone(), status)));
    circuits.into_values().collect()
}

/// How many circuits are in each state, in a line such as `circuits: 3 closed, 1 open`; nothing without a breaker.
pub(crate) fn summary(stack: &Stack) -> String {
    let circuits = list(stack);
    let counts = CircuitState::NAMES.into_iter().filter_map(|name| {
        let count = circuits.iter().filter(|circuit| circuit.state_name() == name).count();
        (count > 0).then(|| format!("{count} {name}"))
    });
    let counts: Vec<String> = counts.collect();
    if counts.is_empty() { String::new() } else { format!("circuits: {}\n", counts.join(", ")) }
}

/// A circuit as operators see it.
pub(crate) fn describe(circuit: &CircuitStatus) -> Value {
    let TargetRef { provider, model, key } = circuit.target.names();
    json!({
        "provider": provider,
        // The circuit of a key is that of all its models.
        "model": (!model.is_empty()).then_some(model),
        "key": key,
        "state": circuit.state_name(),
        "remaining_ms": u64::try_from(circuit.remaining().as_millis()).unwrap_or(u64::MAX),
        "score": circuit.score,
        "openings": circuit.openings,
    })
}

/// `GET /circuits`.
pub(crate) async fn show(State(stack): State<Stack>) -> Response {
    answer(&stack)
}

/// What an operator wants of a circuit.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    provider: String,
    model: Option<String>,
    key: Option<String>,
    action: Action,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    /// Reject every call, until another action.
    ForceOpen,
    /// Let every call through, until another action.
    ForceClosed,
    /// Forget what was seen, and go by what is seen from now on.
    Reset,
}

/// `POST /circuits`: does what an operator wants of one circuit, and shows all of them as they are then.
pub(crate) async fn control(State(stack): State<Stack>, order: Bytes) -> Response {
    let Order { provider, model, key, action } = match serde_json::from_slice(&order) {
        Ok(order) => order,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("that is no order: {error}\n")).into_response(),
    };
    let Some(breaker) = &stack.handles().breaker else {
        return (StatusCode::CONFLICT, "there is no breaker: the configuration leaves it out\n").into_response();
    };
    // A circuit that no call goes by would be an order that does nothing, and looks as if it did.
    let Some(target) = stack.target(&provider, model.as_deref(), key.as_deref()) else {
        let unknown =
            "no call goes there: name the provider, the model if it is about one, and the key if there are several\n";
        return (StatusCode::NOT_FOUND, unknown).into_response();
    };
    let circuit = breaker.circuit_of(&target);
    if model.is_some() && circuit != target {
        let shared = format!("the model shares the circuit of `{}`: name that\n", circuit.model());
        return (StatusCode::NOT_FOUND, shared).into_response();
    }
    let is_done = match action {
        Action::ForceOpen => breaker.force_open(&target),
        Action::ForceClosed => breaker.force_closed(&target),
        // Without a circuit there is nothing to forget.
        Action::Reset => {
            breaker.reset(&target);
            true
        }
    };
    if !is_done {
        return (StatusCode::CONFLICT, "there are too many circuits already\n").into_response();
    }
    answer(&stack)
}

fn answer(stack: &Stack) -> Response {
    let circuits: Vec<Value> = list(stack).iter().map(describe).collect();
    page(&json!({ "circuits": circuits }))
}
