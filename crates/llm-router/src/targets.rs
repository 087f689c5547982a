//! Who serves what: the places where calls may go.

use std::{collections::HashMap, sync::Arc};

use llm_core::{
    ConfigError, Target, TargetRef,
    catalog::{Catalog, Model},
};
use smallvec::SmallVec;

use crate::{Route, RouteTarget, table::Table};

/// The providers, their models and keys, and what is known of them. Cloning copies a pointer.
///
/// A target names its key where its provider has several, and only there.
#[derive(Clone, Debug)]
pub struct Targets(Arc<Known>);

#[derive(Clone, Debug)]
struct Known {
    catalog: Arc<Catalog>,
    providers: Vec<ProviderEntry>,
    by_name: HashMap<Box<str>, usize>,
    by_model: Table,
}

/// What a provider serves, and with which keys.
#[derive(Clone, Debug)]
pub struct ProviderEntry {
    name: Box<str>,
    models: Vec<Box<str>>,
    keys: Vec<Box<str>>,
    tags: Option<Arc<[Box<str>]>>,
    is_local: bool,
}

impl ProviderEntry {
    /// A provider of this name that serves nothing, with a single key and without tags.
    pub fn new(name: impl Into<Box<str>>) -> Self {
        Self { name: name.into(), models: Vec::new(), keys: Vec::new(), tags: None, is_local: false }
    }

    /// The models that it serves: exact names, or beginnings that end in `*`, as
    /// [`Dispatch::provider`](crate::Dispatch::provider) takes them.
    pub fn models(mut self, models: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.models = models.into_iter().map(Into::into).collect();
        self
    }

    /// The names of its keys, first the one that is used unless another is chosen. Where there are several, each is a
    /// target of its own.
    pub fn keys(mut self, keys: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.keys = keys.into_iter().map(Into::into).collect();
        self
    }

    /// Tags that all its targets bear, besides those of their models.
    pub fn tags(mut self, tags: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.tags = Some(tags.into_iter().map(Into::into).collect());
        self
    }

    /// Marks it as local: sensitive calls may go there, and nowhere else.
    pub fn local(mut self) -> Self {
        self.is_local = true;
        self
    }

    pub(crate) fn bears(&self) -> Option<&Arc<[Box<str>]>> {
        self.tags.as_ref()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether sensitive calls may go there.
    pub fn is_local(&self) -> bool {
        self.is_local
    }

    /// Its targets of one model: one for each key.
    fn targets_of<'a>(&'a self, model: &'a str) -> impl Iterator<Item = Target> + 'a {
        let named: &[Box<str>] = if self.keys.len() > 1 { &self.keys } else { &[] };
        let only = named.is_empty().then(|| Target::new(self.name.clone(), model));
        let with_key = named.iter().map(move |key| Target::new(self.name.clone(), model).with_key(key.clone()));
        only.into_iter().chain(with_key)
    }
}

impl Targets {
    /// No providers yet; `catalog` knows their models.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        let (providers, by_name, by_model) = Default::default();
        Self(Arc::new(Known { catalog, providers, by_name, by_model }))
    }

    /// Adds a provider. Of two that serve a model by the same name, the first added is preferred. A provider of a name
    /// that is there already serves further models, with the keys, tags and place of the first.
    pub fn provider(mut self, entry: ProviderEntry) -> Self {
        let known = Arc::make_mut(&mut self.0);
        let at = *known.by_name.entry(entry.name.clone()).or_insert(known.providers.len());
        for model in &entry.models {
            known.by_model.add(model, at);
        }
        match known.providers.get_mut(at) {
            Some(first) => first.models.extend(entry.models),
            None => known.providers.push(entry),
        }
        self
    }

