//! What a name stands for: targets, and how one of them is chosen.

use std::sync::Arc;

use llm_core::{ConfigError, Target};

use crate::{Rank, Strategy, Targets};

/// Targets, how one of them is chosen, and what stands in when none answers. [`Targets::route`] makes one, so that it
/// never names what is not there.
#[derive(Clone, Debug)]
pub struct Route {
    pub(crate) entries: Vec<Entry>,
    // Absent where it is left to the plan.
    pub(crate) choosing: Option<Choosing>,
    pub(crate) then: Vec<Route>,
}

/// How one of several targets is chosen.
#[derive(Clone, Debug, Default)]
pub(crate) enum Choosing {
    /// They stand in their order, and only the keys of one provider, or all that serve one model, are chosen among.
    #[default]
    Ordered,
    /// All of them are chosen among.
    By(Arc<dyn Rank>),
}

impl Choosing {
    pub(crate) fn is_ordered(&self) -> bool {
        match self {
            Self::Ordered => true,
            Self::By(_) => false,
        }
    }

    /// What chooses within a tier.
    pub(crate) fn rank(&self) -> Arc<dyn Rank> {
        match self {
            Self::Ordered => Strategy::LeastLoaded.rank(),
            Self::By(rank) => Arc::clone(rank),
        }
    }
}

impl From<Strategy> for Choosing {
    fn from(strategy: Strategy) -> Self {
        match strategy {
            Strategy::Ordered => Self::Ordered,
            Strategy::Weighted
            | Strategy::Cheapest
            | Strategy::LeastLoaded
            | Strategy::Fastest
            | Strategy::Blend(_)
            | Strategy::PowerOfTwo
            | Strategy::Affinity => Self::By(strategy.rank()),
        }
    }
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
        Ok(Self { entries, choosing: None, then: Vec::new() })
    }

    /// How one of the targets is chosen. Under all strategies but [`Ordered`](Strategy::Ordered) each may be first; under
    /// that one they come in their order, and what one name stands for, such as the keys of a provider, by load. Defaults
    /// to what the [plan](crate::Plan::strategy) says.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.choosing = Some(strategy.into());
        self
    }

    /// The same with a way of choosing of one's own.
    pub fn rank(mut self, rank: impl Rank + 'static) -> Self {
        self.choosing = Some(Choosing::By(Arc::new(rank)));
        self
    }

    /// What is tried when no target of this route is left or healthy, after what was added here before. Each of its
    /// targets comes after the other, unless it says how it chooses.
    pub fn then(mut self, then: Route) -> Self {
        self.then.push(then);
        self
    }

    /// What it stands for: the names as they were stated, with their weights.
    pub fn entries(&self) -> impl Iterator<Item = RouteTarget> {
        self.entries.iter().map(|entry| RouteTarget { name: entry.name.clone(), weight: entry.weight })
    }

    /// What stands in for it, in the order in which it is tried.
    pub fn stand_ins(&self) -> &[Route] {
        &self.then
    }

    /// Every target, here and in what stands in.
    pub(crate) fn targets(&self) -> Box<dyn Iterator<Item = &Target> + '_> {
        let own = self.entries.iter().flat_map(|entry| &entry.targets);
        Box::new(own.chain(self.then.iter().flat_map(Self::targets)))
    }
}

/// A weight is a number from zero to a billion.
pub(crate) fn check_weight(weight: f64) -> Result<(), ConfigError> {
    // Above that, weights of one route would be lost beside each other.
    const MOST: f64 = 1e9;
    if (0.0..=MOST).contains(&weight) {
        return Ok(());
    }
    Err(ConfigError::new("weight", "it must be a number from zero to a billion"))
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
