//! What simulated models answer.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, num::NonZeroU32, time::Duration};

use llm_core::{
    Chat, Choice, ErrorKind, FinishReason, Json, JsonSchema, LlmRequest, Message, Output, Part, PartContent, Payload,
    ReasoningEffort, ResponseFormat, Role, Stop, Tool, ToolChoice, ToolResult, Usage, catalog::Capability,
};
use llm_sim::{ModelConfig, Sim, SimConfig};
use serde_json::{Value, json};
use tower::ServiceExt;

fn sim(model: ModelConfig) -> Sim {
    Sim::try_from(SimConfig::new([model])).unwrap()
}

fn instant() -> ModelConfig {
    ModelConfig::instant("m")
}

async fn ask(sim: &Sim, request: LlmRequest) -> Output {
    sim.clone().oneshot(request).await.unwrap().body.collect().await.unwrap()
}

async fn choice(sim: &Sim, change: impl FnOnce(&mut Chat)) -> Choice {
    let request = LlmRequest::chat("m").user("What is the weather in Oslo?").with(change).build();
    let Output::Chat(mut chat) = ask(sim, request).await else { panic!("not a chat") };
    chat.choices.remove(0)
}

fn weather() -> Tool {
    let schema = json!({ "type": "object", "required": ["city"], "additionalProperties": false,
        "properties": { "city": { "type": "string" }, "days": { "type": "integer", "minimum": 1 } } });
    Tool::function("get_weather", "the weather", Json::from_value(&schema).unwrap())
}

fn clock() -> Tool {
    Tool::function("read_clock", "the time", Json::from_value(&json!({ "type": "object" })).unwrap())
}

fn called(choice: &Choice) -> Vec<String> {
    let calls = choice.parts.iter().filter_map(|part| match &part.content {
        PartContent::ToolCall(call) => Some(call.name.clone()),
        _ => None,
    });
    calls.collect()
}

#[tokio::test]
async fn the_same_seed_gives_the_same_answer_and_another_seed_another() {
    let question = || LlmRequest::chat("m").user("Why is the sky blue?").build();
    let first = ask(&sim(instant()), question()).await;
    assert_eq!(first, ask(&sim(instant()), question()).await);
    let config = SimConfig { seed: 2, ..SimConfig::new([instant()]) };
    let other = ask(&Sim::try_from(config).unwrap(), question()).await;
    assert_ne!(first.first_text(), other.first_text());
    let other = ask(&sim(instant()), LlmRequest::chat("m").user("Why is the sea blue?").build()).await;
    assert_ne!(first.first_text(), other.first_text());
}

#[tokio::test]
async fn a_streamed_answer_is_the_whole_answer_in_pieces() {
    let question = || LlmRequest::chat("m").user("Why is the sky blue?");
    let whole = ask(&sim(instant()), question().build()).await;
    let streamed = ask(&sim(instant()), question().stream().build()).await;
    assert_eq!(whole, streamed);
    let usage = whole.usage().unwrap();
    assert_eq!(usage.output, 60);
    assert_eq!(whole.first_text().split(' ').count(), 60);
    assert!(usage.input > 5);
}

#[tokio::test]
async fn the_prompt_is_never_repeated() {
    let request = LlmRequest::chat("m").user("canary").with(|chat| chat.tools = vec![clock()]).build();
    let text = format!("{:?}", ask(&sim(instant()), request).await);
    assert!(!text.contains("canary"));
    let request = LlmRequest::chat("m").user("canary").build();
    assert!(!ask(&sim(instant()), request).await.first_text().contains("canary"));
}

#[tokio::test]
async fn the_limit_on_output_cuts_whatever_is_said() {
    let sim = sim(instant());
    let cut = choice(&sim, |chat| chat.max_output_tokens = Some(7)).await;
    assert_eq!((cut.text().split(' ').count(), cut.finish), (7, Some(FinishReason::Length)));
    let cut = choice(&sim, |chat| {
        chat.max_output_tokens = Some(2);
        chat.tools = vec![weather()];
    });
    assert_eq!(cut.await.finish, Some(FinishReason::Length));

    let mut request = LlmRequest::chat("m").user("hi").max_output_tokens(50).build();
    request.context_mut().lower_output_ceiling(3);
    assert_eq!(ask(&sim, request).await.usage().unwrap().output, 3);
}

#[tokio::test]
async fn a_stop_text_ends_the_answer_before_it() {
    let sim = sim(instant());
    let stopped = choice(&sim, |chat| chat.stop = Stop(vec!["nowhere".into(), "answer by".into()])).await;
    assert_eq!(stopped.text(), "Simulated ");
    assert_eq!(stopped.finish, Some(FinishReason::Stop));
}

