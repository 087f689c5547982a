//! A router from a configuration file.

mod route;
mod rule;
mod when;

use std::collections::BTreeMap;

use llm_core::ConfigError;
use serde::Deserialize;

pub use self::{
    route::{RouteConfig, TargetConfig},
    rule::RuleConfig,
    when::{SensitivityConfig, TokensConfig, WhenConfig},
};
use crate::{Plan, Rules, Strategy, Targets};

/// Routes and rules in a configuration file. Everything may be left out: then a call goes to the providers that serve the
/// requested model, in their order.
///
/// Lists may be a single entry without its brackets.
///
/// ```
/// use std::sync::Arc;
/// use llm_core::catalog::Catalog;
/// use llm_router::{ProviderEntry, RouterConfig, Targets};
///
/// let config: RouterConfig = toml::from_str(r#"
///     [routes.fast]
///     targets = ["groq/llama-3.1-8b-instant", "gpt-4o-mini"]
///     strategy = "least_loaded"
///
///     [[rules]]
///     name = "small work is cheap work"
///     when = { workflow = ["routing", "extraction"], input_tokens = { at_most = 4000 } }
///     use = "fast"
/// "#)?;
/// let targets = Targets::new(Arc::new(Catalog::builtin().clone()))
///     .provider(ProviderEntry::new("groq").models(["llama-3.1-8b-instant"]))
///     .provider(ProviderEntry::new("openai").models(["gpt-4o-mini", "gpt-5"]));
/// let plan = config.plan(targets, None)?;
/// # let _ = plan;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RouterConfig {
    /// How one of several targets is chosen where a route does not say, and among the providers and keys of a model that
    /// a caller asks for. Defaults to ordered.
    pub strategy: Strategy,
    /// See [`Plan::content_policy_failover`]. Defaults to false.
    pub content_policy_failover: bool,
    /// What callers and rules can ask for besides models, by name. A route of a model's name goes before the providers
    /// that serve it. None by default.
    pub routes: BTreeMap<Box<str>, RouteConfig>,
    /// Which calls go where, whatever they ask for. The first whose condition holds decides. None by default.
    pub rules: Vec<RuleConfig>,
}

impl RouterConfig {
    /// The plan that is stated here, over these targets. `known_intents` are those that a classifier tells; without them
    /// a rule may ask for any.
    ///
    /// # Errors
    /// If a name is not known, a value makes no sense or does nothing, or a rule or target is never reached. The error
    /// names the place, such as `rules[2].when.needs`.
    pub fn plan(&self, targets: Targets, known_intents: Option<&[&str]>) -> Result<Plan, ConfigError> {
        let mut plan =
            Plan::new(targets.clone()).strategy(self.strategy).content_policy_failover(self.content_policy_failover);
        for (name, config) in &self.routes {
            let place = format!("routes.{name}");
            check_name(name, &targets).map_err(|why| ConfigError::new(&*place, why))?;
            let route = config.resolve(Some(name), self, &targets).map_err(|error| error.within(place))?;
            plan = plan.route(name.clone(), route);
        }
        let mut rules = Vec::new();
        for (at, config) in self.rules.iter().enumerate() {
            let place = format!("rules[{at}]");
            let has_that_name = |other: &RuleConfig| other.name.is_some() && other.name == config.name;
            if let Some(other) = self.rules[..at].iter().position(has_that_name) {
                return Err(ConfigError::new(place + ".name", format!("rules[{other}] has that name already")));
            }
            rules.push(config.resolve(self, &plan, known_intents).map_err(|error| error.within(place))?);
        }
        let rules = Rules::new(rules);
        match rules.unreachable().first() {
            Some(found) => Err(ConfigError::new(format!("rules[{}]", found.place), found.cause.to_string())),
            None => plan.rules(rules),
        }
    }
}

/// Says what is wrong with the name of a route, if something is.
fn check_name(name: &str, targets: &Targets) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("a route needs a name to be asked for by");
    }
    if name.ends_with('*') {
        return Err("callers ask for a route by its whole name: leave out the `*`");
    }
    // To callers it would be the route, and in routes and rules the target.
    let is_provider = |provider: &str| targets.providers().any(|known| known == provider);
    if name.split_once('/').is_some_and(|(provider, _)| is_provider(provider)) {
        return Err("this is how a target is named: leave out the provider");
    }
    Ok(())
}

/// The names of a list, for a sentence.
fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
