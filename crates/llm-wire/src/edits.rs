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
        self.edits.push((self.place(value), with.into()));
    }

    /// Puts `what` before the byte at `at`.
    pub(crate) fn insert(&mut self, at: usize, what: impl Into<String>) {
        self.edits.push((at..at, what.into()));
    }

    /// The text with all changes made.
    pub(crate) fn apply(mut self) -> Bytes {
        if self.edits.is_empty() {
            return self.text.clone();
        }
        // Stable: what is inserted behind a value comes after what replaces it.
        self.edits.sort_by_key(|(place, _)| place.start);
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
