//! Where a call goes.

use std::{fmt, sync::Arc};

use papaya::Equivalent;
use serde::{Deserialize, Serialize};

/// A provider, one of its models, and optionally one of its keys. Cloning copies a pointer.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target(Arc<Names>);

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Names {
    provider: Box<str>,
    model: Box<str>,
    key: Option<Box<str>>,
}

impl Target {
    /// The model `model` of `provider`, with the provider's first key.
    pub fn new(provider: impl Into<Box<str>>, model: impl Into<Box<str>>) -> Self {
        Self(Arc::new(Names { provider: provider.into(), model: model.into(), key: None }))
    }

    /// The same with the key of this name. It is the name of a key, never the key.
    pub fn with_key(mut self, key: impl Into<Box<str>>) -> Self {
        Arc::make_mut(&mut self.0).key = Some(key.into());
        self
    }

    /// The provider's name in the configuration.
    pub fn provider(&self) -> &str {
        &self.0.provider
    }

    /// The model by the provider's name for it.
    pub fn model(&self) -> &str {
        &self.0.model
    }

    /// The name of the key, if one was chosen.
    pub fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// The target's names.
    pub fn names(&self) -> TargetRef<'_> {
        TargetRef { provider: self.provider(), model: self.model(), key: self.key() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.names().fmt(f)
    }
}

/// The names of a target, borrowed: what state that is kept by target is looked up with, see
/// [`Keyed`](crate::Keyed).
// The order of the fields is that of `Names`, so that both have the same hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TargetRef<'a> {
    /// The provider's name; empty where nobody has chosen one.
    pub provider: &'a str,
    /// The model by the provider's name for it.
    pub model: &'a str,
    /// The name of the key, if one was chosen.
    pub key: Option<&'a str>,
}

impl TargetRef<'_> {
    /// A target of these names.
    pub fn to_target(self) -> Target {
        Target(Arc::new(Names {
            provider: self.provider.into(),
            model: self.model.into(),
            key: self.key.map(Box::from),
        }))
    }
}

impl Equivalent<Target> for TargetRef<'_> {
    fn equivalent(&self, target: &Target) -> bool {
        *self == target.names()
    }
}

/// `provider/model#key`, without what is not there, on one line: models' names may be the callers' making.
impl fmt::Display for TargetRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.provider.is_empty() {
            write!(f, "{}/", self.provider)?;
        }
        if self.model.chars().any(ends_line) {
            self.model.chars().try_for_each(|character| match ends_line(character) {
                true => write!(f, "{}", character.escape_unicode()),
                false => write!(f, "{character}"),
            })?;
        } else {
            f.write_str(self.model)?;
        }
        self.key.map_or(Ok(()), |key| write!(f, "#{key}"))
    }
}

/// Whether a terminal or a reader of logs may take it for more than a letter.
fn ends_line(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

/// A setting that may differ by target: a default, overridden by provider, overridden by model.
///
/// In a configuration file it is a table with `default`, `providers` and `models`:
///
/// ```
/// use llm_core::{PerTarget, Target};
///
/// let limits: PerTarget<u32> = toml::from_str("default = 30\nmodels = { o3 = 120 }")?;
/// assert_eq!(*limits.of(&Target::new("openai", "gpt-4o")), 30);
/// assert_eq!(*limits.of(&Target::new("openai", "o3")), 120);
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerTarget<T> {
    default: T,
    #[serde(default = "Vec::new", with = "pairs", skip_serializing_if = "Vec::is_empty")]
    providers: Vec<(Box<str>, T)>,
    #[serde(default = "Vec::new", with = "pairs", skip_serializing_if = "Vec::is_empty")]
    models: Vec<(Box<str>, T)>,
}

impl<T> PerTarget<T> {
    /// The same value for every target.
    pub const fn new(default: T) -> Self {
        Self { default, providers: Vec::new(), models: Vec::new() }
    }

    /// Another value for all models of `provider`.
    pub fn provider(mut self, provider: impl Into<Box<str>>, value: T) -> Self {
        self.providers.push((provider.into(), value));
        self
    }

    /// Another value for `model`, whatever its provider.
    pub fn model(mut self, model: impl Into<Box<str>>, value: T) -> Self {
        self.models.push((model.into(), value));
        self
    }

    /// The value for `target`.
    pub fn of(&self, target: &Target) -> &T {
        self.of_names(Some(target.provider()), target.model())
    }

    /// The value for a model, and for a provider where one is known.
    pub fn of_names(&self, provider: Option<&str>, model: &str) -> &T {
        find(&self.models, model)
            .or_else(|| provider.and_then(|provider| find(&self.providers, provider)))
            .unwrap_or(&self.default)
    }

    /// Whether there is a value for this very model.
    pub fn names_model(&self, model: &str) -> bool {
        find(&self.models, model).is_some()
    }

    /// Turns every value into another.
    pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> PerTarget<U> {
        let mut each = |list: Vec<(Box<str>, T)>| list.into_iter().map(|(name, value)| (name, change(value))).collect();
        PerTarget { providers: each(self.providers), models: each(self.models), default: change(self.default) }
    }
}

impl<T> From<T> for PerTarget<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

// Later entries win, as a setter called twice would.
fn find<'a, T>(list: &'a [(Box<str>, T)], name: &str) -> Option<&'a T> {
    list.iter().rev().find_map(|(known, value)| (&**known == name).then_some(value))
}

mod pairs {
    //! A list of pairs as a map.

    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        list: &[(Box<str>, T)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(list.iter().map(|(name, value)| (name, value)))
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(Box<str>, T)>, D::Error> {
        BTreeMap::deserialize(deserializer).map(|map| map.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::Keyed;

    #[test]
    fn the_model_beats_the_provider_and_the_provider_the_default() {
        let value = PerTarget::new(1).provider("openai", 2).model("o3", 3);
        assert_eq!(*value.of(&Target::new("groq", "llama")), 1);
        assert_eq!(*value.of(&Target::new("openai", "gpt-4o")), 2);
        assert_eq!(*value.of(&Target::new("openai", "o3")), 3);
        assert_eq!(*value.of_names(None, "o3"), 3);
        assert!(value.names_model("o3") && !value.names_model("openai") && !value.names_model("gpt-4o"));
    }

    #[test]
    fn a_target_is_found_by_its_names() {
        let keyed = Keyed::new(NonZeroUsize::MIN, 0);
        let target = Target::new("openai", "gpt-4o").with_key("second");
        let names = TargetRef { provider: "openai", model: "gpt-4o", key: Some("second") };
        keyed.get_or_insert(&names, || target.clone(), || 7, |_| false, |_| Some(()));
        assert_eq!(keyed.get(&names, |value| *value), Some(7));
        assert_eq!(keyed.get(&target, |value| *value), Some(7));
        assert_eq!(keyed.get(&TargetRef { key: None, ..names }, |value| *value), None);
        assert_eq!((names.to_target(), names.to_string()), (target, "openai/gpt-4o#second".to_owned()));
        assert_eq!(TargetRef { provider: "", key: None, ..names }.to_string(), "gpt-4o");
        assert_eq!(TargetRef { model: "a\nb\u{2028}", ..names }.to_string(), "openai/a\\u{a}b\\u{2028}#second");
    }

    #[test]
    fn an_unknown_key_in_the_table_is_refused() {
        assert!(toml::from_str::<PerTarget<u32>>("default = 1\nmodel = { o3 = 2 }").is_err());
    }
}
