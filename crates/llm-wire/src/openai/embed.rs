//! Embeddings, both ways.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};
use llm_core::{
    Dialect, Embed, EmbedInput, EmbedOutput, Error, ErrorKind, Head, LlmRequest, Output, Payload, Vector,
    VectorEncoding,
};

use super::usage::decode_usage;
use crate::{
    EncodeOptions,
    json::{ObjectWriter, Value, document},
    limits::decode_model,
};

/// The most inputs of a request (OpenAI API reference, Embeddings).
const MAX_INPUTS: usize = 2_048;

/// The most tokens of one input. OpenAI's models take 8,192 (OpenAI API reference, Embeddings), the longest models of
/// other servers four times that.
const MAX_TOKENS: usize = 32_768;

/// The most vectors of an answer. A request that was built and not read may have more inputs than [`MAX_INPUTS`].
const MAX_VECTORS: usize = 100_000;

/// Reads the body of an embeddings request. The request keeps the bytes.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] when the body is no such request; the message names the field, never its value.
pub fn decode_embed(body: Bytes) -> Result<LlmRequest, Error> {
    let document = document(&body, ErrorKind::InvalidRequest)?;
    let mut root = document.object()?;
    let model = decode_model(&mut root)?;
    let (input, single) = decode_input(&root.required("input")?)?;
    let dimensions = match root.take("dimensions") {
        Some(value) => Some(u32::try_from(value.at_least(1)?).map_err(|_| value.error("is too large"))?),
        None => None,
    };
    let encoding = match root.take("encoding_format") {
        None => VectorEncoding::Float,
        Some(value) => match &*value.string()? {
            "float" => VectorEncoding::Float,
            "base64" => VectorEncoding::Base64,
            _ => return Err(value.error("expected float or base64")),
        },
    };
    let embed = Embed { input, single, dimensions, encoding, extra: root.rest() };
    Ok(LlmRequest::new(model, Payload::Embed(embed)).with_wire(Dialect::OpenAi, body.clone()))
}

/// A text, a list of texts, the tokens of a text, or a list of these.
fn decode_input(value: &Value<'_, '_>) -> Result<(Vec<EmbedInput>, bool), Error> {
    if value.is_string() {
        return Ok((vec![EmbedInput::Text(value.string()?.into_owned())], true));
    }
    let Some(items) = value.text().strip_prefix('[') else {
        return Err(value.error("expected a string or a list"));
    };
    // What the first item is says what all have to be.
    match items.trim_ascii_start().as_bytes() {
        [b']', ..] => Err(value.error("expected at least one input")),
        [b'"', ..] => {
            let texts = value.list(MAX_INPUTS, |item| Ok(EmbedInput::Text(item.string()?.into_owned())))?;
            Ok((texts, false))
        }
        [b'[', ..] => {
            let inputs = value.list(MAX_INPUTS, |item| Ok(EmbedInput::Tokens(decode_tokens(&item)?)))?;
            Ok((inputs, false))
        }
        _ => Ok((vec![EmbedInput::Tokens(decode_tokens(value)?)], true)),
    }
}

fn decode_tokens(value: &Value<'_, '_>) -> Result<Vec<u32>, Error> {
    if !value.is_array() {
        return Err(value.error("expected a list of tokens"));
    }
    let tokens =
        value.list(MAX_TOKENS, |token| token.text().parse().map_err(|_| value.error("expected token numbers only")))?;
    if tokens.is_empty() { Err(value.error("expected at least one token")) } else { Ok(tokens) }
}

