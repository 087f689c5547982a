//! Settings in a configuration file that hold for all targets, and are overridden for some.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, IntoDeserializer, MapAccess, value::MapAccessDeserializer},
};

use crate::{ConfigError, PerTarget, Target};

/// Settings for all targets, and tables that override some of them for a provider or for a model.
///
/// `P` is the table of a layer's settings, each of them optional. It is read from the fields themselves; beside them
/// may stand `providers` and `models`, tables of tables of the same fields. What such a table does not state it
/// inherits from the fields beside it. As in every [`PerTarget`] a model's table beats a provider's: the model then has
/// nothing of what the provider's says, because it may be a model of several.
///
/// ```
/// use llm_core::{Overrides, Target};
///
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Partial {
///     retries: Option<u32>,
///     hedge: Option<bool>,
/// }
///
/// let text = "
/// retries = 2
/// [models.o3]
/// hedge = true
/// ";
/// let config: Overrides<Partial> = toml::from_str(text)?;
/// let settings = config.resolve((5, false), |partial, (retries, hedge)| {
///     Ok((partial.retries.unwrap_or(retries), partial.hedge.unwrap_or(hedge)))
/// })?;
/// assert_eq!(*settings.of(&Target::new("openai", "gpt-4o")), (2, false));
/// assert_eq!(*settings.of(&Target::new("openai", "o3")), (2, true));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides<P> {
    /// What is stated for all targets.
    pub all: P,
    /// What is stated for all models of a provider, by its name.
    pub providers: BTreeMap<Box<str>, P>,
    /// What is stated for a model, whatever its provider, by its name.
    pub models: BTreeMap<Box<str>, P>,
}

impl<P> Overrides<P> {
    /// What holds for each target.
    ///
    /// `apply` lays the settings that a table states over others, and checks them: first over `base`, which holds
    /// where nothing is stated, then over what came of that.
    ///
    /// # Errors
    /// Those of `apply`, seen from here: the error about `head` in the table of the model o3 is about `models.o3.head`.
    pub fn resolve<T: Clone>(
        &self,
        base: T,
        apply: impl Fn(&P, T) -> Result<T, ConfigError>,
    ) -> Result<PerTarget<T>, ConfigError> {
        let all = apply(&self.all, base)?;
        let mut resolved = PerTarget::new(all.clone());
        for (name, table) in &self.providers {
            let value = apply(table, all.clone()).map_err(|error| error.within(format_args!("providers.{name}")))?;
            resolved = resolved.provider(name.clone(), value);
        }
        for (name, table) in &self.models {
            let value = apply(table, all.clone()).map_err(|error| error.within(format_args!("models.{name}")))?;
            resolved = resolved.model(name.clone(), value);
        }
        Ok(resolved)
    }

    /// The tables with their places, such as `models.o3`, and a target for which each holds.
    pub fn tables(&self) -> impl Iterator<Item = (String, Target, &P)> {
        let providers = self.providers.iter().map(|(name, table)| ("providers", name, Target::new(&**name, ""), table));
        let models = self.models.iter().map(|(name, table)| ("models", name, Target::new("", &**name), table));
        providers.chain(models).map(|(list, name, target, table)| (format!("{list}.{name}"), target, table))
    }

    /// Refuses tables that state what can only hold for all targets together. `stated` names such a setting of a table,
    /// if it states one.
    ///
    /// # Errors
    /// Names the setting with its table, such as `models.o3.quota`.
    pub fn refuse_in_tables(&self, stated: impl Fn(&P) -> Option<&'static str>) -> Result<(), ConfigError> {
        match self.tables().find_map(|(place, _, table)| stated(table).map(|setting| format!("{place}.{setting}"))) {
            Some(path) => Err(ConfigError::new(path, "it can only be set for all targets together")),
            None => Ok(()),
        }
    }
}

// By hand, because serde's `flatten` and `deny_unknown_fields` exclude each other.
impl<'de, P: Deserialize<'de>> Deserialize<'de> for Overrides<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Visitor(PhantomData))
    }
}

struct Visitor<P>(PhantomData<P>);

