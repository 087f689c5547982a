//! Keys: how a provider knows us.

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use llm_core::{Detail, Error, ErrorKind};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use llm_core::ConfigError;

/// One key of a provider, under the name that routers and breakers know it by.
///
/// `Debug` shows the name only.
#[derive(Clone)]
pub struct Key {
    name: Arc<str>,
    secret: SecretString,
}

impl Key {
    /// The key `secret`, without the white space around it, to be known as `name`.
    ///
    /// # Errors
    /// If the name or the key is empty, or the key holds what cannot be sent in a header.
    pub fn new(name: impl Into<Arc<str>>, secret: &SecretString) -> Result<Self, ConfigError> {
        let name = name.into();
        let wrong = |what: &str| ConfigError::new("keys", format!("the key named \"{name}\" {what}"));
        if name.is_empty() {
            return Err(ConfigError::new("keys", "a key needs a name"));
        }
        let secret = secret.expose_secret().trim();
        if secret.is_empty() {
            return Err(wrong("is empty"));
        }
        if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("holds white space or characters that no key has"));
        }
        let secret = SecretString::from(secret);
        Ok(Self { name, secret })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How a key is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// As `authorization: Bearer <key>`, which nearly every provider wants. The default.
    #[default]
    Bearer,
    /// As the value of a header of this name, such as `api-key` for Azure.
    Header(String),
    /// No key is sent: Ollama, and vLLM started without one.
    None,
}

/// Where a key goes in a request.
#[derive(Clone, Debug)]
pub(crate) enum KeyHeader {
    Bearer,
    Named(HeaderName),
}

/// A provider's keys and how they are sent.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) header: KeyHeader,
    pub(crate) keys: Vec<Key>,
}

/// What stands where a key was.
const REDACTED: &str = "[redacted]";

/// The shortest piece of a key that is struck out: less is a word of any language.
const SHORTEST_PIECE: usize = 4;

impl Keys {
    /// Strikes our keys out of what a provider says: some repeat the key that they refuse.
    pub(crate) fn strike_out(&self, error: Error) -> Error {
        let has_key = |text: &str| self.struck_out(text).is_some();
        let error = match self.struck_out(error.message()) {
            Some(message) => error.with_message(message),
            None => error,
        };
        let Some(Detail { kind, code, param }) = error.detail() else { return error };
        if ![kind, code, param].into_iter().flatten().any(|text| has_key(text)) {
            return error;
        }
        let clean = |text: &Option<String>| text.clone().filter(|text| !has_key(text));
        let detail = Detail { kind: clean(kind), code: clean(code), param: clean(param) };
        error.with_detail(detail)
    }

    /// The text without our keys; `None` if there are none in it.
    fn struck_out(&self, text: &str) -> Option<String> {
        let mut struck = None;
        for key in &self.keys {
            let secret = key.secret.expose_secret();
            if secret.len() < SHORTEST_PIECE {
                continue;
            }
            let known = struck.as_deref().unwrap_or(text);
            if known.contains(secret) {
                struck = Some(known.replace(secret, REDACTED));
            }
            // A long message is cut, perhaps within a key.
            let known = struck.as_deref().unwrap_or(text);
            let shown = known.strip_suffix('…');
            let piece = shown.and_then(|shown| {
                let pieces = (SHORTEST_PIECE..secret.len()).rev();
                pieces.map(|length| &secret[..length]).find_map(|piece| shown.strip_suffix(piece))
            });
            if let Some(rest) = piece {
                struck = Some(format!("{rest}{REDACTED}…"));
            }
        }
        struck
    }

    /// Writes the key named `name`, or the first, into `headers`. Without any keys there is nothing to write.
    pub(crate) fn sign(&self, name: Option<&str>, headers: &mut HeaderMap) -> Result<(), Error> {
        let key =
            match name {
                Some(name) => Some(self.keys.iter().find(|key| &*key.name == name).ok_or_else(|| {
                    Error::new(ErrorKind::NoRoute, format!("the provider has no key named \"{name}\""))
                })?),
                None => self.keys.first(),
            };
        let Some(key) = key else { return Ok(()) };
        let secret = key.secret.expose_secret();
        let (header, value) = match &self.header {
            KeyHeader::Bearer => (AUTHORIZATION, HeaderValue::try_from(format!("Bearer {secret}"))),
            KeyHeader::Named(header) => (header.clone(), HeaderValue::from_str(secret)),
        };
        let mut value = value.expect("a key holds visible ASCII only, as its constructor checks");
        value.set_sensitive(true);
        headers.insert(header, value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, secret: &str) -> Result<Key, ConfigError> {
        Key::new(name, &SecretString::from(secret))
    }

    fn keys(header: KeyHeader) -> Keys {
        Keys { header, keys: vec![key("a", "sk-first").unwrap(), key("b", " sk-second\n").unwrap()] }
    }

    #[test]
    fn the_named_key_is_sent_or_else_the_first() {
        let mut headers = HeaderMap::new();
        keys(KeyHeader::Bearer).sign(None, &mut headers).unwrap();
        assert_eq!(headers["authorization"], "Bearer sk-first");
        keys(KeyHeader::Bearer).sign(Some("b"), &mut headers).unwrap();
        assert_eq!(headers["authorization"], "Bearer sk-second");
        let azure = HeaderName::from_static("api-key");
        let mut headers = HeaderMap::new();
        keys(KeyHeader::Named(azure)).sign(Some("b"), &mut headers).unwrap();
        assert_eq!(headers["api-key"], "sk-second");
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn an_unknown_key_name_is_no_route() {
        let error = keys(KeyHeader::Bearer).sign(Some("c"), &mut HeaderMap::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoRoute);
        assert_eq!(error.to_string(), "the provider has no key named \"c\"");
    }

    #[test]
    fn a_key_that_a_provider_repeats_is_struck_out() {
        let keys =
            Keys { header: KeyHeader::Bearer, keys: vec![key("a", "my-own-key").unwrap(), key("b", "abc").unwrap()] };
        let detail =
            |text: &str| Detail { kind: Some("kept".into()), code: Some(text.into()), param: Some(text.into()) };
        let said =
            Error::invalid_request("the key my-own-key (my-own-key) of abc is odd").with_detail(detail("my-own-key"));
        let struck = keys.strike_out(said);
        assert_eq!(struck.message(), "the key [redacted] ([redacted]) of abc is odd");
        let known = struck.detail().unwrap();
        assert_eq!((known.kind.as_deref(), &known.code, &known.param), (Some("kept"), &None, &None));
        let cut = keys.strike_out(Error::invalid_request("a long story about my-own…"));
        assert_eq!(cut.message(), "a long story about [redacted]…");
        let fine = keys.strike_out(Error::invalid_request("nothing of it").with_detail(detail("model")));
        assert_eq!((fine.message(), fine.detail().unwrap().code.as_deref()), ("nothing of it", Some("model")));
    }

    #[test]
    fn a_key_is_never_shown() {
        let keys = keys(KeyHeader::Bearer);
        let mut headers = HeaderMap::new();
        keys.sign(None, &mut headers).unwrap();
        assert!(!format!("{keys:?} {headers:?}").contains("sk-"));
        for secret in ["", "  \n", "sk-can ary", "sk-can\nary", "sk-canäry"] {
            let error = key("a", secret).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("sk-"), "{error:?}");
        }
    }
}
