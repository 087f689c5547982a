//! The names of a call's target, kept for as long as the call.

use std::{fmt, sync::Arc};

use llm_core::TargetRef;
use smallvec::SmallVec;

use crate::Sharing;

/// A copy of the names: the target itself is shared with other calls, and taking part in it would make threads write
/// the same count for every call. Names of up to 64 bytes together need no allocation.
#[derive(Clone)]
pub(crate) struct Names {
    text: SmallVec<[u8; 64]>,
    provider: usize,
    model: usize,
    has_key: bool,
    is_shared: bool,
}

impl Names {
    /// The names of a circuit, which may be one that targets share.
    pub(crate) fn new(names: TargetRef<'_>, is_shared: bool) -> Self {
        let TargetRef { provider, model, key } = names;
        let mut text = SmallVec::new();
        for name in [provider, model, key.unwrap_or_default()] {
            text.extend_from_slice(name.as_bytes());
        }
        Self { text, provider: provider.len(), model: model.len(), has_key: key.is_some(), is_shared }
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.is_shared
    }

    pub(crate) fn get(&self) -> TargetRef<'_> {
        let text = std::str::from_utf8(&self.text).expect("it was put together from texts");
        let (provider, rest) = text.split_at(self.provider);
        let (model, key) = rest.split_at(self.model);
        TargetRef { provider, model, key: self.has_key.then_some(key) }
    }
}

/// What the circuit of a provider's key is known by, where a provider is known at all.
pub(crate) fn of_key(names: TargetRef<'_>) -> Option<TargetRef<'_>> {
    (!names.provider.is_empty()).then_some(TargetRef { model: "", ..names })
}

/// What the circuit is called that keys share for which there is no room.
pub(crate) const OVERFLOW: &str = "*";

/// Says which targets share a circuit. Without it every target has its own.
#[derive(Clone, Default)]
pub(crate) struct Shares(Option<Arc<dyn Sharing>>);

impl Shares {
    pub(crate) fn new(sharing: impl Sharing + 'static) -> Self {
        Self(Some(Arc::new(sharing)))
    }

    /// What the circuit of a target is known by, and whether it is shared.
    pub(crate) fn circuit_of<'a>(&'a self, names: TargetRef<'a>) -> (TargetRef<'a>, bool) {
        match self.0.as_ref().and_then(|sharing| sharing.shared_by(names)) {
            Some(model) => (TargetRef { model, ..names }, true),
            None => (names, false),
        }
    }
}

impl fmt::Debug for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "some targets share" } else { "none share" })
    }
}

/// What a circuit is called: `provider/model#key`, or `provider#key` for that of a key.
pub(crate) fn circuit_name(names: TargetRef<'_>) -> String {
    match (names.model, names.key) {
        ("", Some(key)) => format!("{}#{key}", names.provider),
        ("", None) => names.provider.to_owned(),
        _ => names.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_as_they_are() {
        let long = "m".repeat(200);
        for key in [None, Some(""), Some("clé")] {
            for model in ["", "modèle", &long] {
                for provider in ["", "openai"] {
                    let names = TargetRef { provider, model, key };
                    assert_eq!(Names::new(names, false).get(), names);
                    assert_eq!(of_key(names).is_some(), !provider.is_empty());
                }
            }
        }
    }
}
