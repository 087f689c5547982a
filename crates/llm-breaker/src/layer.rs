//! The layer, which is the configuration.

use std::num::NonZeroUsize;

use llm_core::{PerTarget, Random, Striped};
use tower::Layer;

use crate::{
    Breaker, BreakerHandle, CircuitRules, Covers, Sharing,
    names::Shares,
    shared::{Settings, Shared},
};

/// More targets than even a large gateway has that fail at the same time.
const MOST_CIRCUITS: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not zero");

/// Stops calling what keeps failing. See the [crate docs](crate).
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is put around a service"]
pub struct BreakerLayer {
    shared: Striped<Shared>,
}

impl BreakerLayer {
    /// A circuit for each target, by the rules of [`CircuitRules::interactive`].
    pub fn new() -> Self {
        Self::of(Settings {
            rules: PerTarget::default(),
            per: Covers::default(),
            shares: Shares::default(),
            most_circuits: MOST_CIRCUITS,
            random: Random::default(),
        })
    }

    /// For calls that somebody waits for, as [`new`](Self::new).
    pub fn interactive() -> Self {
        Self::new()
    }

    /// For jobs that nobody waits for: [`CircuitRules::batch`].
    pub fn batch() -> Self {
        Self::new().rules(CircuitRules::batch())
    }

    /// What circuits go by: the same for every target, or [`PerTarget`]. A call without a target goes by its model's
    /// name, and the circuit of a provider's key by its provider's. Defaults to [`CircuitRules::interactive`].
    pub fn rules(self, rules: impl Into<PerTarget<CircuitRules>>) -> Self {
        Self::of(Settings { rules: rules.into(), ..self.shared.settings.clone() })
    }

    /// What a circuit covers. Defaults to [`Covers::Target`].
    pub fn per(self, per: Covers) -> Self {
        Self::of(Settings { per, ..self.shared.settings.clone() })
    }

    /// Which targets share a circuit, see [`Sharing`]. By default none do.
    pub fn sharing(self, sharing: impl Sharing + 'static) -> Self {
        Self::of(Settings { shares: Shares::new(sharing), ..self.shared.settings.clone() })
    }

    /// The most circuits of targets to keep, and as many of provider keys. Only what has failed has one (under
    /// [`Rate`](crate::Rate), what was called). At the bound circuits are forgotten that are closed and have no failure
    /// to remember, or none of the last hour, and open ones that nobody has asked for in the day after their time; if
    /// all are needed, further targets share one. Defaults to 10,000, which take up about 1.5 MB: 150 bytes each
    /// with names of usual length, and 320 under [`Rate`](crate::Rate).
    pub fn most_circuits(self, most: NonZeroUsize) -> Self {
        Self::of(Settings { most_circuits: most, ..self.shared.settings.clone() })
    }

    /// Where the jitter of open times comes from. Defaults to a generator of each thread's own.
    pub fn random(self, random: Random) -> Self {
        Self::of(Settings { random, ..self.shared.settings.clone() })
    }

    /// Begins with the circuits of another layer, for a change of settings while calls are under way: those that are open
    /// or forced stay so for as long as they had to, pauses go on, and one that was being probed waits for its next probe.
    /// Closed ones begin anew, and so does the one that targets share for want of room. Setters start fresh circuits, so
    /// call it after them.
    pub fn resuming(self, previous: &BreakerHandle) -> Self {
        self.shared.resume(previous.shared());
        self
    }

    /// A handle to watch and control it with. Setters start fresh circuits, so take it after them.
    pub fn handle(&self) -> BreakerHandle {
        BreakerHandle::new(self.shared.clone())
    }

    fn of(settings: Settings) -> Self {
        Self { shared: Striped::new(Shared::new(settings)) }
    }
}

impl Default for BreakerLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for BreakerLayer {
    type Service = Breaker<S>;

    fn layer(&self, inner: S) -> Breaker<S> {
        Breaker::new(inner, self.shared.clone())
    }
}
