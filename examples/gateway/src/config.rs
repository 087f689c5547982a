//! The gateway's configuration file.

use std::{fmt, net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use llm_stack::StackConfig;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use toml::de::DeTable;

use crate::{
    hosts,
    keys::KeyConfig,
    place::{line_at, line_of, path_at, texts_at},
    server::Limits,
    slow::SlowLimits,
};

/// Everything the gateway can be told. `gateway.toml` beside this crate documents each value.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) gateway: GatewayConfig,
    pub(crate) stack: StackConfig,
}

/// What concerns the gateway itself; all other tables belong to the stack.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GatewayConfig {
    pub(crate) server: ServerConfig,
    pub(crate) admin: Option<AdminConfig>,
    pub(crate) keys: Vec<KeyConfig>,
}

/// The names of the tables in [`GatewayConfig`].
const OWN_TABLES: [&str; 3] = ["server", "admin", "keys"];

/// Where and how the doors stand open.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServerConfig {
    /// The address to listen on.
    pub(crate) listen: SocketAddr,
    /// Whether callers without a key are served on an address that other machines can reach.
    pub(crate) allow_anonymous: bool,
    /// Names, besides the address itself, under which callers without a key may address the gateway.
    pub(crate) hosts: Vec<String>,
    /// How many connections are open at once; more wait to be accepted.
    pub(crate) max_connections: u32,
    /// The largest request body, in bytes.
    pub(crate) max_body_bytes: usize,
    /// How long a connection may go without a request.
    #[serde(with = "llm_core::duration")]
    pub(crate) idle_timeout: Duration,
    /// How long a request head may take.
    #[serde(with = "llm_core::duration")]
    pub(crate) head_timeout: Duration,
    /// How long a request body may take.
    #[serde(with = "llm_core::duration")]
    pub(crate) body_timeout: Duration,
    /// For how long a client may take nothing of its answer.
    #[serde(with = "llm_core::duration")]
    pub(crate) write_timeout: Duration,
    /// The longest silence on an open stream before a comment is sent.
    #[serde(with = "llm_core::duration")]
    pub(crate) heartbeat: Duration,
    /// How long the head of a stream may wait for the first content, during which a failure is still a status.
    #[serde(with = "llm_core::duration")]
    pub(crate) head_after: Duration,
    /// The most calls to providers that one request may cause in all.
    pub(crate) attempts: NonZeroU32,
    /// Whether answers tell where they come from, in `x-llm-*` headers.
    pub(crate) provenance_headers: bool,
    /// Whether answers tell what is left of the caller's limits and budgets.
    pub(crate) remaining_headers: bool,
    /// Whether a stream ends with a comment that tells its cost.
    pub(crate) cost_comment: bool,
    /// How long the gateway, told to stop, serves on while `/readyz` says that it is about to.
    #[serde(with = "llm_core::duration")]
    pub(crate) drain_delay: Duration,
    /// How long open requests may go on after that.
    #[serde(with = "llm_core::duration")]
    pub(crate) grace: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8080).into(),
            allow_anonymous: false,
            hosts: Vec::new(),
            max_connections: 10_000,
            max_body_bytes: 32 * 1024 * 1024,
            idle_timeout: Duration::from_secs(11 * 60),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            heartbeat: Duration::from_secs(15),
            head_after: Duration::from_secs(20),
            attempts: NonZeroU32::new(3).expect("three is not zero"),
            provenance_headers: true,
            remaining_headers: false,
            cost_comment: false,
            drain_delay: Duration::ZERO,
            grace: Duration::from_secs(30),
        }
    }
}

impl ServerConfig {
    /// # Errors
    /// When a limit would let nothing through, or the door would stand open to strangers.
    pub(crate) fn check(&self, is_open: bool) -> Result<(), ConfigError> {
        if self.max_body_bytes == 0 {
            return Err(ConfigError::at("server.max_body_bytes", "no request fits into nothing"));
        }
        if self.max_connections == 0 {
            return Err(ConfigError::at("server.max_connections", "nobody could connect: give at least 1"));
        }
        check_hosts("server.hosts", &self.hosts)?;
        let limits = [
            ("server.idle_timeout", self.idle_timeout),
            ("server.head_timeout", self.head_timeout),
            ("server.body_timeout", self.body_timeout),
            ("server.write_timeout", self.write_timeout),
        ];
        if let Some((path, _)) = limits.iter().find(|(_, limit)| limit.is_zero()) {
            return Err(ConfigError::at(*path, "nothing is that fast: give at least \"1ms\""));
        }
        if is_open && !self.allow_anonymous && !self.listen.ip().is_loopback() {
            let message = "other machines can reach this address, and nobody needs a key: add [[keys]], or set \
                           allow_anonymous = true";
            return Err(ConfigError::at("server.listen", message));
        }
        Ok(())
    }

    pub(crate) fn limits(&self) -> Limits {
        let slow = SlowLimits { head: self.head_timeout, idle: self.idle_timeout, write: self.write_timeout };
        Limits { slow, connections: self.max_connections, grace: self.grace }
    }

    /// Whether all names are known under which the gateway can be addressed rightly.
    pub(crate) fn knows_its_names(&self) -> bool {
        self.listen.ip().is_loopback() || !self.hosts.is_empty()
    }
}

fn check_hosts(path: &str, hosts: &[String]) -> Result<(), ConfigError> {
    match hosts::find_malformed(hosts) {
        Some(at) => Err(ConfigError::at(format!("{path}[{at}]"), "a host is a name or an address, without a port")),
        None => Ok(()),
    }
}

