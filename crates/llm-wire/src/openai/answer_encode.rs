//! A `chat.completion` object, written.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use llm_core::{CallId, ChatOutput, Choice, Dialect, Head, LlmRequest, PartContent, Start, clock};

use super::{
    finish::encode_finish,
    message::extra_of,
    reasoning::encode_details,
    tool::{encode_call, nested_extra},
    usage::encode_usage,
};
use crate::json::ObjectWriter;

/// What every answer and chunk says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    id: Arc<str>,
    model: Arc<str>,
    created: u64,
}

impl Stamp {
    /// What is known of the answer to `call`; the rest is made up from the call, the model that was asked for and the
    /// time of day.
    pub(crate) fn new(start: Start, call: CallId, asked_model: &str) -> Self {
        Self {
            id: start.id.unwrap_or_else(|| format!("chatcmpl-{call}").into()),
            model: start.model.unwrap_or_else(|| asked_model.into()),
            created: start.created.unwrap_or_else(|| clock::since_epoch().as_secs()),
        }
    }

    pub(crate) fn write(&self, object: &'static str, to: &mut ObjectWriter<'_>) {
        to.field("id", &*self.id);
        to.field("object", object);
        to.field("created", &self.created);
        to.field("model", &*self.model);
    }
}

/// An id for a tool call that came without one, so that its result can name it.
pub(crate) fn invented_call_id(call: CallId, choice: u32, index: u32) -> String {
    format!("call_{call}_{choice}_{index}")
}

pub(crate) fn encode_chat_answer(chat: &ChatOutput, head: &Head, request: &LlmRequest) -> Bytes {
    let call = request.context().id();
    let mut out = BytesMut::with_capacity(512);
    let mut object = ObjectWriter::begin(&mut out);
    let start = Start {
        id: chat.start.id.clone().or_else(|| head.id.clone()),
        model: chat.start.model.clone().or_else(|| head.model.clone()),
        created: chat.start.created.or(head.created),
    };
    Stamp::new(start, call, request.model()).write("chat.completion", &mut object);
    let mut choices = object.array("choices");
    // Unknown fields of another dialect mean nothing here.
    let with_extra = chat.dialect.is_none_or(|dialect| dialect == Dialect::OpenAi);
    for choice in &chat.choices {
        encode_choice(choice, call, with_extra, choices.object());
    }
    choices.end();
    if let Some(usage) = &chat.usage {
        encode_usage(usage, object.object("usage"));
    }
    if with_extra {
        object.extra(&chat.extra, &["id", "object", "created", "model", "choices", "usage"]);
    }
    object.end();
    out.freeze()
}

fn encode_choice(choice: &Choice, call: CallId, with_extra: bool, mut object: ObjectWriter<'_>) {
    object.field("index", &choice.index);
    encode_message(choice, call, with_extra, object.object("message"));
    object.field("logprobs", &choice.logprobs);
    object.field("finish_reason", &choice.finish.as_ref().map(encode_finish));
    if with_extra {
        // Which text ended the answer is said in Anthropic's dialect, and an answer that was put together from a stream
        // does not say which dialect that was.
        object.extra(&choice.extra, &["index", "message", "logprobs", "finish_reason", "stop_sequence"]);
    }
    object.end();
}

fn encode_message(choice: &Choice, call: CallId, with_extra: bool, mut message: ObjectWriter<'_>) {
    let mut text: Option<String> = None;
    let mut refusal: Option<String> = None;
    let mut reasoning = Vec::new();
    let mut calls = Vec::new();
    for part in &choice.parts {
        match &part.content {
            PartContent::Text(more) => text.get_or_insert_default().push_str(more),
            PartContent::Refusal(more) => refusal.get_or_insert_default().push_str(more),
            PartContent::Reasoning(more) => reasoning.push((more, extra_of(part, with_extra))),
            PartContent::ToolCall(call) => calls.push((call, extra_of(part, with_extra))),
            // Parts of other dialects' answers that have no place in this one.
            PartContent::Image(_)
            | PartContent::Audio(_)
            | PartContent::File(_)
            | PartContent::ToolResult(_)
            | PartContent::Other(_) => {}
        }
    }
    message.field("role", "assistant");
    message.field("content", &text);
    message.field("refusal", &refusal);
    let thought: String = reasoning.iter().map(|(reasoning, _)| &*reasoning.text).collect();
    message.optional("reasoning_content", Some(thought).filter(|text| !text.is_empty()));
    encode_details(&reasoning, &mut message);
    if !calls.is_empty() {
        let mut list = message.array("tool_calls");
        for (index, (tool_call, extra)) in (0..).zip(calls) {
            encode_call(tool_call, &invented_call_id(call, choice.index, index), &extra, list.object());
        }
        list.end();
    }
    if with_extra {
        nested_extra(&choice.extra, "message", &mut message);
    }
    message.end();
}