impl<'de, P: Deserialize<'de>> de::Visitor<'de> for Visitor<P> {
    type Value = Overrides<P>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of settings")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let (mut providers, mut models) = (None, None);
        let all = Fields { map, providers: &mut providers, models: &mut models };
        let all = P::deserialize(MapAccessDeserializer::new(all))?;
        Ok(Overrides { all, providers: providers.unwrap_or_default(), models: models.unwrap_or_default() })
    }
}

/// The entries of a map without those two, which are kept aside.
struct Fields<'a, A, P> {
    map: A,
    providers: &'a mut Option<BTreeMap<Box<str>, P>>,
    models: &'a mut Option<BTreeMap<Box<str>, P>>,
}

impl<'de, A: MapAccess<'de>, P: Deserialize<'de>> MapAccess<'de> for Fields<'_, A, P> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.map.next_key::<String>()? {
            let (name, aside) = match key.as_str() {
                "providers" => ("providers", &mut *self.providers),
                "models" => ("models", &mut *self.models),
                _ => return seed.deserialize(key.into_deserializer()).map(Some),
            };
            if aside.replace(self.map.next_value()?).is_some() {
                return Err(de::Error::duplicate_field(name));
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Partial {
        head: Option<u32>,
        idle: Option<u32>,
    }

    fn resolve(text: &str) -> Result<PerTarget<(u32, u32)>, ConfigError> {
        let config: Overrides<Partial> = toml::from_str(text).unwrap();
        config.resolve((1, 2), |partial, (head, idle)| match partial.head {
            Some(0) => Err(ConfigError::new("head", "it must not be zero")),
            stated => Ok((stated.unwrap_or(head), partial.idle.unwrap_or(idle))),
        })
    }

    #[test]
    fn what_a_table_does_not_state_it_inherits_from_the_top() {
        let settings = resolve("head = 10\n[providers.openai]\nidle = 20\n[models.o3]\nhead = 30").unwrap();
        assert_eq!(*settings.of_names(None, "llama"), (10, 2));
        assert_eq!(*settings.of_names(Some("openai"), "gpt-4o"), (10, 20));
        assert_eq!(*settings.of_names(Some("openai"), "o3"), (30, 2));
        assert_eq!(*resolve("").unwrap().of_names(None, "llama"), (1, 2));
    }

    #[test]
    fn a_bad_value_is_named_with_its_table() {
        let sentence = |text| resolve(text).unwrap_err().to_string();
        assert_eq!(sentence("head = 0"), "head: it must not be zero");
        assert_eq!(sentence("[providers.openai]\nhead = 0"), "providers.openai.head: it must not be zero");
        assert_eq!(sentence("[models.\"gpt-4.1\"]\nhead = 0"), "models.gpt-4.1.head: it must not be zero");
    }

    #[test]
    fn what_holds_for_all_targets_together_is_refused_in_a_table() {
        let refused = |text| {
            let config: Overrides<Partial> = toml::from_str(text).unwrap();
            config.refuse_in_tables(|table| table.idle.map(|_| "idle")).map_err(|error| error.to_string())
        };
        let sentence = |place| Err(format!("{place}: it can only be set for all targets together"));
        assert_eq!(refused("idle = 1\n[providers.openai]\nhead = 1\n[models.o3]\nhead = 1"), Ok(()));
        assert_eq!(refused("[providers.openai]\nidle = 1"), sentence("providers.openai.idle"));
        assert_eq!(refused("[models.o3]\nidle = 1"), sentence("models.o3.idle"));
    }

    #[test]
    fn an_unknown_key_is_refused_wherever_it_stands() {
        for text in ["heed = 1", "[providers.openai]\nheed = 1", "[models.o3]\nheed = 1", "[model.o3]\nhead = 1"] {
            let error = toml::from_str::<Overrides<Partial>>(text).unwrap_err();
            assert!(error.message().contains("unknown field"), "{text}: {error}");
        }
        let twice = r#"{"models": {}, "head": 1, "models": {}}"#;
        assert!(serde_json::from_str::<Overrides<Partial>>(twice).unwrap_err().to_string().contains("duplicate field"));
    }
}
