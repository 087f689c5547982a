//! What of another dialect is said in OpenAI's, and how reasoning survives a client of it. The fields of requests are in
//! `translation.rs`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use llm_core::{
    Accumulator, Chat, ChatOutput, Choice, ChoiceEvent, Dialect, Error, Event, Extra, FinishReason, Frame, Function,
    Head, Image, Json, LlmRequest, Message, Other, Output, Part, PartContent, Reasoning, ReasoningDelta, Role, Source,
    Start, Thinking, Tool, ToolCall, ToolChoice, ToolKind, ToolResult,
};
use llm_wire::{
    EncodeOptions, anthropic,
    openai::{StreamEncoder, Variant, decode_chat, encode_answer, encode_request},
    sse,
};
use serde_json::{Value, json};

mod fixtures;

fn json(text: &str) -> Json {
    Json::from_text(text).unwrap()
}

fn extra(fields: &[(&str, &str)]) -> Extra {
    let mut extra = Extra::new();
    fields.iter().for_each(|(name, text)| extra.insert(*name, json(text)));
    extra
}

/// A chat that came in Anthropic's dialect.
fn foreign(change: impl FnOnce(&mut Chat)) -> LlmRequest {
    let marked = |chat: &mut Chat| chat.dialect = Some(Dialect::Anthropic);
    LlmRequest::chat("m").user("hi").with(marked).with(change).build()
}

fn write(request: &LlmRequest) -> Result<Value, Error> {
    let written = encode_request(request, &EncodeOptions { variant: &Variant::COMPATIBLE, ..EncodeOptions::new("m") })?;
    Ok(serde_json::from_slice(&written).unwrap())
}

fn refused(request: &LlmRequest) -> String {
    write(request).unwrap_err().detail().unwrap().param.clone().unwrap()
}

fn left_out(request: &LlmRequest) -> Vec<String> {
    request.context().trail().left_out().into_iter().map(String::from).collect()
}

