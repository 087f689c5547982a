//! Messages of a request, written from their types as turns.

use llm_core::{Chat, Error, Message, Part, Role};

use super::{
    block_encode::{BlockWriter, Place},
    foreign,
};
use crate::{
    json::{ArrayWriter, ObjectWriter},
    refusal::refuse,
};

/// Writes `system` and `messages`.
///
/// Results of tools belong into one user turn, with what the person says next: neighbours of both kinds become one.
pub(super) fn encode_messages(
    chat: &Chat,
    blocks: &BlockWriter<'_>,
    object: &mut ObjectWriter<'_>,
) -> Result<(), Error> {
    encode_system(&chat.system, blocks, object)?;
    let mut list = object.array("messages");
    let mut at = 0;
    while let Some(first) = chat.messages.get(at) {
        let role = match first.role {
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
            Role::System | Role::Developer => "system",
        };
        let length = turn_length(&chat.messages[at..]);
        encode_turn(role, at, &chat.messages[at..at + length], blocks, &mut list)?;
        at += length;
    }
    list.end();
    Ok(())
}

/// How many messages from the first one on are one turn: results of tools, and what the user says after them.
fn turn_length(messages: &[Message]) -> usize {
    let results = messages.iter().take_while(|message| message.role == Role::Tool).count();
    let has_words = messages.get(results).is_some_and(|message| message.role == Role::User);
    match results {
        0 => 1,
        _ => results + usize::from(has_words),
    }
}

fn encode_system(system: &[Message], blocks: &BlockWriter<'_>, object: &mut ObjectWriter<'_>) -> Result<(), Error> {
    if system.is_empty() {
        return Ok(());
    }
    for message in system {
        note_rest(message, blocks);
    }
    let parts = system.iter().flat_map(|message| &message.parts);
    if parts.clone().all(|part| blocks.is_left_out(part)) {
        return Ok(());
    }
    if let Some(text) = only_text(parts.clone(), blocks) {
        object.field("system", text);
        return Ok(());
    }
    let mut list = object.array("system");
    for (index, part) in parts.enumerate() {
        let place = Place::System(index);
        if part.as_text().is_none() && !blocks.is_own {
            return Err(refuse(place.to_string(), "content that is no text"));
        }
        blocks.encode(part, place, &mut list)?;
    }
    list.end();
    Ok(())
}

fn encode_turn(
    role: &str,
    at: usize,
    messages: &[Message],
    blocks: &BlockWriter<'_>,
    list: &mut ArrayWriter<'_>,
) -> Result<(), Error> {
    for (at, message) in (at..).zip(messages) {
        note_rest(message, blocks);
        let called = message.extra.get("function_call").filter(|json| json.get() != "null");
        if called.is_some() && !blocks.is_own {
            return Err(refuse(format!("messages[{at}].function_call"), "this field"));
        }
    }
    let parts = messages.iter().flat_map(|message| &message.parts);
    // A turn of which nothing would be written is left out whole: the provider refuses empty ones.
    if parts.clone().all(|part| blocks.is_left_out(part)) {
        for part in parts {
            blocks.note_left_out(part);
        }
        return Ok(());
    }
    let mut object = list.object();
    object.field("role", role);
    if let Some(text) = only_text(parts, blocks) {
        object.field("content", text);
    } else {
        let mut content = object.array("content");
        for (at, message) in (at..).zip(messages) {
            for (index, part) in message.parts.iter().enumerate() {
                blocks.encode(part, Place::Message(at, index), &mut content)?;
            }
        }
        content.end();
    }
    if let ([message], true) = (messages, blocks.is_own) {
        object.extra(&message.extra, &["role", "content"]);
    }
    object.end();
    Ok(())
}

/// The text, if there is nothing else: it is written as a plain string.
fn only_text<'p>(mut parts: impl Iterator<Item = &'p Part>, blocks: &BlockWriter<'_>) -> Option<&'p str> {
    let (Some(only), None) = (parts.next(), parts.next()) else { return None };
    only.as_text().filter(|_| only.cache.is_none() && (only.extra.is_empty() || !blocks.is_own))
}

fn note_rest(message: &Message, blocks: &BlockWriter<'_>) {
    if message.name.is_some() {
        blocks.trail.note_left_out("messages.name");
    }
    if !blocks.is_own {
        foreign::note(blocks.trail, "messages", &message.extra);
    }
}
