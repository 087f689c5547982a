//! Whole answers, both ways.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use llm_core::{
    ChatOutput, Choice, EmbedOutput, ErrorKind, FinishReason, Head, LlmRequest, Output, Part, PartContent, Payload,
    Reasoning, Start, ToolCall, Usage, Vector, VectorEncoding,
};
use llm_wire::openai::{decode_chat_answer, decode_embed_answer, encode_answer};

mod fixtures;

fn read(name: &str) -> ChatOutput {
    match decode_chat_answer(Bytes::from(fixtures::read(&format!("answers/{name}.json")))) {
        Ok(Output::Chat(chat)) => chat,
        other => panic!("{name}: {other:?}"),
    }
}

fn refused(body: &str) -> ErrorKind {
    decode_chat_answer(Bytes::from(body.to_owned())).unwrap_err().kind()
}

fn request() -> LlmRequest {
    LlmRequest::chat("asked").user("x").build()
}

fn written(output: &Output, head: &Head, request: &LlmRequest) -> serde_json::Value {
    serde_json::from_slice(&encode_answer(output, head, request)).unwrap()
}

#[test]
fn a_whole_answer_is_read() {
    let answer = read("openai_tools");
    assert_eq!(answer.start.id.as_deref(), Some("chatcmpl-1"));
    assert_eq!(answer.start.model.as_deref(), Some("model-2026-01-01"));
    assert_eq!(answer.start.created, Some(1_787_150_061));
    let call = ToolCall::function("call_1", "f", "{\"a\":1}");
    assert_eq!(answer.choices[0].parts, [PartContent::ToolCall(call).into()]);
    assert_eq!(answer.choices[0].finish, Some(FinishReason::ToolCalls));
    let usage = Usage { cache_read: 64, cache_write: 8, reasoning: 30, ..Usage::reported(75, 51) };
    assert_eq!(answer.usage, Some(usage));
    assert_eq!(answer.extra.get("service_tier").unwrap().get(), "\"default\"");
}

#[test]
fn choices_are_in_the_order_of_their_indices() {
    let answer = read("openai_two_choices");
    let told: Vec<_> = answer.choices.iter().map(|choice| (choice.index, choice.text())).collect();
    assert_eq!(told, [(0, "A".into()), (1, "B".into())]);
}

#[test]
fn tool_calls_decide_the_finish_reason_where_servers_do_not_say() {
    for name in ["openai_forced_tool", "snowflake_tool"] {
        assert_eq!(read(name).choices[0].finish, Some(FinishReason::ToolCalls), "{name}");
    }
}

