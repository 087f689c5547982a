//! `[simulated]`: models within the process.

use serde_json::{Value, json};

use crate::{
    harness::Answer,
    matrix::Entry,
    scene::{Scene, kind},
};

/// A simulated model with more settings, and before it tables of others.
fn model(before: &str, more: &str) -> String {
    let mut text = format!("retry = false\nbreaker = false\n{before}\n[[simulated.models]]\nname = \"m\"\n{more}\n");
    for (name, value) in [("first_token", "\"1ms\""), ("tokens_per_second", "10000.0")] {
        if !more.contains(name) {
            text.push_str(&format!("{name} = {value}\n"));
        }
    }
    text
}

pub(crate) fn entries() -> Vec<Entry> {
    [the_provider(), pace(), answers(), faults()].into_iter().flatten().collect()
}

async fn status(scene: Scene) -> String {
    kind(&scene.ask("m").await)
}

/// The text of an answer, and how many tokens it is said to have.
async fn told(scene: &Scene, model: &str) -> (String, String) {
    let more = json!({ "stream_options": { "include_usage": true } });
    let answer = scene.ask_with(model, if scene.is_stream { more } else { Value::Null }, &[]).await;
    let text = answer.text();
    let tokens = text.split("\"completion_tokens\":").nth(1).unwrap_or("-").split([',', '}']).next().unwrap();
    let mut words = String::new();
    for piece in text.split("\"content\":\"").skip(1) {
        words.push_str(piece.split('"').next().unwrap());
    }
    (words, tokens.to_owned())
}

async fn words(scene: Scene) -> String {
    told(&scene, "m").await.0
}

async fn tokens(scene: Scene) -> String {
    told(&scene, "m").await.1
}

/// What a call cost, in its header or at the end of its stream.
pub(crate) fn cost(answer: &Answer) -> String {
    let text = answer.text();
    let in_stream = text.split("\n: llm-cost-usd ").nth(1).and_then(|rest| rest.lines().next());
    answer.header("x-llm-cost-usd").or(in_stream).unwrap_or("-").to_owned()
}

async fn price(scene: Scene) -> String {
    cost(&scene.ask("m").await)
}

fn the_provider() -> Vec<Entry> {
    let keys = model("[[simulated.keys]]\nname = \"a\"\nsecret = \"s\"", "");
    let no_keys = "refused: simulated.keys: nothing asks for them here: the keys of callers are [[keys]]";
    vec![
        Entry::new("simulated.seed", model("[simulated]\nseed = 7", "output_tokens = 12"), words)
            .shows("Simulated answer by m: Put plainly, a small change holds up and."),
        Entry::new("simulated.log_capacity", model("[simulated]\nlog_capacity = 1", ""), status)
            .shows("refused: simulated.log_capacity: nobody can read its log here"),
        Entry::new("simulated.log_bytes", model("[simulated]\nlog_bytes = 1", ""), status)
            .shows("refused: simulated.log_bytes: nobody can read its log here"),
        Entry::new("simulated.keys[].name", keys.clone(), status).shows(no_keys),
        Entry::new("simulated.keys[].secret", keys, status).shows(no_keys),
        Entry::new("simulated.models[].name", model("", ""), status).instead("'n'").shows("200"),
    ]
}

fn pace() -> Vec<Entry> {
    let patience = "[timeout]\nfirst_content = \"2s\"\nidle = \"2s\"\nwhole_answer = \"2s\"";
    vec![
        Entry::new("simulated.models[].first_token", model(patience, "first_token = \"10m\""), status)
            .whole("timeout_total")
            .stream("timeout_first_content"),
        Entry::new(
            "simulated.models[].tokens_per_second",
            model(patience, "tokens_per_second = 0.01\noutput_tokens = 3"),
            |scene: Scene| async move {
                let answer = scene.ask("m").await;
                format!("{} {}", kind(&answer), if answer.text().contains("\"error\"") { "cut" } else { "well" })
            },
        )
        .whole("timeout_total cut")
        .stream("200 cut"),
    ]
}

fn answers() -> Vec<Entry> {
    let long = |scene: Scene| async move {
        let more = json!({ "messages": [{ "role": "user", "content": "a word ".repeat(50) }] });
        kind(&scene.ask_with("m", more, &[]).await)
    };
    let picture = |scene: Scene| async move {
        let url = "data:image/png;base64,iVBORw0KGgo=";
        let parts = json!([{ "type": "image_url", "image_url": { "url": url } }]);
        kind(&scene.ask_with("m", json!({ "messages": [{ "role": "user", "content": parts }] }), &[]).await)
    };
    let twice = |scene: Scene| async move { scene.statuses("m", 2).await };
    let told = "[server]\ncost_comment = true";
    vec![
        Entry::new("simulated.models[].input", model(told, "input = 100.0\noutput = 0.0"), price)
            .instead("200.0")
            .shows("0.0009"),
        Entry::new("simulated.models[].output", model(told, "input = 0.0\noutput = 100.0\noutput_tokens = 5"), price)
            .instead("200.0")
            .shows("0.0005"),
        Entry::new("simulated.models[].output_tokens", model("", "output_tokens = 7"), tokens).shows("7"),
        Entry::new("simulated.models[].output_spread", model("", "output_tokens = 7\noutput_spread = 2.0"), tokens)
            .shows("8"),
        Entry::new("simulated.models[].context_window", model("", "context_window = 40"), long).shows("context_length"),
        Entry::new("simulated.models[].capabilities", model("", "capabilities = [\"vision\"]"), picture).shows("200"),
        Entry::new("simulated.models[].dimensions", model("", "dimensions = 4"), status).shows("invalid_request"),
        Entry::new("simulated.models[].requests_per_minute", model("", "requests_per_minute = 1"), twice)
            .shows("200 429"),
        Entry::new("simulated.models[].tokens_per_minute", model("", "tokens_per_minute = 10"), twice).shows("200 429"),
    ]
}

fn faults() -> Vec<Entry> {
    let fault = |when: &str| model("", &format!("faults = [{{ fault = \"status 503\"{when} }}]"));
    let four = |scene: Scene| async move { scene.statuses("m", 4).await };
    vec![
        Entry::new("simulated.models[].faults[].fault", fault(""), four)
            .instead("'status 400'")
            .shows("503 503 503 503"),
        Entry::new("simulated.models[].faults[].every", fault(", every = 2"), four).shows("200 503 200 503"),
        Entry::new("simulated.models[].faults[].share", fault(", share = 0.5"), four).shows("200 503 200 200"),
        Entry::new("simulated.models[].faults[].calls", fault(", calls = \"2..=3\""), four).shows("200 503 503 200"),
        Entry::new("simulated.models[].faults[].key", fault(", key = \"a\""), four)
            .shows("refused: simulated.models[0].faults[0].key: no key is used here, so it would never apply"),
    ]
}
