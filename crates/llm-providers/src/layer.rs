//! The layer, which is a provider's configuration.

use std::{fmt, sync::Arc};

use http::HeaderMap;
use llm_core::catalog::Catalog;
use tower_layer::Layer;

use crate::{
    BaseUrl, Key, Provider,
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
    pub(crate) base_url: BaseUrl,
    pub(crate) headers: HeaderMap,
    pub(crate) keys: Keys,
    pub(crate) include_usage: bool,
    pub(crate) max_answer_bytes: usize,
    pub(crate) catalog: Option<Arc<Catalog>>,
}

impl ProviderLayer {
    /// A provider that speaks OpenAI's dialect, without a key.
    pub fn openai(name: impl Into<Arc<str>>, base_url: BaseUrl) -> Self {
        Self::of(Settings {
            name: name.into(),
            base_url,
            headers: HeaderMap::new(),
            keys: Keys { header: KeyHeader::Bearer, keys: Vec::new() },
            include_usage: true,
            max_answer_bytes: MAX_ANSWER_BYTES,
            catalog: None,
        })
    }

    pub(crate) fn of(settings: Settings) -> Self {
        Self { settings: Arc::new(settings) }
    }

    /// Adds a key, sent as a bearer token. Of two keys with one name the first is used.
    pub fn key(mut self, key: Key) -> Self {
        Arc::make_mut(&mut self.settings).keys.keys.push(key);
        self
    }

    /// Whether to ask for a usage report in streams although the caller did not. Defaults to `true`: without a report
    /// usage is only estimated.
    pub fn include_usage(mut self, include_usage: bool) -> Self {
        Arc::make_mut(&mut self.settings).include_usage = include_usage;
        self
    }

    /// Takes prices from here, so that the trail tells what each attempt cost. Without a catalog it does not.
    pub fn catalog(mut self, catalog: Arc<Catalog>) -> Self {
        Arc::make_mut(&mut self.settings).catalog = Some(catalog);
        self
    }

    /// The provider's name.
    pub fn name(&self) -> &str {
        &self.settings.name
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
            .field("base_url", &self.base_url)
            .field("keys", &names)
            .finish_non_exhaustive()
    }
}
