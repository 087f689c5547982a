//! Reads model facts from TOML and JSON, and checks them.
//!
//! Both formats become one table a model, and take the same way from there, so that a built-in fact and one
//! loaded at run time mean the same.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    fmt,
};

use serde::{
    Deserialize, Deserializer,
    de::{self, value::MapAccessDeserializer, value::SeqAccessDeserializer},
};
use toml::Spanned;

use super::{Capabilities, Capability, Catalog, Mode, Model};
use crate::{
    money::PicoUsd,
    price::{BatchPrice, Price, Tier},
};

/// The facts of one model as they are written down. Only `name` is required; what is absent is not known.
///
/// Prices are USD per million tokens, to the nearest millionth of a dollar, at most 1,000,000. With any price
/// `input` and `output` must both be stated (`output` not for an embedding model, which has none).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// The provider these facts hold for. Absent: every provider without an entry of its own for this model.
    pub provider: Option<String>,
    /// The name the model is called by.
    pub name: String,
    /// Other names it is called by.
    pub aliases: Vec<String>,
    /// Which kind of call it takes: `chat`, `responses` or `embedding`.
    pub mode: Option<Mode>,
    /// Price of a fresh input token. `0` is free, absent is not known.
    pub input: Option<f64>,
    /// Price of an output token, reasoning included.
    pub output: Option<f64>,
    /// Price of an input token read from the prompt cache. Absent: as `input`.
    pub cache_read: Option<f64>,
    /// Price of an input token written to the prompt cache. Absent: as `input`.
    pub cache_write: Option<f64>,
    /// Price of an input token written to a prompt cache that lives for an hour. Absent: as `cache_write`.
    pub cache_write_1h: Option<f64>,
    /// Price of an input token in batch jobs. Stated together with `batch_output`.
    pub batch_input: Option<f64>,
    /// Price of an output token in batch jobs.
    pub batch_output: Option<f64>,
    /// Prices of long requests: one table, or several with different thresholds.
    #[serde(deserialize_with = "one_or_several")]
    pub long_context: Vec<TierConfig>,
    /// The most tokens of input, or of input and output together. At least 1.
    pub context_window: Option<u64>,
    /// The most tokens of output in one answer. At least 1.
    pub max_output: Option<u64>,
    /// What the model can (`true`) and cannot (`false`) do: `{ tools = true, vision = false }`.
    pub capabilities: BTreeMap<Capability, bool>,
    /// Words for routing rules.
    pub tags: Vec<String>,
}

/// The price of requests with more than `above` input tokens, which holds for the whole request.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierConfig {
    /// The threshold in input tokens. At least 1.
    pub above: u64,
    /// Price of a fresh input token.
    pub input: f64,
    /// Price of an output token.
    pub output: f64,
    /// Price of a token read from the prompt cache. Absent: in the ratio to `input` that it has below.
    pub cache_read: Option<f64>,
    /// Price of a token written to the prompt cache. Absent: in the ratio to `input` that it has below.
    pub cache_write: Option<f64>,
    /// Price of a token written to an hour-long prompt cache. Absent: in the ratio to `input` that it has below.
    pub cache_write_1h: Option<f64>,
}

/// Why a text is not a catalog. Displays as one line that names the place, the model and the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogError {
    line: Option<usize>,
    model: Option<String>,
    problem: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<Entry> {
    #[serde(default = "Vec::new")]
    models: Vec<Entry>,
}

pub(super) fn from_toml(text: &str) -> Result<Catalog, CatalogError> {
    let line_of = |offset: usize| 1 + text.as_bytes()[..offset.min(text.len())].iter().filter(|&&b| b == b'\n').count();
    let file: File<Spanned<toml::Table>> = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| line_of(span.start));
        CatalogError { line, model: None, problem: error.message().to_owned() }
    })?;
    load(file.models.into_iter().map(|entry| (Some(line_of(entry.span().start)), entry.into_inner())))
}

