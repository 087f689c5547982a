//! Rules in a configuration file.

use llm_core::{ConfigError, OneOrMany, Target};
use serde::Deserialize;

use super::{RouteConfig, RouterConfig, SensitivityConfig, TargetConfig, WhenConfig, listed};
use crate::{Candidate, Plan, Route, Rule, Targets};

/// A rule in a configuration file: a condition, and what becomes of the calls for which it holds. Of `use`, `refuse` and
/// `require_tags` at least one is stated.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleConfig {
    /// What the rule is called in logs and in the handle. Defaults to its place.
    pub name: Option<String>,
    /// When it holds. Defaults to always.
    pub when: WhenConfig,
    /// Where its calls go: a route or a model, as if the caller had asked for it, or a list of targets as that of a
    /// route, among which the router's strategy chooses.
    #[serde(rename = "use")]
    pub to: Option<OneOrMany<TargetConfig>>,
    /// See [`Rule::require_tags`].
    pub require_tags: Option<OneOrMany<String>>,
    /// See [`Rule::refuse`]. Excludes the others.
    pub refuse: Option<String>,
}

impl RuleConfig {
    pub(super) fn resolve(
        &self,
        router: &RouterConfig,
        plan: &Plan,
        known_intents: Option<&[&str]>,
    ) -> Result<Rule, ConfigError> {
        let when = self.when.resolve(known_intents).map_err(|error| error.within("when"))?;
        let mut rule = Rule::new(when);
        if let Some(name) = &self.name {
            if name.is_empty() {
                return Err(ConfigError::new("name", "a name must not be empty: leave it out"));
            }
            rule = rule.named(name.as_str());
        }
        if let Some(sentence) = &self.refuse {
            return match (&self.to, &self.require_tags) {
                (None, None) if sentence.is_empty() => {
                    Err(ConfigError::new("refuse", "the caller should be told something"))
                }
                (None, None) => Ok(rule.refuse(sentence.as_str())),
                (Some(_), _) => Err(ConfigError::new("refuse", "what is refused goes nowhere: leave out `use`")),
                (None, Some(_)) => {
                    Err(ConfigError::new("refuse", "what is refused goes nowhere: leave out `require_tags`"))
                }
            };
        }
        if self.to.is_none() && self.require_tags.is_none() {
            return Err(ConfigError::new("use", "the rule does nothing: it needs `use`, `refuse` or `require_tags`"));
        }
        if let Some(to) = &self.to {
            rule = sent_to(rule, to, router, plan.targets())?;
        }
        let targets = plan.targets();
        if self.when.sensitivity == Some(SensitivityConfig::Sensitive)
            && self.to.is_some()
            && !destinations(&rule, plan).iter().any(|target| targets.is_local(target))
        {
            let message = "it is for sensitive calls, and none of these is `local`: such a call could go to nobody";
            return Err(ConfigError::new("use", message));
        }
        if let Some(tags) = &self.require_tags {
            let tags = tags.stated("require_tags")?;
            let bears_all = |target: &Target| {
                let candidate = plan.described(Candidate::new(target.clone()));
                tags.iter().all(|tag| candidate.has_tag(tag))
            };
            if route_of(&rule, plan).is_some_and(|route| !route.targets().any(bears_all)) {
                return Err(ConfigError::new("require_tags", "no target that it sends calls to bears all of them"));
            }
            rule = rule.require_tags(tags.iter().map(String::as_str));
        }
        Ok(rule)
    }
}

/// The route by which its calls go, if it sends them by one.
fn route_of<'a>(rule: &'a Rule, plan: &'a Plan) -> Option<&'a Route> {
    rule.own_route().or_else(|| plan.routes.get(rule.route()?))
}

/// Whom its calls may reach.
fn destinations(rule: &Rule, plan: &Plan) -> Vec<Target> {
    match route_of(rule, plan) {
        Some(route) => route.targets().cloned().collect(),
        None => rule.route().map(|model| plan.targets().meant_by(model)).unwrap_or_default(),
    }
}

/// The rule with the destination that `use` states.
fn sent_to(
    rule: Rule,
    to: &OneOrMany<TargetConfig>,
    router: &RouterConfig,
    targets: &Targets,
) -> Result<Rule, ConfigError> {
    if let [TargetConfig { target, weight: None }] = &to[..] {
        // What a caller can ask for means what it would mean then.
        let is_name = router.routes.contains_key(&**target) || (targets.serves(target) && !target.ends_with('*'));
        if is_name {
            return Ok(rule.to(target.as_str()));
        }
        if !target.contains(['/', '#', '*']) {
            let known = listed(router.routes.keys().map(|name| &**name));
            let message = format!("there is no route `{target}`, and nobody serves such a model; routes are {known}");
            return Err(ConfigError::new("use", message));
        }
    }
    let route = RouteConfig { targets: to.clone(), strategy: None, then: OneOrMany::default() };
    let route = route.resolve(None, router, targets).map_err(|error| {
        // Here the list of targets is `use` itself.
        let path = error.path().replacen("targets", "use", 1);
        ConfigError::new(path, error.message())
    })?;
    Ok(rule.to_own(route))
}
