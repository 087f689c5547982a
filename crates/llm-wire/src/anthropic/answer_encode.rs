//! A `message` object, written.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use llm_core::{
    CallId, ChatOutput, Choice, Dialect, FinishReason, Head, LlmRequest, PartContent, Start, ToolCall, Usage,
};

use super::{
    block_encode::{encode_reasoning, json_object},
    finish::{STOP_SEQUENCE, encode_finish},
    usage::encode_usage,
};
use crate::json::{ArrayWriter, ObjectWriter};

/// What every answer says of itself.
#[derive(Clone, Debug)]
pub(super) struct Stamp {
    id: Arc<str>,
    model: Arc<str>,
}

impl Stamp {
    /// What is known of the answer to `call`; the rest is made up from the call and the model that was asked for.
    pub(super) fn new(start: &Start, call: CallId, asked_model: &str) -> Self {
        Self {
            id: start.id.clone().unwrap_or_else(|| format!("msg_{call}").into()),
            model: start.model.clone().unwrap_or_else(|| asked_model.into()),
        }
    }

    pub(super) fn write(&self, to: &mut ObjectWriter<'_>) {
        to.field("id", &*self.id);
        to.field("type", "message");
        to.field("role", "assistant");
        to.field("model", &*self.model);
    }
}

/// An id for a tool call that came without one, so that its result can name it.
pub(super) fn invented_call_id(call: CallId, index: u32) -> String {
    format!("toolu_{call}_{index}")
}

/// Writes the first choice: in this dialect nobody can ask for several.
pub(super) fn encode_chat_answer(chat: &ChatOutput, head: &Head, request: &LlmRequest) -> Bytes {
    let call = request.context().id();
    let is_own = chat.dialect.is_none_or(|dialect| dialect == Dialect::Anthropic);
    let start = Start {
        id: chat.start.id.clone().or_else(|| head.id.clone()),
        model: chat.start.model.clone().or_else(|| head.model.clone()),
        created: None,
    };
    let mut out = BytesMut::with_capacity(512);
    let mut object = ObjectWriter::begin(&mut out);
    Stamp::new(&start, call, request.model()).write(&mut object);
    let nothing = Choice::default();
    let choice = chat.choices.first().unwrap_or(&nothing);
    let mut content = object.array("content");
    encode_parts(choice, call, is_own, &mut content);
    content.end();
    let stop_sequence = choice.extra.get(STOP_SEQUENCE);
    let has_calls = choice.parts.iter().any(|part| matches!(part.content, PartContent::ToolCall(_)));
    let finish = choice.finish.clone().unwrap_or(unsaid_finish(has_calls));
    let reason = stop_reason(&finish, stop_sequence.is_some(), refuses(choice));
    object.field("stop_reason", &reason);
    object.field("stop_sequence", &stop_sequence);
    encode_usage(&chat.usage.unwrap_or(Usage::reported(0, 0)), object.object("usage"));
    if is_own {
        const WRITTEN: [&str; 8] = ["id", "type", "role", "model", "content", "stop_reason", STOP_SEQUENCE, "usage"];
        object.extra(&chat.extra, &WRITTEN);
    }
    object.end();
    out.freeze()
}

/// Why the answer ended, as this dialect puts it. Other dialects stop in the ordinary way after a refusal, and do not
/// say that a stop text was met.
pub(super) fn stop_reason(finish: &FinishReason, has_stop_sequence: bool, is_refusal: bool) -> &str {
    match finish {
        FinishReason::Stop if has_stop_sequence => STOP_SEQUENCE,
        FinishReason::Stop if is_refusal => encode_finish(&FinishReason::ContentFilter),
        reason => encode_finish(reason),
    }
}

/// Why an answer ended of which nobody says so: readers look for calls by the reason.
pub(super) fn unsaid_finish(has_calls: bool) -> FinishReason {
    if has_calls { FinishReason::ToolCalls } else { FinishReason::Stop }
}

fn refuses(choice: &Choice) -> bool {
    choice.parts.iter().any(|part| matches!(&part.content, PartContent::Refusal(text) if !text.is_empty()))
}

fn encode_parts(choice: &Choice, call: CallId, is_own: bool, content: &mut ArrayWriter<'_>) {
    let mut tool_calls = 0;
    for part in &choice.parts {
        match &part.content {
            // Readers take an empty text for a fault, as the provider does.
            PartContent::Text(text) | PartContent::Refusal(text) if text.is_empty() => {}
            PartContent::Text(text) | PartContent::Refusal(text) => {
                let mut block = content.object();
                block.field("type", "text");
                block.field("text", text);
                if is_own {
                    block.extra(&part.extra, &["type", "text"]);
                }
                block.end();
            }
            PartContent::Reasoning(reasoning) => {
                let mut block = content.object();
                encode_reasoning(reasoning, &mut block);
                block.end();
            }
            PartContent::ToolCall(tool_call) => {
                encode_call(tool_call, call, tool_calls, content.object());
                tool_calls += 1;
            }
            PartContent::Other(other) if is_own => content.item(&other.json),
            // Parts of other dialects' answers that have no place in this one, and kinds of input.
            PartContent::Other(_)
            | PartContent::Image(_)
            | PartContent::Audio(_)
            | PartContent::File(_)
            | PartContent::ToolResult(_) => {}
        }
    }
}

/// Models write arguments that are no JSON object now and then, and here there is no other place for them: they are
/// handed on as the text of a field that says so.
fn encode_call(tool_call: &ToolCall, call: CallId, index: u32, mut block: ObjectWriter<'_>) {
    block.field("type", "tool_use");
    if tool_call.id.is_empty() {
        block.field("id", &invented_call_id(call, index));
    } else {
        block.field("id", &tool_call.id);
    }
    block.field("name", &tool_call.name);
    match json_object(&tool_call.arguments) {
        Some(input) => block.raw("input", input),
        None => {
            let mut input = block.object("input");
            input.field("INVALID_JSON", &tool_call.arguments);
            input.end();
        }
    }
    block.end();
}
