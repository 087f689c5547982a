//! `[[providers]]`: where they are, what they are sent, and the client that does it.

use std::{collections::BTreeSet, time::Duration};

use http::Version;
use serde_json::Value;

use crate::{
    harness::Answer,
    matrix::Entry,
    scene::{Scene, kind},
};

/// A provider that serves every model and is reached in the clear, with more settings.
pub(crate) fn provider(more: &str) -> String {
    format!(
        "retry = false\n[[providers]]\nname = \"up\"\nmodels = [\"*\"]\nbase_url = \"http://{{upstream}}/v1\"\n\
         auth = \"none\"\n{more}\n"
    )
}

/// The same with keys.
fn keyed(keys: &str) -> String {
    named("up", keys)
}

/// The same under a name that may be known.
fn named(name: &str, more: &str) -> String {
    format!(
        "retry = false\n[[providers]]\nname = \"{name}\"\nmodels = [\"*\"]\nbase_url = \"http://{{upstream}}/v1\"\n{more}\n"
    )
}

/// The same with settings of its client.
fn client(settings: &str) -> String {
    provider(&format!("[providers.client]\n{settings}"))
}

pub(crate) fn entries() -> Vec<Entry> {
    [who_it_is(), what_it_is_sent(), keys(), the_client()].into_iter().flatten().collect()
}

async fn status(scene: Scene) -> String {
    kind(&scene.ask("m").await)
}

/// What the provider was sent in a header.
async fn header(scene: Scene, name: &str) -> String {
    scene.ask("m").await;
    scene.upstream.only().header(name).to_owned()
}

fn who_it_is() -> Vec<Entry> {
    let name = |scene: Scene| async move { scene.ask("m").await.header("x-llm-target").unwrap_or("-").to_owned() };
    let sensitive = |scene: Scene| async move {
        kind(&scene.ask_with("m", Value::Null, &[("x-llm-sensitivity", "sensitive")]).await)
    };
    vec![
        Entry::new("providers[].name", provider(""), name).instead("'other'").shows("up/m"),
        Entry::new("providers[].models", provider(""), status).instead("['n']").shows("200"),
        Entry::new("providers[].local", provider("local = true"), sensitive).shows("200"),
        Entry::new(
            "providers[].tags",
            provider("tags = [\"eu\"]\n[[router.rules]]\nwhen = { model = \"m\" }\nrequire_tags = [\"eu\"]"),
            status,
        )
        .shows("200"),
    ]
}

fn what_it_is_sent() -> Vec<Entry> {
    let path = |scene: Scene| async move {
        let status = kind(&scene.ask("m").await);
        format!("{status} {}", scene.upstream.only().path)
    };
    // Written from its types, since it came in another dialect.
    let limit = |scene: Scene| async move {
        let status = kind(&scene.ask_as_anthropic("m").await);
        let sent: Value = serde_json::from_str(&scene.upstream.only().body).unwrap();
        format!("{status} {}", sent["max_tokens"])
    };
    let report = |scene: Scene| async move {
        let status = kind(&scene.ask("m").await);
        let sent: Value = serde_json::from_str(&scene.upstream.only().body).unwrap();
        format!("{status} {}", sent["stream_options"])
    };
    vec![
        Entry::new("providers[].dialect", provider("dialect = \"anthropic\""), path).shows("200 /v1/messages"),
        Entry::new("providers[].dialect", named("anthropic", "dialect = \"openai\"\nauth = \"none\""), path)
            .shows("200 /v1/chat/completions"),
        Entry::new("providers[].variant", provider("variant = \"mistral\""), limit).shows("200 50"),
        Entry::new("providers[].base_url", provider(""), path)
            .instead("'http://{upstream}/elsewhere'")
            .shows("200 /v1/chat/completions"),
        Entry::new("providers[].headers.*", provider("headers = { x-team = \"blue\" }"), |scene| {
            header(scene, "x-team")
        })
        .shows("blue"),
        Entry::new("providers[].include_usage", provider("include_usage = false"), report)
            .not_whole("a whole answer reports its usage unasked")
            .stream("200 null"),
        Entry::new("providers[].max_answer_bytes", provider("max_answer_bytes = 100"), status)
            .whole("undecodable")
            .not_stream("a stream is handed on frame by frame, and never held as a whole"),
    ]
}

