//! Streams as callers get them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::{Bytes, BytesMut};
use llm_core::{
    Accumulator, ChatOutput, ChoiceEvent, Dialect, Error, ErrorKind, Event, FinishReason, Frame, Head, Json,
    LlmRequest, ReasoningDelta, Start, ToolCallDelta, ToolCallKind, Usage,
};
use llm_wire::{
    openai::{StreamDecoder, StreamEncoder},
    sse,
};
use serde_json::{Value, json};

mod fixtures;

fn request(include_usage: bool) -> LlmRequest {
    LlmRequest::chat("asked").user("x").stream().with(|chat| chat.include_usage = include_usage).build()
}

fn encoder(include_usage: bool) -> StreamEncoder {
    StreamEncoder::new(&Head::default(), &request(include_usage))
}

fn decode(bytes: &[u8]) -> Result<Vec<Frame>, Error> {
    let (mut cutter, mut decoder, mut frames) = (sse::Decoder::new(), StreamDecoder::new(), Vec::new());
    cutter.push(Bytes::copy_from_slice(bytes));
    while let Some(frame) = cutter.next_frame().unwrap() {
        frames.push(decoder.decode(frame)?);
    }
    assert!(cutter.rest().is_empty());
    Ok(frames)
}

fn accumulate(frames: impl IntoIterator<Item = Frame>) -> ChatOutput {
    let mut whole = Accumulator::new();
    frames.into_iter().for_each(|frame| whole.push(frame));
    whole.finish()
}

/// What a reader of the stream sees: the data of each event, as JSON but for `[DONE]`.
fn seen(bytes: &[u8]) -> Vec<Value> {
    let mut cutter = sse::Decoder::new();
    cutter.push(Bytes::copy_from_slice(bytes));
    std::iter::from_fn(|| cutter.next_frame().unwrap())
        .filter_map(|frame| frame.data)
        .map(|data| if data == "[DONE]" { json!("[DONE]") } else { serde_json::from_slice(&data).unwrap() })
        .collect()
}

fn encode(include_usage: bool, frames: &[Frame]) -> Vec<Value> {
    let (mut encoder, mut out) = (encoder(include_usage), BytesMut::new());
    frames.iter().for_each(|frame| encoder.encode(frame, &mut out));
    encoder.finish(&mut out);
    seen(&out)
}

fn tool(index: u32, id: Option<&str>, name: Option<&str>, arguments: &str) -> Event {
    let (id, name) = (id.map(Into::into), name.map(Into::into));
    Event::ToolCall(ToolCallDelta { index, id, name, arguments: arguments.into(), kind: ToolCallKind::Function })
}

#[test]
fn a_stream_has_the_shape_that_openai_sends() {
    let start = Start { id: Some("c1".into()), model: Some("m1".into()), created: Some(7) };
    let frames = [
        Frame::event(Event::Start(start)),
        Frame::text("Hi"),
        Frame::event(Event::Usage(Usage::reported(9, 1))),
        Frame::event(Event::Usage(Usage::reported(9, 5))),
        Frame::event(Event::Finish(FinishReason::Stop)).last(),
    ];
    let chunk = |choices: Value, usage: Value| json!({"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m1", "choices": choices, "usage": usage});
    let choice =
        |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}});
    let expected = [
        chunk(choice(json!({"role": "assistant", "content": ""}), Value::Null), Value::Null),
        chunk(choice(json!({"content": "Hi"}), Value::Null), Value::Null),
        chunk(choice(json!({}), json!("stop")), Value::Null),
        chunk(json!([]), usage),
        json!("[DONE]"),
    ];
    assert_eq!(encode(true, &frames), expected);

    let without: Vec<_> = encode(false, &frames);
    assert_eq!(without.len(), 4, "no chunk without choices");
    assert!(without[..3].iter().all(|chunk| chunk.get("usage").is_none() && chunk["choices"][0]["index"] == 0));
}

#[test]
fn the_role_comes_first_in_every_choice_and_once() {
    let say = |choice, text: &str| Frame::new([ChoiceEvent { choice, event: Event::Text(text.into()) }]);
    let chunks = encode(false, &[say(0, "a"), say(1, "b"), say(0, "c"), say(1, "d")]);
    let roles: Vec<_> = chunks[..4].iter().map(|chunk| chunk["choices"][0]["delta"]["role"].as_str()).collect();
    assert_eq!(roles, [Some("assistant"), Some("assistant"), None, None]);
}

