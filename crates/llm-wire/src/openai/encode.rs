//! A Chat Completions request, written from its types.

use bytes::{Bytes, BytesMut};
use llm_core::{Chat, Error, LlmRequest, ReasoningEffort, ResponseFormat, Sampling, Thinking};

use super::{
    Variant,
    foreign::{self, Terms},
    message_encode::{Place, encode_message},
    tool::{encode_choice, encode_tool, nested_extra},
};
use crate::{EncodeOptions, json::ObjectWriter};

/// What is written from typed fields, and so never from unknown ones.
const TYPED: [&str; 20] = [
    "model",
    "messages",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "temperature",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "max_completion_tokens",
    "max_tokens",
    "stop",
    "n",
    "stream",
    "stream_options",
    "reasoning_effort",
];

pub(crate) fn encode_chat(request: &LlmRequest, chat: &Chat, options: &EncodeOptions<'_>) -> Result<Bytes, Error> {
    let terms = Terms::new(request, chat, options);
    foreign::check(chat, &terms)?;
    let (with_extra, variant) = (terms.with_extra(), terms.variant);
    let mut out = BytesMut::with_capacity(1024);
    let mut object = ObjectWriter::begin(&mut out);
    object.field("model", options.model);

    let mut messages = object.array("messages");
    for (index, message) in chat.system.iter().enumerate() {
        encode_message(message, Place::System(index), &terms, &mut messages)?;
    }
    for (index, message) in chat.messages.iter().enumerate() {
        encode_message(message, Place::Message(index), &terms, &mut messages)?;
    }
    messages.end();

    if !chat.tools.is_empty() {
        let mut tools = object.array("tools");
        for (index, tool) in chat.tools.iter().enumerate() {
            encode_tool(tool, index, &terms, &mut tools)?;
        }
        tools.end();
    }
    // Without tools there is nothing to choose, and OpenAI refuses a choice. Who says so in this dialect finds out.
    if terms.is_callers() || !chat.tools.is_empty() {
        if let Some(choice) = chat.tool_choice.as_ref().filter(|_| variant.takes("tool_choice")) {
            encode_choice(choice, variant, &mut object);
        }
        object.optional("parallel_tool_calls", chat.parallel_tool_calls);
    }
    encode_response_format(chat, with_extra, &mut object);
    encode_sampling(chat, variant, &mut object);
    object.optional(variant.output_limit, options.limit(chat.max_output_tokens));
    match &chat.stop.0[..] {
        [] => {}
        [text] => object.field("stop", text),
        texts => object.field("stop", texts),
    }
    object.optional(variant.seed, chat.seed);
    object.optional("n", chat.n.filter(|_| variant.takes("n")));
    object.optional("reasoning_effort", effort(chat).map(|effort| effort.as_str()));
    encode_stream(chat, options, with_extra, &mut object);
    if with_extra {
        // A field of the server's own name for the seed is unknown, unless it is written from its type.
        let seed = if chat.seed.is_some() { variant.seed } else { "seed" };
        object.extra(&chat.extra, &[&TYPED[..], &[seed]].concat());
    } else if let Some(user) = foreign::end_user(chat) {
        if variant.takes("user") { object.field("user", &user) } else { terms.note("metadata.user_id") }
    }
    object.end();
    Ok(out.freeze())
}

/// How much the model may think: a budget of tokens has no place here, so it becomes the level that is meant for about
/// as many.
fn effort(chat: &Chat) -> Option<&ReasoningEffort> {
    let budgeted = match chat.thinking {
        Some(Thinking::Budget(0..2_048)) => Some(&ReasoningEffort::Low),
        Some(Thinking::Budget(2_048..8_192)) => Some(&ReasoningEffort::Medium),
        Some(Thinking::Budget(8_192..)) => Some(&ReasoningEffort::High),
        Some(Thinking::Disabled | Thinking::Adaptive) | None => None,
    };
    chat.reasoning_effort.as_ref().or(budgeted)
}

fn encode_stream(chat: &Chat, options: &EncodeOptions<'_>, with_extra: bool, object: &mut ObjectWriter<'_>) {
    if !chat.stream {
        return;
    }
    object.field("stream", &true);
    let include_usage = chat.include_usage || options.include_usage;
    let known = chat.extra.get("stream_options").filter(|_| with_extra);
    if options.variant.stream_options && (include_usage || known.is_some()) {
        let mut stream_options = object.object("stream_options");
        if include_usage {
            stream_options.field("include_usage", &true);
        }
        if with_extra {
            nested_extra(&chat.extra, "stream_options", &mut stream_options);
        }
        stream_options.end();
    }
}

/// Writes what is taken. Of what is not, only what changes nothing has come this far.
fn encode_sampling(chat: &Chat, variant: &Variant, object: &mut ObjectWriter<'_>) {
    let Sampling { temperature, top_p, top_k, frequency_penalty, presence_penalty, logit_bias, logprobs, top_logprobs } =
        &chat.sampling;
    object.optional("temperature", *temperature);
    object.optional("top_p", *top_p);
    object.optional("top_k", top_k.filter(|_| variant.takes("top_k")));
    object.optional("frequency_penalty", frequency_penalty.filter(|_| variant.takes("frequency_penalty")));
    object.optional("presence_penalty", presence_penalty.filter(|_| variant.takes("presence_penalty")));
    object.optional("logit_bias", logit_bias.as_ref().filter(|_| variant.takes("logit_bias")));
    object.optional("logprobs", logprobs.filter(|_| variant.takes("logprobs")));
    object.optional("top_logprobs", top_logprobs.filter(|_| variant.takes("logprobs")));
}

fn encode_response_format(chat: &Chat, with_extra: bool, object: &mut ObjectWriter<'_>) {
    let Some(known) = &chat.response_format else { return };
    if let ResponseFormat::Other(json) = known {
        return object.field("response_format", json);
    }
    let mut format = object.object("response_format");
    match known {
        ResponseFormat::Text => format.field("type", "text"),
        ResponseFormat::JsonObject => format.field("type", "json_object"),
        ResponseFormat::JsonSchema(known) => {
            format.field("type", "json_schema");
            let mut schema = format.object("json_schema");
            // The name is required here and not everywhere.
            schema.field("name", known.name.as_deref().unwrap_or("answer"));
            schema.optional("description", known.description.as_ref());
            schema.field("schema", &known.schema);
            schema.optional("strict", known.strict);
            if with_extra {
                schema.extra(&known.extra, &["name", "description", "schema", "strict"]);
            }
            schema.end();
        }
        ResponseFormat::Other(_) => {}
    }
    if with_extra {
        nested_extra(&chat.extra, "response_format", &mut format);
    }
    format.end();
}