pub(super) fn from_json(text: &str) -> Result<Catalog, CatalogError> {
    let file: File<toml::Table> = serde_json::from_str(text).map_err(|error| {
        // The message says the line itself.
        CatalogError { line: None, model: None, problem: error.to_string() }
    })?;
    load(file.models.into_iter().map(|entry| (None, entry)))
}

fn load(entries: impl Iterator<Item = (Option<usize>, toml::Table)>) -> Result<Catalog, CatalogError> {
    let configs = entries.map(|(line, entry)| {
        let text_of = |key: &str| entry.get(key).and_then(toml::Value::as_str).map(str::to_owned);
        let model = text_of("name").map(|name| full_name(text_of("provider").as_deref(), &name));
        let config = entry.try_into::<ModelConfig>().map_err(|error| {
            let problem = error.to_string().trim().replace('\n', " ");
            CatalogError { line, model, problem }
        })?;
        Ok((line, config))
    });
    build(configs)
}

impl TryFrom<Vec<ModelConfig>> for Catalog {
    type Error = CatalogError;

    /// Checks facts that are part of a larger configuration.
    fn try_from(configs: Vec<ModelConfig>) -> Result<Self, CatalogError> {
        build(configs.into_iter().map(|config| Ok((None, config))))
    }
}

fn build(
    configs: impl Iterator<Item = Result<(Option<usize>, ModelConfig), CatalogError>>,
) -> Result<Catalog, CatalogError> {
    let mut catalog = Catalog::new();
    // Names and aliases that are taken, by provider, with the line that took them.
    let mut taken: HashMap<(Option<String>, String), Option<usize>> = HashMap::new();
    for config in configs {
        let (line, config) = config?;
        let full_name = full_name(config.provider.as_deref(), &config.name);
        let at_this_model = |problem| CatalogError { line, model: Some(full_name.clone()), problem };
        let model = Model::try_from(config).map_err(at_this_model)?;
        let names = [(&model.name, "name")].into_iter().chain(model.aliases.iter().map(|alias| (alias, "aliases")));
        for (name, key) in names {
            if let Some(first) = taken.insert((model.provider.clone(), name.clone()), line) {
                let place = first.map(|line| format!(", first on line {line}")).unwrap_or_default();
                return Err(at_this_model(format!("`{key}`: `{name}` is stated twice{place}")));
            }
        }
        catalog.push(model);
    }
    catalog.index_aliases();
    Ok(catalog)
}

impl TryFrom<ModelConfig> for Model {
    /// A clause that names the key.
    type Error = String;

    fn try_from(config: ModelConfig) -> Result<Self, String> {
        let price = price(&config)?;
        for (key, tokens) in [("context_window", config.context_window), ("max_output", config.max_output)] {
            if tokens == Some(0) {
                return Err(format!("`{key}` is zero; leave it out if it is not known"));
            }
        }
        let words = [("name", &config.name)].into_iter();
        let words = words.chain(config.provider.iter().map(|provider| ("provider", provider)));
        let words = words.chain(config.aliases.iter().map(|alias| ("aliases", alias)));
        for (key, word) in words.chain(config.tags.iter().map(|tag| ("tags", tag))) {
            if word.trim().is_empty() || word.chars().any(char::is_control) {
                return Err(format!("`{key}` is blank or has control characters in it"));
            }
        }
        let mut capabilities = Capabilities::default();
        for (&capability, &supported) in &config.capabilities {
            capabilities.state(capability, supported);
        }
        let ModelConfig { provider, name, aliases, mode, context_window, max_output, tags, .. } = config;
        Ok(Self { provider, name, aliases, mode, price, context_window, max_output, capabilities, tags })
    }
}

