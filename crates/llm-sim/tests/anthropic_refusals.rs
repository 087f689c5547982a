//! What Anthropic refuses, and how.

#![allow(clippy::unwrap_used)]

mod raw;

use llm_sim::{Ended, ModelConfig, Sim, SimConfig, SimServer};
use raw::send;
use serde_json::{Value, json};

const MESSAGES: &str = "/v1/messages";
const COUNT: &str = "/v1/messages/count_tokens";
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

async fn serve() -> SimServer {
    let model = ModelConfig { context_window: 5_000, ..ModelConfig::instant("m") };
    Sim::try_from(SimConfig::new([model])).unwrap().serve("127.0.0.1:0").await.unwrap()
}

/// A question, with these fields besides or instead; a field that is null is left out.
fn question(more: &Value) -> String {
    let mut body = json!({ "model": "m", "max_tokens": 2000, "messages": [{ "role": "user", "content": "hi" }] });
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    fields.retain(|_, value| !value.is_null());
    body.to_string()
}

/// What there is against this question, or nothing.
async fn refusal(server: &SimServer, more: Value) -> Option<String> {
    let answer = send(server.addr(), "POST", MESSAGES, &[VERSION], &question(&more)).await;
    if answer.status() == 200 {
        return None;
    }
    let body = answer.json();
    assert_eq!(
        (answer.status(), &body["type"], &body["error"]["type"]),
        (400, &json!("error"), &json!("invalid_request_error")),
        "{more}"
    );
    assert_eq!(
        (answer.header("x-should-retry"), body["request_id"].as_str()),
        (Some("false"), answer.header("request-id"))
    );
    Some(body["error"]["message"].as_str().unwrap().to_owned())
}

async fn refuses(cases: impl IntoIterator<Item = (Value, &str)>) {
    let server = serve().await;
    for (more, words) in cases {
        let refusal = refusal(&server, more.clone()).await.unwrap_or_else(|| panic!("taken: {more}"));
        assert!(refusal.contains(words), "{more}: {refusal}");
    }
}

async fn takes(cases: impl IntoIterator<Item = Value>) {
    let server = serve().await;
    for more in cases {
        assert_eq!(refusal(&server, more.clone()).await, None, "{more}");
    }
}

fn turns<const N: usize>(turns: [(&str, Value); N]) -> Value {
    let turns = turns.map(|(role, content)| json!({ "role": role, "content": content }));
    json!({ "messages": turns.to_vec() })
}

fn call(id: &str) -> Value {
    json!({ "type": "tool_use", "id": id, "name": "look", "input": {} })
}

fn result(id: &str) -> Value {
    json!({ "type": "tool_result", "tool_use_id": id, "content": "" })
}

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn marked(count: usize) -> Value {
    json!(vec![json!({ "type": "text", "text": "x", "cache_control": { "type": "ephemeral" } }); count])
}

#[tokio::test]
async fn a_request_names_the_version_of_the_api() {
    let server = serve().await;
    for path in [MESSAGES, COUNT] {
        for headers in [&[][..], &[("anthropic-version", "2019-01-01")]] {
            let answer = send(server.addr(), "POST", path, headers, &question(&json!({}))).await;
            assert_eq!((answer.status(), &answer.json()["error"]["type"]), (400, &json!("invalid_request_error")));
            assert!(answer.text().contains("anthropic-version"));
        }
        // The newest is what Anthropic's own clients send.
        for version in ["2023-06-01", "2026-10-21"] {
            let answer =
                send(server.addr(), "POST", path, &[("anthropic-version", version)], &question(&json!({}))).await;
            assert_eq!(answer.status(), 200, "{path} {version}");
        }
    }
    assert!(server.log().iter().all(|call| call.ended == Some(Ended::Complete)));
}

