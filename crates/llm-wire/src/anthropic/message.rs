//! Messages of a request, read.

use llm_core::{Error, Message, PartContent, Role};

use super::block::decode_content;
use crate::json::Value;

pub(super) fn decode_message(value: &Value<'_, '_>) -> Result<Message, Error> {
    let mut object = value.object()?;
    let role_value = object.required("role")?;
    let role = match &*role_value.string()? {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err(role_value.error("expected user, assistant or system")),
    };
    let parts = decode_content(&object.required("content")?)?;
    Ok(Message { role, parts, name: None, extra: object.rest() })
}

/// Whether some turn holds thinking that no provider signed: front doors of this dialect hand it out for models whose
/// own dialect has no signatures.
pub(super) fn has_unsigned_thinking(messages: &[Message]) -> bool {
    messages.iter().flat_map(|message| &message.parts).any(|part| match &part.content {
        PartContent::Reasoning(reasoning) => reasoning.signature.is_none() && reasoning.redacted.is_none(),
        PartContent::Text(_)
        | PartContent::Refusal(_)
        | PartContent::Image(_)
        | PartContent::Audio(_)
        | PartContent::File(_)
        | PartContent::ToolCall(_)
        | PartContent::ToolResult(_)
        | PartContent::Other(_) => false,
    })
}
