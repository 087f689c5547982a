//! Content blocks, written from their types.

use std::{borrow::Cow, fmt};

use llm_core::{
    CacheTtl, Error, File, Image, Part, PartContent, Reasoning, Source, ToolCall, ToolCallKind, ToolResult, Trail,
};
use serde_json::value::RawValue;

use super::{encode::ttl_name, foreign, unsigned::UNSIGNED};
use crate::{
    json::{ArrayWriter, ObjectWriter},
    refusal::refuse,
};

/// The pictures that the provider takes (Anthropic API reference, Messages).
const IMAGE_TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Where a part stands in the request, for errors.
#[derive(Clone, Copy)]
pub(super) enum Place {
    System(usize),
    Message(usize, usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(part) => write!(f, "system[{part}]"),
            Self::Message(message, part) => write!(f, "messages[{message}].content[{part}]"),
        }
    }
}

/// Writes blocks.
pub(super) struct BlockWriter<'t> {
    /// Whether the unknown fields are this dialect's own.
    pub(super) is_own: bool,
    /// Where it is noted what is left out.
    pub(super) trail: &'t Trail,
}

impl BlockWriter<'_> {
    /// Whether nothing is written for a part: the provider refuses blank texts, and thinking that it did not sign.
    pub(super) fn is_left_out(&self, part: &Part) -> bool {
        match &part.content {
            PartContent::Text(text) | PartContent::Refusal(text) => text.trim().is_empty(),
            PartContent::Reasoning(reasoning) => {
                let is_kept = reasoning.signature.is_some() || reasoning.redacted.is_some();
                !is_kept || is_of_another(part)
            }
            PartContent::Image(_)
            | PartContent::Audio(_)
            | PartContent::File(_)
            | PartContent::ToolCall(_)
            | PartContent::ToolResult(_)
            | PartContent::Other(_) => false,
        }
    }

    pub(super) fn note_left_out(&self, part: &Part) {
        if let PartContent::Reasoning(_) = &part.content {
            self.trail.note_left_out("messages.reasoning_content");
        }
    }

    /// Writes a part, if there is anything to write.
    pub(super) fn encode(&self, part: &Part, place: Place, list: &mut ArrayWriter<'_>) -> Result<(), Error> {
        if self.is_left_out(part) {
            self.note_left_out(part);
            return Ok(());
        }
        if let PartContent::Other(other) = &part.content {
            if !self.is_own {
                return Err(refuse(place.to_string(), "content of this kind"));
            }
            list.item(&other.json);
            return Ok(());
        }
        let mut block = list.object();
        let written: &[&str] = match &part.content {
            PartContent::Text(text) | PartContent::Refusal(text) => {
                block.field("type", "text");
                block.field("text", text);
                &["type", "text"]
            }
            PartContent::Image(image) => {
                self.encode_image(image, place, &mut block)?;
                &["type", "source"]
            }
            PartContent::File(file) => {
                self.encode_file(file, place, &mut block)?;
                &["type", "source", "title"]
            }
            PartContent::Audio(_) => return Err(refuse(place.to_string(), "sound")),
            PartContent::ToolCall(call) => {
                encode_call(call, place, &mut block)?;
                &["type", "id", "name", "input"]
            }
            PartContent::ToolResult(result) => {
                self.encode_result(result, place, &mut block)?;
                &["type", "tool_use_id", "content", "is_error"]
            }
            PartContent::Reasoning(reasoning) => {
                encode_reasoning(reasoning, &mut block);
                &["type", "thinking", "signature", "data"]
            }
            PartContent::Other(_) => &[],
        };
        encode_cache(part.cache, &mut block);
        if self.is_own {
            block.extra(&part.extra, written);
        } else {
            foreign::note(self.trail, "messages.content", &part.extra);
        }
        block.end();
        Ok(())
    }

    fn encode_image(&self, image: &Image, place: Place, block: &mut ObjectWriter<'_>) -> Result<(), Error> {
        let media_type = match &image.source {
            Source::Data { media_type, data: _ } => {
                Some(image_type(media_type).ok_or_else(|| refuse(place.to_string(), "pictures of this media type"))?)
            }
            Source::Url(_) | Source::File(_) => None,
        };
        if image.detail.is_some() {
            self.trail.note_left_out("messages.content.image_url.detail");
        }
        block.field("type", "image");
        self.encode_source(&image.source, media_type, place, block)
    }

    fn encode_file(&self, file: &File, place: Place, block: &mut ObjectWriter<'_>) -> Result<(), Error> {
        if let Source::Data { media_type, data: _ } = &file.source
            && media_type != "application/pdf"
        {
            return Err(refuse(place.to_string(), "files that are no PDF"));
        }
        block.field("type", "document");
        self.encode_source(&file.source, None, place, block)?;
        block.optional("title", file.filename.as_ref());
        Ok(())
    }

    /// Writes a source; `known_type` is the spelling of its media type where that is not the caller's.
    fn encode_source(
        &self,
        source: &Source,
        known_type: Option<&str>,
        place: Place,
        block: &mut ObjectWriter<'_>,
    ) -> Result<(), Error> {
        // An id of another provider's means nothing here.
        if matches!(source, Source::File(_)) && !self.is_own {
            return Err(refuse(place.to_string(), "the file ids of another"));
        }
        let mut object = block.object("source");
        match source {
            Source::Url(url) => {
                object.field("type", "url");
                object.field("url", url);
            }
            Source::Data { media_type, data } => {
                object.field("type", "base64");
                object.field("media_type", known_type.unwrap_or(media_type));
                object.field("data", data);
            }
            Source::File(id) => {
                object.field("type", "file");
                object.field("file_id", id);
            }
        }
        object.end();
        Ok(())
    }

    fn encode_result(&self, result: &ToolResult, place: Place, block: &mut ObjectWriter<'_>) -> Result<(), Error> {
        block.field("type", "tool_result");
        block.field("tool_use_id", &*tool_id(&result.call_id));
        match &result.content[..] {
            [] => {}
            [part] if part.cache.is_none() && (part.extra.is_empty() || !self.is_own) && part.as_text().is_some() => {
                block.optional("content", part.as_text());
            }
            parts => {
                let mut list = block.array("content");
                for part in parts {
                    self.encode(part, place, &mut list)?;
                }
                list.end();
            }
        }
        if result.is_error {
            block.field("is_error", &true);
        }
        Ok(())
    }
}