#[test]
fn unknown_fields_of_another_dialect_are_named_and_not_written() {
    let request = foreign(|chat| {
        let marked = |part: Part| Part { extra: extra(&[("citations", "[]")]), ..part };
        chat.messages[0].parts = vec![marked(Part::text("hi"))];
        chat.messages[0].extra = extra(&[("x_message", "1")]);
        let result = ToolResult { call_id: "a".into(), content: vec![marked(Part::text("4"))], is_error: true };
        chat.messages.push(Message::new(Role::User, vec![PartContent::ToolResult(result).into()]));
        let call = PartContent::ToolCall(ToolCall::function("b", "f", "{}")).into();
        chat.messages.push(Message::new(Role::Assistant, vec![Part { extra: extra(&[("caller", "{}")]), ..call }]));
        chat.system.push(Message::new(Role::System, vec![marked(Part::text("Be brief."))]));
        let kind = Function { name: "f".into(), description: None, parameters: None, strict: None };
        let function = ToolKind::Function(kind);
        chat.tools.push(Tool { kind: function, cache: None, extra: extra(&[("defer_loading", "true")]) });
        chat.extra = extra(&[
            ("service_tier", "\"auto\""),
            ("metadata", r#"{"user_id":"u-1","team":"x"}"#),
            ("thinking", r#"{"display":"omitted"}"#),
            ("tool_choice", r#"{"later":1}"#),
            ("output_config", r#"{"task_budget":1}"#),
            ("container", "null"),
        ]);
    });
    let expected = json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi"},
            {"role": "tool", "tool_call_id": "a", "content": "4"},
            {"role": "assistant", "content": null,
                "tool_calls": [{"id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        ],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "user": "u-1",
    });
    let noted = [
        "service_tier",
        "metadata.team",
        "thinking.display",
        "tool_choice.later",
        "output_config.task_budget",
        "container",
        "system.citations",
        "messages.x_message",
        "messages.citations",
        "messages.is_error",
        "messages.caller",
        "tools.defer_loading",
    ];
    for attempt in 0..2 {
        assert_eq!(write(&request).unwrap(), expected, "{attempt}");
        assert_eq!(left_out(&request), noted, "once each, however often it is written");
    }
}

#[test]
fn what_is_noted_is_bounded() {
    let request = foreign(|chat| {
        (0..10_000).for_each(|number| {
            let fields = [(&*format!("x{number}"), "1")];
            chat.messages.push(Message { extra: extra(&fields), ..Message::text(Role::User, "a") });
        });
    });
    write(&request).unwrap();
    assert!(left_out(&request).len() <= 64);
}

#[test]
fn an_unknown_end_user_or_one_that_is_no_text_is_not_carried() {
    for metadata in [r#"{"user_id":7}"#, r#"{"user_id":null}"#, "{}", "7", r#"{"user_id":{"a":1}}"#] {
        let written = write(&foreign(|chat| chat.extra.insert("metadata", json(metadata)))).unwrap();
        assert!(written.get("user").is_none() && written.get("metadata").is_none(), "{metadata}");
    }
    let both = foreign(|chat| chat.extra = extra(&[("metadata", r#"{"user_id":"u"}"#), ("user", "\"other\"")]));
    assert_eq!(write(&both).unwrap()["user"], "u", "fields of another dialect are never taken for ours");
}

#[test]
fn what_changes_the_answer_is_refused_by_name() {
    let part = |content: PartContent| foreign(|chat| chat.messages[0].parts.push(content.into()));
    let other = |kind: &str| Other { kind: kind.into(), json: json("{}") };
    let image = |source| PartContent::Image(Image { source, detail: None });
    let file = |source| PartContent::File(llm_core::File { source, filename: None });
    let result = |content| PartContent::ToolResult(ToolResult { call_id: "a".into(), content, is_error: false });
    let url = || Source::Url("https://x.test/a".into());
    for (request, field) in [
        (part(image(Source::File("f".into()))), "messages[0].content[1]"),
        (part(file(Source::File("f".into()))), "messages[0].content[1]"),
        (part(file(url())), "messages[0].content[1]"),
        (part(PartContent::Other(other("search_result"))), "messages[0].content[1]"),
        (part(result(vec![image(url()).into()])), "messages[0].content[1]"),
        (part(result(vec![PartContent::Other(other("tool_reference")).into()])), "messages[0].content[1]"),
        (
            foreign(|chat| chat.system.push(Message::new(Role::System, vec![PartContent::Other(other("x")).into()]))),
            "system[0].content[0]",
        ),
        (
            foreign(|chat| {
                let kind = ToolKind::Other(other("web_search_20250305"));
                chat.tools.push(Tool { kind, cache: None, extra: Extra::new() });
            }),
            "tools[0]",
        ),
        (foreign(|chat| chat.tool_choice = Some(ToolChoice::Other(json("{}")))), "tool_choice"),
        (
            foreign(|chat| chat.response_format = Some(llm_core::ResponseFormat::Other(json("{}")))),
            "output_config.format",
        ),
        (foreign(|chat| chat.max_output_tokens = Some(0)), "max_tokens"),
        (foreign(|chat| chat.extra.insert("mcp_servers", json("[{}]"))), "mcp_servers"),
    ] {
        assert_eq!(refused(&request), field);
    }
}

#[test]
fn pictures_in_results_of_tools_are_for_those_who_say_so_in_this_dialect() {
    let source = Source::Url("https://x.test/a".into());
    let image: Part = PartContent::Image(Image { source, detail: None }).into();
    let result = ToolResult { call_id: "a".into(), content: vec![image], is_error: false };
    let message = Message::new(Role::Tool, vec![PartContent::ToolResult(result).into()]);
    let by_hand = LlmRequest::chat("m").user("hi").message(message.clone()).build();
    assert_eq!(refused(&by_hand), "messages[1].content[0]");
    let own = |chat: &mut Chat| chat.dialect = Some(Dialect::OpenAi);
    let own = LlmRequest::chat("m").user("hi").message(message).with(own).build();
    assert_eq!(write(&own).unwrap()["messages"][1]["content"][0]["type"], "image_url");
}

#[test]
fn a_choice_without_tools_is_not_written() {
    let request = foreign(|chat| {
        (chat.tool_choice, chat.parallel_tool_calls) = (Some(ToolChoice::Auto), Some(false));
    });
    assert_eq!(write(&request).unwrap(), json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}));
}

#[test]
fn thinking_becomes_an_effort_where_none_is_given() {
    for (budget, effort) in [(1, "low"), (2_047, "low"), (2_048, "medium"), (8_191, "medium"), (8_192, "high")] {
        let request = foreign(|chat| chat.thinking = Some(Thinking::Budget(budget)));
        assert_eq!(write(&request).unwrap()["reasoning_effort"], effort);
    }
    for (thinking, noted) in [(Thinking::Disabled, vec![]), (Thinking::Adaptive, vec!["thinking"])] {
        let request = foreign(|chat| chat.thinking = Some(thinking));
        assert!(write(&request).unwrap().get("reasoning_effort").is_none());
        assert_eq!(left_out(&request), noted);
    }
}

fn answer(dialect: Option<Dialect>) -> ChatOutput {
    let call = PartContent::ToolCall(ToolCall::function("a", "f", "{}"));
    let parts = vec![Part::text("hi"), Part { extra: extra(&[("caller", "{}")]), ..Part::from(call) }];
    let choice = Choice {
        parts,
        finish: Some(FinishReason::Other("pause_turn".into())),
        extra: extra(&[("stop_sequence", "\"END\""), ("x_choice", "1"), ("message", r#"{"x_message":1}"#)]),
        ..Choice::default()
    };
    let start = Start { id: Some("i".into()), model: Some("m".into()), created: Some(7) };
    ChatOutput { start, choices: vec![choice], usage: None, extra: extra(&[("container", "1")]), dialect }
}

#[test]
fn an_answer_of_another_dialect_is_written_without_its_unknown_fields() {
    let written = |dialect| {
        let request = LlmRequest::chat("m").user("x").build();
        let bytes = encode_answer(&Output::Chat(answer(dialect)), &Head::default(), &request);
        serde_json::from_slice::<Value>(&bytes).unwrap()
    };
    let call = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let message = json!({"role": "assistant", "content": "hi", "refusal": null, "tool_calls": [call]});
    let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": "pause_turn"});
    let expected =
        json!({"id": "i", "object": "chat.completion", "created": 7, "model": "m", "choices": [choice.clone()]});
    assert_eq!(written(Some(Dialect::Anthropic)), expected);

    let mut own = expected;
    own["container"] = 1.into();
    own["choices"][0]["x_choice"] = 1.into();
    own["choices"][0]["message"]["x_message"] = 1.into();
    own["choices"][0]["message"]["tool_calls"][0]["caller"] = json!({});
    assert_eq!(written(Some(Dialect::OpenAi)), own);
    assert_eq!(written(None), own, "which text ended the answer has no place here");
}

/// The data of a stream's frames; the last is `[DONE]` and left out.
fn chunks(stream: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stream).unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn deltas(events: Vec<Event>) -> Vec<Value> {
    let request = LlmRequest::chat("m").user("x").build();
    let (mut encoder, mut out) = (StreamEncoder::new(&Head::default(), &request), BytesMut::new());
    for event in events {
        encoder.encode(&Frame::new([ChoiceEvent { choice: 0, event }]), &mut out);
    }
    let deltas = chunks(&out).into_iter().map(|mut chunk| chunk["choices"][0]["delta"].take());
    deltas
        .map(|mut delta| {
            delta.as_object_mut().unwrap().remove("role");
            delta
        })
        .collect()
}

#[test]
fn a_signature_in_a_stream_comes_with_all_that_it_is_over() {
    let text = |text: &str| Event::Reasoning(ReasoningDelta::from(text.to_owned()));
    let signed = |text: &str, signature: &str| {
        Event::Reasoning(ReasoningDelta { text: text.into(), signature: Some(signature.into()), redacted: None })
    };
    let encrypted = |data: &str| {
        Event::Reasoning(ReasoningDelta { text: String::new(), signature: None, redacted: Some(data.into()) })
    };
    let told = deltas(vec![
        text("a"),
        text("b"),
        signed("", "s"),
        encrypted("e"),
        signed("c", "t"),
        text("unsigned"),
        Event::Text("x".into()),
        Event::Other(Other { kind: "stop_sequence".into(), json: json("\"END\"") }),
        signed("", "u"),
        text(""),
    ]);
    let detail = |index: u32, text: &str, signature: &str| json!([{"type": "reasoning.text", "text": text, "signature": signature, "index": index}]);
    let expected = [
        json!({"reasoning_content": "a"}),
        json!({"reasoning_content": "b"}),
        json!({"reasoning_details": detail(0, "ab", "s")}),
        json!({"reasoning_details": [{"type": "reasoning.encrypted", "data": "e", "index": 1}]}),
        json!({"reasoning_content": "c", "reasoning_details": detail(2, "c", "t")}),
        json!({"reasoning_content": "unsigned"}),
        json!({"content": "x"}),
        json!({"reasoning_details": detail(3, "", "u")}),
    ];
    assert_eq!(told, expected);
}

/// What a client of this dialect keeps of a stream: texts joined, lists one after the other.
fn kept_by_a_client(stream: &[u8]) -> Value {
    let mut texts: BTreeMap<&str, String> = BTreeMap::new();
    let mut details = Vec::new();
    for chunk in chunks(stream) {
        let delta = &chunk["choices"][0]["delta"];
        for name in ["content", "reasoning_content"] {
            texts.entry(name).or_default().push_str(delta[name].as_str().unwrap_or_default());
        }
        details.extend(delta["reasoning_details"].as_array().cloned().unwrap_or_default());
    }
    json!({"role": "assistant", "content": texts["content"], "reasoning_content": texts["reasoning_content"],
        "reasoning_details": details})
}

/// What Anthropic gets when a client of OpenAI's dialect sends a turn back.
fn sent_back_to_anthropic(turn: &Value) -> Value {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}, turn, {"role": "user", "content": "And?"}]});
    let request = decode_chat(Bytes::from(body.to_string())).unwrap();
    let written = anthropic::encode_request(&request, &EncodeOptions::new("m")).unwrap();
    serde_json::from_slice::<Value>(&written).unwrap()["messages"][1]["content"].take()
}

#[test]
fn signed_thinking_survives_a_client_of_this_dialect() {
    let expected = json!([
        {"type": "thinking", "thinking": "Two and two.", "signature": "c2lnbmVk"},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        {"type": "text", "text": "Four."},
    ]);
    let (mut cutter, mut decoder) = (sse::Decoder::new(), anthropic::StreamDecoder::new());
    cutter.push(Bytes::from(fixtures::read("anthropic/thinking.sse")));
    let request = LlmRequest::chat("m").user("hi").stream().build();
    let (mut encoder, mut stream) = (StreamEncoder::new(&Head::default(), &request), BytesMut::new());
    let mut whole = Accumulator::new();
    while let Some(frame) = cutter.next_frame().unwrap() {
        let frame = decoder.decode(frame).unwrap();
        encoder.encode(&frame, &mut stream);
        whole.push(frame);
    }
    assert_eq!(sent_back_to_anthropic(&kept_by_a_client(&stream)), expected, "as a stream");

    let answer = encode_answer(&Output::Chat(whole.finish()), &Head::default(), &request);
    let turn = serde_json::from_slice::<Value>(&answer).unwrap()["choices"][0]["message"].take();
    assert_eq!(sent_back_to_anthropic(&turn), expected, "as a whole answer");
}

#[test]
fn reasoning_of_a_request_is_read_as_signed_only_if_it_is() {
    let parts = |turn: &str| {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}},{turn}]}}"#);
        let request = decode_chat(Bytes::from(body)).unwrap();
        let llm_core::Payload::Chat(chat) = request.payload() else { panic!("a chat is a chat") };
        (chat.messages[1].parts.clone(), chat.messages[1].extra.clone())
    };
    let said = |text: &str, signature: Option<&str>| {
        let signature = signature.map(Into::into);
        Part::from(PartContent::Reasoning(Reasoning { text: text.into(), signature, redacted: None }))
    };
    let signed = r#"{"role":"assistant","reasoning":"ab","reasoning_details":[{"type":"reasoning.text","text":"ab","signature":"s"}]}"#;
    assert_eq!(parts(signed), (vec![said("ab", Some("s"))], Extra::new()));
    let unsigned = signed.replace(r#","signature":"s""#, "");
    let kept = extra(&[("reasoning_details", r#"[{"type":"reasoning.text","text":"ab"}]"#)]);
    assert_eq!(parts(&unsigned), (vec![said("ab", None)], kept));
    let odd = r#"{"role":"assistant","reasoning":"ab","reasoning_details":"s"}"#;
    assert_eq!(parts(odd), (vec![said("ab", None)], extra(&[("reasoning_details", "\"s\"")])));
}
