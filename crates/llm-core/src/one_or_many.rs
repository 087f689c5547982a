//! Lists in a configuration file that may be a single entry.

use std::{fmt, marker::PhantomData, ops::Deref};

use serde::{
    Deserialize, Deserializer,
    de::{self, IntoDeserializer, MapAccess, SeqAccess, value::MapAccessDeserializer},
};

use crate::ConfigError;

/// A list in a configuration file, or one entry without the brackets: a text, or a table.
///
/// ```
/// use llm_core::OneOrMany;
///
/// #[derive(serde::Deserialize)]
/// struct When {
///     workflow: OneOrMany<String>,
///     intent: OneOrMany<String>,
/// }
///
/// let when: When = toml::from_str("workflow = ['routing', 'extraction']\nintent = 'code'")?;
/// assert_eq!((when.workflow.len(), &when.intent[..]), (2, &["code".to_owned()][..]));
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl OneOrMany<String> {
    /// The entries of the list with this key, of which there must be some: who states a list means something.
    ///
    /// # Errors
    /// If there are none, or one is empty.
    pub fn stated(&self, key: &str) -> Result<&[String], ConfigError> {
        if self.is_empty() {
            return Err(ConfigError::new(key, "the list is empty: leave it out"));
        }
        if self.iter().any(String::is_empty) {
            return Err(ConfigError::new(key, "an entry must not be empty"));
        }
        Ok(self)
    }
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for OneOrMany<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor(PhantomData)).map(Self)
    }
}

struct Visitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list, or one entry of it")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
        Ok(vec![T::deserialize(text.into_deserializer())?])
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<T>, A::Error> {
        Ok(vec![T::deserialize(MapAccessDeserializer::new(map))?])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element()? {
            entries.push(entry);
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Lists {
        #[serde(default)]
        texts: OneOrMany<String>,
        #[serde(default)]
        tables: OneOrMany<BTreeMap<String, u8>>,
    }

    fn read(text: &str) -> Result<Lists, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())
    }

    #[test]
    fn one_entry_is_a_list_of_one() {
        let texts = |text| read(text).unwrap().texts.0;
        assert_eq!(texts("texts = 'a'"), ["a"]);
        assert_eq!(texts("texts = ['a', 'b']"), ["a", "b"]);
        assert_eq!(texts("texts = []"), [""; 0]);
        assert_eq!(texts(""), [""; 0]);
        let tables = |text| read(text).unwrap().tables.len();
        assert_eq!((tables("tables = { a = 1 }"), tables("tables = [{ a = 1 }, { b = 2 }]")), (1, 2));
    }

    #[test]
    fn a_list_that_is_stated_has_entries() {
        let stated = |texts: &[&str]| {
            let list = OneOrMany(texts.iter().map(|text| (*text).to_owned()).collect());
            list.stated("texts").map(<[_]>::len).map_err(|error| error.to_string())
        };
        assert_eq!(stated(&["a", "b"]), Ok(2));
        assert_eq!(stated(&[]), Err("texts: the list is empty: leave it out".to_owned()));
        assert_eq!(stated(&["a", ""]), Err("texts: an entry must not be empty".to_owned()));
    }

    #[test]
    fn what_is_neither_is_refused() {
        assert!(read("texts = 1").unwrap_err().contains("expected a list, or one entry of it"));
        assert!(read("texts = ['a', 1]").unwrap_err().contains("expected a string"));
        assert!(read("texts = { a = 1 }").unwrap_err().contains("expected a string"));
    }
}
