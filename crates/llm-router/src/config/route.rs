//! Routes in a configuration file.

use std::{collections::HashSet, fmt};

use llm_core::{ConfigError, OneOrMany, Target};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, value::MapAccessDeserializer},
};

use super::{RouterConfig, listed};
use crate::{Route, RouteTarget, Strategy, Targets};

/// A route in a configuration file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// Where its calls go. At least one.
    pub targets: OneOrMany<TargetConfig>,
    /// How one of them is chosen. Defaults to the router's.
    #[serde(default)]
    pub strategy: Option<Strategy>,
    /// What stands in when none of the targets answers, one after the other. Defaults to nothing.
    #[serde(default)]
    pub then: OneOrMany<String>,
}

/// A target in a configuration file: a name, or a table `{ target = "...", weight = 90 }`.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetConfig {
    /// `provider/model`, `provider/model#key`, or a model's name alone for every provider that serves it. Without a key
    /// each of the provider's is a target.
    pub target: String,
    /// See [`RouteTarget::weight`]. A number from zero to a billion, for strategies that go by it; of those of a route one at least
    /// is above zero. Defaults to 1.
    pub weight: Option<f64>,
}

impl RouteConfig {
    /// The route that is stated here. `own_name` is its own, where it has one.
    pub(super) fn resolve(
        &self,
        own_name: Option<&str>,
        router: &RouterConfig,
        targets: &Targets,
    ) -> Result<Route, ConfigError> {
        let strategy = self.strategy.unwrap_or(router.strategy);
        let mut known = Seen { own_name, router, targets, seen: HashSet::new() };
        for (at, entry) in self.targets.iter().enumerate() {
            let place = format!("targets[{at}]");
            known.check(&entry.target).map_err(|why| ConfigError::new(&*place, why))?;
            let Some(weight) = entry.weight else { continue };
            if let Some(why) = ignores(strategy, weight) {
                return Err(ConfigError::new(place + ".weight", why));
            }
        }
        let entries = self.targets.iter().map(RouteTarget::from);
        let mut route = targets.route(entries)?;
        if self.targets.iter().all(|entry| entry.weight == Some(0.0)) {
            return Err(ConfigError::new("targets", "one weight at least must be above zero"));
        }
        if let Some(strategy) = self.strategy {
            route = route.strategy(strategy);
        }
        for (at, name) in self.then.iter().enumerate() {
            known.check(name).map_err(|why| ConfigError::new(format!("then[{at}]"), why))?;
            route = route.then(targets.route([&**name])?.strategy(Strategy::LeastLoaded));
        }
        Ok(route)
    }
}

/// The targets that a route has named so far.
struct Seen<'a> {
    own_name: Option<&'a str>,
    router: &'a RouterConfig,
    targets: &'a Targets,
    seen: HashSet<Target>,
}

impl Seen<'_> {
    /// Says what is wrong with the next target, if something is.
    fn check(&mut self, name: &str) -> Result<(), String> {
        let meant = self.targets.meant_by(name);
        if meant.is_empty() {
            return Err(self.explain(name));
        }
        let before = self.seen.len();
        self.seen.extend(meant);
        if self.seen.len() == before {
            return Err(format!("everything that `{name}` stands for is in the route already"));
        }
        Ok(())
    }

    /// Why nothing goes by this name.
    fn explain(&self, name: &str) -> String {
        if self.own_name == Some(name) {
            return "a route cannot name itself".to_owned();
        }
        if self.router.routes.contains_key(name) {
            return format!("`{name}` is a route, and targets are models");
        }
        if name.ends_with('*') {
            return "a target is one model: a name that ends in `*` stands for many".to_owned();
        }
        let (whole, key) = name.rsplit_once('#').map_or((name, None), |(whole, key)| (whole, Some(key)));
        if let Some(key) = key.filter(|_| !self.targets.meant_by(whole).is_empty()) {
            return format!("nobody who serves `{whole}` has a key `{key}`");
        }
        match whole.split_once('/') {
            Some((provider, model)) if self.targets.providers().any(|known| known == provider) => {
                format!("`{provider}` does not serve `{model}`")
            }
            Some((provider, _)) => {
                let known = listed(self.targets.providers());
                format!("there is no provider `{provider}`, and nobody serves `{whole}`; providers are {known}")
            }
            None => format!("nobody serves `{whole}`"),
        }
    }
}

/// Why a strategy makes nothing of a weight, if it does not.
fn ignores(strategy: Strategy, weight: f64) -> Option<&'static str> {
    match strategy {
        Strategy::Weighted | Strategy::LeastLoaded | Strategy::PowerOfTwo | Strategy::Affinity => None,
        Strategy::Ordered => Some("ordered targets come one after the other whatever their weights: leave it out"),
        Strategy::Cheapest | Strategy::Fastest | Strategy::Blend(_) if weight == 0.0 => None,
        Strategy::Cheapest | Strategy::Fastest | Strategy::Blend(_) => {
            Some("the strategy knows no weight but 0, for a target that gets calls only when no other is left")
        }
    }
}

impl From<&TargetConfig> for RouteTarget {
    fn from(config: &TargetConfig) -> Self {
        Self { name: config.target.as_str().into(), weight: config.weight.unwrap_or(1.0) }
    }
}

impl<'de> Deserialize<'de> for TargetConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl<'de> de::Visitor<'de> for Visitor {
    type Value = TargetConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a target, or a table with it as its `target`")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<TargetConfig, E> {
        Ok(TargetConfig { target: name.to_owned(), weight: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TargetConfig, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            target: String,
            #[serde(default)]
            weight: Option<f64>,
        }
        let Table { target, weight } = Table::deserialize(MapAccessDeserializer::new(map))?;
        Ok(TargetConfig { target, weight })
    }
}
