//! A `chat.completion` object, read.

use bytes::Bytes;
use llm_core::{
    ChatOutput, Choice, Dialect, Error, ErrorKind, FinishReason, Other, Output, Part, PartContent, Reasoning, Start,
};

use super::{finish::decode_finish, reasoning::take_details, tool, usage::decode_usage};
use crate::json::{Object, Value, document};

/// The most items of an answer's list. Choices, parts and tool calls come by the dozen.
const MAX_ITEMS: usize = 4_096;

/// Reads a whole answer to a chat.
///
/// # Errors
/// The provider's own error if the body holds one, also inside a 200 and also in a choice that finished with `error`;
/// else [`ErrorKind::Undecodable`] for a body that is no answer.
pub fn decode_chat_answer(body: Bytes) -> Result<Output, Error> {
    let document = document(&body, ErrorKind::Undecodable)?;
    // The usual answer has choices first and no error: only what looks otherwise is read a second time.
    let root = document.object();
    let is_answer = root.as_ref().is_ok_and(|root| root.get("choices").is_some() && root.get("error").is_none());
    if !is_answer && let Some(error) = crate::error::decode_in_band(&body) {
        return Err(error);
    }
    let mut root = root?;
    let start = Start {
        id: optional_text(&mut root, "id"),
        model: optional_text(&mut root, "model"),
        created: root.take("created").and_then(|value| value.at_least(0).ok()),
    };
    let mut place = 0;
    let mut choices = root.required("choices")?.list(MAX_ITEMS, |choice| {
        place += 1;
        decode_choice(place - 1, &choice)
    })?;
    choices.sort_by_key(|choice| choice.index);
    let usage = root.take("usage").and_then(|value| decode_usage(value.text()));
    root.take("object");
    Ok(Output::Chat(ChatOutput { start, choices, usage, extra: root.rest(), dialect: Some(Dialect::OpenAi) }))
}

fn optional_text(root: &mut Object<'_, '_>, name: &'static str) -> Option<std::sync::Arc<str>> {
    let text = root.take(name)?.string().ok()?;
    if text.is_empty() { None } else { Some(text.into()) }
}

/// Reads the choice at `place` of the list, which is its index unless it says another.
fn decode_choice(place: u32, value: &Value<'_, '_>) -> Result<Choice, Error> {
    let mut object = value.object()?;
    let index = match object.take("index") {
        Some(value) => u32::try_from(value.at_least(0)?).map_err(|_| value.error("is too large"))?,
        None => place,
    };
    let finish_name = object.take("finish_reason").map(|value| value.string()).transpose()?.unwrap_or_default();
    let message = object.required("message")?;
    let mut message = message.object()?;
    let parts = decode_message(&mut message)?;
    let has_tool_calls = parts.iter().any(|part| matches!(part.content, PartContent::ToolCall(_)));
    let finish = decode_finish(&finish_name, has_tool_calls);
    if finish == Some(FinishReason::Error) {
        let error = object.take("error");
        return Err(finish_error(&finish_name, error.map(|error| error.text())));
    }
    let logprobs = object.take("logprobs").map(|value| value.json());
    let mut extra = object.rest();
    message.rest_into(&mut extra, "message");
    Ok(Choice { index, parts, finish, logprobs, extra })
}

/// The failure behind a choice that finished with an error; its own `error` may say more than the finish reason.
pub(crate) fn finish_error(finish: &str, error: Option<&str>) -> Error {
    let kind = if finish == "insufficient_system_resource" { ErrorKind::Overloaded } else { ErrorKind::Server };
    error
        .and_then(|error| crate::error::decode_in_band(format!(r#"{{"error":{error}}}"#).as_bytes()))
        .unwrap_or_else(|| Error::new(kind, "the provider failed while it answered"))
}

fn decode_message(message: &mut Object<'_, '_>) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::new();
    message.take("role");
    // Some servers send both spellings with the same text.
    let reasoning = [message.take("reasoning_content"), message.take("reasoning")];
    let plain = reasoning.into_iter().flatten().find(Value::is_string);
    let plain = plain.map(|value| value.string()).transpose()?.filter(|text| !text.is_empty());
    match take_details(message, plain.as_deref()) {
        Some(mut signed) => parts.append(&mut signed),
        None => parts.extend(plain.map(|text| {
            let text = text.into_owned();
            Part::from(PartContent::Reasoning(Reasoning { text, ..Reasoning::default() }))
        })),
    }
    if let Some(content) = message.take("content") {
        parts.append(&mut decode_answer_content(&content)?);
    }
    // Some servers say `false` where there is none.
    if let Some(refusal) = message.take("refusal").filter(Value::is_string) {
        parts.push(PartContent::Refusal(refusal.string()?.into_owned()).into());
    }
    if let Some(calls) = message.take("tool_calls") {
        parts.append(&mut calls.list(MAX_ITEMS, |call| tool::decode_call(&call, tool::answer_id))?);
    }
    if let Some(call) = message.take("function_call") {
        parts.push(tool::decode_function_call(&call)?);
    }
    Ok(parts)
}

/// Reads the `content` of an answer: a string, or Mistral's list of text and thinking.
pub(crate) fn decode_answer_content(value: &Value<'_, '_>) -> Result<Vec<Part>, Error> {
    if value.is_string() {
        return Ok(vec![Part::text(value.string()?)]);
    }
    if !value.is_array() {
        return Err(value.error("expected a string or a list of parts"));
    }
    let parts = value.list(MAX_ITEMS, |part| decode_answer_part(&part))?;
    Ok(parts.into_iter().flatten().collect())
}

/// Reads a part; one whose text is missing or `null` is none.
fn decode_answer_part(value: &Value<'_, '_>) -> Result<Option<Part>, Error> {
    let mut object = value.object()?;
    let kind = object.required("type")?.string()?;
    let name = match &*kind {
        "text" => "text",
        "refusal" => "refusal",
        "thinking" => "thinking",
        _ => return Ok(Some(PartContent::Other(Other { kind: kind.into_owned(), json: value.json() }).into())),
    };
    let Some(said) = object.take(name) else { return Ok(None) };
    let is_list = name == "thinking" && !said.is_string();
    let text = if is_list { join_texts(&said)? } else { said.string()?.into_owned() };
    Ok(Some(match name {
        "text" => Part::text(text),
        "refusal" => PartContent::Refusal(text).into(),
        _ => PartContent::Reasoning(Reasoning { text, ..Reasoning::default() }).into(),
    }))
}

fn join_texts(list: &Value<'_, '_>) -> Result<String, Error> {
    let texts = list.list(MAX_ITEMS, |item| {
        let text = item.object()?.take("text");
        text.map(|text| text.string()).transpose()
    })?;
    Ok(texts.into_iter().flatten().collect())
}
