//! Facts of models: what they cost, how much they take, what they can do.
//!
//! [`Catalog::builtin`] knows the well-known models at the date its table states. Prices change monthly, so
//! load current facts at run time and [`merge`](Catalog::merge) them over the built-in ones; both go through
//! the same loader.
//!
//! ```
//! use llm_core::{Usage, catalog::Catalog};
//!
//! let mut catalog = Catalog::builtin().clone();
//! catalog.merge(Catalog::from_toml(
//!     r#"
//!     [[models]]
//!     provider = "local"
//!     name = "llama-3-8b"
//!     aliases = ["llama"]
//!     input = 0.1
//!     output = 0.2
//!     context_window = 8192
//!     "#,
//! )?);
//!
//! let llama = catalog.get(Some("local"), "llama").expect("it was just added");
//! let cost = llama.price.as_ref().expect("its price is stated").cost(&Usage::reported(1_000, 500));
//! assert_eq!(cost.total().to_string(), "$0.0002");
//!
//! let dated = catalog.get(None, "claude-sonnet-4-5-20250929").expect("dates are looked through");
//! assert_eq!(&*dated.name, "claude-sonnet-4-5");
//! # Ok::<(), llm_core::catalog::CatalogError>(())
//! ```

mod config;
mod model;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock},
};

pub use self::{
    config::{CatalogError, ModelConfig, TierConfig},
    model::{Capabilities, Capability, Mode, Model},
};

/// Places by name. The names are the operator's, so nobody can choose them to collide.
type Places = HashMap<Box<str>, Vec<usize>, foldhash::fast::RandomState>;

/// A table of [`Model`]s that is looked up by provider and name.
///
/// Within one provider a name or alias stands for one model.
#[derive(Clone, Default)]
pub struct Catalog {
    models: Vec<Arc<Model>>,
    /// Places in `models`, by name.
    names: Places,
    /// Places in `models`, by alias.
    aliases: Places,
}

impl Catalog {
    /// A catalog that knows no model.
    pub fn new() -> Self {
        Self::default()
    }

