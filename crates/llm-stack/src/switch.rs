//! A layer that may be left out.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, value::MapAccessDeserializer},
};

/// The settings of a layer, or that there is none: in a configuration file a table, or `true` for the layer's defaults,
/// or `false`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch<T> {
    /// The layer stands in the stack, with these settings.
    On(T),
    /// The layer is left out.
    Off,
}

impl<T> Switch<T> {
    /// The settings, if the layer stands in the stack.
    pub fn as_option(&self) -> Option<&T> {
        match self {
            Self::On(settings) => Some(settings),
            Self::Off => None,
        }
    }

    pub(crate) fn into_option(self) -> Option<T> {
        match self {
            Self::On(settings) => Some(settings),
            Self::Off => None,
        }
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Switch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor(PhantomData))
    }
}

struct Visitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Default> de::Visitor<'de> for Visitor<T> {
    type Value = Switch<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of settings, true or false")
    }

    fn visit_bool<E: de::Error>(self, is_on: bool) -> Result<Switch<T>, E> {
        Ok(if is_on { Switch::On(T::default()) } else { Switch::Off })
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Switch<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(table)).map(Switch::On)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Settings {
        limit: u32,
    }

    #[derive(Debug, Deserialize)]
    struct Config {
        layer: Switch<Settings>,
    }

    #[test]
    fn a_layer_is_a_table_or_true_or_false() {
        let read = |text: &str| toml::from_str::<Config>(text).map(|config| config.layer);
        assert_eq!(read("layer = false").unwrap(), Switch::Off);
        assert_eq!(read("layer = true").unwrap(), Switch::On(Settings { limit: 0 }));
        assert_eq!(read("[layer]\nlimit = 3").unwrap(), Switch::On(Settings { limit: 3 }));
        assert!(read("[layer]\nlimits = 3").unwrap_err().to_string().contains("unknown field `limits`"));
        assert!(read("layer = 3").unwrap_err().to_string().contains("true or false"));
    }
}
