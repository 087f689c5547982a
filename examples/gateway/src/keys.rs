//! Who may call: the callers' keys, stored hashed.

use std::{collections::HashMap, fmt, sync::Arc};

use http::{HeaderMap, header};
use llm_core::{AllowedModels, Caller, Sensitivity};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::ConfigError;

/// A caller's key and whom it stands for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyConfig {
    /// The SHA-256 of the key in 64 hexadecimal digits, as `printf %s "$KEY" | sha256sum` prints it.
    pub(crate) sha256: KeyHash,
    /// What it is called, for budgets and limits of single keys. No other key has that name.
    pub(crate) name: Option<String>,
    /// The customer that the key belongs to.
    pub(crate) tenant: String,
    /// The person or machine within the tenant.
    pub(crate) user: Option<String>,
    /// What the key's calls are for.
    pub(crate) workflow: Option<String>,
    /// The models that its callers may use, all by default.
    pub(crate) models: Option<Vec<String>>,
    /// Whether everything that comes with the key is sensitive.
    #[serde(default)]
    pub(crate) sensitive: bool,
}

impl KeyConfig {
    /// The field that has a name in it which is blank.
    fn find_blank(&self) -> Option<&'static str> {
        let names = [
            ("name", self.name.as_ref()),
            ("tenant", Some(&self.tenant)),
            ("user", self.user.as_ref()),
            ("workflow", self.workflow.as_ref()),
        ];
        names.into_iter().find_map(|(field, name)| name.is_some_and(|name| name.trim().is_empty()).then_some(field))
    }
}

/// Whom a key stands for, and what its calls may do.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) caller: Caller,
    pub(crate) allowed: Option<AllowedModels>,
    pub(crate) sensitivity: Sensitivity,
}

/// The hash of a key.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct KeyHash([u8; 32]);

impl KeyHash {
    fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// Where to look for the hash. It tells nothing about the key, so it need not be compared in constant time.
    fn bucket(&self) -> [u8; 8] {
        let mut bucket = [0; 8];
        bucket.copy_from_slice(&self.0[..8]);
        bucket
    }
}

impl TryFrom<String> for KeyHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let sentence =
            || "a key's sha256 is 64 hexadecimal digits, as `printf %s \"$KEY\" | sha256sum` prints".to_owned();
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(sentence());
        }
        let mut hash = [0; 32];
        for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| sentence())?;
        }
        Ok(Self(hash))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash")
    }
}

/// All callers' keys. Cloning copies a pointer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys(Arc<Buckets>);

/// The keys by the beginnings of their hashes.
type Buckets = HashMap<[u8; 8], Vec<(KeyHash, Known)>>;

impl Keys {
    /// # Errors
    /// When a key or its name stands there twice, a name is blank, or a list of models is empty.
    pub(crate) fn new(configs: &[KeyConfig]) -> Result<Self, ConfigError> {
        let mut keys = Buckets::new();
        for (at, config) in configs.iter().enumerate() {
            if let Some(field) = config.find_blank() {
                return Err(ConfigError::at(format!("keys[{at}].{field}"), "the name is blank"));
            }
            if config.name.is_some() && configs[..at].iter().any(|other| other.name == config.name) {
                return Err(ConfigError::at(format!("keys[{at}].name"), "another key has this name"));
            }
            let bucket = keys.entry(config.sha256.bucket()).or_default();
            if bucket.iter().any(|(known, _)| *known == config.sha256) {
                return Err(ConfigError::at(format!("keys[{at}].sha256"), "the same key stands here twice"));
            }
            let name = |name: &Option<String>| name.as_deref().map(Arc::from);
            let caller = Caller {
                tenant: Some(Arc::from(&*config.tenant)),
                user: name(&config.user),
                workflow: name(&config.workflow),
                job: None,
                key: name(&config.name),
            };
            let allowed = match &config.models {
                Some(models) if models.is_empty() => {
                    let message = "the key could not be used for anything: name a model, or leave the list out";
                    return Err(ConfigError::at(format!("keys[{at}].models"), message));
                }
                models => models.as_ref().map(|models| AllowedModels::new(models.iter().map(String::as_str))),
            };
            let sensitivity = if config.sensitive { Sensitivity::Sensitive } else { Sensitivity::Normal };
            bucket.push((config.sha256, Known { caller, allowed, sensitivity }));
        }
        Ok(Self(Arc::new(keys)))
    }

    /// Whether a key stands for the tenant.
    pub(crate) fn has_tenant(&self, name: &str) -> bool {
        self.0.values().flatten().any(|(_, known)| known.caller.tenant.as_deref() == Some(name))
    }

    /// Whether a key stands for the user, of whatever tenant.
    pub(crate) fn has_user(&self, name: &str) -> bool {
        self.0.values().flatten().any(|(_, known)| known.caller.user.as_deref() == Some(name))
    }