    /// The built-in table. Its date and source are stated at its top, in `data/models.toml`.
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Catalog> = OnceLock::new();
        BUILTIN.get_or_init(|| {
            Self::from_toml(include_str!("../data/models.toml")).expect("a test loads the built-in table")
        })
    }

    /// Loads facts from TOML: one `[[models]]` entry a model, with the keys of [`ModelConfig`].
    ///
    /// # Errors
    /// If the text is not TOML, or an entry is not the facts of a model: an unknown key, a negative price, an
    /// empty window, a model stated twice. The error names the line, the model and the key.
    pub fn from_toml(text: &str) -> Result<Self, CatalogError> {
        config::from_toml(text)
    }

    /// Loads facts from JSON: an object with a `models` array, of the same entries as in TOML.
    ///
    /// # Errors
    /// As [`from_toml`](Self::from_toml); the line is known where the text is not JSON.
    pub fn from_json(text: &str) -> Result<Self, CatalogError> {
        config::from_json(text)
    }

    /// Takes in later facts, which win.
    ///
    /// A model of the same provider and name is overridden fact by fact: what the later entry does not state
    /// stays. A price is one fact and is replaced as a whole, capabilities are one fact each; tags and aliases
    /// are added. An alias that a later entry claims moves there from other models of its provider; a name is
    /// always stronger than an alias.
    pub fn merge(&mut self, later: Catalog) {
        for model in later.models {
            let model = Arc::unwrap_or_clone(model);
            self.release(&model.aliases, model.provider.as_deref());
            match self.place(model.provider.as_deref(), &model.name) {
                Some(place) => Arc::make_mut(&mut self.models[place]).merge(model),
                None => self.push(model),
            }
        }
        self.index_aliases();
    }

    /// The facts of a model, as it is called.
    ///
    /// In this order: the name itself, an alias, `provider/name`, and then the same without a date or
    /// `-latest` at the end (`gpt-4o-2024-08-06`, `claude-sonnet-4-5-20250929`). A dated name that is itself in
    /// the table is therefore found as such.
    ///
    /// With a provider, only its models are found, and those of entries that name none. Without one, a model
    /// of several providers is found if all state the same facts (batch prices and tags aside); otherwise the answer is
    /// `None`, since any choice could be the wrong price.
    pub fn get(&self, provider: Option<&str>, model: &str) -> Option<&Model> {
        self.get_shared(provider, model).map(|model| &**model)
    }

    /// The same, to be kept by whoever does not want to look it up again.
    pub fn get_shared(&self, provider: Option<&str>, model: &str) -> Option<&Arc<Model>> {
        self.get_as_spelled(provider, model)
            .or_else(|| undated(model).and_then(|undated| self.get_as_spelled(provider, undated)))
    }

    /// All models, in the order they were stated.
    pub fn models(&self) -> impl ExactSizeIterator<Item = &Model> {
        self.models.iter().map(|model| &**model)
    }

    fn get_as_spelled(&self, provider: Option<&str>, model: &str) -> Option<&Arc<Model>> {
        let named = || self.choose(self.names.get(model)?, provider);
        let alias = || self.choose(self.aliases.get(model)?, provider);
        named().or_else(alias).or_else(|| {
            let (prefix, rest) = model.split_once('/')?;
            let same_provider = provider.is_none_or(|provider| provider == prefix);
            let places = self.names.get(rest).or_else(|| self.aliases.get(rest))?;
            if same_provider { self.choose(places, Some(prefix)) } else { None }
        })
    }

    /// The one model of several with the same name, or none if that is not clear.
    fn choose(&self, places: &[usize], provider: Option<&str>) -> Option<&Arc<Model>> {
        let mut models = places.iter().map(|&place| &self.models[place]);
        let of = |provider: Option<&str>| models.clone().find(|model| model.provider.as_deref() == provider);
        if let Some(model) = of(provider).or_else(|| of(None)) {
            return Some(model);
        }
        let first = models.next()?;
        let agreed = provider.is_none() && models.all(|other| first.agrees_with(other));
        agreed.then_some(first)
    }

    fn place(&self, provider: Option<&str>, name: &str) -> Option<usize> {
        let places = self.names.get(name)?;
        places.iter().copied().find(|&place| self.models[place].provider.as_deref() == provider)
    }

    /// Adds a model whose provider and name are not yet there. Its aliases are found after `index_aliases`.
    fn push(&mut self, model: Model) {
        self.names.entry(model.name.as_str().into()).or_default().push(self.models.len());
        self.models.push(Arc::new(model));
    }

    fn release(&mut self, aliases: &[String], provider: Option<&str>) {
        if aliases.is_empty() {
            return;
        }
        for model in self.models.iter_mut().filter(|model| model.provider.as_deref() == provider) {
            Arc::make_mut(model).aliases.retain(|alias| !aliases.contains(alias));
        }
    }

    fn index_aliases(&mut self) {
        self.aliases.clear();
        for (place, model) in self.models.iter().enumerate() {
            for alias in &model.aliases {
                self.aliases.entry(alias.as_str().into()).or_default().push(place);
            }
        }
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog").field("models", &self.models.len()).finish_non_exhaustive()
    }
}

/// The name without the date or `-latest` at its end; `#` stands for a digit.
fn undated(model: &str) -> Option<&str> {
    let dates = ["-####-##-##", "-########", "@########"];
    let without_date = dates.iter().find_map(|date| {
        let (name, end) = model.split_at_checked(model.len().checked_sub(date.len())?)?;
        let fits = |(pattern, byte): (u8, u8)| if pattern == b'#' { byte.is_ascii_digit() } else { byte == pattern };
        date.bytes().zip(end.bytes()).all(fits).then_some(name)
    });
    without_date.or_else(|| model.strip_suffix("-latest"))
}

#[cfg(test)]
mod tests;
