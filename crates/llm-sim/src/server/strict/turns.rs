//! The order of turns: who may say what, and that every call of a tool has its result.

use std::collections::BTreeSet;

use llm_core::{Message, Part, PartContent, Reasoning, Role};

use super::invalid;
use crate::{refusal::Refusal, signature};

/// Checks a conversation. Messages of the same role that follow each other are one turn.
pub(super) fn check(messages: &[Message]) -> Result<(), Refusal> {
    if messages.first().is_some_and(|first| first.role != Role::User) {
        return Err(invalid("messages: first message must use the \"user\" role"));
    }
    let mut open = BTreeSet::new();
    for turn in messages.chunk_by(|one, next| one.role == next.role) {
        let parts: Vec<_> = turn.iter().flat_map(|message| &message.parts).collect();
        let results = results(&parts)?;
        if let Some(id) = open.difference(&results).next() {
            return Err(invalid(&format!(
                "messages: `tool_use` ids were found without `tool_result` blocks immediately after: {id}"
            )));
        }
        if let Some(id) = results.difference(&open).next() {
            return Err(invalid(&format!("messages: unexpected `tool_use_id` found in `tool_result` blocks: {id}")));
        }
        open = match turn[0].role {
            Role::Assistant => check_answer(&parts)?,
            Role::User | Role::System | Role::Developer | Role::Tool => check_input(&parts)?,
        };
    }
    match open.first() {
        Some(id) => Err(invalid(&format!("messages: `tool_use` ids were found without `tool_result` blocks: {id}"))),
        None => Ok(()),
    }
}

/// The ids of the results at the beginning of a turn: there they must be, each once.
fn results<'a>(parts: &[&'a Part]) -> Result<BTreeSet<&'a str>, Refusal> {
    let mut ids = BTreeSet::new();
    let mut is_beginning = true;
    for part in parts {
        match &part.content {
            PartContent::ToolResult(result) if !is_beginning => {
                return Err(invalid(&format!("messages: `tool_result` blocks must come first: {}", result.call_id)));
            }
            PartContent::ToolResult(result) => {
                if !ids.insert(result.call_id.as_str()) {
                    let message = format!("messages: each tool_use must have a single result: {}", result.call_id);
                    return Err(invalid(&message));
                }
            }
            PartContent::Text(_)
            | PartContent::Reasoning(_)
            | PartContent::Refusal(_)
            | PartContent::Image(_)
            | PartContent::Audio(_)
            | PartContent::File(_)
            | PartContent::ToolCall(_)
            | PartContent::Other(_) => is_beginning = false,
        }
    }
    Ok(ids)
}

/// Checks what the model said, and returns the ids of its calls.
fn check_answer<'a>(parts: &[&'a Part]) -> Result<BTreeSet<&'a str>, Refusal> {
    let mut calls = BTreeSet::new();
    for part in parts {
        match &part.content {
            PartContent::ToolCall(call) => {
                if call.id.is_empty()
                    || !call.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
                {
                    return Err(invalid("messages: tool_use.id: should match pattern '^[a-zA-Z0-9_-]+$'"));
                }
                if !calls.insert(call.id.as_str()) {
                    return Err(invalid("messages: `tool_use` ids must be unique"));
                }
            }
            PartContent::Reasoning(reasoning) => check_thinking(reasoning)?,
            PartContent::Image(_) | PartContent::Audio(_) | PartContent::File(_) | PartContent::ToolResult(_) => {
                return Err(invalid("messages: an assistant turn holds a block that only user turns may have"));
            }
            PartContent::Text(_) | PartContent::Refusal(_) | PartContent::Other(_) => {}
        }
    }
    Ok(calls)
}

fn check_thinking(reasoning: &Reasoning) -> Result<(), Refusal> {
    match (&reasoning.signature, &reasoning.redacted) {
        // Only the provider can open what it has sealed.
        (None, Some(_)) => Ok(()),
        (None, None) => Err(invalid("messages: thinking.signature: field required")),
        (Some(signature), _) if *signature == signature::sign(&reasoning.text) => Ok(()),
        (Some(_), _) => Err(invalid("messages: invalid `signature` in `thinking` block")),
    }
}

/// Checks what somebody else said, which calls nothing.
fn check_input<'a>(parts: &[&'a Part]) -> Result<BTreeSet<&'a str>, Refusal> {
    for part in parts {
        match &part.content {
            PartContent::ToolCall(_) | PartContent::Reasoning(_) => {
                return Err(invalid("messages: a user turn holds a block that only assistant turns may have"));
            }
            PartContent::Text(_)
            | PartContent::Refusal(_)
            | PartContent::Image(_)
            | PartContent::Audio(_)
            | PartContent::File(_)
            | PartContent::ToolResult(_)
            | PartContent::Other(_) => {}
        }
    }
    Ok(BTreeSet::new())
}
