//! `[[keys]]` and `[admin]`: who may call, and who may look.

use http::{Method, Request};
use serde_json::Value;

use crate::{
    harness::{ADMIN, ADMIN_KEY, Answer},
    matrix::Entry,
    scene::{Scene, kind},
    server::QUICK,
};

/// Two keys, and what `printf %s first-key | sha256sum` prints of each.
const FIRST: &str = "first-key";
const SECOND: &str = "second-key";
const SHA256_OF_FIRST: &str = "9e24b55356ef2a121ab5fd1a3ee8a3c9191e837f3853e399a369e9044ff183f7";
const SHA256_OF_SECOND: &str = "f397f260a275cc4d42e7965c556167bf3f068aed491d35a8f5b38c8c2db96bb0";

/// Two simulated models.
const MODELS: &str = "[[simulated.models]]\nname = \"m\"\nfirst_token = \"1ms\"\ntokens_per_second = 10000.0\n\
                      [[simulated.models]]\nname = \"n\"\nfirst_token = \"1ms\"\ntokens_per_second = 10000.0\n";

pub(crate) fn entries() -> Vec<Entry> {
    [of_callers(), of_operators()].into_iter().flatten().collect()
}

/// A configuration with these settings for the first key, and others behind it.
fn keys(first: &str, rest: &str) -> String {
    format!(
        "[[keys]]\nsha256 = \"{SHA256_OF_FIRST}\"\n{first}\n[[keys]]\nsha256 = \"{SHA256_OF_SECOND}\"\nname = \"other\"\n\
         tenant = \"acme\"\n{rest}{MODELS}"
    )
}

async fn ask(scene: &Scene, key: &str, model: &str) -> Answer {
    scene.ask_with(model, Value::Null, &[("authorization", &format!("Bearer {key}"))]).await
}

/// Which model answers.
async fn target(scene: Scene) -> String {
    ask(&scene, FIRST, "m").await.header("x-llm-target").unwrap_or("-").to_owned()
}

/// How a second call fares, after one with the other key or the same.
async fn after_another(scene: Scene, another: &str) -> String {
    let first = kind(&ask(&scene, another, "m").await);
    format!("{first} {}", kind(&ask(&scene, FIRST, "m").await))
}

fn of_callers() -> Vec<Entry> {
    let rule = |of: &str| format!("[[limit.rules]]\nname = \"r\"\nrequests_per_minute = 1\n{of}\n");
    let routed = |when: &str| format!("[[router.rules]]\nuse = \"n\"\nwhen = {{ {when} }}\n");
    let with_first = |scene: Scene| async move { kind(&ask(&scene, FIRST, "m").await) };
    vec![
        Entry::new("keys[].sha256", keys("tenant = \"acme\"", ""), with_first)
            .instead("'2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae'")
            .shows("200"),
        Entry::new("keys[].name", keys("tenant = \"acme\"\nname = \"ci\"", &rule("keys = \"ci\"")), |scene| {
            after_another(scene, FIRST)
        })
        .shows("200 limit_exceeded"),
        Entry::new("keys[].tenant", keys("tenant = \"acme\"", &rule("per = \"tenant\"")), |scene| {
            after_another(scene, SECOND)
        })
        .instead("'zeta'")
        .shows("200 limit_exceeded"),
        Entry::new("keys[].user", keys("tenant = \"acme\"\nuser = \"ann\"", &routed("user = \"ann\"")), target)
            .shows("simulated/n"),
        Entry::new(
            "keys[].workflow",
            keys("tenant = \"acme\"\nworkflow = \"support\"", &routed("workflow = \"support\"")),
            target,
        )
        .shows("simulated/n"),
        Entry::new("keys[].models", keys("tenant = \"acme\"\nmodels = [\"n\"]", ""), with_first).shows("forbidden"),
        Entry::new(
            "keys[].sensitive",
            keys("tenant = \"acme\"\nsensitive = true", &routed("sensitivity = \"sensitive\"")),
            target,
        )
        .shows("simulated/n"),
    ]
}

/// What an operator is shown who addresses the listener by this name.
async fn look(scene: &Scene, host: &str) -> String {
    let url = scene.gateway.admin_url().await;
    let request = Request::builder().method(Method::GET).uri(url).header("host", host);
    let request = request.header("x-api-key", ADMIN_KEY).body(Default::default()).unwrap();
    Answer::read(scene.gateway.send(request).await).await.status.as_str().to_owned()
}

/// The same after a call, which is on the page.
async fn calls(scene: Scene) -> String {
    scene.ask("m").await;
    let status = look(&scene, "localhost").await;
    format!("{status}, {} complete", scene.gateway.status().await["calls"]["complete"])
}

fn of_operators() -> Vec<Entry> {
    let listen = |scene: Scene| async move {
        let url = scene.gateway.admin_url().await;
        let host = url.strip_prefix("http://").unwrap().split(':').next().unwrap().to_owned();
        format!("{host} {}", look(&scene, "localhost").await)
    };
    vec![
        Entry::new(
            "admin.listen",
            format!("[admin]\nlisten = \"127.0.0.2:0\"\nkey_env = \"GATEWAY_TEST_ADMIN_KEY\"\n{QUICK}"),
            listen,
        )
        .instead("'127.0.0.1:0'")
        .shows("127.0.0.2 200"),
        Entry::new("admin.key_env", format!("{ADMIN}{QUICK}"), calls).shows("200, 1 complete"),
        Entry::new(
            "admin.key_file",
            format!("[admin]\nlisten = \"127.0.0.1:0\"\nkey_file = \"{{files}}/admin.key\"\n{QUICK}"),
            calls,
        )
        .shows("200, 1 complete"),
        Entry::new("admin.hosts", format!("{ADMIN}hosts = [\"gateway.test\"]\n{QUICK}"), |scene: Scene| async move {
            look(&scene, "gateway.test").await
        })
        .shows("200"),
    ]
}
