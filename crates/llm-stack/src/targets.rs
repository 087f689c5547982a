//! Which targets a stack has, and which of them stands in for another.

use std::collections::HashMap;

use llm_breaker::Sharing;
use llm_core::{LlmRequest, Target, TargetRef};
use llm_router::Dispatch;

/// The targets of a stack's models.
#[derive(Debug)]
pub(crate) struct Targets {
    dispatch: Dispatch,
    // Of models with a name of their own. Those that a provider serves by a pattern are made when they are asked for.
    by_model: HashMap<Box<str>, Target>,
    keys: Keys,
}

/// The names of each provider's keys, first the one that is used unless another is named.
pub(crate) type Keys = HashMap<Box<str>, Vec<Box<str>>>;

impl Targets {
    /// The targets of `models`, those with a name of their own, at the providers of `dispatch`. A provider with a single key
    /// needs no name for it.
    pub(crate) fn new<'a>(dispatch: Dispatch, keys: Keys, models: impl Iterator<Item = &'a str>) -> Self {
        let targets = Self { dispatch, by_model: HashMap::new(), keys };
        let by_model = models.filter_map(|model| Some((model.into(), targets.find(model)?))).collect();
        Self { by_model, ..targets }
    }

    /// Writes into the context where the call goes, so that the layers below know. What nobody serves has no target.
    pub(crate) fn give(&self, mut request: LlmRequest) -> LlmRequest {
        if request.context().target().is_none() {
            let known = self.by_model.get(request.model()).cloned();
            if let Some(target) = known.or_else(|| self.find(request.model())) {
                request.context_mut().set_target(target);
            }
        }
        request
    }

    /// Every target of a model with a name of its own.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Target> {
        self.by_model.values()
    }

    /// The target of these names, if calls may go there: the provider serves the model, or any where none is named, and has
    /// the key, which is named where there are several and only there.
    pub(crate) fn named(&self, provider: &str, model: Option<&str>, key: Option<&str>) -> Option<Target> {
        let keys = self.keys.get(provider)?;
        let is_served = |model: &str| !model.is_empty() && self.dispatch.name_of(provider, model).is_some();
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

    /// Another key of the target's provider, or else another provider that serves the model.
    pub(crate) fn alternative(&self, target: &Target) -> Option<Target> {
        let keys = self.keys.get(target.provider()).filter(|keys| keys.len() > 1);
        let other_key = keys.and_then(|keys| {
            let own = keys.iter().position(|key| target.key() == Some(key)).unwrap_or(0);
            keys.get((own + 1) % keys.len())
        });
        if let Some(key) = other_key {
            return Some(Target::new(target.provider(), target.model()).with_key(key.clone()));
        }
        let replica = self.dispatch.replicas_of(target.model()).find(|other| other.provider() != target.provider());
        replica.map(|target| self.with_first_key(target))
    }

    fn find(&self, model: &str) -> Option<Target> {
        self.dispatch.target_of(model).map(|target| self.with_first_key(target))
    }

    fn with_first_key(&self, target: Target) -> Target {
        match self.keys.get(target.provider()).map(Vec::as_slice) {
            Some([first, _, ..]) => target.with_key(first.clone()),
            Some([] | [_]) | None => target,
        }
    }
}

/// Models that are served by a beginning share the circuit of that: their names are the callers' making. So is the
/// beginning itself with its `*`, when a caller takes it for a model's name.
impl Sharing for Targets {
    fn shared_by<'s>(&'s self, target: TargetRef<'_>) -> Option<&'s str> {
        self.dispatch.name_of(target.provider, target.model).filter(|name| name.ends_with('*'))
    }
}

#[cfg(test)]
mod tests {
    use llm_core::{Error, LlmResponse, Output};
    use tower::service_fn;

    use super::*;

    fn targets() -> Targets {
        let service = service_fn(async |_: LlmRequest| Ok::<LlmResponse, Error>(Output::text("hi").into()));
        let dispatch = Dispatch::new()
            .provider("two-keys", service, ["m", "gpt-*", "gpt-4o-*"])
            .provider("one-key", service, ["m", "n"])
            .provider("keyless", service, ["n"]);
        let keys = [
            ("two-keys", vec!["first".into(), "second".into()]),
            ("one-key", vec!["only".into()]),
            ("keyless", vec![]),
        ];
        Targets::new(dispatch, keys.map(|(name, keys)| (Box::from(name), keys)).into(), ["m", "n"].into_iter())
    }

