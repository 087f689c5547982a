//! What a configuration file says of a provider, and the check that it makes sense.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue};
use llm_core::ConfigError;
use llm_wire::openai::Variant;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

use crate::{
    Auth, BaseUrl, ClientConfig, Key, Preset, ProviderLayer,
    key::{KeyHeader, Keys},
    layer::{MAX_ANSWER_BYTES, Settings},
};

/// A provider as a configuration states it, to be checked by [`ProviderLayer`]'s `try_from`.
///
/// ```toml
/// name = "azure-eu"
/// base_url = "https://example.openai.azure.com/openai/v1"
/// variant = "azure"
/// auth = { header = "api-key" }
/// keys = [{ name = "team", key_env = "AZURE_KEY" }, { name = "spare", key_file = "/run/secrets/azure" }]
/// ```
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// The name that targets, routes and prices know the provider by. Under the name of a [`Preset`], what is not
    /// stated here is taken from there.
    pub name: String,
    /// The models that the provider serves: exact names, or beginnings that end in `*`. It concerns whoever hands
    /// calls to providers by model; a provider itself calls whatever model it is asked for. None stated by default.
    #[serde(default)]
    pub models: Vec<String>,
    /// Whether what is sent there stays in the house, so that sensitive requests may go there. It concerns whoever chooses
    /// providers. Defaults to `false`: where a provider's address leads, and what a server there does with a prompt, only
    /// its operator knows.
    #[serde(default)]
    pub local: bool,
    /// Words of the operator's about the provider and all its models, for routing rules. None by default.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The language the provider speaks. Defaults to the preset's, else to OpenAI's. Some providers speak Anthropic's
    /// too, in a place of its own: state that `base_url` along with it.
    #[serde(default)]
    pub dialect: Option<ProviderDialect>,
    /// Which of the servers that speak OpenAI's dialect it is, by the name of a [`Variant`]: what it spells in its own
    /// way and what it does not take. Defaults to the preset's, else to `compatible`. Other dialects have no variants.
    #[serde(default)]
    pub variant: Option<String>,
    /// Where the provider is, `http` or `https`, up to and without `/chat/completions`; in Anthropic's dialect without
    /// `/v1/messages`, though `/v1` may be there. Defaults to the preset's, as long as `dialect` is the preset's too.
    #[serde(default)]
    pub base_url: Option<String>,
    /// Headers to send with every call, such as `openai-organization`. Those that belong to the connection, the body
    /// or the key are refused. None by default, but that Anthropic's dialect sends `anthropic-version: 2023-06-01`
    /// unless another version is stated here. The names of an `anthropic-beta` stated here go before the caller's.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The keys, the one to use unless a router chooses first. Defaults to the preset's environment variable, as
    /// long as `base_url` is the preset's too.
    #[serde(default)]
    pub keys: Vec<KeyConfig>,
    /// How a key is sent. Defaults to the preset's way, else to the dialect's: OpenAI's is a bearer token, Anthropic's
    /// the header `x-api-key`. For an OAuth token of Anthropic's say `bearer`.
    #[serde(default)]
    pub auth: Option<Auth>,
    /// Whether to ask for a usage report in streams although the caller did not; the extra chunk is kept from the
    /// caller. Defaults to `true`: without a report usage is only estimated. Anthropic's dialect and Mistral report
    /// unasked.
    #[serde(default)]
    pub include_usage: Option<bool>,
    /// The largest whole answer that is read, in bytes. Defaults to 64 MiB: OpenAI's API reference allows 2,048 texts
    /// in one request for embeddings, and as many vectors of 3,072 numbers are 34 MB in base64. At least one byte.
    #[serde(default)]
    pub max_answer_bytes: Option<usize>,
    /// The http client. It concerns only [`Provider`](crate::Provider)'s own `try_from`: a layer is put over a client
    /// that is there already.
    #[serde(default)]
    pub client: ClientConfig,
}

/// A language that providers speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderDialect {
    /// OpenAI's Chat Completions and Embeddings, and everything compatible with them.
    #[default]
    OpenAi,
    /// Anthropic's Messages and token counting, and everything compatible with them.
    Anthropic,
}

/// A key as a configuration states it: by exactly one of `key`, `key_env` and `key_file`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// The name that routers and breakers know the key by. Defaults to `default`.
    #[serde(default = "default_key_name")]
    pub name: String,
    /// The key itself. White space around it does not count, here and below.
    #[serde(default, deserialize_with = "secret")]
    pub key: Option<SecretString>,
    /// The environment variable that holds the key.
    #[serde(default)]
    pub key_env: Option<String>,
    /// The file that holds the key.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
}