    /// The providers' names in the order in which they were added.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.0.providers.iter().map(|provider| &*provider.name)
    }

    /// Whether a caller can reach anything by asking for `model`.
    pub fn serves(&self, model: &str) -> bool {
        !self.serving(model).is_empty()
    }

    /// Every target of a model with a name of its own. What a provider serves by a pattern is not listed.
    pub fn iter(&self) -> impl Iterator<Item = Target> {
        self.0.providers.iter().flat_map(|provider| {
            let exact = provider.models.iter().filter(|model| !model.ends_with('*'));
            exact.flat_map(|model| provider.targets_of(model))
        })
    }

    /// The target of these names, if calls may go there: the provider serves the model, or any where none is named, and
    /// has the key, which is named where there are several and only there.
    pub fn named(&self, provider: &str, model: Option<&str>, key: Option<&str>) -> Option<Target> {
        let at = *self.0.by_name.get(provider)?;
        let keys = &self.0.providers[at].keys;
        let is_served = |model: &str| !model.is_empty() && self.0.by_model.serves(at, model);
        let has_key = |key: &str| keys.iter().any(|known| **known == *key);
        if !model.is_none_or(is_served) || !key.is_none_or(has_key) {
            return None;
        }
        let target = Target::new(provider, model.unwrap_or_default());
        match (keys.len() > 1, key) {
            (false, _) => Some(target),
            (true, Some(key)) => Some(target.with_key(key)),
            (true, None) => None,
        }
    }

    /// The pattern by which the target's provider serves its model; `None` for one with a name of its own. Models that
    /// are served by a pattern are the callers' making, so what is kept by target is kept for their pattern.
    pub fn pattern_of(&self, target: TargetRef<'_>) -> Option<&str> {
        self.pattern_at(*self.0.by_name.get(target.provider)?, target.model)
    }

    /// The first of the targets that an entry of a route would stand for: `provider/model`, `provider/model#key`, or a
    /// model's name alone.
    pub fn first_of(&self, name: &str) -> Option<Target> {
        self.meant_by(name).into_iter().next()
    }

    /// Whether sensitive calls may go there.
    pub fn is_local(&self, target: &Target) -> bool {
        self.entry(target.provider()).is_some_and(ProviderEntry::is_local)
    }

    /// A route over these targets: `provider/model`, `provider/model#key`, or a model's name alone for every provider
    /// that serves it. Each may come with a weight, see [`RouteTarget`].
    ///
    /// # Errors
    /// If there are none, no provider serves one of them, it has no such key, or a weight is no number from zero to a billion.
    /// The error names the place, such as `targets[1]`.
    pub fn route<T: Into<RouteTarget>>(&self, targets: impl IntoIterator<Item = T>) -> Result<Route, ConfigError> {
        Route::resolve(targets.into_iter().map(Into::into), self)
    }

    /// The targets that the name of an entry of a route stands for, in the order of preference; none where nobody
    /// serves it, or has the key.
    pub(crate) fn meant_by(&self, name: &str) -> Vec<Target> {
        let (name, key) = match name.rsplit_once('#') {
            Some((name, key)) => (name, Some(key)),
            None => (name, None),
        };
        // A route calls models, not everything that begins like one.
        if name.ends_with('*') {
            return Vec::new();
        }
        let all = self.serving(name).into_iter().flat_map(|(at, model)| self.at(at).targets_of(model));
        match key {
            None => all.collect(),
            Some(_) => all.filter(|target| self.has_key(target, key)).collect(),
        }
    }

    fn has_key(&self, target: &Target, key: Option<&str>) -> bool {
        let Some(provider) = self.entry(target.provider()) else { return false };
        match &*provider.keys {
            // Its only key is not named in the target.
            [only] => key == Some(only),
            _ => target.key() == key,
        }
    }

    /// The providers that serve what a caller asks for, most preferred first, each with the model's name there: those of
    /// this very name and others that serve it, else the one named before a slash, else those of the longest patterns.
    pub(crate) fn serving<'m>(&self, model: &'m str) -> SmallVec<[(usize, &'m str); 4]> {
        let Known { by_model, by_name, .. } = &*self.0;
        if by_model.exact(model).is_none()
            && let Some((provider, rest)) = model.split_once('/')
            && let Some(at) = by_name.get(provider)
            && by_model.serves(*at, rest)
        {
            return [(*at, rest)].into_iter().collect();
        }
        by_model.all(model).into_iter().map(|at| (at, model)).collect()
    }

    /// The targets of `model` at the provider at this place: one for each key.
    pub(crate) fn targets_at<'a>(&'a self, at: usize, model: &'a str) -> impl Iterator<Item = Target> + 'a {
        self.at(at).targets_of(model)
    }

    /// The provider's place.
    pub(crate) fn place(&self, provider: &str) -> Option<usize> {
        self.0.by_name.get(provider).copied()
    }

    pub(crate) fn entry(&self, provider: &str) -> Option<&ProviderEntry> {
        self.0.by_name.get(provider).map(|at| self.at(*at))
    }

    pub(crate) fn facts(&self, target: &Target) -> Option<Arc<Model>> {
        self.0.catalog.get_shared(Some(target.provider()), target.model()).cloned()
    }

    /// The pattern by which the provider at this place serves `model`; `None` for one with a name of its own.
    pub(crate) fn pattern_at(&self, at: usize, model: &str) -> Option<&str> {
        self.0.by_model.name_of(at, model).filter(|name| name.ends_with('*'))
    }

    /// The patterns by which the provider at this place serves models.
    pub(crate) fn patterns_at(&self, at: usize) -> impl Iterator<Item = &str> {
        self.at(at).models.iter().map(|model| &**model).filter(|model| model.ends_with('*'))
    }

    fn at(&self, at: usize) -> &ProviderEntry {
        &self.0.providers[at]
    }
}

#[cfg(test)]
#[path = "targets_tests.rs"]
mod tests;