/// Whether reasoning says that another provider signed or encrypted it, as OpenRouter's details do in `format`.
fn is_of_another(part: &Part) -> bool {
    let format = part.extra.get("format").and_then(|json| json.parse::<Option<String>>().ok()).flatten();
    format.is_some_and(|format| !format.starts_with("anthropic"))
}

/// The media type of a picture as the provider spells it: without parameters, in small letters, and never `image/jpg`,
/// which many clients write.
fn image_type(media_type: &str) -> Option<&'static str> {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let essence = if essence == "image/jpg" { "image/jpeg" } else { &essence };
    IMAGE_TYPES.into_iter().find(|known| *known == essence)
}

fn encode_call(call: &ToolCall, place: Place, block: &mut ObjectWriter<'_>) -> Result<(), Error> {
    if call.kind == ToolCallKind::Custom {
        return Err(refuse(place.to_string(), "calls of tools that take free text"));
    }
    block.field("type", "tool_use");
    block.field("id", &*tool_id(&call.id));
    block.field("name", &call.name);
    let input = json_object(&call.arguments);
    let input = input.ok_or_else(|| refuse(place.to_string(), "arguments that are no JSON object"))?;
    block.raw("input", input);
    Ok(())
}

/// Arguments as the object that they are the text of. No text means no arguments.
pub(super) fn json_object(arguments: &str) -> Option<&str> {
    let arguments = arguments.trim_ascii();
    if arguments.is_empty() {
        return Some("{}");
    }
    let is_object = arguments.starts_with('{') && serde_json::from_str::<&RawValue>(arguments).is_ok();
    is_object.then_some(arguments)
}

pub(super) fn encode_reasoning(reasoning: &Reasoning, block: &mut ObjectWriter<'_>) {
    if let Some(data) = &reasoning.redacted {
        block.field("type", "redacted_thinking");
        block.field("data", data);
    } else {
        block.field("type", "thinking");
        block.field("thinking", &reasoning.text);
        block.field("signature", reasoning.signature.as_deref().unwrap_or(UNSIGNED));
    }
}

pub(super) fn encode_cache(cache: Option<CacheTtl>, object: &mut ObjectWriter<'_>) {
    let Some(ttl) = cache else { return };
    let mut mark = object.object("cache_control");
    mark.field("type", "ephemeral");
    mark.optional("ttl", ttl_name(ttl));
    mark.end();
}

/// The id of a tool call as the provider takes it: letters, digits, `_` and `-`. Any other byte becomes `_` and its two
/// hexadecimal digits, so that the call and its result still name the same, and different ids stay different.
pub(super) fn tool_id(id: &str) -> Cow<'_, str> {
    let is_taken = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if id.is_empty() {
        return Cow::Borrowed("_");
    }
    if id.bytes().all(is_taken) {
        return Cow::Borrowed(id);
    }
    let mut taken = String::with_capacity(id.len() + 8);
    for byte in id.bytes() {
        if is_taken(byte) { taken.push(char::from(byte)) } else { taken.push_str(&format!("_{byte:02x}")) }
    }
    Cow::Owned(taken)
}