#[test]
fn reasoning_and_refusals_are_told_from_text() {
    let kinds = |name: &str| {
        let parts = read(name).choices.remove(0).parts;
        let told = parts.into_iter().map(|part| match part.content {
            PartContent::Text(text) => format!("text {text}"),
            PartContent::Reasoning(reasoning) => format!("reasoning {}", reasoning.text),
            PartContent::Refusal(text) => format!("refusal {text}"),
            other => panic!("{other:?}"),
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(kinds("openai_refusal"), ["refusal I cannot help."]);
    assert_eq!(kinds("deepseek"), ["reasoning think", "text 42"]);
    assert_eq!(kinds("mistral_thinking"), ["reasoning Let me see.", "text Four."]);
    assert_eq!(kinds("vllm"), ["reasoning think", "text hi"]);
    assert_eq!(read("mistral_thinking").choices[0].finish, Some(FinishReason::Length));
    assert_eq!(read("vllm").choices[0].extra.get("stop_reason").unwrap().get(), "13");
}

#[test]
fn signed_and_encrypted_reasoning_is_read_and_goes_back_as_it_came() {
    let answer = read("openrouter_signed");
    let reasoning: Vec<_> = answer.choices[0]
        .parts
        .iter()
        .filter_map(|part| match &part.content {
            PartContent::Reasoning(reasoning) => Some(reasoning.clone()),
            _ => None,
        })
        .collect();
    let said = |text: &str, signature: Option<&str>, redacted: Option<&str>| Reasoning {
        text: text.into(),
        signature: signature.map(Into::into),
        redacted: redacted.map(Into::into),
    };
    let expected =
        [said("Let me think.", Some("c2lnbmVk"), None), said("Sum.", None, None), said("", None, Some("b3BhcXVl"))];
    assert_eq!(reasoning, expected);

    let original: serde_json::Value =
        serde_json::from_slice(&fixtures::read("answers/openrouter_signed.json")).unwrap();
    let again = written(&Output::Chat(answer), &Head::default(), &request());
    let details = |answer: &serde_json::Value| answer["choices"][0]["message"]["reasoning_details"].clone();
    assert_eq!(details(&again), details(&original));
}

#[test]
fn details_of_which_nothing_is_signed_stay_as_they_are() {
    for details in [
        r#"[{"type":"reasoning.text","text":"hm","format":null}]"#,
        r#"[{"type":"reasoning.text","text":"hm","signature":""}]"#,
        r#"[{"type":"reasoning.later","signature":"s"}]"#,
        r#"[{"signature":"s"}]"#,
        r#"[7]"#,
        r#"{"type":"reasoning.text","signature":"s"}"#,
    ] {
        let body = format!(
            r#"{{"choices":[{{"index":0,"message":{{"reasoning":"hm","reasoning_details":{details},"content":"a"}}}}]}}"#
        );
        let Output::Chat(chat) = decode_chat_answer(Bytes::from(body)).unwrap() else { panic!("not a chat") };
        let unsigned = PartContent::Reasoning(Reasoning { text: "hm".into(), ..Reasoning::default() });
        assert_eq!(chat.choices[0].parts, [unsigned.into(), Part::text("a")], "{details}");
        let again = encode_answer(&Output::Chat(chat), &Head::default(), &request());
        assert!(std::str::from_utf8(&again).unwrap().contains(&format!(r#""reasoning_details":{details}"#)));
    }
}

#[test]
fn pieces_of_reasoning_that_a_client_did_not_join_are_joined() {
    let body = r#"{"choices":[{"index":0,"message":{"content":"a","reasoning_details":[
        {"type":"reasoning.text","text":"a","index":0},{"type":"reasoning.text","text":"b","index":0},
        {"type":"reasoning.text","signature":"s","index":0},{"type":"reasoning.text","text":"c","index":1},
        {"type":"reasoning.text","text":"d","signature":"t","index":2}]}}]}"#;
    let Output::Chat(chat) = decode_chat_answer(Bytes::from(body)).unwrap() else { panic!("not a chat") };
    let said = |text: &str, signature: Option<&str>| {
        let signature = signature.map(Into::into);
        Part::from(PartContent::Reasoning(Reasoning { text: text.into(), signature, redacted: None }))
    };
    assert_eq!(chat.choices[0].parts[..3], [said("ab", Some("s")), said("c", None), said("d", Some("t"))]);

    let apart = r#"{"choices":[{"index":0,"message":{"content":"a","reasoning_content":"hm","reasoning_details":[
        {"type":"reasoning.text","signature":"s"}]}}]}"#;
    let Output::Chat(chat) = decode_chat_answer(Bytes::from(apart)).unwrap() else { panic!("not a chat") };
    assert_eq!(chat.choices[0].parts[0], said("hm", Some("s")), "the text is where it usually is");
}

#[test]
fn a_numeric_id_of_a_tool_call_is_one() {
    let body =
        r#"{"choices":[{"index":0,"message":{"tool_calls":[{"id":7,"function":{"name":"f","arguments":"{}"}}]}}]}"#;
    let Output::Chat(chat) = decode_chat_answer(Bytes::from(body)).unwrap() else { panic!("not a chat") };
    assert_eq!(chat.choices[0].parts, [PartContent::ToolCall(ToolCall::function("7", "f", "{}")).into()]);
    let odd = body.replace("\"id\":7", "\"id\":{}");
    assert_eq!(refused(&odd), ErrorKind::Undecodable);
}

#[test]
fn empty_lines_before_an_answer_are_none_of_it() {
    let body = [b"\n\n \n".to_vec(), fixtures::read("answers/deepseek.json")].concat();
    assert_eq!(decode_chat_answer(Bytes::from(body)).unwrap(), Output::Chat(read("deepseek")));
}

