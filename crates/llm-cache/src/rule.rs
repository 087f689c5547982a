//! Which calls are cached otherwise than others, by what they ask for and what they are for.

use std::time::Duration;

use llm_core::{AllowedModels, ConfigError, LlmRequest, OneOrMany, TargetRef, duration};
use serde::Deserialize;

/// Caches some calls otherwise than others, see [`CacheLayer::rules`](crate::CacheLayer::rules). One that names nothing is
/// about all.
///
/// ```
/// use std::time::Duration;
/// use llm_cache::{CacheRule, Use};
///
/// let weather = CacheRule::new().workflows(["weather"]).use_for(Use::Never);
/// let search = CacheRule::new().models(["gpt-*"]).use_for(Use::All).ttl(Duration::from_secs(600));
/// # let _ = (weather, search);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a rule does nothing until a layer has it"]
pub struct CacheRule {
    models: Option<AllowedModels>,
    workflows: Option<Box<[Box<str>]>>,
    use_for: Use,
    ttl: Option<Duration>,
}

/// Which calls the cache is used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// For none.
    Never,
    /// For those that are answered alike each time: at temperature zero, and for embeddings.
    #[default]
    Deterministic,
    /// For all, also for those that may be answered differently each time.
    All,
}

/// A rule in a configuration file. It must say something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheRuleConfig {
    /// See [`CacheRule::models`]: a name or a list of them.
    pub models: Option<OneOrMany<String>>,
    /// See [`CacheRule::workflows`]: a name or a list of them.
    pub workflows: Option<OneOrMany<String>>,
    /// See [`CacheRule::use_for`]: `never`, `deterministic` or `all`. Defaults to deterministic.
    pub use_for: Option<Use>,
    /// See [`CacheRule::ttl`].
    #[serde(with = "duration::option")]
    pub ttl: Option<Duration>,
}

impl CacheRule {
    /// A rule about all calls, which changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only about calls that ask for these models or routes: `model`, `provider/model`, or beginnings of either that end in
    /// `*`. A name alone is also that of the model with its provider before it.
    pub fn models(mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.models = Some(AllowedModels::new(names));
        self
    }

    /// Only about calls for these workflows.
    pub fn workflows(mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.workflows = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Which of them the cache is used for. Defaults to [`Use::Deterministic`]. A caller's `force` does not change
    /// [`Use::Never`].
    pub fn use_for(mut self, use_for: Use) -> Self {
        self.use_for = use_for;
        self
    }

    /// How long their answers are good, instead of the layer's [ttl](crate::CacheLayer::ttl).
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    fn is_about(&self, request: &LlmRequest) -> bool {
        let workflow = request.context().caller().workflow.as_deref();
        let is_listed = |names: &[Box<str>]| workflow.is_some_and(|name| names.iter().any(|listed| **listed == *name));
        // Above a router a caller may name the provider with the model.
        let asked = request.target_or_model();
        let apart = asked.model.split_once('/').filter(|_| asked.provider.is_empty());
        let apart = apart.map(|(provider, model)| TargetRef { provider, model, key: None });
        let is_named = |models: &AllowedModels| {
            models.permits_target(asked) || apart.is_some_and(|target| models.permits_target(target))
        };
        self.models.as_ref().is_none_or(is_named) && self.workflows.as_deref().is_none_or(is_listed)
    }
}

/// Which calls the cache is used for, and for how long if somebody has said so: by the first rule that is about this one.
pub(crate) fn of(rules: &[CacheRule], request: &LlmRequest) -> (Use, Option<Duration>) {
    rules.iter().find(|rule| rule.is_about(request)).map_or_else(Default::default, |rule| (rule.use_for, rule.ttl))
}

impl TryFrom<&CacheRuleConfig> for CacheRule {
    type Error = ConfigError;

    fn try_from(config: &CacheRuleConfig) -> Result<Self, ConfigError> {
        let CacheRuleConfig { models, workflows, use_for, ttl } = config;
        if use_for.is_none() && ttl.is_none() {
            return Err(ConfigError::new("use_for", "the rule changes nothing: it needs this or a `ttl`"));
        }
        let mut rule = Self::new();
        if let Some(names) = models {
            rule = rule.models(names.stated("models")?.iter().map(String::as_str));
        }
        if let Some(names) = workflows {
            rule = rule.workflows(names.stated("workflows")?.iter().map(String::as_str));
        }
        rule.use_for = use_for.unwrap_or_default();
        rule.ttl = *ttl;
        Ok(rule)
    }
}

#[cfg(test)]
mod tests {
    use llm_core::Caller;

    use super::*;

    #[test]
    fn the_first_rule_that_is_about_a_call_decides() {
        let minute = Duration::from_secs(60);
        let rules = [
            CacheRule::new().workflows(["weather"]).use_for(Use::Never),
            CacheRule::new().models(["gpt-*"]).use_for(Use::All).ttl(minute),
            CacheRule::new().ttl(2 * minute),
        ];
        let ask = |model: &str, workflow: Option<&str>| {
            let mut request = LlmRequest::chat(model).user("hi").build();
            let workflow = workflow.map(Into::into);
            request.context_mut().set_caller(Caller { workflow, ..Caller::default() });
            request
        };
        assert_eq!(of(&rules, &ask("gpt-4o", Some("weather"))), (Use::Never, None));
        assert_eq!(of(&rules, &ask("gpt-4o", Some("other"))), (Use::All, Some(minute)));
        assert_eq!(of(&rules, &ask("openai/gpt-4o", None)), (Use::All, Some(minute)), "whoever serves it");
        assert_eq!(of(&rules, &ask("o3", None)), (Use::Deterministic, Some(2 * minute)));
        assert_eq!(of(&rules[..2], &ask("o3", None)), (Use::Deterministic, None));
    }
}
