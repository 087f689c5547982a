//! `[[models]]`: what is known of models, by what follows from it.

use serde_json::{Value, json};

use crate::{
    matrix::Entry,
    providers::provider,
    scene::{Scene, kind},
    simulated::cost,
};

/// A provider of Anthropic's dialect whose answers cost a dollar for a thousand tokens of any kind, but for what more is stated
/// of its model.
fn model(more: &str) -> String {
    format!(
        "retry = false\n[server]\ncost_comment = true\n[[providers]]\nname = \"up\"\nmodels = [\"*\"]\n\
         base_url = \"http://{{upstream}}\"\nauth = \"none\"\ndialect = \"anthropic\"\n[[models]]\nname = \"m\"\n{more}\n"
    )
}

/// The same with prices.
fn priced(more: &str) -> String {
    let mut text = model(more);
    for name in ["input", "output"] {
        if !more.lines().any(|line| line.starts_with(&format!("{name} = "))) {
            text.push_str(&format!("{name} = 1000.0\n"));
        }
    }
    text
}

/// The same with other prices for what is long.
fn tiered(more: &str) -> String {
    let mut tier = more.to_owned();
    for (name, value) in [("above", "9999"), ("input", "1000.0"), ("output", "1000.0")] {
        if !more.contains(&format!("{name} = ")) || (name == "input" && more.contains("cache")) {
            tier.push_str(&format!(", {name} = {value}"));
        }
    }
    format!("{}\nlong_context = {{ {tier} }}\n", priced(""))
}

pub(crate) fn entries() -> Vec<Entry> {
    [prices(), facts(), capabilities()].into_iter().flatten().collect()
}

async fn price(scene: Scene) -> String {
    cost(&scene.ask("m").await)
}

/// How a chat fares that needs something.
async fn needing(scene: Scene, more: Value) -> String {
    needing_of(&scene, more).await
}

/// Of the answer 1,000 tokens are fresh, 2,000 read from a cache, 3,000 and 4,000 written to it, and 5,000 output.
fn prices() -> Vec<Entry> {
    let no_batch = "no call of the gateway's is part of a batch job: it is a fact for whoever asks the catalogue";
    vec![
        Entry::new("models[].input", priced("input = 2000.0"), price).instead("1000.0").shows("25.00"),
        Entry::new("models[].output", priced("output = 2000.0"), price).instead("1000.0").shows("20.00"),
        Entry::new("models[].cache_read", priced("cache_read = 2000.0"), price).shows("17.00"),
        Entry::new("models[].cache_write", priced("cache_write = 2000.0"), price).shows("22.00"),
        Entry::new("models[].cache_write_1h", priced("cache_write_1h = 2000.0"), price).shows("19.00"),
        Entry::new("models[].batch_input", priced("batch_input = 5.0\nbatch_output = 5.0"), price)
            .instead("6.0")
            .not_here(no_batch),
        Entry::new("models[].batch_output", priced("batch_input = 5.0\nbatch_output = 5.0"), price)
            .instead("6.0")
            .not_here(no_batch),
        Entry::new("models[].long_context.above", tiered("above = 9999, output = 2000.0"), price)
            .instead("10000")
            .shows("20.00"),
        Entry::new("models[].long_context.input", tiered("input = 2000.0"), price).instead("1000.0").shows("25.00"),
        Entry::new("models[].long_context.output", tiered("output = 2000.0"), price).instead("1000.0").shows("20.00"),
        Entry::new("models[].long_context.cache_read", tiered("cache_read = 2000.0"), price).shows("17.00"),
        Entry::new("models[].long_context.cache_write", tiered("cache_write = 2000.0"), price).shows("18.00"),
        Entry::new("models[].long_context.cache_write_1h", tiered("cache_write_1h = 2000.0"), price).shows("19.00"),
    ]
}