fn default_key_name() -> String {
    "default".to_owned()
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}

impl ProviderConfig {
    /// A provider of this name and nothing else stated.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            models: Vec::new(),
            local: false,
            tags: Vec::new(),
            dialect: None,
            variant: None,
            base_url: None,
            headers: BTreeMap::new(),
            keys: Vec::new(),
            auth: None,
            include_usage: None,
            max_answer_bytes: None,
            client: ClientConfig::default(),
        }
    }
}

impl KeyConfig {
    /// The key `secret` under the name `name`.
    pub fn new(name: impl Into<String>, secret: impl Into<SecretString>) -> Self {
        Self { name: name.into(), key: Some(secret.into()), key_env: None, key_file: None }
    }

    /// The key in the environment variable `variable` under the name `name`.
    pub fn env(name: impl Into<String>, variable: impl Into<String>) -> Self {
        Self { name: name.into(), key: None, key_env: Some(variable.into()), key_file: None }
    }

    /// The key in the file at `path` under the name `name`.
    pub fn file(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), key: None, key_env: None, key_file: Some(path.into()) }
    }

    fn load(&self, environment: impl Fn(&str) -> Option<String>) -> Result<Key, ConfigError> {
        let wrong = |what: String| ConfigError::new("keys", format!("the key named \"{}\" {what}", self.name));
        let secret = match (&self.key, &self.key_env, &self.key_file) {
            (Some(key), None, None) => key.clone(),
            (None, Some(variable), None) => environment(variable)
                .map(SecretString::from)
                .ok_or_else(|| wrong(format!("is to be in the environment variable {variable}, which is not set")))?,
            (None, None, Some(path)) => std::fs::read_to_string(path)
                .map(SecretString::from)
                .map_err(|error| wrong(format!("cannot be read from {}: {error}", path.display())))?,
            _ => return Err(wrong("needs exactly one of key, key_env and key_file".to_owned())),
        };
        Key::new(self.name.as_str(), &secret)
    }
}

impl fmt::Debug for ProviderConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL is shown only once it is known to hold no credentials.
        let base_url = self.base_url.as_ref().map(|url| url.parse::<BaseUrl>());
        f.debug_struct("ProviderConfig")
            .field("name", &self.name)
            .field("models", &self.models)
            .field("local", &self.local)
            .field("tags", &self.tags)
            .field("dialect", &self.dialect)
            .field("variant", &self.variant)
            .field("base_url", &base_url)
            .field("headers", &self.headers.keys())
            .field("keys", &self.keys)
            .field("auth", &self.auth)
            .field("include_usage", &self.include_usage)
            .field("max_answer_bytes", &self.max_answer_bytes)
            .field("client", &self.client)
            .finish()
    }
}

impl fmt::Debug for KeyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyConfig").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The checked door from a configuration: reads the keys from where they are.
///
/// # Errors
/// The first thing that is wrong: a URL that is none or holds more than it should, a header that cannot be sent or
/// is not the configuration's to set, a key that is empty, stated twice or not where it is said to be.
impl TryFrom<ProviderConfig> for ProviderLayer {
    type Error = ConfigError;

    fn try_from(config: ProviderConfig) -> Result<Self, ConfigError> {
        Self::check(config, |variable| std::env::var(variable).ok())
    }
}

