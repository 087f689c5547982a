//! `Debug` of nothing public shows a prompt, an answer or a key.

#![allow(clippy::unwrap_used)]

use std::{fmt::Debug, time::Duration};

use llm_core::{
    Again, AttemptRecord, Audio, Body, Caller, ChatOutput, Choice, Context, Detail, Dialect, Embed, EmbedInput,
    EmbedOutput, Error, ErrorKind, Event, Extra, File, Frame, Function, Head, Image, Json, JsonSchema, LlmRequest,
    LlmResponse, Message, Other, Output, Part, PartContent, Payload, Reasoning, ReasoningDelta, ResponseFormat, Role,
    Source, Stop, TextCount, Tool, ToolCall, ToolCallDelta, ToolChoice, ToolKind, ToolResult, Vector, Wire,
};

const CANARY: &str = "canary-7f3a";

fn check(value: &dyn Debug) {
    for shown in [format!("{value:?}"), format!("{value:#?}")] {
        assert!(!shown.contains(CANARY), "content is shown: {shown}");
    }
}

fn canary() -> String {
    format!("before {CANARY} after")
}

fn json() -> Json {
    Json::from_value(&canary()).unwrap()
}

fn extra() -> Extra {
    let mut extra = Extra::new();
    extra.insert("field", json());
    extra
}

fn other() -> Other {
    Other { kind: "kind".to_owned(), json: json() }
}

fn parts() -> Vec<Part> {
    let call = ToolCall::function(canary(), "tool", canary());
    let contents = [
        PartContent::Text(canary()),
        PartContent::Refusal(canary()),
        PartContent::Reasoning(Reasoning { text: canary(), signature: Some(canary()), redacted: Some(canary()) }),
        PartContent::Image(Image { source: Source::Url(canary()), detail: None }),
        PartContent::Image(Image { source: Source::File(canary()), detail: None }),
        PartContent::Audio(Audio { data: canary(), format: "wav".to_owned() }),
        PartContent::File(File {
            source: Source::Data { media_type: "text/plain".to_owned(), data: canary() },
            filename: Some(canary()),
        }),
        PartContent::ToolCall(call),
        PartContent::ToolResult(ToolResult { call_id: canary(), content: vec![Part::text(canary())], is_error: false }),
        PartContent::Other(other()),
    ];
    contents.into_iter().map(|content| Part { extra: extra(), ..Part::from(content) }).collect()
}

fn request() -> LlmRequest {
    let schema = JsonSchema { name: None, description: Some(canary()), schema: json(), strict: None, extra: extra() };
    let function =
        Function { name: "tool".to_owned(), description: Some(canary()), parameters: Some(json()), strict: None };
    LlmRequest::chat("model")
        .system(canary())
        .message(Message { extra: extra(), ..Message::new(Role::User, parts()) })
        .tool(Tool { kind: ToolKind::Function(function), cache: None, extra: extra() })
        .tool(Tool { kind: ToolKind::Other(other()), cache: None, extra: extra() })
        .with(|chat| {
            chat.tool_choice = Some(ToolChoice::Other(json()));
            chat.response_format = Some(ResponseFormat::JsonSchema(schema));
            chat.sampling.logit_bias = Some(json());
            chat.stop = Stop(vec![canary()]);
            chat.extra = extra();
        })
        .build()
        .with_wire(Dialect::OpenAi, canary().into())
}

fn output() -> Output {
    let choice = Choice { parts: parts(), logprobs: Some(json()), extra: extra(), ..Choice::default() };
    Output::Chat(ChatOutput { choices: vec![choice], extra: extra(), ..ChatOutput::default() })
}

#[tokio::test]
async fn content_is_never_shown() {
    let request = request();
    check(&request);
    check(request.payload());
    check(request.context());
    check(&LlmRequest::chat("model").system(canary()).user(canary()));
    check(&Payload::Embed(Embed { input: vec![EmbedInput::Text(canary())], extra: extra(), ..Embed::default() }));
    let Payload::Chat(chat) = request.payload().clone() else { panic!("a chat is a chat") };
    check(&Payload::CountTokens(chat));
    check(&output());
    check(&Output::from(EmbedOutput { vectors: vec![Vector(vec![0.5])], extra: extra(), ..EmbedOutput::default() }));
    check(&LlmResponse::new(Head::default(), Body::full(output()).with_wire(Dialect::OpenAi, canary().into())));
    check(&Wire { dialect: Dialect::OpenAi, bytes: canary().into() });
    let mut count = TextCount::default();
    count.add(&canary());
    check(&count);

    let events = [
        Event::Text(canary()),
        Event::Refusal(canary()),
        Event::Reasoning(ReasoningDelta { text: canary(), signature: Some(canary()), redacted: Some(canary()) }),
        Event::ToolCall(ToolCallDelta { id: Some(canary()), arguments: canary(), ..ToolCallDelta::default() }),
        Event::Logprobs(json()),
        Event::Other(other()),
    ];
    let mut whole = llm_core::Accumulator::new();
    for event in events {
        let frame = Frame::event(event).with_wire(Dialect::OpenAi, canary().into());
        check(&frame);
        whole.push(frame);
    }
    check(&whole);
}

#[tokio::test]
async fn what_goes_wrong_shows_where_and_why_but_no_content() {
    let mut context = Context::default();
    context.set_caller(Caller::tenant("acme"));
    let trail = context.trail();
    trail.update(0, |attempt: &mut AttemptRecord| attempt.reason = Again::Retry);
    let error = Error::new(ErrorKind::Server, "the provider failed")
        .with_source(canary())
        .with_detail(Detail { kind: Some(canary()), code: Some(canary()), param: Some(canary()) })
        .with_retry_after(Duration::from_secs(1))
        .with_trail(trail);
    check(&error);
    check(&context);
    assert!(format!("{error:?}").contains("Server"));
    assert!(format!("{context:?}").contains("acme"));
}
