//! A `message` object and a count of tokens, read.

use bytes::Bytes;
use llm_core::{ChatOutput, Choice, Dialect, Error, ErrorKind, Output, Provenance, Start, TokenCount};

use super::{
    block::decode_block,
    finish::{STOP_SEQUENCE, decode_finish},
    usage::decode_usage,
};
use crate::json::{Object, document};

/// The most blocks of an answer. They come by the dozen.
const MAX_BLOCKS: usize = 4_096;

/// Reads a whole answer to a chat.
///
/// # Errors
/// The provider's own error if the body holds one, also inside a 200; else [`ErrorKind::Undecodable`] for a body that
/// is no answer.
pub fn decode_answer(body: Bytes) -> Result<Output, Error> {
    let document = document(&body, ErrorKind::Undecodable)?;
    let root = document.object();
    let is_answer = root.as_ref().is_ok_and(|root| root.get("content").is_some() && root.get("error").is_none());
    if !is_answer && let Some(error) = crate::error::decode_in_band(&body) {
        return Err(error);
    }
    let mut root = root?;
    let start = Start { id: optional_text(&mut root, "id"), model: optional_text(&mut root, "model"), created: None };
    let parts = root.required("content")?.list(MAX_BLOCKS, |block| decode_block(&block))?;
    let finish = root.take("stop_reason").and_then(|value| decode_finish(&value.string().ok()?));
    let mut choice = Choice { index: 0, parts, finish, ..Choice::default() };
    if let Some(text) = root.take(STOP_SEQUENCE) {
        choice.extra.insert(STOP_SEQUENCE, text.json());
    }
    let usage = root.take("usage").and_then(|value| decode_usage(value.text()));
    root.take("type");
    root.take("role");
    let output =
        ChatOutput { start, choices: vec![choice], usage, extra: root.rest(), dialect: Some(Dialect::Anthropic) };
    Ok(Output::Chat(output))
}

fn optional_text(root: &mut Object<'_, '_>, name: &'static str) -> Option<std::sync::Arc<str>> {
    let text = root.take(name)?.string().ok()?;
    if text.is_empty() { None } else { Some(text.into()) }
}

/// Reads the answer to a question for a count.
///
/// # Errors
/// As for [`decode_answer`].
pub fn decode_token_count(body: &[u8]) -> Result<Output, Error> {
    let document = document(body, ErrorKind::Undecodable)?;
    let mut root = document.object()?;
    if root.get("input_tokens").is_none()
        && let Some(error) = crate::error::decode_in_band(body)
    {
        return Err(error);
    }
    let input_tokens = root.required("input_tokens")?.at_least(0)?;
    Ok(TokenCount { input_tokens, provenance: Provenance::Reported }.into())
}
