//! Messages of a request, written from their types.

use std::fmt;

use llm_core::{Error, Extra, Message, Part, PartContent, Reasoning, Role, ToolResult};

use super::{
    SentReasoning,
    foreign::Terms,
    message::{OTHER_CALL, extra_of},
    part::encode_part,
    reasoning::encode_details,
    tool::encode_call,
};
use crate::{
    json::{ArrayWriter, ObjectWriter},
    refusal::refuse,
};

/// Where a message stands in the request, for errors and for the names of what is left out.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    System(usize),
    Message(usize),
}

impl Place {
    fn list(self) -> &'static str {
        match self {
            Self::System(_) => "system",
            Self::Message(_) => "messages",
        }
    }

    fn refuse(self, part: usize, what: &str) -> Error {
        refuse(format!("{self}.content[{part}]"), what)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(index) => write!(f, "system[{index}]"),
            Self::Message(index) => write!(f, "messages[{index}]"),
        }
    }
}

/// A part and its place in the message.
type Placed<'m> = (usize, &'m Part);

/// Writes a message.
///
/// Results of tools are messages of their own here, and come before whatever else the message says.
pub(crate) fn encode_message(
    message: &Message,
    place: Place,
    terms: &Terms<'_>,
    list: &mut ArrayWriter<'_>,
) -> Result<(), Error> {
    let mut others = Vec::with_capacity(message.parts.len());
    let mut has_results = false;
    terms.note_extra(place.list(), &message.extra);
    for (index, part) in message.parts.iter().enumerate() {
        note_rest(part, place, terms);
        match &part.content {
            PartContent::ToolResult(result) => {
                has_results = true;
                encode_result(result, message, (place, index), terms, list)?;
            }
            PartContent::Other(other) if message.role == Role::Tool && other.kind == "function" => {
                has_results = true;
                list.item(&other.json);
            }
            _ => others.push((index, part)),
        }
    }
    if has_results && others.is_empty() {
        return Ok(());
    }
    let role = match message.role {
        Role::Developer if terms.variant.developer => "developer",
        Role::System | Role::Developer => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => return Err(place.refuse(0, "anything but results of tools in a message of a tool")),
    };
    let mut object = list.object();
    object.field("role", role);
    match message.role {
        Role::Assistant => encode_assistant(&others, place, terms, &mut object)?,
        Role::System | Role::Developer => match joined(&others, BETWEEN_BLOCKS, terms) {
            Some(text) => object.field("content", &text),
            None => encode_content(&others, place, terms, &mut object)?,
        },
        Role::User | Role::Tool => encode_content(&others, place, terms, &mut object)?,
    }
    end_message(message, place, terms, object);
    Ok(())
}

/// Notes what is said about a part and has no place here.
fn note_rest(part: &Part, place: Place, terms: &Terms<'_>) {
    if part.cache.is_some() {
        terms.note(match place {
            Place::System(_) => "system.cache_control",
            Place::Message(_) => "messages.cache_control",
        });
    }
    terms.note_extra(place.list(), &part.extra);
}

fn end_message(message: &Message, place: Place, terms: &Terms<'_>, mut object: ObjectWriter<'_>) {
    if terms.variant.takes("name") {
        object.optional("name", message.name.as_ref());
    } else if message.name.is_some() {
        terms.note(match place {
            Place::System(_) => "system.name",
            Place::Message(_) => "messages.name",
        });
    }
    if terms.with_extra() {
        let written = match terms.variant.reasoning {
            SentReasoning::Nothing => "reasoning_content",
            SentReasoning::Text(name) | SentReasoning::TextAlways(name) | SentReasoning::TextAndDetails(name) => name,
        };
        object.extra(&message.extra, &["role", "content", "name", "tool_calls", "tool_call_id", written]);
    }
    object.end();
}

fn encode_result(
    result: &ToolResult,
    message: &Message,
    (place, index): (Place, usize),
    terms: &Terms<'_>,
    list: &mut ArrayWriter<'_>,
) -> Result<(), Error> {
    let content: Vec<_> = result.content.iter().map(|part| (index, part)).collect();
    for (_, part) in &content {
        // Some servers look at pictures here, so whoever speaks their dialect may send them.
        if part.as_text().is_none() && !terms.is_callers() {
            return Err(place.refuse(index, "a result of a tool that is no text"));
        }
        note_rest(part, place, terms);
    }
    if result.is_error {
        terms.note("messages.is_error");
    }
    let mut object = list.object();
    object.field("role", "tool");
    object.field("tool_call_id", &result.call_id);
    match joined(&content, BETWEEN_BLOCKS, terms) {
        Some(text) => object.field("content", &text),
        None => encode_content(&content, place, terms, &mut object)?,
    }
    match message.role {
        Role::Tool => end_message(message, place, terms, object),
        // The rest of the message follows, and its other fields with it.
        Role::System | Role::Developer | Role::User | Role::Assistant => object.end(),
    }
    Ok(())
}

