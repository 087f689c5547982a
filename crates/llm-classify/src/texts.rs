//! The texts of a request: whatever is sent and can be read.

use llm_core::{
    Chat, Embed, EmbedInput, Extra, File, Function, JsonSchema, Message, Part, PartContent, Payload, Reasoning,
    ResponseFormat, Tool, ToolCall, ToolChoice, ToolKind, ToolResult,
};

/// Shows the texts of `payload` to `look` until it finds something.
///
/// Pictures, sound and documents are not text, nor are the addresses of what a provider fetches; token ids could be read
/// only with the model's vocabulary.
pub(crate) fn find_text<T>(payload: &Payload, look: &mut impl FnMut(&str) -> Option<T>) -> Option<T> {
    match payload {
        Payload::Chat(chat) | Payload::CountTokens(chat) => in_chat(chat, look),
        Payload::Embed(Embed { input, single: _, dimensions: _, encoding: _, extra }) => input
            .iter()
            .find_map(|input| match input {
                EmbedInput::Text(text) => look(text),
                EmbedInput::Tokens(_) => None,
            })
            .or_else(|| in_extra(extra, look)),
    }
}

fn in_chat<T>(chat: &Chat, look: &mut impl FnMut(&str) -> Option<T>) -> Option<T> {
    // Destructured, so that a new field must be thought about here.
    let Chat {
        system,
        messages,
        tools,
        tool_choice,
        parallel_tool_calls: _,
        response_format,
        sampling: _,
        max_output_tokens: _,
        stop,
        seed: _,
        n: _,
        stream: _,
        include_usage: _,
        reasoning_effort: _,
        thinking: _,
        extra,
        dialect: _,
    } = chat;
    // The newest turn first: earlier ones were looked at when they were new.
    messages
        .iter()
        .rev()
        .chain(system)
        .find_map(|message| in_message(message, look))
        .or_else(|| tools.iter().find_map(|tool| in_tool(tool, look)))
        .or_else(|| tool_choice.as_ref().and_then(|choice| in_choice(choice, look)))
        .or_else(|| response_format.as_ref().and_then(|format| in_format(format, look)))
        .or_else(|| stop.0.iter().find_map(|stop| look(stop)))
        .or_else(|| in_extra(extra, look))
}

fn in_message<T>(message: &Message, look: &mut impl FnMut(&str) -> Option<T>) -> Option<T> {
    let Message { role: _, parts, name, extra } = message;
    parts
        .iter()
        .find_map(|part| in_part(part, look))
        .or_else(|| name.as_deref().and_then(&mut *look))
        .or_else(|| in_extra(extra, look))
}

fn in_part<T>(part: &Part, look: &mut impl FnMut(&str) -> Option<T>) -> Option<T> {
    let Part { content, cache: _, extra } = part;
    match content {
        PartContent::Text(text) | PartContent::Refusal(text) => look(text),
        PartContent::Reasoning(Reasoning { text, signature: _, redacted: _ }) => look(text),
        PartContent::Image(_) | PartContent::Audio(_) => None,
        PartContent::File(File { source: _, filename }) => filename.as_deref().and_then(&mut *look),
        PartContent::ToolCall(ToolCall { id: _, name, arguments, kind: _ }) => look(arguments).or_else(|| look(name)),
        PartContent::ToolResult(ToolResult { call_id: _, content, is_error: _ }) => {
            content.iter().find_map(|part| in_part(part, look))
        }
        PartContent::Other(other) => look(other.json.get()),
    }
    .or_else(|| in_extra(extra, look))
}

fn in_tool<T>(tool: &Tool, look: &mut impl FnMut(&str) -> Option<T>) -> Option<T> {
    let Tool { kind, cache: _, extra } = tool;
    match kind {
        ToolKind::Function(Function { name, description, parameters, strict: _ }) => description
            .as_deref()
            .and_then(&mut *look)
            .or_else(|| parameters.as_ref().and_then(|schema| look(schema.get())))
            .or_else(|| look(name)),
        ToolKind::Other(other) => look(other.json.get()),
    }
    .or_else(|| in_extra(extra, look))
}

fn in_choice<T>(choice: &ToolChoice, look: &mut impl FnMut(&str) -> Option<T>) -> Option<T> {
    match choice {
        ToolChoice::None | ToolChoice::Auto | ToolChoice::Required => None,
        ToolChoice::Function(name) => look(name),
        ToolChoice::Other(json) => look(json.get()),
    }
}

fn in_format<T>(format: &ResponseFormat, look: &mut impl FnMut(&str) -> Option<T>) -> Option<T> {
    match format {
        ResponseFormat::Text | ResponseFormat::JsonObject => None,
        ResponseFormat::JsonSchema(JsonSchema { name, description, schema, strict: _, extra }) => description
            .as_deref()
            .and_then(&mut *look)
            .or_else(|| look(schema.get()))
            .or_else(|| name.as_deref().and_then(&mut *look))
            .or_else(|| in_extra(extra, look)),
        ResponseFormat::Other(json) => look(json.get()),
    }
}

fn in_extra<T>(extra: &Extra, look: &mut impl FnMut(&str) -> Option<T>) -> Option<T> {
    extra.iter().find_map(|(name, value)| look(value.get()).or_else(|| look(name)))
}