#[tokio::test]
async fn several_answers_differ_and_are_all_charged() {
    let request = LlmRequest::chat("m").user("hi").with(|chat| chat.n = NonZeroU32::new(3)).stream().build();
    let Output::Chat(chat) = ask(&sim(instant()), request).await else { panic!("not a chat") };
    let texts: BTreeSet<_> = chat.choices.iter().map(Choice::text).collect();
    assert_eq!((texts.len(), chat.usage.unwrap().output), (3, 180));
}

#[tokio::test]
async fn lengths_are_spread_around_the_average() {
    let sim = sim(ModelConfig { output_tokens: 100, output_spread: 0.5, ..instant() });
    let mut lengths = Vec::new();
    for number in 0..400 {
        let request = LlmRequest::chat("m").user(format!("question {number}")).build();
        lengths.push(ask(&sim, request).await.usage().unwrap().output);
    }
    let average = lengths.iter().sum::<u64>() / 400;
    assert!((85..=115).contains(&average), "{average}");
    assert!(lengths.iter().any(|length| *length < 60) && lengths.iter().any(|length| *length > 150));
}

#[tokio::test]
async fn tools_are_called_with_arguments_that_fit() {
    let sim = sim(instant());
    for question in 0..30 {
        let request = LlmRequest::chat("m").user(format!("weather {question}")).tool(weather()).stream().build();
        let Output::Chat(chat) = ask(&sim, request).await else { panic!("not a chat") };
        let choice = &chat.choices[0];
        assert_eq!(choice.finish, Some(FinishReason::ToolCalls));
        let PartContent::ToolCall(call) = &choice.parts[0].content else { panic!("no call") };
        assert!(call.id.starts_with("call_"));
        let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
        assert!(arguments["city"].is_string(), "{arguments}");
    }
}

#[tokio::test]
async fn which_tools_are_called_is_the_callers_choice() {
    let sim = sim(instant());
    let with = |choice: Option<ToolChoice>, parallel: Option<bool>| {
        move |chat: &mut Chat| {
            chat.messages = vec![Message::text(Role::User, "Read the clock, then the weather.")];
            chat.tools = vec![weather(), clock()];
            chat.tool_choice = choice;
            chat.parallel_tool_calls = parallel;
        }
    };
    assert_eq!(called(&choice(&sim, with(None, None)).await), ["get_weather", "read_clock"]);
    assert_eq!(called(&choice(&sim, with(Some(ToolChoice::Auto), Some(false))).await).len(), 1);
    assert!(called(&choice(&sim, with(Some(ToolChoice::None), None)).await).is_empty());
    let named = Some(ToolChoice::Function("read_clock".into()));
    assert_eq!(called(&choice(&sim, with(named, None)).await), ["read_clock"]);
    let allowed = json!({ "type": "allowed_tools", "allowed_tools": { "mode": "auto",
        "tools": [{ "type": "function", "function": { "name": "read_clock" } }] } });
    let allowed = Some(ToolChoice::Other(Json::from_value(&allowed).unwrap()));
    assert_eq!(called(&choice(&sim, with(allowed, None)).await), ["read_clock"]);
}

#[tokio::test]
async fn once_a_tool_has_answered_the_model_does_too() {
    let sim = sim(instant());
    let result = |tool_choice: Option<ToolChoice>| {
        move |chat: &mut Chat| {
            let content = ToolResult { call_id: "c".into(), content: vec![Part::text("sunny")], is_error: false };
            chat.messages.push(Message::new(Role::Tool, vec![PartContent::ToolResult(content).into()]));
            chat.tools = vec![weather()];
            chat.tool_choice = tool_choice;
        }
    };
    let answered = choice(&sim, result(None)).await;
    assert!(called(&answered).is_empty() && !answered.text().is_empty());
    assert_eq!(called(&choice(&sim, result(Some(ToolChoice::Required))).await), ["get_weather"]);
    let asked_again = |chat: &mut Chat| {
        result(None)(chat);
        chat.messages.push(Message::text(Role::User, "And the weather tomorrow?"));
    };
    assert_eq!(called(&choice(&sim, asked_again).await), ["get_weather"]);
}

