//! Token counts, to the token: whatever a provider reports and whenever, each dialect's reader gets its own accounting.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::{Bytes, BytesMut};
use llm_core::{Body, Frame, Head, LlmRequest, Provenance, Usage};
use llm_wire::{anthropic, openai, sse};
use serde_json::Value;

/// Both dialects' accounts of one answer: prompt, cached, written, completion, reasoning; and input without what was
/// cached, read, written, output, thinking.
type Accounts = ([u64; 5], [u64; 5]);

fn events(lines: &[&str]) -> Vec<u8> {
    lines.iter().flat_map(|line| format!("data: {line}\n\n").into_bytes()).collect()
}

fn openai_frames(bytes: &[u8]) -> Vec<Frame> {
    let (mut cutter, mut decoder) = (sse::Decoder::new(), openai::StreamDecoder::new());
    cutter.push(Bytes::copy_from_slice(bytes));
    std::iter::from_fn(|| cutter.next_frame().unwrap()).map(|frame| decoder.decode(frame).unwrap()).collect()
}

fn anthropic_frames(bytes: &[u8]) -> Vec<Frame> {
    let (mut cutter, mut decoder) = (sse::Decoder::new(), anthropic::StreamDecoder::new());
    cutter.push(Bytes::copy_from_slice(bytes));
    std::iter::from_fn(|| cutter.next_frame().unwrap()).map(|frame| decoder.decode(frame).unwrap()).collect()
}

fn counts(usage: &Value, names: [&str; 5]) -> [u64; 5] {
    names.map(|name| usage.pointer(name).and_then(Value::as_u64).unwrap_or_else(|| panic!("{name}: {usage}")))
}

fn openai_account(usage: &Value) -> [u64; 5] {
    let names = [
        "/prompt_tokens",
        "/prompt_tokens_details/cached_tokens",
        "/prompt_tokens_details/cache_write_tokens",
        "/completion_tokens",
        "/completion_tokens_details/reasoning_tokens",
    ];
    let account = counts(usage, names);
    assert_eq!(usage["total_tokens"].as_u64(), Some(account[0] + account[3]), "{usage}");
    account
}

fn anthropic_account(usage: &Value) -> [u64; 5] {
    let names = [
        "/input_tokens",
        "/cache_read_input_tokens",
        "/cache_creation_input_tokens",
        "/output_tokens",
        "/output_tokens_details/thinking_tokens",
    ];
    counts(usage, names)
}

/// The data of the events that are written.
fn data(written: BytesMut) -> Vec<Value> {
    let text = String::from_utf8(written.to_vec()).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect()
}

/// What readers of both dialects are told at the end of the stream, written from its events; and what a layer sees.
fn told(frames: Vec<Frame>) -> (Option<[u64; 5]>, [u64; 5], Usage) {
    let request = LlmRequest::chat("m").user("hi there").stream().build();
    let head = Head::default();
    let (mut own, mut other) =
        (openai::StreamEncoder::new(&head, &request), anthropic::StreamEncoder::new(&head, &request));
    let (mut own_out, mut other_out) = (BytesMut::new(), BytesMut::new());
    let bare = |frame: &Frame| {
        let bare = Frame::new(frame.events().to_vec());
        if frame.is_last() { bare.last() } else { bare }
    };
    for frame in frames.iter().map(bare) {
        own.encode(&frame, &mut own_out);
        other.encode(&frame, &mut other_out);
    }
    own.finish(&mut own_out);
    other.finish(&mut other_out);
    let own: Vec<_> = data(own_out).into_iter().filter(|chunk| chunk["usage"].is_object()).collect();
    assert!(own.len() <= 1, "usage is told once: {own:?}");
    assert!(own.iter().all(|chunk| chunk["choices"] == serde_json::json!([])));
    let other = data(other_out);
    let end = other.iter().find(|event| event["type"] == "message_delta").unwrap();

    let settled = std::sync::Arc::new(std::sync::Mutex::new(None));
    let seen = std::sync::Arc::clone(&settled);
    let stream = futures_util::stream::iter(frames.into_iter().map(Ok));
    let body = Body::stream(stream)
        .answering(&request, "m")
        .on_end(move |outcome| *seen.lock().unwrap() = Some(outcome.progress().usage()));
    futures_util::FutureExt::now_or_never(body.collect()).unwrap().unwrap();
    let settled = settled.lock().unwrap().unwrap();
    (own.first().map(|chunk| openai_account(&chunk["usage"])), anthropic_account(&end["usage"]), settled)
}

const START: &str =
    r#"{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"},"finish_reason":null}]}"#;
const FINISH: &str = r#"{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const DONE: &str = "[DONE]";
const USAGE: &str = r#"{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"prompt_tokens_details":{"cached_tokens":64,"cache_write_tokens":10},"completion_tokens_details":{"reasoning_tokens":7}}"#;
const ACCOUNTS: Accounts = ([100, 64, 10, 20, 7], [26, 64, 10, 20, 7]);

