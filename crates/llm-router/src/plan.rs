//! Where calls go, as it is told.

use std::{collections::BTreeMap, sync::Arc};

use llm_core::ConfigError;

use crate::{Candidate, Route, Rules, Strategy, Targets, route::Choosing};

/// What a router goes by: who serves what, the routes, and the rules. It can be replaced while calls go on.
///
/// A name that a caller asks for is a route's, or that of a model that a provider serves.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) targets: Targets,
    pub(crate) routes: BTreeMap<Box<str>, Route>,
    pub(crate) rules: Rules,
    pub(crate) choosing: Choosing,
    pub(crate) content_policy_failover: bool,
}

impl Plan {
    /// Calls go to the providers that serve the requested model, one after the other.
    pub fn new(targets: Targets) -> Self {
        Self {
            targets,
            routes: BTreeMap::new(),
            rules: Rules::default(),
            choosing: Choosing::default(),
            content_policy_failover: false,
        }
    }

    /// Adds a route that callers and rules ask for by `name`. A route of a model's name goes before the providers that
    /// serve it; one of a known name takes its place.
    pub fn route(mut self, name: impl Into<Box<str>>, route: Route) -> Self {
        self.routes.insert(name.into(), route);
        self
    }

    /// Looks at these rules for every call, instead of those before. For after the routes that they send calls to.
    ///
    /// # Errors
    /// If a rule sends calls to a name that is no route's and that no provider serves. The error names the place, such as
    /// `rules[1].use`.
    pub fn rules(mut self, rules: Rules) -> Result<Self, ConfigError> {
        for rule in rules.iter() {
            let unknown = rule.route().filter(|name| !self.routes.contains_key(*name) && !self.targets.serves(name));
            if let Some(name) = unknown {
                let message = format!("there is no route `{name}`, and nobody serves a model of this name");
                return Err(ConfigError::new(format!("rules[{}].use", rule.place()), message));
            }
        }
        self.rules = rules;
        Ok(self)
    }

    /// How one of the targets is chosen in routes that do not say so, and among the providers that serve a model.
    /// Defaults to [`Ordered`](Strategy::Ordered): one provider after the other, and the least loaded of its keys.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.choosing = strategy.into();
        self
    }

    /// Whether a refusal by a provider's content policy is taken to another target. Defaults to no: the next one may
    /// refuse as well, and some policies count who asks again.
    pub fn content_policy_failover(mut self, is_on: bool) -> Self {
        self.content_policy_failover = is_on;
        self
    }

    /// Who serves what.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// The routes by their names, in alphabetical order.
    pub fn routes(&self) -> impl Iterator<Item = (&str, &Route)> {
        self.routes.iter().map(|(name, route)| (&**name, route))
    }

    /// The rules in their order, which tell their name or place.
    pub fn stated_rules(&self) -> &Rules {
        &self.rules
    }

    /// The candidate with what is known of it.
    pub(crate) fn described(&self, mut candidate: Candidate) -> Candidate {
        if let Some(provider) = self.targets.entry(candidate.target().provider()) {
            if let Some(tags) = provider.bears() {
                candidate = candidate.tags(Arc::clone(tags));
            }
            if provider.is_local() {
                candidate = candidate.local();
            }
        }
        match self.targets.facts(candidate.target()) {
            Some(facts) => candidate.facts(facts),
            None => candidate,
        }
    }
}

impl From<Targets> for Plan {
    fn from(targets: Targets) -> Self {
        Self::new(targets)
    }
}
