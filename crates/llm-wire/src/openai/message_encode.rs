//! Messages of a request, written from their types.

use llm_core::{Error, Message, Part, PartContent, Role, ToolResult};

use super::{message::extra_of, part::encode_part, tool::encode_call};
use crate::json::{ArrayWriter, ObjectWriter};

/// Writes a message; `place` is its name in errors.
///
/// Results of tools are messages of their own here, and come before whatever else the message says.
pub(crate) fn encode_message(
    message: &Message,
    place: &str,
    with_extra: bool,
    list: &mut ArrayWriter<'_>,
) -> Result<(), Error> {
    let mut others = Vec::with_capacity(message.parts.len());
    let mut has_results = false;
    for part in &message.parts {
        match &part.content {
            PartContent::ToolResult(result) => {
                has_results = true;
                encode_result(result, message, place, with_extra, list)?;
            }
            PartContent::Other(other) if message.role == Role::Tool && other.kind == "function" => {
                has_results = true;
                list.item(&other.json);
            }
            _ => others.push(part),
        }
    }
    if has_results && others.is_empty() {
        return Ok(());
    }
    let mut object = list.object();
    match message.role {
        Role::System => encode_plain("system", &others, place, with_extra, &mut object)?,
        Role::Developer => encode_plain("developer", &others, place, with_extra, &mut object)?,
        Role::User => encode_plain("user", &others, place, with_extra, &mut object)?,
        Role::Assistant => encode_assistant(&others, place, with_extra, &mut object)?,
        Role::Tool => return Err(unsayable(place, "a tool message holds results of tools only")),
    }
    end_message(message, with_extra, object);
    Ok(())
}

fn unsayable(place: &str, what: &str) -> Error {
    Error::invalid_request(format!("{place}: {what}"))
}

fn end_message(message: &Message, with_extra: bool, mut object: ObjectWriter<'_>) {
    object.optional("name", message.name.as_ref());
    if with_extra {
        object.extra(&message.extra, &["role", "content", "name", "tool_calls", "tool_call_id", "reasoning_content"]);
    }
    object.end();
}

fn encode_result(
    result: &ToolResult,
    message: &Message,
    place: &str,
    with_extra: bool,
    list: &mut ArrayWriter<'_>,
) -> Result<(), Error> {
    let mut object = list.object();
    object.field("role", "tool");
    object.field("tool_call_id", &result.call_id);
    encode_content(&result.content.iter().collect::<Vec<_>>(), place, with_extra, &mut object)?;
    match message.role {
        Role::Tool => end_message(message, with_extra, object),
        // The rest of the message follows, and its other fields with it.
        Role::System | Role::Developer | Role::User | Role::Assistant => object.end(),
    }
    Ok(())
}

fn encode_plain(
    role: &str,
    parts: &[&Part],
    place: &str,
    with_extra: bool,
    object: &mut ObjectWriter<'_>,
) -> Result<(), Error> {
    object.field("role", role);
    encode_content(parts, place, with_extra, object)
}

fn encode_assistant(
    parts: &[&Part],
    place: &str,
    with_extra: bool,
    object: &mut ObjectWriter<'_>,
) -> Result<(), Error> {
    object.field("role", "assistant");
    let mut content = Vec::with_capacity(parts.len());
    let mut calls = Vec::new();
    let mut reasoning: Option<String> = None;
    for &part in parts {
        match &part.content {
            PartContent::Reasoning(known) => reasoning.get_or_insert_default().push_str(&known.text),
            PartContent::ToolCall(call) => calls.push((call, part)),
            _ => content.push(part),
        }
    }
    object.optional("reasoning_content", reasoning);
    if content.is_empty() {
        object.raw("content", "null");
    } else {
        encode_content(&content, place, with_extra, object)?;
    }
    if !calls.is_empty() {
        let mut list = object.array("tool_calls");
        for (call, part) in calls {
            encode_call(call, &call.id, &extra_of(part, with_extra), list.object());
        }
        list.end();
    }
    Ok(())
}

/// One plain text is written as a string, which every server takes; all else as a list.
fn encode_content(parts: &[&Part], place: &str, with_extra: bool, object: &mut ObjectWriter<'_>) -> Result<(), Error> {
    if let [part] = parts
        && let Some(text) = part.as_text()
        && (part.extra.is_empty() || !with_extra)
    {
        object.field("content", text);
        return Ok(());
    }
    let mut list = object.array("content");
    for (index, part) in parts.iter().enumerate() {
        encode_part(&part.content, &extra_of(part, with_extra), &mut list)
            .ok_or_else(|| unsayable(place, &format!("content part {index} cannot be said to this provider")))?;
    }
    list.end();
    Ok(())
}