#[tokio::test]
async fn structured_answers_fit_their_schema() {
    let sim = sim(instant());
    let schema = json!({ "type": "object", "required": ["name", "tags"], "additionalProperties": false,
        "properties": { "name": { "type": "string" }, "tags": { "type": "array", "items": { "enum": ["a", "b"] } } } });
    let structured = choice(&sim, |chat| {
        let schema = Json::from_value(&schema).unwrap();
        let (name, description, strict) = (Some("thing".into()), None, Some(true));
        let format = JsonSchema { name, description, schema, strict, extra: Default::default() };
        chat.response_format = Some(ResponseFormat::JsonSchema(format));
    });
    let value: Value = serde_json::from_str(&structured.await.text()).unwrap();
    assert!(jsonschema::is_valid(&schema, &value), "{value}");
    let object = choice(&sim, |chat| chat.response_format = Some(ResponseFormat::JsonObject)).await;
    assert!(serde_json::from_str::<Value>(&object.text()).unwrap().is_object());
}

#[tokio::test]
async fn a_reasoning_model_reasons_as_much_as_it_may() {
    let mut model = instant();
    model.capabilities.insert(Capability::Reasoning);
    let sim = sim(model);
    let reasoned = |effort: ReasoningEffort| {
        let request = LlmRequest::chat("m").user("hi").with(|chat| chat.reasoning_effort = Some(effort)).build();
        async { *ask(&sim, request).await.usage().unwrap() }
    };
    let Usage { reasoning, output, .. } = reasoned(ReasoningEffort::High).await;
    assert_eq!((reasoning, output), (64, 124));
    assert_eq!(reasoned(ReasoningEffort::Low).await.reasoning, 16);
    assert_eq!(reasoned(ReasoningEffort::None).await.reasoning, 0);
}

#[tokio::test]
async fn vectors_have_length_one_and_are_alike_for_texts_alike() {
    let sim = sim(ModelConfig { first_token: Duration::ZERO, ..ModelConfig::embedding("m", 64) });
    let texts = ["the cat sat on the mat", "a cat sat on a mat", "interest rates rose in March"];
    let Output::Embed(embed) = ask(&sim, LlmRequest::embed("m", texts)).await else { panic!("no vectors") };
    let product = |one: usize, other: usize| -> f32 {
        embed.vectors[one].0.iter().zip(&embed.vectors[other].0).map(|(one, other)| one * other).sum()
    };
    assert!((product(0, 0) - 1.0).abs() < 1e-5 && embed.vectors[0].0.len() == 64);
    assert!(product(0, 1) > product(0, 2) + 0.3, "{} {}", product(0, 1), product(0, 2));
    assert!(embed.usage.unwrap().input > 10);

    let mut shorter = LlmRequest::embed("m", ["a cat"]);
    let Payload::Embed(asked) = shorter.payload_mut() else { panic!("no embed") };
    asked.dimensions = Some(8);
    let Output::Embed(embed) = ask(&sim, shorter).await else { panic!("no vectors") };
    assert_eq!(embed.vectors[0].0.len(), 8);
}

#[tokio::test]
async fn what_a_model_cannot_do_is_refused_as_providers_do() {
    let small = ModelConfig { context_window: 20, capabilities: BTreeSet::new(), ..instant() };
    let embedding = ModelConfig { first_token: Duration::ZERO, ..ModelConfig::embedding("e", 8) };
    let sim = Sim::try_from(SimConfig::new([small, embedding])).unwrap();
    let kind = |request: LlmRequest| {
        let sim = sim.clone();
        async move { sim.oneshot(request).await.unwrap_err().kind() }
    };
    let chat = |model: &'static str| LlmRequest::chat(model).user("hi");
    assert_eq!(kind(chat("nobody").build()).await, ErrorKind::ModelNotFound);
    assert_eq!(kind(chat("m").user("many words ".repeat(30)).build()).await, ErrorKind::ContextLength);
    assert_eq!(kind(chat("m").tool(clock()).build()).await, ErrorKind::InvalidRequest);
    assert_eq!(kind(chat("e").build()).await, ErrorKind::InvalidRequest);
    assert_eq!(kind(LlmRequest::embed("m", ["hi"])).await, ErrorKind::InvalidRequest);
    assert_eq!(kind(LlmRequest::embed("e", Vec::<String>::new())).await, ErrorKind::InvalidRequest);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_refuses_with_the_time_to_wait() {
    let sim = sim(ModelConfig { requests_per_minute: Some(1), ..instant() });
    let question = || LlmRequest::chat("m").user("hi").build();
    let response = sim.clone().oneshot(question()).await.unwrap();
    assert_eq!(response.head.rate_limits.unwrap().requests.remaining, Some(0));
    let error = sim.clone().oneshot(question()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimited, Some(Duration::from_secs(60))));
    tokio::time::advance(Duration::from_secs(60)).await;
    sim.clone().oneshot(question()).await.unwrap();
}
