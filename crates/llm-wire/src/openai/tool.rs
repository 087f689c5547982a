//! Tools, the choice among them and calls of them, both ways.

use std::borrow::Cow;

use llm_core::{
    Error, Extra, Function, Json, Other, Part, PartContent, Tool, ToolCall, ToolCallKind, ToolChoice, ToolKind,
};

use super::{Variant, foreign::Terms};
use crate::{
    json::{ArrayWriter, Object, ObjectWriter, Value, fields_of},
    refusal::refuse,
};

pub(crate) fn decode_tool(value: &Value<'_, '_>) -> Result<Tool, Error> {
    let mut object = value.object()?;
    let kind = object.required("type")?.string()?;
    if kind != "function" {
        let kind = ToolKind::Other(Other { kind: kind.into_owned(), json: value.json() });
        return Ok(Tool { kind, cache: None, extra: Extra::new() });
    }
    let nested = object.required("function")?;
    let mut function = nested.object()?;
    let kind = ToolKind::Function(Function {
        name: function.required("name")?.string()?.into_owned(),
        description: function.take("description").map(|value| value.string()).transpose()?.map(Into::into),
        parameters: function.take("parameters").map(|value| object_json(&value)).transpose()?,
        strict: function.take("strict").map(|value| value.boolean()).transpose()?,
    });
    let mut extra = object.rest();
    function.rest_into(&mut extra, "function");
    Ok(Tool { kind, cache: None, extra })
}

fn object_json(value: &Value<'_, '_>) -> Result<Json, Error> {
    if value.is_object() { Ok(value.json()) } else { Err(value.error("expected an object")) }
}

pub(crate) fn encode_tool(
    tool: &Tool,
    index: usize,
    terms: &Terms<'_>,
    list: &mut ArrayWriter<'_>,
) -> Result<(), Error> {
    let with_extra = terms.with_extra();
    let function = match &tool.kind {
        ToolKind::Function(function) => function,
        ToolKind::Other(other) if with_extra => {
            list.item(&other.json);
            return Ok(());
        }
        ToolKind::Other(_) => return Err(refuse(format!("tools[{index}]"), "a tool of this kind")),
    };
    if tool.cache.is_some() {
        terms.note("tools.cache_control");
    }
    terms.note_extra("tools", &tool.extra);
    let extra = if with_extra { tool.extra.clone() } else { Extra::new() };
    let mut object = list.object();
    object.field("type", "function");
    let mut nested = object.object("function");
    nested.field("name", &function.name);
    nested.optional("description", function.description.as_ref());
    nested.optional("parameters", function.parameters.as_ref());
    nested.optional("strict", function.strict);
    nested_extra(&extra, "function", &mut nested);
    nested.end();
    object.extra(&extra, &["type", "function"]);
    object.end();
    Ok(())
}

/// Writes back the unknown fields of a nested object, see [`Object::rest_into`].
pub(crate) fn nested_extra(extra: &Extra, name: &str, nested: &mut ObjectWriter<'_>) {
    if let Some(json) = extra.get(name) {
        nested.extra(&fields_of(json), &[]);
    }
}

pub(crate) fn decode_choice(value: &Value<'_, '_>) -> Result<ToolChoice, Error> {
    if value.is_string() {
        return Ok(match &*value.string()? {
            "none" => ToolChoice::None,
            "auto" => ToolChoice::Auto,
            // Mistral's name for it.
            "required" | "any" => ToolChoice::Required,
            _ => ToolChoice::Other(value.json()),
        });
    }
    if !value.is_object() {
        return Err(value.error("expected a string or an object"));
    }
    let mut object = value.object()?;
    if object.required("type")?.string()? != "function" {
        return Ok(ToolChoice::Other(value.json()));
    }
    let nested = object.required("function")?;
    Ok(ToolChoice::Function(nested.object()?.required("name")?.string()?.into_owned()))
}