#[test]
fn an_error_in_a_200_is_an_error() {
    let body = |name: &str| String::from_utf8(fixtures::read(&format!("answers/{name}.json"))).unwrap();
    assert_eq!(refused(&body("error_in_200")), ErrorKind::Overloaded);
    assert_eq!(refused(&format!("[{}]", body("error_in_200"))), ErrorKind::Overloaded);
    assert_eq!(refused(&body("openrouter_choice_error")), ErrorKind::RateLimited);
    let with_choices = body("openai_refusal").replacen('{', r#"{"error":{"message":"no","code":500},"#, 1);
    assert_eq!(refused(&with_choices), ErrorKind::Server);
    let null = body("openai_refusal").replacen('{', r#"{"error":null,"#, 1);
    assert!(decode_chat_answer(Bytes::from(null)).is_ok());
}

#[test]
fn what_is_no_answer_is_undecodable() {
    let deep = format!(r#"{{"choices":[],"x":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    for body in [
        "",
        "<html>",
        "{}",
        "[]",
        r#"{"choices":7}"#,
        r#"{"choices":[{}]}"#,
        r#"{"choices":[{"message":{"content":7}}]}"#,
        r#"{"choices":[],"choices":[]}"#,
        r#"{"choices":[]} x"#,
        &deep,
    ] {
        assert_eq!(refused(body), ErrorKind::Undecodable, "{body:.40}");
    }
}

#[test]
fn every_answer_that_was_read_is_written_as_the_same() {
    for name in [
        "openai_tools",
        "openai_two_choices",
        "openai_refusal",
        "openai_forced_tool",
        "snowflake_tool",
        "deepseek",
        "mistral_thinking",
        "openrouter_signed",
        "vllm",
    ] {
        let answer = Output::Chat(read(name));
        let bytes = encode_answer(&answer, &Head::default(), &request());
        assert_eq!(decode_chat_answer(bytes).unwrap(), answer, "{name}");
    }
}

#[test]
fn an_answer_has_the_shape_that_sdks_expect() {
    let answer = written(&Output::Chat(read("openai_tools")), &Head::default(), &request());
    let original: serde_json::Value = serde_json::from_slice(&fixtures::read("answers/openai_tools.json")).unwrap();
    for field in ["id", "object", "created", "model", "choices", "system_fingerprint", "service_tier"] {
        assert_eq!(answer[field], original[field], "{field}");
    }
    assert_eq!(answer["usage"]["prompt_tokens_details"]["cached_tokens"], 64);
    assert_eq!(answer["usage"]["total_tokens"], 126);
}

#[test]
fn what_an_answer_does_not_say_comes_from_the_head_or_is_made_up() {
    let request = request();
    let bare = written(&Output::text("hi"), &Head::default(), &request);
    assert_eq!(bare["id"], format!("chatcmpl-{}", request.context().id()));
    assert_eq!(bare["model"], "asked");
    assert!(bare["created"].as_u64().unwrap() > 1_700_000_000);
    assert_eq!(bare["object"], "chat.completion");
    assert!(bare.get("usage").is_none());
    let message = &bare["choices"][0]["message"];
    assert_eq!((&message["role"], &message["content"]), (&"assistant".into(), &"hi".into()));
    assert!(message["refusal"].is_null() && message.get("tool_calls").is_none());

    let head = Head { id: Some("h".into()), model: Some("served".into()), created: Some(5), ..Head::default() };
    let headed = written(&Output::text("hi"), &head, &request);
    assert_eq!((&headed["id"], &headed["model"], &headed["created"]), (&"h".into(), &"served".into(), &5.into()));
}

#[test]
fn tool_calls_without_an_id_get_one_each() {
    let call = || Part::from(PartContent::ToolCall(ToolCall::function("", "f", "{}")));
    let choice = Choice { parts: vec![call(), call()], ..Choice::default() };
    let output = Output::Chat(ChatOutput { start: Start::default(), choices: vec![choice], ..ChatOutput::default() });
    let answer = written(&output, &Head::default(), &request());
    let calls = &answer["choices"][0]["message"]["tool_calls"];
    assert!(calls[0]["id"].as_str().unwrap().starts_with("call_"));
    assert_ne!(calls[0]["id"], calls[1]["id"]);
}

fn embedding(encoding: VectorEncoding) -> LlmRequest {
    let mut request = LlmRequest::embed("e", ["a", "b"]);
    if let Payload::Embed(embed) = request.payload_mut() {
        embed.encoding = encoding;
    }
    request
}

#[test]
fn vectors_are_read_as_they_were_written_in_either_encoding() {
    let vectors = vec![Vector(vec![0.1, -2.5e-8, 3.0]), Vector(vec![f32::MIN_POSITIVE, f32::MAX, 0.0])];
    let output = Output::Embed(EmbedOutput { vectors, usage: Some(Usage::reported(7, 0)), ..EmbedOutput::default() });
    for encoding in [VectorEncoding::Float, VectorEncoding::Base64] {
        let bytes = encode_answer(&output, &Head::default(), &embedding(encoding));
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert_eq!(text.contains("\"embedding\":["), encoding == VectorEncoding::Float);
        let Output::Embed(read) = decode_embed_answer(bytes).unwrap() else { panic!("vectors are vectors") };
        let Output::Embed(known) = &output else { panic!("vectors are vectors") };
        assert_eq!((&read.vectors, read.usage), (&known.vectors, known.usage));
    }
}

#[test]
fn base64_vectors_are_little_endian() {
    let body = r#"{"object":"list","model":"e","data":[{"object":"embedding","index":1,"embedding":[2]},
        {"object":"embedding","index":0,"embedding":"AACAPw=="}],"usage":{"prompt_tokens":3,"total_tokens":3}}"#;
    let Output::Embed(read) = decode_embed_answer(Bytes::from(body)).unwrap() else { panic!("vectors are vectors") };
    assert_eq!(read.vectors, [Vector(vec![1.0]), Vector(vec![2.0])], "in the order of their indices");
    let again = written(&Output::Embed(read), &Head::default(), &embedding(VectorEncoding::Float));
    assert_eq!(again["model"], "e");
    assert_eq!(again["usage"], serde_json::json!({"prompt_tokens": 3, "total_tokens": 3}));
}

