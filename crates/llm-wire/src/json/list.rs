//! Lists, read item by item as the parser reaches them: a list that is refused costs no memory.

use std::fmt;

use llm_core::Error;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Path, Value};

impl<'a> Value<'a, '_> {
    /// Reads a list of at most `most` items. It stops at the first item that `read` refuses, and at the first one too
    /// many.
    pub(crate) fn list<T, F>(&self, most: usize, read: F) -> Result<Vec<T>, Error>
    where
        F: FnMut(Value<'a, '_>) -> Result<T, Error>,
    {
        if !self.is_array() {
            return Err(self.error("expected a list"));
        }
        let mut refused = None;
        let visitor = ListVisitor { at: &self.at, most, read, refused: &mut refused };
        let items = serde_json::Deserializer::from_str(self.text()).deserialize_seq(visitor);
        items.map_err(|_| refused.unwrap_or_else(|| self.error("expected a list")))
    }
}

struct ListVisitor<'v, F> {
    at: &'v Path<'v>,
    most: usize,
    read: F,
    /// Why the list is refused: the parser's own errors cannot carry it.
    refused: &'v mut Option<Error>,
}

impl<'de, T, F> Visitor<'de> for ListVisitor<'_, F>
where
    F: FnMut(Value<'de, '_>) -> Result<T, Error>,
{
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(raw) = list.next_element::<&'de RawValue>()? {
            let item = if items.len() == self.most {
                Err(self.at.error(format_args!("must have at most {} items", self.most)))
            } else {
                (self.read)(Value { raw, at: Path::Item(self.at, items.len()) })
            };
            match item {
                Ok(item) => items.push(item),
                Err(error) => {
                    *self.refused = Some(error);
                    return Err(A::Error::custom("refused"));
                }
            }
        }
        Ok(items)
    }
}
