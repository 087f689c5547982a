//! The tables of the layers: each reaches the running gateway. What their options do is proven where the layers are.

use serde_json::{Value, json};

use crate::{
    matrix::Entry,
    providers::provider,
    scene::{Scene, kind, with_header},
};

pub(crate) fn entries() -> Vec<Entry> {
    let served = |scene: Scene| async move { with_header(&scene.ask("down").await, "x-llm-served") };
    let twice = |scene: Scene| async move { scene.statuses("m", 2).await };
    let tries = |scene: Scene| async move {
        scene.ask("down").await;
        format!("{} tries", scene.upstream.sent().len())
    };
    let target = |scene: Scene| async move { scene.ask("m").await.header("x-llm-target").unwrap_or("-").to_owned() };
    let secret = |scene: Scene| async move {
        let more = json!({ "messages": [{ "role": "user", "content": "Write to ann@example.com." }] });
        kind(&scene.ask_with("m", more, &[]).await)
    };
    let asked_again = |scene: Scene| async move {
        let cold = json!({ "temperature": 0 });
        scene.ask_with("m", cold.clone(), &[]).await;
        with_header(&scene.ask_with("m", cold, &[]).await, "x-llm-cache")
    };
    let marks = |scene: Scene| async move {
        let long =
            json!([{ "role": "system", "content": "a word ".repeat(3_000) }, { "role": "user", "content": "Hi" }]);
        scene.ask_with("m", json!({ "messages": long }), &[]).await;
        format!("{} marks", scene.upstream.only().body.matches("cache_control").count())
    };
    let kept_open = |scene: Scene| async move {
        let mut kinds = Vec::new();
        while kinds.len() < 3 {
            kinds.push(kind(&scene.ask("down").await));
        }
        kinds.join(" ")
    };
    let anthropic = "retry = false\n[[providers]]\nname = \"up\"\nmodels = [\"*\"]\nbase_url = \"http://{upstream}\"\n\
                     auth = \"none\"\ndialect = \"anthropic\"\n[prompt_cache]\nleast_tokens = 1024\n";
    let two = "[[simulated.models]]\nname = \"m\"\n[[simulated.models]]\nname = \"n\"\n";
    let price = "[[models]]\nname = \"m\"\ninput = 1000.0\noutput = 1000.0\n";
    let again = provider("").replace("retry = false\n", "");
    vec![
        Entry::new("classify", provider("[classify]\ndetect = [\"email\"]"), secret).shows("no_route"),
        Entry::new("fallback", provider("[fallback]\nmessage = \"Away.\""), served).shows("200 degraded"),
        Entry::new("limit", provider("[[limit.rules]]\nname = \"all\"\nrequests_per_minute = 1"), twice)
            .shows("200 429"),
        Entry::new("cache", provider("[cache]\nttl = \"1h\""), asked_again).shows("200 hit"),
        Entry::new("router", format!("[[router.rules]]\nuse = \"n\"\nwhen = {{ model = \"m\" }}\n{two}"), target)
            .shows("simulated/n"),
        Entry::new("prompt_cache", anthropic, marks).shows("2 marks"),
        Entry::new("hedge", again.clone() + "[hedge]\nfixed = \"20ms\"\npercent = 100\n", second_attempt).shows("2 attempts"),
        Entry::new("retry", again.clone() + "[retry]\nbase = \"1ms\"\nthrottled_base = \"1ms\"\nmost_retries = 1\n", tries)
            .shows("2 tries"),
        Entry::new(
            "budget",
            provider("[[budget.caps]]\nname = \"all\"\namounts = { usd = \"0\", window = \"day\" }") + price,
            twice,
        )
        .shows("402 402"),
        Entry::new(
            "breaker",
            provider("[breaker]\ntrip = { rule = \"consecutive\", failures = 1 }"),
            kept_open,
        )
        .shows("overloaded circuit_open circuit_open"),
        Entry::new(
            "timeout",
            "retry = false\n[timeout]\nfirst_content = \"50ms\"\nwhole_answer = \"50ms\"\n[[simulated.models]]\nname = \"m\"\n\
             first_token = \"700ms\"\n",
            |scene: Scene| async move { kind(&scene.ask("m").await) },
        )
        .whole("timeout_total")
        .stream("timeout_first_content"),
    ]
}

/// How many attempts there are at a call that is not answered, while others are.
async fn second_attempt(scene: Scene) -> String {
    let call = tokio::spawn(scene.gateway.client().request(scene.chat("held", Value::Null, &[])));
    scene.upstream.has_got(1).await;
    let attempts = || scene.upstream.sent().iter().filter(|sent| sent.body.contains("held")).count();
    for _ in 0..400 {
        if attempts() > 1 {
            break;
        }
        scene.ask("m").await;
    }
    let attempts = attempts();
    scene.upstream.release();
    call.await.unwrap().unwrap();
    format!("{attempts} attempts")
}