fn facts() -> Vec<Entry> {
    let status = |scene: Scene| async move { kind(&scene.ask("m").await) };
    let long = |scene: Scene| async move {
        let more = json!({ "messages": [{ "role": "user", "content": "a word ".repeat(50) }] });
        format!("{} after {}", needing_of(&scene, more).await, scene.upstream.sent().len())
    };
    let ceiling = |scene: Scene| async move {
        scene.ask("m").await;
        let sent: Value = serde_json::from_str(&scene.upstream.only().body).unwrap();
        sent["max_tokens"].to_string()
    };
    let cap = "[[budget.caps]]\nname = \"all\"\namounts = { usd = \"1000\", window = \"day\" }\n";
    let tagged = "[[router.rules]]\nwhen = { model = \"m\" }\nrequire_tags = [\"eu\"]\n";
    vec![
        Entry::new("models[].name", priced(""), price).instead("'n'").shows("15.00"),
        Entry::new("models[].provider", priced("provider = \"up\""), price).instead("'other'").shows("15.00"),
        Entry::new(
            "models[].aliases",
            priced("aliases = [\"m\"]").replace("\"m\"\naliases", "\"large\"\naliases"),
            price,
        )
        .shows("15.00"),
        Entry::new("models[].mode", model("mode = \"embedding\""), status).shows("invalid_request"),
        Entry::new("models[].mode", provider("[[models]]\nname = \"m\"\nmode = \"responses\""), vectors)
            .whole("invalid_request")
            .not_stream("vectors are never streamed, and conversations are its mode too"),
        Entry::new("models[].mode", model("mode = \"chat\""), status).instead("'embedding'").shows("200"),
        Entry::new("models[].context_window", model("context_window = 20"), long).shows("context_length after 0"),
        Entry::new("models[].max_output", priced("max_output = 77") + cap, ceiling).shows("77"),
        Entry::new("models[].tags", model("tags = [\"eu\"]") + tagged, status).shows("200"),
    ]
}

async fn needing_of(scene: &Scene, more: Value) -> String {
    kind(&scene.ask_with("m", more, &[]).await)
}

/// How a call for vectors fares, or a streamed chat.
async fn vectors(scene: Scene) -> String {
    if scene.is_stream {
        return kind(&scene.ask("m").await);
    }
    let body = json!({ "model": "m", "input": "Hello!" }).to_string();
    kind(&scene.gateway.post("/v1/embeddings", body).await)
}

fn capabilities() -> Vec<Entry> {
    let lacks = |what: &str| model(&format!("capabilities = {{ {what} = false }}"));
    let parts = |part: Value| json!({ "messages": [{ "role": "user", "content": [part] }] });
    let tool = json!({ "type": "function", "function": { "name": "f", "parameters": { "type": "object" } } });
    let tools = json!({ "tools": [tool] });
    let schema = json!({ "response_format": { "type": "json_schema",
        "json_schema": { "name": "s", "schema": { "type": "object" } } } });
    let picture = parts(json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,iVBORw0KGgo=" } }));
    let sound = parts(json!({ "type": "input_audio", "input_audio": { "data": "AAAA", "format": "wav" } }));
    let file = parts(
        json!({ "type": "file", "file": { "filename": "f.pdf", "file_data": "data:application/pdf;base64,AAAA" } }),
    );
    let refused = |option, what: &str, more: Value| {
        Entry::new(option, lacks(what), move |scene| needing(scene, more.clone())).shows("invalid_request")
    };
    vec![
        refused("models[].capabilities.chat", "chat", Value::Null),
        refused("models[].capabilities.tools", "tools", tools),
        refused("models[].capabilities.vision", "vision", picture),
        refused("models[].capabilities.audio", "audio", sound),
        refused("models[].capabilities.files", "files", file),
        refused("models[].capabilities.json_schema", "json_schema", schema),
        Entry::new(
            "models[].capabilities.embeddings",
            provider("[[models]]\nname = \"m\"\ncapabilities = { embeddings = false }"),
            vectors,
        )
        .whole("invalid_request")
        .not_stream("vectors are never streamed"),
        Entry::new(
            "models[].capabilities.reasoning",
            "retry = false\n[timeout]\nfirst_content = \"50ms\"\n[[simulated.models]]\nname = \"m\"\n\
             first_token = \"500ms\"\n[[models]]\nname = \"m\"\ncapabilities = { reasoning = true }\n",
            |scene: Scene| async move { kind(&scene.ask("m").await) },
        )
        .not_whole("models of all kinds have one limit on whole answers")
        .stream("200"),
        Entry::new("models[].capabilities.streaming", lacks("streaming"), |scene| needing(scene, Value::Null)).not_here(
            "any answer can be given whole or in pieces, so no call needs it: it is a fact for whoever asks the catalogue",
        ),
    ]
}
