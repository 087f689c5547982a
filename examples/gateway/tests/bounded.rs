//! What is kept about calls has a bound, whatever callers send.

#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod harness;

use futures_util::{StreamExt, stream};
use harness::{ADMIN, Answer, Gateway, doors::DOORS, provider};
use http::{HeaderName, HeaderValue, Method};
use llm_sim::{ModelConfig, Sim, SimConfig};
use serde_json::Value;

/// The shape of a document: its names and the lengths of its lists.
fn shape(value: &Value) -> String {
    match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| format!("{name}{{{}}}", shape(value))).collect(),
        Value::Array(items) => items.iter().map(|item| format!("[{}]", shape(item))).collect(),
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) => String::new(),
    }
}

/// Names of models, users, and whatever else could become a label somewhere, each another one.
#[tokio::test]
async fn ten_thousand_names_do_not_grow_what_operators_see() {
    let sim = Sim::try_from(SimConfig::new([ModelConfig::instant("m")])).unwrap();
    let server = sim.serve("127.0.0.1:0").await.unwrap();
    // Names that begin with `up-` go to the provider, which does not know them; all others are unknown here.
    let upstream = provider(&server.base_url()).replace("\"*\"", "\"up-*\"");
    let gateway = Gateway::start_quiet(&format!("{ADMIN}{upstream}")).await;
    let ask = async |number: usize| {
        let door = DOORS[number % DOORS.len()];
        let known = if number % 4 < 2 { "up-" } else { "" };
        let body = door.body(&format!("{known}canary-{number}"), &format!(r#""user":"canary-{number}""#));
        let mut request = gateway.request(Method::POST, &format!("{}?canary={number}", door.path), body);
        for name in ["user-agent", "x-request-id", "x-tenant", "x-user", "origin-canary"] {
            let value = HeaderValue::try_from(format!("canary-{number}")).unwrap();
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        assert_eq!(Answer::read(gateway.send(request).await).await.status, 404);
        if number.is_multiple_of(10) {
            let answer = gateway.get(&format!("/v1/models/canary-{number}")).await;
            assert_eq!(answer.status, 404);
        }
    };
    let round = async |numbers: std::ops::Range<usize>| {
        stream::iter(numbers).for_each_concurrent(16, ask).await;
        gateway.until_idle().await;
    };
    round(0..1_000).await;
    let (before, memory) = (gateway.status().await, gateway.memory());
    round(1_000..11_000).await;
    let (after, memory_after) = (gateway.status().await, gateway.memory());
    assert_eq!(shape(&after), shape(&before));
    assert!(!after.to_string().contains("canary"), "{after}");
    assert_eq!(after["calls"]["failed"], 11_000);
    // 10,000 names that each left half a kilobyte would show as five megabytes.
    assert!(memory_after < memory + 4_096, "{memory} KiB, then {memory_after} KiB");
}