impl ProviderLayer {
    fn check(config: ProviderConfig, environment: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        // Taken apart, so that a new field is not forgotten.
        let ProviderConfig {
            name,
            models: _,
            local: _,
            tags: _,
            dialect,
            variant,
            base_url,
            headers,
            mut keys,
            auth,
            include_usage,
            max_answer_bytes,
            client: _,
        } = config;
        if name.is_empty() {
            return Err(ConfigError::new("name", "a provider needs a name"));
        }
        let preset = Preset::find(&name);
        let dialect = dialect.or(preset.map(|preset| preset.dialect)).unwrap_or_default();
        let variant = check_variant(variant.as_deref(), dialect, preset)?;
        // A key is for one place: elsewhere, the preset's is not used unasked.
        let preset_key = preset.filter(|_| base_url.is_none()).and_then(|preset| preset.key_env);
        // And a place is for one dialect.
        let preset_url = preset.filter(|preset| preset.dialect == dialect).map(|preset| preset.base_url);
        let base_url: BaseUrl = base_url
            .as_deref()
            .or(preset_url)
            .ok_or_else(|| match preset {
                Some(_) => {
                    ConfigError::new("base_url", format!("it is not known where \"{name}\" speaks this dialect"))
                }
                None => ConfigError::new("base_url", format!("it is not known where \"{name}\" is")),
            })?
            .parse()?;
        let has_keys = !keys.is_empty();
        let auth = auth.unwrap_or_else(|| match preset {
            Some(Preset { key_env: None, .. }) if !has_keys => Auth::None,
            _ => dialect.auth(),
        });
        if let (Auth::Bearer | Auth::Header(_), false) = (&auth, has_keys) {
            let variable = preset_key.ok_or_else(|| {
                ConfigError::new("keys", "there is none; if the provider wants no key, say auth = \"none\"")
            })?;
            keys.push(KeyConfig::env(default_key_name(), variable));
        }
        let keys = check_keys(&auth, &keys, environment)?;
        let mut headers = check_headers(&headers, &keys.header)?;
        dialect.complete(&mut headers);
        Ok(Self::of(Settings {
            dialect,
            endpoints: dialect.endpoints(&base_url),
            base_url,
            headers,
            keys,
            include_usage: include_usage.unwrap_or(true),
            variant,
            max_answer_bytes: match max_answer_bytes {
                Some(0) => return Err(ConfigError::new("max_answer_bytes", "it must be at least 1")),
                Some(bytes) => bytes,
                None => MAX_ANSWER_BYTES,
            },
            catalog: None,
            name: name.into(),
        }))
    }
}

fn check_variant(
    name: Option<&str>,
    dialect: ProviderDialect,
    preset: Option<&'static Preset>,
) -> Result<&'static Variant, ConfigError> {
    match (name, dialect) {
        (None, _) => Ok(preset.map_or(&Variant::COMPATIBLE, |preset| preset.variant)),
        (Some(_), ProviderDialect::Anthropic) => {
            Err(ConfigError::new("variant", "there are variants of OpenAI's dialect only"))
        }
        (Some(name), ProviderDialect::OpenAi) => Variant::find(name).ok_or_else(|| {
            let known: Vec<_> = Variant::ALL.iter().map(|variant| variant.name).collect();
            ConfigError::new("variant", format!("it must be one of {}", known.join(", ")))
        }),
    }
}

fn check_keys(
    auth: &Auth,
    configs: &[KeyConfig],
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Keys, ConfigError> {
    let header = match auth {
        Auth::Bearer => KeyHeader::Bearer,
        Auth::Header(name) => match name.parse::<HeaderName>() {
            Ok(name) if !is_reserved(&name) => KeyHeader::Named(name),
            _ => return Err(ConfigError::new("auth", format!("{name:?} is not a header that a key can be sent in"))),
        },
        Auth::None if configs.is_empty() => return Ok(Keys { header: KeyHeader::Bearer, keys: Vec::new() }),
        Auth::None => return Err(ConfigError::new("keys", "there are some, but auth = \"none\" sends none")),
    };
    let mut keys: Vec<Key> = Vec::with_capacity(configs.len());
    for config in configs {
        let key = config.load(&environment)?;
        if keys.iter().any(|known| known.name() == key.name()) {
            return Err(ConfigError::new("keys", format!("there are two keys named \"{}\"", key.name())));
        }
        keys.push(key);
    }
    Ok(Keys { header, keys })
}

fn check_headers(config: &BTreeMap<String, String>, key_header: &KeyHeader) -> Result<HeaderMap, ConfigError> {
    let mut headers = HeaderMap::with_capacity(config.len());
    for (name, value) in config {
        let header: HeaderName =
            name.parse().map_err(|_| ConfigError::new("headers", format!("{name:?} is not a header name")))?;
        if is_reserved(&header) || matches!(key_header, KeyHeader::Named(key_header) if *key_header == header) {
            return Err(ConfigError::new("headers", format!("{name} is not the configuration's to set")));
        }
        let mut value: HeaderValue = value
            .parse()
            .map_err(|_| ConfigError::new("headers", format!("the value of {name} cannot be sent in a header")))?;
        value.set_sensitive(true);
        if headers.insert(header, value).is_some() {
            return Err(ConfigError::new("headers", format!("{name} is stated twice")));
        }
    }
    Ok(headers)
}

/// Headers that belong to the connection, the body or the key.
fn is_reserved(name: &HeaderName) -> bool {
    const RESERVED: [&str; 16] = [
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    RESERVED.contains(&name.as_str())
}

#[cfg(test)]
mod tests;