#[test]
fn broken_vectors_are_undecodable() {
    for embedding in [r#""AAA=""#, r#""%""#, r#"["x"]"#, "null", "7"] {
        let body = format!(r#"{{"data":[{{"index":0,"embedding":{embedding}}}]}}"#);
        assert_eq!(decode_embed_answer(Bytes::from(body)).unwrap_err().kind(), ErrorKind::Undecodable, "{embedding}");
    }
    let error = decode_embed_answer(Bytes::from_static(br#"{"error":{"message":"no","code":500}}"#)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server);
}

#[test]
fn half_a_character_is_no_reason_to_lose_an_answer() {
    let body = r#"{"choices":[{"index":0,"message":{"content":"a\ud83d","reasoning_content":"\ude00","tool_calls":[
        {"id":"i","type":"function","function":{"name":"f","arguments":"\ud83d"}}]},"finish_reason":"stop"}]}"#;
    let Output::Chat(chat) = decode_chat_answer(Bytes::from(body)).unwrap() else { panic!("not a chat") };
    let parts: Vec<_> = chat.choices[0].parts.iter().map(|part| part.content.clone()).collect();
    let reasoning = Reasoning { text: "\u{fffd}".into(), ..Reasoning::default() };
    let call = ToolCall::function("i", "f", "\u{fffd}");
    let text = PartContent::Text("a\u{fffd}".into());
    assert_eq!(parts, [PartContent::Reasoning(reasoning), text, PartContent::ToolCall(call)]);
    assert_eq!(refused(r#"{"error":{"message":"\ud83d","code":"rate_limit_exceeded"}}"#), ErrorKind::RateLimited);
}

#[test]
fn odd_fields_of_a_message_are_passed_over() {
    let body = r#"{"choices":[{"index":0,"message":{"content":[{"type":"text","text":null},{"type":"text","text":"a"}],
        "refusal":false,"reasoning":{}},"finish_reason":"stop"}],
        "usage":{"prompt_tokens":3,"completion_tokens":1,"prompt_tokens_details":[],"completion_tokens":1}}"#;
    let Output::Chat(chat) = decode_chat_answer(Bytes::from(body)).unwrap() else { panic!("not a chat") };
    assert_eq!(chat.choices[0].parts, [Part::text("a")]);
    assert_eq!(chat.usage, Some(Usage::reported(3, 1)));
}
