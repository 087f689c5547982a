//! Messages of a request, read.

use llm_core::{Error, Message, Role};

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
