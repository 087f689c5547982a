//! What one table calls by the name that it has in another: a name that nothing goes by would be a setting for nobody.

use llm_core::{ConfigError, OneOrMany, Overrides};
use llm_router::Plan;

use crate::StackConfig;

/// A name, and where it stands.
#[derive(Debug)]
pub(crate) struct Named {
    place: String,
    name: String,
    of: NameOf,
}

/// What may go by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NameOf {
    /// A provider.
    Provider,
    /// A model that calls are made to.
    Model,
    /// What callers ask for, a model or a route; also a beginning of it that ends in an asterisk.
    Asked,
}

/// All names in the tables of layers but the router and the fallback, which look after theirs.
pub(crate) fn of(config: &StackConfig) -> Vec<Named> {
    let mut names = Vec::new();
    names.extend(config.prompt_cache.as_option().into_iter().flat_map(|table| overridden("prompt_cache", table)));
    names.extend(config.hedge.as_option().into_iter().flat_map(|table| overridden("hedge", table)));
    names.extend(config.retry.as_option().into_iter().flat_map(|table| overridden("retry", table)));
    names.extend(config.breaker.as_option().into_iter().flat_map(|table| overridden("breaker", table)));
    names.extend(config.timeout.as_option().into_iter().flat_map(|table| overridden("timeout", table)));
    let limits = config.limit.as_option().into_iter().flat_map(|limit| limit.rules.iter().enumerate());
    names.extend(limits.flat_map(|(at, rule)| listed(format!("limit.rules[{at}]"), NameOf::Asked, &rule.models)));
    let cached = config.cache.as_option().into_iter().flat_map(|cache| cache.rules.iter().enumerate());
    names.extend(cached.flat_map(|(at, rule)| listed(format!("cache.rules[{at}]"), NameOf::Asked, &rule.models)));
    let caps = config.budget.as_option().into_iter().flat_map(|budget| budget.caps.iter().enumerate());
    names.extend(caps.flat_map(|(at, cap)| listed(format!("budget.caps[{at}]"), NameOf::Model, &cap.models)));
    names
}

fn overridden<P>(layer: &str, settings: &Overrides<P>) -> Vec<Named> {
    let providers = settings.providers.keys().map(|name| ("providers", name, NameOf::Provider));
    let models = settings.models.keys().map(|name| ("models", name, NameOf::Model));
    let named = providers.chain(models);
    named
        .map(|(list, name, of)| Named { place: format!("{layer}.{list}.{name}"), name: name.to_string(), of })
        .collect()
}

fn listed(rule: String, of: NameOf, models: &Option<OneOrMany<String>>) -> Vec<Named> {
    let names = models.iter().flat_map(|models| models.iter());
    names.map(|name| Named { place: format!("{rule}.models"), name: name.clone(), of }).collect()
}

/// # Errors
/// Names the first that nothing goes by.
pub(crate) fn check(names: &[Named], plan: &Plan, is_in_catalog: impl Fn(&str) -> bool) -> Result<(), ConfigError> {
    let targets = plan.targets();
    let is_route = |name: &str| plan.routes().any(|(route, _)| route == name);
    for Named { place, name, of } in names {
        let known = || is_in_catalog(name) || targets.serves(name);
        let message = match of {
            NameOf::Provider if !targets.providers().any(|provider| provider == name) => {
                format!("there is no provider `{name}`")
            }
            NameOf::Model if is_route(name) && !known() => {
                format!("`{name}` is a route: this is about the models that calls are made to")
            }
            NameOf::Model | NameOf::Asked if !name.ends_with('*') && !known() && !is_route(name) => {
                format!("there is no route or model `{name}`")
            }
            NameOf::Provider | NameOf::Model | NameOf::Asked => continue,
        };
        return Err(ConfigError::new(place.clone(), message));
    }
    Ok(())
}