fn chunk(choices: &str, usage: &str) -> String {
    format!(r#"{{"id":"c","choices":[{choices}],"usage":{usage}}}"#)
}

#[test]
fn openais_usage_counts_wherever_it_stands() {
    let finish = r#"{"index":0,"delta":{},"finish_reason":"stop"}"#;
    let growing = chunk("", r#"{"prompt_tokens":100,"completion_tokens":3,"total_tokens":103}"#);
    for (place, lines) in [
        ("before the finish", [START, &chunk("", USAGE), FINISH, DONE]),
        ("with the finish", [START, &chunk(finish, USAGE), &chunk("", "null"), DONE]),
        ("after the finish", [START, FINISH, &chunk("", USAGE), DONE]),
        ("with a repeated finish", [FINISH, START, &chunk(finish, USAGE), DONE]),
        ("growing", [&growing, &chunk(finish, USAGE), FINISH, DONE]),
    ] {
        let (own, other, settled) = told(openai_frames(&events(&lines)));
        assert_eq!((own, other), (Some(ACCOUNTS.0), ACCOUNTS.1), "{place}");
        let known = Usage { cache_read: 64, cache_write: 10, reasoning: 7, ..Usage::reported(100, 20) };
        assert_eq!(settled, known, "{place}");
    }
}

#[test]
fn anthropics_usage_counts_wherever_it_stands() {
    let start = |usage: &str| format!(r#"{{"type":"message_start","message":{{"id":"m","usage":{usage}}}}}"#);
    let text = [
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
    ];
    let end =
        |usage: &str| format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"end_turn"}},"usage":{usage}}}"#);
    let cached =
        r#"{"input_tokens":26,"cache_read_input_tokens":64,"cache_creation_input_tokens":10,"output_tokens":5}"#;
    let output = r#"{"output_tokens":20,"output_tokens_details":{"thinking_tokens":7}}"#;
    let all = r#"{"input_tokens":26,"cache_read_input_tokens":64,"cache_creation_input_tokens":10,"output_tokens":20,"output_tokens_details":{"thinking_tokens":7}}"#;
    let grown =
        r#"{"input_tokens":1,"cache_read_input_tokens":64,"cache_creation_input_tokens":null,"output_tokens":1}"#;
    for (place, first, last) in [
        ("input first, output last", cached, output),
        ("all at the end", r#"{"input_tokens":0,"output_tokens":0}"#, all),
        ("input that grows", grown, all),
    ] {
        let (first, last) = (start(first), end(last));
        let lines = [&first, text[0], text[1], text[2], &last, r#"{"type":"message_stop"}"#];
        let (own, other, settled) = told(anthropic_frames(&events(&lines)));
        assert_eq!((own, other), (Some(ACCOUNTS.0), ACCOUNTS.1), "{place}");
        assert_eq!((settled.input, settled.output, settled.provenance), (100, 20, Provenance::Reported), "{place}");
    }
}

#[test]
fn what_nobody_reports_is_estimated_for_us_and_not_made_up_for_the_caller() {
    let zeros = chunk("", r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#);
    for (place, lines) in [("missing", vec![START, FINISH, DONE]), ("zeros", vec![START, FINISH, &zeros, DONE])] {
        let (own, other, settled) = told(openai_frames(&events(&lines)));
        assert_eq!(own.unwrap_or_default(), [0; 5], "{place}");
        assert_eq!(other, [0; 5], "{place}: the dialect requires the fields");
        assert_eq!(settled.provenance, Provenance::Estimated, "{place}");
        assert!(settled.input > 0 && settled.output > 0, "{place}: {settled:?}");
    }
}

#[test]
fn whole_answers_have_the_same_accounts() {
    let request = LlmRequest::chat("m").user("hi").build();
    let own =
        format!(r#"{{"choices":[{{"index":0,"message":{{"content":"Hi"}},"finish_reason":"stop"}}],"usage":{USAGE}}}"#);
    let other = r#"{"content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":26,
        "cache_read_input_tokens":64,"cache_creation_input_tokens":10,"output_tokens":20,"output_tokens_details":{"thinking_tokens":7}}}"#;
    for output in
        [openai::decode_chat_answer(Bytes::from(own)).unwrap(), anthropic::decode_answer(Bytes::from(other)).unwrap()]
    {
        let own: Value = serde_json::from_slice(&openai::encode_answer(&output, &Head::default(), &request)).unwrap();
        let other: Value =
            serde_json::from_slice(&anthropic::encode_answer(&output, &Head::default(), &request)).unwrap();
        assert_eq!((openai_account(&own["usage"]), anthropic_account(&other["usage"])), ACCOUNTS);
    }
}
