//! What a name stands for: targets, and how one of them is chosen.

use std::sync::Arc;

use llm_core::{ConfigError, Target};

use crate::{Rank, Targets};

/// Targets, how one of them is chosen, and what stands in when none answers. [`Targets::route`] makes one, so that it
/// never names what is not there.
#[derive(Clone, Debug)]
pub struct Route {
    pub(crate) entries: Vec<Entry>,
    // Absent where it is left to the plan.
    pub(crate) rank: Option<Arc<dyn Rank>>,
    pub(crate) then: Vec<Route>,
}

/// What one name in a route stands for.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: Box<str>,
    // At least one; several for a provider's keys, and for a model of several providers.
    pub(crate) targets: Vec<Target>,
    pub(crate) weight: f64,
}

/// A target of a route by its name, with its weight: `"openai/gpt-5".into()`, or `("openai/gpt-5", 90.0).into()`.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteTarget {
    /// `provider/model`, `provider/model#key`, or a model's name alone for every provider that serves it.
    pub name: Box<str>,
    /// Its share beside those of the others, for strategies that go by weight. Defaults to 1; zero means that it gets
    /// calls only when no other is left.
    pub weight: f64,
}

impl Route {
    pub(crate) fn resolve(names: impl Iterator<Item = RouteTarget>, targets: &Targets) -> Result<Self, ConfigError> {
        let mut entries = Vec::new();
        for (at, RouteTarget { name, weight }) in names.enumerate() {
            let place = || format!("targets[{at}]");
            let found = targets.meant_by(&name);
            if found.is_empty() {
                return Err(ConfigError::new(place(), format!("nobody serves `{name}`")));
            }
            check_weight(weight).map_err(|error| error.within(place()))?;
            entries.push(Entry { name, targets: found, weight });
        }
        if entries.is_empty() {
            return Err(ConfigError::new("targets", "there must be at least one"));
        }
        Ok(Self { entries, rank: None, then: Vec::new() })
    }

    /// How one of the targets is chosen. All of them are one tier then: each may be first.
    pub fn rank(mut self, rank: Arc<dyn Rank>) -> Self {
        self.rank = Some(rank);
        self
    }

    /// What is tried when no target of this route is left or healthy, after what was added here before. Each of its
    /// targets comes after the other, unless it says how it chooses.
    pub fn then(mut self, then: Route) -> Self {
        self.then.push(then);
        self
    }
}

/// A weight is a number from zero on.
pub(crate) fn check_weight(weight: f64) -> Result<(), ConfigError> {
    if weight.is_finite() && weight >= 0.0 {
        return Ok(());
    }
    Err(ConfigError::new("weight", "it must be a number from zero on"))
}

impl From<&str> for RouteTarget {
    fn from(name: &str) -> Self {
        Self { name: name.into(), weight: 1.0 }
    }
}

impl From<String> for RouteTarget {
    fn from(name: String) -> Self {
        Self { name: name.into(), weight: 1.0 }
    }
}

impl<N: Into<Box<str>>> From<(N, f64)> for RouteTarget {
    fn from((name, weight): (N, f64)) -> Self {
        Self { name: name.into(), weight }
    }
}