#[test]
fn a_tool_call_says_id_type_and_name_in_its_first_fragment_only() {
    let frames = [
        Frame::event(tool(0, Some("call_1"), Some("f"), "")),
        Frame::event(tool(0, Some("call_1"), None, "{}")),
        Frame::event(tool(1, None, Some("g"), "{}")),
    ];
    let chunks = encode(false, &frames);
    let calls: Vec<_> = chunks[..3].iter().map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0]).collect();
    assert_eq!(
        *calls[0],
        json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}})
    );
    assert_eq!(*calls[1], json!({"index": 0, "function": {"arguments": "{}"}}));
    assert!(calls[2]["id"].as_str().unwrap().starts_with("call_"), "an id is made up where there is none");
}

#[test]
fn a_tool_call_says_its_name_once_even_if_late() {
    let names = |frames: &[Frame]| {
        let chunks = encode(false, frames);
        let calls = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].get(0));
        calls.map(|call| call["function"].get("name").cloned()).collect::<Vec<_>>()
    };
    let say = |name: Option<&str>| Frame::event(tool(0, Some("i"), name, "x"));
    assert_eq!(names(&[say(Some("f")), say(Some("f")), say(None)]), [Some(json!("f")), None, None]);
    assert_eq!(
        names(&[say(None), say(Some("")), say(Some("f")), say(Some("f"))]),
        [None, None, Some(json!("f")), None]
    );

    let bytes = br#"data: {"choices":[{"delta":{"tool_calls":[{"id":"i","function":{"name":"f"}}]}}]}"#;
    let passed = decode(&[&bytes[..], b"\n\n"].concat()).unwrap().remove(0);
    assert_eq!(names(&[passed, say(Some("f"))]), [Some(json!("f")), None], "also after a frame that was handed on");
}

#[test]
fn a_usage_chunk_whose_choices_are_null_is_bare() {
    let bytes = b"data: {\"id\":\"c\",\"choices\":null,\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n";
    let frames = decode(bytes).unwrap();
    assert_eq!(encode(false, &frames), [json!("[DONE]")]);
    assert_eq!(encode(true, &frames).len(), 2);
}

#[test]
fn frames_of_this_dialect_are_handed_on_byte_for_byte() {
    for (name, bytes) in fixtures::streams() {
        let (mut cutter, mut decoder) = (sse::Decoder::new(), StreamDecoder::new());
        cutter.push(Bytes::from(bytes.clone()));
        let (mut encoder, mut out, mut passed) = (encoder(true), BytesMut::new(), 0);
        while let Some(frame) = cutter.next_frame().unwrap() {
            let length = frame.bytes.len();
            match decoder.decode(frame) {
                Ok(frame) => encoder.encode(&frame, &mut out),
                Err(_) => break,
            }
            passed += length;
        }
        assert_eq!(out, bytes[..passed], "{name}");
    }
}

#[test]
fn a_bare_usage_chunk_goes_only_to_who_asked() {
    for (name, removed) in [
        ("openai_text", 1),
        ("openai_usage_not_last", 1),
        ("vllm_usage_on_every_chunk", 1),
        ("ollama_tools", 1),
        ("openrouter_reasoning", 0),
        ("deepseek_reasoning", 0),
        ("azure_text", 0),
    ] {
        let bytes = fixtures::read(&format!("streams/{name}.sse"));
        let (mut encoder, mut out) = (encoder(false), BytesMut::new());
        decode(&bytes).unwrap().iter().for_each(|frame| encoder.encode(frame, &mut out));
        encoder.finish(&mut out);
        let (before, after) = (seen(&bytes), seen(&out));
        assert_eq!(before.len() - after.len(), removed, "{name}");
        let is_bare = |chunk: &Value| chunk["choices"] == json!([]) && chunk["usage"].is_object();
        assert!(!after.iter().any(is_bare), "{name}");
    }
}

