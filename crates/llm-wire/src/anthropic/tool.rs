//! Tools and the choice among them, both ways.

use llm_core::{Chat, Error, Extra, Function, Other, Tool, ToolChoice, ToolKind};

use super::{block::take_cache, request::decode_schema};
use crate::json::{ObjectWriter, Value, fields_of};

/// A tool without a type, or of type `custom`, is a function of the caller's; all others run at the provider.
pub(super) fn decode_tool(value: &Value<'_, '_>) -> Result<Tool, Error> {
    let mut object = value.object()?;
    if let Some(kind) = object.take("type") {
        let kind = kind.string()?;
        if kind != "custom" {
            let kind = ToolKind::Other(Other { kind: kind.into_owned(), json: value.json() });
            return Ok(Tool { kind, cache: None, extra: Extra::new() });
        }
    }
    let kind = ToolKind::Function(Function {
        name: object.required("name")?.string()?.into_owned(),
        description: object.take("description").map(|value| value.string()).transpose()?.map(Into::into),
        parameters: Some(decode_schema(&object.required("input_schema")?)?),
        strict: object.take("strict").map(|value| value.boolean()).transpose()?,
    });
    let cache = take_cache(&mut object)?;
    Ok(Tool { kind, cache, extra: object.rest() })
}

/// Reads `tool_choice`, which also says whether several tools may be called at once.
pub(super) fn decode_choice(value: &Value<'_, '_>, chat: &mut Chat) -> Result<(), Error> {
    let mut object = value.object()?;
    chat.tool_choice = Some(match &*object.required("type")?.string()? {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Function(object.required("name")?.string()?.into_owned()),
        _ => {
            chat.tool_choice = Some(ToolChoice::Other(value.json()));
            return Ok(());
        }
    });
    let is_single = object.take("disable_parallel_tool_use").map(|value| value.boolean()).transpose()?;
    chat.parallel_tool_calls = is_single.map(|is_single| !is_single);
    object.rest_into(&mut chat.extra, "tool_choice");
    Ok(())
}

/// Writes `tool_choice`. Without tools there is nothing to choose, and the provider refuses a choice.
pub(super) fn encode_choice(chat: &Chat, with_extra: bool, object: &mut ObjectWriter<'_>) {
    if chat.tools.is_empty() {
        return;
    }
    let is_single = chat.parallel_tool_calls.map(|is_parallel| !is_parallel);
    let (kind, name) = match &chat.tool_choice {
        None if is_single.is_none() => return,
        None | Some(ToolChoice::Auto) => ("auto", None),
        Some(ToolChoice::Required) => ("any", None),
        Some(ToolChoice::None) => ("none", None),
        Some(ToolChoice::Function(name)) => ("tool", Some(name)),
        Some(ToolChoice::Other(json)) => return object.field("tool_choice", json),
    };
    let mut choice = object.object("tool_choice");
    choice.field("type", kind);
    choice.optional("name", name);
    // "none" has no calls that could be parallel.
    choice.optional("disable_parallel_tool_use", is_single.filter(|_| kind != "none"));
    if let Some(json) = chat.extra.get("tool_choice").filter(|_| with_extra) {
        choice.extra(&fields_of(json), &["type", "name", "disable_parallel_tool_use"]);
    }
    choice.end();
}
