//! What no request may exceed, in whatever dialect.

use llm_core::Error;

use crate::json::Object;

/// The longest name of a model, in bytes. The longest in use, resource names of clouds (`arn:aws:bedrock:…`), have
/// about 100.
const MAX_MODEL_BYTES: usize = 256;

/// The most messages of a request: the limit of Anthropic (Anthropic API reference, Messages).
pub(crate) const MAX_MESSAGES: usize = 100_000;

/// The most tools of a request. OpenAI takes 128 (OpenAI API reference, Chat Completions); compatible servers have no
/// limit of their own, but no model can choose among thousands.
pub(crate) const MAX_TOOLS: usize = 4_096;

/// The most stop sequences of a request. OpenAI takes 4 (OpenAI API reference, Chat Completions) and DeepSeek 16
/// (DeepSeek API reference, Create Chat Completion).
pub(crate) const MAX_STOPS: usize = 64;

/// The most parts of one message: room for a video of more than an hour at a picture a second.
pub(crate) const MAX_PARTS: usize = 4_096;

/// Reads the model of a request. Model names end in paths, headers and labels.
pub(crate) fn decode_model(root: &mut Object<'_, '_>) -> Result<String, Error> {
    let value = root.required("model")?;
    let model = value.string()?;
    if model.is_empty() || model.chars().any(char::is_control) {
        return Err(value.error("expected a name without control characters"));
    }
    if model.len() > MAX_MODEL_BYTES {
        return Err(value.error(format_args!("is longer than {MAX_MODEL_BYTES} bytes")));
    }
    Ok(model.into_owned())
}
