//! A provider that is down costs what it takes to see that, and probes; and is back as soon as it is up.

#![allow(clippy::unwrap_used)]

mod harness;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use harness::{ADMIN, ADMIN_KEY, Answer, Gateway, chat, origin::Origin};
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// A provider that can be switched off, and a gateway before it.
struct Setting {
    gateway: Gateway,
    origin: Origin,
    is_down: Arc<AtomicBool>,
}

impl Setting {
    async fn new(layers: &str) -> Self {
        let is_down = Arc::new(AtomicBool::new(false));
        let decides = Arc::clone(&is_down);
        let origin = Origin::deciding(move || {
            let (status, body) = if decides.load(Relaxed) {
                ("500 Internal Server Error", r#"{"error":{"message":"down","type":"server_error"}}"#)
            } else {
                let answer = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"up"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
                ("200 OK", answer)
            };
            Origin::answer(status, "content-type: application/json\r\n", body)
        })
        .await;
        let config = format!(
            "{layers}\n{ADMIN}[[providers]]\nname = \"vllm\"\nbase_url = \"{}\"\nauth = \"none\"\nmodels = [\"m\", \"n\", \"p-*\"]\n",
            origin.base_url()
        );
        Self { gateway: Gateway::start_quiet(&config).await, origin, is_down }
    }

    async fn call(&self, model: &str) -> Answer {
        self.gateway.post("/v1/chat/completions", chat(model, false)).await
    }

    fn upstream_calls(&self) -> usize {
        self.origin.seen().len()
    }

    /// What operators are told when they ask, or order something.
    async fn circuits(&self, order: Option<Value>) -> (StatusCode, Value) {
        let (method, body) = order.map_or((Method::GET, String::new()), |order| (Method::POST, order.to_string()));
        let mut request = self.gateway.request(method, "/", body);
        *request.uri_mut() = self.gateway.admin_url().await.replace("/status", "/circuits").parse().unwrap();
        request.headers_mut().insert("x-api-key", ADMIN_KEY.parse().unwrap());
        let answer = Answer::read(self.gateway.send(request).await).await;
        let circuits = if answer.status == StatusCode::OK { answer.json()["circuits"].clone() } else { Value::Null };
        (answer.status, circuits)
    }

    /// The state of a model's circuit.
    async fn state(&self, model: &str) -> String {
        let (_, circuits) = self.circuits(None).await;
        let of_model = circuits.as_array().unwrap().iter().find(|circuit| circuit["model"] == model).unwrap();
        of_model["state"].as_str().unwrap().to_owned()
    }
}

/// The shortest time for which a circuit of these tests is open: 200 ms, less a fifth.
const SHORTEST_OPEN: Duration = Duration::from_millis(160);

#[tokio::test]
async fn an_outage_under_load_costs_the_trip_and_then_probes_only() {
    let setting = Setting::new("retry = false\n[breaker]\nopen_for = \"200ms\"\nopen_at_most = \"200ms\"\n").await;
    for _ in 0..20 {
        assert_eq!(setting.call("m").await.content(), "up");
    }
    assert!(setting.gateway.get("/readyz").await.text().contains("2 closed"), "of two models");

    let before = setting.upstream_calls();
    setting.is_down.store(true, Relaxed);
    let mut rejected = 0;
    let begun = Instant::now();
    // Until there were several probes, whether the machine is fast or stands still for a while.
    while setting.upstream_calls() - before < 8 + 3 || rejected < 100 {
        let answer = setting.call("m").await;
        match answer.header("x-llm-error-kind").unwrap() {
            "server" => assert_eq!(answer.status, StatusCode::BAD_GATEWAY),
            "circuit_open" => {
                rejected += 1;
                assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
                assert_eq!(answer.header("x-llm-error-origin"), Some("gateway"));
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
    let cost = setting.upstream_calls() - before;
    // Between any two of the opening and the probes the circuit was open.
    let probes = (begun.elapsed().as_millis() / SHORTEST_OPEN.as_millis()) as usize;
    assert!(cost <= 8 + probes, "{cost} calls reached it, for at most {probes} probes");
    assert!(setting.gateway.get("/readyz").await.text().starts_with("ready\n"), "the gateway itself is well");
    assert_eq!(setting.state("n").await, "closed", "another model's circuit is another");

    setting.is_down.store(false, Relaxed);
    let before = setting.upstream_calls();
    // Whoever is refused now, and comes back when it is told to, is served: the first call that is let through succeeds.
    // Without a wait it was just being tried, and is back.
    let told = setting.call("m").await.header("retry-after-ms").map(str::to_owned);
    let wait = told.map_or(0, |wait| wait.parse::<u64>().unwrap());
    assert!(wait <= 240, "no longer than a circuit is open: {wait} ms");
    tokio::time::sleep(Duration::from_millis(wait)).await;
    assert_eq!(setting.call("m").await.content(), "up");
    assert!(setting.upstream_calls() - before <= 2, "nothing was lost on the way");
    assert_eq!(setting.state("m").await, "closed");
}

#[tokio::test]
async fn a_retry_hides_a_failure_from_the_caller_and_the_allowance_bounds_it() {
    let setting = Setting::new("breaker = false\n[server]\nattempts = 2\n[retry]\nbase = \"1ms\"\n").await;
    setting.is_down.store(true, Relaxed);
    let answer = setting.call("m").await;
    assert_eq!((answer.status, setting.upstream_calls()), (StatusCode::BAD_GATEWAY, 2));
    assert_eq!(answer.header("x-should-retry"), Some("false"), "the client need not try again");
    let measures = &setting.gateway.status().await["measures"];
    assert_eq!(measures["llm.retry.decisions{decision=retried}"], 1.0);
    assert_eq!(measures["llm.retry.decisions{decision=allowance_spent}"], 1.0);
}

#[tokio::test]
async fn operators_force_circuits_and_leave_them_to_themselves_again() {
    let setting = Setting::new("retry = false\n").await;
    let order = |action: &str| Some(json!({ "provider": "vllm", "model": "m", "action": action }));
    let (status, circuits) = setting.circuits(order("force_open")).await;
    assert_eq!((status, &circuits[0]["state"]), (StatusCode::OK, &json!("forced_open")));
    assert_eq!(setting.call("m").await.header("x-llm-error-kind"), Some("circuit_open"));
    assert_eq!(setting.call("n").await.content(), "up");
    assert_eq!(setting.upstream_calls(), 1);
    assert_eq!(setting.circuits(order("reset")).await.0, StatusCode::OK);
    assert_eq!(setting.call("m").await.content(), "up");

    let of_all = Some(json!({ "provider": "vllm", "action": "force_open" }));
    assert_eq!(setting.circuits(of_all).await.0, StatusCode::OK);
    for model in ["m", "n"] {
        assert_eq!(setting.call(model).await.header("x-llm-error-kind"), Some("circuit_open"), "{model}");
    }
    let (_, before) = setting.circuits(None).await;
    for (order, status) in [
        (json!({ "provider": "vllm", "model": "typo", "action": "force_open" }), 404),
        (json!({ "provider": "vllm", "model": "", "action": "force_open" }), 404),
        (json!({ "provider": "vllm", "model": "m", "key": "typo", "action": "force_open" }), 404),
        (json!({ "provider": "vllm", "model": "p-1", "action": "force_open" }), 404),
        (json!({ "provider": "nobody", "model": "m", "action": "reset" }), 404),
        (json!({ "provider": "vllm", "model": "m", "action": "explode" }), 400),
        (json!({ "provider": "vllm", "model": "m" }), 400),
        (json!({ "provider": "vllm", "model": "m", "action": "reset", "for": "1h" }), 400),
    ] {
        assert_eq!(setting.circuits(Some(order.clone())).await.0, status, "{order}");
    }
    assert_eq!(setting.circuits(None).await.1, before, "what is refused leaves nothing behind");
    let of_key = Some(json!({ "provider": "vllm", "model": null, "action": "reset" }));
    assert_eq!(setting.circuits(of_key).await.0, StatusCode::OK, "as the list writes it");
    let of_pattern = Some(json!({ "provider": "vllm", "model": "p-*", "action": "force_open" }));
    assert_eq!(setting.circuits(of_pattern).await.0, StatusCode::OK);
    assert_eq!(setting.call("p-1").await.header("x-llm-error-kind"), Some("circuit_open"));
}
