//! Content parts, both ways.

use llm_core::{Audio, Error, Extra, File, Image, Other, Part, PartContent, Source};

use super::{foreign::Terms, tool::nested_extra};
use crate::{
    json::{ArrayWriter, Object, ObjectWriter, Value},
    limits::MAX_PARTS,
};

/// Reads `content`: a string, or a list of parts.
pub(crate) fn decode_content(value: &Value<'_, '_>) -> Result<Vec<Part>, Error> {
    if value.is_string() {
        return Ok(vec![Part::text(value.string()?)]);
    }
    if !value.is_array() {
        return Err(value.error("expected a string or a list of parts"));
    }
    value.list(MAX_PARTS, |part| decode_part(&part))
}

fn decode_part(value: &Value<'_, '_>) -> Result<Part, Error> {
    let mut object = value.object()?;
    let kind = object.required("type")?.string()?;
    let mut extra = Extra::new();
    let content = match &*kind {
        "text" => PartContent::Text(string(&mut object, "text")?),
        "refusal" => PartContent::Refusal(string(&mut object, "refusal")?),
        "image_url" => {
            let nested = object.required("image_url")?;
            if nested.is_string() {
                // Mistral's way to write it.
                let image = Image { source: decode_url(nested.string()?.into_owned()), detail: None };
                return Ok(Part { content: PartContent::Image(image), cache: None, extra: object.rest() });
            }
            let mut nested = nested.object()?;
            let source = decode_url(string(&mut nested, "url")?);
            let detail = nested.take("detail").map(|value| value.string()).transpose()?.map(Into::into);
            nested.rest_into(&mut extra, "image_url");
            PartContent::Image(Image { source, detail })
        }
        "input_audio" => {
            let nested = object.required("input_audio")?;
            if nested.is_string() {
                // Mistral's way to write it, which does not say the format.
                let other = Other { kind: kind.into_owned(), json: value.json() };
                return Ok(PartContent::Other(other).into());
            }
            let mut nested = nested.object()?;
            let audio = Audio { data: string(&mut nested, "data")?, format: string(&mut nested, "format")? };
            nested.rest_into(&mut extra, "input_audio");
            PartContent::Audio(audio)
        }
        "file" => {
            let nested = object.required("file")?;
            let mut file = nested.object()?;
            let source = match (file.take("file_id"), file.take("file_data")) {
                (Some(id), None) => Source::File(id.string()?.into_owned()),
                (None, Some(data)) => match decode_url(data.string()?.into_owned()) {
                    // Bare base64 does not say what it is.
                    Source::Url(data) => Source::Data { media_type: String::new(), data },
                    data => data,
                },
                (Some(_), Some(_)) | (None, None) => return Err(nested.error("expected file_id or file_data")),
            };
            let filename = file.take("filename").map(|value| value.string()).transpose()?.map(Into::into);
            file.rest_into(&mut extra, "file");
            PartContent::File(File { source, filename })
        }
        other => {
            let other = Other { kind: other.to_owned(), json: value.json() };
            return Ok(PartContent::Other(other).into());
        }
    };
    for (name, json) in object.rest().iter() {
        extra.insert(name, json.clone());
    }
    Ok(Part { content, cache: None, extra })
}

fn string(object: &mut Object<'_, '_>, name: &'static str) -> Result<String, Error> {
    Ok(object.required(name)?.string()?.into_owned())
}

/// A `data:` URL with base64 holds the bytes themselves. Nothing is ever fetched.
fn decode_url(url: String) -> Source {
    let data = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    match data {
        Some((media_type, data)) => Source::Data { media_type: media_type.to_owned(), data: data.to_owned() },
        None => Source::Url(url),
    }
}

fn encode_url(source: &Source) -> Option<String> {
    match source {
        Source::Url(url) => Some(url.clone()),
        Source::Data { media_type, data } if media_type.is_empty() => Some(data.clone()),
        Source::Data { media_type, data } => Some(format!("data:{media_type};base64,{data}")),
        Source::File(_) => None,
    }
}

/// Writes a content part, or says what it is that cannot be sent.
pub(crate) fn encode_part(
    part: &PartContent,
    extra: &Extra,
    terms: &Terms<'_>,
    list: &mut ArrayWriter<'_>,
) -> Result<(), &'static str> {
    match part {
        PartContent::Text(text) => write_part("text", extra, list, |part| part.field("text", text)),
        PartContent::Refusal(text) => write_part("refusal", extra, list, |part| part.field("refusal", text)),
        PartContent::Image(image) => {
            if matches!(image.source, Source::Url(_)) && !terms.variant.image_urls {
                return Err("a picture by its address");
            }
            let url = encode_url(&image.source).ok_or("a picture by the id of an uploaded file")?;
            write_nested("image_url", extra, list, |nested| {
                nested.field("url", &url);
                nested.optional("detail", image.detail.as_ref());
            });
        }
        PartContent::Audio(audio) => write_nested("input_audio", extra, list, |nested| {
            nested.field("data", &audio.data);
            nested.field("format", &audio.format);
        }),
        PartContent::File(file) => {
            let (name, source) = match &file.source {
                Source::Url(_) => return Err("a document by its address"),
                // Ids belong to one provider.
                Source::File(_) if !terms.with_extra() => return Err("a document by the id of an uploaded file"),
                Source::File(id) => ("file_id", Some(id.clone())),
                data @ Source::Data { .. } => ("file_data", encode_url(data)),
            };
            write_nested("file", extra, list, |nested| {
                nested.optional(name, source);
                // Bytes without a name are taken for no file at all.
                let name =
                    file.filename.as_deref().or(matches!(file.source, Source::Data { .. }).then_some("document.pdf"));
                nested.optional("filename", name);
            });
        }
        PartContent::Other(other) if terms.with_extra() => list.item(&other.json),
        PartContent::Other(_) => return Err("content of this kind"),
        PartContent::Reasoning(_) => return Err("reasoning that is not the model's"),
        PartContent::ToolCall(_) => return Err("a call of a tool that is not the model's"),
        PartContent::ToolResult(_) => return Err("a result of a tool within another"),
    }
    Ok(())
}

fn write_part(kind: &str, extra: &Extra, list: &mut ArrayWriter<'_>, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
    let mut object = list.object();
    object.field("type", kind);
    fill(&mut object);
    object.extra(extra, &["type", kind]);
    object.end();
}

/// A part whose fields are in an object named like its kind.
fn write_nested(kind: &str, extra: &Extra, list: &mut ArrayWriter<'_>, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
    write_part(kind, extra, list, |part| {
        let mut nested = part.object(kind);
        fill(&mut nested);
        nested_extra(extra, kind, &mut nested);
        nested.end();
    });
}