    fn given(targets: &Targets, model: &str) -> Option<String> {
        let request = targets.give(LlmRequest::chat(model).user("hi").build());
        request.context().target().map(Target::to_string)
    }

    #[test]
    fn a_target_names_its_key_where_there_are_several() {
        let targets = targets();
        assert_eq!(given(&targets, "m").as_deref(), Some("two-keys/m#first"));
        assert_eq!(given(&targets, "gpt-5").as_deref(), Some("two-keys/gpt-5#first"));
        assert_eq!(given(&targets, "n").as_deref(), Some("one-key/n"));
        assert_eq!(given(&targets, "keyless/n").as_deref(), Some("keyless/n"));
        assert_eq!(given(&targets, "mystery"), None);
        let mut listed: Vec<_> = targets.iter().map(Target::to_string).collect();
        listed.sort();
        assert_eq!(listed, ["one-key/n", "two-keys/m#first"]);
    }

    #[test]
    fn a_target_that_was_chosen_stays() {
        let mut request = LlmRequest::chat("m").user("hi").build();
        request.context_mut().set_target(Target::new("keyless", "n"));
        assert_eq!(targets().give(request).context().target().unwrap().to_string(), "keyless/n");
    }

    #[test]
    fn another_key_stands_in_before_another_provider() {
        let targets = targets();
        let alternative = |target: Target| targets.alternative(&target).map(|target| target.to_string());
        assert_eq!(alternative(Target::new("two-keys", "m").with_key("first")).as_deref(), Some("two-keys/m#second"));
        assert_eq!(alternative(Target::new("two-keys", "m").with_key("second")).as_deref(), Some("two-keys/m#first"));
        assert_eq!(alternative(Target::new("one-key", "m")).as_deref(), Some("two-keys/m#first"));
        assert_eq!(alternative(Target::new("one-key", "n")).as_deref(), Some("keyless/n"));
        assert_eq!(alternative(Target::new("elsewhere", "o")), None);
    }

    #[test]
    fn a_target_is_named_by_what_is_configured() {
        let targets = targets();
        let named = |provider, model, key| targets.named(provider, model, key).map(|target: Target| target.to_string());
        assert_eq!(named("one-key", Some("m"), None).as_deref(), Some("one-key/m"));
        assert_eq!(named("one-key", Some("m"), Some("only")).as_deref(), Some("one-key/m"));
        assert_eq!(named("two-keys", Some("gpt-5"), Some("second")).as_deref(), Some("two-keys/gpt-5#second"));
        assert_eq!(named("two-keys", Some("gpt-*"), Some("first")).as_deref(), Some("two-keys/gpt-*#first"));
        assert_eq!(named("two-keys", None, Some("first")).as_deref(), Some("two-keys/#first"));
        for (provider, model, key) in [
            ("two-keys", Some("m"), None),
            ("two-keys", None, None),
            ("two-keys", Some("m"), Some("third")),
            ("one-key", Some("gpt-5"), None),
            ("one-key", Some(""), None),
            ("keyless", Some("n"), Some("only")),
            ("elsewhere", Some("m"), None),
        ] {
            assert_eq!(named(provider, model, key), None, "{provider} {model:?} {key:?}");
        }
    }

    #[test]
    fn names_that_callers_make_up_share_a_circuit() {
        let targets = targets();
        let shared = |provider, model| targets.shared_by(TargetRef { provider, model, key: None });
        assert_eq!((shared("two-keys", "m"), shared("one-key", "n")), (None, None));
        assert_eq!((shared("two-keys", "gpt-5"), shared("two-keys", "gpt-4o-x")), (Some("gpt-*"), Some("gpt-4o-*")));
        assert_eq!((shared("elsewhere", "m"), shared("one-key", "o")), (None, None));
        let aliases = ["gpt-*", "gpt-4o-*", "gpt-**", "gpt-"].map(|model| shared("two-keys", model));
        assert_eq!(aliases, [Some("gpt-*"), Some("gpt-4o-*"), Some("gpt-*"), Some("gpt-*")]);
    }
}
