//! A Chat Completions request, written from its types.

use bytes::{Bytes, BytesMut};
use llm_core::{Chat, Dialect, Error, ResponseFormat};

use super::{
    message_encode::encode_message,
    tool::{encode_choice, encode_tool, nested_extra},
};
use crate::{EncodeOptions, json::ObjectWriter};

/// What is written from typed fields, and so never from unknown ones.
const TYPED: [&str; 21] = [
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
    "seed",
    "n",
    "stream",
    "stream_options",
    "reasoning_effort",
];

pub(crate) fn encode_chat(chat: &Chat, options: &EncodeOptions<'_>) -> Result<Bytes, Error> {
    // Unknown fields of another dialect mean nothing here, and some providers refuse what they do not know.
    let with_extra = chat.dialect.is_none_or(|dialect| dialect == Dialect::OpenAi);
    let mut out = BytesMut::with_capacity(1024);
    let mut object = ObjectWriter::begin(&mut out);
    object.field("model", options.model);

    let mut messages = object.array("messages");
    for (index, message) in chat.system.iter().enumerate() {
        encode_message(message, &format!("system[{index}]"), with_extra, &mut messages)?;
    }
    for (index, message) in chat.messages.iter().enumerate() {
        encode_message(message, &format!("messages[{index}]"), with_extra, &mut messages)?;
    }
    messages.end();

    if !chat.tools.is_empty() {
        let mut tools = object.array("tools");
        for tool in &chat.tools {
            encode_tool(tool, &mut tools, with_extra);
        }
        tools.end();
    }
    if let Some(choice) = &chat.tool_choice {
        encode_choice(choice, &mut object);
    }
    object.optional("parallel_tool_calls", chat.parallel_tool_calls);
    encode_response_format(chat, with_extra, &mut object);
    encode_sampling(chat, &mut object);
    object.optional("max_completion_tokens", options.limit(chat.max_output_tokens));
    match &chat.stop.0[..] {
        [] => {}
        [text] => object.field("stop", text),
        texts => object.field("stop", texts),
    }
    object.optional("seed", chat.seed);
    object.optional("n", chat.n);
    object.optional("reasoning_effort", chat.reasoning_effort.as_ref().map(|effort| effort.as_str()));
    encode_stream(chat, options, with_extra, &mut object);
    if with_extra {
        object.extra(&chat.extra, &TYPED);
    }
    object.end();
    Ok(out.freeze())
}

fn encode_stream(chat: &Chat, options: &EncodeOptions<'_>, with_extra: bool, object: &mut ObjectWriter<'_>) {
    if !chat.stream {
        return;
    }
    object.field("stream", &true);
    let include_usage = chat.include_usage || options.include_usage;
    let known = chat.extra.get("stream_options").filter(|_| with_extra);
    if include_usage || known.is_some() {
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

fn encode_sampling(chat: &Chat, object: &mut ObjectWriter<'_>) {
    let sampling = &chat.sampling;
    object.optional("temperature", sampling.temperature);
    object.optional("top_p", sampling.top_p);
    object.optional("top_k", sampling.top_k);
    object.optional("frequency_penalty", sampling.frequency_penalty);
    object.optional("presence_penalty", sampling.presence_penalty);
    object.optional("logit_bias", sampling.logit_bias.as_ref());
    object.optional("logprobs", sampling.logprobs);
    object.optional("top_logprobs", sampling.top_logprobs);
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