pub(crate) fn encode_embed(request: &LlmRequest, embed: &Embed, options: &EncodeOptions<'_>) -> Bytes {
    let mut out = BytesMut::with_capacity(256);
    let mut object = ObjectWriter::begin(&mut out);
    object.field("model", options.model);
    match &embed.input[..] {
        [EmbedInput::Text(text)] if embed.single => object.field("input", text),
        [EmbedInput::Tokens(tokens)] if embed.single => object.field("input", tokens),
        inputs => {
            let mut list = object.array("input");
            for input in inputs {
                match input {
                    EmbedInput::Text(text) => list.item(text),
                    EmbedInput::Tokens(tokens) => list.item(tokens),
                }
            }
            list.end();
        }
    }
    object.optional("dimensions", embed.dimensions);
    if embed.encoding == VectorEncoding::Base64 {
        object.field("encoding_format", "base64");
    }
    if request.wire().is_none_or(|wire| wire.dialect == Dialect::OpenAi) {
        object.extra(&embed.extra, &["model", "input", "dimensions", "encoding_format"]);
    }
    object.end();
    out.freeze()
}

/// Reads an answer to an embeddings request, with vectors in either encoding.
///
/// # Errors
/// The provider's own error if the body is one, else [`ErrorKind::Undecodable`].
pub fn decode_embed_answer(body: Bytes) -> Result<Output, Error> {
    let document = document(&body, ErrorKind::Undecodable)?;
    let mut root = document.object()?;
    if root.get("data").is_none()
        && let Some(error) = crate::error::decode_in_band(&body)
    {
        return Err(error);
    }
    let data = root.required("data")?;
    let mut place = 0..;
    let mut vectors = data.list(MAX_VECTORS, |value| {
        let mut item = value.object()?;
        let index = item.take("index").map(|value| value.at_least(0)).transpose()?;
        let vector = decode_vector(&item.required("embedding")?)?;
        Ok((index.or(place.next()), vector))
    })?;
    vectors.sort_by_key(|(index, _)| *index);
    let usage = root.take("usage").and_then(|value| decode_usage(value.text()));
    root.take("object");
    let vectors = vectors.into_iter().map(|(_, vector)| vector).collect();
    Ok(Output::Embed(EmbedOutput { vectors, usage, extra: root.rest() }))
}

fn decode_vector(value: &Value<'_, '_>) -> Result<Vector, Error> {
    if !value.is_string() {
        let numbers = serde_json::from_str(value.text()).map_err(|_| value.error("expected numbers or base64"))?;
        return Ok(Vector(numbers));
    }
    let bytes = BASE64_STANDARD.decode(value.string()?.as_bytes()).map_err(|_| value.error("expected base64"))?;
    let (numbers, []) = bytes.as_chunks::<4>() else { return Err(value.error("expected 32-bit floats")) };
    Ok(Vector(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()))
}

pub(crate) fn encode_embed_answer(embed: &EmbedOutput, head: &Head, request: &LlmRequest) -> Bytes {
    let encoding = match request.payload() {
        Payload::Embed(asked) => asked.encoding,
        Payload::Chat(_) | Payload::CountTokens(_) => VectorEncoding::Float,
    };
    let mut out = BytesMut::with_capacity(1024);
    let mut object = ObjectWriter::begin(&mut out);
    object.field("object", "list");
    let mut data = object.array("data");
    for (index, vector) in embed.vectors.iter().enumerate() {
        let mut item = data.object();
        item.field("object", "embedding");
        item.field("index", &index);
        match encoding {
            VectorEncoding::Float => item.field("embedding", &vector.0),
            VectorEncoding::Base64 => {
                let bytes: Vec<u8> = vector.0.iter().flat_map(|number| number.to_le_bytes()).collect();
                item.field("embedding", &BASE64_STANDARD.encode(bytes));
            }
        }
        item.end();
    }
    data.end();
    if embed.extra.get("model").is_none() {
        object.field("model", head.model.as_deref().unwrap_or(request.model()));
    }
    object.extra(&embed.extra, &["object", "data", "usage"]);
    if let Some(usage) = &embed.usage {
        let mut report = object.object("usage");
        report.field("prompt_tokens", &usage.input);
        report.field("total_tokens", &usage.total());
        report.end();
    }
    object.end();
    out.freeze()
}
