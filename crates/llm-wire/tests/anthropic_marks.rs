//! Marks for the prompt cache that a layer asks for.

#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use llm_core::{CacheTtl, LlmRequest};
use llm_wire::{EncodeOptions, anthropic, openai};
use serde_json::{Value, json};

/// The bytes that go out for what came in.
fn sent(body: &str, ttl: Option<CacheTtl>) -> String {
    let request = anthropic::decode_messages(Bytes::from(body.to_owned())).unwrap();
    encoded(request, ttl)
}

fn encoded(mut request: LlmRequest, ttl: Option<CacheTtl>) -> String {
    if let Some(ttl) = ttl {
        request.context_mut().set_prompt_cache(ttl);
    }
    let body = anthropic::encode_request(&request, &EncodeOptions::new("m")).unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

fn marked(body: &str) -> String {
    sent(body, Some(CacheTtl::FiveMinutes))
}

const MARK: &str = r#""cache_control":{"type":"ephemeral"},"#;

#[test]
fn the_callers_bytes_get_four_marks_and_nothing_else_changes() {
    let body = r#"{ "model":"m", "max_tokens":9, "x_odd": 1e0,
        "tools":[{"name":"a","input_schema":{"type":"object"}}, {"name":"b","input_schema":{"type":"object"}} ],
        "system":[{"type":"text","text":"Be brief."},{"type":"text","text":"Be kind."}],
        "messages":[{"role":"user","content":[{"type":"text","text":"1"}]},
            {"role":"assistant","content":[{"type":"text","text":"2"}]},
            {"role":"user","content":[{"type":"text","text":"3"}, {"type":"text","text":"4"}]}]}"#;
    let out = marked(body);
    assert_eq!(out.matches(MARK).count(), 4);
    assert_eq!(out.replace(MARK, ""), body);
    let value: Value = serde_json::from_str(&out).unwrap();
    let ephemeral = json!({"type": "ephemeral"});
    assert_eq!(value["tools"][1]["cache_control"], ephemeral);
    assert_eq!(value["system"][1]["cache_control"], ephemeral);
    assert_eq!(value["messages"][1]["content"][0]["cache_control"], ephemeral);
    assert_eq!(value["messages"][2]["content"][1]["cache_control"], ephemeral);
    assert_eq!(sent(body, None), body, "nobody asked for them");
}

#[test]
fn texts_that_are_no_lists_become_such() {
    let out = marked(
        r#"{"model":"m","max_tokens":9,"system":"Be \"brief\".","messages":[{"role":"user","content":"hi\u0021"}]}"#,
    );
    let value: Value = serde_json::from_str(&out).unwrap();
    let block = |text: &str| json!([{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]);
    assert_eq!((&value["system"], &value["messages"][0]["content"]), (&block("Be \"brief\"."), &block("hi!")));
    assert!(out.contains(r"hi\u0021"), "in their own spelling");
}

#[test]
fn what_can_bear_no_mark_gets_none() {
    let out = marked(
        r#"{"model":"m","max_tokens":9,"system":" ","messages":[{"role":"user","content":"hi"},
            {"role":"assistant","content":[{"type":"text","text":"so"},{"type":"thinking","thinking":"x","signature":"s"},
            {"type":"text","text":""}]},{"role":"user","content":[{"type":"text","text":" "}]}]}"#,
    );
    let value: Value = serde_json::from_str(&out).unwrap();
    let ephemeral = json!({"type": "ephemeral"});
    assert_eq!(value["messages"][1]["content"][0]["cache_control"], ephemeral);
    assert_eq!(value["messages"][0]["content"][0]["cache_control"], ephemeral);
    assert_eq!(out.matches("cache_control").count(), 2);
}

#[test]
fn a_caller_that_has_set_marks_knows_better() {
    let body = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"1","cache_control":{"type":"ephemeral"}},{"type":"text","text":"2"}]}]}"#;
    assert_eq!(marked(body), body);
    let said = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"what is \"cache_control\"?"}]}"#;
    assert_eq!(marked(said).matches(r#""cache_control":"#).count(), 1, "a text that speaks of them is none");
}

#[test]
fn an_hour_is_asked_for_where_that_was_set() {
    let out =
        sent(r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#, Some(CacheTtl::OneHour));
    assert!(out.contains(r#""cache_control":{"type":"ephemeral","ttl":"1h"}"#));
}

#[test]
fn requests_of_another_dialect_get_them_too_and_counts_do_not() {
    let body = r#"{"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}]}"#;
    let request = openai::decode_chat(Bytes::from_static(body.as_bytes())).unwrap();
    let out = encoded(request, Some(CacheTtl::FiveMinutes));
    assert_eq!(out.matches(MARK.trim_end_matches(',')).count(), 2, "{out}");
    let count = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    let request = anthropic::decode_count_tokens(Bytes::from_static(count.as_bytes())).unwrap();
    assert_eq!(encoded(request, Some(CacheTtl::FiveMinutes)), count);
}

#[test]
fn a_tool_that_is_loaded_later_bears_no_mark() {
    let tool = |name: &str, deferred: bool| json!({"name": name, "input_schema": {"type": "object"}, "defer_loading": deferred});
    let marks = |tools: &[Value]| {
        let body =
            json!({"model": "m", "max_tokens": 9, "tools": tools, "messages": [{"role": "user", "content": "1"}]});
        let value: Value = serde_json::from_str(&marked(&body.to_string())).unwrap();
        let tools = value["tools"].as_array().unwrap();
        tools.iter().map(|tool| tool.get("cache_control").is_some()).collect::<Vec<_>>()
    };
    assert_eq!(marks(&[tool("a", false), tool("b", false), tool("c", true)]), [false, true, false]);
    assert_eq!(marks(&[tool("a", true)]), [false]);
}
