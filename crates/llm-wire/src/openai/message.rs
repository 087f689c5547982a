//! Messages of a request, read.

use llm_core::{Error, Extra, Message, Other, Part, PartContent, Reasoning, Role, ToolResult};

use super::{part::decode_content, reasoning::take_details, tool};
use crate::json::{Object, Value};

/// The most tool calls of one message. Models ask for a few dozen at once at most.
const MAX_TOOL_CALLS: usize = 4_096;

pub(crate) fn decode_message(value: &Value<'_, '_>) -> Result<Message, Error> {
    let mut object = value.object()?;
    let role_value = object.required("role")?;
    let role = match &*role_value.string()? {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        "function" => {
            let other = Other { kind: "function".to_owned(), json: value.json() };
            return Ok(Message::new(Role::Tool, vec![PartContent::Other(other).into()]));
        }
        _ => return Err(role_value.error("expected developer, system, user, assistant, tool or function")),
    };
    let name = object.take("name").map(|value| value.string()).transpose()?.map(Into::into);
    let parts = match role {
        Role::Assistant => decode_assistant(&mut object)?,
        Role::Tool => vec![decode_result(&mut object)?],
        Role::System | Role::Developer | Role::User => decode_content(&object.required("content")?)?,
    };
    Ok(Message { role, parts, name, extra: object.rest() })
}

fn decode_result(object: &mut Object<'_, '_>) -> Result<Part, Error> {
    let call_id = object.required("tool_call_id")?.string()?.into_owned();
    let content = decode_content(&object.required("content")?)?;
    Ok(PartContent::ToolResult(ToolResult { call_id, content, is_error: false }).into())
}

fn decode_assistant(object: &mut Object<'_, '_>) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::new();
    // DeepSeek wants an empty text sent back too. Of two spellings the first is read, the other stays an unknown field.
    let reasoning = match object.take("reasoning_content") {
        None => object.take("reasoning"),
        known => known,
    };
    let plain = reasoning.map(|value| value.string()).transpose()?;
    match take_details(object, plain.as_deref()) {
        Some(mut signed) => parts.append(&mut signed),
        None => parts.extend(plain.map(|text| {
            let text = text.into_owned();
            Part::from(PartContent::Reasoning(Reasoning { text, ..Reasoning::default() }))
        })),
    }
    if let Some(content) = object.take("content") {
        parts.append(&mut decode_content(&content)?);
    }
    if let Some(refusal) = object.take("refusal") {
        parts.push(PartContent::Refusal(refusal.string()?.into_owned()).into());
    }
    if let Some(calls) = object.take("tool_calls") {
        parts.append(&mut calls.list(MAX_TOOL_CALLS, |call| decode_asked_call(&call))?);
    }
    Ok(parts)
}

/// The unknown field of a part that says that it is a call of a kind without a name here, and no content.
pub(crate) const OTHER_CALL: &str = "tool_calls";

/// A tool call that the model made earlier. Some servers hand out calls without an id, so it may have none.
fn decode_asked_call(value: &Value<'_, '_>) -> Result<Part, Error> {
    let mut part = tool::decode_call(value, |id| id.string())?;
    if let PartContent::Other(other) = &part.content {
        part.extra.insert(OTHER_CALL, other.json.clone());
    }
    Ok(part)
}

/// The unknown fields of a part, where they may be written.
pub(crate) fn extra_of(part: &Part, with_extra: bool) -> Extra {
    if with_extra { part.extra.clone() } else { Extra::new() }
}
