//! The layer, which is a provider's configuration.

use std::{fmt, sync::Arc};

use http::HeaderMap;
use llm_core::{
    Target,
    catalog::{Catalog, Model},
};
use llm_wire::openai::Variant;
use tower_layer::Layer;

use crate::{
    BaseUrl, Key, Provider, ProviderDialect,
    dialect::{Endpoints, X_API_KEY},
    key::{KeyHeader, Keys},
};

/// 64 MiB, see [`ProviderConfig::max_answer_bytes`](crate::ProviderConfig::max_answer_bytes).
pub(crate) const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Turns an http client into a model provider. See the [crate docs](crate).
#[derive(Clone)]
pub struct ProviderLayer {
    settings: Arc<Settings>,
}

/// All that is set once for a provider.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) name: Arc<str>,
    pub(crate) dialect: ProviderDialect,
    pub(crate) base_url: BaseUrl,
    pub(crate) endpoints: Endpoints,
    pub(crate) headers: HeaderMap,
    pub(crate) keys: Keys,
    pub(crate) include_usage: bool,
    pub(crate) variant: &'static Variant,
    pub(crate) max_answer_bytes: usize,
    pub(crate) catalog: Option<Arc<Catalog>>,
}

impl ProviderLayer {
    /// A provider that speaks OpenAI's dialect, without a key. Keys are sent as bearer tokens.
    pub fn openai(name: impl Into<Arc<str>>, base_url: BaseUrl) -> Self {
        Self::speaking(ProviderDialect::OpenAi, name.into(), base_url, KeyHeader::Bearer)
    }

    /// A provider that speaks Anthropic's dialect, without a key. Keys are sent as `x-api-key`; for tokens of OAuth
    /// see [`ProviderConfig::auth`](crate::ProviderConfig::auth). Whether `/v1` stands at the end of the base URL
    /// makes no difference.
    pub fn anthropic(name: impl Into<Arc<str>>, base_url: BaseUrl) -> Self {
        Self::speaking(ProviderDialect::Anthropic, name.into(), base_url, KeyHeader::Named(X_API_KEY))
    }

    fn speaking(dialect: ProviderDialect, name: Arc<str>, base_url: BaseUrl, header: KeyHeader) -> Self {
        let mut headers = HeaderMap::new();
        dialect.complete(&mut headers);
        Self::of(Settings {
            name,
            dialect,
            endpoints: dialect.endpoints(&base_url),
            base_url,
            headers,
            keys: Keys { header, keys: Vec::new() },
            include_usage: true,
            variant: &Variant::COMPATIBLE,
            max_answer_bytes: MAX_ANSWER_BYTES,
            catalog: None,
        })
    }

    pub(crate) fn of(settings: Settings) -> Self {
        Self { settings: Arc::new(settings) }
    }

    /// Adds a key, sent in the way of the dialect. Of two keys with one name the first is used.
    pub fn key(mut self, key: Key) -> Self {
        Arc::make_mut(&mut self.settings).keys.keys.push(key);
        self
    }

    /// Whether to ask for a usage report in streams although the caller did not. Defaults to `true`: without a report
    /// usage is only estimated. It changes nothing in Anthropic's dialect, nor for a [variant](Self::variant) of OpenAI's
    /// that takes no such question: they report unasked.
    pub fn include_usage(mut self, include_usage: bool) -> Self {
        Arc::make_mut(&mut self.settings).include_usage = include_usage;
        self
    }

    /// Which of the servers that speak OpenAI's dialect it is, see the table in [`openai`](llm_wire::openai). Defaults to
    /// [`Variant::COMPATIBLE`]. It changes nothing in Anthropic's dialect.
    pub fn variant(mut self, variant: &'static Variant) -> Self {
        Arc::make_mut(&mut self.settings).variant = variant;
        self
    }

    /// Takes facts of models from here: prices, so that the trail tells what each attempt cost, and for Anthropic's
    /// dialect, which requires a limit on the output, the most that the model can make, where the caller set none.
    /// Without a catalog the trail tells no cost, and that limit is 4,096 tokens.
    pub fn catalog(mut self, catalog: Arc<Catalog>) -> Self {
        Arc::make_mut(&mut self.settings).catalog = Some(catalog);
        self
    }

    /// The provider's name.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// The names of its keys, first the one that is used unless a target names another.
    pub fn key_names(&self) -> impl Iterator<Item = &str> {
        self.settings.keys.keys.iter().map(Key::name)
    }
}

impl Settings {
    /// What is known of a target's model.
    pub(crate) fn facts(&self, target: &Target) -> Option<&Model> {
        self.catalog.as_deref().and_then(|catalog| catalog.get(Some(&self.name), target.model()))
    }
}

impl<S> Layer<S> for ProviderLayer {
    type Service = Provider<S>;

    fn layer(&self, inner: S) -> Provider<S> {
        Provider::new(inner, Arc::clone(&self.settings))
    }
}

impl fmt::Debug for ProviderLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProviderLayer").field(&self.settings).finish()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.keys.keys.iter().map(Key::name).collect();
        f.debug_struct("Settings")
            .field("name", &self.name)
            .field("dialect", &self.dialect)
            .field("variant", &self.variant.name)
            .field("base_url", &self.base_url)
            .field("keys", &names)
            .finish_non_exhaustive()
    }
}
