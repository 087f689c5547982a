//! One of the answers asked for with `n`.

use fastrand::Rng;
use llm_core::{
    Chat, Event, FinishReason, ReasoningDelta, ReasoningEffort, ResponseFormat, Thinking, ToolCallDelta,
    catalog::Capability,
};
use serde_json::json;

use super::{finish_within, is_anthropic, prose, tools};
use crate::{ModelConfig, schema, seed::Seed, signature};

/// Characters of JSON to a token: what common tokenizers come to on compact JSON.
const JSON_TOKEN: usize = 4;

/// What is said, a token in each piece, and why it ends.
pub(super) struct Spoken {
    pub(super) pieces: Vec<Event>,
    pub(super) finish: FinishReason,
    /// The stop text that it met, for callers whose dialect tells.
    pub(super) met: Option<String>,
}

impl Spoken {
    pub(super) fn new(model: &ModelConfig, chat: &Chat, limit: Option<u64>, seed: &Seed) -> Self {
        // Thoughts are drawn apart, so that the same is said after few, many or none.
        let mut pieces = reasoning(model, chat, &mut seed.with("reasoning").rng());
        let rng = &mut seed.rng();
        let calls = tools::to_call(chat, rng);
        let mut met = None;
        let finish = if calls.is_empty() {
            let tokens;
            (tokens, met) = text(model, chat, rng);
            pieces.extend(tokens.into_iter().map(Event::Text));
            FinishReason::Stop
        } else {
            for (index, function) in (0..).zip(calls) {
                call(chat, index, function, rng, &mut pieces);
            }
            FinishReason::ToolCalls
        };
        let finish = finish_within(&mut pieces, limit, finish);
        let met = met.filter(|_| finish == FinishReason::Stop && is_anthropic(chat));
        Self { pieces, finish, met }
    }

    pub(super) fn tokens(&self) -> u64 {
        self.pieces.len() as u64
    }

    pub(super) fn reasoning_tokens(&self) -> u64 {
        self.pieces.iter().filter(|piece| matches!(piece, Event::Reasoning(_))).count() as u64
    }
}

fn reasoning(model: &ModelConfig, chat: &Chat, rng: &mut Rng) -> Vec<Event> {
    if !model.can(Capability::Reasoning) {
        return Vec::new();
    }
    let tokens = match effort(chat) {
        ReasoningEffort::None => 0,
        ReasoningEffort::Minimal => 8,
        ReasoningEffort::Low => 16,
        ReasoningEffort::Medium | ReasoningEffort::Other(_) => 32,
        ReasoningEffort::High => 64,
        ReasoningEffort::XHigh => 96,
        ReasoningEffort::Max => 128,
    };
    let mut thoughts: Vec<_> = prose::thoughts(tokens, rng).into_iter().map(ReasoningDelta::from).collect();
    let text: String = thoughts.iter().map(|thought| thought.text.as_str()).collect();
    if let Some(last) = thoughts.last_mut() {
        last.signature = Some(signature::sign(&text));
    }
    thoughts.into_iter().map(Event::Reasoning).collect()
}

/// How much there is to think.
fn effort(chat: &Chat) -> ReasoningEffort {
    match (chat.thinking, &chat.reasoning_effort) {
        (Some(Thinking::Disabled), _) => ReasoningEffort::None,
        (_, Some(effort)) => effort.clone(),
        (Some(Thinking::Budget(..2_048)), None) => ReasoningEffort::Low,
        (Some(Thinking::Budget(8_192..)), None) => ReasoningEffort::High,
        (Some(Thinking::Budget(_) | Thinking::Adaptive), None) => ReasoningEffort::Medium,
        (None, None) if is_anthropic(chat) => ReasoningEffort::None,
        (None, None) => ReasoningEffort::Medium,
    }
}

/// What is said, and the stop text that ended it.
fn text(model: &ModelConfig, chat: &Chat, rng: &mut Rng) -> (Vec<String>, Option<String>) {
    let mut tokens = match &chat.response_format {
        Some(ResponseFormat::JsonSchema(format)) => {
            // What came through a door is JSON already; a schema that is not says nothing, and anything fits it.
            let schema = format.schema.parse().unwrap_or(serde_json::Value::Bool(true));
            json_tokens(&schema::generate(&schema, rng).to_string())
        }
        Some(ResponseFormat::JsonObject) => {
            let answer = prose::answer(&model.name, length(model, rng), rng).concat();
            json_tokens(&json!({ "answer": answer, "confidence": f64::from(rng.u8(50..100)) / 100.0 }).to_string())
        }
        Some(ResponseFormat::Text | ResponseFormat::Other(_)) | None => {
            prose::answer(&model.name, length(model, rng), rng)
        }
    };
    let said = tokens.concat();
    let stops = chat.stop.0.iter().filter(|stop| !stop.is_empty());
    let met = stops.filter_map(|stop| Some((said.find(stop.as_str())?, stop))).min_by_key(|(end, _)| *end);
    if let Some((end, _)) = met {
        cut_at(&mut tokens, end);
    }
    (tokens, met.map(|(_, stop)| stop.clone()))
}

/// Cuts the text after `end` bytes.
fn cut_at(tokens: &mut Vec<String>, mut end: usize) {
    for at in 0..tokens.len() {
        if tokens[at].len() >= end {
            tokens[at].truncate(end);
            tokens.truncate(if end == 0 { at } else { at + 1 });
            return;
        }
        end -= tokens[at].len();
    }
}

/// The length of a text answer: log-normal around the model's average.
fn length(model: &ModelConfig, rng: &mut Rng) -> usize {
    let spread = model.output_spread;
    // Box and Muller's way from two uniform numbers to a normal one; 1 - u keeps the logarithm finite.
    let normal = (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (std::f64::consts::TAU * rng.f64()).cos();
    let tokens = model.output_tokens as f64 * (spread * normal - spread * spread / 2.0).exp();
    // However long an average is asked for, an answer stays below a million tokens.
    (tokens.round() as usize).clamp(1, 1_000_000)
}

fn call(chat: &Chat, index: u32, function: &llm_core::Function, rng: &mut Rng, pieces: &mut Vec<Event>) {
    let schema = function.parameters.as_ref().and_then(|schema| schema.parse().ok());
    let schema = schema.unwrap_or_else(|| json!({ "type": "object", "maxProperties": 0 }));
    let arguments = schema::generate(&schema, rng).to_string();
    let prefix = if is_anthropic(chat) { "toolu_" } else { "call_" };
    pieces.push(Event::ToolCall(ToolCallDelta {
        index,
        id: Some(format!("{prefix}{:016x}", rng.u64(..))),
        name: Some(function.name.clone()),
        ..ToolCallDelta::default()
    }));
    pieces.extend(
        json_tokens(&arguments)
            .into_iter()
            .map(|arguments| Event::ToolCall(ToolCallDelta { index, arguments, ..ToolCallDelta::default() })),
    );
}

fn json_tokens(json: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut token = String::new();
    for (at, char) in json.chars().enumerate() {
        if at > 0 && at % JSON_TOKEN == 0 {
            tokens.push(std::mem::take(&mut token));
        }
        token.push(char);
    }
    tokens.push(token);
    tokens
}
