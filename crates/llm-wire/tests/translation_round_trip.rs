//! A chat that is translated there and back is equal in everything that `TRANSLATION.md` calls carried.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use llm_core::{
    Chat, Error, Extra, File, Image, Json, JsonSchema, LlmRequest, Message, Part, PartContent, Payload, Reasoning,
    ReasoningEffort, ResponseFormat, Role, Sampling, Source, Stop, Tool, ToolCall, ToolChoice, ToolResult,
};
use llm_wire::{
    EncodeOptions, anthropic,
    openai::{self, Variant},
};
use proptest::{collection::vec, option, prelude::*};

/// Text with everything that needs escaping or more than one byte, and never blank.
fn text() -> impl Strategy<Value = String> {
    "[a-z\"\\\\\n\t {}:ü🌍\u{2028}]{0,11}[a-z]"
}

fn name() -> impl Strategy<Value = String> {
    "[a-z_]{1,8}"
}

fn object() -> impl Strategy<Value = String> {
    (name(), text()).prop_map(|(name, text)| serde_json::json!({ name: text, "number": 1.5 }).to_string())
}

fn schema() -> impl Strategy<Value = Json> {
    (name(), text()).prop_map(|(name, text)| {
        Json::from_value(&serde_json::json!({ "type": "object", format!("x_{name}"): text })).unwrap()
    })
}

fn text_part() -> impl Strategy<Value = Part> {
    text().prop_map(Part::text)
}

fn user_part() -> impl Strategy<Value = Part> {
    let image = prop_oneof![
        name().prop_map(|name| Source::Url(format!("https://x.test/{name}"))),
        "[A-Za-z0-9]{1,8}".prop_map(|data| Source::Data { media_type: "image/png".into(), data }),
    ];
    let file = ("[A-Za-z0-9]{1,8}", name().prop_map(Some)).prop_map(|(data, filename)| {
        PartContent::File(File { source: Source::Data { media_type: "application/pdf".into(), data }, filename })
    });
    prop_oneof![
        3 => text_part(),
        1 => image.prop_map(|source| PartContent::Image(Image { source, detail: None }).into()),
        1 => file.prop_map(Part::from),
    ]
}

fn reasoning() -> impl Strategy<Value = Part> {
    let signed =
        (text(), name()).prop_map(|(text, signature)| Reasoning { text, signature: Some(signature), redacted: None });
    let redacted = name().prop_map(|data| Reasoning { redacted: Some(data), ..Reasoning::default() });
    prop_oneof![signed, redacted].prop_map(|reasoning| PartContent::Reasoning(reasoning).into())
}

fn tool_call() -> impl Strategy<Value = Part> {
    ("[a-zA-Z0-9_-]{1,8}", name(), object())
        .prop_map(|(id, name, arguments)| PartContent::ToolCall(ToolCall::function(id, name, arguments)).into())
}

fn turn() -> impl Strategy<Value = Message> {
    let assistant = (vec(reasoning(), 0..3), vec(text_part(), 0..3), vec(tool_call(), 0..3))
        .prop_map(|(reasoning, texts, calls)| [reasoning, texts, calls].concat())
        .prop_filter("a turn says something", |parts| !parts.is_empty());
    let result = ("[a-zA-Z0-9_-]{1,8}", vec(text_part(), 1..3)).prop_map(|(call_id, content)| {
        vec![PartContent::ToolResult(ToolResult { call_id, content, is_error: false }).into()]
    });
    prop_oneof![
        vec(user_part(), 1..4).prop_map(|parts| Message::new(Role::User, parts)),
        assistant.prop_map(|parts| Message::new(Role::Assistant, parts)),
        result.prop_map(|parts| Message::new(Role::Tool, parts)),
    ]
}

fn tools() -> impl Strategy<Value = (Vec<Tool>, Option<ToolChoice>, Option<bool>)> {
    let tool =
        (name(), text(), schema()).prop_map(|(name, description, schema)| Tool::function(name, description, schema));
    let choice =
        prop_oneof![Just(ToolChoice::Auto), Just(ToolChoice::Required), name().prop_map(ToolChoice::Function),];
    let chosen = (vec(tool, 1..3), choice, option::of(any::<bool>()))
        .prop_map(|(tools, choice, parallel)| (tools, Some(choice), parallel));
    prop_oneof![Just((Vec::new(), None, None)), chosen]
}

fn effort() -> impl Strategy<Value = ReasoningEffort> {
    prop_oneof![
        Just(ReasoningEffort::Low),
        Just(ReasoningEffort::Medium),
        Just(ReasoningEffort::High),
        Just(ReasoningEffort::XHigh),
        Just(ReasoningEffort::Max),
    ]
}