#[test]
fn the_prompt_is_not_kept_while_its_answer_streams() {
    let request = request(true);
    let prompt = std::sync::Arc::downgrade(&request.shared_payload());
    let mut encoder = StreamEncoder::new(&Head::default(), &request);
    let id = request.context().id();
    drop(request);
    assert!(prompt.upgrade().is_none());
    let mut out = BytesMut::new();
    encoder.encode(&Frame::event(tool(0, None, Some("f"), "{}")), &mut out);
    let chunk = &seen(&out)[0];
    assert_eq!((&chunk["id"], &chunk["model"]), (&json!(format!("chatcmpl-{id}")), &json!("asked")));
    assert_eq!(chunk["choices"][0]["delta"]["tool_calls"][0]["id"], format!("call_{id}_0_0"));
}

#[test]
fn usage_from_a_frame_that_was_changed_is_sent_before_the_providers_terminator() {
    let done = Frame::default().with_wire(Dialect::OpenAi, Bytes::from_static(b"data: [DONE]\n\n")).last();
    let chunks = encode(true, &[Frame::text("a"), Frame::event(Event::Usage(Usage::reported(1, 2))), done]);
    assert_eq!(chunks[1]["usage"]["completion_tokens"], 2);
    assert_eq!(chunks[2], "[DONE]");
    assert_eq!(chunks.len(), 3);
}

#[test]
fn nothing_follows_the_end() {
    let (mut encoder, mut out) = (encoder(true), BytesMut::new());
    encoder.encode(&Frame::text("a").last(), &mut out);
    let length = out.len();
    encoder.encode(&Frame::text("b"), &mut out);
    encoder.finish(&mut out);
    encoder.fail(&Error::internal("late"), &mut out);
    assert_eq!(out.len(), length);
}

#[test]
fn a_failure_is_said_in_band_and_nothing_that_looks_complete_follows() {
    let (mut encoder, mut out) = (encoder(true), BytesMut::new());
    encoder.encode(&Frame::text("par"), &mut out);
    encoder.encode(&Frame::event(Event::Usage(Usage::reported(1, 1))), &mut out);
    encoder.fail(&Error::new(ErrorKind::Interrupted, "the provider broke off"), &mut out);
    encoder.finish(&mut out);
    let chunks = seen(&out);
    assert_eq!(chunks.len(), 2);
    assert_eq!(chunks[1]["error"]["message"], "the provider broke off");
    assert_eq!(chunks[1]["error"]["code"], "interrupted");
    assert!(chunks[0]["choices"][0]["finish_reason"].is_null());
    assert!(decode(&out).unwrap_err().is_provider_fault(), "a reader of the stream sees a failure");
}

#[test]
fn raw_json_with_line_ends_stays_one_event() {
    let logprobs = Json::from_text("{\n\"content\": []\r\n}").unwrap();
    let frame =
        Frame::new([Event::Text("a".into()), Event::Logprobs(logprobs)].map(|event| ChoiceEvent { choice: 0, event }));
    let chunks = encode(false, &[frame]);
    assert_eq!(chunks[0]["choices"][0]["logprobs"], json!({"content": []}));
    assert_eq!(chunks[0]["choices"][0]["delta"]["content"], "a", "both fit one chunk");
}

#[test]
fn every_fixture_says_the_same_after_translation() {
    for (name, bytes) in fixtures::streams() {
        let Ok(frames) = decode(&bytes) else { continue };
        let known = accumulate(frames.iter().cloned());
        let (mut encoder, mut out) = (encoder(true), BytesMut::new());
        for mut frame in frames {
            frame.events_mut();
            encoder.encode(&frame, &mut out);
        }
        let mut again = accumulate(decode(&out).unwrap());
        // Only ids that were missing are made up.
        for (choice, known) in again.choices.iter_mut().zip(&known.choices) {
            for (part, known) in choice.parts.iter_mut().zip(&known.parts) {
                if let (llm_core::PartContent::ToolCall(call), llm_core::PartContent::ToolCall(known)) =
                    (&mut part.content, &known.content)
                    && known.id.is_empty()
                {
                    assert!(!std::mem::take(&mut call.id).is_empty());
                }
            }
        }
        assert_eq!(again, known, "{name}");
    }
}

#[test]
fn debug_shows_no_content() {
    let (mut encoder, mut out) = (encoder(true), BytesMut::new());
    encoder.encode(&Frame::text("canary"), &mut out);
    encoder.encode(&Frame::event(Event::Reasoning(ReasoningDelta::from("canary".to_owned()))), &mut out);
    encoder.encode(&Frame::event(tool(0, Some("i"), Some("f"), "canary")), &mut out);
    assert!(!format!("{encoder:?}").contains("canary"));
}
