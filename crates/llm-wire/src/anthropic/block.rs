//! Content blocks, read.

use llm_core::{CacheTtl, Error, File, Image, Other, Part, PartContent, Reasoning, Source, ToolCall, ToolResult};

use super::unsigned::given;
use crate::{
    json::{Object, Value},
    limits::MAX_PARTS,
};

/// Reads `content` or `system`: a string, or a list of blocks.
pub(super) fn decode_content(value: &Value<'_, '_>) -> Result<Vec<Part>, Error> {
    if value.is_string() {
        return Ok(vec![Part::text(value.string()?)]);
    }
    if !value.is_array() {
        return Err(value.error("expected a string or a list of blocks"));
    }
    value.list(MAX_PARTS, |block| decode_block(&block))
}

/// Reads one block, of a request or of an answer. One of a kind that has no name here is kept whole.
pub(super) fn decode_block(value: &Value<'_, '_>) -> Result<Part, Error> {
    let mut block = value.object()?;
    let kind = block.required("type")?.string()?;
    let known = match &*kind {
        "text" => Some(PartContent::Text(string(&mut block, "text")?)),
        "image" => decode_source(&mut block)?.map(|source| PartContent::Image(Image { source, detail: None })),
        "document" => decode_document(&mut block)?,
        "tool_use" => Some(PartContent::ToolCall(decode_call(&mut block)?)),
        "tool_result" => Some(PartContent::ToolResult(decode_result(&mut block)?)),
        "thinking" => {
            let text = string(&mut block, "thinking")?;
            let signature = optional_string(&mut block, "signature")?.and_then(given);
            Some(PartContent::Reasoning(Reasoning { text, signature, redacted: None }))
        }
        "redacted_thinking" => {
            let redacted = Some(string(&mut block, "data")?);
            Some(PartContent::Reasoning(Reasoning { redacted, ..Reasoning::default() }))
        }
        _ => None,
    };
    let Some(content) = known else {
        let other = Other { kind: kind.into_owned(), json: value.json() };
        return Ok(PartContent::Other(other).into());
    };
    let cache = take_cache(&mut block)?;
    Ok(Part { content, cache, extra: block.rest() })
}

fn string(block: &mut Object<'_, '_>, name: &'static str) -> Result<String, Error> {
    Ok(block.required(name)?.string()?.into_owned())
}

fn optional_string(block: &mut Object<'_, '_>, name: &'static str) -> Result<Option<String>, Error> {
    block.take(name).map(|value| value.string().map(Into::into)).transpose()
}

/// Takes out the mark for the prompt cache. One of a kind or lifetime without a name here stays an unknown field.
pub(super) fn take_cache(object: &mut Object<'_, '_>) -> Result<Option<CacheTtl>, Error> {
    let Some(value) = object.get("cache_control").filter(|value| !value.is_null()) else { return Ok(None) };
    let mut mark = value.object()?;
    let kind = mark.required("type")?.string()?;
    let ttl = mark.take("ttl").map(|ttl| ttl.string()).transpose()?;
    let ttl = match (&*kind, ttl.as_deref()) {
        ("ephemeral", None | Some("5m")) => CacheTtl::FiveMinutes,
        ("ephemeral", Some("1h")) => CacheTtl::OneHour,
        _ => return Ok(None),
    };
    if mark.is_empty() {
        object.take("cache_control");
        return Ok(Some(ttl));
    }
    Ok(None)
}

/// Reads `source`; `None` if it is of a kind without a name here.
fn decode_source(block: &mut Object<'_, '_>) -> Result<Option<Source>, Error> {
    let value = block.required("source")?;
    let mut source = value.object()?;
    let known = match &*source.required("type")?.string()? {
        "base64" => {
            let media_type = string(&mut source, "media_type")?;
            Some(Source::Data { media_type, data: string(&mut source, "data")? })
        }
        "url" => Some(Source::Url(string(&mut source, "url")?)),
        "file" => Some(Source::File(string(&mut source, "file_id")?)),
        _ => None,
    };
    Ok(known)
}

fn decode_document(block: &mut Object<'_, '_>) -> Result<Option<PartContent>, Error> {
    let Some(source) = decode_source(block)? else { return Ok(None) };
    let filename = optional_string(block, "title")?;
    Ok(Some(PartContent::File(File { source, filename })))
}

fn decode_call(block: &mut Object<'_, '_>) -> Result<ToolCall, Error> {
    let id = string(block, "id")?;
    let name = string(block, "name")?;
    let input = block.required("input")?;
    if !input.is_object() {
        return Err(input.error("expected an object"));
    }
    Ok(ToolCall::function(id, name, input.text()))
}

fn decode_result(block: &mut Object<'_, '_>) -> Result<ToolResult, Error> {
    let call_id = string(block, "tool_use_id")?;
    let content = block.take("content").map(|content| decode_content(&content)).transpose()?.unwrap_or_default();
    let is_error = block.take("is_error").map(|value| value.boolean()).transpose()?.unwrap_or_default();
    Ok(ToolResult { call_id, content, is_error })
}
