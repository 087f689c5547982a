//! What Anthropic refuses although it can be read, as the API reference and recorded answers have it.
//!
//! A gateway that translates must not send any of this, so that it is found out here and not by a provider.

mod turns;

use http::HeaderMap;
use llm_core::{Chat, LlmRequest, Part, PartContent, Payload, ReasoningEffort, Role, Thinking};

use super::dialect::VERSION_HEADER;
use crate::{prompt_cache::marks, refusal::Refusal};

/// The versions of the API that there are.
const VERSIONS: [&str; 3] = ["2023-01-01", "2023-06-01", "2026-10-21"];

/// The most marks for the prompt cache in one request.
const MOST_MARKS: usize = 4;

/// The least that can be asked for in `budget_tokens`.
const LEAST_BUDGET: u64 = 1_024;

/// Refuses a request that does not say which version of the API it is for.
pub(super) fn check_version(headers: &HeaderMap) -> Result<(), Refusal> {
    match headers.get(VERSION_HEADER).map(|value| value.to_str()) {
        None => Err(invalid("anthropic-version: header is required")),
        Some(Ok(version)) if VERSIONS.contains(&version) => Ok(()),
        Some(_) => Err(invalid("anthropic-version: not a valid version")),
    }
}

/// Refuses a request that breaks a rule.
pub(super) fn check(request: &LlmRequest, headers: &HeaderMap) -> Result<(), Refusal> {
    let (Payload::Chat(chat) | Payload::CountTokens(chat)) = request.payload() else { return Ok(()) };
    check_sampling(chat)?;
    check_thinking(chat, headers)?;
    check_marks(chat)?;
    check_content(chat)?;
    turns::check(&chat.messages)
}

fn check_sampling(chat: &Chat) -> Result<(), Refusal> {
    for (name, value) in [("temperature", chat.sampling.temperature), ("top_p", chat.sampling.top_p)] {
        if value.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
            return Err(invalid(&format!("{name}: range: 0..1")));
        }
    }
    Ok(())
}

fn check_thinking(chat: &Chat, headers: &HeaderMap) -> Result<(), Refusal> {
    match chat.thinking {
        // A kind that nobody knows is left among the fields that nobody knows.
        None if chat.extra.get("thinking").is_some() => {
            return Err(invalid("thinking.type: expected `adaptive`, `disabled` or `enabled`"));
        }
        Some(Thinking::Budget(budget)) if budget < LEAST_BUDGET => {
            return Err(invalid("thinking.enabled.budget_tokens: must be at least 1024"));
        }
        // Between calls of tools the model thinks anew, and may exceed the limit of one answer in sum.
        Some(Thinking::Budget(budget)) if !has_beta(headers, "interleaved-thinking") => {
            if chat.max_output_tokens.is_some_and(|limit| budget >= limit) {
                return Err(invalid("`max_tokens` must be greater than `thinking.budget_tokens`"));
            }
        }
        Some(Thinking::Budget(_) | Thinking::Adaptive | Thinking::Disabled) | None => {}
    }
    match &chat.reasoning_effort {
        Some(ReasoningEffort::None | ReasoningEffort::Minimal | ReasoningEffort::Other(_)) => {
            Err(invalid("output_config.effort: must be one of `low`, `medium`, `high`, `xhigh`, `max`"))
        }
        Some(
            ReasoningEffort::Low
            | ReasoningEffort::Medium
            | ReasoningEffort::High
            | ReasoningEffort::XHigh
            | ReasoningEffort::Max,
        )
        | None => Ok(()),
    }
}

fn has_beta(headers: &HeaderMap, beginning: &str) -> bool {
    let values = headers.get_all("anthropic-beta").into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|name| name.trim().starts_with(beginning))
}

fn check_marks(chat: &Chat) -> Result<(), Refusal> {
    let found = marks(chat);
    if found > MOST_MARKS {
        let message = format!("A maximum of {MOST_MARKS} blocks with cache_control may be provided. Found {found}.");
        return Err(invalid(&message));
    }
    // A mark that could be read is not among the fields that nobody knows.
    let is_odd = |part: &Part| part.extra.get("cache_control").is_some_and(|json| json.get() != "null");
    match parts(chat).any(is_odd) {
        true => Err(invalid("cache_control: expected type `ephemeral` and ttl `5m` or `1h`")),
        false => Ok(()),
    }
}

fn check_content(chat: &Chat) -> Result<(), Refusal> {
    let is_blank = |part: &Part| matches!(&part.content, PartContent::Text(text) if text.trim().is_empty());
    let last = chat.messages.len().saturating_sub(1);
    for (at, message) in chat.messages.iter().enumerate() {
        let may_be_empty = at == last && message.role == Role::Assistant;
        if message.parts.is_empty() && !may_be_empty {
            return Err(invalid(&format!("messages.{at}: all messages must have non-empty content")));
        }
    }
    match parts(chat).any(is_blank) {
        true => Err(invalid("messages: text content blocks must be non-empty")),
        false => Ok(()),
    }
}

fn parts(chat: &Chat) -> impl Iterator<Item = &Part> {
    chat.system.iter().chain(&chat.messages).flat_map(|message| &message.parts)
}

fn invalid(message: &str) -> Refusal {
    Refusal::of_code("invalid_value", message, None)
}