fn format() -> impl Strategy<Value = ResponseFormat> {
    schema().prop_map(|schema| {
        let (name, extra) = (Some("answer".into()), Extra::new());
        ResponseFormat::JsonSchema(JsonSchema { name, description: None, schema, strict: None, extra })
    })
}

prop_compose! {
    fn chat()(
        system in vec(text_part(), 0..3),
        messages in vec(turn(), 1..6),
        (tools, tool_choice, parallel_tool_calls) in tools(),
        response_format in option::of(format()),
        temperature in option::of(0.0..=1.0_f64),
        top_p in option::of(0.0..=1.0_f64),
        limit in 1..100_000_u64,
        stop in vec(text(), 0..3),
        stream in any::<bool>(),
        reasoning_effort in option::of(effort()),
    ) -> Chat {
        Chat {
            system: if system.is_empty() { Vec::new() } else { vec![Message::new(Role::System, system)] },
            messages,
            tools,
            tool_choice,
            parallel_tool_calls,
            response_format,
            sampling: Sampling { temperature, top_p, ..Sampling::default() },
            max_output_tokens: Some(limit),
            stop: Stop(stop),
            stream,
            reasoning_effort,
            ..Chat::default()
        }
    }
}

/// The forms in which both dialects say the same are one: results of tools are messages of their own, texts but the
/// user's are joined, schemas have the name that OpenAI wants, and streams report.
fn plain(request: &LlmRequest) -> Chat {
    let Payload::Chat(chat) = request.payload() else { panic!("a chat is a chat") };
    let mut chat = chat.clone();
    let mut messages = Vec::new();
    for message in std::mem::take(&mut chat.messages) {
        let is_result = |part: &Part| matches!(part.content, PartContent::ToolResult(_));
        let (results, others): (Vec<_>, Vec<_>) = message.parts.into_iter().partition(is_result);
        messages.extend(results.into_iter().map(|result| Message::new(Role::Tool, vec![result])));
        if !others.is_empty() {
            messages.push(Message { parts: others, ..message });
        }
    }
    for message in chat.system.iter_mut().chain(&mut messages) {
        match message.role {
            Role::System => join(&mut message.parts, "\n\n"),
            Role::Assistant => join(&mut message.parts, ""),
            Role::Tool => message.parts.iter_mut().for_each(|part| {
                if let PartContent::ToolResult(result) = &mut part.content {
                    join(&mut result.content, "\n\n");
                }
            }),
            Role::User | Role::Developer => {}
        }
    }
    if let Some(ResponseFormat::JsonSchema(schema)) = &mut chat.response_format {
        schema.name = Some("answer".into());
    }
    Chat { messages, include_usage: chat.stream, extra: Extra::new(), dialect: None, ..chat }
}

/// OpenAI's dialect has one text where Anthropic's has blocks of it.
fn join(parts: &mut Vec<Part>, separator: &str) {
    let mut joined: Vec<Part> = Vec::new();
    for part in parts.drain(..) {
        match (joined.last_mut().map(|last| &mut last.content), part.as_text()) {
            (Some(PartContent::Text(known)), Some(text)) => {
                known.push_str(separator);
                known.push_str(text);
            }
            _ => joined.push(part),
        }
    }
    *parts = joined;
}

fn options() -> EncodeOptions<'static> {
    EncodeOptions { variant: &Variant::OPENROUTER, ..EncodeOptions::new("m") }
}

fn through_anthropic(request: &LlmRequest) -> Result<LlmRequest, Error> {
    anthropic::decode_messages(anthropic::encode_request(request, &options())?)
}

fn through_openai(request: &LlmRequest) -> Result<LlmRequest, Error> {
    openai::decode_chat(openai::encode_request(request, &options())?)
}

proptest! {
    #[test]
    fn there_and_back_is_the_same(chat in chat()) {
        let request = LlmRequest::new("m", Payload::Chat(chat));
        let known = plain(&request);
        let from_anthropic = through_openai(&through_anthropic(&request).unwrap()).unwrap();
        prop_assert_eq!(&plain(&from_anthropic), &known);
        let from_openai = through_anthropic(&through_openai(&request).unwrap()).unwrap();
        prop_assert_eq!(&plain(&from_openai), &known);
    }

    #[test]
    fn translating_again_changes_nothing(chat in chat()) {
        let request = LlmRequest::new("m", Payload::Chat(chat));
        // Before that, blocks of text become one.
        let joined = through_openai(&through_anthropic(&request).unwrap()).unwrap();
        let once = anthropic::encode_request(&joined, &options()).unwrap();
        let read = anthropic::decode_messages(Bytes::clone(&once)).unwrap();
        let again = anthropic::encode_request(&through_openai(&read).unwrap(), &options()).unwrap();
        prop_assert_eq!(again, once);
    }
}
