//! A Chat Completions request, read.

use std::num::NonZeroU32;

use bytes::Bytes;
use llm_core::{
    Chat, Dialect, Error, ErrorKind, JsonSchema, LlmRequest, Message, Payload, ReasoningEffort, ResponseFormat, Role,
    Sampling, Stop,
};

use super::{message::decode_message, tool};
use crate::{
    json::{Object, Value, document},
    limits::{MAX_MESSAGES, MAX_STOPS, MAX_TOOLS, decode_model},
};

/// Reads the body of a Chat Completions request. The request keeps the bytes.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] when the body is no such request; the message names the field, never its value.
pub fn decode_chat(body: Bytes) -> Result<LlmRequest, Error> {
    let document = document(&body, ErrorKind::InvalidRequest)?;
    let mut root = document.object()?;
    let model = decode_model(&mut root)?;
    let chat = decode_fields(root)?;
    Ok(LlmRequest::new(model, Payload::Chat(chat)).with_wire(Dialect::OpenAi, body.clone()))
}

fn decode_fields(mut root: Object<'_, '_>) -> Result<Chat, Error> {
    let mut chat = Chat { dialect: Some(Dialect::OpenAi), ..Chat::default() };
    decode_messages(&root.required("messages")?, &mut chat)?;
    if let Some(tools) = root.take("tools") {
        chat.tools = tools.list(MAX_TOOLS, |tool| tool::decode_tool(&tool))?;
    }
    chat.tool_choice = root.take("tool_choice").map(|value| tool::decode_choice(&value)).transpose()?;
    chat.parallel_tool_calls = root.take("parallel_tool_calls").map(|value| value.boolean()).transpose()?;
    chat.sampling = decode_sampling(&mut root)?;
    chat.max_output_tokens = decode_max_tokens(&mut root)?;
    chat.stop = root.take("stop").map(|value| decode_stop(&value)).transpose()?.unwrap_or_default();
    chat.seed = root.take("seed").map(|value| value.integer()).transpose()?;
    chat.n = root.take("n").map(|value| decode_n(&value)).transpose()?;
    chat.stream = root.take("stream").map(|value| value.boolean()).transpose()?.unwrap_or_default();
    if let Some(effort) = root.take("reasoning_effort") {
        chat.reasoning_effort = Some(ReasoningEffort::from(&*effort.string()?));
    }

    let stream_options = root.take("stream_options");
    let response_format = root.take("response_format");
    chat.extra = root.rest();
    if let Some(options) = stream_options {
        let mut options = options.object()?;
        let asked = options.take("include_usage").map(|value| value.boolean()).transpose()?;
        chat.include_usage = asked.unwrap_or_default();
        options.rest_into(&mut chat.extra, "stream_options");
    }
    if let Some(format) = response_format {
        decode_response_format(&format, &mut chat)?;
    }
    Ok(chat)
}

fn decode_messages(value: &Value<'_, '_>, chat: &mut Chat) -> Result<(), Error> {
    let is_instruction = |message: &Message| matches!(message.role, Role::System | Role::Developer);
    let mut messages = value.list(MAX_MESSAGES, |message| decode_message(&message))?;
    if messages.is_empty() {
        return Err(value.error("expected at least one message"));
    }
    let first_turn = messages.iter().position(|message| !is_instruction(message)).unwrap_or(messages.len());
    chat.system = messages.drain(..first_turn).collect();
    chat.messages = messages;
    Ok(())
}

fn decode_sampling(root: &mut Object<'_, '_>) -> Result<Sampling, Error> {
    let mut positive = |name| match root.take(name) {
        Some(value) if value.number()? < 0.0 => Err(value.error("expected at least 0")),
        Some(value) => value.number().map(Some),
        None => Ok(None),
    };
    let temperature = positive("temperature")?;
    let top_p = positive("top_p")?;
    let mut sampling = Sampling { temperature, top_p, ..Sampling::default() };
    sampling.frequency_penalty = root.take("frequency_penalty").map(|value| value.number()).transpose()?;
    sampling.presence_penalty = root.take("presence_penalty").map(|value| value.number()).transpose()?;
    sampling.logprobs = root.take("logprobs").map(|value| value.boolean()).transpose()?;
    if let Some(value) = root.take("top_logprobs") {
        let number = u32::try_from(value.at_least(0)?).map_err(|_| value.error("is too large"))?;
        sampling.top_logprobs = Some(number);
    }
    if let Some(value) = root.take("logit_bias") {
        if !value.is_object() {
            return Err(value.error("expected an object"));
        }
        sampling.logit_bias = Some(value.json());
    }
    // vLLM takes −1 for "all": that stays an unknown field.
    let top_k = root.get("top_k").filter(|value| !value.is_null());
    if let Some(Ok(number)) = top_k.map(|value| value.integer().map(u64::try_from)).transpose()? {
        root.take("top_k");
        sampling.top_k = Some(number);
    }
    Ok(sampling)
}

fn decode_max_tokens(root: &mut Object<'_, '_>) -> Result<Option<u64>, Error> {
    let new = root.take("max_completion_tokens").map(|value| value.at_least(1)).transpose()?;
    // Servers of one's own take −1 for "no limit": that stays an unknown field.
    if let Some(value) = root.get("max_tokens").filter(|value| !value.is_null())
        && value.integer()? == -1
    {
        return Ok(new);
    }
    let Some(value) = root.take("max_tokens") else { return Ok(new) };
    let old = value.at_least(1)?;
    match new {
        Some(new) if new != old => Err(value.error("differs from max_completion_tokens, which replaces it")),
        Some(_) | None => Ok(Some(old)),
    }
}

fn decode_stop(value: &Value<'_, '_>) -> Result<Stop, Error> {
    if value.is_string() {
        return Ok(Stop(vec![value.string()?.into_owned()]));
    }
    if !value.is_array() {
        return Err(value.error("expected a string or a list of strings"));
    }
    Ok(Stop(value.list(MAX_STOPS, |text| text.string().map(Into::into))?))
}

fn decode_n(value: &Value<'_, '_>) -> Result<NonZeroU32, Error> {
    let number = u32::try_from(value.integer()?).ok().filter(|number| *number <= 128);
    number.and_then(NonZeroU32::new).ok_or_else(|| value.error("expected 1 to 128"))
}

fn decode_response_format(value: &Value<'_, '_>, chat: &mut Chat) -> Result<(), Error> {
    let mut object = value.object()?;
    let kind = object.required("type")?.string()?;
    chat.response_format = Some(match &*kind {
        "text" => ResponseFormat::Text,
        "json_object" => ResponseFormat::JsonObject,
        "json_schema" => {
            let value = object.required("json_schema")?;
            let mut schema = value.object()?;
            ResponseFormat::JsonSchema(JsonSchema {
                name: schema.take("name").map(|value| value.string()).transpose()?.map(Into::into),
                description: schema.take("description").map(|value| value.string()).transpose()?.map(Into::into),
                schema: decode_schema(&schema.required("schema")?)?,
                strict: schema.take("strict").map(|value| value.boolean()).transpose()?,
                extra: schema.rest(),
            })
        }
        _ => {
            chat.response_format = Some(ResponseFormat::Other(value.json()));
            return Ok(());
        }
    });
    object.rest_into(&mut chat.extra, "response_format");
    Ok(())
}

fn decode_schema(value: &Value<'_, '_>) -> Result<llm_core::Json, Error> {
    match value.text() {
        "true" | "false" => Ok(value.json()),
        _ if value.is_object() => Ok(value.json()),
        _ => Err(value.error("expected a JSON Schema")),
    }
}