#[tokio::test]
async fn what_is_not_there_is_refused_with_the_right_type() {
    let server = serve().await;
    let huge = "x".repeat((32 << 20) + 1);
    let cases = [
        ("POST", MESSAGES, "{", 400, "invalid_request_error"),
        ("POST", MESSAGES, &question(&json!({ "model": "x" })), 404, "not_found_error"),
        ("GET", MESSAGES, "", 405, "invalid_request_error"),
        ("GET", COUNT, "", 405, "invalid_request_error"),
        ("POST", "/v1/elsewhere", "", 404, "not_found_error"),
        ("POST", MESSAGES, &huge, 413, "request_too_large"),
    ];
    for (method, path, body, status, kind) in cases {
        let answer = send(server.addr(), method, path, &[VERSION], body).await;
        assert_eq!((answer.status(), &answer.json()["error"]["type"]), (status, &json!(kind)), "{method} {path}");
        assert_eq!(answer.json()["type"], "error");
    }
    let explode = [VERSION, ("x-sim-fault", "explode")];
    let answer = send(server.addr(), "POST", MESSAGES, &explode, &question(&json!({}))).await;
    assert!(answer.status() == 400 && answer.text().contains("no fault `explode`"));
}

#[tokio::test]
async fn a_prompt_beyond_the_window_is_refused_in_anthropics_words() {
    let long = turns([("user", json!("word ".repeat(6_000)))]);
    let refusal = refusal(&serve().await, long).await.unwrap();
    let (opening, rest) = refusal.split_once(": ").unwrap();
    assert!(opening == "prompt is too long" && rest.ends_with(" tokens > 5000 maximum"), "{refusal}");
}

#[tokio::test]
async fn fields_must_be_there_and_in_range() {
    refuses([
        (json!({ "max_tokens": null }), "max_tokens"),
        (json!({ "messages": null }), "messages"),
        (json!({ "messages": [] }), "messages"),
        (json!({ "temperature": 1.1 }), "temperature"),
        (json!({ "top_p": 1.5 }), "top_p"),
        (json!({ "output_config": { "effort": "minimal" } }), "`low`, `medium`"),
        (json!({ "thinking": { "type": "sometimes" } }), "thinking.type"),
        (json!({ "thinking": { "type": "enabled", "budget_tokens": 1023 } }), "at least 1024"),
        (json!({ "thinking": { "type": "enabled", "budget_tokens": 2000 } }), "greater than"),
    ])
    .await;
    takes([
        json!({ "temperature": 1, "top_p": 0.0 }),
        json!({ "thinking": { "type": "enabled", "budget_tokens": 1999 }, "output_config": { "effort": "high" } }),
    ])
    .await;
    let interleaved = [VERSION, ("anthropic-beta", "other, interleaved-thinking-2025-05-14")];
    let body = question(&json!({ "thinking": { "type": "enabled", "budget_tokens": 9000 } }));
    assert_eq!(send(serve().await.addr(), "POST", MESSAGES, &interleaved, &body).await.status(), 200);
}

#[tokio::test]
async fn turns_are_of_the_roles_that_there_are_and_not_empty() {
    refuses([
        (turns([("tool", json!("hi"))]), "user, assistant or system"),
        (turns([("developer", json!("hi"))]), "user, assistant or system"),
        (turns([("assistant", json!("hi"))]), "first message"),
        (turns([("user", json!(""))]), "non-empty"),
        (turns([("user", json!([text("hi"), text(" \n")]))]), "non-empty"),
        (turns([("user", json!([]))]), "non-empty"),
        (json!({ "system": [text("")] }), "non-empty"),
    ])
    .await;
    takes([
        turns([("user", json!("hi")), ("system", json!("Be brief.")), ("user", json!("hi"))]),
        turns([("user", json!("hi")), ("assistant", json!([]))]),
        turns([("user", json!("hi")), ("user", json!("there")), ("assistant", json!("Once"))]),
    ])
    .await;
}