fn encode_assistant(
    parts: &[Placed<'_>],
    place: Place,
    terms: &Terms<'_>,
    object: &mut ObjectWriter<'_>,
) -> Result<(), Error> {
    let mut content = Vec::with_capacity(parts.len());
    let mut calls = Vec::new();
    let mut other_calls = Vec::new();
    let mut reasoning = Vec::new();
    for &(index, part) in parts {
        match &part.content {
            PartContent::Reasoning(known) => reasoning.push((known, extra_of(part, terms.with_extra()))),
            PartContent::ToolCall(call) => calls.push((call, part)),
            PartContent::Other(other) if terms.with_extra() && part.extra.get(OTHER_CALL).is_some() => {
                other_calls.push(&other.json);
            }
            _ => content.push((index, part)),
        }
    }
    encode_reasoning(&reasoning, terms, object);
    let is_unsent = !reasoning.is_empty() && terms.variant.reasoning == SentReasoning::Nothing;
    let has_calls = !(calls.is_empty() && other_calls.is_empty());
    let is_silent = !has_calls && (is_unsent || (reasoning.is_empty() && !terms.with_extra()));
    match &content[..] {
        // A turn of which nothing is left is refused unless it has a text.
        [] if is_silent => object.field("content", ""),
        [] => object.raw("content", "null"),
        content => match joined(content, "", terms) {
            Some(text) => object.field("content", &text),
            None => encode_content(content, place, terms, object)?,
        },
    }
    if has_calls {
        let mut list = object.array("tool_calls");
        other_calls.into_iter().for_each(|json| list.item(json));
        for (call, part) in calls {
            encode_call(call, &call.id, &extra_of(part, terms.with_extra()), list.object());
        }
        list.end();
    }
    Ok(())
}

fn encode_reasoning(said: &[(&Reasoning, Extra)], terms: &Terms<'_>, object: &mut ObjectWriter<'_>) {
    let text = |always: bool| {
        let text: String = said.iter().map(|(reasoning, _)| &*reasoning.text).collect();
        (always || !said.is_empty()).then_some(text)
    };
    match terms.variant.reasoning {
        SentReasoning::Nothing if said.is_empty() => {}
        SentReasoning::Nothing => terms.note(terms.reasoning_name()),
        SentReasoning::Text(name) => object.optional(name, text(false)),
        SentReasoning::TextAlways(name) => object.optional(name, text(true)),
        SentReasoning::TextAndDetails(name) => {
            object.optional(name, text(false));
            encode_details(said, object);
        }
    }
}

/// What stands between two blocks of instructions, or of a tool's result, in one text.
const BETWEEN_BLOCKS: &str = "\n\n";

/// The text of another dialect's blocks, for who is no user: many servers take nothing but a string there. What a model
/// said is cut anywhere, the others are pieces of their own.
fn joined(parts: &[Placed<'_>], separator: &str, terms: &Terms<'_>) -> Option<String> {
    if terms.with_extra() {
        return None;
    }
    let texts: Option<Vec<_>> = parts.iter().map(|(_, part)| part.as_text()).collect();
    texts.map(|texts| texts.join(separator))
}

/// One plain text is written as a string, which every server takes; all else as a list.
fn encode_content(
    parts: &[Placed<'_>],
    place: Place,
    terms: &Terms<'_>,
    object: &mut ObjectWriter<'_>,
) -> Result<(), Error> {
    let with_extra = terms.with_extra();
    if let [(_, part)] = parts
        && let Some(text) = part.as_text()
        && (part.extra.is_empty() || !with_extra)
    {
        object.field("content", text);
        return Ok(());
    }
    let mut list = object.array("content");
    for (index, part) in parts {
        encode_part(&part.content, &extra_of(part, with_extra), terms, &mut list)
            .map_err(|what| place.refuse(*index, what))?;
    }
    list.end();
    Ok(())
}
