//! Lists, read item by item: a list that is refused costs no memory.

use llm_core::Error;

use super::{Path, Value, split::Parts};

impl<'a> Value<'a, '_> {
    /// Reads a list of at most `most` items. It stops at the first item that `read` refuses, and at the first one too
    /// many.
    pub(crate) fn list<T, F>(&self, most: usize, mut read: F) -> Result<Vec<T>, Error>
    where
        F: FnMut(Value<'a, '_>) -> Result<T, Error>,
    {
        if !self.is_array() {
            return Err(self.error("expected a list"));
        }
        let mut items = Vec::new();
        for text in Parts::of(self.text) {
            if items.len() == most {
                return Err(self.error(format_args!("must have at most {most} items")));
            }
            items.push(read(Value { text, at: Path::Item(&self.at, items.len()) })?);
        }
        Ok(items)
    }
}