/// The listener for operators. It is off unless it has a key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdminConfig {
    /// The address to listen on.
    #[serde(default = "default_admin_listen")]
    pub(crate) listen: SocketAddr,
    /// The environment variable that holds the operators' key.
    key_env: Option<String>,
    /// The file that holds the operators' key.
    key_file: Option<PathBuf>,
    /// Names, besides the address itself, under which the listener may be addressed.
    #[serde(default)]
    pub(crate) hosts: Vec<String>,
}

fn default_admin_listen() -> SocketAddr {
    ([127, 0, 0, 1], 9090).into()
}

impl AdminConfig {
    /// # Errors
    /// When a name is none.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        check_hosts("admin.hosts", &self.hosts)
    }

    /// The operators' key.
    pub(crate) fn key(&self) -> Result<SecretString, ConfigError> {
        let (path, read) = match (&self.key_env, &self.key_file) {
            (Some(name), None) => ("admin.key_env", std::env::var(name).map_err(|error| format!("`{name}`: {error}"))),
            (None, Some(file)) => (
                "admin.key_file",
                std::fs::read_to_string(file).map_err(|error| format!("`{}`: {error}", file.display())),
            ),
            _ => return Err(ConfigError::at("admin", "give the key with either `key_env` or `key_file`")),
        };
        let key = read.map_err(|error| ConfigError::at(path, error))?;
        let key = SecretString::from(key.trim());
        if key.expose_secret().len() < 16 {
            return Err(ConfigError::at(path, "the key is shorter than 16 characters"));
        }
        Ok(key)
    }
}

/// What is wrong with a configuration, and where.
#[derive(Debug)]
pub(crate) struct ConfigError {
    /// The value's place, such as `providers[0].base_url`; empty where the text itself is at fault.
    pub(crate) path: String,
    pub(crate) message: String,
    pub(crate) line: Option<usize>,
}

impl ConfigError {
    pub(crate) fn at(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), line: None }
    }

    /// Looks up the line of the path in the text it came from, and strikes out of the sentence what may be a key in the
    /// wrong place: parsers like to repeat what they do not understand.
    pub(crate) fn in_text(mut self, text: &str) -> Self {
        self.line = self.line.or_else(|| line_of(text, &self.path));
        for (field, value) in texts_at(text, &self.path) {
            if may_be_secret(&self.path, &field, &value) {
                let escaped = format!("{value:?}");
                let escaped = escaped.trim_matches('"');
                self.message = self.message.replace(&value, "…").replace(escaped, "…");
            }
        }
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// The tables of the layers, in which there are names and no keys.
const LAYERS: [&str; 11] = [
    "prompt_cache",
    "cache",
    "classify",
    "fallback",
    "limit",
    "router",
    "hedge",
    "retry",
    "budget",
    "breaker",
    "timeout",
];

/// Whether a text could be a key: not a name, not the place of a file, and not a variable of the environment, all of
/// which an operator wants to read. No key that is worth anything is shorter than eight characters.
fn may_be_secret(path: &str, field: &str, text: &str) -> bool {
    let is_of_layer = path.split(['.', '[']).next().is_some_and(|table| LAYERS.contains(&table));
    let is_variable = text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    let is_name = matches!(field, "name" | "key_file" | "ca_file") || field.starts_with("models[");
    text.len() >= 8 && !is_variable && !is_of_layer && !is_name
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// When the text is not TOML, a key is unknown, or a value has the wrong form; with the line.
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let of_toml = |error: toml::de::Error| {
            let span = error.span();
            let line = span.as_ref().map(|span| line_at(text, span.start));
            let path = span.map(|span| path_at(text, &span)).unwrap_or_default();
            ConfigError { path, message: error.message().to_owned(), line }
        };
        let stack = DeTable::parse(text).map_err(of_toml)?;
        let (span, mut stack) = (stack.span(), stack.into_inner());
        let mut own = DeTable::new();
        for name in OWN_TABLES {
            if let Some((name, value)) = stack.remove_entry(name) {
                own.insert(name, value);
            }
        }
        let spanned = |table| toml::de::Deserializer::from(toml::Spanned::new(span.clone(), table));
        Ok(Self {
            gateway: GatewayConfig::deserialize(spanned(own)).map_err(of_toml)?,
            stack: StackConfig::deserialize(spanned(stack)).map_err(of_toml)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `tests/wiring` proves what each of them does, and cannot see the types.
    #[test]
    fn the_wiring_matrix_knows_every_option_of_the_gateways_own() {
        let listed = include_str!("../tests/wiring/own_options.txt").lines().map(str::to_owned).collect();
        let options = xtask_options::options_of::<GatewayConfig>();
        assert_eq!(options, listed, "tests/wiring/own_options.txt lists other options than there are");
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = Config::parse("[server]\nlisten = \"127.0.0.1:1\"\nport = 1\n").unwrap_err();
        assert_eq!((error.line, &*error.path), (Some(3), "server.port"));
        let error = Config::parse("\n[sever]\nport = 1\n").unwrap_err();
        assert_eq!((error.line, &*error.path), (Some(2), "sever"));
    }

    #[test]
    fn a_value_of_the_wrong_form_is_named_with_its_line() {
        let error = Config::parse("[server]\ngrace = 30\n").unwrap_err();
        assert_eq!((error.line, &*error.path), (Some(2), "server.grace"));
        assert!(error.to_string().contains("\"30s\""), "{error}");
    }
}
