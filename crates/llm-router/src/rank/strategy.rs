//! The strategies by name.

use std::sync::Arc;

use serde::Deserialize;

use super::{
    Rank,
    affinity::Affinity,
    blend::{Blend, CostShare},
    cheapest::Cheapest,
    fastest::Fastest,
    least_loaded::LeastLoaded,
    ordered::Ordered,
    power_of_two::PowerOfTwo,
    weighted::Weighted,
};

/// How a route chooses among its targets.
///
/// In configuration files the names are in snake case, `"least_loaded"`; a blend has its share, `{ blend = 0.5 }`. Only
/// `Weighted` and those that look at the load, `LeastLoaded`, `PowerOfTwo` and `Affinity`, give a target with a greater
/// weight more calls; under all of them but `Ordered` one of weight zero gets calls only when no other is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// One after the other, as they stand. The default.
    #[default]
    Ordered,
    /// At random, each as often as its weight says.
    Weighted,
    /// The lowest estimated cost of the call: a quarter of its bytes as input, and as output the most tokens that it
    /// allows, or 400. Targets without a known price come last.
    Cheapest,
    /// The least `(calls under way + 1) × √slowness`, where slowness is the time of an output token relative to the
    /// best, see [`load_score`](crate::load_score).
    LeastLoaded,
    /// The shortest time to the first content for streams, and of an output token for whole answers, as seen in the last
    /// ten seconds or so.
    Fastest,
    /// The lowest `cost^share × latency^(1 − share)`: at 0 that of the fastest, at 1 that of the cheapest.
    Blend(CostShare),
    /// Of two at random the one with fewer calls under way. For hundreds of targets.
    PowerOfTwo,
    /// The same conversation goes to the same target, so that the provider's prompt cache has it: by hash of the tenant,
    /// the instructions, the tools (4 KB of both) and the first KB of the first message. Left while the favourite has
    /// more than 1.25 times the mean of the calls under way, and more than four, or half of its calls fail.
    Affinity,
}

impl Strategy {
    /// What does it. `Ordered` picks the first of the choices.
    pub fn rank(self) -> Arc<dyn Rank> {
        match self {
            Self::Ordered => Arc::new(Ordered),
            Self::Weighted => Arc::new(Weighted),
            Self::Cheapest => Arc::new(Cheapest),
            Self::LeastLoaded => Arc::new(LeastLoaded),
            Self::Fastest => Arc::new(Fastest),
            Self::Blend(cost) => Arc::new(Blend(cost)),
            Self::PowerOfTwo => Arc::new(PowerOfTwo),
            Self::Affinity => Arc::new(Affinity),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Route {
        strategy: Strategy,
    }

    fn read(value: &str) -> Result<Strategy, String> {
        toml::from_str::<Route>(&format!("strategy = {value}"))
            .map(|route| route.strategy)
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn each_has_its_name() {
        let named = [
            ("\"ordered\"", Strategy::Ordered, "Ordered"),
            ("\"weighted\"", Strategy::Weighted, "Weighted"),
            ("\"cheapest\"", Strategy::Cheapest, "Cheapest"),
            ("\"least_loaded\"", Strategy::LeastLoaded, "LeastLoaded"),
            ("\"fastest\"", Strategy::Fastest, "Fastest"),
            ("{ blend = 0.25 }", Strategy::Blend(CostShare::new(0.25).unwrap()), "Blend(CostShare(0.25))"),
            ("\"power_of_two\"", Strategy::PowerOfTwo, "PowerOfTwo"),
            ("\"affinity\"", Strategy::Affinity, "Affinity"),
        ];
        for (name, strategy, rank) in named {
            assert_eq!(read(name), Ok(strategy));
            assert_eq!(format!("{:?}", strategy.rank()), rank);
        }
        assert_eq!(read("{ blend = 1 }"), Ok(Strategy::Blend(CostShare::new(1.0).unwrap())));
        assert_eq!(Strategy::default(), Strategy::Ordered);
    }

    #[test]
    fn what_is_wrong_is_a_sentence() {
        for share in ["-0.1", "1.5", "nan"] {
            let error = read(&format!("{{ blend = {share} }}")).unwrap_err();
            assert_eq!(error, "blend: the share of the cost must be from 0 to 1");
        }
        let error = read("\"quickest\"").unwrap_err();
        assert!(error.contains("`quickest`") && error.contains("`fastest`"), "{error}");
        assert!(read("\"blend\"").is_err());
    }
}