#[tokio::test]
async fn every_call_of_a_tool_has_its_result_in_the_next_turn() {
    let (hi, calls) = (json!("hi"), json!([text("I look."), call("a"), call("b")]));
    let after = |turn: Value| turns([("user", hi.clone()), ("assistant", calls.clone()), ("user", turn)]);
    let picture = json!({ "type": "image", "source": { "type": "url", "url": "https://example.org/x.png" } });
    refuses([
        (after(json!([result("a")])), "without `tool_result` blocks immediately after: b"),
        (after(json!("never mind")), "immediately after: a"),
        (after(json!([text("first"), result("a"), result("b")])), "must come first"),
        (after(json!([result("a"), result("a"), result("b")])), "single result"),
        (after(json!([result("a"), result("b"), result("c")])), "unexpected `tool_use_id`"),
        (turns([("user", json!([result("a")]))]), "unexpected `tool_use_id`"),
        (turns([("user", hi.clone()), ("assistant", calls.clone())]), "without `tool_result`"),
        (turns([("user", hi.clone()), ("assistant", json!([call("a"), call("a")]))]), "unique"),
        (turns([("user", hi.clone()), ("assistant", json!([call("call:1")]))]), "pattern"),
        (turns([("user", json!([call("a")]))]), "only assistant turns"),
        (turns([("user", hi.clone()), ("assistant", json!([result("a")]))]), "unexpected"),
        (turns([("user", hi.clone()), ("assistant", json!([picture]))]), "only user turns"),
    ])
    .await;
    takes([
        after(json!([result("b"), result("a"), text("and now?")])),
        turns([
            ("user", hi.clone()),
            ("assistant", calls.clone()),
            ("user", json!([result("a")])),
            ("user", json!([result("b")])),
        ]),
    ])
    .await;
}

#[tokio::test]
async fn thinking_must_bear_the_models_own_signature() {
    let with = |block: Value| turns([("user", json!("hi")), ("assistant", json!([block])), ("user", json!("and?"))]);
    refuses([
        (with(json!({ "type": "thinking", "thinking": "hm" })), "signature"),
        (with(json!({ "type": "thinking", "thinking": "hm", "signature": "another provider's" })), "signature"),
        (
            turns([("user", json!([{ "type": "thinking", "thinking": "hm", "signature": "x" }]))]),
            "only assistant turns",
        ),
    ])
    .await;
    takes([with(json!({ "type": "redacted_thinking", "data": "sealed" }))]).await;
}

#[tokio::test]
async fn there_are_at_most_four_marks_for_the_prompt_cache() {
    let tool =
        json!({ "name": "look", "input_schema": { "type": "object" }, "cache_control": { "type": "ephemeral" } });
    let all = |messages: usize| {
        json!({ "tools": [tool], "system": marked(1), "cache_control": { "type": "ephemeral" },
            "messages": [{ "role": "user", "content": marked(messages) }] })
    };
    let inside = json!([{ "type": "tool_result", "tool_use_id": "a", "content": marked(5) }]);
    let inside = turns([("user", json!("hi")), ("assistant", json!([call("a")])), ("user", inside)]);
    let odd = json!([{ "type": "text", "text": "x", "cache_control": { "type": "ephemeral", "ttl": "2h" } }]);
    refuses([
        (all(2), "A maximum of 4 blocks with cache_control may be provided. Found 5."),
        (turns([("user", marked(5))]), "Found 5."),
        (inside, "Found 5."),
        (turns([("user", odd)]), "cache_control"),
    ])
    .await;
    takes([all(1), turns([("user", marked(4))])]).await;
}

#[tokio::test]
async fn a_count_is_as_strict_but_for_the_limit() {
    let server = serve().await;
    let ask = async |more: Value| send(server.addr(), "POST", COUNT, &[VERSION], &question(&more)).await.status();
    assert_eq!(ask(turns([("user", json!(""))])).await, 400);
    assert_eq!(ask(json!({ "max_tokens": null, "thinking": { "type": "enabled", "budget_tokens": 9000 } })).await, 200);
}

#[tokio::test]
async fn a_stream_that_is_refused_is_no_stream() {
    let server = serve().await;
    let body = question(&json!({ "stream": true, "temperature": 2 }));
    let answer = send(server.addr(), "POST", MESSAGES, &[VERSION], &body).await;
    assert_eq!((answer.status(), answer.header("content-type"), answer.tokens()), (400, Some("application/json"), 0));
}
