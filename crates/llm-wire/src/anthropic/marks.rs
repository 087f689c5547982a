//! Marks for the provider's prompt cache in a request that has none.

use std::ops::Range;

use bytes::Bytes;
use llm_core::{CacheTtl, Error, ErrorKind};
use memchr::memmem;

use crate::{
    edits::Edits,
    json::{Value, known_document},
};

/// How many messages get a mark, from the last one on: with the tools and the system prompt that is as many as the
/// provider takes (Anthropic API reference, Prompt caching).
const MARKED_MESSAGES: usize = 2;

/// What is never a list of more than so many items in a request that was read; no bound of its own.
const ANY_NUMBER: usize = usize::MAX;

/// The request with its marks. One that has a mark already stays as it is: its caller knows better.
pub(super) fn mark(body: Bytes, ttl: CacheTtl) -> Result<Bytes, Error> {
    // In a text the quotes would be escaped.
    if memmem::find(&body, b"\"cache_control\"").is_some() {
        return Ok(body);
    }
    let document = known_document(&body, ErrorKind::InvalidRequest)?;
    let root = document.object()?;
    let mut marks = Marks { body: &body, edits: Edits::new(&body), ttl };
    if let Some(tools) = root.get("tools").filter(Value::is_array) {
        for place in marks.places(&tools)?.into_iter().rev() {
            let tool = known_document(&body[place.clone()], ErrorKind::InvalidRequest)?;
            // The provider refuses a mark on a tool that is only loaded when it is searched for.
            if tool.object()?.get("defer_loading").is_none_or(|deferred| deferred.text() != "true") {
                marks.mark_object(place);
                break;
            }
        }
    }
    if let Some(system) = root.get("system") {
        marks.mark_content(&system)?;
    }
    if let Some(messages) = root.get("messages").filter(Value::is_array) {
        let mut left = MARKED_MESSAGES;
        for place in marks.places(&messages)?.into_iter().rev() {
            let message = known_document(&body[place], ErrorKind::InvalidRequest)?;
            let Some(content) = message.object()?.get("content").map(|content| content.text()) else { continue };
            let content = known_document(content.as_bytes(), ErrorKind::InvalidRequest)?;
            left -= usize::from(marks.mark_content(&content.value()?)?);
            if left == 0 {
                break;
            }
        }
    }
    Ok(marks.edits.apply())
}

struct Marks<'t> {
    body: &'t Bytes,
    edits: Edits<'t>,
    ttl: CacheTtl,
}

impl Marks<'_> {
    /// Marks what a turn or the system prompt ends with; false if there is nothing that can bear a mark.
    fn mark_content(&mut self, content: &Value<'_, '_>) -> Result<bool, Error> {
        if content.is_string() {
            if is_blank(content)? {
                return Ok(false);
            }
            let place = self.edits.place(content);
            let (mark, text) = (self.mark(), content.text());
            self.edits.replace_at(place, format!(r#"[{{{mark},"type":"text","text":{text}}}]"#));
            return Ok(true);
        }
        if !content.is_array() {
            return Ok(false);
        }
        for place in self.places(content)?.into_iter().rev() {
            let block = known_document(&self.body[place.clone()], ErrorKind::InvalidRequest)?;
            if can_be_marked(&block.value()?)? {
                self.mark_object(place);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Marks an object that has other fields.
    fn mark_object(&mut self, place: Range<usize>) {
        let mark = self.mark();
        self.edits.insert(place.start + 1, format!("{mark},"));
    }

    fn mark(&self) -> &'static str {
        match self.ttl {
            CacheTtl::FiveMinutes => r#""cache_control":{"type":"ephemeral"}"#,
            CacheTtl::OneHour => r#""cache_control":{"type":"ephemeral","ttl":"1h"}"#,
        }
    }

    /// Where the objects of a list stand.
    fn places(&self, list: &Value<'_, '_>) -> Result<Vec<Range<usize>>, Error> {
        let places = list.list(ANY_NUMBER, |item| Ok(item.is_object().then(|| self.edits.place(&item))))?;
        Ok(places.into_iter().flatten().collect())
    }
}

/// The provider refuses marks on thoughts and on empty texts.
fn can_be_marked(block: &Value<'_, '_>) -> Result<bool, Error> {
    let block = block.object()?;
    let Some(kind) = block.get("type") else { return Ok(false) };
    match (&*kind.string()?, block.get("text")) {
        ("thinking" | "redacted_thinking", _) => Ok(false),
        ("text", Some(text)) => Ok(!is_blank(&text)?),
        _ => Ok(true),
    }
}

fn is_blank(text: &Value<'_, '_>) -> Result<bool, Error> {
    Ok(text.string()?.trim().is_empty())
}
