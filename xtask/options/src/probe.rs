//! What a type is asked with, and what it answers.

use std::fmt;

use serde::{
    Deserializer,
    de::{
        self, IntoDeserializer, Unexpected, Visitor,
        value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};

/// A value that is read like one of a configuration file.
#[derive(Clone, Debug)]
pub(crate) enum Probe {
    /// Refuses to be read, and so tells that somebody wanted to.
    End,
    Switch,
    Word(String),
    Table(Vec<(String, Probe)>),
    List(Vec<Probe>),
}

/// Why a type cannot be read from a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It wanted to read on at the end of the probe.
    AtEnd,
    /// It passed over the end of the probe, whatever that was.
    Ignored,
    /// It knows these keys, and not the one that was there.
    OfKey(&'static [&'static str]),
    /// It knows these words, and not the one that was there.
    OfWord(&'static [&'static str]),
    /// A key is not there.
    Missing(&'static str),
    /// It is nothing that is read from such a value.
    OfKind,
    Other,
}

impl Probe {
    pub(crate) fn table<'a>(entries: impl IntoIterator<Item = (&'a str, Self)>) -> Self {
        Self::Table(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

impl IntoDeserializer<'_, Refusal> for Probe {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Probe {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self {
            Self::End => Err(Refusal::AtEnd),
            Self::Switch => visitor.visit_bool(true),
            Self::Word(word) => visitor.visit_string(word),
            Self::Table(entries) => visitor.visit_map(MapDeserializer::new(entries.into_iter())),
            Self::List(entries) => visitor.visit_seq(SeqDeserializer::new(entries.into_iter())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        match self {
            Self::Word(word) => visitor.visit_enum(word.into_deserializer()),
            Self::Table(entries) => {
                visitor.visit_enum(MapAccessDeserializer::new(MapDeserializer::new(entries.into_iter())))
            }
            other => other.deserialize_any(visitor),
        }
    }

    /// What follows a word that needs nothing to follow it.
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self {
            Self::End => visitor.visit_unit(),
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self {
            Self::End => Err(Refusal::Ignored),
            other => other.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit_struct seq tuple tuple_struct map struct identifier
    }
}

impl de::Error for Refusal {
    fn custom<M: fmt::Display>(_: M) -> Self {
        Self::Other
    }

    fn invalid_type(_: Unexpected<'_>, _: &dyn de::Expected) -> Self {
        Self::OfKind
    }

    fn unknown_field(_: &str, known: &'static [&'static str]) -> Self {
        Self::OfKey(known)
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::OfWord(known)
    }

    fn missing_field(name: &'static str) -> Self {
        Self::Missing(name)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Refusal {}