    /// Whether a key is called that.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.0.values().flatten().any(|(_, known)| known.caller.key.as_deref() == Some(name))
    }

    /// Whether there is a key without a name.
    pub(crate) fn has_nameless(&self) -> bool {
        self.0.values().flatten().any(|(_, known)| known.caller.key.is_none())
    }

    /// True when nobody needs a key.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whom a key stands for.
    pub(crate) fn find(&self, key: &[u8]) -> Option<&Known> {
        let hash = KeyHash::of(key);
        let bucket = self.0.get(&hash.bucket())?;
        bucket.iter().find_map(|(own, known)| bool::from(own.0.ct_eq(&hash.0)).then_some(known))
    }
}

/// Compares a presented key with the one that is wanted, in constant time.
pub(crate) fn is_same_key(presented: &[u8], wanted: &[u8]) -> bool {
    KeyHash::of(presented).0.ct_eq(&KeyHash::of(wanted).0).into()
}

/// The key that a request presents, where the SDKs put it: `Authorization: Bearer`, `x-api-key` or `api-key`.
pub(crate) fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = || {
        let value = headers.get(header::AUTHORIZATION)?.as_bytes();
        let (scheme, key) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii()).filter(|key| !key.is_empty())
    };
    let named = |name: &str| headers.get(name).map(|value| value.as_bytes());
    bearer().or_else(|| named("x-api-key")).or_else(|| named("api-key")).filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(key: &str, tenant: &str) -> KeyConfig {
        let sha256 = KeyHash::of(key.as_bytes());
        let tenant = tenant.to_owned();
        KeyConfig { sha256, name: None, tenant, user: None, workflow: None, models: None, sensitive: false }
    }

    #[test]
    fn a_key_finds_its_tenant_and_a_wrong_one_nobody() {
        let keys = Keys::new(&[config("one", "acme"), config("two", "zeta")]).unwrap();
        assert_eq!(keys.find(b"two").and_then(|known| known.caller.tenant.as_deref()), Some("zeta"));
        assert!(keys.find(b"three").is_none());
        assert!(keys.find(b"").is_none());
    }

    #[test]
    fn the_same_key_twice_is_refused() {
        let twice = Keys::new(&[config("one", "acme"), config("one", "zeta")]).unwrap_err();
        assert_eq!(twice.path, "keys[1].sha256");
    }

    #[test]
    fn two_keys_of_one_name_are_refused() {
        let named = |key| KeyConfig { name: Some("ci".to_owned()), ..config(key, "acme") };
        assert_eq!(Keys::new(&[named("one"), named("two")]).unwrap_err().path, "keys[1].name");
        let keys = Keys::new(&[named("one"), config("two", "acme")]).unwrap();
        assert_eq!(keys.find(b"one").and_then(|known| known.caller.key.as_deref()), Some("ci"));
        assert!(keys.has_name("ci") && !keys.has_name("other") && keys.has_nameless());
    }

    #[test]
    fn a_blank_name_is_refused() {
        assert_eq!(Keys::new(&[config("one", " ")]).unwrap_err().path, "keys[0].tenant");
        let nobody = KeyConfig { user: Some(String::new()), ..config("one", "acme") };
        assert_eq!(Keys::new(&[config("two", "acme"), nobody]).unwrap_err().path, "keys[1].user");
    }

    #[test]
    fn a_key_without_a_model_to_use_is_refused() {
        let useless = KeyConfig { models: Some(Vec::new()), ..config("one", "acme") };
        assert_eq!(Keys::new(&[useless]).unwrap_err().path, "keys[0].models");
    }

    #[test]
    fn the_hash_is_the_one_that_sha256sum_prints() {
        let printed = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(KeyHash::try_from(printed.to_owned()).unwrap(), KeyHash::of(b"abc"));
        assert!(KeyHash::try_from("abc".to_owned()).is_err());
        assert!(KeyHash::try_from("ä".repeat(32)).is_err());
    }

    #[test]
    fn a_key_is_found_wherever_the_sdks_put_it() {
        for (name, value) in
            [("authorization", "Bearer k"), ("authorization", "bearer  k"), ("x-api-key", "k"), ("api-key", "k")]
        {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            assert_eq!(presented(&headers), Some(&b"k"[..]), "{name}");
        }
        let mut both = HeaderMap::new();
        both.insert("authorization", "Bearer ".parse().unwrap());
        both.insert("x-api-key", "k".parse().unwrap());
        assert_eq!(presented(&both), Some(&b"k"[..]), "an empty token hides nothing");
        let mut basic = HeaderMap::new();
        basic.insert("authorization", "Basic k".parse().unwrap());
        assert_eq!(presented(&basic), None);
    }
}
