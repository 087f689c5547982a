//! A JSON text with a few values changed and every other byte as it was.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::json::Value;

/// Changes of a text, each at a place of its own, in any order.
pub(crate) struct Edits<'t> {
    text: &'t Bytes,
    edits: Vec<(Range<usize>, String)>,
}

impl<'t> Edits<'t> {
    /// No changes yet.
    pub(crate) fn new(text: &'t Bytes) -> Self {
        Self { text, edits: Vec::new() }
    }

    /// Where a value that was read from the text stands in it.
    pub(crate) fn place(&self, value: &Value<'_, '_>) -> Range<usize> {
        let start = value.text().as_ptr().addr() - self.text.as_ptr().addr();
        start..start + value.text().len()
    }

    /// Puts `with` in the place of a value that was read from the text.
    pub(crate) fn replace(&mut self, value: &Value<'_, '_>, with: impl Into<String>) {
        self.replace_at(self.place(value), with);
    }

    /// Puts `with` in the place of what stands there.
    pub(crate) fn replace_at(&mut self, place: Range<usize>, with: impl Into<String>) {
        self.edits.push((place, with.into()));
    }

    /// Puts `what` before the byte at `at`.
    pub(crate) fn insert(&mut self, at: usize, what: impl Into<String>) {
        self.edits.push((at..at, what.into()));
    }

    /// Takes out a value that was read from a field of an object with other fields, and the field's name.
    pub(crate) fn remove_field(&mut self, value: &Value<'_, '_>) {
        let Range { start, mut end } = self.place(value);
        // Before the value stand its name in quotes, none of which is escaped in a name that we know, and a colon.
        let mut quotes = self.text[..start].iter().enumerate().rev().filter(|(_, byte)| **byte == b'"');
        let name = quotes.nth(1).map_or(start, |(at, _)| at);
        let before = self.text[..name].trim_ascii_end();
        let start = if before.ends_with(b",") {
            before.len() - 1
        } else {
            let comma = self.text[end..].iter().position(|byte| *byte == b',');
            end += comma.map_or(0, |at| at + 1);
            name
        };
        self.edits.push((start..end, String::new()));
    }

    /// The text with all changes made.
    pub(crate) fn apply(mut self) -> Bytes {
        if self.edits.is_empty() {
            return self.text.clone();
        }
        // What is inserted at a place comes before what is removed from it.
        self.edits.sort_by_key(|(place, _)| (place.start, place.end));
        let inserted: usize = self.edits.iter().map(|(_, what)| what.len()).sum();
        let mut out = BytesMut::with_capacity(self.text.len() + inserted);
        let mut copied = 0;
        for (place, what) in &self.edits {
            out.extend_from_slice(&self.text[copied..place.start]);
            out.extend_from_slice(what.as_bytes());
            copied = place.end;
        }
        out.extend_from_slice(&self.text[copied..]);
        out.freeze()
    }
}

/// A text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text can always be written as JSON")
}
