//! What a model does not take.

use llm_core::{Chat, Embed, PartContent, Payload, ResponseFormat, ToolChoice, catalog::Capability};

use crate::{ModelConfig, answer, plan::Asked, refusal::Refusal, trouble::Trouble};

/// The most answers to one chat, by the OpenAI API reference.
const MOST_CHOICES: u32 = 128;

/// Refuses what the model cannot do, as its provider would.
pub(crate) fn check(model: &ModelConfig, asked: &Asked<'_>) -> Result<(), Refusal> {
    match asked.payload {
        Payload::Chat(chat) | Payload::CountTokens(chat) => check_chat(model, chat)?,
        Payload::Embed(embed) => check_embed(model, embed)?,
    }
    let (tokens, window) = (answer::prompt_tokens(model, asked), model.context_window);
    if tokens > window {
        return Err(Trouble::too_long(tokens, window).into());
    }
    Ok(())
}

fn check_chat(model: &ModelConfig, chat: &Chat) -> Result<(), Refusal> {
    if model.dimensions.is_some() {
        return Err(unsupported("model", "this is an embedding model, not a chat model"));
    }
    if !chat.tools.is_empty() && !model.can(Capability::Tools) {
        return Err(unsupported("tools", "this model calls no tools"));
    }
    if matches!(chat.response_format, Some(ResponseFormat::JsonSchema(_))) && !model.can(Capability::JsonSchema) {
        return Err(unsupported("response_format", "this model does not keep to a JSON Schema"));
    }
    if chat.n.is_some_and(|n| n.get() > MOST_CHOICES) {
        return Err(Refusal::of_code("invalid_value", "`n` is above 128", Some("n")));
    }
    let is_offered = |name: &str| chat.tools.iter().any(|tool| tool.name() == Some(name));
    match &chat.tool_choice {
        Some(ToolChoice::Function(name)) if !is_offered(name) => {
            return Err(Refusal::of_code(
                "invalid_value",
                "`tool_choice` names no tool that is offered",
                Some("tool_choice"),
            ));
        }
        Some(ToolChoice::Required) if chat.tools.is_empty() => {
            return Err(Refusal::of_code("invalid_value", "`tool_choice` needs `tools`", Some("tool_choice")));
        }
        _ => {}
    }
    for part in chat.messages.iter().flat_map(|message| &message.parts) {
        let needed = match &part.content {
            PartContent::Image(_) => Capability::Vision,
            PartContent::Audio(_) => Capability::Audio,
            PartContent::File(_) => Capability::Files,
            PartContent::Text(_)
            | PartContent::Reasoning(_)
            | PartContent::Refusal(_)
            | PartContent::ToolCall(_)
            | PartContent::ToolResult(_)
            | PartContent::Other(_) => continue,
        };
        if !model.can(needed) {
            return Err(unsupported("messages", "this model does not take such content"));
        }
    }
    Ok(())
}

fn check_embed(model: &ModelConfig, embed: &Embed) -> Result<(), Refusal> {
    let Some(dimensions) = model.dimensions else {
        return Err(unsupported("model", "this is a chat model, not an embedding model"));
    };
    if embed.input.is_empty() {
        return Err(Refusal::of_code("invalid_value", "`input` is empty", Some("input")));
    }
    if embed.dimensions.is_some_and(|wanted| wanted == 0 || wanted > dimensions) {
        let message = format!("`dimensions` must be between 1 and {dimensions}");
        return Err(Refusal::of_code("invalid_value", &message, Some("dimensions")));
    }
    Ok(())
}

fn unsupported(param: &str, message: &str) -> Refusal {
    Refusal::of_code("unsupported_value", message, Some(param))
}
