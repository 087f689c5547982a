//! The routes, for operators, who may shift them until the configuration is read again.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::StatusCode;
use llm_core::ConfigError;
use llm_router::{Route, RouteTarget};
use llm_stack::Stack;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::page;

/// `GET /routes`.
pub(crate) async fn show(State(stack): State<Stack>) -> Response {
    answer(&stack)
}

/// What an operator wants of a route: another weight for one of its targets, or other targets or another order.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Order {
    Weigh(Weigh),
    Rearrange(Rearrange),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Weigh {
    route: String,
    target: String,
    weight: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rearrange {
    route: String,
    targets: Vec<String>,
}

/// `POST /routes`: does what an operator wants of one route, and shows all of them as they are then.
pub(crate) async fn control(State(stack): State<Stack>, order: Bytes) -> Response {
    let Ok(order) = serde_json::from_slice(&order) else {
        let sentence = "that is no order: it names a `route` with a `target` and its `weight`, or with its `targets`\n";
        return (StatusCode::BAD_REQUEST, sentence).into_response();
    };
    let router = &stack.handles().router;
    let done = match order {
        Order::Weigh(Weigh { route, target, weight }) => router.set_weight(&route, &target, weight),
        Order::Rearrange(Rearrange { route, targets }) => {
            let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
            router.set_order(&route, &targets)
        }
    };
    match done {
        Ok(()) => answer(&stack),
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &ConfigError) -> Response {
    (StatusCode::CONFLICT, format!("{error}\n")).into_response()
}

fn answer(stack: &Stack) -> Response {
    let plan = stack.handles().router.plan();
    let routes: Vec<Value> = plan
        .routes()
        .map(|(name, route)| {
            let then: Vec<Value> = route.stand_ins().iter().map(targets).collect();
            json!({ "name": name, "targets": targets(route), "then": then })
        })
        .collect();
    page(&json!({ "routes": routes }))
}

fn targets(route: &Route) -> Value {
    let describe = |RouteTarget { name, weight }| json!({ "target": name, "weight": weight });
    route.entries().map(describe).collect()
}