pub(crate) fn encode_choice(choice: &ToolChoice, variant: &Variant, object: &mut ObjectWriter<'_>) {
    match choice {
        ToolChoice::None => object.field("tool_choice", "none"),
        ToolChoice::Auto => object.field("tool_choice", "auto"),
        ToolChoice::Required => object.field("tool_choice", variant.must_call),
        ToolChoice::Other(json) => object.field("tool_choice", json),
        ToolChoice::Function(name) => {
            let mut choice = object.object("tool_choice");
            choice.field("type", "function");
            let mut function = choice.object("function");
            function.field("name", name);
            function.end();
            choice.end();
        }
    }
}

/// Reads one item of `tool_calls`, and its id by `read_id`. In requests ids are required texts; in answers some servers
/// leave them out, or number the calls.
pub(crate) fn decode_call<'a>(
    value: &Value<'a, '_>,
    read_id: impl FnOnce(&Value<'a, '_>) -> Result<Cow<'a, str>, Error>,
) -> Result<Part, Error> {
    let mut object = value.object()?;
    let id = object.take("id").map(|value| read_id(&value)).transpose()?.unwrap_or_default();
    let kind = object.take("type").map(|value| value.string()).transpose()?;
    let (kind, nested_name, text_name) = match kind.as_deref() {
        None | Some("function") => (ToolCallKind::Function, "function", "arguments"),
        Some("custom") => (ToolCallKind::Custom, "custom", "input"),
        Some(other) => {
            let other = Other { kind: other.to_owned(), json: value.json() };
            return Ok(PartContent::Other(other).into());
        }
    };
    let nested = object.required(nested_name)?;
    let mut nested = nested.object()?;
    let name = nested.required("name")?.string()?.into_owned();
    let arguments = nested.take(text_name).map(|value| decode_arguments(&value)).transpose()?.unwrap_or_default();
    // The place in the list says it already.
    object.take("index");
    let mut extra = object.rest();
    nested.rest_into(&mut extra, nested_name);
    let call = ToolCall { id: decode_id(&id).unwrap_or_default().to_owned(), name, arguments, kind };
    Ok(Part { content: PartContent::ToolCall(call), cache: None, extra })
}

/// Some servers give arguments as an object and not as its text.
fn decode_arguments(value: &Value<'_, '_>) -> Result<String, Error> {
    if value.is_string() { Ok(value.string()?.into_owned()) } else { Ok(value.text().to_owned()) }
}

/// The id of a tool call, where there is one: Mistral says `"null"` when it has none.
pub(crate) fn decode_id(id: &str) -> Option<&str> {
    Some(id).filter(|id| !id.is_empty() && *id != "null")
}

/// Old function calling: a name and arguments, and no id.
pub(crate) fn decode_function_call(value: &Value<'_, '_>) -> Result<Part, Error> {
    let mut object: Object<'_, '_> = value.object()?;
    let name = object.required("name")?.string()?;
    let arguments = object.take("arguments").map(|value| decode_arguments(&value)).transpose()?.unwrap_or_default();
    Ok(PartContent::ToolCall(ToolCall::function("", name, arguments)).into())
}

/// The id of a tool call in an answer, which some servers send as a number.
pub(crate) fn answer_id<'a>(value: &Value<'a, '_>) -> Result<Cow<'a, str>, Error> {
    let is_number = value.text().starts_with(|first: char| first == '-' || first.is_ascii_digit());
    if is_number { Ok(value.text().into()) } else { value.string() }
}

/// Writes one item of `tool_calls`, under `id` if the call has none of its own.
pub(crate) fn encode_call(call: &ToolCall, id: &str, extra: &Extra, mut object: ObjectWriter<'_>) {
    let (kind, text_name) = kind_names(call.kind);
    object.field("id", if call.id.is_empty() { id } else { &call.id });
    object.field("type", kind);
    let mut nested = object.object(kind);
    nested.field("name", &call.name);
    nested.field(text_name, &call.arguments);
    nested_extra(extra, kind, &mut nested);
    nested.end();
    object.extra(extra, &[kind, "id", "type"]);
    object.end();
}

/// The name of the kind, which is also the name of the nested object, and the name of the arguments in it.
pub(crate) fn kind_names(kind: ToolCallKind) -> (&'static str, &'static str) {
    match kind {
        ToolCallKind::Function => ("function", "arguments"),
        ToolCallKind::Custom => ("custom", "input"),
    }
}
