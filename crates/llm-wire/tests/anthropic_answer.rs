//! Whole answers in Anthropic's dialect, as they are read and as they are written.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use llm_core::{
    ChatOutput, Choice, Dialect, ErrorKind, FinishReason, Head, LlmRequest, Output, Part, PartContent, Provenance,
    Reasoning, TokenCount, ToolCall, Usage,
};
use llm_wire::{
    anthropic::{decode_answer, decode_token_count, encode_answer},
    openai,
};

mod fixtures;

fn request() -> LlmRequest {
    LlmRequest::chat("claude-x").user("hi").build()
}

fn chat(output: Output) -> ChatOutput {
    match output {
        Output::Chat(chat) => chat,
        Output::Embed(_) | Output::TokenCount(_) => panic!("a chat is a chat"),
    }
}

fn written(output: &ChatOutput) -> serde_json::Value {
    serde_json::from_slice(&encode_answer(&output.clone().into(), &Head::default(), &request())).unwrap()
}

fn of(parts: Vec<PartContent>, finish: FinishReason) -> ChatOutput {
    let parts = parts.into_iter().map(Part::from).collect();
    ChatOutput { choices: vec![Choice { parts, finish: Some(finish), ..Choice::default() }], ..ChatOutput::default() }
}

#[test]
fn an_answer_is_read_and_written_without_loss() {
    let bytes = fixtures::read("anthropic/answer_tool.json");
    let output = chat(decode_answer(Bytes::from(bytes.clone())).unwrap());
    assert_eq!((output.start.id.as_deref(), output.dialect), (Some("msg_1"), Some(Dialect::Anthropic)));
    let usage = Usage { cache_read: 100, reasoning: 10, ..Usage::reported(112, 34) };
    assert_eq!(output.usage, Some(usage));
    let choice = &output.choices[0];
    assert_eq!((choice.text().as_str(), &choice.finish), ("Looking.", &Some(FinishReason::ToolCalls)));
    let PartContent::ToolCall(call) = &choice.parts[2].content else { panic!("{choice:?}") };
    assert_eq!((call.id.as_str(), call.arguments.as_str()), ("toolu_1", r#"{"city": "Oslo"}"#));

    let mut expected: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let usage = expected["usage"].as_object_mut().unwrap();
    usage.remove("server_tool_use");
    usage.remove("service_tier");
    assert_eq!(written(&output), expected);
}

#[test]
fn an_error_in_a_200_is_the_providers_error() {
    let body = br#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#;
    assert_eq!(decode_answer(Bytes::from_static(body)).unwrap_err().kind(), ErrorKind::RateLimited);
    assert_eq!(decode_token_count(body).unwrap_err().kind(), ErrorKind::RateLimited);
    for body in ["", "{}", "[]", r#"{"content":7}"#, r#"{"content":[{"text":"x"}]}"#, "<html>"] {
        let error = decode_answer(Bytes::from_static(body.as_bytes())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Undecodable, "{body}");
        assert_eq!(decode_token_count(body.as_bytes()).unwrap_err().kind(), ErrorKind::Undecodable, "{body}");
    }
}

#[test]
fn an_empty_refusal_is_an_answer() {
    let body = r#"{"id":"msg_1","type":"message","content":[],"stop_reason":"refusal","usage":{"input_tokens":3,"output_tokens":0}}"#;
    let output = chat(decode_answer(Bytes::from(body)).unwrap());
    assert!(output.choices[0].is_empty());
    assert_eq!(output.choices[0].finish, Some(FinishReason::ContentFilter));
}

#[test]
fn the_stop_text_that_was_met_is_kept() {
    let body = r#"{"content":[{"type":"text","text":"one"}],"stop_reason":"stop_sequence","stop_sequence":"two"}"#;
    let output = chat(decode_answer(Bytes::from(body)).unwrap());
    assert_eq!(output.choices[0].finish, Some(FinishReason::Stop));
    let again = written(&output);
    assert_eq!((&again["stop_reason"], &again["stop_sequence"]), (&"stop_sequence".into(), &"two".into()));
}

#[test]
fn an_answer_of_another_dialect_has_every_field_that_readers_expect() {
    let answer = fixtures::read("answers/openai_tools.json");
    let output = chat(openai::decode_chat_answer(Bytes::from(answer)).unwrap());
    let written = written(&output);
    for field in ["id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"] {
        assert!(written.get(field).is_some(), "{field}: {written}");
    }
    assert_eq!(written.as_object().unwrap().len(), 8, "no unknown field of the other dialect: {written}");
    assert_eq!(written["stop_reason"], "tool_use");
    assert!(
        written["content"]
            .as_array()
            .unwrap()
            .iter()
            .all(|block| block["type"] != "tool_use" || block["input"].is_object())
    );
    assert!(written["usage"]["input_tokens"].is_u64());
}

#[test]
fn parts_become_blocks() {
    let call = |arguments: &str| PartContent::ToolCall(ToolCall::function("", "f", arguments));
    let thinking = Reasoning { text: "hm".into(), ..Reasoning::default() };
    let output = of(
        vec![
            PartContent::Reasoning(thinking),
            PartContent::Text(String::new()),
            PartContent::Refusal("No.".into()),
            call(""),
            call("{\"a\": 1}"),
            call("{\"a\": "),
        ],
        FinishReason::Stop,
    );
    let written = written(&output);
    assert_eq!(written["stop_reason"], "refusal");
    let content = &written["content"];
    assert_eq!(content[0], serde_json::json!({"type": "thinking", "thinking": "hm", "signature": "dW5zaWduZWQ="}));
    assert_eq!(content[1], serde_json::json!({"type": "text", "text": "No."}));
    assert_eq!(content[2]["input"], serde_json::json!({}));
    assert_eq!(content[3]["input"], serde_json::json!({"a": 1}));
    assert_eq!(content[4]["input"], serde_json::json!({"INVALID_JSON": "{\"a\": "}));
    assert!(content[2]["id"].as_str().unwrap().starts_with("toolu_") && content[2]["id"] != content[3]["id"]);
}

#[test]
fn a_count_is_read_as_it_is_written() {
    let count = TokenCount { input_tokens: 2095, provenance: Provenance::Reported };
    let bytes = encode_answer(&count.into(), &Head::default(), &request());
    assert_eq!(bytes, r#"{"input_tokens":2095}"#);
    assert_eq!(decode_token_count(&bytes).unwrap(), count.into());
}

#[test]
fn more_blocks_than_make_sense_are_refused() {
    let block = r#"{"type":"text","text":"a"},"#.repeat(5_000);
    let body = format!(r#"{{"content":[{}]}}"#, block.trim_end_matches(','));
    assert_eq!(decode_answer(Bytes::from(body)).unwrap_err().kind(), ErrorKind::Undecodable);
}