fn price(config: &ModelConfig) -> Result<Option<Price>, String> {
    let stated = |key: &str, usd: Option<f64>| {
        let price = usd.map(PicoUsd::per_million_tokens_f64).transpose();
        price.map_err(|error| format!("`{key}`: {error}"))
    };
    let cache_read = stated("cache_read", config.cache_read)?;
    let cache_write = stated("cache_write", config.cache_write)?;
    let cache_write_1h = stated("cache_write_1h", config.cache_write_1h)?;
    let input = stated("input", config.input)?;
    let output = stated("output", config.output)?;
    let batch_input = stated("batch_input", config.batch_input)?;
    let batch_output = stated("batch_output", config.batch_output)?;

    // Embedding models answer no tokens, so their price lists need not say what one costs.
    let no_output = (config.mode == Some(Mode::Embedding)).then_some(PicoUsd::ZERO);
    let both = |keys: [&str; 2], input: Option<PicoUsd>, output: Option<PicoUsd>| match (input, output.or(no_output)) {
        (Some(input), Some(output)) => Ok(Some((input, output))),
        (Some(_), None) => Err(format!("`{}` is stated but `{}` is not", keys[0], keys[1])),
        (None, _) if output.is_some() => Err(format!("`{}` is stated but `{}` is not", keys[1], keys[0])),
        (None, _) => Ok(None),
    };
    let batch = both(["batch_input", "batch_output"], batch_input, batch_output)?;
    let Some((input, output)) = both(["input", "output"], input, output)? else {
        let orphans = [
            ("cache_read", cache_read.is_some()),
            ("cache_write", cache_write.is_some()),
            ("cache_write_1h", cache_write_1h.is_some()),
            ("batch_input", batch.is_some()),
            ("long_context", !config.long_context.is_empty()),
        ];
        return match orphans.into_iter().find(|(_, is_stated)| *is_stated) {
            Some((key, _)) => Err(format!("`{key}` is stated but `input` is not")),
            None => Ok(None),
        };
    };

    let mut tiers: Vec<Tier> = Vec::with_capacity(config.long_context.len());
    for tier in &config.long_context {
        let tier = tier.check().map_err(|clause| format!("`long_context`: {clause}"))?;
        if tiers.iter().any(|other| other.above == tier.above) {
            return Err(format!("`long_context`: `above` is {} twice", tier.above));
        }
        tiers.push(tier);
    }
    let batch = batch.map(|(input, output)| BatchPrice { input, output });
    Ok(Some(Price { input, output, cache_read, cache_write, cache_write_1h, batch, tiers }))
}

impl TierConfig {
    fn check(&self) -> Result<Tier, String> {
        let price =
            |key: &str, usd: f64| PicoUsd::per_million_tokens_f64(usd).map_err(|error| format!("`{key}`: {error}"));
        if self.above == 0 {
            return Err("`above` is zero".to_owned());
        }
        Ok(Tier {
            above: self.above,
            input: price("input", self.input)?,
            output: price("output", self.output)?,
            cache_read: self.cache_read.map(|usd| price("cache_read", usd)).transpose()?,
            cache_write: self.cache_write.map(|usd| price("cache_write", usd)).transpose()?,
            cache_write_1h: self.cache_write_1h.map(|usd| price("cache_write_1h", usd)).transpose()?,
        })
    }
}

fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TierConfig>, D::Error> {
    struct Tiers;

    impl<'de> de::Visitor<'de> for Tiers {
        type Value = Vec<TierConfig>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table with `above`, `input` and `output`, or an array of such tables")
        }

        fn visit_map<A: de::MapAccess<'de>>(self, table: A) -> Result<Self::Value, A::Error> {
            TierConfig::deserialize(MapAccessDeserializer::new(table)).map(|tier| vec![tier])
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, tables: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(tables))
        }
    }

    deserializer.deserialize_any(Tiers)
}

fn full_name(provider: Option<&str>, name: &str) -> String {
    match provider {
        Some(provider) => format!("{provider}/{name}"),
        None => name.to_owned(),
    }
}

impl CatalogError {
    /// The line of the entry that is wrong, counted from 1, where the format tells.
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some(model) = &self.model {
            write!(f, "model `{model}`: ")?;
        }
        f.write_str(&self.problem)
    }
}

impl Error for CatalogError {}