fn keys() -> Vec<Entry> {
    let sent = |scene| header(scene, "authorization");
    vec![
        Entry::new("providers[].keys[].key", keyed("keys = [{ key = \"sk-stated\" }]"), sent)
            .instead("'sk-other'")
            .shows("Bearer sk-stated"),
        Entry::new("providers[].keys[].key_env", keyed("keys = [{ key_env = \"GATEWAY_TEST_KEY\" }]"), sent)
            .shows("Bearer sk-of-environment"),
        Entry::new("providers[].keys[].key_file", keyed("keys = [{ key_file = \"{files}/upstream.key\" }]"), sent)
            .shows("Bearer sk-of-file"),
        Entry::new(
            "providers[].keys[].name",
            keyed(
                "keys = [{ key = \"sk-1\", name = \"one\" }, { key = \"sk-2\", name = \"two\" }]\n\
                 [router.routes.m]\ntargets = \"up/m#one\"",
            ),
            sent,
        )
        .shows("Bearer sk-1"),
        Entry::new("providers[].auth", keyed("auth = \"none\""), sent).shows("-"),
        Entry::new("providers[].auth", named("anthropic", "auth = \"bearer\"\nkeys = [{ key = \"sk-stated\" }]"), sent)
            .shows("Bearer sk-stated"),
        Entry::new(
            "providers[].auth.header",
            keyed("auth = { header = \"api-key\" }\nkeys = [{ key = \"sk-stated\" }]"),
            |scene| header(scene, "api-key"),
        )
        .instead("'x-other'")
        .shows("sk-stated"),
    ]
}

/// Two calls at a time, to a provider that holds its answers back: over how many connections they come, and how many of them,
/// while calls of others are served by another client.
async fn two_at_a_time(scene: Scene) -> String {
    let call = |scene: &Scene| {
        let request = scene.chat("held", Value::Null, &[]);
        let sending = scene.gateway.client().request(request);
        tokio::spawn(async move { Answer::read(sending.await.unwrap()).await.status.as_u16() })
    };
    let first = call(&scene);
    scene.upstream.has_got(1).await;
    let second = call(&scene);
    let is_held = |body: &str| body.contains("held");
    for _ in 0..400 {
        if scene.upstream.sent().iter().filter(|sent| is_held(&sent.body)).count() == 2 {
            break;
        }
        scene.ask("other/m").await;
    }
    let held: Vec<_> = scene.upstream.sent().into_iter().filter(|sent| is_held(&sent.body)).collect();
    let connections: BTreeSet<_> = held.iter().map(|sent| sent.connection).collect();
    scene.upstream.release();
    let statuses = (first.await.unwrap(), second.await.unwrap());
    format!("{} calls over {} connections, {statuses:?}", held.len(), connections.len())
}

fn the_client() -> Vec<Entry> {
    let other =
        "[[providers]]\nname = \"other\"\nmodels = [\"m\"]\nbase_url = \"http://{upstream}/v1\"\nauth = \"none\"\n";
    let version = |scene: Scene| async move {
        scene.ask("m").await;
        if scene.upstream.only().version == Version::HTTP_2 { "http2" } else { "http1" }.to_owned()
    };
    let silent = "retry = false\n[timeout]\nhead = \"1500ms\"\nwhole_answer = \"1500ms\"\n[[providers]]\nname = \"up\"\n\
                  models = [\"*\"]\nbase_url = \"https://{silent}/v1\"\nauth = \"none\"\n[providers.client]\n\
                  connect_timeout = \"50ms\"\n";
    let trusted = "retry = false\n[[providers]]\nname = \"up\"\nmodels = [\"*\"]\nbase_url = \"https://{tls}/v1\"\n\
                   auth = \"none\"\n[providers.client]\nca_file = \"{files}/ca.pem\"\nhttp_version = \"http1\"\n";
    let again = |scene: Scene| async move {
        for _ in 0..5 {
            scene.ask("m").await;
            // Longer than the one limit on idle connections, and shorter than the other.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if scene.upstream.connections() == 5 { "never the same" } else { "the same again" }.to_owned()
    };
    vec![
        Entry::new("providers[].client.connect_timeout", silent, status).shows("timeout_connect"),
        Entry::new("providers[].client.idle_timeout", client("idle_timeout = \"1ms\""), again).shows("never the same"),
        Entry::new("providers[].client.http_version", client("http_version = \"http2\""), version).shows("http2"),
        Entry::new("providers[].client.http_version", client("http_version = \"http1\""), version)
            .instead("'http2'")
            .shows("http1"),
        Entry::new("providers[].client.http_version", client("http_version = \"auto\""), version)
            .instead("'http2'")
            .shows("http1"),
        Entry::new(
            "providers[].client.max_streams_per_connection",
            client("http_version = \"http2\"\nmax_streams_per_connection = 1") + other,
            two_at_a_time,
        )
        .shows("2 calls over 2 connections, (200, 200)"),
        Entry::new(
            "providers[].client.max_connections",
            client("http_version = \"http2\"\nmax_streams_per_connection = 1\nmax_connections = 1") + other,
            two_at_a_time,
        )
        .shows("2 calls over 1 connections, (200, 200)"),
        Entry::new("providers[].client.ca_file", trusted, status).shows("200"),
    ]
}
