//! A Messages request, read.

use bytes::Bytes;
use llm_core::{
    Chat, Dialect, Error, ErrorKind, Json, JsonSchema, LlmRequest, Message, Payload, ReasoningEffort, ResponseFormat,
    Role, Sampling, Stop, Thinking,
};

use super::{
    block::decode_content,
    message::decode_message,
    tool::{decode_choice, decode_tool},
    unsigned::may_hold_unsigned,
};
use crate::{
    json::{Object, Value, document},
    limits::{MAX_MESSAGES, MAX_STOPS, MAX_TOOLS, decode_model},
};

/// Reads the body of `POST /v1/messages`. The request keeps the bytes.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] when the body is no such request; the message names the field, never its value.
pub fn decode_messages(body: Bytes) -> Result<LlmRequest, Error> {
    let document = document(&body, ErrorKind::InvalidRequest)?;
    let mut root = document.object()?;
    let model = decode_model(&mut root)?;
    // Zero is allowed: it only warms the provider's prompt cache.
    let limit = root.required("max_tokens")?.at_least(0)?;
    let mut chat = decode_fields(root)?;
    chat.max_output_tokens = Some(limit);
    Ok(with_bytes(model, Payload::Chat(chat), body))
}

/// Reads the body of `POST /v1/messages/count_tokens`, which is a Messages request without what only concerns the
/// answer. The request keeps the bytes.
///
/// # Errors
/// As for [`decode_messages`].
pub fn decode_count_tokens(body: Bytes) -> Result<LlmRequest, Error> {
    let document = document(&body, ErrorKind::InvalidRequest)?;
    let mut root = document.object()?;
    let model = decode_model(&mut root)?;
    let limit = root.take("max_tokens").map(|value| value.at_least(0)).transpose()?;
    let mut chat = decode_fields(root)?;
    chat.max_output_tokens = limit;
    chat.stream = false;
    Ok(with_bytes(model, Payload::CountTokens(chat), body))
}

fn with_bytes(model: String, payload: Payload, body: Bytes) -> LlmRequest {
    let request = LlmRequest::new(model, payload);
    if may_hold_unsigned(&body) { request } else { request.with_wire(Dialect::Anthropic, body) }
}

fn decode_fields(mut root: Object<'_, '_>) -> Result<Chat, Error> {
    let mut chat = Chat { dialect: Some(Dialect::Anthropic), ..Chat::default() };
    if let Some(system) = root.take("system") {
        chat.system = vec![Message::new(Role::System, decode_content(&system)?)];
    }
    let messages = root.required("messages")?;
    chat.messages = messages.list(MAX_MESSAGES, |message| decode_message(&message))?;
    if chat.messages.is_empty() {
        return Err(messages.error("expected at least one message"));
    }
    if let Some(tools) = root.take("tools") {
        chat.tools = tools.list(MAX_TOOLS, |tool| decode_tool(&tool))?;
    }
    let tool_choice = root.take("tool_choice");
    chat.sampling = decode_sampling(&mut root)?;
    if let Some(stops) = root.take("stop_sequences") {
        chat.stop = Stop(stops.list(MAX_STOPS, |text| text.string().map(Into::into))?);
    }
    chat.stream = root.take("stream").map(|value| value.boolean()).transpose()?.unwrap_or_default();
    // This dialect's streams always report.
    chat.include_usage = true;

    let thinking = root.take("thinking");
    let output_config = root.take("output_config");
    chat.extra = root.rest();
    if let Some(choice) = tool_choice {
        decode_choice(&choice, &mut chat)?;
    }
    if let Some(thinking) = thinking {
        decode_thinking(&thinking, &mut chat)?;
    }
    if let Some(config) = output_config {
        decode_output_config(&config, &mut chat)?;
    }
    Ok(chat)
}

fn decode_sampling(root: &mut Object<'_, '_>) -> Result<Sampling, Error> {
    let mut positive = |name| match root.take(name) {
        Some(value) if value.number()? < 0.0 => Err(value.error("expected at least 0")),
        Some(value) => value.number().map(Some),
        None => Ok(None),
    };
    let temperature = positive("temperature")?;
    let top_p = positive("top_p")?;
    let top_k = root.take("top_k").map(|value| value.at_least(0)).transpose()?;
    Ok(Sampling { temperature, top_p, top_k, ..Sampling::default() })
}

/// A kind of thinking without a name here stays an unknown field.
fn decode_thinking(value: &Value<'_, '_>, chat: &mut Chat) -> Result<(), Error> {
    let mut object = value.object()?;
    chat.thinking = Some(match &*object.required("type")?.string()? {
        "disabled" => Thinking::Disabled,
        "adaptive" => Thinking::Adaptive,
        "enabled" => Thinking::Budget(object.required("budget_tokens")?.at_least(1)?),
        _ => {
            chat.extra.insert("thinking", value.json());
            return Ok(());
        }
    });
    object.rest_into(&mut chat.extra, "thinking");
    Ok(())
}

fn decode_output_config(value: &Value<'_, '_>, chat: &mut Chat) -> Result<(), Error> {
    let mut config = value.object()?;
    if let Some(effort) = config.take("effort") {
        chat.reasoning_effort = Some(ReasoningEffort::from(&*effort.string()?));
    }
    if let Some(format) = config.take("format") {
        chat.response_format = Some(decode_format(&format)?);
    }
    config.rest_into(&mut chat.extra, "output_config");
    Ok(())
}

fn decode_format(value: &Value<'_, '_>) -> Result<ResponseFormat, Error> {
    let mut format = value.object()?;
    if format.required("type")?.string()? != "json_schema" {
        return Ok(ResponseFormat::Other(value.json()));
    }
    let schema = decode_schema(&format.required("schema")?)?;
    let extra = format.rest();
    // The provider keeps to the schema exactly.
    Ok(ResponseFormat::JsonSchema(JsonSchema { name: None, description: None, schema, strict: None, extra }))
}

pub(super) fn decode_schema(value: &Value<'_, '_>) -> Result<Json, Error> {
    if value.is_object() { Ok(value.json()) } else { Err(value.error("expected a JSON Schema object")) }
}
